//! Which network.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::check::Check;
use crate::dataset::DatasetInfo;

/// A network by its published name. `width` scales it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Architecture {
    /// PreActResNet-18: He et al. 2016, <https://arxiv.org/abs/1603.05027>; four stages of two blocks.
    PreactResnet18,
    /// The same blocks, three stages of one block each, for images of 8×8 and 16×16.
    PreactResnetSmall,
    /// ResNet-18 with a 3×3 stem, for 32×32 and 64×64: He et al. 2015, <https://arxiv.org/abs/1512.03385>.
    Resnet18,
    /// WideResNet-28, width 160 for -28-10: Zagoruyko and Komodakis 2016, <https://arxiv.org/abs/1605.07146>.
    WideResnet28,
    /// WideResNet-34, width 160 for -34-10.
    WideResnet34,
    /// DeiT-Ti with patches of 4×4 for 32×32: Touvron et al. 2021, <https://arxiv.org/abs/2012.12877>.
    DeitTiny,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    pub architecture: Architecture,
    /// Channels of the first stage, which later stages double; for DeiT the length of a token. Absent: the published network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// What pixels in `[0, 1]` are normalized with before the first layer. Absent: the data set's mean and standard deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

/// Per channel: `(pixel − mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

impl ModelConfig {
    /// The published network.
    pub fn of(architecture: Architecture) -> Self {
        ModelConfig { architecture, width: None, normalization: None }
    }

    /// The same network with its normalization written out, so that it can be built without knowing its data.
    pub fn normalized_for(&self, info: &DatasetInfo) -> Self {
        let normalization = self.normalization.clone().unwrap_or_else(|| Normalization::of(info));
        ModelConfig { normalization: Some(normalization), width: Some(self.width()), ..*self }
    }

    /// The width given, or the published network's.
    pub fn width(&self) -> u32 {
        self.width.unwrap_or(self.architecture.facts().published_width)
    }

    /// `channels`, `side`: of the images.
    pub(super) fn validate(&self, [channels, side, _]: [u32; 3], data_title: &str, check: &mut Check) {
        let ModelConfig { architecture, width, normalization } = self;
        let facts = architecture.facts();
        if let Some(width) = *width {
            check.range("width", width, 1, 2048);
            check.that("width", width.is_multiple_of(facts.heads), || {
                format!("{width} is not a multiple of the {} heads of {}", facts.heads, facts.label)
            });
        }
        let smallest = facts.smallest_side;
        check.that("architecture", side >= smallest, || {
            format!(
                "{} needs images of {smallest}×{smallest} or more; {data_title} has {side}×{side}: use preact_resnet_small",
                architecture.id()
            )
        });
        let patch = facts.patch;
        check.that("architecture", side.is_multiple_of(patch), || {
            format!("{} cuts images into patches of {patch}×{patch}; {side} is no multiple of {patch}", architecture.id())
        });
        if let Some(normalization) = normalization {
            check.inside("normalization", |check| normalization.validate(channels, data_title, check));
        }
    }
}

impl Normalization {
    /// Pixels as they are.
    pub fn none(channels: usize) -> Self {
        Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// The mean and deviation of a data set.
    pub fn of(info: &DatasetInfo) -> Self {
        Normalization { mean: info.mean.clone(), std: info.std.clone() }
    }

    /// `channels`: of the images.
    pub(super) fn validate(&self, channels: u32, data_title: &str, check: &mut Check) {
        let Normalization { mean, std } = self;
        for (field, values) in [("mean", mean), ("std", std)] {
            check.that(field, values.len() == channels as usize, || {
                format!("{values:?} has {} values; {data_title} has {channels} channels", values.len())
            });
        }
        check.that("std", std.iter().all(|value| *value > 0.0), || format!("{std:?} holds a value that is not above 0"));
    }
}

/// Heads of attention in a block of DeiT-Ti.
pub const DEIT_HEADS: u32 = 3;

/// Everything fixed about an architecture, in one table.
#[derive(Debug)]
pub struct ArchitectureFacts {
    pub label: &'static str,
    /// What `width` counts, for the form.
    pub width_label: &'static str,
    pub published_width: u32,
    /// Stages that an attribution can be computed on, beside the penultimate features: blocks of residual networks between two changes
    /// of size, and every third block of DeiT.
    pub stages: u32,
    /// The last stage that Grad-CAM can map.
    pub last_mapped_stage: u32,
    /// The smallest side of an image.
    pub smallest_side: u32,
    /// The side of an image is a multiple of this.
    pub patch: u32,
    /// The width is a multiple of this.
    pub heads: u32,
}

/// What residual networks of four stages have in common.
const FOUR_STAGES: ArchitectureFacts = ArchitectureFacts {
    label: "",
    width_label: "Channels of the first stage",
    published_width: 64,
    stages: 4,
    last_mapped_stage: 4,
    smallest_side: 16,
    patch: 1,
    heads: 1,
};

/// What residual networks of three stages have in common.
const THREE_STAGES: ArchitectureFacts = ArchitectureFacts { stages: 3, last_mapped_stage: 3, smallest_side: 8, ..FOUR_STAGES };

impl Architecture {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub const fn facts(self) -> &'static ArchitectureFacts {
        match self {
            Architecture::PreactResnet18 => &ArchitectureFacts { label: "PreActResNet-18", ..FOUR_STAGES },
            Architecture::PreactResnetSmall => &ArchitectureFacts { label: "PreActResNet, small", ..THREE_STAGES },
            Architecture::Resnet18 => &ArchitectureFacts { label: "ResNet-18", ..FOUR_STAGES },
            Architecture::WideResnet28 => &ArchitectureFacts { label: "WideResNet-28", published_width: 160, ..THREE_STAGES },
            Architecture::WideResnet34 => &ArchitectureFacts { label: "WideResNet-34", published_width: 160, ..THREE_STAGES },
            Architecture::DeitTiny => &ArchitectureFacts {
                label: "DeiT-Ti",
                width_label: "Length of a token",
                published_width: 192,
                stages: 4,
                // After the last stage only the class token is read, so that its patches have no say.
                last_mapped_stage: 3,
                smallest_side: 8,
                patch: 4,
                heads: DEIT_HEADS,
            },
        }
    }

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        self.facts().label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_configurations_write() {
        for architecture in Architecture::ALL {
            assert_eq!(serde_json::to_value(architecture).unwrap(), architecture.id());
        }
    }
}
