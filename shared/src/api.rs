//! The bodies of the HTTP API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Aggregation, Architecture, Inputs, Layer, Method, Norm, RunConfig, RunKind, SplitName, Subset};
use crate::dataset::{Dataset, DatasetInfo, PassedOver};
use crate::eps::Eps;
use crate::matrix::{Matrix, PairChange};
use crate::problem::Problem;
use crate::record::{EvaluationStep, Metrics, NoticeKind, Record};
use crate::view::CheckpointId;

/// `GET /api/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    pub version: String,
    pub worker: WorkerStatus,
    pub queued: u32,
    pub running: u32,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Whether training can run here, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// The worker is being asked; takes a few seconds after the server's start.
    Starting,
    Ready(Probe),
    /// The worker could not be started or could not load libtorch; says why.
    Broken {
        message: String,
    },
}

/// What `worker --probe` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probe {
    pub engine: String,
    pub libtorch: String,
    pub devices: Vec<Device>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// As in a configuration: `cpu`, `cuda:0`.
    pub id: String,
    pub name: String,
    /// Of a GPU, all of it; absent for the CPU, which takes the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// `GET /api/system`: the server, the machine it runs on, and what it keeps there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct System {
    pub version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub uptime_secs: u64,
    /// The operating system and its processors, `Linux x86_64`.
    pub platform: String,
    pub processors: u32,
    pub memory: Memory,
    pub worker: WorkerStatus,
    /// The path of the program that trains.
    pub worker_program: String,
    pub storage: Storage,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The machine's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs could still take.
    pub available_bytes: u64,
}

/// Where the server keeps things, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Storage {
    pub data_dir: String,
    pub datasets_dir: String,
    /// Run directories, of runs in whatever state.
    pub runs: u32,
    pub runs_bytes: u64,
    /// Of the file system that holds the data folder.
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// `GET /api/datasets`: a data set, and what is known of its files on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetStatus {
    #[serde(flatten)]
    pub info: DatasetInfo,
    pub files: DatasetFiles,
    /// Where the server can get the files by itself; absent where nobody publishes them.
    pub download: Option<DownloadOffer>,
}

/// Where the files of a data set are. Only `embedded`, `generated` and `ready` can be used at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DatasetFiles {
    Embedded,
    Generated,
    /// The folder holds every file that the layout needs; runs that name no folder take this one.
    Ready {
        path: String,
        /// Somebody pointed to it; otherwise it is the server's own.
        pointed: bool,
    },
    Missing {
        /// What an earlier download has left to go on from.
        partial_bytes: u64,
        /// Why the last download ended, where it did not end well.
        problem: Option<String>,
    },
    Downloading {
        step: DownloadStep,
        /// Of `step`.
        bytes: u64,
        total_bytes: Option<u64>,
        /// Whether a download that is stopped can go on where it was.
        resumable: bool,
    },
    /// The folder is known and is not, or no longer, what it should be.
    Broken {
        path: String,
        message: String,
        pointed: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadStep {
    Receiving,
    /// The published checksum.
    Verifying,
    Unpacking,
}

/// Files that a data set's authors publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DownloadOffer {
    pub urls: Vec<String>,
    /// As published; of all files.
    pub size_bytes: u64,
    /// Whether the authors or the field publish a checksum to hold the files to.
    pub verified: bool,
}

/// `PUT /api/datasets/{id}/folder`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DatasetFolder {
    /// An absolute path on the server.
    pub path: String,
}

/// `GET /api/datasets/{id}/summary`: what the files hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetSummary {
    pub class_names: Vec<String>,
    pub splits: Vec<SplitSummary>,
    /// What lies in the folder and is not read, by kind.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
}

/// One part of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SplitSummary {
    pub split: SplitName,
    pub class_counts: Vec<u32>,
    /// The first image of classes spread evenly; none for generated data.
    pub samples: Vec<SampleImage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleImage {
    pub label: u32,
    /// A PNG file in base64.
    pub png: String,
}

