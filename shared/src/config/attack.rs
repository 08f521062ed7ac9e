//! PGD attacks.

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::threat::{Norm, ThreatModel};
use crate::eps::Eps;

/// Number of steps of the training attack: 10, as in Madry et al. 2018 and the paper.
pub const TRAINING_STEPS: u32 = 10;

/// Statistics used by batch normalization during an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// Statistics of the batch. Each attack step also updates the running statistics, as in the paper's
    /// public code.
    Train,
    /// Running statistics, which the attack does not update.
    Eval,
}

/// The threat model and the training attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    pub norm: Norm,
    /// Radius of the ball around an image with pixels in `[0, 1]`: `8/255`, or a number below 1. A larger
    /// number without a denominator means n/255 in ℓ∞ and a length in ℓ2. `1` in ℓ∞ is refused, because it
    /// can mean 1/255 or 1.0.
    #[schema(value_type = String, example = "8/255")]
    pub eps: Eps,
    /// Step size of the attack. Absent: eps/4 for ℓ∞ and eps/8 for ℓ2, as in the paper, and 1.25 eps for fast
    /// adversarial training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2/255")]
    pub step_size: Option<Eps>,
    /// Number of steps: 10 in Madry et al. 2018; fast adversarial training requires 1.
    #[serde(default = "training_steps")]
    pub steps: u32,
    /// Whether the attack starts from a random point, uniform in the ball. TRADES instead adds Gaussian noise
    /// of standard deviation 0.001, as in its authors' code.
    #[serde(default = "yes")]
    pub random_start: bool,
    #[serde(default = "as_published")]
    pub batch_norm: BatchNormMode,
}

/// A PGD attack for measurements, with its threat model. It does not change the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PgdConfig {
    pub norm: Norm,
    /// Radius, as `eps` of the training attack.
    #[schema(value_type = String, example = "8/255")]
    pub eps: Eps,
    /// Step size. Absent: eps/4 for ℓ∞ and eps/8 for ℓ2, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2/255")]
    pub step_size: Option<Eps>,
    #[serde(default = "measuring_steps")]
    pub steps: u32,
    #[serde(default = "yes")]
    pub random_start: bool,
}

fn training_steps() -> u32 {
    TRAINING_STEPS
}
pub(super) fn measuring_steps() -> u32 {
    20
}
fn as_published() -> BatchNormMode {
    BatchNormMode::Train
}
fn yes() -> bool {
    true
}

impl AttackConfig {
    /// The paper's training attack in a threat model: PGD-10.
    pub fn of(norm: Norm, eps: Eps) -> Self {
        AttackConfig { norm, eps, step_size: None, steps: training_steps(), random_start: true, batch_norm: as_published() }
    }

    pub fn threat(&self) -> ThreatModel {
        ThreatModel { norm: self.norm, eps: self.eps }
    }

    pub(super) fn validate(&self, shape: [u32; 3], check: &mut Check) {
        let largest = self.norm.largest(shape);
        check.size("eps", self.eps, largest);
        check.size("step_size", self.step_size, largest);
        check.range("steps", self.steps, 1, 1000);
    }
}

impl PgdConfig {
    /// The paper's measuring attack in a threat model: PGD-20.
    pub fn of(norm: Norm, eps: Eps) -> Self {
        PgdConfig { norm, eps, step_size: None, steps: measuring_steps(), random_start: true }
    }

    pub fn threat(&self) -> ThreatModel {
        ThreatModel { norm: self.norm, eps: self.eps }
    }

    /// The given step size, or the paper's.
    pub fn step_size(&self) -> Eps {
        self.step_size.unwrap_or_else(|| self.threat().paper_step())
    }

    pub(super) fn validate(&self, check: &mut Check) {
        // The image size may be unknown here. This is the largest size that is allowed.
        let largest = self.norm.largest([3, 256, 256]);
        check.size("eps", self.eps, largest);
        check.size("step_size", self.step_size, largest);
        check.range("steps", self.steps, 1, 10_000);
    }
}
