//! Checks of a configuration that need this server, before it is queued: devices, folders, checkpoints of
//! other runs.

use std::path::{Path, PathBuf};

use shared::api::{RunState, WorkerStatus};
use shared::config::{
    ImportConfig, PROGRAM_RIGHTS, PROGRAMS_REFUSED, PairConfig, Precision, RunConfig, RunKind, TrainConfig, TransferConfig, is_local_device,
};
use shared::dataset::Source;
use shared::id::{CheckpointRef, RunId, Which};
use shared::problem::FieldError;

use crate::disk_space::{self, Disk};
use crate::launch::Choice;
use crate::problem::{ApiError, Kind};
use crate::scheduler::NewRun;
use crate::state::AppState;

/// More than a person queues, also in sweeps; limits a script that queues too many.
const MOST_QUEUED: usize = 10_000;

/// Queues valid configurations, all of them or none. Errors name fields below `prefix`.
pub async fn submit_all(state: &AppState, configs: Vec<RunConfig>, prefix: &str) -> Result<Vec<RunId>, ApiError> {
    let broken = broken(state).await?;
    let mut runs = Vec::with_capacity(configs.len());
    let named = |errors: Vec<FieldError>| {
        let named = errors.into_iter().map(|error| FieldError::new(format!("{prefix}{}", error.field), error.message));
        ApiError::on_fields(Kind::InvalidRun, named.collect())
    };
    let mut asked: Option<String> = None;
    for mut config in configs {
        let lane = lane(state, &config, broken.as_deref())?;
        let device = check(state, &mut config, lane, None).await.map_err(named)?;
        // All members of a sweep go to the same lane: ask its engine once.
        if asked.as_ref() != Some(&device) {
            check_lane(state, &device).await.map_err(|error| named(vec![error]))?;
            asked = Some(device.clone());
        }
        runs.push(NewRun { config, device, upload: None });
    }
    check_room(state, runs.len()).await?;
    let ids = state.scheduler.submit(runs).await?;
    warn_of_lack(state).await;
    Ok(ids)
}

/// Queues a valid configuration. `upload`: a file that is moved into the run directory.
pub async fn submit(state: &AppState, mut config: RunConfig, upload: Option<PathBuf>) -> Result<RunId, ApiError> {
    let broken = broken(state).await?;
    let lane = lane(state, &config, broken.as_deref())?;
    let device = check(state, &mut config, lane, upload.as_deref()).await;
    let device = device.map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))?;
    check_lane(state, &device).await.map_err(|error| ApiError::on_fields(Kind::InvalidRun, vec![error]))?;
    check_room(state, 1).await?;
    let ids = state.scheduler.submit(vec![NewRun { config, device, upload }]).await?;
    warn_of_lack(state).await;
    ids.into_iter().next().ok_or_else(|| ApiError::internal("a submitted run has no name"))
}

/// Why the worker of this machine does not work; waits until that is known.
async fn broken(state: &AppState) -> Result<Option<String>, ApiError> {
    match state.worker_status().await {
        WorkerStatus::Ready(_) => Ok(None),
        WorkerStatus::Broken { message } => Ok(Some(message)),
        WorkerStatus::Starting => Err(ApiError::new(Kind::WorkerNotReady, "the worker has not started yet")),
    }
}

/// The lane that a run will wait for, or what is wrong with the one that it asks for. `broken`: why the worker of this
/// machine does not work.
fn lane(state: &AppState, config: &RunConfig, broken: Option<&str>) -> Result<Result<String, FieldError>, ApiError> {
    let wanted = config.device();
    match (state.lanes.choose(wanted, |_| true), broken) {
        (Choice::Free(lane) | Choice::Wait(lane), _) => Ok(Ok(lane.name)),
        (_, Some(message)) if wanted == "auto" || is_local_device(wanted) => {
            Err(ApiError::new(Kind::WorkerNotReady, format!("nothing can be run here: {message}")))
        }
        _ => {
            let known: Vec<String> = state.lanes.all().into_iter().map(|lane| lane.name).collect();
            let message = format!("`{wanted}` is neither a device of this machine nor a lane; there is {}", known.join(", "));
            Ok(Err(FieldError::new("device", message)))
        }
    }
}

/// Asks the engine of a lane whether it would take a run.
async fn check_lane(state: &AppState, name: &str) -> Result<(), FieldError> {
    // One that is down is asked when it is up again.
    let Some(lane) = state.lanes.get(name).filter(|lane| state.lanes.trouble(lane).is_none()) else { return Ok(()) };
    let refused =
        |words: String| FieldError::new("device", format!("{} refuses runs on the lane `{name}`: {words}", lane.engine.kind().label()));
    lane.engine.check(name).await.map_err(refused)
}