impl DatasetFiles {
    /// Whether runs can use the data set without naming a folder.
    pub fn are_ready(&self) -> bool {
        matches!(self, DatasetFiles::Embedded | DatasetFiles::Generated | DatasetFiles::Ready { .. })
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            DatasetFiles::Ready { path, .. } | DatasetFiles::Broken { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// The state of a run. A finished run never changes state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl RunState {
    pub const ALL: [RunState; 5] = [RunState::Queued, RunState::Running, RunState::Succeeded, RunState::Failed, RunState::Canceled];

    pub fn id(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Canceled => "canceled",
        }
    }

    pub fn is_finished(self) -> bool {
        matches!(self, RunState::Succeeded | RunState::Failed | RunState::Canceled)
    }
}

/// A run without its curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    pub id: String,
    pub title: String,
    pub state: RunState,
    pub config: RunConfig,
    /// RFC 3339, UTC, as are the ones below.
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Runs that start before this one, for a queued run.
    pub queue_position: Option<u32>,
    /// Why the run failed, in a sentence; the log has the story.
    pub failure: Option<String>,
    /// A cancel was asked for, and the worker is saving.
    pub canceling: bool,
    /// Words of one's own to find the run by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What a person wrote about the run.
    #[serde(default)]
    pub notes: String,
    pub summary: RunSummary,
}

/// `GET /api/changes`: an event of the stream, the runs that have changed since the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunChanges {
    /// False where the cursor that was given is of another database: any run may have changed.
    pub complete: bool,
    pub runs: Vec<String>,
    pub deleted: Vec<String>,
}

/// `GET /api/runs/{id}/records`: a run, and what it has recorded since the last look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRecords {
    pub run: Run,
    pub records: Vec<Record>,
    /// What to give as `after` at the next look.
    pub next: String,
    /// Whether more was recorded already.
    pub more: bool,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    pub problems: Vec<String>,
}

/// `PATCH /api/runs/{id}`: what a person calls a run and says of it. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunChange {
    /// 1 to 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 12, of 1 to 32 characters without commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 4000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

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

/// A run as tables have it: what columns show and filters look at, without its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRow {
    pub id: String,
    pub title: String,
    pub kind: RunKind,
    pub state: RunState,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceling: bool,
    pub created_at: String,
    /// What the run waits for or has run on: `cpu`, `cuda:0`.
    pub device: String,
    /// Queued runs of a device start by rising place.
    pub place: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Dataset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Of the attack trained against, or measured with where the run does not train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub eps: Option<Eps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    pub epoch: u32,
    pub epochs: u32,
    /// In `[0, 1]`.
    pub fraction_done: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<EpochSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EpochSummary>,
    /// Robust test accuracy over epochs in thousandths, at most `ROW_SPARK_POINTS` of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spark: Vec<u16>,
    /// The accuracies that an evaluation has found so far: clean, and after every attack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluation: Vec<f64>,
    /// CAS of the matrix that an attribution run has measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<f64>,
    /// The epoch that showed that training had broken down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_down: Option<u32>,
    /// Classes that the network tells apart; absent where nothing says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u32>,
}

/// `GET /api/run-rows`: every run, or what has changed since an earlier answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRows {
    /// To be given as `since` the next time.
    pub cursor: String,
    /// These are all runs, in place of whatever was known.
    pub complete: bool,
    pub rows: Vec<RunRow>,
    /// Names of runs that have been deleted.
    pub deleted: Vec<String>,
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

/// The numbers of a run that tables show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    pub epoch: u32,
    pub epochs: u32,
    /// In `[0, 1]`.
    pub fraction_done: f64,
    pub seconds_left: Option<f64>,
    pub best: Option<EpochSummary>,
    pub last: Option<EpochSummary>,
    /// Robust test accuracy over epochs, at most `SPARK_POINTS` of them.
    pub spark: Vec<f64>,
    /// What an evaluation has found so far, the weakest number last.
    #[serde(default)]
    pub evaluation: Vec<EvaluationStep>,
    /// CAS of the matrix that an attribution run has measured, adversarial before clean.
    #[serde(default)]
    pub cas: Option<f64>,
    /// The epoch that showed that training had broken down.
    #[serde(default)]
    pub broke_down: Option<u32>,
    /// Classes that the network tells apart, once the worker has said so.
    #[serde(default)]
    pub classes: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochSummary {
    pub epoch: u32,
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    /// Of adversarial inputs.
    pub cas: Option<f64>,
}

