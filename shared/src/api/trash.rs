//! Deleted runs that can still be restored.

use serde::{Deserialize, Serialize};

use super::RunState;
use crate::config::RunKind;
use crate::id::{RunId, SweepId};

/// `GET /api/trash`: the deleted runs that can still be restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Trash {
    /// Number of days that a deleted run can be restored. 0: runs are deleted at once.
    pub days: u32,
    /// The runs, the last deleted first.
    pub runs: Vec<TrashedRun>,
}

/// A run in the trash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrashedRun {
    /// Id of the run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Title of the run.
    pub title: String,
    /// Kind of the run; absent if this version does not know it.
    pub kind: Option<RunKind>,
    /// State of the run, which it has again when it is restored.
    pub state: RunState,
    /// Id of the sweep the run belongs to.
    #[schema(value_type = Option<String>)]
    pub sweep: Option<SweepId>,
    /// Time at which it was deleted: RFC 3339, UTC.
    pub deleted_at: String,
    /// Time at which it is deleted for good.
    pub gone_at: String,
    /// Size of its files; absent until it has been measured.
    pub disk_bytes: Option<u64>,
}
