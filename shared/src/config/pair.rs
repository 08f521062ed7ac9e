//! Runs that look into pairs of classes: which dimensions their overlap lies in, and what becomes of both without those.

use serde::{Deserialize, Serialize};

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use crate::view::CheckpointRef;

/// Takes the overlap of pairs of classes apart, dimension by dimension and image by image, at one or two checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    #[serde(default)]
    pub name: String,
    /// Of the attack's random starts and the dimensions left out for control. Absent: that of each checkpoint's run, with which the
    /// numbers are those of its matrices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// One or two, over the same classes. The first decides which images are shown.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub checkpoints: Vec<CheckpointRef>,
    /// One to ten pairs of classes `[i, j]`, by index, `i < j`.
    pub pairs: Vec<[u32; 2]>,
    /// Absent: the data of the first checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Absent: the measuring attack of the first checkpoint's run. Each checkpoint is attacked by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
    /// How many dimensions are shown and left out; at most half of all, so that there are as many others to leave out for control.
    /// Absent: 10, or half of all where that is fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Those that drive the dimensions most.
    #[serde(default = "images_per_class")]
    pub images_per_class: u32,
}

fn images_per_class() -> u32 {
    4
}

impl PairConfig {
    pub const MOST_CHECKPOINTS: usize = 2;
    pub const MOST_PAIRS: usize = 10;

    /// Pairs of classes at the checkpoints given.
    pub fn of(checkpoints: Vec<CheckpointRef>, pairs: Vec<[u32; 2]>) -> Self {
        PairConfig {
            name: String::new(),
            seed: None,
            device: super::auto_device(),
            checkpoints,
            pairs,
            data: None,
            split: SplitName::Test,
            attack: None,
            dimensions: None,
            images_per_class: images_per_class(),
        }
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
        let Self { name, seed: _, device, checkpoints, pairs, data, split: _, attack, dimensions, images_per_class } = self;
        check.name(name);
        check.device(device);
        let within = (1..=Self::MOST_CHECKPOINTS).contains(&checkpoints.len());
        check.that("checkpoints", within, || format!("names {}; one or two", checkpoints.len()));
        check.distinct("checkpoints", checkpoints, "checkpoint");
        check.that("pairs", (1..=Self::MOST_PAIRS).contains(&pairs.len()), || format!("names {}; one to ten", pairs.len()));
        check.distinct("pairs", pairs, "pair");
        for (index, [i, j]) in pairs.iter().enumerate() {
            check.that(&format!("pairs[{index}]"), i < j, || format!("[{i}, {j}] is no pair; two classes, the lower index first"));
        }
        if let Some(data) = data {
            check.inside("data", |check| data.validate(check));
        }
        if let Some(attack) = attack {
            check.inside("attack", |check| attack.validate(check));
        }
        if let Some(dimensions) = *dimensions {
            check.range("dimensions", dimensions, 1, 1000);
        }
        check.range("images_per_class", *images_per_class, 1, 20);
    }
}
