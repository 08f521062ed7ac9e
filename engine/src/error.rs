//! The error type of the engine. Variants are grouped by what the caller can do about them.

use std::io;
use std::path::{Path, PathBuf};

use shared::problem::FieldError;
use shared::rundir::StopReason;
use tch::TchError;

/// Error of any function of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work was stopped by request. What is needed to continue is saved.
    #[error("stopped: {}", .0.id())]
    Stopped(StopReason),
    /// The configuration is invalid.
    #[error("configuration {path:?}: {}", list(errors))]
    Config { path: PathBuf, errors: Vec<FieldError> },
    /// The directory does not hold a run that can be started.
    #[error("run directory {path:?} {problem}")]
    RunDir { path: PathBuf, problem: String },
    /// The machine does not have this device, or it cannot be used.
    #[error("device `{device}` cannot be used: {reason}")]
    Device { device: String, reason: String },
    /// A file of a data set is missing or has unexpected content.
    #[error("data file {path:?}: {problem}")]
    DataFile { path: PathBuf, problem: String },
    /// The data set can be read but does not contain what the configuration asks for.
    #[error("data: {0}")]
    Data(String),
    /// A checkpoint cannot be read or does not fit the network.
    #[error("checkpoint {path:?} {problem}")]
    Checkpoint { path: PathBuf, problem: String },
    /// An imported checkpoint can be read in several ways, or not in the way that the configuration chose.
    /// The fields say what to set.
    #[error("checkpoint {path:?}: {}", list(errors))]
    Undecided { path: PathBuf, errors: Vec<FieldError> },
    /// A training log of the paper's public code is missing or has unexpected content.
    #[error("training log {path:?} {problem}")]
    TrainLog { path: PathBuf, problem: String },
    /// The checkpoint that a run measures or learns from is missing or does not fit.
    #[error("checkpoint `{checkpoint}`: {problem}")]
    SourceCheckpoint { checkpoint: String, problem: String },
    /// The loss became infinite or NaN.
    #[error("the loss in epoch {epoch} is not finite; a lower learning rate may help")]
    Diverged { epoch: u32 },
    /// A network gives infinite or NaN logits. Nothing that is computed from them has a meaning.
    #[error("{network} gives logits that are not finite, in batch {batch}; its weights are damaged, or its training has diverged")]
    NotFinite { network: String, batch: u32 },
    /// Training a teacher for the run failed.
    #[error("the {name} teacher: {problem}")]
    Teacher { name: &'static str, problem: Box<Error> },
    #[error("{path:?}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Torch(#[from] TchError),
}

impl From<datasets::Error> for Error {
    fn from(error: datasets::Error) -> Self {
        match error {
            datasets::Error::File { path, problem } => Error::DataFile { path, problem },
            datasets::Error::NoFiles(_) => Error::Data(error.to_string()),
        }
    }
}

impl Error {
    /// Adds the path to an input or output error. Use it as `.map_err(Error::io(&path))`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    }

    /// Adds the number of the batch to an error about its logits.
    pub(crate) fn in_batch(self, batch: u32) -> Error {
        match self {
            Error::NotFinite { network, batch: _ } => Error::NotFinite { network, batch },
            other => other,
        }
    }
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; ")
}
