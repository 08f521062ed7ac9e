//! Disk space that runs take, and estimates of space and time.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EstimateBasis, SweepAxis};

/// Disk space by kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskUse {
    /// Weights and their descriptions.
    pub checkpoints_bytes: u64,
    /// Matrices.
    pub attributions_bytes: u64,
    /// State from which an unfinished run continues, and batches of an unfinished measurement.
    pub state_bytes: u64,
    /// Records, log, results, uploaded files and teachers.
    pub other_bytes: u64,
}

/// Estimated disk space of a training run, or of all runs of a sweep together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskEstimate {
    /// Number of checkpoints that are kept at the end.
    pub checkpoints: u32,
    /// Size of a checkpoint; of the largest one of a sweep.
    pub checkpoint_bytes: u64,
    /// Number of matrices that are kept at the end.
    pub matrices: u32,
    /// What is left at the end.
    pub leaves: DiskUse,
    /// Size of the state while a run is running; of the largest one of a sweep.
    pub state_bytes: u64,
    /// Most that is taken at any time. More than `leaves`, because a running run also keeps its state and a
    /// former best checkpoint.
    pub most_bytes: u64,
}

/// `POST /api/estimate`: a configuration that has not been submitted.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateRequest {
    /// Configuration of the run, as for `POST /api/runs`.
    pub config: Value,
    /// Fields to vary, as for `POST /api/sweeps`. Empty: one run.
    #[serde(default)]
    pub axes: Vec<SweepAxis>,
}

/// How long runs will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeEstimate {
    /// Duration of all these runs on the device, without the wait for it.
    pub seconds: f64,
    /// Device that they will run on, such as `cuda:0`.
    pub device: String,
    /// What this is based on.
    pub basis: EstimateBasis,
}

/// What a run will need, and whether it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunEstimate {
    /// Number of runs.
    pub runs: u32,
    /// Disk space of all these runs. Absent if they do not train, which takes little space, or if only the
    /// files of the data set tell the number of classes.
    pub disk: Option<DiskEstimate>,
    /// Time of all these runs. Absent if they are not alike enough to earlier runs and do not train, or if
    /// their device is unknown.
    pub time: Option<TimeEstimate>,
    /// What the running and queued runs are still expected to write.
    pub expected_bytes: u64,
    /// Free space where runs are kept.
    pub free_bytes: u64,
    /// Why the disk may not hold the runs, in a sentence; absent if it will.
    pub warning: Option<String>,
}

/// `GET /api/runs/{id}/disk`: the disk space that a run takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunDisk {
    /// Size of its files.
    pub used: DiskUse,
    /// Estimate for a training run that is queued or running; absent for other runs.
    pub estimate: Option<DiskEstimate>,
    /// Free space where runs are kept.
    pub free_bytes: u64,
    /// Why the disk may not hold what this run and those before it will write, in a sentence; absent if it will.
    pub warning: Option<String>,
}

impl DiskUse {
    pub fn total_bytes(&self) -> u64 {
        let DiskUse { checkpoints_bytes, attributions_bytes, state_bytes, other_bytes } = self;
        checkpoints_bytes + attributions_bytes + state_bytes + other_bytes
    }
}

impl DiskEstimate {
    /// This estimate and that of another run, which runs before or after it.
    pub fn and(self, other: &DiskEstimate) -> DiskEstimate {
        let beyond = |estimate: &DiskEstimate| estimate.most_bytes - estimate.leaves.total_bytes();
        let beyond = beyond(&self).max(beyond(other));
        let leaves = DiskUse {
            checkpoints_bytes: self.leaves.checkpoints_bytes + other.leaves.checkpoints_bytes,
            attributions_bytes: self.leaves.attributions_bytes + other.leaves.attributions_bytes,
            state_bytes: self.leaves.state_bytes + other.leaves.state_bytes,
            other_bytes: self.leaves.other_bytes + other.leaves.other_bytes,
        };
        DiskEstimate {
            checkpoints: self.checkpoints + other.checkpoints,
            checkpoint_bytes: self.checkpoint_bytes.max(other.checkpoint_bytes),
            matrices: self.matrices + other.matrices,
            leaves,
            state_bytes: self.state_bytes.max(other.state_bytes),
            most_bytes: leaves.total_bytes() + beyond,
        }
    }
}
