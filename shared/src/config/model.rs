//! Which network.

use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::dataset::DatasetInfo;

/// A network by its published name. `width` scales it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
        self.width.unwrap_or(self.architecture.published_width())
    }

    /// `channels`, `side`: of the images.
    pub(super) fn validate(&self, [channels, side, _]: [u32; 3], data_title: &str, check: &mut Check) {
        let ModelConfig { architecture, width, normalization } = self;
        if let Some(width) = *width {
            check.range("width", width, 1, 2048);
            if *architecture == Architecture::DeitTiny {
                check.that("width", width.is_multiple_of(DEIT_HEADS), || {
                    format!("{width} is not a multiple of the {DEIT_HEADS} heads of DeiT-Ti")
                });
            }
        }
        let smallest = architecture.smallest_side();
        check.that("architecture", side >= smallest, || {
            format!(
                "{} needs images of {smallest}×{smallest} or more; {data_title} has {side}×{side}: use preact_resnet_small",
                architecture.id()
            )
        });
        if *architecture == Architecture::DeitTiny {
            check.that("architecture", side.is_multiple_of(4), || {
                format!("deit_tiny cuts images into patches of 4×4; {side} is no multiple of 4")
            });
        }
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

impl Architecture {
    pub const ALL: [Architecture; 6] = [
        Architecture::PreactResnet18,
        Architecture::PreactResnetSmall,
        Architecture::Resnet18,
        Architecture::WideResnet28,
        Architecture::WideResnet34,
        Architecture::DeitTiny,
    ];

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        match self {
            Architecture::PreactResnet18 => "preact_resnet18",
            Architecture::PreactResnetSmall => "preact_resnet_small",
            Architecture::Resnet18 => "resnet18",
            Architecture::WideResnet28 => "wide_resnet28",
            Architecture::WideResnet34 => "wide_resnet34",
            Architecture::DeitTiny => "deit_tiny",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Architecture::PreactResnet18 => "PreActResNet-18",
            Architecture::PreactResnetSmall => "PreActResNet, small",
            Architecture::Resnet18 => "ResNet-18",
            Architecture::WideResnet28 => "WideResNet-28",
            Architecture::WideResnet34 => "WideResNet-34",
            Architecture::DeitTiny => "DeiT-Ti",
        }
    }

    pub fn published_width(self) -> u32 {
        match self {
            Architecture::PreactResnet18 | Architecture::PreactResnetSmall | Architecture::Resnet18 => 64,
            Architecture::WideResnet28 | Architecture::WideResnet34 => 160,
            Architecture::DeitTiny => 192,
        }
    }

    /// Stages whose output an attribution can be computed on, the penultimate features aside: blocks of residual networks between two
    /// changes of size, and every third block of DeiT.
    pub fn stages(self) -> u32 {
        match self {
            Architecture::PreactResnet18 | Architecture::Resnet18 | Architecture::DeitTiny => 4,
            Architecture::PreactResnetSmall | Architecture::WideResnet28 | Architecture::WideResnet34 => 3,
        }
    }

    fn smallest_side(self) -> u32 {
        match self {
            Architecture::PreactResnet18 | Architecture::Resnet18 => 16,
            Architecture::PreactResnetSmall | Architecture::WideResnet28 | Architecture::WideResnet34 | Architecture::DeitTiny => 8,
        }
    }
}
