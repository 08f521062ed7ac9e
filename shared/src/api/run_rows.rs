//! Compact rows for tables of runs.

use serde::{Deserialize, Serialize};

use super::runs::change;
use super::{EpochSummary, Job, JobStanding, Run, RunState};
use crate::config::{Architecture, Method, Norm, RunKind};
use crate::dataset::Dataset;
use crate::eps::Eps;
use crate::id::{RunId, SweepId};
use crate::rundir::StopReason;

/// A run as a row of a table: the values of its columns and filters, without its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunRow {
    /// Id of the run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Title of the run.
    pub title: String,
    /// Kind of the run.
    pub kind: RunKind,
    /// State of the run.
    pub state: RunState,
    /// What the worker was asked for, while it saves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopReason>,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Lane the run waits for or ran on, such as `cpu`, `cuda:0` or one of the file of lanes.
    pub device: String,
    /// What the engine of the lane knows of it, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Sort key in the queue of the device: the run with the lowest value starts first.
    pub place: i64,
    /// Data set of the configuration; absent if the run uses the data of its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Dataset>,
    /// Training method; absent if the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Architecture; absent if the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Norm of the training attack, or of the measuring attack if the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Radius of the same attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub eps: Option<Eps>,
    /// Seed; absent if the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Id of the sweep the run belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sweep: Option<SweepId>,
    /// Free words to find the run by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Free text about the run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Last finished epoch; 0 before the first.
    pub epoch: u32,
    /// Number of epochs to train; 0 for a run that does not train.
    pub epochs: u32,
    /// Finished fraction of the run, in `[0, 1]`.
    pub fraction_done: f64,
    /// Estimated seconds until the run finishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The best epoch: the one with the highest selection accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<EpochSummary>,
    /// The last evaluated epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EpochSummary>,
    /// Robust test accuracy over the epochs, in thousandths; at most `ROW_SPARK_POINTS` values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spark: Vec<u16>,
    /// Accuracies found by an evaluation so far: clean, then after each attack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluation: Vec<f64>,
    /// CAS of the matrix measured by an attribution run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<f64>,
    /// Epoch at which a breakdown of training was detected; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_down: Option<u32>,
    /// Number of classes of the network; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u32>,
    /// Size of its files, measured when the run has ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// `GET /api/run-rows`: all runs, or the changes since an earlier response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunRows {
    /// Value for `since` in the next request.
    pub cursor: String,
    /// True if `rows` contains all runs: the client replaces its list.
    pub complete: bool,
    /// The rows.
    pub rows: Vec<RunRow>,
    /// Runs among them that this version of the server cannot read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableRun>,
    /// Names of deleted runs.
    #[schema(value_type = Vec<String>)]
    pub deleted: Vec<RunId>,
}

/// A run that this version of the server cannot read, for example one of a newer version. It can be deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnreadableRun {
    /// Id of the run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Title of the run.
    pub title: String,
    /// What cannot be read.
    pub message: String,
}

/// Maximum number of points in the small curve of a row.
pub const ROW_SPARK_POINTS: usize = 30;

impl RunRow {
    /// Makes the row of a run. The queue gives `device` and `place`.
    pub fn of(run: Run, device: String, place: i64) -> Self {
        let classes = run.classes();
        let Run { id, title, state, config, created_at, stopping, tags, notes, summary, job, .. } = run;
        let train = config.as_train();
        let threat = config.measuring_attack().map(|attack| attack.threat());
        let stride = summary.spark.len().div_ceil(ROW_SPARK_POINTS).max(1);
        let spark = summary.spark.iter().rev().step_by(stride).rev().map(|value| (value * 1000.0).round() as u16).collect();
        RunRow {
            kind: config.kind(),
            dataset: config.data().map(|data| data.dataset),
            method: train.map(|train| train.training.method),
            architecture: train.map(|train| train.model.architecture),
            norm: threat.map(|threat| threat.norm),
            eps: threat.map(|threat| threat.eps),
            seed: train.map(|train| train.seed),
            sweep: train.and_then(|train| train.sweep.clone()),
            id,
            title,
            state,
            stopping,
            created_at,
            device,
            job: job.filter(|job| job.standing != JobStanding::Over),
            place,
            tags,
            notes,
            epoch: summary.epoch,
            epochs: summary.epochs,
            fraction_done: summary.fraction_done,
            seconds_left: summary.seconds_left,
            best: summary.best,
            last: summary.last,
            spark,
            evaluation: summary.evaluation.iter().map(|step| step.accuracy).collect(),
            cas: summary.cas,
            broke_down: summary.broke_down,
            classes,
            disk_bytes: summary.disk_bytes,
        }
    }

    /// CAS / K(K−1) of the best checkpoint, or of the matrix measured by the run.
    pub fn cas_normalized(&self) -> Option<f64> {
        per_pair(self.best.as_ref().and_then(|epoch| epoch.cas).or(self.cas)?, self.classes?)
    }

    /// Robust accuracy of the last checkpoint minus that of the best, a fraction.
    pub fn gap(&self) -> Option<f64> {
        change(&self.best, &self.last, |epoch| epoch.robust_accuracy)
    }

    /// CAS of the last checkpoint minus CAS of the best.
    pub fn delta_cas(&self) -> Option<f64> {
        change(&self.best, &self.last, |epoch| epoch.cas)
    }
}

/// CAS / K(K−1), in `[0, 1]`: comparable between networks with different numbers of classes.
pub fn per_pair(cas: f64, classes: u32) -> Option<f64> {
    (classes > 1).then(|| cas / (f64::from(classes) * f64::from(classes - 1)))
}
