//! The worker as a process: probes it, starts it on a run directory, finds it again, stops it. Knows nothing of
//! the database.
//!
//! `worker RUNDIR` runs until it is done or asked to stop: by a file in the run directory, or by a signal. Then
//! it saves. Names and exit codes are in [`shared::rundir`]. It does not depend on this server: it goes on when
//! the server ends, and the next server finds it by its lease. `worker --probe` prints the devices of the
//! machine, `worker DIR --inspect` what an import would read.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use lease::{Standing, Watch};
use shared::api::{Probe, WorkerStatus};
use shared::inspection::Inspection;
use shared::rundir;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::plain_file;
use crate::rundir::RunDir;

/// Time limit of the probe; loading CUDA libraries from a slow disk takes tens of seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time until a worker program that does not work is probed again.
const PROBE_AGAIN: Duration = Duration::from_secs(2);
/// Time limit of an inspection; the largest files take less, and a person waits.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(120);
/// Time between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(5);
/// Number of threads of libtorch.
const THREADS: &str = "OMP_NUM_THREADS";
/// Time between two looks at the lease of a worker that is not a child of this server.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Worker {
    pub program: PathBuf,
    /// Time that a worker may take to save before it receives a signal.
    pub stop_grace: Duration,
}

/// A worker that runs on a directory.
#[derive(Debug)]
pub struct RunningWorker {
    dir: RunDir,
    watch: Watch,
    /// `None` if another server has started it, or a person.
    child: Option<Child>,
    stop_grace: Duration,
}

/// How a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code or by a signal.
    Exited(ExitStatus),
    /// It is gone from its lease and has written no exit code: it was killed.
    Vanished,
    /// There is neither a worker nor its exit code.
    Unknown,
}

/// Why a worker is not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// This run cannot start; others can.
    #[error("{}", directory_trouble(.0, .1))]
    Directory(PathBuf, #[source] io::Error),
    /// No run can start.
    #[error("cannot start the worker `{}`: {}; {TRIED_AGAIN}", .0.display(), .1)]
    Program(PathBuf, #[source] io::Error),
}

/// What is said after the reason why the worker program does not work.
pub const TRIED_AGAIN: &str = "queued runs wait, and it is tried again every few seconds";

fn directory_trouble(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("its directory `{path}` is gone; bring it back and resume the run, or delete the run"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("its directory `{path}` cannot be written ({error}); let the user of the server write there, then resume the run")
        }
        _ => format!("its directory `{path}` cannot be written ({error}); mend that, then resume the run"),
    }
}

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
        let mut command = Command::new(&self.program);
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

    /// Starts the worker on a directory; its output goes to the log there. `again` says why, if an earlier
    /// worker has died. `at_once`: how many workers share the processor.
    pub fn start(&self, dir: &RunDir, again: Option<&str>, at_once: usize) -> Result<RunningWorker, NotStarted> {
        // What an earlier worker was asked, how it ended and what it left behind does not concern this one. A server
        // that starts before this worker has taken the lease must not find that of the killed one.
        let cleared = dir.remove(rundir::STOP).and_then(|()| dir.remove(rundir::EXIT_CODE));
        let logs = cleared.and_then(|()| Watch::new(dir.path()).remove_abandoned()).and_then(|()| {
            let log = plain_file::append(&dir.log())?;
            Ok((log.try_clone()?, log))
        });
        let (log, other) = logs.map_err(|error| NotStarted::Directory(dir.path().to_owned(), error))?;
        let mut command = Command::new(&self.program);
        command.arg(dir.path());
        if let Some(again) = again {
            command.args(["--again", again]);
        }
        if at_once > 1 && std::env::var_os(THREADS).is_none() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (cores / at_once).max(1).to_string());
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(other)
            .stderr(log)
            // What a terminal sends to the server must not reach the worker.
            .process_group(0)
            .spawn()
            .map_err(|error| NotStarted::Program(self.program.clone(), error))?;
        Ok(RunningWorker { child: Some(child), ..self.find(dir) })
    }

    /// The worker that an earlier server has started on a directory. It may have ended by now.
    pub fn find(&self, dir: &RunDir) -> RunningWorker {
        RunningWorker { dir: dir.clone(), watch: Watch::new(dir.path()), child: None, stop_grace: self.stop_grace }
    }
}

impl RunningWorker {
    /// Waits for the worker to end by itself or after `stop`.
    pub async fn wait(mut self, stop: CancellationToken) -> io::Result<End> {
        tokio::select! {
            end = self.ended() => return end,
            () = stop.cancelled() => {}
        }
        // Without the file, only a signal tells it.
        let told = self.dir.stop_reason().is_ok_and(|reason| reason.is_some());
        let to_save = if told { self.stop_grace } else { Duration::ZERO };
        let to_obey = if told { TERM_GRACE } else { self.stop_grace + TERM_GRACE };
        for (limit, next) in [(to_save, libc::SIGTERM), (to_obey, libc::SIGKILL)] {
            if let Ok(end) = timeout(limit, self.ended()).await {
                return end;
            }
            self.signal(next);
        }
        self.ended().await
    }

    /// Waits until no worker writes to the directory, and tells how the last one ended.
    async fn ended(&mut self) -> io::Result<End> {
        if let Some(child) = &mut self.child {
            let status = child.wait().await?;
            // If it has found another worker there, that is the one to wait for.
            if !matches!(self.watch.look(), Ok(Standing::Held(_))) {
                return Ok(End::Exited(status));
            }
            self.child = None;
        }
        let left_behind = loop {
            match self.watch.look()? {
                Standing::Held(_) => sleep(LOOK_INTERVAL).await,
                Standing::Abandoned(_) => break End::Vanished,
                Standing::Free => break End::Unknown,
            }
        };
        Ok(self.dir.exit_status()?.map_or(left_behind, End::Exited))
    }

    /// Sends a signal to the worker and the processes that it has started.
    fn signal(&mut self, signal: i32) {
        let number = match (&self.child, self.watch.look()) {
            (Some(child), _) => child.id(),
            // Only a process that is seen to run on this machine.
            (None, Ok(Standing::Held(Some(lease)))) if lease.process.is_alive() == Some(true) => Some(lease.process.pid),
            (None, _) => None,
        };
        let Some(group) = number.and_then(|number| i32::try_from(number).ok()) else { return };
        // SAFETY: killpg takes two numbers and accesses no memory. The worker has not been waited for or was just
        // seen to run, so its number has not passed to another process.
        let result = unsafe { libc::killpg(group, signal) };
        if result != 0 {
            tracing::warn!("signal {signal} to process group {group} failed: {}", io::Error::last_os_error());
        }
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
