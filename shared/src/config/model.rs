//! Which network.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::check::Check;
use crate::dataset::DatasetInfo;

/// A network by its published name. `width` scales it, and `depth` where the architecture has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Architecture {
    /// PreActResNet-18: He et al. 2016, <https://arxiv.org/abs/1603.05027>; four stages of two blocks.
    PreactResnet18,
    /// PreActResNet-18 of the code of fast adversarial training: without a last normalization, and with shortcuts of
    /// what a block takes as it is. Wong et al. 2020, <https://arxiv.org/abs/2001.03994>.
    FastPreactResnet18,
    /// PreActResNet of one block in each of three stages, for images of 8×8 and 16×16.
    PreactResnetSmall,
    /// ResNet-18 with a 3×3 stem, for 32×32 and 64×64: He et al. 2015, <https://arxiv.org/abs/1512.03385>.
    Resnet18,
    /// WideResNet: Zagoruyko and Komodakis 2016, <https://arxiv.org/abs/1605.07146>; depth 28 and width 160 for -28-10.
    WideResnet,
    /// DeepMind's WideResNet: Gowal et al. 2020, <https://arxiv.org/abs/2010.03593>; SiLU, padding as TensorFlow's `SAME`.
    DmWideResnet,
    /// DeepMind's PreActResNet-18: Rebuffi et al. 2021, <https://arxiv.org/abs/2103.01946>; SiLU, shortcuts of 3×3.
    DmPreactResnet18,
    /// DeiT-Ti with patches of 4×4 for 32×32: Touvron et al. 2021, <https://arxiv.org/abs/2012.12877>.
    DeitTiny,
    /// XCiT of 12 blocks and 8 heads with patches of 4×4: El-Nouby et al. 2021, <https://arxiv.org/abs/2106.09681>;
    /// width 384 for XCiT-S12, 512 for XCiT-M12 of Debenedetti et al. 2022, <https://arxiv.org/abs/2209.07399>.
    XcitS12,
    /// The same with 16 heads: XCiT-L12 of Debenedetti et al.
    XcitL12,
}

/// The function between the layers of a residual network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Activation {
    Relu,
    /// x · sigmoid(x), also called Swish: Elfwing et al. 2017, <https://arxiv.org/abs/1702.03118>.
    Silu,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, from = "WrittenModel")]
pub struct ModelConfig {
    pub architecture: Architecture,
    /// Number of layers of a WideResNet, 6n + 4. Absent: the published network's; only that if the architecture has one depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Channels of the first stage, which later stages double; for DeiT and XCiT the length of a token. Absent: the published
    /// network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Activation of DeepMind's networks. Absent: that of the published weights; only that if the architecture has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What pixels in `[0, 1]` are normalized with before the first layer. Absent: the data set's mean and standard deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

/// A [`ModelConfig`] as files have it. In earlier versions, WideResNets had a name for each depth.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    #[serde(deserialize_with = "named")]
    architecture: (Architecture, Option<u32>),
    depth: Option<u32>,
    width: Option<u32>,
    activation: Option<Activation>,
    normalization: Option<Normalization>,
}

/// Reads an architecture, with the depth that its name tells.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Architecture, Option<u32>), D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.as_str() {
        "wide_resnet28" => Ok((Architecture::WideResnet, Some(28))),
        "wide_resnet34" => Ok((Architecture::WideResnet, Some(34))),
        other => Ok((Architecture::deserialize(other.into_deserializer())?, None)),
    }
}

