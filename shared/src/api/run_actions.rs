//! The same thing done to many runs.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// `POST /api/run-actions`: the same thing done to many runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunActions {
    pub action: RunAction,
    /// Names of 1 to 1000 runs.
    pub ids: Vec<String>,
    /// For `tag`: tags that each run gets beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// For `tag`: tags that each run loses if it has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
}

/// What can be done to many runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunAction {
    /// As `POST /api/runs/{id}/cancel`. No other run of the list starts meanwhile.
    Cancel,
    /// As `POST /api/runs/{id}/resume`.
    Resume,
    /// As `DELETE /api/runs/{id}`.
    Delete,
    /// Adds and removes tags.
    Tag,
}

impl RunActions {
    /// The most runs of one request.
    pub const MOST: usize = 1000;
}

/// What became of the runs of a `RunActions`, in the order of its `ids`, each run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunActionsAnswer {
    pub outcomes: Vec<RunOutcome>,
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunOutcome {
    pub id: String,
    /// Why nothing was done to this run; absent where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
