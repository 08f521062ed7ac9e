//! What a worker does in a run directory, by the kind of the run.

mod attribute;
mod attributions;
mod evaluate;
mod import;
mod keep;
mod pair;
mod saliency;
mod subject;
mod teachers;
mod train;
mod work;

use std::path::Path;

use shared::config::RunConfig;
use shared::inspection::Inspection;

use crate::Error;
use crate::cancel::Cancel;
use crate::run_dir;

/// Says what an import would read, and what is to be decided about it. `directory`: what a relative source is in.
pub fn inspect(directory: &Path, config: &RunConfig) -> Result<Inspection, Error> {
    match config {
        RunConfig::Import(config) => import::inspect(directory, config),
        other => Err(Error::RunDir {
            path: directory.to_owned(),
            problem: format!("holds a run of the kind `{}`; only an import can be inspected", other.kind().id()),
        }),
    }
}

/// Runs the configuration in `directory`.
///
/// `Err(Error::Canceled)` after a requested stop: what was complete has then been kept.
pub fn run(directory: &Path, cancel: &Cancel) -> Result<(), Error> {
    match run_dir::read_config(directory)? {
        RunConfig::Train(config) => train::run(directory, &config, cancel),
        RunConfig::Attribute(config) => attribute::run(directory, &config, cancel),
        RunConfig::Evaluate(config) => evaluate::run(directory, &config, cancel),
        RunConfig::Saliency(config) => saliency::run(directory, &config, cancel),
        RunConfig::Pair(config) => pair::run(directory, &config, cancel),
        RunConfig::Import(config) => import::run(directory, &config, cancel),
    }
}
