//! One action on many runs.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// `POST /api/run-actions`: applies one action to many runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunActions {
    /// The action.
    pub action: RunAction,
    /// Names of 1 to 1000 runs. A text that names no run gets an outcome like any other.
    pub ids: Vec<String>,
    /// For `tag`: tags to add to each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// For `tag`: tags to remove from each run, if present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
}

/// An action that can be applied to many runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunAction {
    /// As `POST /api/runs/{id}/cancel`. No other run of the list starts before all are canceled.
    Cancel,
    /// As `POST /api/runs/{id}/pause`. No other run of the list starts before all are paused.
    Pause,
    /// As `POST /api/runs/{id}/resume`.
    Resume,
    /// As `DELETE /api/runs/{id}`: moves runs to the trash.
    Delete,
    /// As `POST /api/runs/{id}/restore`.
    Restore,
    /// As `DELETE /api/runs/{id}?for_good=true`.
    DeleteForGood,
    /// Adds and removes tags.
    Tag,
}

impl RunActions {
    /// Maximum number of runs in one request.
    pub const MOST: usize = 1000;
}

/// Results of a `RunActions`, in the order of its `ids`; each run appears once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunActionsAnswer {
    /// One result for each run.
    pub outcomes: Vec<RunOutcome>,
}

/// Result of the action for one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunOutcome {
    /// The run, as the request names it.
    pub id: String,
    /// Why the action failed for this run; absent if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
