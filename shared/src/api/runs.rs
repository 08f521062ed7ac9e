//! Runs: configuration, state, summary and records.

use serde::{Deserialize, Serialize};

use super::Job;
use crate::config::{Inputs, RunConfig};
use crate::id::{RunId, Which};
use crate::record::{EvaluationStep, Metrics, NoticeKind, Record};
use crate::rundir::StopReason;
use crate::signs::{self, Sign};

/// A run without its curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Run {
    /// Id of the run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Title of the run.
    pub title: String,
    /// State of the run.
    pub state: RunState,
    /// Configuration of the run.
    pub config: RunConfig,
    /// Creation time: RFC 3339, UTC, as are the other times.
    pub created_at: String,
    /// Time at which the worker started; absent if it has not.
    pub started_at: Option<String>,
    /// Time at which the run finished; absent if it has not.
    pub finished_at: Option<String>,
    /// Number of runs that start before this one; absent if it is not queued.
    pub queue_position: Option<u32>,
    /// Why the run failed, in a sentence; the log has the details.
    pub failure: Option<String>,
    /// What the worker was asked for, while it saves; absent if it was not asked to stop.
    pub stopping: Option<StopReason>,
    /// Free words to find the run by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Free text about the run.
    #[serde(default)]
    pub notes: String,
    /// The numbers of the run so far.
    pub summary: RunSummary,
    /// What the engine of its lane knows of it; absent if it was not handed over yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// The state of a run. A succeeded run never changes its state; a paused, failed or canceled one can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    /// A person has stopped it for a while; it has kept what it has done.
    Paused,
    Succeeded,
    Failed,
    Canceled,
}

/// The numbers of a run that tables show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// Last finished epoch; 0 before the first.
    pub epoch: u32,
    /// Number of epochs to train; 0 for a run that does not train.
    pub epochs: u32,
    /// Finished fraction of the run, in `[0, 1]`.
    pub fraction_done: f64,
    /// Estimated seconds until the run finishes.
    pub seconds_left: Option<f64>,
    /// The best epoch: the one with the highest selection accuracy.
    pub best: Option<EpochSummary>,
    /// The last evaluated epoch.
    pub last: Option<EpochSummary>,
    /// The best epoch as it would be chosen by the test images themselves; absent without held-out images, where
    /// `best` is chosen so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_by_test: Option<EpochSummary>,
    /// Robust test accuracy over the epochs; at most `SPARK_POINTS` values.
    pub spark: Vec<f64>,
    /// Results of an evaluation so far: clean, then each attack.
    #[serde(default)]
    pub evaluation: Vec<EvaluationStep>,
    /// CAS of the matrix measured by an attribution run; of the adversarial one if both inputs were measured.
    #[serde(default)]
    pub cas: Option<f64>,
    /// Epoch at which a breakdown of training was detected; absent if there was none.
    #[serde(default)]
    pub broke_down: Option<u32>,
    /// Number of classes of the network; absent until the worker reports it.
    #[serde(default)]
    pub classes: Option<u32>,
    /// Size of its files, measured when the run has ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// Measurements of an epoch. Accuracies are fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpochSummary {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Clean accuracy on the test set.
    pub clean_accuracy: Option<f64>,
    /// Robust accuracy on the test set.
    pub robust_accuracy: Option<f64>,
    /// CAS on adversarial inputs.
    pub cas: Option<f64>,
    /// Signs that the robust accuracy is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

/// Maximum number of points in the small curve of a run.
pub const SPARK_POINTS: usize = 60;

/// `GET /api/runs`: one page of the list of runs.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunPage {
    /// The runs of this page, without those that this version of the server cannot read; `GET /api/run-rows`
    /// names them.
    pub runs: Vec<Run>,
    /// Number of matching runs on all pages.
    pub total: u32,
}

/// `GET /api/runs/{id}/records`: a run and its new records since an earlier request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunRecords {
    /// The run.
    pub run: Run,
    /// Its new records, in their order.
    pub records: Vec<Record>,
    /// Number of lines among them that are no records.
    #[serde(default)]
    pub left_out: u32,
    /// Value for `after` in the next request.
    pub next: String,
    /// Whether more records are available now.
    pub more: bool,
    /// Problems that need attention, in sentences, such as a full disk or a database that cannot be written.
    pub problems: Vec<String>,
}

