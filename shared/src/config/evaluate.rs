//! Runs that measure the clean and the robust accuracy of a checkpoint.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::autoattack::{AutoAttack, STANDARD_QUERIES};
use super::check::Check;
use super::data::{DataConfig, SplitName};
use super::threat::{Norm, ThreatModel};
use crate::eps::Eps;
use crate::id::CheckpointRef;

/// Measures the clean and the robust accuracy of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    #[serde(default)]
    pub name: String,
    /// Seed of all random draws of the attacks.
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    #[schema(value_type = String, example = "at-cifar10-7f3a.best")]
    pub checkpoint: CheckpointRef,
    /// Images to evaluate. Absent: the data of the checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Number of images, in equal parts for each class. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// Norm of the threat model. Absent: that of the checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Radius of the threat model. Absent: that of the checkpoint's run. A number from 1 on without a
    /// denominator requires `norm`, because it means another radius in each norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "8/255")]
    pub eps: Option<Eps>,
    /// PGD with restarts. Absent: not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgd: Option<RestartedPgdConfig>,
    /// Attacks of AutoAttack, in their order. Each runs on the images that are still classified correctly.
    /// Empty: not run.
    #[serde(default = "AutoAttack::standard")]
    pub autoattack: Vec<AutoAttack>,
    /// Number of queries of the Square attack for each image; the standard is 5000.
    #[serde(default = "standard_queries")]
    pub square_queries: u32,
}

/// PGD from several random starts; the worst result of each image counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestartedPgdConfig {
    pub steps: u32,
    /// Step size. Absent: eps/4 for ℓ∞ and eps/8 for ℓ2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2/255")]
    pub step_size: Option<Eps>,
    /// Number of random starts, the first included.
    pub restarts: u32,
}

fn standard_queries() -> u32 {
    STANDARD_QUERIES
}

impl Default for RestartedPgdConfig {
    fn default() -> Self {
        RestartedPgdConfig { steps: 20, step_size: None, restarts: 1 }
    }
}

impl EvaluateConfig {
    /// Standard AutoAttack on a checkpoint.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        super::with_defaults(json!({ "checkpoint": checkpoint }))
    }

    /// `None` if it is that of the checkpoint's run, or partly.
    pub fn threat(&self) -> Option<ThreatModel> {
        Some(ThreatModel { norm: self.norm?, eps: self.eps? })
    }

    pub(super) fn title(&self) -> String {
        format!("Robust accuracy of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name: _, seed: _, device: _, checkpoint: _, data, split: _, samples, norm, eps, pgd, autoattack, square_queries } = self;
        check.data(data.as_ref());
        check.samples("samples", *samples, 2, 10_000_000);
        check.that("eps", norm.is_none() || eps.is_some(), || "is missing; a norm without a radius is no threat model".to_owned());
        let largest = norm.unwrap_or(Norm::L2).largest([3, 256, 256]);
        check.size("eps", *eps, largest);
        if let Some(RestartedPgdConfig { steps, step_size, restarts }) = pgd {
            check.range("pgd.steps", *steps, 1, 10_000);
            check.range("pgd.restarts", *restarts, 1, 1000);
            check.size("pgd.step_size", *step_size, largest);
        }
        check.that("autoattack", pgd.is_some() || !autoattack.is_empty(), || {
            "is empty and `pgd` is absent: nothing would attack".to_owned()
        });
        check.distinct("autoattack", autoattack, "attack");
        check.range("square_queries", *square_queries, 1, 100_000);
    }
}
