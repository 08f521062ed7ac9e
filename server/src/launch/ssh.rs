//! Runs on a host that is reached by `ssh`, with the configuration and the keys of the user.
//!
//! The host and the server see the same run directories, or else they are copied: there before the start, and back
//! again and again. Workers there are found by the name of their job among the arguments of processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use shared::api::{LaneKind, Probe};
use shared::config::is_local_device;
use shared::problem::FieldError;
use shared::rundir;
use tokio::process::Command;

use super::file::{check_folder, check_lines, check_word, read_probe, there, worker};
use super::program::{CallError, call, quoted};
use super::{Job, Launcher, Listed, NotStarted, Standing, Stop, prepare};

/// Time limit of a call that moves no files.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of a call that copies run directories, with checkpoints.
const COPY_LIMIT: Duration = Duration::from_secs(1800);
/// Exit code of `ssh` when it is not the command that has failed.
const SSH_FAILED: i32 = 255;
/// Options that keep a call from waiting for a person or for a host that is gone.
const OPTIONS: [&str; 4] = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=10", "ServerAliveCountMax=3"];
/// What is on one side only, or comes with another call.
const NOT_COPIED: [&str; 4] = [rundir::LEASE, rundir::STOP, rundir::LABELS, "lease.json.part"];

/// A lane of the file: a device of a host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshLane {
    pub host: String,
    /// Further options of `ssh`.
    #[serde(default)]
    pub options: Vec<String>,
    /// The device that runs use there; by default what the worker finds.
    #[serde(default)]
    pub device: Option<String>,
    #[serde(default)]
    pub setup: Vec<String>,
    #[serde(default)]
    pub worker: Option<String>,
    /// Folder of the run directories on the host; by default as the server sees it.
    #[serde(default)]
    pub runs: Option<PathBuf>,
    /// Whether run directories are copied to `runs` and back, because the host does not see those of the server.
    #[serde(default)]
    pub copy: bool,
}

impl SshLane {
    pub fn check(&self) -> Vec<FieldError> {
        let SshLane { host, options: _, device, setup, worker, runs, copy } = self;
        let mut errors: Vec<FieldError> = check_word("host", host).into_iter().collect();
        if host.starts_with('-') {
            errors.push(FieldError::new("host", format!("`{host}` is not the name of a host")));
        }
        if let Some(device) = device.as_deref().filter(|device| !is_local_device(device)) {
            errors.push(FieldError::new("device", format!("`{device}` is not a device; write `cpu` or `cuda:0`")));
        }
        if *copy && runs.is_none() {
            errors.push(FieldError::new("runs", "is missing: with `copy`, run directories go to this folder of the host"));
        }
        errors.extend(check_lines("setup", setup));
        errors.extend(check_lines("worker", worker.as_slice()));
        errors.extend(check_folder("runs", runs.as_deref()));
        errors
    }

    pub fn text(&self) -> String {
        let device = self.device.as_deref().unwrap_or("its first device");
        format!("{device} of {}{}", self.host, if self.copy { ", run directories are copied" } else { "" })
    }

    pub fn has_gpu(&self) -> bool {
        self.device.as_deref() != Some("cpu")
    }
}

#[derive(Debug)]
pub struct Ssh {
    lane: SshLane,
    own_worker: PathBuf,
}

impl Ssh {
    pub fn new(lane: SshLane, own_worker: PathBuf) -> Self {
        Ssh { lane, own_worker }
    }

    fn worker(&self) -> String {
        worker(self.lane.worker.as_deref(), &self.own_worker)
    }

    fn there(&self, job: &Job) -> PathBuf {
        there(&job.dir, self.lane.runs.as_deref())
    }

    /// Runs a script on the host. The script comes in by standard input, so that neither the shell of the user nor the
    /// list of processes sees it.
    async fn script(&self, script: &str) -> Result<String, CallError> {
        let mut command = Command::new("ssh");
        command.args(OPTIONS.iter().flat_map(|option| ["-o", option])).args(&self.lane.options).args([&self.lane.host, "sh", "-s"]);
        call(command, script, CALL_LIMIT).await
    }

