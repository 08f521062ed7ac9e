//! Sweeps: one run for each combination of values.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::id::SweepId;

/// `POST /api/sweeps`: creates a run for each combination of values.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSweep {
    /// Name of the sweep. Its letters and digits, at most 40, become part of the id. Empty: named after the
    /// fields.
    #[serde(default)]
    pub name: String,
    /// Configuration of the training run to vary.
    pub config: serde_json::Value,
    /// Fields to vary; the last varies fastest.
    pub axes: Vec<SweepAxis>,
    /// How many of its runs may run at once; as many as its lane takes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

/// `PATCH /api/sweeps/{id}`: changes how many runs of a sweep may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepChange {
    /// How many of its runs may run at once; `null` for as many as its lane takes.
    pub at_once: Option<u32>,
}

/// A field of the configuration and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepAxis {
    /// Dotted path of the field, such as `attack.eps`.
    pub field: String,
    /// Values of the field.
    #[schema(value_type = Vec<Value>)]
    pub values: Vec<serde_json::Value>,
}

/// `GET /api/sweeps`: a sweep without its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SweepSummary {
    /// Id of the sweep.
    #[schema(value_type = String)]
    pub id: SweepId,
    /// Common beginning of the titles of its runs.
    pub title: String,
    /// Creation time of the first run.
    pub created_at: String,
    /// Fields in which the runs differ.
    pub axes: Vec<SweepAxis>,
    /// Number of runs.
    pub runs: u32,
    /// Number of queued runs.
    pub queued: u32,
    /// Number of running runs.
    pub running: u32,
    /// Number of paused runs.
    pub paused: u32,
    /// Number of succeeded runs.
    pub succeeded: u32,
    /// Number of failed runs.
    pub failed: u32,
    /// Number of canceled runs.
    pub canceled: u32,
    /// Highest best robust accuracy of its runs.
    pub best_robust_accuracy: Option<f64>,
    /// Highest CAS / K(K−1) among the best checkpoints of its runs.
    pub best_cas_normalized: Option<f64>,
}

/// `GET /api/sweeps/{id}`: a sweep and its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sweep {
    /// Value of the field `sweep` in the configurations of its runs.
    #[schema(value_type = String)]
    pub id: SweepId,
    /// Common beginning of the titles of its runs.
    pub title: String,
    /// Creation time of the first run.
    pub created_at: String,
    /// Fields in which the runs differ.
    pub axes: Vec<SweepAxis>,
    /// How many of its runs may run at once; absent if as many as its lane takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// The runs, oldest first.
    pub runs: Vec<Run>,
}
