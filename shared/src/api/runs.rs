//! Runs with their configurations, and what they have recorded.

use serde::{Deserialize, Serialize};

use crate::config::{Inputs, RunConfig};
use crate::record::{EvaluationStep, Metrics, NoticeKind, Record};

/// A run without its curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    pub id: String,
    pub title: String,
    pub state: RunState,
    pub config: RunConfig,
    /// RFC 3339, UTC, as are the ones below.
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Runs that start before this one, for a queued run.
    pub queue_position: Option<u32>,
    /// Why the run failed, in a sentence; the log has the story.
    pub failure: Option<String>,
    /// A cancel was asked for, and the worker is saving.
    pub canceling: bool,
    /// Words of one's own to find the run by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What a person wrote about the run.
    #[serde(default)]
    pub notes: String,
    pub summary: RunSummary,
}

/// The state of a run. A finished run never changes state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

/// The numbers of a run that tables show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    pub epoch: u32,
    pub epochs: u32,
    /// In `[0, 1]`.
    pub fraction_done: f64,
    pub seconds_left: Option<f64>,
    pub best: Option<EpochSummary>,
    pub last: Option<EpochSummary>,
    /// Robust test accuracy over epochs, at most `SPARK_POINTS` of them.
    pub spark: Vec<f64>,
    /// What an evaluation has found so far, the weakest number last.
    #[serde(default)]
    pub evaluation: Vec<EvaluationStep>,
    /// CAS of the matrix that an attribution run has measured, adversarial before clean.
    #[serde(default)]
    pub cas: Option<f64>,
    /// The epoch that showed that training had broken down.
    #[serde(default)]
    pub broke_down: Option<u32>,
    /// Classes that the network tells apart, once the worker has said so.
    #[serde(default)]
    pub classes: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochSummary {
    pub epoch: u32,
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    /// Of adversarial inputs.
    pub cas: Option<f64>,
}

/// Points of the small curve of a run.
pub const SPARK_POINTS: usize = 60;

/// `GET /api/runs`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunPage {
    pub runs: Vec<Run>,
    /// Runs that match, on this page or not.
    pub total: u32,
}

/// `GET /api/runs/{id}/records`: a run, and what it has recorded since the last look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRecords {
    pub run: Run,
    pub records: Vec<Record>,
    /// What to give as `after` at the next look.
    pub next: String,
    /// Whether more was recorded already.
    pub more: bool,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    pub problems: Vec<String>,
}

/// `GET /api/changes`: an event of the stream, the runs that have changed since the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunChanges {
    /// False where the cursor that was given is of another database: any run may have changed.
    pub complete: bool,
    pub runs: Vec<String>,
    pub deleted: Vec<String>,
}

/// `PATCH /api/runs/{id}`: what a person calls a run and says of it. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunChange {
    /// 1 to 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 12, of 1 to 32 characters without commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 4000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl Run {
    /// Classes that the network tells apart: as its worker said, else as its data set has them.
    pub fn classes(&self) -> Option<u32> {
        self.summary.classes.or_else(|| self.config.data()?.dataset.info().classes)
    }
}

impl RunState {
    pub const ALL: [RunState; 5] = [RunState::Queued, RunState::Running, RunState::Succeeded, RunState::Failed, RunState::Canceled];

    pub fn id(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Canceled => "canceled",
        }
    }

    pub fn is_finished(self) -> bool {
        matches!(self, RunState::Succeeded | RunState::Failed | RunState::Canceled)
    }
}

impl RunSummary {
    /// Sums up a run of `epochs` epochs.
    pub fn of(metrics: &Metrics, epochs: u32) -> Self {
        let summary = |epoch: &crate::record::Epoch| EpochSummary {
            epoch: epoch.epoch,
            clean_accuracy: epoch.test_clean_accuracy,
            robust_accuracy: epoch.test_robust_accuracy,
            cas: metrics.cas(epoch.epoch, Inputs::Adversarial),
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
            // From the end, so that the newest point is always among them.
            spark: robust.iter().rev().step_by(stride).rev().copied().collect(),
            evaluation: metrics.evaluation.clone(),
            cas: metrics.attributions.first().filter(|_| epochs == 0).map(|entry| entry.cas),
            broke_down: metrics
                .all_notices()
                .iter()
                .find(|notice| notice.kind == NoticeKind::TrainingBrokeDown)
                .and_then(|notice| notice.epoch),
            classes: metrics.started.as_ref().and_then(|started| u32::try_from(started.class_names.len()).ok()).filter(|count| *count > 0),
        }
    }
}
