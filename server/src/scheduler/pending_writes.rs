//! Changes of runs that the database could not take yet. Readers see them as if they were written; only the
//! scheduler adds and writes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use shared::api::{Job, JobStanding, Run, RunState, RunSummary};
use shared::id::RunId;
use shared::rundir::StopReason;

use crate::db::RunStatus;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub state: RunState,
    /// Why it did not succeed, in a sentence.
    pub failure: Option<String>,
    /// `None` leaves the summary in the database as it is.
    pub summary: Option<Box<RunSummary>>,
    /// RFC 3339, UTC.
    pub at: String,
}

/// A run that goes back to the queue, because its worker has saved, has died or could not be started.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Again {
    pub deaths: Option<Deaths>,
    /// `None` leaves the summary in the database as it is.
    pub summary: Option<Box<RunSummary>>,
    /// Its last job, which is over.
    pub job: Option<Box<Job>>,
}

/// How often the worker of a run has died by itself since a person started the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Deaths {
    pub count: u32,
    /// What the run had kept at the last death: [`crate::rundir::RunDir::kept`].
    #[serde(default)]
    pub kept: String,
    /// What the next worker records as the reason why it is started; `None` if it has been recorded.
    pub why: Option<String>,
}

/// A change of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Its worker was asked to stop.
    Stopping(StopReason),
    Ended(End),
    Again(Again),
    /// Its files are removed already.
    Deleted,
}

/// The latest change of each run that is not written yet.
#[derive(Clone, Debug, Default)]
pub struct PendingWrites(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    changes: BTreeMap<RunId, Change>,
    /// Counts the changes that were added.
    version: u64,
    /// Why the last write failed.
    cause: Option<String>,
}

impl PendingWrites {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No panic under the lock can leave a change half made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, id: &RunId, change: Change) {
        let mut inner = self.inner();
        inner.changes.insert(id.clone(), change);
        inner.version += 1;
    }

    /// Removes a change that is written; keeps a later one.
    pub(super) fn remove(&self, id: &RunId, written: &Change) {
        let mut inner = self.inner();
        if inner.changes.get(id) == Some(written) {
            inner.changes.remove(id);
        }
    }

    pub(super) fn all(&self) -> Vec<(RunId, Change)> {
        self.inner().changes.iter().map(|(id, change)| (id.clone(), change.clone())).collect()
    }

    pub(super) fn of(&self, id: &RunId) -> Option<Change> {
        self.inner().changes.get(id).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner().changes.is_empty()
    }

    /// The names of the runs that were changed, and of those that were deleted.
    pub fn ids(&self) -> (Vec<RunId>, Vec<RunId>) {
        let (mut changed, mut deleted) = (Vec::new(), Vec::new());
        for (id, change) in &self.inner().changes {
            let ids = if *change == Change::Deleted { &mut deleted } else { &mut changed };
            ids.push(id.clone());
        }
        (changed, deleted)
    }

    pub fn version(&self) -> u64 {
        self.inner().version
    }

    /// Sets why the last write failed, `None` if it succeeded; returns whether that is new.
    pub(super) fn set_cause(&self, cause: Option<String>) -> bool {
        let mut inner = self.inner();
        let new = inner.cause != cause;
        inner.cause = cause;
        new
    }

    /// Why the database takes no changes, and how many wait; `None` while it does.
    pub fn told(&self) -> Option<String> {
        let inner = self.inner();
        let cause = inner.cause.as_ref()?;
        let waiting = match inner.changes.len() {
            0 => String::new(),
            1 => "; what happened to one run is not written yet".to_owned(),
            count => format!("; what happened to {count} runs is not written yet"),
        };
        Some(format!("the database takes no changes ({cause}){waiting}; this is tried again every few seconds"))
    }

    /// The state of a run from the database with its pending change; `None` if it is deleted.
    pub fn amended_status(&self, id: &RunId, status: RunStatus) -> Option<RunStatus> {
        match self.of(id) {
            None => Some(status),
            Some(Change::Stopping(reason)) => Some(RunStatus { stopping: Some(reason), ..status }),
            Some(Change::Ended(End { state, .. })) => Some(RunStatus { state, stopping: None }),
            Some(Change::Again(_)) => Some(RunStatus { state: RunState::Queued, stopping: None }),
            Some(Change::Deleted) => None,
        }
    }

    /// A run from the database with its pending change; `None` if it is deleted.
    pub fn amended(&self, mut run: Run) -> Option<Run> {
        match self.of(&run.id) {
            None => {}
            Some(Change::Stopping(reason)) => run.stopping = Some(reason),
            Some(Change::Deleted) => return None,
            Some(Change::Again(Again { summary, job, .. })) => {
                run.state = RunState::Queued;
                run.job = job.map(|job| *job);
                run.started_at = None;
                run.stopping = None;
                run.summary = summary.map_or(run.summary, |summary| *summary);
            }
            Some(Change::Ended(End { state, failure, summary, at })) => {
                run.state = state;
                run.failure = failure;
                run.finished_at = state.is_finished().then_some(at);
                run.stopping = None;
                run.queue_position = None;
                run.job = run.job.map(|job| Job { standing: JobStanding::Over, ..job });
                run.summary = summary.map_or(run.summary, |summary| *summary);
            }
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(state: RunState) -> Change {
        Change::Ended(End { state, failure: None, summary: None, at: "2026-11-22T19:13:38.123Z".into() })
    }

    #[test]
    fn only_the_change_that_was_written_is_forgotten() {
        let (pending, id) = (PendingWrites::default(), "at-1".parse().unwrap());
        pending.add(&id, Change::Stopping(StopReason::Cancel));
        pending.add(&id, end(RunState::Canceled));
        pending.remove(&id, &Change::Stopping(StopReason::Cancel));
        assert_eq!(pending.of(&id), Some(end(RunState::Canceled)));
        pending.remove(&id, &end(RunState::Canceled));
        assert!(pending.is_empty());
        assert_eq!(pending.version(), 2);
    }

    #[test]
    fn what_waits_is_told_with_its_cause() {
        let pending = PendingWrites::default();
        assert_eq!(pending.told(), None);
        assert!(pending.set_cause(Some("database or disk is full".into())));
        assert!(!pending.set_cause(Some("database or disk is full".into())), "it is said once");
        pending.add(&"at-1".parse().unwrap(), Change::Deleted);
        let told = pending.told().unwrap();
        assert!(told.contains("(database or disk is full); what happened to one run"), "{told}");
        pending.set_cause(None);
        assert_eq!(pending.told(), None);
    }
}
