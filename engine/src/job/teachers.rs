//! The teachers of a run that learns from some: checkpoints of other runs, or networks that it trains first, each in a run directory of its
//! own inside `teachers/`, where a run that goes on finds them.

use std::path::Path;

use shared::config::{AttributionConfig, CheckpointConfig, DistillationConfig, Method, RunConfig, TrainConfig, TrainingConfig};
use shared::record::{Phase, Progress};
use shared::view::{CheckpointRef, Which};
use tch::Device;

use super::source_checkpoint::SourceCheckpoint;
use super::train::{Clock, train};
use crate::Error;
use crate::cancel::Cancel;
use crate::data::Data;
use crate::model::Network;
use crate::run_dir::{self, RunDir};
use crate::train::Teachers;

/// A teacher that the loss has a weight for.
struct Wanted<'a> {
    name: &'static str,
    checkpoint: Option<&'a CheckpointRef>,
    method: Method,
    weight: f64,
}

/// Epochs that teachers are trained for before the run itself, together.
pub(super) fn epochs(config: &TrainConfig) -> u32 {
    let trained = wanted(config).into_iter().filter(|teacher| teacher.checkpoint.is_none());
    trained.map(|teacher| teacher_config(config, teacher.method).training.epochs).sum()
}

/// Reads the teachers of `config`, after training those that are not named.
pub(super) fn prepare(
    dir: &mut RunDir,
    config: &TrainConfig,
    data: &Data,
    device: Device,
    clock: Clock,
    cancel: &Cancel,
) -> Result<Teachers, Error> {
    let Some(DistillationConfig { temperature, .. }) = config.training.distillation else { return Ok(Teachers::default()) };
    // Those of other runs first: what is wrong with them should be known before an hour of training.
    let mut found = Vec::new();
    for teacher in wanted(config) {
        let source = teacher.checkpoint.map(|checkpoint| SourceCheckpoint::find(&dir.path(""), checkpoint)).transpose()?;
        let network = source.map(|source| network(&source, data, device)).transpose()?;
        found.push((teacher, network));
    }
    let mut networks = Vec::new();
    let mut epochs = 0;
    for (teacher, network) in found {
        let network = match network {
            Some(network) => network,
            None => {
                let own = teacher_config(config, teacher.method);
                let trained = trained(dir, teacher.name, &own, data, device, cancel, &mut |progress, dir| match progress.phase {
                    Phase::Training => {
                        let (epoch, elapsed_secs) = (epochs + progress.epoch, clock.elapsed_secs());
                        dir.progress(Progress { phase: Phase::Teaching, epoch, elapsed_secs, ..progress.clone() })
                    }
                    _ => Ok(()),
                })
                .map_err(|error| match error {
                    Error::Canceled => error,
                    error => Error::Teacher { name: teacher.name, problem: Box::new(error) },
                })?;
                epochs += own.training.epochs;
                trained
            }
        };
        networks.push((network, teacher.weight));
    }
    Ok(Teachers { networks, temperature })
}

fn wanted(config: &TrainConfig) -> Vec<Wanted<'_>> {
    let Some(distillation) = &config.training.distillation else { return Vec::new() };
    let DistillationConfig { standard_teacher, robust_teacher, standard_weight, robust_weight, .. } = distillation;
    let standard = Wanted { name: "standard", checkpoint: standard_teacher.as_ref(), method: Method::Standard, weight: *standard_weight };
    let robust = Wanted { name: "robust", checkpoint: robust_teacher.as_ref(), method: Method::PgdAt, weight: *robust_weight };
    [standard, robust].into_iter().filter(|teacher| teacher.weight > 0.0).collect()
}

fn network(source: &SourceCheckpoint, data: &Data, device: Device) -> Result<Network, Error> {
    if let Some(shape) = source.shape().filter(|shape| *shape != data.info.shape) {
        let [channels, height, width] = shape;
        let [own_channels, own_height, own_width] = data.info.shape;
        let problem = format!(
            "it was trained on images of {channels}×{height}×{width}, and those of this run have {own_channels}×{own_height}×{own_width}"
        );
        return Err(Error::SourceCheckpoint { checkpoint: source.id.to_string(), problem });
    }
    source.network(&data.info, device)
}

/// Trains a teacher in the folder of its name, goes on with one that was stopped, or finds one that is done.
fn trained(
    dir: &mut RunDir,
    name: &str,
    config: &TrainConfig,
    data: &Data,
    device: Device,
    cancel: &Cancel,
    watch: &mut dyn FnMut(&Progress, &mut RunDir) -> Result<(), Error>,
) -> Result<Network, Error> {
    let folder = format!("teachers/{name}");
    let path = dir.path(&folder);
    if !is_done(&path)? {
        dir.create_folder(&folder)?;
        dir.write_json(&format!("{folder}/config.json"), &RunConfig::Train(Box::new(config.clone())).to_json())?;
        train(RunDir::open(&path)?, config, data, device, cancel, &mut |progress| watch(progress, dir))?;
    }
    let best = CheckpointRef { run: name.to_owned(), which: Which::Best };
    network(&SourceCheckpoint::find(&path, &best)?, data, device)
}

fn is_done(path: &Path) -> Result<bool, Error> {
    let metrics = path.join("metrics.jsonl");
    Ok(metrics.exists() && run_dir::read_metrics(path)?.finished.is_some())
}

/// The run itself without what it adds to its method. Of a robust teacher the best epoch is taken, as a person would name it; a standard
/// one has no robustness to choose by and is evaluated once.
fn teacher_config(config: &TrainConfig, method: Method) -> TrainConfig {
    let epochs = config.training.distillation.as_ref().and_then(|distillation| distillation.teacher_epochs);
    let epochs = epochs.unwrap_or(config.training.epochs);
    let scaled = |milestone: &u32| (u64::from(*milestone) * u64::from(epochs) / u64::from(config.training.epochs)).max(1) as u32;
    let mut milestones: Vec<u32> = config.training.milestones.iter().map(scaled).collect();
    milestones.dedup();
    let every = match method {
        Method::Standard => epochs,
        Method::PgdAt | Method::Trades | Method::FastAt => config.evaluation.every.min(epochs),
    };
    let mut teacher = TrainConfig {
        name: String::new(),
        sweep: None,
        training: TrainingConfig {
            method,
            epochs,
            milestones,
            label_smoothing: 0.0,
            mixup: 0.0,
            distillation: None,
            weight_averaging: None,
            awp: None,
            ..config.training.clone()
        },
        checkpoints: CheckpointConfig::default(),
        attribution: AttributionConfig { inputs: Vec::new(), every: 0, bootstrap: 0 },
        ..config.clone()
    };
    teacher.evaluation.every = every;
    teacher
}
