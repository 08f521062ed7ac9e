//! The layout of a run directory, for worker and server: names of files, exit codes, version of the layout.
//! Reads and writes nothing.

use serde::{Deserialize, Serialize};

use crate::config::{Inputs, RunKind};

/// Version of the layout that this program writes and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Holds the version of the layout as a decimal number; a directory without this file has version 1.
pub const FORMAT: &str = "format";

/// Configuration, written by whoever starts the worker.
pub const CONFIG: &str = "config.json";
/// [`crate::labels::Labels`] that people gave the run: written by the server, so that they outlive its
/// database.
pub const LABELS: &str = "labels.json";
/// Output of a worker that a server has started.
pub const LOG: &str = "log.txt";
/// One [`crate::record::Record`] per line, appended by the worker.
pub const METRICS: &str = "metrics.jsonl";
/// Folder of weights and their descriptions.
pub const CHECKPOINTS: &str = "checkpoints";
/// Folder of matrices.
pub const ATTRIBUTIONS: &str = "attributions";
/// Folder of the teachers that a run trains for itself, each a run directory.
pub const TEACHERS: &str = "teachers";
/// Folder of what an import was uploaded as: a file, or a folder of several.
pub const UPLOAD: &str = "upload";
/// State from which an unfinished training run continues.
pub const STATE: &str = "state.safetensors";
/// Batches of an unfinished measurement, from which a restarted worker continues.
pub const MEASURED: &str = "measured.safetensors";
/// State from which an unfinished robustness evaluation continues.
pub const EVALUATION_STATE: &str = "evaluation.state.json";
/// State of a random search on a batch of an unfinished robustness evaluation.
pub const SEARCH: &str = "search.safetensors";
/// Files from which a worker goes on, in a run directory and in those of its teachers.
pub const STATES: [&str; 4] = [STATE, MEASURED, EVALUATION_STATE, SEARCH];
/// Names the worker that writes to the directory, while it does.
pub const LEASE: &str = "lease.json";
/// Asks the worker to save and end. Holds one word, a [`StopReason`].
pub const STOP: &str = "stop";
/// Exit code of the last worker as a decimal number, for whoever cannot wait for its process. A worker that
/// was killed writes none.
pub const EXIT_CODE: &str = "exit_code";
/// [`crate::api::EvaluationFile`]
pub const EVALUATION: &str = "evaluation.json";
/// [`crate::api::SaliencyFile`]
pub const SALIENCY: &str = "saliency.json";
/// [`crate::api::PairFile`]
pub const PAIR: &str = "pair.json";

/// Exit code of a worker that has failed; another try would fail as well. 0 is success.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a worker that a person has canceled. It has saved.
pub const EXIT_CANCELED: u8 = 3;
/// Exit code of a worker that has saved and is to be started again.
pub const EXIT_REQUEUE: u8 = 85;
/// Exit code of a worker that crashed, for example in libtorch. Another try may succeed.
pub const EXIT_CRASHED: u8 = 101;

/// Exit code by which the system says that a program misses libraries. The worker has not begun.
pub const EXIT_NOT_LOADED: u8 = 127;

/// Why a worker is asked to save and end: the content of [`STOP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A person does not want the run to go on.
    Cancel,
    /// A person wants the run to go on later.
    Pause,
    /// The run is to go on as soon as it can, here or elsewhere.
    Requeue,
}

impl StopReason {
    pub const ALL: [StopReason; 3] = [StopReason::Cancel, StopReason::Pause, StopReason::Requeue];

    /// The word in the stop file.
    pub fn id(self) -> &'static str {
        match self {
            StopReason::Cancel => "cancel",
            StopReason::Pause => "pause",
            StopReason::Requeue => "requeue",
        }
    }

    /// Reads the content of a stop file. An empty file or an unknown word is a cancel, so that `touch stop`
    /// ends a run.
    pub fn parse(content: &str) -> Self {
        StopReason::ALL.into_iter().find(|reason| reason.id() == content.trim()).unwrap_or(StopReason::Cancel)
    }

    /// Exit code of a worker that has saved for this reason.
    pub fn exit_code(self) -> u8 {
        match self {
            StopReason::Cancel => EXIT_CANCELED,
            StopReason::Pause | StopReason::Requeue => EXIT_REQUEUE,
        }
    }
}

/// `checkpoints/e12.safetensors`
pub fn checkpoint_file(epoch: u32) -> String {
    format!("{CHECKPOINTS}/e{epoch}.safetensors")
}

/// `checkpoints/e12.pt`: a checkpoint that is a program.
pub fn program_file(epoch: u32) -> String {
    format!("{CHECKPOINTS}/e{epoch}.pt")
}

/// `checkpoints/e12.json`: architecture, data set, accuracies and hash of a checkpoint.
pub fn sidecar_file(epoch: u32) -> String {
    format!("{CHECKPOINTS}/e{epoch}.json")
}

/// `attributions/e12.adversarial.json`
pub fn attribution_file(epoch: u32, inputs: Inputs) -> String {
    format!("{ATTRIBUTIONS}/e{epoch}.{}.json", inputs.id())
}

/// The file that a run of a kind ends with; `None` for kinds that end with checkpoints, attributions or records.
pub fn result_file(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::Evaluate => Some(EVALUATION),
        RunKind::Saliency => Some(SALIENCY),
        RunKind::Pair => Some(PAIR),
        RunKind::Train | RunKind::Attribute | RunKind::EpsCurve | RunKind::Transfer | RunKind::Import | RunKind::External => None,
    }
}

/// Why a run directory cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("its format is {0}, and this version reads formats up to {FORMAT_VERSION}")]
    Newer(u32),
    #[error("its file `format` holds no number: `{0}`")]
    NotANumber(String),
}

/// Checks the content of [`FORMAT`], `None` where there is no such file.
pub fn check_format(content: Option<&str>) -> Result<(), FormatError> {
    let Some(content) = content else { return Ok(()) };
    match content.trim().parse() {
        Ok(version) if version <= FORMAT_VERSION => Ok(()),
        Ok(version) => Err(FormatError::Newer(version)),
        Err(_) => Err(FormatError::NotANumber(content.trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_file_says_why_and_anything_else_in_it_cancels() {
        for reason in StopReason::ALL {
            assert_eq!(StopReason::parse(&format!("{}\n", reason.id())), reason);
        }
        assert_eq!(StopReason::parse(""), StopReason::Cancel);
        assert_eq!(StopReason::parse("enough"), StopReason::Cancel);
    }

    #[test]
    fn directories_of_this_and_earlier_versions_are_read() {
        for (content, expected) in [
            (None, Ok(())),
            (Some("1\n"), Ok(())),
            (Some("2\n"), Err(FormatError::Newer(2))),
            (Some("one"), Err(FormatError::NotANumber("one".into()))),
        ] {
            assert_eq!(check_format(content), expected, "{content:?}");
        }
    }
}
