//! The queue of each device and estimated finish times.

use serde::{Deserialize, Serialize};

use super::RunRow;

/// `POST /api/runs/{id}/move`: moves a queued run among the runs that wait for the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueMove {
    /// Place to move the run to.
    pub to: QueuePlace,
}

/// A place in the queue, relative to the other runs of the device.
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

/// `GET /api/queue`: running and queued runs of each device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Queue {
    /// True if nothing starts, because a person wants it so; runs that run go on.
    pub paused: bool,
    /// One queue for each device that runs use or that the worker has.
    pub devices: Vec<DeviceQueue>,
}

/// `PATCH /api/queue`: pauses the queue, or lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// True to start nothing more; runs that run go on.
    pub paused: bool,
}

/// The queue of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeviceQueue {
    /// Name of the device, such as `cpu` or `cuda:0`.
    pub device: String,
    /// Product name of the device; absent if this machine does not have it.
    pub name: Option<String>,
    /// How many runs it runs at once.
    pub at_once: u32,
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
