//! The layout of a run directory, for worker and server: names of files, exit codes, version of the layout.
//! Reads and writes nothing.

use crate::config::{Inputs, RunKind};

/// Version of the layout that this program writes and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Holds the version of the layout as a decimal number; a directory without this file has version 1.
pub const FORMAT: &str = "format";

/// Configuration, written by whoever starts the worker.
pub const CONFIG: &str = "config.json";
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
/// Folder of the file that an import was uploaded as.
pub const UPLOAD: &str = "upload";
/// State from which an unfinished training run continues.
pub const STATE: &str = "state.safetensors";
/// State from which an unfinished evaluation continues.
pub const EVALUATION_STATE: &str = "evaluation.state.json";
/// [`crate::api::EvaluationFile`]
pub const EVALUATION: &str = "evaluation.json";
/// [`crate::api::SaliencyFile`]
pub const SALIENCY: &str = "saliency.json";
/// [`crate::api::PairFile`]
pub const PAIR: &str = "pair.json";

/// Exit code of a worker that was asked to stop and has saved. 0 is success, any other code failure.
pub const EXIT_CANCELED: u8 = 3;

/// `checkpoints/e12.safetensors`
pub fn checkpoint_file(epoch: u32) -> String {
    format!("{CHECKPOINTS}/e{epoch}.safetensors")
}

/// `checkpoints/e12.json`: architecture, data set, accuracies and hash of a checkpoint.
pub fn sidecar_file(epoch: u32) -> String {
    format!("{CHECKPOINTS}/e{epoch}.json")
}

/// `attributions/e12.adversarial.json`
pub fn attribution_file(epoch: u32, inputs: Inputs) -> String {
    format!("{ATTRIBUTIONS}/e{epoch}.{}.json", inputs.id())
}

/// The file that a run of a kind ends with; `None` for kinds that end with checkpoints or attributions.
pub fn result_file(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::Evaluate => Some(EVALUATION),
        RunKind::Saliency => Some(SALIENCY),
        RunKind::Pair => Some(PAIR),
        RunKind::Train | RunKind::Attribute | RunKind::Import => None,
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