/// `GET /api/changes`: one event of the stream, with the runs changed since the previous event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunChanges {
    /// False if the given cursor belongs to another database: any run may have changed.
    pub complete: bool,
    /// Ids of the changed runs.
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
    /// Ids of the deleted runs.
    #[schema(value_type = Vec<String>)]
    pub deleted: Vec<RunId>,
}

/// `PATCH /api/runs/{id}`: changes the title, tags or notes of a run. Absent fields keep their values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunChange {
    /// New title, 1 to 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// New tags, at most 12, each of 1 to 32 characters without commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// New notes, at most 4000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl Run {
    /// Number of classes of the network, from the worker's records or else from the data set.
    pub fn classes(&self) -> Option<u32> {
        self.summary.classes.or_else(|| self.config.data()?.dataset.info().classes)
    }
}

impl RunState {
    pub const ALL: [RunState; 6] =
        [RunState::Queued, RunState::Running, RunState::Paused, RunState::Succeeded, RunState::Failed, RunState::Canceled];

    pub fn id(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Canceled => "canceled",
        }
    }

    /// Whether the run can go back to the queue.
    pub fn is_resumable(self) -> bool {
        matches!(self, RunState::Paused | RunState::Failed | RunState::Canceled)
    }

    /// Whether a worker may run or is awaited.
    pub fn is_active(self) -> bool {
        matches!(self, RunState::Queued | RunState::Running)
    }

    pub fn is_finished(self) -> bool {
        matches!(self, RunState::Succeeded | RunState::Failed | RunState::Canceled)
    }
}

/// A value of the last checkpoint minus that of the best.
pub(super) fn change(
    best: &Option<EpochSummary>,
    last: &Option<EpochSummary>,
    value: impl Fn(&EpochSummary) -> Option<f64>,
) -> Option<f64> {
    Some(value(last.as_ref()?)? - value(best.as_ref()?)?)
}

impl RunSummary {
    /// How configurations name the best and the last checkpoint: once if they are the same, and not at all before
    /// there is one.
    pub fn best_and_last(&self) -> Vec<Which> {
        match (&self.best, &self.last) {
            (Some(best), Some(last)) if best.epoch != last.epoch => vec![Which::Best, Which::Last],
            (_, Some(_)) => vec![Which::Last],
            _ => Vec::new(),
        }
    }

    /// CAS of the last checkpoint minus CAS of the best.
    pub fn delta_cas(&self) -> Option<f64> {
        change(&self.best, &self.last, |epoch| epoch.cas)
    }

    /// Summarizes the records of a run. `epochs`: planned epochs, 0 if the run does not train.
    pub fn of(metrics: &Metrics, epochs: u32) -> Self {
        let summary = |epoch: &crate::record::Epoch| EpochSummary {
            epoch: epoch.epoch,
            clean_accuracy: epoch.test_clean_accuracy,
            robust_accuracy: epoch.test_robust_accuracy,
            cas: metrics.cas(epoch.epoch, Inputs::Adversarial),
            signs: signs::of_epoch(epoch),
        };
        let robust: Vec<f64> = metrics.epochs.iter().filter_map(|epoch| epoch.test_robust_accuracy).collect();
        let stride = robust.len().div_ceil(SPARK_POINTS).max(1);
        RunSummary {
            epoch: metrics.epochs.last().map_or(0, |epoch| epoch.epoch),
            epochs,
            fraction_done: metrics.fraction_done(),
            seconds_left: metrics.seconds_left(),
            best: metrics.best().map(summary),
            last: metrics.last().map(summary),
            best_by_test: metrics.best_by_test().map(summary),
            // Sample from the end so that the newest point is always included.
            spark: robust.iter().rev().step_by(stride).rev().copied().collect(),
            evaluation: metrics.evaluation.clone(),
            cas: metrics.attributions.first().filter(|_| epochs == 0).map(|entry| entry.cas),
            broke_down: metrics
                .all_notices()
                .iter()
                .find(|notice| notice.kind == NoticeKind::TrainingBrokeDown)
                .and_then(|notice| notice.epoch),
            classes: metrics.started.as_ref().and_then(|started| u32::try_from(started.class_names.len()).ok()).filter(|count| *count > 0),
            disk_bytes: None,
        }
    }
}
