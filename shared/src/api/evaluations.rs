//! Results of evaluations.

use serde::{Deserialize, Serialize};

use crate::config::{Norm, SplitName, ThreatModel};
use crate::eps::Eps;
use crate::id::CheckpointId;
use crate::record::{BrokenGradients, EvaluationStep};
use crate::signs::Sign;

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
    /// Duration of all attacks together, those of the self-check included.
    pub seconds: f64,
    /// What the evaluation has measured to check itself; absent if it was not asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SelfCheck>,
    /// Signs that the robust accuracy is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

/// What an evaluation has measured to check itself: PGD with few and with many steps, and at a large radius.
///
/// Images that are wrong without an attack count as wrong under each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SelfCheck {
    /// Number of images, in even steps through those of the evaluation.
    pub images: u32,
    /// Number of these that are classified correctly without an attack. Only these are attacked.
    pub clean: u32,
    /// Norm of all three attacks.
    pub norm: Norm,
    /// PGD with 20 steps at the radius of the evaluation.
    pub few_steps: CheckedAttack,
    /// PGD with 100 steps of the same size from the same random starts.
    pub many_steps: CheckedAttack,
    /// Number of images that only the many steps fool.
    pub only_many: u32,
    /// Number of images that only the few steps fool.
    pub only_few: u32,
    /// p of the exact one-sided sign test that the many steps do not fool more images: McNemar 1947.
    pub p: f64,
    /// PGD with 20 steps at eight times the radius of the evaluation, and at 64/255 in ℓ∞ or 1024/255 in ℓ2 at least.
    pub large_radius: CheckedAttack,
}

/// The result of PGD in a self-check. Accuracies are fractions of all images of the self-check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckedAttack {
    /// Radius of the attack.
    #[schema(value_type = String)]
    pub eps: Eps,
    /// Step size.
    #[schema(value_type = String)]
    pub step_size: Eps,
    /// Number of steps.
    pub steps: u32,
    /// Number of images that are still classified correctly.
    pub correct: u32,
    /// `correct` as a fraction.
    pub accuracy: f64,
    /// 95 % interval of the accuracy over draws of the images: Wilson 1927.
    pub accuracy_interval: [f64; 2],
    /// Images whose first gradient cannot lead the attack; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
    /// Duration of the attack.
    pub seconds: f64,
}

impl EvaluationFile {
    pub fn threat(&self) -> ThreatModel {
        ThreatModel { norm: self.norm, eps: self.eps }
    }
}
