//! Results of evaluations.

use serde::{Deserialize, Serialize};

use crate::config::{Norm, SplitName};
use crate::eps::Eps;
use crate::record::EvaluationStep;

/// The result of an evaluation: the content of `evaluation.json` in its run directory, written when it is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluationFile {
    /// `RUN.e12`.
    pub checkpoint: String,
    pub checkpoint_sha256: String,
    pub norm: Norm,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub eps: Eps,
    pub split: SplitName,
    pub class_names: Vec<String>,
    pub class_counts: Vec<u32>,
    /// `clean` first, then each attack in the order it was run.
    pub steps: Vec<EvaluationStep>,
    pub clean_accuracy: f64,
    /// Against the worst of all attacks, image by image.
    pub robust_accuracy: f64,
    pub class_clean_accuracy: Vec<f64>,
    pub class_robust_accuracy: Vec<f64>,
    /// Samples of class i predicted as class j: clean where no attack succeeded, else by the first that did.
    pub confusion: Vec<Vec<u32>>,
    /// The one number to report, in words.
    pub report: String,
    pub seed: u32,
    pub seconds: f64,
}
