//! The order in which runs start, and when they will have finished.

use serde::{Deserialize, Serialize};

use super::RunRow;

/// `POST /api/runs/{id}/move`: where a queued run goes among those that wait for the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct QueueMove {
    pub to: QueuePlace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueuePlace {
    /// Before the run that is before it.
    Up,
    /// After the run that is after it.
    Down,
    Front,
}

/// `GET /api/queue`: what runs and what waits, device by device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queue {
    pub devices: Vec<DeviceQueue>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceQueue {
    pub device: String,
    /// As its maker calls it; absent for a device that this machine does not have.
    pub name: Option<String>,
    /// In the order in which they start, the running one first.
    pub runs: Vec<QueuedRun>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueuedRun {
    pub run: RunRow,
    /// How long it will take from its start, or from now if it runs; absent where nothing tells.
    pub estimate: Option<Estimate>,
    /// Until it has finished, those before it included; absent where one of these estimates is.
    pub finishes_in_secs: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    pub seconds: f64,
    pub basis: EstimateBasis,
}

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EstimateBasis {
    /// The pace of the run itself.
    Progress,
    /// Earlier runs of the same work on the same device.
    EarlierRuns,
}
