//! What a file to import holds, and what has to be asked about it before anything is measured.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Architecture, Normalization};

/// What is found in a file, with the answers that an import's configuration gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inspection {
    /// What kind of file it is, such as `PyTorch`.
    pub format: String,
    /// Every network in it.
    pub networks: Vec<FoundNetwork>,
    /// What is used of the file, and everything that is not, in sentences.
    pub facts: Vec<String>,
    /// In the order in which they are to be answered: an answer may change those after it.
    pub questions: Vec<Question>,
    /// What is used, as far as it is decided.
    pub architecture: Architecture,
    pub width: u32,
    pub classes: u32,
    pub parameters: u64,
    /// Absent while it is not decided.
    pub normalization: Option<Normalization>,
    /// The test images that accuracies were measured on; absent where the images are not here.
    #[serde(default)]
    pub test_images: Option<u32>,
}

/// A network in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundNetwork {
    /// What the names of its tensors begin with, without the last dot.
    pub prefix: String,
    /// The network before it in the file that has the same numbers.
    #[serde(default)]
    pub same_as: Option<String>,
}

/// What a file can be read as in more than one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Question {
    /// The field of the import's configuration that answers it: `network`, `head`, `normalization` or `strict`.
    pub field: String,
    /// What there is to decide, in a sentence.
    pub message: String,
    pub options: Vec<Answer>,
    /// The value that is used: the one given, or the one that nothing speaks against. Absent: the file is refused until there is one.
    #[serde(default)]
    pub answer: Option<Value>,
}

/// A reading of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Answer {
    /// Of the field.
    pub value: Value,
    pub label: String,
    /// On a sample of the test images; absent where it was not measured.
    #[serde(default)]
    pub clean_accuracy: Option<f64>,
}

/// The answer to a file that was sent, or is on the server, to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inspected {
    /// What to name a file that was sent by, to look at it again or to import it, for two hours after the last time.
    #[serde(default)]
    pub upload: Option<String>,
    /// Absent where the file cannot be imported so.
    #[serde(default)]
    pub inspection: Option<Inspection>,
    /// Why it cannot.
    #[serde(default)]
    pub problem: Option<String>,
}
