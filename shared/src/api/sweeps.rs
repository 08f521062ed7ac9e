//! Runs for every combination of values.

use serde::{Deserialize, Serialize};

use super::Run;

/// `POST /api/sweeps`: a run for every combination of values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSweep {
    /// Letters and digits of it become the name in the address, at most 40 of them; empty: named after the fields.
    #[serde(default)]
    pub name: String,
    /// The training run that is varied.
    pub config: serde_json::Value,
    pub axes: Vec<SweepAxis>,
}

/// A field of a configuration and the values it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SweepAxis {
    /// The dotted path, `attack.eps`.
    pub field: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub values: Vec<serde_json::Value>,
}

/// `GET /api/sweeps`: a sweep without its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SweepSummary {
    pub id: String,
    /// What the titles of its runs begin with.
    pub title: String,
    pub created_at: String,
    pub axes: Vec<SweepAxis>,
    pub runs: u32,
    pub queued: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub canceled: u32,
    /// The highest best robust accuracy of its runs.
    pub best_robust_accuracy: Option<f64>,
    /// The highest CAS / K(K−1) of the best checkpoints of its runs.
    pub best_cas_normalized: Option<f64>,
}

/// `GET /api/sweeps/{id}`: the runs whose configuration says that they are part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sweep {
    /// As the field `sweep` of their configurations has it.
    pub id: String,
    /// What the titles of its runs begin with.
    pub title: String,
    /// Of the first run.
    pub created_at: String,
    /// The fields in which the runs differ.
    pub axes: Vec<SweepAxis>,
    /// The oldest first.
    pub runs: Vec<Run>,
}
