//! The queue of each lane and estimated finish times.

use serde::{Deserialize, Serialize};

use super::{LaneKind, RunRow};

/// `POST /api/runs/{id}/move`: moves a queued run among the runs that wait for the same lane, or to another lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueMove {
    /// Place to move the run to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<QueuePlace>,
    /// Lane to move the run to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
}

/// A place in the queue, relative to the other runs of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuePlace {
    /// One place forward: before the run that is now before it.
    Up,
    /// One place back: after the run that is now after it.
    Down,
    /// Before all runs that wait.
    Front,
}

/// `GET /api/queue`: running and queued runs of each lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Queue {
    /// True if nothing starts, because a person wants it so; runs that run go on.
    pub paused: bool,
    /// One queue for each lane, and for each that runs wait for though there is none.
    pub devices: Vec<DeviceQueue>,
}

/// `PATCH /api/queue`: pauses the queue, or lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// True to start nothing more; runs that run go on.
    pub paused: bool,
}

/// The queue of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeviceQueue {
    /// Name of the lane, such as `cpu`, `cuda:0` or one of the file of lanes.
    pub device: String,
    /// What it is: product name of the device, or what the lane offers; absent if there is no such lane.
    pub name: Option<String>,
    /// What starts workers there; absent if there is no such lane.
    pub kind: Option<LaneKind>,
    /// Why nothing can start there or be heard from there, in a sentence.
    pub trouble: Option<String>,
    /// How many runs it runs at once; absent if its engine decides.
    pub at_once: Option<u32>,
    /// Runs in their start order, the running ones first.
    pub runs: Vec<QueuedRun>,
}

/// A run in the queue and when it will finish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QueuedRun {
    /// The run.
    pub run: RunRow,
    /// Duration of the run from its start, or from now if it is running; absent if unknown.
    pub estimate: Option<Estimate>,
    /// Seconds until this run finishes, including the runs before it; absent if one of their estimates is
    /// absent.
    pub finishes_in_secs: Option<f64>,
}

/// An estimated duration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Estimate {
    /// Duration.
    pub seconds: f64,
    /// What the estimate is based on.
    pub basis: EstimateBasis,
}

/// What an estimate is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimateBasis {
    /// The speed of the run itself.
    Progress,
    /// The duration of earlier runs of the same kind of work on the same device.
    EarlierRuns,
    /// The speed of the device in earlier runs of other work.
    OtherRuns,
    /// A short measurement of the device.
    Measurement,
}
