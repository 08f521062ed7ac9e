//! Starts workers, here and elsewhere, and hears of them.
//!
//! A [`Launcher`] knows one way to start workers: a file of this folder for each. An [`Engine`] is a launcher with
//! the one task that asks it how all its jobs stand, [`Following`] waits for one job, and [`Lanes`] has the names that
//! configurations ask for. None of them knows of the database.
//!
//! Whether and how a run has ended is told by its directory: its lease and the exit code that its worker wrote. What
//! a launcher says of a job only tells whether to wait for that.

mod command;
mod engine;
mod file;
mod follow;
mod lanes;
mod local;
mod program;
mod slurm;
mod ssh;

use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::process::ExitStatus;

use async_trait::async_trait;
use lease::Watch;
use shared::api::{LaneKind, Probe};
use shared::rundir;
use tokio::sync::Notify;

pub use self::engine::Engine;
pub use self::file::LanesFile;
pub use self::follow::{End, Event, Following};
pub use self::lanes::{Choice, Lane, Lanes};
pub use self::local::Local;
pub use self::slurm::SAVE_AHEAD;
use crate::rundir::RunDir;

/// One way to start workers.
#[async_trait]
pub trait Launcher: Debug + Send + Sync {
    fn kind(&self) -> LaneKind;

    /// What a worker on a lane can do: the answer of `worker --probe` there.
    async fn probe(&self, lane: &str) -> Result<Probe, String>;

    /// Why runs on a lane would be refused, if the engine can tell before they are handed over.
    async fn check(&self, _lane: &str) -> Result<(), String> {
        Ok(())
    }

    /// Hands jobs over, in order; returns for each the name that the engine has given it, if it gives one.
    /// `at_once`: how many of them may run at once.
    async fn submit(&self, lane: &str, jobs: &[Job], at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>>;

    /// Ends a job that did not heed its stop file, or that waits.
    async fn stop(&self, job: &Job, how: Stop) -> Result<(), String>;

    /// How jobs stand, by their names. A job that is not in the answer is gone.
    async fn list(&self, jobs: &[Job]) -> Result<HashMap<String, Listed>, String>;

    /// Changes how many jobs of those that were handed over together may run at once.
    async fn set_at_once(&self, _jobs: &[Job], _at_once: Option<u32>) -> Result<(), String> {
        Ok(())
    }

    /// Notified when `list` would answer something new. `None` if the launcher cannot tell.
    fn news(&self) -> Option<&Notify> {
        None
    }
}

/// A run that is handed over to a launcher.
#[derive(Clone, Debug)]
pub struct Job {
    /// Unique among all jobs of all servers: `crosslens-` with random digits, a point, and the position among those
    /// handed over together.
    pub name: String,
    /// Name that the engine has given it.
    pub id: Option<String>,
    pub dir: RunDir,
    /// Why the run is started again: a sentence for its records.
    pub again: Option<String>,
}

impl Job {
    /// Name of the jobs that were handed over together, and the position among them.
    fn batch(&self) -> (&str, &str) {
        self.name.rsplit_once('.').unwrap_or((&self.name, "0"))
    }
}

/// How hard a job is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It can save before it ends.
    Terminate,
    Kill,
}

/// A job as its launcher sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Name that the engine has given it.
    pub id: Option<String>,
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `reason` is a sentence, `starts_at` in RFC 3339.
    Waiting {
        reason: Option<String>,
        starts_at: Option<String>,
    },
    /// `ends_at` in RFC 3339.
    Running {
        node: Option<String>,
        ends_at: Option<String>,
    },
    Over(Fate),
}

/// How a job ended, by its launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Exited(ExitStatus),
    /// Somebody has canceled it in the engine.
    Canceled,
    /// It had to make room for another job.
    Preempted,
    /// Its time was up.
    TimeLimit,
    /// In another way: a sentence.
    Failed(String),
}

/// Makes a run directory ready for a worker: what an earlier one was asked, how it ended and what it left behind does
/// not concern it. A server that starts before the worker has taken the lease must not find that of a killed one.
fn prepare(dir: &RunDir) -> Result<(), NotStarted> {
    let cleared = dir.remove(rundir::STOP).and_then(|()| dir.remove(rundir::EXIT_CODE));
    cleared.and_then(|()| Watch::new(dir.path()).remove_abandoned()).map_err(|error| NotStarted::directory(dir, error))
}

/// Why a job was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// This run cannot start; others can.
    #[error("{0}")]
    Run(String),
    /// No run can start on this lane now.
    #[error("{0}")]
    Lane(String),
    /// The disk is full.
    #[error("{0}")]
    NoRoom(#[source] io::Error),
    /// It may have been handed over; the next list tells.
    #[error("{0}")]
    Unknown(String),
}

impl NotStarted {
    /// The directory of a run cannot be written.
    fn directory(dir: &RunDir, error: io::Error) -> Self {
        let path = dir.path().display();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NotStarted::NoRoom(error),
            io::ErrorKind::NotFound => {
                NotStarted::Run(format!("its directory `{path}` is gone; bring it back and resume the run, or delete the run"))
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => NotStarted::Run(format!(
                "its directory `{path}` cannot be written ({error}); let the user of the server write there, then resume the run"
            )),
            _ => NotStarted::Run(format!("its directory `{path}` cannot be written ({error}); mend that, then resume the run")),
        }
    }

    fn cloned(&self) -> Self {
        match self {
            NotStarted::Run(text) => NotStarted::Run(text.clone()),
            NotStarted::Lane(text) => NotStarted::Lane(text.clone()),
            NotStarted::NoRoom(error) => NotStarted::NoRoom(error.kind().into()),
            NotStarted::Unknown(text) => NotStarted::Unknown(text.clone()),
        }
    }
}