    /// Copies a directory of this machine to the host, or one of the host to this machine.
    async fn copy(&self, what: Copy<'_>) -> Result<(), CallError> {
        let remote_shell: Vec<String> = ["ssh".to_owned()]
            .into_iter()
            .chain(OPTIONS.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]))
            .chain(self.lane.options.iter().cloned())
            .map(|word| quoted(&word))
            .collect();
        let mut command = Command::new("rsync");
        command.args([
            "--recursive",
            "--links",
            "--perms",
            "--times",
            "--mkpath",
            "--partial-dir=.partial",
            "--rsh",
            &remote_shell.join(" "),
        ]);
        command.args(NOT_COPIED.map(|name| format!("--exclude=/{name}")));
        let remote = |path: &Path| format!("{}:{}/", self.lane.host, path.display());
        let local = |path: &Path| format!("{}/", path.display());
        match what {
            Copy::There { from, to } => command.arg("--delete").args([local(from), remote(to)]),
            // The worker removes checkpoints that it does not keep. What people uploaded is only here.
            Copy::Back { from, to } => command.args(["--delete", "--exclude=/upload"]).args([remote(from), local(to)]),
            Copy::Source { from, to } => command
                .args([
                    "--include=/config.json",
                    "--include=/format",
                    "--include=/metrics.jsonl",
                    "--include=/checkpoints/***",
                    "--exclude=*",
                ])
                .args([local(from), remote(to)]),
        };
        call(command, "", COPY_LIMIT).await.map(drop)
    }

    /// Copies the directory of a run to the host, and what it reads of other runs.
    async fn copy_there(&self, job: &Job) -> Result<(), CallError> {
        let (from, to) = (job.dir.path(), self.there(job));
        let sources = job.dir.config().map(|config| config.needs().into_iter().map(|(_, source)| source.run.clone()).collect::<Vec<_>>());
        for run in sources.unwrap_or_default() {
            let beside = |path: &Path| path.with_file_name(run.as_str());
            // A run that has begun needs no more of the one that it started from; where it does, its worker says so.
            if !beside(from).exists() {
                continue;
            }
            self.copy(Copy::Source { from: &beside(from), to: &beside(&to) }).await?;
        }
        self.copy(Copy::There { from, to: &to }).await
    }

    async fn start(&self, job: &Job) -> Result<(), NotStarted> {
        prepare(&job.dir)?;
        if self.lane.copy {
            self.copy_there(job).await.map_err(not_started)?;
        }
        self.script(&self.start_script(job)).await.map(drop).map_err(not_started)
    }

    fn start_script(&self, job: &Job) -> String {
        let dir = quoted(&self.there(job).display().to_string());
        let (worker, name) = (self.worker(), quoted(&job.name));
        let again = job.again.as_ref().map_or_else(String::new, |again| format!(" --again {}", quoted(again)));
        let device = self.lane.device.as_deref().unwrap_or("auto");
        let setup: String = self.lane.setup.iter().map(|line| format!("{line}\n")).collect();
        format!(
            "cd {dir} || exit 1\n\
             rm -f {stop}\n\
             {setup}\
             set -- {worker}\n\
             command -v \"$1\" > /dev/null || {{ echo \"$1 is not a program on this host\" >&2; exit 1; }}\n\
             CROSSLENS_DEVICE={device} nohup setsid \"$@\" {dir} --ticket {name}{again} >> log.txt 2>&1 < /dev/null &\n",
            stop = rundir::STOP,
        )
    }

    /// Lists the processes of the host; passes the reasons on for which runs are to stop.
    fn list_script(&self, jobs: &[Job]) -> String {
        let mut script = String::new();
        for job in jobs.iter().filter(|_| self.lane.copy) {
            if let Ok(Some(reason)) = job.dir.stop_reason() {
                let stop = quoted(&self.there(job).join(rundir::STOP).display().to_string());
                script.push_str(&format!("echo {} > {stop}\n", reason.id()));
            }
        }
        script.push_str("hostname\nps -ewwo pgid=,args=\n");
        script
    }
}

enum Copy<'a> {
    There {
        from: &'a Path,
        to: &'a Path,
    },
    Back {
        from: &'a Path,
        to: &'a Path,
    },
    /// What measurements read of a run.
    Source {
        from: &'a Path,
        to: &'a Path,
    },
}

/// Why nothing was started on the host.
fn not_started(error: CallError) -> NotStarted {
    let words = in_words(&error);
    match error {
        CallError::Silent(..) => NotStarted::Unknown(words),
        // The connection was there and broke.
        CallError::Refused { code: Some(SSH_FAILED), words: said }
            if ["closed", "reset", "Broken pipe", "not responding"].iter().any(|part| said.contains(part)) =>
        {
            NotStarted::Unknown(words)
        }
        CallError::Refused { .. } | CallError::Missing(..) => NotStarted::Lane(words),
    }
}

/// What `ssh` says, and what to do about it.
fn in_words(error: &CallError) -> String {
    let said = error.to_string();
    let advice = [
        ("Permission denied", "the host does not take the key: `ssh-copy-id` puts it there, `ssh-add` opens one with a passphrase"),
        (
            "Host key verification failed",
            "the host shows another key than the one known, or none is known: look into it, then `ssh` there by hand",
        ),
        ("Could not resolve", "is the name right?"),
    ];
    match advice.iter().find(|(part, _)| said.contains(part)) {
        Some((_, advice)) => format!("{said} ({advice})"),
        None => said,
    }
}

/// The process groups of jobs among the processes of a host.
fn groups<'a>(processes: &'a str, jobs: &'a [Job]) -> HashMap<&'a str, &'a str> {
    let mut found = HashMap::new();
    for line in processes.lines() {
        let mut words = line.split_whitespace();
        let Some(group) = words.next() else { continue };
        let name = words.skip_while(|word| *word != "--ticket").nth(1);
        if let Some(job) = jobs.iter().find(|job| Some(job.name.as_str()) == name) {
            found.insert(job.name.as_str(), group);
        }
    }
    found
}