/// Points of the small curve of a run.
pub const SPARK_POINTS: usize = 60;
/// Points of the small curve in a row of thousands.
pub const ROW_SPARK_POINTS: usize = 30;

impl RunSummary {
    /// Sums up a run of `epochs` epochs.
    pub fn of(metrics: &Metrics, epochs: u32) -> Self {
        let summary = |epoch: &crate::record::Epoch| EpochSummary {
            epoch: epoch.epoch,
            clean_accuracy: epoch.test_clean_accuracy,
            robust_accuracy: epoch.test_robust_accuracy,
            cas: metrics.cas(epoch.epoch, Inputs::Adversarial),
        };
        let robust: Vec<f64> = metrics.epochs.iter().filter_map(|epoch| epoch.test_robust_accuracy).collect();
        let stride = robust.len().div_ceil(SPARK_POINTS).max(1);
        RunSummary {
            epoch: metrics.epochs.last().map_or(0, |epoch| epoch.epoch),
            epochs,
            fraction_done: metrics.fraction_done(),
            seconds_left: metrics.seconds_left(),
            best: metrics.best().map(summary),
            last: metrics.last().map(summary),
            // From the end, so that the newest point is always among them.
            spark: robust.iter().rev().step_by(stride).rev().copied().collect(),
            evaluation: metrics.evaluation.clone(),
            cas: metrics.attributions.first().filter(|_| epochs == 0).map(|entry| entry.cas),
            broke_down: metrics
                .all_notices()
                .iter()
                .find(|notice| notice.kind == NoticeKind::TrainingBrokeDown)
                .and_then(|notice| notice.epoch),
            classes: metrics.started.as_ref().and_then(|started| u32::try_from(started.class_names.len()).ok()).filter(|count| *count > 0),
        }
    }
}

/// CAS / K(K−1): CAS as a fraction of what it could be, which compares networks of different numbers of classes.
pub fn per_pair(cas: f64, classes: u32) -> Option<f64> {
    (classes > 1).then(|| cas / (f64::from(classes) * f64::from(classes - 1)))
}

impl Run {
    /// Classes that the network tells apart: as its worker said, else as its data set has them.
    pub fn classes(&self) -> Option<u32> {
        self.summary.classes.or_else(|| self.config.data()?.dataset.info().classes)
    }
}

impl RunRow {
    /// A run in short; `device` and `place` are the queue's.
    pub fn of(run: Run, device: String, place: i64) -> Self {
        let classes = run.classes();
        let Run { id, title, state, config, created_at, canceling, tags, notes, summary, .. } = run;
        let train = config.as_train();
        let attack = train.map(|train| (train.attack.norm, train.attack.eps));
        let (norm, eps) = attack.or_else(|| config.measuring_attack().map(|attack| (attack.norm, attack.eps))).unzip();
        let stride = summary.spark.len().div_ceil(ROW_SPARK_POINTS).max(1);
        let spark = summary.spark.iter().rev().step_by(stride).rev().map(|value| (value * 1000.0).round() as u16).collect();
        RunRow {
            kind: config.kind(),
            dataset: config.data().map(|data| data.dataset),
            method: train.map(|train| train.training.method),
            architecture: train.map(|train| train.model.architecture),
            norm,
            eps,
            seed: train.map(|train| train.seed),
            sweep: train.and_then(|train| train.sweep.clone()),
            id,
            title,
            state,
            canceling,
            created_at,
            device,
            place,
            tags,
            notes,
            epoch: summary.epoch,
            epochs: summary.epochs,
            fraction_done: summary.fraction_done,
            seconds_left: summary.seconds_left,
            best: summary.best,
            last: summary.last,
            spark,
            evaluation: summary.evaluation.iter().map(|step| step.accuracy).collect(),
            cas: summary.cas,
            broke_down: summary.broke_down,
            classes,
        }
    }

    /// CAS of the best checkpoint, or of the matrix that the run has measured, as a fraction of the K(K−1) pairs of classes.
    pub fn cas_normalized(&self) -> Option<f64> {
        per_pair(self.best.as_ref().and_then(|epoch| epoch.cas).or(self.cas)?, self.classes?)
    }

    /// Robust accuracy of the last checkpoint − that of the best, as a fraction.
    pub fn gap(&self) -> Option<f64> {
        self.change(|epoch| epoch.robust_accuracy)
    }

