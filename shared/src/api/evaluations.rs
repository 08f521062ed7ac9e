//! Results of evaluations.

use serde::{Deserialize, Serialize};

use crate::config::{Norm, SplitName, ThreatModel};
use crate::eps::Eps;
use crate::id::CheckpointId;
use crate::record::EvaluationStep;

/// The result of an evaluation.
///
/// Content of `evaluation.json` in its run directory, written when the evaluation is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EvaluationFile {
    /// The evaluated checkpoint, such as `RUN.e12`.
    #[schema(value_type = String)]
    pub checkpoint: CheckpointId,
    /// SHA-256 of the checkpoint file.
    pub checkpoint_sha256: String,
    /// Norm of the threat model.
    pub norm: Norm,
    /// Radius of the threat model.
    #[schema(value_type = String)]
    pub eps: Eps,
    /// Split of the images.
    pub split: SplitName,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Number of evaluated images of each class.
    pub class_counts: Vec<u32>,
    /// `clean` first, then each attack in the order it ran.
    pub steps: Vec<EvaluationStep>,
    /// Fraction of images that are classified correctly without an attack.
    pub clean_accuracy: f64,
    /// Fraction of images that are classified correctly under every attack.
    pub robust_accuracy: f64,
    /// Clean accuracy of each class, a fraction.
    pub class_clean_accuracy: Vec<f64>,
    /// Robust accuracy of each class, a fraction.
    pub class_robust_accuracy: Vec<f64>,
    /// `confusion[i][j]`: number of samples of class i predicted as class j. If an attack succeeded, the
    /// prediction under the first successful attack counts, else the clean prediction.
    pub confusion: Vec<Vec<u32>>,
    /// The number to report and its attacks, as a sentence.
    pub report: String,
    /// Seed of the random draws of the attacks.
    pub seed: u32,
    /// Duration of all attacks together.
    pub seconds: f64,
}

impl EvaluationFile {
    pub fn threat(&self) -> ThreatModel {
        ThreatModel { norm: self.norm, eps: self.eps }
    }
}
