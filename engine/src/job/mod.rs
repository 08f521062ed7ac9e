//! Runs the configuration of a run directory. Each kind of run has its own file.

mod attribute;
mod attributions;
mod checkpoints;
mod eps_curve;
mod evaluate;
mod fork;
mod import;
mod pair;
mod passes;
mod saliency;
mod source_checkpoint;
mod teachers;
mod train;
mod transfer;

use std::path::Path;

use serde::Serialize;
use serde_json::json;
use shared::config::RunConfig;
use shared::dataset::{PassedOver, passed_over_text};
use shared::inspection::Inspection;
use shared::record::{Notice, NoticeKind, Record};
use shared::rundir;
use tch::Device;

use self::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::kept::Kept;
use crate::run_dir::{self, RunDir};
use crate::stop::Stop;

/// Reports what the import in `config` would read, and which questions are open. A relative source is looked
/// up in `directory`.
pub fn inspect(directory: &Path, config: &RunConfig) -> Result<Inspection, Error> {
    match config {
        RunConfig::Import(config) => import::inspect(directory, config),
        other => Err(Error::RunDir {
            path: directory.to_owned(),
            problem: format!("holds a run of the kind `{}`; only an import can be inspected", other.kind().id()),
        }),
    }
}

/// Runs the configuration in `directory` on another device than its own: see [`run`].
pub fn run_on(device: &str, directory: &Path, stop: &Stop) -> Result<(), Error> {
    let mut config = run_dir::read_config(directory)?;
    config.set_device(device.to_owned());
    run_config(directory, config, stop)
}

/// Runs the configuration in `directory`.
///
/// Fails with `Error::Stopped` after a stop request. Everything that was computed by then is saved, and the next
/// worker goes on from there.
pub fn run(directory: &Path, stop: &Stop) -> Result<(), Error> {
    run_config(directory, run_dir::read_config(directory)?, stop)
}

fn run_config(directory: &Path, config: RunConfig, stop: &Stop) -> Result<(), Error> {
    match config {
        RunConfig::Train(config) => train::run(directory, &config, stop),
        RunConfig::Attribute(config) => attribute::run(directory, &config, stop),
        RunConfig::Evaluate(config) => evaluate::run(directory, &config, stop),
        RunConfig::EpsCurve(config) => eps_curve::run(directory, &config, stop),
        RunConfig::Saliency(config) => saliency::run(directory, &config, stop),
        RunConfig::Pair(config) => pair::run(directory, &config, stop),
        RunConfig::Transfer(config) => transfer::run(directory, &config, stop),
        RunConfig::Import(config) => import::run(directory, &config, stop),
        RunConfig::External(_) => Err(Error::RunDir {
            path: directory.to_owned(),
            problem: "holds a run that another program writes; only that program can go on with it".to_owned(),
        }),
    }
}

/// Opens the batches that an earlier worker has kept of the measurement in `config`, or keeps none yet.
///
/// They belong to this configuration and to the weights of `measured`.
fn kept<C: Serialize>(dir: &RunDir, config: &C, measured: &[SourceCheckpoint], stop: &Stop, device: Device) -> Result<Kept, Error> {
    let weights: Vec<&str> = measured.iter().map(|source| source.sidecar.checkpoint.sha256.as_str()).collect();
    let mut belongs_to = json!({ "config": config, "weights": weights });
    // These do not change results.
    for field in ["name", "device"] {
        belongs_to["config"].as_object_mut().expect("a configuration is an object").remove(field);
    }
    Kept::in_file(stop, &dir.path(rundir::MEASURED), belongs_to.to_string(), device)
}

/// Records which files of the data set's folder were not read. Records it once, even if the run is resumed.
fn note_passed_over(dir: &mut RunDir, passed_over: &[PassedOver]) -> Result<(), Error> {
    let Some(message) = passed_over_text(passed_over) else { return Ok(()) };
    let notice = Notice { kind: NoticeKind::PassedOver, epoch: None, message };
    if dir.metrics().notices.contains(&notice) { Ok(()) } else { dir.append(&Record::Notice(notice)) }
}
