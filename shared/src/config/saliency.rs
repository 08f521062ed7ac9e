//! Runs that compute Grad-CAM maps.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use super::train::Inputs;
use crate::id::CheckpointRef;

/// Computes Grad-CAM maps of the same images at several checkpoints.
///
/// Grad-CAM: Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaliencyConfig {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// One to six checkpoints over the same classes.
    #[schema(value_type = Vec<String>)]
    pub checkpoints: Vec<CheckpointRef>,
    /// Images to show. Absent: the data of the first checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    #[serde(default = "both_inputs")]
    pub inputs: Vec<Inputs>,
    /// Attack on the images. Absent: the measuring attack of the first checkpoint's run. Each checkpoint gets
    /// its own adversarial images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
    /// Number of images of each class, in the order of the data set.
    #[serde(default = "one")]
    pub images_per_class: u32,
    /// Network stage of the maps, from 1. Absent: the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
}

fn both_inputs() -> Vec<Inputs> {
    vec![Inputs::Clean, Inputs::Adversarial]
}
fn one() -> u32 {
    1
}

impl SaliencyConfig {
    /// One image of each class at the given checkpoints.
    pub fn of(checkpoints: Vec<CheckpointRef>) -> Self {
        super::with_defaults(json!({ "checkpoints": checkpoints }))
    }

    pub(super) fn title(&self) -> String {
        let names: Vec<String> = self.checkpoints.iter().map(CheckpointRef::to_string).collect();
        format!("Saliency of {}", names.join(", "))
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name: _, seed: _, device: _, checkpoints, data, split: _, inputs, attack, images_per_class, stage } = self;
        check.that("checkpoints", (1..=6).contains(&checkpoints.len()), || format!("names {}; one to six", checkpoints.len()));
        check.distinct("checkpoints", checkpoints, "checkpoint");
        check.data(data.as_ref());
        check.that("inputs", !inputs.is_empty(), || "is empty; name `adversarial`, `clean` or both".to_owned());
        check.distinct("inputs", inputs, "inputs");
        if let Some(attack) = attack {
            check.inside("attack", |check| attack.validate(check));
        }
        check.range("images_per_class", *images_per_class, 1, 20);
        if let Some(stage) = *stage {
            check.range("stage", stage, 1, 4);
        }
    }
}
