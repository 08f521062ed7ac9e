//! Checkpoints of a run that exist.

use serde::{Deserialize, Serialize};

use crate::config::Inputs;

/// `GET /api/runs/{id}/checkpoints`: a checkpoint that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointInfo {
    /// `RUN.e12`.
    pub id: String,
    pub run: String,
    pub epoch: u32,
    pub is_best: bool,
    pub is_last: bool,
    pub size_bytes: u64,
    pub sha256: String,
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    pub attributions: Vec<AttributionSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributionSummary {
    /// `RUN.e12.adversarial`.
    pub id: String,
    pub inputs: Inputs,
    pub cas: f64,
    pub cas_normalized: f64,
}
