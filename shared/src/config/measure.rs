//! Runs that measure existing checkpoints: attribution, robust accuracy, saliency.

use serde::{Deserialize, Serialize};

use super::attack::PgdConfig;
use super::autoattack::{AutoAttack, STANDARD_QUERIES};
use super::check::Check;
use super::data::{DataConfig, SplitName};
use super::threat::{Norm, ThreatModel};
use super::train::Inputs;
use crate::eps::Eps;
use crate::id::CheckpointRef;

/// Measures the class-wise attribution of one checkpoint.
///
/// If `data` or `attack` is absent, the run uses the data or the measuring attack of the checkpoint's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AttributeConfig {
    /// Name of the run, at most 80 characters. Empty: named after the checkpoint.
    #[serde(default)]
    pub name: String,
    /// Seed of the attack's random start and of the bootstrap.
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "at-cifar10-7f3a.best"))]
    pub checkpoint: CheckpointRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    #[serde(default)]
    pub split: SplitName,
    /// Inputs to measure, one matrix for each.
    #[serde(default = "paper_inputs")]
    pub inputs: Vec<Inputs>,
    /// Attack that makes adversarial inputs. Absent: the measuring attack of the checkpoint's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<PgdConfig>,
    #[serde(default)]
    pub aggregation: Aggregation,
    #[serde(default)]
    pub subset: Subset,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "penultimate"))]
    pub layer: Layer,
    /// Number of bootstrap resamples for the intervals of CAS and of each cell; 0 for no intervals.
    #[serde(default = "bootstrap")]
    pub bootstrap: u32,
}

/// Order of averaging and cosine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Cosine of the mean attributions of two classes: the paper's C.
    #[default]
    AverageThenCosine,
    /// Mean cosine over all pairs of a sample of class i and a sample of class j. On the diagonal, over all
    /// pairs of two different samples.
    CosineThenAverage,
}

/// Samples of a class that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// All samples, whatever their predictions, as in the paper.
    #[default]
    All,
    /// Samples classified correctly on the same inputs.
    Correct,
}

/// Features an attribution is computed on: `penultimate`, or a pooled stage: `stage1`, `stage2`, …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// Penultimate features g(x), with the network's own W.
    #[default]
    Penultimate,
    /// Output of a stage, from 1, after global average pooling. W is a linear map fitted to the training
    /// images.
    Stage(u32),
}

/// Measures the clean and the robust accuracy of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    #[serde(default)]
    pub name: String,
    /// Seed of all random draws of the attacks.
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "at-cifar10-7f3a.best"))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "8/255"))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RestartedPgdConfig {
    pub steps: u32,
    /// Step size. Absent: eps/4 for ℓ∞ and eps/8 for ℓ2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "2/255"))]
    pub step_size: Option<Eps>,
    /// Number of random starts, the first included.
    pub restarts: u32,
}

/// Computes Grad-CAM maps of the same images at several checkpoints.
///
/// Grad-CAM: Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SaliencyConfig {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// One to six checkpoints over the same classes.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
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

fn paper_inputs() -> Vec<Inputs> {
    vec![Inputs::Adversarial]
}
fn both_inputs() -> Vec<Inputs> {
    vec![Inputs::Clean, Inputs::Adversarial]
}
fn bootstrap() -> u32 {
    1000
}
fn standard_queries() -> u32 {
    STANDARD_QUERIES
}
fn one() -> u32 {
    1
}

impl Default for RestartedPgdConfig {
    fn default() -> Self {
        RestartedPgdConfig { steps: 20, step_size: None, restarts: 1 }
    }
}

