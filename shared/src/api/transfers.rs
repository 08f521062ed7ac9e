//! Transfer matrices.

use serde::{Deserialize, Serialize};

use crate::record::Transfer;
use crate::signs::{Sign, of_transfer};

/// `GET /api/runs/{id}/transfer`: a transfer matrix, as far as it is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferMatrix {
    #[serde(flatten)]
    pub transfer: Transfer,
    /// Signs that an accuracy is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

impl TransferMatrix {
    pub fn of(transfer: Transfer) -> Self {
        TransferMatrix { signs: of_transfer(&transfer), transfer }
    }
}
