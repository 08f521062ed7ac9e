//! Existing checkpoints of a run.

use serde::{Deserialize, Serialize};

use crate::config::Inputs;
use crate::id::{AttributionId, CheckpointId, RunId};

/// `GET /api/runs/{id}/checkpoints`: an existing checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointInfo {
    /// Run and epoch, such as `RUN.e12`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: CheckpointId,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub run: RunId,
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
    /// Run, epoch and inputs, such as `RUN.e12.adversarial`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: AttributionId,
    pub inputs: Inputs,
    pub cas: f64,
    pub cas_normalized: f64,
}