    /// CAS of the last checkpoint − CAS of the best.
    pub fn delta_cas(&self) -> Option<f64> {
        self.change(|epoch| epoch.cas)
    }

    fn change(&self, value: impl Fn(&EpochSummary) -> Option<f64>) -> Option<f64> {
        Some(value(self.last.as_ref()?)? - value(self.best.as_ref()?)?)
    }
}

/// `GET /api/runs`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunPage {
    pub runs: Vec<Run>,
    /// Runs that match, on this page or not.
    pub total: u32,
}

/// `GET /api/runs/{id}/checkpoints`: a checkpoint that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointInfo {
    /// `RUN.e12`.
    pub id: String,
    pub run: String,
    pub epoch: u32,
    pub is_best: bool,
    pub is_last: bool,
    pub size_bytes: u64,
    pub sha256: String,
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    pub attributions: Vec<AttributionSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributionSummary {
    /// `RUN.e12.adversarial`.
    pub id: String,
    pub inputs: Inputs,
    pub cas: f64,
    pub cas_normalized: f64,
}

/// A class-wise attribution matrix with everything needed to trust it: the content of `attributions/*.json` in a run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributionFile {
    pub epoch: u32,
    pub inputs: Inputs,
    /// The attack the inputs were made with; absent for clean inputs.
    pub attack: Option<AttackUsed>,
    pub class_names: Vec<String>,
    /// Samples of each class that were averaged.
    pub class_counts: Vec<u32>,
    #[serde(default)]
    pub split: SplitName,
    #[serde(default)]
    pub aggregation: Aggregation,
    #[serde(default)]
    pub subset: Subset,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub layer: Layer,
    /// The checkpoint it is of where that is another run's, `RUN.e12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// C: the cosine of the mean attribution vectors of every two classes, or what `aggregation` says.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub matrix: Matrix,
    /// The L2 norm of each class's mean attribution vector.
    pub norms: Vec<f64>,
    pub cas: f64,
    pub cas_normalized: f64,
    /// The fraction of each class's samples classified correctly, on these inputs.
    pub class_accuracy: Vec<f64>,
    /// Of all samples, on these inputs.
    pub accuracy: f64,
    /// Samples of class i predicted as class j, on these inputs; all samples, whatever the subset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u32>>,
    /// The control: the cosines of the rows of W alone (of the fitted read-out for a stage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Vec<f64>>>))]
    pub weight_matrix: Option<Matrix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    pub feature_dim: u32,
    /// Empty for an epoch whose checkpoint was not kept.
    pub checkpoint_sha256: String,
    pub seconds: f64,
}

/// 95 % intervals from resampling, with replacement, the images of each class that count: Efron's percentile method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bootstrap {
    pub resamples: u32,
    pub cas_low: f64,
    pub cas_high: f64,
    /// The ends of the interval of each cell.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub low: Matrix,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub high: Matrix,
}

/// The result of an evaluation: the content of `evaluation.json` in its run directory, written when it is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluationFile {
    /// `RUN.e12`.
    pub checkpoint: String,
    pub checkpoint_sha256: String,
    pub norm: Norm,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub eps: Eps,
    pub split: SplitName,
    pub class_names: Vec<String>,
    pub class_counts: Vec<u32>,
    /// `clean` first, then each attack in the order it was run.
    pub steps: Vec<EvaluationStep>,
    pub clean_accuracy: f64,
    /// Against the worst of all attacks, image by image.
    pub robust_accuracy: f64,
    pub class_clean_accuracy: Vec<f64>,
    pub class_robust_accuracy: Vec<f64>,
    /// Samples of class i predicted as class j: clean where no attack succeeded, else by the first that did.
    pub confusion: Vec<Vec<u32>>,
    /// The one number to report, in words.
    pub report: String,
    pub seed: u32,
    pub seconds: f64,
}

/// Where networks look: the content of `saliency.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencyFile {
    pub class_names: Vec<String>,
    /// `RUN.e12`, in the order asked for.
    pub checkpoints: Vec<String>,
    pub split: SplitName,
    /// The stage that maps are of, from 1.
    pub stage: u32,
    pub attack: Option<AttackUsed>,
    /// By class, then in the order of the data set.
    pub samples: Vec<SaliencySample>,
}

