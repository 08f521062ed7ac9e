//! What can go wrong in the engine, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use shared::problem::FieldError;
use tch::TchError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stopped by request; what was complete has been kept.
    #[error("canceled")]
    Canceled,
    /// The configuration is at fault.
    #[error("configuration {path:?}: {}", list(errors))]
    Config { path: PathBuf, errors: Vec<FieldError> },
    /// The directory holds something else than a run to start.
    #[error("run directory {path:?} {problem}")]
    RunDir { path: PathBuf, problem: String },
    /// The machine has no such device.
    #[error("device `{device}` cannot be used: {reason}")]
    Device { device: String, reason: String },
    /// A file of a data set is missing or not what it should be.
    #[error("data file {path:?}: {problem}")]
    DataFile { path: PathBuf, problem: String },
    /// The data set is readable and does not hold what the configuration asks for.
    #[error("data: {0}")]
    Data(String),
    /// A checkpoint does not fit the network.
    #[error("checkpoint {path:?} {problem}")]
    Checkpoint { path: PathBuf, problem: String },
    /// A checkpoint can be read in more than one way, or not in the way that was chosen; the fields say what to set.
    #[error("checkpoint {path:?}: {}", list(errors))]
    Undecided { path: PathBuf, errors: Vec<FieldError> },
    /// A file of the public code's training log is missing or not what it should be.
    #[error("training log {path:?} {problem}")]
    TrainLog { path: PathBuf, problem: String },
    /// A checkpoint that a run is to measure or learn from is not there or does not fit.
    #[error("checkpoint `{checkpoint}`: {problem}")]
    SourceCheckpoint { checkpoint: String, problem: String },
    /// Training left the finite numbers.
    #[error("the loss in epoch {epoch} is not finite; a lower learning rate may help")]
    Diverged { epoch: u32 },
    /// A run could not train the teacher it learns from.
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
    /// Names the file in an input or output error: `.map_err(Error::io(&path))`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    }
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; ")
}
