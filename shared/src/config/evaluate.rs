//! Runs that measure the clean and the robust accuracy of a checkpoint.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
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
    /// Whether the evaluation checks itself after its attacks, on at most 200 of its images: PGD with 20 and with 100
    /// steps from the same starts, and PGD-20 at a large radius. Forms turn it on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_check: bool,
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
    /// Number of images of the check at most.
    pub const CHECKED_IMAGES: usize = 200;
    /// Radius of the large attack as a multiple of that of the evaluation: 64/255 for the paper's 8/255.
    const LARGE: f64 = 8.0;

    /// Standard AutoAttack on a checkpoint, with a check of itself.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        super::with_defaults(json!({ "checkpoint": checkpoint, "self_check": true }))
    }

    /// `None` if it is that of the checkpoint's run, or partly.
    pub fn threat(&self) -> Option<ThreatModel> {
        Some(ThreatModel { norm: self.norm?, eps: self.eps? })
    }

    /// PGD with few steps, with many steps from the same starts, and with few steps at a large radius.
    ///
    /// 64/255 in ℓ∞ and 1024/255 in ℓ2 are the smallest large radius, the whole range of a pixel the largest in ℓ∞.
    pub fn checking_attacks(threat: ThreatModel) -> [PgdConfig; 3] {
        let ThreatModel { norm, eps } = threat;
        let (least, most) = match norm {
            Norm::Linf => (Eps::of_255(64.0), 1.0),
            Norm::L2 => (Eps::of_255(1024.0), f64::INFINITY),
        };
        let times = Self::LARGE.min(most / eps.fraction());
        let large = if eps.scaled(times) > least { eps.scaled(times) } else { least };
        let pgd = |eps, steps| PgdConfig { steps, ..PgdConfig::of(norm, eps) };
        [pgd(eps, 20), pgd(eps, 100), pgd(large, 20)]
    }

    pub(super) fn title(&self) -> String {
        format!("Robust accuracy of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self {
            name: _,
            seed: _,
            device: _,
            checkpoint: _,
            data,
            split: _,
            samples,
            norm,
            eps,
            pgd,
            autoattack,
            square_queries,
            self_check: _,
        } = self;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_radius_of_a_check_is_eight_times_that_of_the_evaluation_within_limits() {
        let check = |norm, eps: f64, expected: f64| {
            let [few, many, large] = EvaluateConfig::checking_attacks(ThreatModel { norm, eps: Eps::of_255(eps) });
            assert_eq!((few.eps, many.eps, few.step_size(), few.random_start), (Eps::of_255(eps), few.eps, many.step_size(), true));
            assert_eq!((few.steps, many.steps, large.steps), (20, 100, 20));
            assert!((large.eps.fraction() * 255.0 - expected).abs() < 1e-9, "{norm:?} {eps}: {}", large.eps);
        };
        check(Norm::Linf, 8.0, 64.0);
        check(Norm::Linf, 2.0, 64.0);
        check(Norm::Linf, 25.5, 204.0);
        check(Norm::Linf, 76.5, 255.0);
        check(Norm::L2, 128.0, 1024.0);
        check(Norm::L2, 64.0, 1024.0);
        check(Norm::L2, 255.0, 2040.0);
    }

    #[test]
    fn a_configuration_of_before_checks_nothing_and_is_written_as_it_was() {
        let config: EvaluateConfig = serde_json::from_value(json!({"checkpoint": "r-1.best"})).unwrap();
        assert!(!config.self_check && !json!(config).as_object().unwrap().contains_key("self_check"));
        let config = EvaluateConfig::of("r-1.best".parse().unwrap());
        assert!(config.self_check && json!(config)["self_check"] == true);
    }
}