/// One image with its maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencySample {
    /// In the split.
    pub index: u32,
    pub label: u32,
    /// PNG in base64, as are all images here.
    pub image: String,
    /// For each checkpoint, for each kind of inputs.
    pub maps: Vec<SaliencyMap>,
}

/// What one checkpoint makes of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencyMap {
    /// An index into `checkpoints`.
    pub checkpoint: u32,
    pub inputs: Inputs,
    /// The attacked image; absent for clean inputs.
    pub image: Option<String>,
    pub predicted: u32,
    /// Softmax probability of the true class.
    pub true_probability: f64,
    /// Grad-CAM of the true class, row by row, scaled to `[0, 1]`; of the stage's own resolution.
    pub map: Vec<Vec<f32>>,
}

/// Pairs of classes taken apart: the content of `pair.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairFile {
    pub class_names: Vec<String>,
    /// `RUN.e12`, in the order asked for. The first decides which images are shown.
    pub checkpoints: Vec<String>,
    pub split: SplitName,
    pub attack: AttackUsed,
    /// The stage that maps are of, from 1.
    pub stage: u32,
    /// n, the length of a feature vector of each checkpoint.
    pub feature_dims: Vec<u32>,
    /// In the order asked for.
    pub pairs: Vec<MeasuredPair>,
    pub seconds: f64,
}

/// A pair of classes at one or two checkpoints. Where two numbers stand together, the first is of class i and the second of class j.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeasuredPair {
    pub i: u32,
    pub j: u32,
    /// One for each checkpoint.
    pub overlaps: Vec<Overlap>,
    /// Of class i, then of class j, each time those first that drive the dimensions most at the first checkpoint.
    pub images: Vec<DrivingImage>,
}

/// What two classes share at a checkpoint, on adversarial images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overlap {
    /// C[i, j]: what the contributions of all dimensions add up to.
    pub cosine: f64,
    /// What those of `dimensions` add up to.
    pub carried: f64,
    /// The largest contributions, the largest first.
    pub dimensions: Vec<SharedDimension>,
    /// Images of each of the two classes predicted as each class, under attack.
    pub sent: [Vec<u32>; 2],
    pub leave_out: LeaveOut,
}

/// A dimension of g that two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SharedDimension {
    pub dimension: u32,
    /// A_i[d] A_j[d] / (|A_i| |A_j|).
    pub contribution: f64,
    /// The mean of g_d over the images of the class.
    pub feature: [f64; 2],
    /// W[i, d] and W[j, d].
    pub weight: [f64; 2],
    /// The products of the two: A_i[d] and A_j[d].
    pub attribution: [f64; 2],
}

/// What becomes of two classes when dimensions of g are set to 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaveOut {
    pub whole: PairAccuracy,
    /// Without the dimensions of [`Overlap`].
    pub without: PairAccuracy,
    /// Without as many other dimensions, one drawing each.
    pub control: Vec<PairAccuracy>,
}

/// How the images of two classes fare. Fractions of the images of each class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairAccuracy {
    pub clean: [f64; 2],
    /// Under the attack made for the network as it then is.
    pub robust: [f64; 2],
    /// On the adversarial images of the whole network.
    pub transferred: [f64; 2],
    /// Taken for the other class of the pair, under the attack of `robust`.
    pub crossed: [f64; 2],
}

/// An image that drives the dimensions two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrivingImage {
    /// In the split.
    pub index: u32,
    pub label: u32,
    /// PNG in base64, as are all images here.
    pub image: String,
    /// g_d W[label, d] for each of the dimensions of the first checkpoint, under attack.
    pub drive: Vec<f64>,
    /// For each checkpoint.
    pub perturbations: Vec<Perturbation>,
    /// For each checkpoint, clean and adversarial.
    pub maps: Vec<SaliencyMap>,
}

/// What an attack adds to an image, amplified: gray where nothing is added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Perturbation {
    pub image: String,
    /// How many times a change of a pixel is shown: eps, in ℓ2 the largest change of the image, is the way from gray to black or white.
    pub amplification: f64,
}