impl AttributeConfig {
    /// The paper's matrix of a checkpoint.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        AttributeConfig {
            name: String::new(),
            seed: 0,
            device: super::auto_device(),
            checkpoint,
            data: None,
            split: SplitName::Test,
            inputs: paper_inputs(),
            attack: None,
            aggregation: Aggregation::default(),
            subset: Subset::default(),
            layer: Layer::default(),
            bootstrap: bootstrap(),
        }
    }

    pub(super) fn title(&self) -> String {
        format!("Attribution of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name, seed: _, device, checkpoint: _, data, split: _, inputs, attack, aggregation: _, subset: _, layer, bootstrap } =
            self;
        check.name(name);
        check.device(device);
        validate_data(data.as_ref(), check);
        check.that("inputs", !inputs.is_empty(), || "is empty; name `adversarial`, `clean` or both".to_owned());
        check.distinct("inputs", inputs, "inputs");
        if let Some(attack) = attack {
            check.inside("attack", |check| attack.validate(check));
        }
        if let Layer::Stage(stage) = layer {
            check.that("layer", (1..=4).contains(stage), || format!("`{layer}` is no layer; `penultimate`, or `stage1` to `stage4`"));
        }
        check.range("bootstrap", *bootstrap, 0, 10_000);
    }
}

impl EvaluateConfig {
    /// Standard AutoAttack on a checkpoint.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        EvaluateConfig {
            name: String::new(),
            seed: 0,
            device: super::auto_device(),
            checkpoint,
            data: None,
            split: SplitName::Test,
            samples: None,
            norm: None,
            eps: None,
            pgd: None,
            autoattack: AutoAttack::standard(),
            square_queries: STANDARD_QUERIES,
        }
    }

    /// `None` if it is that of the checkpoint's run, or partly.
    pub fn threat(&self) -> Option<ThreatModel> {
        Some(ThreatModel { norm: self.norm?, eps: self.eps? })
    }

    pub(super) fn title(&self) -> String {
        format!("Robust accuracy of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name, seed: _, device, checkpoint: _, data, split: _, samples, norm, eps, pgd, autoattack, square_queries } = self;
        check.name(name);
        check.device(device);
        validate_data(data.as_ref(), check);
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

impl SaliencyConfig {
    /// One image of each class at the given checkpoints.
    pub fn of(checkpoints: Vec<CheckpointRef>) -> Self {
        SaliencyConfig {
            name: String::new(),
            seed: 0,
            device: super::auto_device(),
            checkpoints,
            data: None,
            split: SplitName::Test,
            inputs: both_inputs(),
            attack: None,
            images_per_class: one(),
            stage: None,
        }
    }

    pub(super) fn title(&self) -> String {
        let names: Vec<String> = self.checkpoints.iter().map(CheckpointRef::to_string).collect();
        format!("Saliency of {}", names.join(", "))
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name, seed: _, device, checkpoints, data, split: _, inputs, attack, images_per_class, stage } = self;
        check.name(name);
        check.device(device);
        check.that("checkpoints", (1..=6).contains(&checkpoints.len()), || format!("names {}; one to six", checkpoints.len()));
        check.distinct("checkpoints", checkpoints, "checkpoint");
        validate_data(data.as_ref(), check);
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

fn validate_data(data: Option<&DataConfig>, check: &mut Check) {
    if let Some(data) = data {
        check.inside("data", |check| data.validate(check));
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Layer::Penultimate => f.write_str("penultimate"),
            Layer::Stage(stage) => write!(f, "stage{stage}"),
        }
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> Self {
        layer.to_string()
    }
}

impl TryFrom<String> for Layer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let stage = || text.strip_prefix("stage")?.parse().ok();
        match text.as_str() {
            "penultimate" => Ok(Layer::Penultimate),
            _ => stage().map(Layer::Stage).ok_or_else(|| format!("`{text}` is no layer; `penultimate`, or `stage1` to `stage4`")),
        }
    }
}

impl Aggregation {
    pub const ALL: [Aggregation; 2] = [Aggregation::AverageThenCosine, Aggregation::CosineThenAverage];

    pub fn label(self) -> &'static str {
        match self {
            Aggregation::AverageThenCosine => "Average, then cosine",
            Aggregation::CosineThenAverage => "Cosine per pair of samples, then average",
        }
    }
}

impl Subset {
    pub const ALL: [Subset; 2] = [Subset::All, Subset::Correct];

    pub fn label(self) -> &'static str {
        match self {
            Subset::All => "All samples",
            Subset::Correct => "Correctly classified samples",
        }
    }
}
