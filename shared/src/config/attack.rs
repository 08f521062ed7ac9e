//! Threat models and the attacks inside them.

use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::eps::Eps;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    Linf,
    L2,
}

/// Steps of the training attack: Madry et al. 2018 and the paper train with 10.
pub const TRAINING_STEPS: u32 = 10;

/// Which statistics batch normalization uses while the attack searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// Of the batch; every step of the attack also moves the running statistics, as in the paper's public code.
    Train,
    /// The running statistics, left as they are.
    Eval,
}

/// The threat model, and the attack that training uses inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    pub norm: Norm,
    /// Radius of the ball in the norm above, of pixels in `[0, 1]`: `8/255`, or a number below 1. A larger bare number is of 255 in ℓ∞
    /// and a length in ℓ2; 1 in ℓ∞ is refused, because it can be read as 1/255 and as 1.0.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "8/255"))]
    pub eps: Eps,
    /// Absent: eps/4 for ℓ∞ and eps/8 for ℓ2 as the paper has it, and 1.25 eps for fast adversarial training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "2/255"))]
    pub step_size: Option<Eps>,
    /// Madry et al. train with 10; fast adversarial training takes 1.
    #[serde(default = "training_steps")]
    pub steps: u32,
    /// Uniformly within the ball; TRADES takes 0.001 times a normal number for each pixel instead, as its authors do.
    #[serde(default = "yes")]
    pub random_start: bool,
    #[serde(default = "as_published")]
    pub batch_norm: BatchNormMode,
}

/// A PGD attack to measure with, threat model included. The network is left as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PgdConfig {
    pub norm: Norm,
    /// As in the threat model of training.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "8/255"))]
    pub eps: Eps,
    /// Absent: eps/4 for ℓ∞ and eps/8 for ℓ2, as the paper has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "2/255"))]
    pub step_size: Option<Eps>,
    #[serde(default = "measuring_steps")]
    pub steps: u32,
    #[serde(default = "yes")]
    pub random_start: bool,
}

fn training_steps() -> u32 {
    TRAINING_STEPS
}
fn measuring_steps() -> u32 {
    20
}
fn as_published() -> BatchNormMode {
    BatchNormMode::Train
}
fn yes() -> bool {
    true
}

impl Norm {
    pub const ALL: [Norm; 2] = [Norm::Linf, Norm::L2];

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        match self {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
        }
    }

    pub fn from_id(id: &str) -> Option<Self> {
        Norm::ALL.into_iter().find(|norm| norm.id() == id)
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Norm::Linf => "ℓ∞",
            Norm::L2 => "ℓ2",
        }
    }

    /// The paper's step size, for training and measuring alike: eps/4 for ℓ∞, eps/8 for ℓ2.
    pub fn paper_step(self, eps: Eps) -> Eps {
        match self {
            Norm::Linf => eps.scaled(1.0 / 4.0),
            Norm::L2 => eps.scaled(1.0 / 8.0),
        }
    }

    /// The distance between the two images of `shape` that are furthest apart.
    pub(super) fn largest(self, shape: [u32; 3]) -> f64 {
        match self {
            Norm::Linf => 1.0,
            Norm::L2 => f64::from(shape.iter().product::<u32>()).sqrt(),
        }
    }
}

impl AttackConfig {
    /// The paper's PGD-10 in a threat model.
    pub fn of(norm: Norm, eps: Eps) -> Self {
        AttackConfig { norm, eps, step_size: None, steps: training_steps(), random_start: true, batch_norm: as_published() }
    }

    pub(super) fn validate(&self, shape: [u32; 3], check: &mut Check) {
        let largest = self.norm.largest(shape);
        check.size("eps", self.eps, largest);
        if let Some(step_size) = self.step_size {
            check.size("step_size", step_size, largest);
        }
        check.range("steps", self.steps, 1, 1000);
    }
}

impl PgdConfig {
    /// The paper's measuring attack in a threat model: PGD-20.
    pub fn of(norm: Norm, eps: Eps) -> Self {
        PgdConfig { norm, eps, step_size: None, steps: measuring_steps(), random_start: true }
    }

    /// The step size given, or the paper's.
    pub fn step_size(&self) -> Eps {
        self.step_size.unwrap_or_else(|| self.norm.paper_step(self.eps))
    }

    pub(super) fn validate(&self, check: &mut Check) {
        // The images may not be known yet; no ball is larger than this one.
        let largest = self.norm.largest([3, 256, 256]);
        check.size("eps", self.eps, largest);
        if let Some(step_size) = self.step_size {
            check.size("step_size", step_size, largest);
        }
        check.range("steps", self.steps, 1, 10_000);
    }
}
