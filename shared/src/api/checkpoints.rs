//! Existing checkpoints of a run.

use serde::{Deserialize, Serialize};

use crate::config::Inputs;
use crate::id::{AttributionId, CheckpointId, RunId};
use crate::signs::Sign;

/// `GET /api/runs/{id}/checkpoints`: an existing checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckpointInfo {
    /// Run and epoch, such as `RUN.e12`.
    #[schema(value_type = String)]
    pub id: CheckpointId,
    /// Id of the run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Epoch after which the checkpoint was saved.
    pub epoch: u32,
    /// Whether it has the highest selection accuracy of its run.
    pub is_best: bool,
    /// Whether it is the last evaluated one of its run.
    pub is_last: bool,
    /// Size of its file.
    pub size_bytes: u64,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Clean accuracy on the test set, a fraction; absent if not evaluated.
    pub clean_accuracy: Option<f64>,
    /// Robust accuracy on the test set, a fraction; absent if not evaluated.
    pub robust_accuracy: Option<f64>,
    /// Signs that `robust_accuracy` is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
    /// Its attribution matrices.
    pub attributions: Vec<AttributionSummary>,
}

/// An attribution matrix of a checkpoint, without the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttributionSummary {
    /// Run, epoch and inputs, such as `RUN.e12.adversarial`.
    #[schema(value_type = String)]
    pub id: AttributionId,
    /// Inputs that it was measured on.
    pub inputs: Inputs,
    /// Class attribution similarity.
    pub cas: f64,
    /// CAS / K(K−1).
    pub cas_normalized: f64,
}