impl From<WrittenModel> for ModelConfig {
    fn from(written: WrittenModel) -> Self {
        let WrittenModel { architecture: (architecture, named_depth), depth, width, activation, normalization } = written;
        ModelConfig { architecture, depth: depth.or(named_depth), width, activation, normalization }
    }
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
        ModelConfig { architecture, depth: None, width: None, activation: None, normalization: None }
    }

    /// A published network of another depth.
    pub fn of_depth(architecture: Architecture, depth: u32) -> Self {
        ModelConfig { depth: Some(depth), ..ModelConfig::of(architecture) }
    }

    /// The same network with everything written out, so that it can be built without knowing its data.
    pub fn normalized_for(&self, info: &DatasetInfo) -> Self {
        let normalization = self.normalization.clone().unwrap_or_else(|| Normalization::of(info));
        ModelConfig { normalization: Some(normalization), ..self.spelled_out() }
    }

    /// The same with the published values written out where the architecture has others.
    pub fn spelled_out(&self) -> Self {
        let facts = self.architecture.facts();
        ModelConfig {
            depth: facts.published_depth.map(|_| self.depth()),
            width: Some(self.width()),
            activation: facts.has_activations.then_some(self.activation()),
            ..self.clone()
        }
    }

    /// The depth given, or the published network's; 0 if the architecture has only one.
    pub fn depth(&self) -> u32 {
        self.depth.or(self.architecture.facts().published_depth).unwrap_or_default()
    }

    /// Number of blocks in each of the three groups of a WideResNet.
    pub fn blocks_per_group(&self) -> u32 {
        self.depth().saturating_sub(NOT_IN_BLOCKS) / LAYERS_PER_BLOCK
    }

    /// The width given, or the published network's.
    pub fn width(&self) -> u32 {
        self.width.unwrap_or(self.architecture.facts().published_width)
    }

    /// The activation given, or the published network's.
    pub fn activation(&self) -> Activation {
        self.activation.unwrap_or(self.architecture.facts().published_activation)
    }

    /// The network in words, such as `WideResNet-28 of width 160`.
    pub fn title(&self) -> String {
        let facts = self.architecture.facts();
        let depth = facts.published_depth.map(|_| format!("-{}", self.depth())).unwrap_or_default();
        let activation = if facts.has_activations { format!(" with {}", self.activation().label()) } else { String::new() };
        let (of, width) = (if facts.heads > 1 { "tokens of" } else { "width" }, self.width());
        format!("{}{depth} of {of} {width}{activation}", facts.label)
    }

    /// `channels`, `side`: of the images.
    pub(super) fn validate(&self, [channels, side, _]: [u32; 3], data_title: &str, check: &mut Check) {
        let ModelConfig { architecture, depth, width, activation, normalization } = self;
        let facts = architecture.facts();
        if let Some(depth) = *depth {
            match facts.published_depth {
                None => check.that("depth", false, || format!("{depth} is not used: {} has one depth", facts.label)),
                Some(_) => {
                    check.range("depth", depth, NOT_IN_BLOCKS + LAYERS_PER_BLOCK, 304);
                    check.that("depth", depth % LAYERS_PER_BLOCK == NOT_IN_BLOCKS % LAYERS_PER_BLOCK, || {
                        let below = depth.saturating_sub(NOT_IN_BLOCKS) / LAYERS_PER_BLOCK * LAYERS_PER_BLOCK + NOT_IN_BLOCKS;
                        format!("{depth} is not 6n + 4, such as {below} or {}", below + LAYERS_PER_BLOCK)
                    });
                }
            }
        }
        if let Some(activation) = activation {
            let message = || format!("`{}` is not used: {} has one activation", activation.id(), facts.label);
            check.that("activation", facts.has_activations, message);
        }
        if let Some(width) = *width {
            check.range("width", width, 1, 2048);
            check.that("width", width.is_multiple_of(facts.width_multiple), || {
                format!("{width} is not a multiple of {}, as the {} heads of {} need", facts.width_multiple, facts.heads, facts.label)
            });
        }
        let smallest = facts.smallest_side;
        check.that("architecture", side >= smallest, || {
            format!(
                "{} needs images of {smallest}×{smallest} or more; {data_title} has {side}×{side}: use preact_resnet_small",
                architecture.id()
            )
        });
        let multiple = facts.side_multiple;
        check.that("architecture", side.is_multiple_of(multiple), || {
            format!("{} takes images whose side is a multiple of {multiple}; {side} is none", architecture.id())
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

/// Layers of a WideResNet in one block of each of its three groups, and those in none: depths are 6n + 4.
const LAYERS_PER_BLOCK: u32 = 6;
const NOT_IN_BLOCKS: u32 = 4;

/// Everything fixed about an architecture, in one table.
#[derive(Debug)]
pub struct ArchitectureFacts {
    pub label: &'static str,
    /// What `width` counts, for the form.
    pub width_label: &'static str,
    /// Depth of the published network; `None` if the architecture has one depth.
    pub published_depth: Option<u32>,
    pub published_width: u32,
    pub published_activation: Activation,
    /// Whether its public code has every activation; no tensor tells which one.
    pub has_activations: bool,
    /// Stages that an attribution can be computed on, beside the penultimate features: blocks of residual networks between two changes
    /// of size, and every third block of DeiT and XCiT.
    pub stages: u32,
    /// The last stage that Grad-CAM can map.
    pub last_mapped_stage: u32,
    /// The smallest side of an image.
    pub smallest_side: u32,
    /// The side of an image is a multiple of this: a patch, or what stages halve.
    pub side_multiple: u32,
    /// Heads of attention in a block; 1 without attention.
    pub heads: u32,
    /// The width is a multiple of this.
    pub width_multiple: u32,
}

/// What residual networks of four stages have in common.
const FOUR_STAGES: ArchitectureFacts = ArchitectureFacts {
    label: "",
    width_label: "Channels of the first stage",
    published_depth: None,
    published_width: 64,
    published_activation: Activation::Relu,
    has_activations: false,
    stages: 4,
    last_mapped_stage: 4,
    smallest_side: 16,
    side_multiple: 1,
    heads: 1,
    width_multiple: 1,
};

/// What residual networks of three stages have in common.
const THREE_STAGES: ArchitectureFacts = ArchitectureFacts { stages: 3, last_mapped_stage: 3, smallest_side: 8, ..FOUR_STAGES };

/// What WideResNets have in common.
const WIDE: ArchitectureFacts = ArchitectureFacts { published_depth: Some(28), published_width: 160, ..THREE_STAGES };

/// What transformers have in common: four stages of three blocks.
const TOKENS: ArchitectureFacts = ArchitectureFacts { width_label: "Length of a token", smallest_side: 8, side_multiple: 4, ..FOUR_STAGES };

impl Architecture {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub const fn facts(self) -> &'static ArchitectureFacts {
        match self {
            Architecture::PreactResnet18 => &ArchitectureFacts { label: "PreActResNet-18", ..FOUR_STAGES },
            Architecture::FastPreactResnet18 => &ArchitectureFacts { label: "PreActResNet-18 of fast AT", ..FOUR_STAGES },
            Architecture::PreactResnetSmall => &ArchitectureFacts { label: "PreActResNet, small", ..THREE_STAGES },
            Architecture::Resnet18 => &ArchitectureFacts { label: "ResNet-18", ..FOUR_STAGES },
            Architecture::WideResnet => &ArchitectureFacts { label: "WideResNet", ..WIDE },
            Architecture::DmWideResnet => &ArchitectureFacts {
                label: "DeepMind's WideResNet",
                published_activation: Activation::Silu,
                has_activations: true,
                // Two stages halve the side, which `SAME` does to even sides as 1×1 shortcuts do.
                side_multiple: 4,
                ..WIDE
            },
            Architecture::DmPreactResnet18 => &ArchitectureFacts {
                label: "DeepMind's PreActResNet-18",
                published_activation: Activation::Silu,
                has_activations: true,
                side_multiple: 8,
                ..FOUR_STAGES
            },
            Architecture::DeitTiny => &ArchitectureFacts {
                label: "DeiT-Ti",
                published_width: 192,
                // After the last stage only the class token is read, so that its patches have no say.
                last_mapped_stage: 3,
                heads: 3,
                width_multiple: 3,
                ..TOKENS
            },
            // The first convolution of the patch embedding has an eighth of the width.
            Architecture::XcitS12 => {
                &ArchitectureFacts { label: "XCiT-12 of 8 heads", published_width: 384, heads: 8, width_multiple: 8, ..TOKENS }
            }
            Architecture::XcitL12 => {
                &ArchitectureFacts { label: "XCiT-12 of 16 heads", published_width: 768, heads: 16, width_multiple: 16, ..TOKENS }
            }
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

impl Activation {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Activation::Relu => "ReLU",
            Activation::Silu => "SiLU (Swish)",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_what_configurations_write() {
        for architecture in Architecture::ALL {
            assert_eq!(serde_json::to_value(architecture).unwrap(), architecture.id());
        }
    }

    #[test]
    fn a_wide_resnet_of_earlier_versions_has_the_depth_that_its_name_told() {
        for (written, depth) in [("wide_resnet28", 28), ("wide_resnet34", 34)] {
            let model: ModelConfig = serde_json::from_value(json!({"architecture": written, "width": 32})).unwrap();
            assert_eq!(model, ModelConfig { width: Some(32), ..ModelConfig::of_depth(Architecture::WideResnet, depth) });
            assert_eq!(json!(model), json!({"architecture": "wide_resnet", "depth": depth, "width": 32}));
        }
    }

    #[test]
    fn a_network_is_checked_by_what_its_architecture_has() {
        #[track_caller]
        fn check(model: serde_json::Value, expected: &[(&str, &str)]) {
            let model: ModelConfig = serde_json::from_value(model).unwrap();
            let mut check = Check::default();
            model.validate([3, 32, 32], "CIFAR-10", &mut check);
            let found = check.into_errors();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (error, (field, part)) in found.iter().zip(expected) {
                assert!(error.field == *field && error.message.contains(part), "{error:?}");
            }
        }
        check(json!({"architecture": "wide_resnet", "depth": 106, "width": 256}), &[]);
        check(json!({"architecture": "wide_resnet", "depth": 30}), &[("depth", "30 is not 6n + 4, such as 28 or 34")]);
        check(json!({"architecture": "dm_wide_resnet", "depth": 4}), &[("depth", "4 is out of range")]);
        check(json!({"architecture": "resnet18", "depth": 34}), &[("depth", "34 is not used: ResNet-18 has one depth")]);
        check(json!({"architecture": "dm_wide_resnet", "depth": 82, "activation": "relu"}), &[]);
        check(json!({"architecture": "wide_resnet", "activation": "silu"}), &[("activation", "WideResNet has one activation")]);
        check(json!({"architecture": "xcit_s12", "width": 100}), &[("width", "100 is not a multiple of 8")]);
    }
}
