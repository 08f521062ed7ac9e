//! Content of a file to import, and the questions to answer before the import.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Architecture, Normalization};

/// Content of a file, given the answers in the configuration of the import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Inspection {
    /// Format of the file, such as `PyTorch`.
    pub format: String,
    /// All networks of the file.
    pub networks: Vec<FoundNetwork>,
    /// Sentences about the used and the ignored parts of the file.
    pub facts: Vec<String>,
    /// Questions in the order to answer them: an answer can change the later ones.
    pub questions: Vec<Question>,
    /// Checkpoints of a folder by their epochs, those without one last; empty for a file. What is said above
    /// and below is of one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<FoundCheckpoint>,
    /// Architecture of the network; absent for a program. This and the fields below follow from the answers so far.
    #[serde(default)]
    pub architecture: Option<Architecture>,
    /// Number of layers; absent if the architecture has one depth.
    #[serde(default)]
    pub depth: Option<u32>,
    /// Absent for a program.
    #[serde(default)]
    pub width: Option<u32>,
    pub classes: u32,
    pub parameters: u64,
    /// Normalization of the pixels; absent if it is not decided yet.
    pub normalization: Option<Normalization>,
    /// Number of test images behind the accuracies; absent if the images are not available.
    #[serde(default)]
    pub test_images: Option<u32>,
}

/// A network in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundNetwork {
    /// Common prefix of its tensor names, without the last dot.
    pub prefix: String,
    /// An earlier network of the file with the same values.
    #[serde(default)]
    pub same_as: Option<String>,
}

/// A checkpoint in a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundCheckpoint {
    /// Name of the file in the folder.
    pub file: String,
    /// Epoch by the name of the file or by what is stored in it; absent if neither tells.
    pub epoch: Option<u32>,
    /// Whether it is imported if the configuration does not list `checkpoints`.
    pub used: bool,
    /// Sentence about its epoch; empty if there is nothing to say.
    pub note: String,
    /// Why the file cannot be a part of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    pub size_bytes: u64,
}

/// A question: the file can be read in more than one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// Field of the import's configuration with the answer: `network`, `head`, `activation`, `normalization` or `strict`.
    pub field: String,
    /// The question, as a sentence.
    pub message: String,
    pub options: Vec<Answer>,
    /// The value in use: the given answer, or the only plausible one. Absent: the import is refused without
    /// an answer.
    #[serde(default)]
    pub answer: Option<Value>,
}

/// A possible answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// Value for the field.
    pub value: Value,
    pub label: String,
    /// Clean accuracy on a sample of the test images; absent if not measured.
    #[serde(default)]
    pub clean_accuracy: Option<f64>,
}

/// Response to an uploaded file or a path on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Inspected {
    /// Name of the uploaded file for further requests; valid for two hours after its last use.
    #[serde(default)]
    pub upload: Option<String>,
    /// Content of the file; absent if it cannot be imported with these answers.
    #[serde(default)]
    pub inspection: Option<Inspection>,
    /// Why the file cannot be imported.
    #[serde(default)]
    pub problem: Option<String>,
}
