//! Runs that measure the class-wise attribution of a checkpoint.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::{DataConfig, SplitName};
use super::train::Inputs;
use crate::id::CheckpointRef;

/// Measures the class-wise attribution of one checkpoint.
///
/// If `data` or `attack` is absent, the run uses the data or the measuring attack of the checkpoint's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
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
    #[schema(value_type = String, example = "at-cifar10-7f3a.best")]
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
    #[schema(value_type = String, example = "penultimate")]
    pub layer: Layer,
    /// Number of bootstrap resamples for the intervals of CAS and of each cell; 0 for no intervals.
    #[serde(default = "bootstrap")]
    pub bootstrap: u32,
}

/// Order of averaging and cosine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Cosine of the mean attributions of two classes: the paper's C.
    #[default]
    AverageThenCosine,
    /// Mean cosine over all pairs of a sample of class i and a sample of class j. On the diagonal, over all
    /// pairs of two different samples.
    CosineThenAverage,
    /// Cosine of the mean features g(x) of two classes, without W: a control, which the paper's public code can
    /// compute as well.
    AverageFeatures,
}

/// Samples of a class that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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

fn paper_inputs() -> Vec<Inputs> {
    vec![Inputs::Adversarial]
}
pub(super) fn bootstrap() -> u32 {
    1000
}

impl AttributeConfig {
    /// The paper's matrix of a checkpoint.
    pub fn of(checkpoint: CheckpointRef) -> Self {
        super::with_defaults(json!({ "checkpoint": checkpoint }))
    }

    pub(super) fn title(&self) -> String {
        format!("Attribution of {}", self.checkpoint)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self {
            name: _,
            seed: _,
            device: _,
            checkpoint: _,
            data,
            split: _,
            inputs,
            attack,
            aggregation: _,
            subset: _,
            layer,
            bootstrap,
        } = self;
        check.data(data.as_ref());
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

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    pub const ALL: [Aggregation; 3] = [Aggregation::AverageThenCosine, Aggregation::CosineThenAverage, Aggregation::AverageFeatures];

    pub fn label(self) -> &'static str {
        match self {
            Aggregation::AverageThenCosine => "Average, then cosine",
            Aggregation::CosineThenAverage => "Cosine per pair of samples, then average",
            Aggregation::AverageFeatures => "Features without W: average, then cosine",
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
