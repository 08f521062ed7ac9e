//! Provides the teachers of a distillation run. A teacher is a checkpoint of another run, or a network that
//! is trained first.
//!
//! Each trained teacher has its own run directory inside `teachers/`, where a resumed run finds it again.

use std::path::Path;

use shared::config::{AttributionConfig, CheckpointConfig, DistillationConfig, Method, RunConfig, TrainConfig, TrainingConfig};
use shared::id::{CheckpointRef, Which};
use shared::record::{Phase, Progress};
use shared::rundir;
use tch::Device;

use super::source_checkpoint::SourceCheckpoint;
use super::train::{Clock, train};
use crate::Error;
use crate::data::Data;
use crate::model::Network;
use crate::run_dir::{self, RunDir};
use crate::stop::Stop;
use crate::train::Teachers;

/// A teacher with a positive weight in the loss.
struct TeacherSpec<'a> {
    name: &'static str,
    checkpoint: Option<&'a CheckpointRef>,
    method: Method,
    weight: f64,
}

/// Returns the total number of epochs that are needed to train the teachers.
pub(super) fn epochs(config: &TrainConfig) -> u32 {
    let trained = teacher_specs(config).into_iter().filter(|teacher| teacher.checkpoint.is_none());
    trained.map(|teacher| teacher_config(config, teacher.method).training.epochs).sum()
}

/// Loads the teachers of `config`. Trains those for which the configuration names no checkpoint.
pub(super) fn prepare(
    dir: &mut RunDir,
    config: &TrainConfig,
    data: &Data,
    device: Device,
    clock: Clock,
    stop: &Stop,
) -> Result<Teachers, Error> {
    let Some(DistillationConfig { temperature, .. }) = config.training.distillation else { return Ok(Teachers::default()) };
    // Load checkpoints of other runs first, so that their errors appear before hours of training.
    let mut found = Vec::new();
    for teacher in teacher_specs(config) {
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
                let trained = train_or_load(dir, teacher.name, &own, data, device, stop, &mut |progress, dir| match progress.phase {
                    Phase::Training => {
                        let (epoch, elapsed_secs) = (epochs + progress.epoch, clock.elapsed_secs());
                        dir.progress(Progress { phase: Phase::Teaching, epoch, elapsed_secs, ..progress.clone() })
                    }
                    _ => Ok(()),
                })
                .map_err(|error| match error {
                    Error::Stopped(_) => error,
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

fn teacher_specs(config: &TrainConfig) -> Vec<TeacherSpec<'_>> {
    let Some(distillation) = &config.training.distillation else { return Vec::new() };
    let DistillationConfig { standard_teacher, robust_teacher, standard_weight, robust_weight, .. } = distillation;
    let standard =
        TeacherSpec { name: "standard", checkpoint: standard_teacher.as_ref(), method: Method::Standard, weight: *standard_weight };
    let robust = TeacherSpec { name: "robust", checkpoint: robust_teacher.as_ref(), method: Method::PgdAt, weight: *robust_weight };
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
    source.model("weights to learn from")?;
    source.network(&data.info, device)
}

/// Trains a teacher in `teachers/NAME`, resumes its training, or loads it if it is complete.
fn train_or_load(
    dir: &mut RunDir,
    name: &str,
    config: &TrainConfig,
    data: &Data,
    device: Device,
    stop: &Stop,
    watch: &mut dyn FnMut(&Progress, &mut RunDir) -> Result<(), Error>,
) -> Result<Network, Error> {
    let folder = format!("{}/{name}", rundir::TEACHERS);
    let path = dir.path(&folder);
    if !is_done(&path)? {
        dir.create_folder(&folder)?;
        dir.write_json(&format!("{folder}/{}", rundir::CONFIG), &RunConfig::Train(Box::new(config.clone())).to_json())?;
        train(RunDir::open(&path)?, config, data, device, stop, &mut |progress| watch(progress, dir))?;
    }
    let run = name.parse().expect("teachers are named `standard` and `robust`");
    let best = CheckpointRef { run, which: Which::Best };
    network(&SourceCheckpoint::find(&path, &best)?, data, device)
}

fn is_done(path: &Path) -> Result<bool, Error> {
    let metrics = path.join(rundir::METRICS);
    Ok(metrics.exists() && run_dir::read_metrics(path)?.finished.is_some())
}

/// Returns the configuration of a teacher: that of the run, without the extensions of its training method.
///
/// The best epoch of a robust teacher is used, as if its checkpoint had been named. A standard teacher has no
/// robust accuracy to select by, so it is evaluated only once, at the end.
fn teacher_config(config: &TrainConfig, method: Method) -> TrainConfig {
    let epochs = config.training.distillation.as_ref().and_then(|distillation| distillation.teacher_epochs);
    let epochs = epochs.unwrap_or(config.training.epochs);
    let scaled = |milestone: &u32| (u64::from(*milestone) * u64::from(epochs) / u64::from(config.training.epochs)).max(1) as u32;
    let mut milestones: Vec<u32> = config.training.milestones.iter().map(scaled).collect();
    milestones.dedup();
    let every = if method.facts().adversarial { config.evaluation.every.min(epochs) } else { epochs };
    let mut teacher = TrainConfig {
        name: String::new(),
        sweep: None,
        start_from: None,
        training: TrainingConfig {
            method,
            epochs,
            milestones,
            label_smoothing: 0.0,
            mixup: 0.0,
            cas_weight: None,
            left_out_features: Vec::new(),
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
