//! Runs that measure a checkpoint at several radii.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use super::threat::Norm;
use crate::eps::Eps;
use crate::id::CheckpointRef;

/// Measures the accuracy and CAS of one checkpoint under PGD at several radii.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EpsCurveConfig {
    /// Name of the run, at most 80 characters. Empty: named after the checkpoint.
    #[serde(default)]
    pub name: String,
    /// Seed of the attack's random starts, the same at every radius, and of the bootstrap.
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    #[schema(value_type = String, example = "at-cifar10-7f3a.best")]
    pub checkpoint: CheckpointRef,
    /// Images to attack. Absent: the data of the checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Number of images, in equal parts for each class. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// Norm of the attack. Absent: that of the checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Radii in increasing order; 0 are the images as they are. A number from 1 on without a denominator requires
    /// `norm`. Empty: 0, 1, 2, 4, 6, 8, 10, 12 and 16 of 255 in ℓ∞, and 16 times these in ℓ2, as the paper's radii
    /// are 8/255 and 128/255.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["0/255", "4/255", "8/255", "16/255"]))]
    pub eps: Vec<Eps>,
    /// Step size at every radius. Absent: in proportion to the radius, eps/4 for ℓ∞ and eps/8 for ℓ2, as in the paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2/255")]
    pub step_size: Option<Eps>,
    /// Number of steps; PGD-20 is the paper's measuring attack.
    #[serde(default = "super::attack::measuring_steps")]
    pub steps: u32,
    /// Number of bootstrap resamples for the intervals of CAS; 0 for no intervals.
    #[serde(default = "super::attribute::bootstrap")]
    pub bootstrap: u32,
}

impl EpsCurveConfig {
    const MOST_RADII: usize = 50;

    /// The default radii and attack on a checkpoint.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        super::with_defaults(json!({ "checkpoint": checkpoint }))
    }

    /// The given radii, or the default ones of `norm`.
    pub fn radii(&self, norm: Norm) -> Vec<Eps> {
        let factor = match norm {
            Norm::Linf => 1.0,
            Norm::L2 => 16.0,
        };
        match self.eps.as_slice() {
            [] => [0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0].map(|eps| Eps::of_255(eps * factor)).to_vec(),
            given => given.to_vec(),
        }
    }

    /// The attack at a radius; `None` at 0.
    pub fn attack(&self, norm: Norm, eps: Eps) -> Option<PgdConfig> {
        (eps.fraction() > 0.0).then(|| PgdConfig { step_size: self.step_size, steps: self.steps, ..PgdConfig::of(norm, eps) })
    }

    pub(super) fn title(&self) -> String {
        format!("Curve over eps of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name: _, seed: _, device: _, checkpoint: _, data, split: _, samples, norm, eps, step_size, steps, bootstrap } = self;
        check.data(data.as_ref());
        check.samples("samples", *samples, 2, 10_000_000);
        let largest = norm.unwrap_or(Norm::L2).largest([3, 256, 256]);
        check.that("eps", eps.len() <= Self::MOST_RADII, || format!("names {} radii; at most {}", eps.len(), Self::MOST_RADII));
        for (index, eps) in eps.iter().enumerate().filter(|(_, eps)| eps.fraction() != 0.0) {
            check.size(&format!("eps[{index}]"), *eps, largest);
        }
        if let Some(index) = (1..eps.len()).find(|index| eps[*index] <= eps[index - 1]) {
            check.fail("eps", format!("has {} after {}; name each radius once, in increasing order", eps[index], eps[index - 1]));
        }
        check.size("step_size", *step_size, largest);
        check.range("steps", *steps, 1, 10_000);
        check.range("bootstrap", *bootstrap, 0, 10_000);
    }
}
