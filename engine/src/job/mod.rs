//! Runs the configuration of a run directory. Each kind of run has its own file.

mod attribute;
mod attributions;
mod checkpoints;
mod evaluate;
mod import;
mod pair;
mod passes;
mod saliency;
mod source_checkpoint;
mod teachers;
mod train;

use std::path::Path;

use shared::config::RunConfig;
use shared::dataset::{PassedOver, passed_over_text};
use shared::inspection::Inspection;
use shared::record::{Notice, NoticeKind, Record};

use crate::Error;
use crate::cancel::Cancel;
use crate::run_dir::{self, RunDir};

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

/// Runs the configuration in `directory`.
///
/// Fails with `Error::Canceled` after a stop request. Results that were complete by then are kept.
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

/// Records which files of the data set's folder were not read. Records it once, even if the run is resumed.
fn note_passed_over(dir: &mut RunDir, passed_over: &[PassedOver]) -> Result<(), Error> {
    let Some(message) = passed_over_text(passed_over) else { return Ok(()) };
    let notice = Notice { kind: NoticeKind::PassedOver, epoch: None, message };
    if dir.metrics().notices.contains(&notice) { Ok(()) } else { dir.append(&Record::Notice(notice)) }
}