async fn check_room(state: &AppState, more: usize) -> Result<(), ApiError> {
    let queued = state.db.count(RunState::Queued).await? as usize;
    if queued + more > MOST_QUEUED {
        let detail = format!("{queued} runs are queued, and {MOST_QUEUED} are the most; wait for some to finish or cancel them");
        return Err(ApiError::new(Kind::QueueFull, detail));
    }
    Ok(())
}

/// Logs that the disk may not hold what the queue will write. Pages say it where they show the run.
async fn warn_of_lack(state: &AppState) {
    let (Ok(disk), Ok(expected)) = (Disk::of(state.dirs.root()), disk_space::expected(state).await) else { return };
    if let Some(lack) = disk_space::lack(disk, expected, 0, state.dirs.root()) {
        tracing::warn!("{lack}");
    }
}

/// Returns the lane that the run will wait for, or all wrong fields. Sets the folder of the data if the
/// configuration names none.
async fn check(
    state: &AppState,
    config: &mut RunConfig,
    lane: Result<String, FieldError>,
    upload: Option<&Path>,
) -> Result<String, Vec<FieldError>> {
    let mut errors = Vec::new();
    if !config.kind().is_submitted() {
        let message = format!("a run of the kind `{}` is begun by the program that writes it, not here", config.kind().id());
        return Err(vec![FieldError::new("kind", message)]);
    }
    let device = lane.map_err(|error| errors.push(error)).ok();
    // Of other machines, their workers say it.
    let lacks_bf16 = |id: &str| match &*state.worker.borrow() {
        WorkerStatus::Ready(probe) => probe.devices.iter().any(|device| device.id == id && !device.bf16),
        WorkerStatus::Starting | WorkerStatus::Broken { .. } => false,
    };
    if let (RunConfig::Train(train), Some(device)) = (&*config, &device)
        && train.precision == Precision::Bf16
        && lacks_bf16(device)
    {
        errors.push(FieldError::new("precision", format!("`bf16` is not computed by `{device}` of this machine; use `float32`")));
    }
    take_data_of_checkpoint(state, config).await;
    if let RunConfig::Train(train) = config {
        errors.extend(start_from(state, train).await);
    }
    // An import that measures nothing needs no images.
    let needs_images = !matches!(config, RunConfig::Import(import) if import.attribution.inputs.is_empty());
    if let Some(data) = config.data_mut() {
        let wanted = needs_images || data.path.is_some();
        let completed = state.datasets.complete(data);
        errors.extend(completed.err().filter(|_| wanted).map(|message| FieldError::new("data.path", message)));
    }
    if let RunConfig::Import(import) = config
        && import.program
        && !state.settings.allow_programs
    {
        errors.push(FieldError::new("program", format!("{PROGRAMS_REFUSED}. {PROGRAM_RIGHTS}")));
    }
    for (field, checkpoint) in config.needs() {
        errors.extend(refused_program(state, config.kind(), checkpoint).await.map(|message| FieldError::new(field.clone(), message)));
        errors.extend(missing_checkpoint(state, checkpoint).await.map(|message| FieldError::new(field, message)));
    }
    if let (Some(estimate), Ok(disk)) = (disk_space::of_config(config), Disk::of(state.dirs.root())) {
        errors.extend(disk_space::never_fits(disk, &estimate).map(|message| FieldError::new("checkpoints", message)));
    }
    if let RunConfig::Pair(pair) = config {
        errors.extend(missing_classes(state, pair).await);
    }
    if let RunConfig::Transfer(transfer) = config {
        errors.extend(mixed_data(state, transfer).await);
    }
    if let (RunConfig::Import(import), None) = (config, upload) {
        errors.extend(missing_source(import).map(|message| FieldError::new("source", message)));
    }
    device.filter(|_| errors.is_empty()).ok_or(errors)
}

/// Sets the data of a measurement whose checkpoint was imported without a folder of images: that of its run,
/// with the folder to be set.
async fn take_data_of_checkpoint(state: &AppState, config: &mut RunConfig) {
    if config.data().is_some() {
        return;
    }
    let Some(run) = config.needs().first().map(|(_, checkpoint)| checkpoint.run.clone()) else { return };
    // `missing_checkpoint` reports a run that cannot be looked up.
    let Ok(Some(run)) = state.db.run(&run).await else { return };
    let data = run.config.data().filter(|data| data.dataset.source() == Source::Folder && data.path.is_none());
    if let Some(data) = data.cloned() {
        config.set_data(data);
    }
}

/// Puts the epoch of the checkpoint that a training run starts from in place of *best* and *last*, which may change
/// until the run begins. Returns what does not fit the checkpoint.
async fn start_from(state: &AppState, config: &mut TrainConfig) -> Vec<FieldError> {
    let Some(start) = &mut config.start_from else { return Vec::new() };
    // `missing_checkpoint` reports a run or a checkpoint that is not there.
    let Ok(Some(parent)) = state.db.run(&start.run).await else { return Vec::new() };
    if let Ok(epoch) = state.dirs.of(&start.run).metrics().await.unwrap_or_default().checkpoint_epoch(start.which) {
        start.which = Which::Epoch(epoch);
    }
    let differing = config.differs_from_parent(&parent.config);
    RunConfig::Train(Box::new(config.clone())).validate().into_iter().chain(differing).collect()
}

