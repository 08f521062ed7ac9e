//! The worker program of this machine: what it can do, what it says of a file, and its last words. [`crate::launch`]
//! starts it on runs.
//!
//! `worker --probe` prints the devices of the machine, `worker DIR --inspect` what an import would read.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use shared::api::{Probe, WorkerStatus};
use shared::inspection::Inspection;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Time limit of the probe; loading CUDA libraries from a slow disk takes tens of seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time until a worker program that does not work is probed again.
const PROBE_AGAIN: Duration = Duration::from_secs(2);
/// Time limit of an inspection; the largest files take less, and a person waits.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Worker {
    pub program: PathBuf,
    /// Whether it runs programs that are imported.
    pub allow_programs: bool,
}

/// What tells a worker that it may run programs.
const ALLOW_PROGRAMS: &str = "CROSSLENS_ALLOW_PROGRAMS";

/// What is said after the reason why the worker program does not work.
pub const TRIED_AGAIN: &str = "queued runs wait, and it is tried again every few seconds";

impl Worker {
    /// Probes the worker program now, and again whenever `status` says that it does not work: it may be away
    /// while it is built.
    pub async fn keep_probing(self, status: watch::Sender<WorkerStatus>) {
        let mut news = status.subscribe();
        loop {
            let found = match self.ask().await {
                Ok(probe) => WorkerStatus::Ready(probe),
                Err(error) => WorkerStatus::Broken { message: format!("{error:#}; {TRIED_AGAIN}") },
            };
            let known = status.send_replace(found.clone());
            // Log it once, not with every try.
            match &found {
                WorkerStatus::Ready(probe) => {
                    let devices: Vec<&str> = probe.devices.iter().map(|device| device.name.as_str()).collect();
                    tracing::info!("the worker is ready: libtorch {} on {}", probe.libtorch, devices.join(", "));
                }
                WorkerStatus::Broken { message } if known != found => tracing::error!("{message}"),
                WorkerStatus::Broken { .. } | WorkerStatus::Starting => {}
            }
            if news.wait_for(|status| matches!(status, WorkerStatus::Broken { .. })).await.is_err() {
                return;
            }
            sleep(PROBE_AGAIN).await;
        }
    }

    /// The program, to be started on this machine.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        match self.allow_programs {
            true => command.env(ALLOW_PROGRAMS, "true"),
            false => command.env_remove(ALLOW_PROGRAMS),
        };
        command
    }

    async fn ask(&self) -> anyhow::Result<Probe> {
        let program = self.program.display();
        let mut command = Command::new(&self.program);
        command.arg("--probe").stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PROBE_TIMEOUT, command.output())
            .await
            .with_context(|| format!("the worker `{program}` did not answer its probe within {} s", PROBE_TIMEOUT.as_secs()))?
            .with_context(|| format!("cannot start the worker `{program}`"))?;
        if !output.status.success() {
            let said = last_words(&String::from_utf8_lossy(&output.stderr));
            bail!("the worker `{program}` does not work here: {}", sentence(output.status, &said));
        }
        let probe: Probe = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`{program}` does not answer like a worker; is it one of this version?"))?;
        if probe.devices.is_empty() {
            bail!("the worker `{program}` names no device to train on");
        }
        Ok(probe)
    }

    /// Asks what the import that is configured in a directory would read. Fails with the message of the
    /// worker about the file.
    pub async fn inspect(&self, dir: &Path) -> Result<Inspection, String> {
        let program = self.program.display();
        let mut command = self.command();
        command.arg(dir).arg("--inspect").stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(INSPECT_TIMEOUT, command.output())
            .await
            .map_err(|_| format!("the file could not be inspected within {} s", INSPECT_TIMEOUT.as_secs()))?
            .map_err(|error| format!("the worker `{program}` cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(sentence(output.status, &last_words(&String::from_utf8_lossy(&output.stderr))));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("the worker `{program}` gives an unexpected answer: {error}"))
    }
}

/// Why a worker failed, in a sentence that ends with its last words.
pub fn sentence(status: ExitStatus, last_words: &str) -> String {
    let reason = match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) => "the worker was killed by signal 9 (SIGKILL), often a sign of too little memory".to_owned(),
        (Some(signal), _) => match signal_name(signal) {
            Some(name) => format!("the worker was killed by signal {signal} ({name})"),
            None => format!("the worker was killed by signal {signal}"),
        },
        // Its own words tell more than its exit code.
        (None, Some(_)) if !last_words.is_empty() => return last_words.to_owned(),
        (None, Some(code)) => format!("the worker ended with code {code} and said nothing"),
        (None, None) => "the worker ended in an unknown way".to_owned(),
    };
    if last_words.is_empty() { reason } else { format!("{reason}; its last words: {last_words}") }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGINT => "SIGINT",
        libc::SIGTERM => "SIGTERM",
        libc::SIGHUP => "SIGHUP",
        _ => return None,
    })
}

/// The last message in a log: its last line, or the error with the indented causes below it.
pub fn last_words(log: &str) -> String {
    const LONGEST: usize = 400;
    let mut words: Vec<&str> = Vec::new();
    for line in log.lines().rev() {
        let text = line.trim();
        if text.is_empty() || text.starts_with("note: run with `RUST_BACKTRACE") || text == "Caused by:" {
            continue;
        }
        words.push(text);
        if !line.starts_with(char::is_whitespace) || words.len() == 5 {
            break;
        }
    }
    words.reverse();
    let words = words.join(": ");
    let words = words.strip_prefix("error: ").or(words.strip_prefix("Error: ")).unwrap_or(&words);
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_log_are_its_last_message() {
        for (log, expected) in [
            ("", ""),
            ("epoch 1\nerror: no file `data_batch_1`\n\n", "no file `data_batch_1`"),
            ("start\nError: cannot train\n\nCaused by:\n    0: out of\n    1: memory\n", "cannot train: 0: out of: 1: memory"),
            ("thread 'main' panicked at src/x.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1` to see\n", "boom"),
        ] {
            assert_eq!(last_words(log), expected, "{log:?}");
        }
        assert_eq!(last_words(&"é".repeat(1000)).chars().count(), 401);
    }

    #[test]
    fn the_way_a_worker_ended_is_told_in_words() {
        for (raw, log, expected) in [
            (9, "", "the worker was killed by signal 9 (SIGKILL), often a sign of too little memory"),
            (11, "epoch 3", "the worker was killed by signal 11 (SIGSEGV); its last words: epoch 3"),
            (1 << 8, "error: no data", "error: no data"),
            (101 << 8, "", "the worker ended with code 101 and said nothing"),
        ] {
            assert_eq!(sentence(ExitStatus::from_raw(raw), log), expected);
        }
    }
}