#[async_trait]
impl Launcher for Ssh {
    fn kind(&self) -> LaneKind {
        LaneKind::Ssh
    }

    async fn probe(&self, _lane: &str) -> Result<Probe, String> {
        let setup: String = self.lane.setup.iter().map(|line| format!("{line}\n")).collect();
        let answer = self.script(&format!("{setup}exec {} --probe\n", self.worker())).await;
        read_probe(&answer.map_err(|error| in_words(&error))?)
    }

    async fn submit(&self, _lane: &str, jobs: &[Job], _at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(self.start(job).await.map(|()| None));
        }
        answers
    }

    async fn stop(&self, job: &Job, how: Stop) -> Result<(), String> {
        let processes = self.script(&self.list_script(std::slice::from_ref(job))).await.map_err(|error| in_words(&error))?;
        let Some(group) = groups(&processes, std::slice::from_ref(job)).remove(job.name.as_str()).map(str::to_owned) else { return Ok(()) };
        let signal = match how {
            Stop::Terminate => "TERM",
            Stop::Kill => "KILL",
        };
        self.script(&format!("kill -{signal} -- -{group}\n")).await.map(drop).map_err(|error| in_words(&error))
    }

    async fn list(&self, jobs: &[Job]) -> Result<HashMap<String, Listed>, String> {
        let answer = self.script(&self.list_script(jobs)).await.map_err(|error| in_words(&error))?;
        let (host, processes) = answer.split_once('\n').unwrap_or_default();
        let groups = groups(processes, jobs);
        if self.lane.copy {
            // After the list: of a worker that is gone from it, all that it wrote comes now.
            for job in jobs {
                self.copy(Copy::Back { from: &self.there(job), to: job.dir.path() }).await.map_err(|error| in_words(&error))?;
            }
        }
        let standing = || Standing::Running { node: Some(host.trim().to_owned()), ends_at: None };
        Ok(groups.into_keys().map(|name| (name.to_owned(), Listed { id: None, standing: standing() })).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rundir::RunDir;

    fn job(name: &str) -> Job {
        Job { name: name.into(), id: None, dir: RunDir::at("/data/runs/at-1".into()), again: Some("It's back.".into()) }
    }

    fn lane() -> SshLane {
        SshLane { host: "box".into(), options: Vec::new(), device: None, setup: Vec::new(), worker: None, runs: None, copy: false }
    }

    #[test]
    fn a_worker_is_found_among_the_processes_of_its_host() {
        let jobs = [job("crosslens-1.0"), job("crosslens-1.1"), job("crosslens-2.0")];
        let processes = "  10 /sbin/init\n 4711 /opt/worker /runs/at-1 --ticket crosslens-1.1 --again The worker was killed.\n\
                          4800 vi --ticket\n 4801 /opt/worker /runs/at-2 --ticket crosslens-1.11\n";
        let found = groups(processes, &jobs);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("crosslens-1.1", "4711")]);
    }

    #[test]
    fn the_script_starts_the_worker_of_the_lane_on_its_device() {
        let lane =
            SshLane { device: Some("cuda:1".into()), setup: vec!["module load cuda".into()], runs: Some("/scratch".into()), ..lane() };
        let script = Ssh::new(lane, "/opt/worker".into()).start_script(&job("crosslens-1.0"));
        assert_eq!(
            script,
            "cd /scratch/at-1 || exit 1\n\
             rm -f stop\n\
             module load cuda\n\
             set -- /opt/worker\n\
             command -v \"$1\" > /dev/null || { echo \"$1 is not a program on this host\" >&2; exit 1; }\n\
             CROSSLENS_DEVICE=cuda:1 nohup setsid \"$@\" /scratch/at-1 --ticket crosslens-1.0 --again 'It'\\''s back.' >> log.txt 2>&1 < \
             /dev/null &\n"
        );
    }

    #[test]
    fn what_ssh_says_comes_with_what_to_do() {
        let refused = |words: &str| CallError::Refused { code: Some(SSH_FAILED), words: words.into() };
        for (words, part, unknown) in [
            ("me@box: Permission denied (publickey).", "ssh-copy-id", false),
            ("Host key verification failed.", "another key", false),
            ("ssh: connect to host box port 22: Connection refused", "Connection refused", false),
            ("Connection to box closed by remote host.", "closed by remote host", true),
        ] {
            let found = not_started(refused(words));
            assert!(found.to_string().contains(part), "{found}");
            assert_eq!(matches!(found, NotStarted::Unknown(_)), unknown, "{words}");
        }
    }

    #[test]
    fn a_wrong_field_is_named_with_its_value() {
        let bad = SshLane { host: "-oProxyCommand=x".into(), device: Some("gpu".into()), copy: true, ..lane() };
        let errors: Vec<String> = bad.check().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(lane().check().is_empty());
    }
}