/// Why a run cannot use a checkpoint that is a program; `None` if it can, or the checkpoint is none.
async fn refused_program(state: &AppState, kind: RunKind, wanted: &CheckpointRef) -> Option<String> {
    let run = state.db.run(&wanted.run).await.ok().flatten()?;
    match &run.config {
        RunConfig::Import(import) if !import.program => None,
        RunConfig::Import(_) if !matches!(kind, RunKind::Evaluate | RunKind::EpsCurve | RunKind::Attribute | RunKind::Transfer) => {
            Some(format!("`{wanted}` is a program, which can be evaluated and attributed, and nothing else"))
        }
        RunConfig::Import(_) if !state.settings.allow_programs => Some(format!("`{wanted}` is a program, and {PROGRAMS_REFUSED}")),
        _ => None,
    }
}

async fn missing_checkpoint(state: &AppState, wanted: &CheckpointRef) -> Option<String> {
    let run = &wanted.run;
    match state.db.run(run).await {
        Ok(Some(run)) if !run.config.kind().is_submitted() => {
            return Some(format!("`{wanted}` holds a network that only the program that trains it knows; import the file of its weights"));
        }
        Ok(Some(_)) => {}
        Ok(None) if state.db.is_in_trash(run).await.unwrap_or_default() => {
            return Some(format!("`{wanted}` is of a run in the trash: `{run}`; restore it first"));
        }
        Ok(None) => return Some(format!("`{wanted}` names a run that does not exist: `{run}`")),
        Err(error) => {
            tracing::error!(%run, "{run} cannot be looked up: {error}");
            return Some(format!("`{wanted}` could not be looked up"));
        }
    }
    let metrics = state.dirs.of(run).metrics().await.unwrap_or_default();
    metrics.checkpoint_epoch(wanted.which).err().map(|missing| format!("`{wanted}` is not there: {missing}"))
}

/// Errors of pairs with a class that the first checkpoint does not have; none while the classes of its run
/// are unknown.
async fn missing_classes(state: &AppState, config: &PairConfig) -> Vec<FieldError> {
    let Some(CheckpointRef { run, .. }) = config.checkpoints.first() else { return Vec::new() };
    let metrics = state.dirs.of(run).metrics().await.unwrap_or_default();
    let Some(classes) = metrics.started.map(|started| started.class_names.len()) else { return Vec::new() };
    let beyond = (0..).zip(&config.pairs).filter(|(_, pair)| pair[1] as usize >= classes);
    let named = |(index, pair): (usize, &[u32; 2])| {
        FieldError::new(
            format!("pairs[{index}]"),
            format!("{pair:?} is not among the {classes} classes of `{run}`, which are counted from 0"),
        )
    };
    beyond.map(named).collect()
}

/// Errors of checkpoints that are of another data set than the first one or have other classes. What is not known counts as
/// the same: the worker compares the classes again.
async fn mixed_data(state: &AppState, config: &TransferConfig) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut first = None;
    for (index, checkpoint) in config.checkpoints.iter().enumerate() {
        // Checkpoints that are not there are reported by `missing_checkpoint`.
        let Ok(Some(run)) = state.db.run(&checkpoint.run).await else { continue };
        let metrics = state.dirs.of(&checkpoint.run).metrics().await.unwrap_or_default();
        let dataset = run.config.data().map(|data| data.dataset.id());
        let classes = metrics.started.map(|started| started.class_names);
        let (first_dataset, first_classes) = first.get_or_insert_with(|| (dataset, classes.clone()));
        let other = "choose checkpoints of one data set and its classes";
        let message = if dataset.zip(*first_dataset).is_some_and(|(mine, theirs)| mine != theirs) {
            format!("`{checkpoint}` is of `{}`, and the first of `{}`; {other}", dataset.unwrap_or("?"), first_dataset.unwrap_or("?"))
        } else if let (Some(mine), Some(theirs)) = (&classes, first_classes)
            && mine != theirs
        {
            format!("`{checkpoint}` has other classes ({}) than the first ({}); {other}", mine.join(", "), theirs.join(", "))
        } else {
            continue;
        };
        errors.push(FieldError::new(format!("checkpoints[{index}]"), message));
    }
    errors
}

pub fn missing_source(import: &ImportConfig) -> Option<String> {
    let source = Path::new(&import.source);
    if !source.is_absolute() {
        return Some(format!("`{}` is not an absolute path", import.source));
    }
    (!source.exists()).then(|| format!("`{}` is not on the server", import.source))
}
