//! Runs that analyze pairs of classes: their shared dimensions, and accuracy without these dimensions.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use crate::id::CheckpointRef;

/// Splits the overlap of pairs of classes by dimension and image, at one or two checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    #[serde(default)]
    pub name: String,
    /// Seed of the attack's random starts and of the control dimensions. Absent: the seed of each
    /// checkpoint's run, so that the numbers agree with its matrices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// One or two checkpoints over the same classes. The first decides which images are shown.
    #[schema(value_type = Vec<String>)]
    pub checkpoints: Vec<CheckpointRef>,
    /// One to ten pairs of class indices `[i, j]` with `i < j`.
    pub pairs: Vec<[u32; 2]>,
    /// Images to analyze. Absent: the data of the first checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Attack on the images. Absent: the measuring attack of the first checkpoint's run. Each checkpoint gets
    /// its own adversarial images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
    /// Number of dimensions to show and to set to 0; at most half of all, so that the control can use as many
    /// others. Absent: 10, or half of all if that is fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Number of images to show for each class: those that activate the dimensions most.
    #[serde(default = "images_per_class")]
    pub images_per_class: u32,
}

fn images_per_class() -> u32 {
    4
}

impl PairConfig {
    pub const MOST_CHECKPOINTS: usize = 2;
    pub const MOST_PAIRS: usize = 10;

    /// Analyzes pairs of classes at the given checkpoints.
    pub fn of(checkpoints: Vec<CheckpointRef>, pairs: Vec<[u32; 2]>) -> Self {
        super::with_defaults(json!({ "checkpoints": checkpoints, "pairs": pairs }))
    }

    pub(super) fn title(&self) -> String {
        let checkpoints: Vec<String> = self.checkpoints.iter().map(CheckpointRef::to_string).collect();
        let pairs = match self.pairs.as_slice() {
            [[i, j]] => format!("Classes {i} and {j}"),
            pairs => format!("{} pairs of classes", pairs.len()),
        };
        format!("{pairs} at {}", checkpoints.join(", "))
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name: _, seed: _, device: _, checkpoints, pairs, data, split: _, attack, dimensions, images_per_class } = self;
        let within = (1..=Self::MOST_CHECKPOINTS).contains(&checkpoints.len());
        check.that("checkpoints", within, || format!("names {}; one or two", checkpoints.len()));
        check.distinct("checkpoints", checkpoints, "checkpoint");
        check.that("pairs", (1..=Self::MOST_PAIRS).contains(&pairs.len()), || format!("names {}; one to ten", pairs.len()));
        check.distinct("pairs", pairs, "pair");
        for (index, [i, j]) in pairs.iter().enumerate() {
            check.that(&format!("pairs[{index}]"), i < j, || format!("[{i}, {j}] is no pair; two classes, the lower index first"));
        }
        check.data(data.as_ref());
        if let Some(attack) = attack {
            check.inside("attack", |check| attack.validate(check));
        }
        if let Some(dimensions) = *dimensions {
            check.range("dimensions", dimensions, 1, 1000);
        }
        check.range("images_per_class", *images_per_class, 1, 20);
    }
}