impl AttributionFile {
    /// The checkpoint it is of; `run` is the run whose directory it lies in.
    pub fn checkpoint_name(&self, run: &str) -> String {
        self.checkpoint.clone().unwrap_or_else(|| CheckpointId { run: run.to_owned(), epoch: self.epoch }.to_string())
    }
}

/// The attack behind adversarial inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttackUsed {
    pub norm: Norm,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub eps: Eps,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub step_size: Eps,
    pub steps: u32,
    pub random_start: bool,
}

/// `GET /api/attributions/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attribution {
    pub id: String,
    pub run: String,
    pub run_title: String,
    pub is_best: bool,
    pub is_last: bool,
    /// Of the checkpoint, on the whole test set, as measured in training.
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    #[serde(flatten)]
    pub file: AttributionFile,
}

impl Attribution {
    /// What this can be compared with: a baseline that is another attribution, over the same classes.
    pub fn comparable<'a>(&self, baseline: Option<&'a Attribution>) -> Option<&'a Attribution> {
        baseline.filter(|baseline| baseline.id != self.id && baseline.file.class_names == self.file.class_names)
    }
}

/// `GET /api/comparisons`: two to six attributions over the same classes, and how they differ from the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// The baseline first.
    pub attributions: Vec<Attribution>,
    /// Of each of the others, in their order.
    pub differences: Vec<Difference>,
}

/// How an attribution differs from the baseline of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// The attribution, `RUN.e12.adversarial`.
    pub id: String,
    /// Its CAS less that of the baseline.
    pub delta_cas: f64,
    /// Its matrix less that of the baseline, cell by cell.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub matrix: Matrix,
    /// Every pair `i < j`, largest change first; `a` is the baseline's.
    pub changes: Vec<PairChange>,
    /// Whether the difference of a cell lies inside the intervals, as [`Bootstrap::unresolved`] has it; absent where one of the two
    /// has none.
    pub unresolved: Option<Vec<Vec<bool>>>,
}

/// A pair of classes in all the matrices of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedPair {
    pub i: usize,
    pub j: usize,
    /// Its cosine in each, the baseline's first.
    pub values: Vec<f64>,
    /// The largest change against the baseline by absolute value, with its sign.
    pub change: f64,
}

/// An attribution cannot be compared with the first of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is over other classes than `{baseline}`; choose attributions of one data set")]
pub struct OtherClasses {
    /// Its place among the compared, from 0.
    pub index: usize,
    pub id: String,
    pub baseline: String,
}

impl Comparison {
    /// Compares all but the first with the first; of one or none there are no differences.
    pub fn of(attributions: Vec<Attribution>) -> Result<Self, OtherClasses> {
        let Some((baseline, others)) = attributions.split_first() else {
            return Ok(Comparison { attributions, differences: Vec::new() });
        };
        let difference = |(index, other): (usize, &Attribution)| {
            let of = Difference::between(baseline, other);
            of.ok_or_else(|| OtherClasses { index: index + 1, id: other.id.clone(), baseline: baseline.id.clone() })
        };
        let differences = others.iter().enumerate().map(difference).collect::<Result<_, _>>()?;
        Ok(Comparison { attributions, differences })
    }

    /// What the others are compared with.
    pub fn baseline(&self) -> &Attribution {
        &self.attributions[0]
    }

    /// Every pair `i < j`, the one that changed most against the baseline in any of the others first.
    pub fn ranked(&self) -> Vec<RankedPair> {
        let classes = self.attributions.first().map_or(0, |baseline| baseline.file.matrix.classes());
        let pair = |(i, j): (usize, usize)| {
            let change = |difference: &Difference| difference.matrix.get(i, j);
            let changes = self.differences.iter().map(change);
            RankedPair {
                i,
                j,
                values: self.attributions.iter().map(|attribution| attribution.file.matrix.get(i, j)).collect(),
                change: changes.reduce(|most, change| if change.abs() > most.abs() { change } else { most }).unwrap_or(0.0),
            }
        };
        let mut pairs: Vec<RankedPair> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).map(pair).collect();
        pairs.sort_by(|x, y| y.change.abs().total_cmp(&x.change.abs()));
        pairs
    }

    /// The others, each with how it differs.
    pub fn others(&self) -> impl Iterator<Item = (&Attribution, &Difference)> {
        self.attributions[1..].iter().zip(&self.differences)
    }
}

