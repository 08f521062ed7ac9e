//! Runs on any other engine, by three commands of the user: submit, stop, list.
//!
//! The commands are lines of shell. They find what they need in variables of their environment, so that no name can
//! break their quoting.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use shared::api::{LaneKind, Probe};
use shared::problem::FieldError;
use shared::rundir;
use tokio::process::Command;

use super::file::{check_folder, check_lines, read_probe, there, worker};
use super::program::{CallError, call, quoted};
use super::{Job, Launcher, Listed, NotStarted, Standing, Stop, prepare};

/// Time limit of a command.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of a trial, which waits in the engine.
const TRIAL_LIMIT: Duration = Duration::from_secs(150);

/// A lane of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandLane {
    /// Submits the script on its standard input under the name `$JOB_NAME`; prints the engine's name of the job as
    /// its last word.
    pub submit: String,
    /// Ends the job `$JOB_ID`.
    pub stop: String,
    /// Prints a line for each job that is there: its `$JOB_ID` or `$JOB_NAME`, `waiting` or `running`, and what is
    /// to be said of it.
    pub list: String,
    /// Runs the script on its standard input and waits for it; used to try the lane.
    #[serde(default, rename = "try")]
    pub trial: Option<String>,
    /// Whether it has a GPU.
    #[serde(default)]
    pub gpu: bool,
    #[serde(default)]
    pub setup: Vec<String>,
    #[serde(default)]
    pub worker: Option<String>,
    #[serde(default)]
    pub runs: Option<PathBuf>,
}

impl CommandLane {
    pub fn check(&self) -> Vec<FieldError> {
        let CommandLane { submit, stop, list, trial, gpu: _, setup, worker, runs } = self;
        let commands = [("submit", Some(submit)), ("stop", Some(stop)), ("list", Some(list)), ("try", trial.as_ref())];
        let empty = commands.into_iter().filter(|(_, command)| command.is_some_and(|command| command.trim().is_empty()));
        let mut errors: Vec<FieldError> = empty.map(|(field, _)| FieldError::new(field, "is empty; write a line of shell")).collect();
        errors.extend(check_lines("setup", setup));
        errors.extend(check_lines("worker", worker.as_slice()));
        errors.extend(check_folder("runs", runs.as_deref()));
        errors
    }

    pub fn text(&self) -> String {
        format!("by `{}`", self.submit.split_whitespace().next().unwrap_or_default())
    }
}

#[derive(Debug)]
pub struct Commands {
    lane: CommandLane,
    own_worker: PathBuf,
}

impl Commands {
    pub fn new(lane: CommandLane, own_worker: PathBuf) -> Self {
        Commands { lane, own_worker }
    }

    /// The script that starts the worker. `arguments` are quoted.
    fn script(&self, log: &str, arguments: &str) -> String {
        let setup: String = self.lane.setup.iter().map(|line| format!("{line}\n")).collect();
        let worker = worker(self.lane.worker.as_deref(), &self.own_worker);
        let device = if self.lane.gpu { "cuda:0" } else { "auto" };
        format!("#!/bin/bash\n{log}{setup}export CROSSLENS_DEVICE={device}\nexec {worker} {arguments}\n")
    }

    async fn start(&self, job: &Job) -> Result<Option<String>, NotStarted> {
        prepare(&job.dir)?;
        let dir = quoted(&there(&job.dir, self.lane.runs.as_deref()).display().to_string());
        let again = job.again.as_ref().map_or_else(String::new, |again| format!(" --again {}", quoted(again)));
        let log = format!("exec >> {dir}/{} 2>&1 || exit 1\n", rundir::LOG);
        let script = self.script(&log, &format!("{dir} --ticket {}{again}", quoted(&job.name)));
        match call(self.shell(&self.lane.submit, Some(job)), &script, CALL_LIMIT).await {
            Ok(printed) => Ok(printed.split_whitespace().next_back().map(str::to_owned)),
            Err(error @ CallError::Silent(..)) => Err(NotStarted::Unknown(error.to_string())),
            Err(error) => Err(NotStarted::Lane(format!("`submit` refuses: {error}"))),
        }
    }

    fn shell(&self, line: &str, job: Option<&Job>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CROSSLENS_")) {
            command.env_remove(name);
        }
        if let Some(job) = job {
            command.env("JOB_NAME", &job.name).env("JOB_ID", job.id.as_deref().unwrap_or(&job.name)).env("JOB_DIR", job.dir.path());
        }
        command
    }
}

/// Reads what `list` prints: a job of each line, by either of its names.
fn listed(printed: &str, jobs: &[Job]) -> HashMap<String, Listed> {
    let mut found = HashMap::new();
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(state)) = (words.next(), words.next()) else { continue };
        let rest = Some(words.collect::<Vec<_>>().join(" ")).filter(|rest| !rest.is_empty());
        let Some(job) = jobs.iter().find(|job| job.name == name || job.id.as_deref() == Some(name)) else { continue };
        let standing = match state {
            "waiting" => Standing::Waiting { reason: rest, starts_at: None },
            _ => Standing::Running { node: rest, ends_at: None },
        };
        found.insert(job.name.clone(), Listed { id: None, standing });
    }
    found
}

#[async_trait]
impl Launcher for Commands {
    fn kind(&self) -> LaneKind {
        LaneKind::Command
    }

    async fn probe(&self, _lane: &str) -> Result<Probe, String> {
        let Some(trial) = &self.lane.trial else { return Err("the lane has no command `try`".to_owned()) };
        let script = self.script("", "--probe");
        let answer = call(self.shell(trial, None), &script, TRIAL_LIMIT).await.map_err(|error| error.to_string())?;
        read_probe(&answer)
    }

    async fn submit(&self, _lane: &str, jobs: &[Job], _at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(self.start(job).await);
        }
        answers
    }

    async fn stop(&self, job: &Job, _how: Stop) -> Result<(), String> {
        call(self.shell(&self.lane.stop, Some(job)), "", CALL_LIMIT).await.map(drop).map_err(|error| error.to_string())
    }

    async fn list(&self, jobs: &[Job]) -> Result<HashMap<String, Listed>, String> {
        let printed = call(self.shell(&self.lane.list, None), "", CALL_LIMIT).await.map_err(|error| error.to_string())?;
        Ok(listed(&printed, jobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rundir::RunDir;

    #[test]
    fn a_line_of_the_list_is_of_a_job_by_either_name() {
        let job = |name: &str, id: Option<&str>| Job {
            name: name.into(),
            id: id.map(str::to_owned),
            dir: RunDir::at("/data/runs/at-1".into()),
            again: None,
        };
        let jobs = [job("crosslens-1.0", Some("17.pbs")), job("crosslens-1.1", None), job("crosslens-1.2", None)];
        let found = listed("17.pbs running node3\ncrosslens-1.1 waiting for a node\n18.pbs running\n\nodd\n", &jobs);
        assert_eq!(found.len(), 2);
        assert_eq!(found["crosslens-1.0"].standing, Standing::Running { node: Some("node3".into()), ends_at: None });
        assert_eq!(found["crosslens-1.1"].standing, Standing::Waiting { reason: Some("for a node".into()), starts_at: None });
    }
}
