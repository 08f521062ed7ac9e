//! Runs in short, as tables have them.

use serde::{Deserialize, Serialize};

use super::{EpochSummary, Run, RunState};
use crate::config::{Architecture, Method, Norm, RunKind};
use crate::dataset::Dataset;
use crate::eps::Eps;

/// A run as tables have it: what columns show and filters look at, without its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRow {
    pub id: String,
    pub title: String,
    pub kind: RunKind,
    pub state: RunState,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceling: bool,
    pub created_at: String,
    /// What the run waits for or has run on: `cpu`, `cuda:0`.
    pub device: String,
    /// Queued runs of a device start by rising place.
    pub place: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Dataset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Of the attack trained against, or measured with where the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub eps: Option<Eps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    pub epoch: u32,
    pub epochs: u32,
    /// In `[0, 1]`.
    pub fraction_done: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<EpochSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EpochSummary>,
    /// Robust test accuracy over epochs in thousandths, at most `ROW_SPARK_POINTS` of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spark: Vec<u16>,
    /// The accuracies that an evaluation has found so far: clean, and after every attack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluation: Vec<f64>,
    /// CAS of the matrix that an attribution run has measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<f64>,
    /// The epoch that showed that training had broken down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_down: Option<u32>,
    /// Classes that the network tells apart; absent where nothing says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u32>,
}

/// `GET /api/run-rows`: every run, or what has changed since an earlier answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRows {
    /// To be given as `since` the next time.
    pub cursor: String,
    /// These are all runs, in place of whatever was known.
    pub complete: bool,
    pub rows: Vec<RunRow>,
    /// Names of runs that have been deleted.
    pub deleted: Vec<String>,
}

/// Points of the small curve in a row of thousands.
pub const ROW_SPARK_POINTS: usize = 30;

impl RunRow {
    /// A run in short; `device` and `place` are the queue's.
    pub fn of(run: Run, device: String, place: i64) -> Self {
        let classes = run.classes();
        let Run { id, title, state, config, created_at, canceling, tags, notes, summary, .. } = run;
        let train = config.as_train();
        let attack = train.map(|train| (train.attack.norm, train.attack.eps));
        let (norm, eps) = attack.or_else(|| config.measuring_attack().map(|attack| (attack.norm, attack.eps))).unzip();
        let stride = summary.spark.len().div_ceil(ROW_SPARK_POINTS).max(1);
        let spark = summary.spark.iter().rev().step_by(stride).rev().map(|value| (value * 1000.0).round() as u16).collect();
        RunRow {
            kind: config.kind(),
            dataset: config.data().map(|data| data.dataset),
            method: train.map(|train| train.training.method),
            architecture: train.map(|train| train.model.architecture),
            norm,
            eps,
            seed: train.map(|train| train.seed),
            sweep: train.and_then(|train| train.sweep.clone()),
            id,
            title,
            state,
            canceling,
            created_at,
            device,
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
        }
    }

    /// CAS of the best checkpoint, or of the matrix that the run has measured, as a fraction of the K(K−1) pairs of classes.
    pub fn cas_normalized(&self) -> Option<f64> {
        per_pair(self.best.as_ref().and_then(|epoch| epoch.cas).or(self.cas)?, self.classes?)
    }

    /// Robust accuracy of the last checkpoint − that of the best, as a fraction.
    pub fn gap(&self) -> Option<f64> {
        self.change(|epoch| epoch.robust_accuracy)
    }

    /// CAS of the last checkpoint − CAS of the best.
    pub fn delta_cas(&self) -> Option<f64> {
        self.change(|epoch| epoch.cas)
    }

    fn change(&self, value: impl Fn(&EpochSummary) -> Option<f64>) -> Option<f64> {
        Some(value(self.last.as_ref()?)? - value(self.best.as_ref()?)?)
    }
}

/// CAS / K(K−1): CAS as a fraction of what it could be, which compares networks of different numbers of classes.
pub fn per_pair(cas: f64, classes: u32) -> Option<f64> {
    (classes > 1).then(|| cas / (f64::from(classes) * f64::from(classes - 1)))
}