impl Difference {
    /// How `other` differs from `baseline`; none where they are over different classes.
    pub fn between(baseline: &Attribution, other: &Attribution) -> Option<Self> {
        let (from, to) = (&baseline.file, &other.file);
        if from.class_names != to.class_names {
            return None;
        }
        Some(Difference {
            id: other.id.clone(),
            delta_cas: to.cas - from.cas,
            matrix: from.matrix.difference(&to.matrix)?,
            changes: from.matrix.changes(&to.matrix),
            unresolved: from.bootstrap.as_ref().zip(to.bootstrap.as_ref()).map(|(from, to)| from.unresolved(to)),
        })
    }

    /// Whether the difference of a cell lies inside the intervals; none where nothing is known of it.
    pub fn is_unresolved(&self, (i, j): (usize, usize)) -> Option<bool> {
        self.unresolved.as_ref()?.get(i)?.get(j).copied()
    }
}

impl Bootstrap {
    /// Which cells of two matrices differ by no more than their intervals leave open: those where the interval of the difference,
    /// `[low of other − high of self, high of other − low of self]`, holds 0, that is, where the two intervals overlap.
    ///
    /// Conservative: two 95 % intervals of equal width that just touch are of values that differ at about the 0.6 % level, so that what
    /// is left is safe to speak of, and some of what is taken out may be real. The diagonal is 1 in both and never resolved.
    pub fn unresolved(&self, other: &Bootstrap) -> Vec<Vec<bool>> {
        let classes = self.low.classes().min(other.low.classes());
        let overlap = |i, j| self.low.get(i, j) <= other.high.get(i, j) && other.low.get(i, j) <= self.high.get(i, j);
        (0..classes).map(|i| (0..classes).map(|j| overlap(i, j)).collect()).collect()
    }
}

/// `GET /api/runs/{id}/cells`: a cell of one of the matrices of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochCell {
    pub epoch: u32,
    pub value: f64,
    /// The ends of its interval, where the matrix has intervals.
    pub interval: Option<[f64; 2]>,
}

/// `POST /api/sweeps`: a run for every combination of values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSweep {
    /// Letters and digits of it become the name in the address, at most 40 of them; empty: named after the fields.
    #[serde(default)]
    pub name: String,
    /// The training run that is varied.
    pub config: serde_json::Value,
    pub axes: Vec<SweepAxis>,
}

/// A field of a configuration and the values it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SweepAxis {
    /// The dotted path, `attack.eps`.
    pub field: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub values: Vec<serde_json::Value>,
}

/// `GET /api/sweeps`: a sweep without its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SweepSummary {
    pub id: String,
    /// What the titles of its runs begin with.
    pub title: String,
    pub created_at: String,
    pub axes: Vec<SweepAxis>,
    pub runs: u32,
    pub queued: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub canceled: u32,
    /// The highest best robust accuracy of its runs.
    pub best_robust_accuracy: Option<f64>,
    /// The highest CAS / K(K−1) of the best checkpoints of its runs.
    pub best_cas_normalized: Option<f64>,
}

/// `GET /api/sweeps/{id}`: the runs whose configuration says that they are part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sweep {
    /// As the field `sweep` of their configurations has it.
    pub id: String,
    /// What the titles of its runs begin with.
    pub title: String,
    /// Of the first run.
    pub created_at: String,
    /// The fields in which the runs differ.
    pub axes: Vec<SweepAxis>,
    /// The oldest first.
    pub runs: Vec<Run>,
}

/// `POST /api/shares`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// The path and query of the page, `/compare?a=…&b=…`.
    pub view: String,
    /// At most 120 characters; empty: named after what is shown.
    #[serde(default)]
    pub title: String,
    /// What the reader is told beside it, at most 2,000 characters.
    #[serde(default)]
    pub note: String,
    /// How long the link works, up to 3,650; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// A share as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Share {
    pub token: String,
    pub title: String,
    pub note: String,
    pub view: String,
    /// RFC 3339, UTC, as is the one below.
    pub created_at: String,
    /// From then on the link opens nothing; absent: it works until it is revoked.
    pub expires_at: Option<String>,
    /// Whether that is past.
    pub expired: bool,
    /// Where it opens, relative to the application: `s/TOKEN`.
    pub path: String,
}

