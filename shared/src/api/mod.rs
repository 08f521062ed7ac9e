//! Request and response bodies of the HTTP API, by resource.

mod attributions;
mod checkpoints;
mod comparisons;
mod datasets;
mod evaluations;
mod pairs;
mod queue;
mod run_actions;
mod run_rows;
mod runs;
mod saliency;
mod shares;
mod sweeps;
mod system;

pub use attributions::{AttackUsed, Attribution, AttributionContext, AttributionFile, Bootstrap, EpochCell};
pub use checkpoints::{AttributionSummary, CheckpointInfo};
pub use comparisons::{Comparison, Difference, OtherClasses, RankedPair};
pub use datasets::{DatasetFiles, DatasetFolder, DatasetStatus, DatasetSummary, DownloadOffer, DownloadStep, SampleImage, SplitSummary};
pub use evaluations::EvaluationFile;
pub use pairs::{DrivingImage, LeaveOut, MeasuredPair, Overlap, PairAccuracy, PairFile, Perturbation, SharedDimension};
pub use queue::{DeviceQueue, Estimate, EstimateBasis, Queue, QueueMove, QueuePlace, QueuedRun};
pub use run_actions::{RunAction, RunActions, RunActionsAnswer, RunOutcome};
pub use run_rows::{ROW_SPARK_POINTS, RunRow, RunRows, per_pair};
pub use runs::{EpochSummary, Run, RunChange, RunChanges, RunPage, RunRecords, RunState, RunSummary, SPARK_POINTS};
pub use saliency::{SaliencyFile, SaliencyMap, SaliencySample};
pub use shares::{NewShare, Share, SharedContent, SharedView};
pub use sweeps::{NewSweep, Sweep, SweepAxis, SweepSummary};
pub use system::{Device, Health, Memory, Probe, Storage, System, WorkerStatus};
