//! Runs that classify the adversarial images of each of several checkpoints with all of them.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use crate::id::CheckpointRef;

/// Measures how adversarial images of one checkpoint transfer to the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    #[serde(default)]
    pub name: String,
    /// Seed of the attack's random starts, the same on every checkpoint.
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// 2 to 40 checkpoints over the classes of one data set, such as the epochs of one run.
    #[schema(value_type = Vec<String>)]
    pub checkpoints: Vec<CheckpointRef>,
    /// Images to attack. Absent: the data of the first checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Number of images, in equal parts for each class. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// Attack on the images. Absent: the measuring attack of the first checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
}

impl TransferConfig {
    pub const MOST_CHECKPOINTS: usize = 40;

    pub fn of(checkpoints: Vec<CheckpointRef>) -> Self {
        super::with_defaults(json!({ "checkpoints": checkpoints }))
    }

    pub(super) fn title(&self) -> String {
        let mut runs: Vec<&str> = self.checkpoints.iter().map(|checkpoint| checkpoint.run.as_str()).collect();
        runs.dedup();
        match runs.as_slice() {
            [run] => format!("Transfer between {} checkpoints of {run}", self.checkpoints.len()),
            _ => format!("Transfer between {} checkpoints", self.checkpoints.len()),
        }
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name: _, seed: _, device: _, checkpoints, data, split: _, samples, attack } = self;
        let within = (2..=Self::MOST_CHECKPOINTS).contains(&checkpoints.len());
        check.that("checkpoints", within, || format!("names {}; 2 to {}", checkpoints.len(), Self::MOST_CHECKPOINTS));
        check.distinct("checkpoints", checkpoints, "checkpoint");
        check.data(data.as_ref());
        check.samples("samples", *samples, 2, 10_000_000);
        if let Some(attack) = attack {
            check.inside("attack", |check| attack.validate(check));
        }
    }
}