/// `GET /api/shares/{token}`: all that the reader of a link needs, so that no other route must be open to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SharedView {
    pub share: Share,
    pub content: SharedContent,
    /// When the content was as it is here, RFC 3339, UTC.
    #[serde(default)]
    pub as_of: String,
    /// What other routes answer to the page that is shown, by their address such as `api/attributions/RUN.e12.adversarial`: the matrix
    /// of the epoch, the baseline, the result of a run.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Object>))]
    pub answers: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SharedContent {
    Run { run: Box<Run>, metrics: Box<Metrics> },
    Attribution { attribution: Box<Attribution> },
    Compare { comparison: Box<Comparison> },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    fn matrix(cosine: f64) -> Matrix {
        Matrix::try_from(vec![vec![1.0, cosine], vec![cosine, 1.0]]).unwrap()
    }

    #[test]
    fn an_attribution_is_its_file_with_what_is_known_of_its_run() {
        let attribution = fixtures::attribution("r", 1, matrix(0.1));
        let value = serde_json::to_value(&attribution).unwrap();
        assert_eq!((&value["run"], &value["epoch"], &value["matrix"][0][1]), (&json!("r"), &json!(1), &json!(0.1)));
        assert_eq!(serde_json::from_value::<Attribution>(value).unwrap(), attribution);
    }

    #[test]
    fn the_status_of_a_worker_stands_beside_its_fields() {
        let probe = Probe { engine: "0.1.0".into(), libtorch: "2.11.0".into(), devices: Vec::new() };
        for (status, expected) in [
            (WorkerStatus::Starting, json!({"status": "starting"})),
            (WorkerStatus::Ready(probe), json!({"status": "ready", "engine": "0.1.0", "libtorch": "2.11.0", "devices": []})),
            (WorkerStatus::Broken { message: "no".into() }, json!({"status": "broken", "message": "no"})),
        ] {
            assert_eq!(serde_json::to_value(&status).unwrap(), expected);
            assert_eq!(serde_json::from_value::<WorkerStatus>(expected).unwrap(), status);
        }
    }

    #[test]
    fn the_state_of_files_stands_beside_its_fields() {
        let info = Dataset::Digits.info();
        for (files, expected) in [
            (DatasetFiles::Embedded, json!({"state": "embedded"})),
            (DatasetFiles::Missing { partial_bytes: 3, problem: None }, json!({"state": "missing", "partial_bytes": 3, "problem": null})),
        ] {
            let status = DatasetStatus { info: info.clone(), files, download: None };
            let mut beside = serde_json::to_value(&info).unwrap();
            (beside["files"], beside["download"]) = (expected, json!(null));
            assert_eq!(serde_json::to_value(&status).unwrap(), beside);
            assert_eq!(serde_json::from_value::<DatasetStatus>(beside).unwrap(), status);
        }
    }

    #[test]
    fn a_baseline_is_another_attribution_over_the_same_classes() {
        let (subject, other) = (fixtures::attribution("r", 1, matrix(0.1)), fixtures::attribution("r", 2, matrix(0.1)));
        assert_eq!(subject.comparable(Some(&other)), Some(&other));
        assert_eq!(subject.comparable(Some(&subject)), None, "itself");
        assert_eq!(subject.comparable(None), None);
        let mut renamed = other;
        renamed.file.class_names[1] = "cat".into();
        assert_eq!(subject.comparable(Some(&renamed)), None, "over other classes");
    }

    #[test]
    fn a_cell_is_resolved_where_the_intervals_do_not_overlap() {
        let interval =
            |low: f64, high: f64| Bootstrap { resamples: 200, cas_low: 0.0, cas_high: 1.0, low: matrix(low), high: matrix(high) };
        let a = interval(0.2, 0.4);
        for (low, high, unresolved) in [(0.3, 0.5, true), (0.4, 0.6, true), (0.41, 0.6, false), (0.1, 0.19, false), (0.25, 0.3, true)] {
            let found = a.unresolved(&interval(low, high));
            assert_eq!(found, [[true, unresolved], [unresolved, true]], "[{low}, {high}]");
            assert_eq!(found, interval(low, high).unresolved(&a));
        }
    }
}
