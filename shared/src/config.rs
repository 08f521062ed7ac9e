//! The configuration of a run: one type for the form, the API, `config.json` and the worker, and the one validation of it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{Dataset, Source};
use crate::eps::Eps;
use crate::problem::FieldError;

/// What a run does. In JSON the field `kind` tells the variants apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunConfig {
    Train(TrainConfig),
}

/// Trains one network and measures the attribution of every checkpoint it keeps.
///
/// Defaults are the paper's CIFAR-10 recipe where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What the run is called in tables; at most 80 characters. Empty: named after data, method and eps.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub seed: u32,
    /// `auto` (CUDA where there is a device, else CPU), `cpu`, or `cuda:N`.
    #[serde(default = "auto_device")]
    pub device: String,
    pub data: DataConfig,
    pub model: ModelConfig,
    pub training: TrainingConfig,
    pub attack: AttackConfig,
    #[serde(default)]
    pub evaluation: EvaluationConfig,
    #[serde(default)]
    pub checkpoints: CheckpointConfig,
    #[serde(default)]
    pub attribution: AttributionConfig,
}

/// The images to train and test on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    pub dataset: Dataset,
    /// The folder on the server that holds the files; only for data sets from a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How many training images to use, class by class in equal parts; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<u32>,
    /// How many test images to use, class by class in equal parts; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<u32>,
    /// The fraction of training labels replaced by another class, drawn from the seed; in `[0, 1)`.
    /// A known cause of robust overfitting: Dong et al. 2022, <https://arxiv.org/abs/2110.03135>.
    #[serde(default)]
    pub label_noise: f64,
    /// Training images held out to choose the best checkpoint by. 0 chooses on the test set, as the paper does.
    #[serde(default)]
    pub holdout_samples: u32,
    /// Random crop with a reflected border (4 pixels of 32, 1 of 8) and, for photographs, horizontal flip.
    #[serde(default)]
    pub augment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// PreActResNet-18: He et al. 2016, <https://arxiv.org/abs/1603.05027>; four stages of two blocks.
    PreactResnet18,
    /// The same blocks, three stages of one block each, for images of 8×8 and 16×16.
    PreactResnetSmall,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    pub architecture: Architecture,
    /// Channels of the first stage; every later stage doubles them. 64 is the published network.
    #[serde(default = "standard_width")]
    pub width: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Cross-entropy on clean images: the control.
    Standard,
    /// PGD adversarial training: Madry et al. 2018, <https://arxiv.org/abs/1706.06083>.
    PgdAt,
}

/// The optimizer and its schedule: stochastic gradient descent with momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    pub method: Method,
    pub epochs: u32,
    #[serde(default = "standard_batch_size")]
    pub batch_size: u32,
    #[serde(default = "standard_learning_rate")]
    pub learning_rate: f64,
    #[serde(default = "standard_momentum")]
    pub momentum: f64,
    #[serde(default = "standard_weight_decay")]
    pub weight_decay: f64,
    /// Epochs after which the learning rate is multiplied by `decay_factor`.
    #[serde(default)]
    pub milestones: Vec<u32>,
    #[serde(default = "standard_decay_factor")]
    pub decay_factor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    Linf,
    L2,
}

/// Which statistics batch normalization uses while the attack searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// Of the batch; every step of the attack also moves the running statistics, as in the paper's public code.
    Train,
    /// The running statistics, left as they are.
    Eval,
}

/// The threat model, and the attack that training uses inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    pub norm: Norm,
    /// The radius of the ball, in the norm above, of pixels in `[0, 1]`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "8/255"))]
    pub eps: Eps,
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2/255"))]
    pub step_size: Eps,
    #[serde(default = "standard_attack_steps")]
    pub steps: u32,
    #[serde(default = "yes")]
    pub random_start: bool,
    #[serde(default = "standard_batch_norm")]
    pub batch_norm: BatchNormMode,
}

/// The PGD attack that robust accuracy and adversarial attribution are measured with, at the run's norm and eps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Evaluates the test set every so many epochs, and after the last.
    pub every: u32,
    pub steps: u32,
    /// Absent: eps/4 for ℓ∞ and eps/8 for ℓ2, as the paper has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "2/255"))]
    pub step_size: Option<Eps>,
    pub random_start: bool,
}

/// Which epochs are kept beside the best and the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Keeps every so many epochs; 0 keeps none by count.
    pub every: u32,
    /// Keeps these epochs.
    pub epochs: Vec<u32>,
}

/// Which inputs an attribution is computed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Inputs {
    /// Test images under the evaluation attack: what the paper shows.
    Adversarial,
    Clean,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AttributionConfig {
    /// One matrix of every kept checkpoint for each of these; empty computes none.
    pub inputs: Vec<Inputs>,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        EvaluationConfig { every: 1, steps: 20, step_size: None, random_start: true }
    }
}

impl Default for AttributionConfig {
    fn default() -> Self {
        AttributionConfig { inputs: vec![Inputs::Adversarial, Inputs::Clean] }
    }
}

fn auto_device() -> String {
    "auto".to_owned()
}
fn standard_width() -> u32 {
    64
}
fn standard_batch_size() -> u32 {
    128
}
fn standard_learning_rate() -> f64 {
    0.1
}
fn standard_momentum() -> f64 {
    0.9
}
fn standard_weight_decay() -> f64 {
    5e-4
}
fn standard_decay_factor() -> f64 {
    0.1
}
fn standard_attack_steps() -> u32 {
    10
}
fn standard_batch_norm() -> BatchNormMode {
    BatchNormMode::Train
}
fn yes() -> bool {
    true
}

impl RunConfig {
    /// Reads and validates a configuration.
    ///
    /// Returns every wrong field at once where the structure can be read, and the first one where it cannot.
    pub fn parse(value: &Value) -> Result<Self, Vec<FieldError>> {
        let Value::Object(object) = value else {
            return Err(vec![FieldError::new("", "a run is a JSON object with the field `kind`")]);
        };
        let mut object = object.clone();
        let kind = object.remove("kind");
        let config = match kind.as_ref().and_then(Value::as_str) {
            Some("train") => RunConfig::Train(from_object(Value::Object(object))?),
            Some(other) => return Err(vec![FieldError::new("kind", format!("`{other}` is not a kind of run; known: `train`"))]),
            None => return Err(vec![FieldError::new("kind", "is missing; known: `train`")]),
        };
        let errors = config.validate();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// The configuration as JSON, in the order of the type's fields.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a configuration has only string keys")
    }

    /// Every field whose value cannot be run, with the value and what is allowed.
    pub fn validate(&self) -> Vec<FieldError> {
        match self {
            RunConfig::Train(config) => config.validate(),
        }
    }

    /// The given name, or one made of data, method and eps.
    pub fn title(&self) -> String {
        match self {
            RunConfig::Train(config) => config.title(),
        }
    }
}

fn from_object<T: DeserializeOwned>(object: Value) -> Result<T, Vec<FieldError>> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // serde names a missing or unknown field in its message, not in the path.
        let named = ["missing field `", "unknown field `"]
            .iter()
            .find_map(|start| message.strip_prefix(start))
            .and_then(|rest| rest.split_once('`'))
            .map(|(field, _)| field.to_owned());
        let field = match (path.as_str(), named) {
            (".", Some(field)) => field,
            (".", None) => String::new(),
            (path, Some(field)) if path != field && !path.ends_with(&format!(".{field}")) => format!("{path}.{field}"),
            (path, _) => path.to_owned(),
        };
        vec![FieldError::new(field, in_plain_words(&message).unwrap_or(message))]
    })
}

/// What serde says about a value of the wrong type, for people who know no Rust: `` `1e` is not a whole number, 0 or more ``.
fn in_plain_words(message: &str) -> Option<String> {
    if message.starts_with("missing field `") {
        return Some("is missing".to_owned());
    }
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "u32" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a string" => "a text",
        _ => return None,
    };
    // `string "1e"`, `integer `-3``, `null`.
    let value = found.split_once(['"', '`']).map_or(found, |(_, value)| value.trim_end_matches(['"', '`']));
    Some(format!("`{value}` is not {expected}"))
}

impl TrainConfig {
    /// The given name, or one such as `Digits · PGD AT · ℓ∞ 8/255`.
    pub fn title(&self) -> String {
        if !self.name.trim().is_empty() {
            return self.name.trim().to_owned();
        }
        let data = match self.data.dataset {
            Dataset::Digits => "Digits",
            Dataset::Synthetic => "Shared features",
            Dataset::Cifar10 => "CIFAR-10",
        };
        match self.training.method {
            Method::Standard => format!("{data} · standard"),
            Method::PgdAt => format!("{data} · PGD AT · {} {}", self.attack.norm.symbol(), self.attack.eps),
        }
    }

    /// The step size of the evaluation attack, given or by the paper's rule.
    pub fn evaluation_step_size(&self) -> Eps {
        self.evaluation.step_size.unwrap_or_else(|| match self.attack.norm {
            Norm::Linf => self.attack.eps.scaled(1.0 / 4.0),
            Norm::L2 => self.attack.eps.scaled(1.0 / 8.0),
        })
    }

    /// Whether a checkpoint of this epoch (from 1) is kept for its own sake, best and last aside.
    pub fn keeps_epoch(&self, epoch: u32) -> bool {
        let every = self.checkpoints.every;
        (every > 0 && epoch.is_multiple_of(every)) || self.checkpoints.epochs.contains(&epoch)
    }

    /// Whether the test set is evaluated after this epoch (from 1).
    pub fn evaluates_epoch(&self, epoch: u32) -> bool {
        epoch.is_multiple_of(self.evaluation.every.max(1)) || epoch == self.training.epochs
    }

    /// The learning rate during an epoch (from 1).
    pub fn learning_rate_at(&self, epoch: u32) -> f64 {
        let passed = self.training.milestones.iter().filter(|milestone| **milestone < epoch).count();
        self.training.learning_rate * self.training.decay_factor.powi(passed as i32)
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut check = Check::default();
        let info = self.data.dataset.info();
        let classes = info.class_names.len() as u32;

        check.that("name", self.name.chars().count() <= 80, || format!("has {} characters; at most 80", self.name.chars().count()));
        check.that("device", is_device(&self.device), || format!("`{}` is not a device; write `auto`, `cpu` or `cuda:0`", self.device));

        let Self { data, model, training, attack, evaluation, checkpoints, attribution, .. } = self;
        match (data.dataset.source(), data.path.as_deref().map(str::trim)) {
            (Source::Folder, None | Some("")) => {
                check.fail("data.path", format!("is missing; {} is read from a folder on the server", info.title));
            }
            (Source::Embedded | Source::Generated, Some(path)) => {
                check.fail("data.path", format!("`{path}` is not used: {} needs no folder; leave it out", info.title));
            }
            _ => {}
        }
        check.samples("data.train_samples", data.train_samples, classes, most(data.dataset, info.train_samples));
        check.samples("data.test_samples", data.test_samples, classes, most(data.dataset, info.test_samples));
        check.fraction("data.label_noise", data.label_noise);
        let available = data.train_samples.unwrap_or(info.train_samples);
        check.that("data.holdout_samples", data.holdout_samples == 0 || data.holdout_samples >= classes, || {
            format!("{} is too few; 0, or at least one for each of {classes} classes", data.holdout_samples)
        });
        check.that("data.holdout_samples", available.saturating_sub(data.holdout_samples) >= classes, || {
            format!("{} of {available} training images leaves too few to train on", data.holdout_samples)
        });

        check.range("model.width", model.width, 1, 1024);
        let side = info.shape[1];
        check.that("model.architecture", model.architecture != Architecture::PreactResnet18 || side >= 16, || {
            format!(
                "preact_resnet18 halves images three times and needs 16×16 or more; {} has {side}×{side}: use preact_resnet_small",
                info.title
            )
        });

        check.range("training.epochs", training.epochs, 1, 10_000);
        check.range("training.batch_size", training.batch_size, 2, 65_536);
        check.that("training.learning_rate", training.learning_rate > 0.0 && training.learning_rate <= 100.0, || {
            format!("{} is out of range; above 0, at most 100", training.learning_rate)
        });
        check.fraction("training.momentum", training.momentum);
        check.fraction("training.weight_decay", training.weight_decay);
        check.that("training.decay_factor", training.decay_factor > 0.0 && training.decay_factor <= 1.0, || {
            format!("{} is out of range; above 0, at most 1", training.decay_factor)
        });
        check.epochs("training.milestones", &training.milestones, training.epochs);
        check.that("training.milestones", training.milestones.is_sorted_by(|a, b| a < b), || {
            format!("{:?} does not rise", training.milestones)
        });

        let largest = match attack.norm {
            Norm::Linf => 1.0,
            Norm::L2 => f64::from(info.shape.iter().product::<u32>()).sqrt(),
        };
        check.size("attack.eps", attack.eps, largest);
        check.size("attack.step_size", attack.step_size, largest);
        check.range("attack.steps", attack.steps, 1, 1000);
        check.range("evaluation.every", evaluation.every, 1, training.epochs.max(1));
        check.range("evaluation.steps", evaluation.steps, 1, 10_000);
        if let Some(step_size) = evaluation.step_size {
            check.size("evaluation.step_size", step_size, largest);
        }
        check.that("checkpoints.every", checkpoints.every <= training.epochs, || {
            format!("{} is more than the {} epochs of the run", checkpoints.every, training.epochs)
        });
        check.epochs("checkpoints.epochs", &checkpoints.epochs, training.epochs);
        let mut inputs = attribution.inputs.clone();
        inputs.sort();
        inputs.dedup();
        check.that("attribution.inputs", inputs.len() == attribution.inputs.len(), || "names the same inputs twice".to_owned());
        check.0
    }
}

/// Generated data has no end; everything else has as many images as it has.
fn most(dataset: Dataset, usual: u32) -> u32 {
    match dataset.source() {
        Source::Generated => 1_000_000,
        Source::Embedded | Source::Folder => usual,
    }
}

fn is_device(text: &str) -> bool {
    text == "auto" || text == "cpu" || text.strip_prefix("cuda:").is_some_and(|index| index.len() <= 3 && index.parse::<u16>().is_ok())
}

#[derive(Default)]
struct Check(Vec<FieldError>);

impl Check {
    fn fail(&mut self, field: &str, message: String) {
        self.0.push(FieldError::new(field, message));
    }

    fn that(&mut self, field: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.fail(field, message());
        }
    }

    fn range(&mut self, field: &str, value: u32, low: u32, high: u32) {
        self.that(field, (low..=high).contains(&value), || format!("{value} is out of range; {low} to {high}"));
    }

    fn fraction(&mut self, field: &str, value: f64) {
        self.that(field, (0.0..1.0).contains(&value), || format!("{value} is out of range; 0 or more, below 1"));
    }

    fn size(&mut self, field: &str, value: Eps, largest: f64) {
        self.that(field, value.fraction() > 0.0 && value.fraction() <= largest, || {
            format!("{value} is out of range; above 0, at most {largest:.4}")
        });
    }

    fn samples(&mut self, field: &str, value: Option<u32>, classes: u32, most: u32) {
        if let Some(value) = value {
            self.that(field, (classes..=most).contains(&value), || format!("{value} is out of range; {classes} (one per class) to {most}"));
        }
    }

    fn epochs(&mut self, field: &str, values: &[u32], last: u32) {
        if let Some(value) = values.iter().find(|value| !(1..=last).contains(*value)) {
            self.fail(field, format!("{value} is not an epoch of the run; 1 to {last}"));
        }
    }
}

impl Norm {
    pub fn symbol(self) -> &'static str {
        match self {
            Norm::Linf => "ℓ∞",
            Norm::L2 => "ℓ2",
        }
    }
}

impl Method {
    pub fn label(self) -> &'static str {
        match self {
            Method::Standard => "Standard training",
            Method::PgdAt => "PGD adversarial training",
        }
    }
}

impl Architecture {
    pub fn label(self) -> &'static str {
        match self {
            Architecture::PreactResnet18 => "PreActResNet-18",
            Architecture::PreactResnetSmall => "PreActResNet, small",
        }
    }
}

impl Inputs {
    /// As in file names and addresses: `adversarial`, `clean`.
    pub fn id(self) -> &'static str {
        match self {
            Inputs::Adversarial => "adversarial",
            Inputs::Clean => "clean",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preset;

    /// Sets one field of the demo's configuration and gives the fields that are then wrong.
    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &[(&str, &str)]) {
        let mut config = preset::demo().config.to_json();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
        let errors = RunConfig::parse(&config).err().unwrap_or_default();
        let found: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let fields: Vec<&str> = expected.iter().map(|(field, _)| *field).collect();
        assert_eq!(found, fields, "{pointer} = {value}: {errors:?}");
        for (error, (_, part)) in errors.iter().zip(expected) {
            assert!(error.message.contains(part), "{pointer} = {value}: {error:?}");
        }
    }

    #[test]
    fn every_preset_is_valid_once_its_folder_is_named() {
        for preset in preset::all() {
            let mut config = preset.config.to_json();
            if config["data"]["dataset"] == "cifar10" {
                let errors = RunConfig::parse(&config).unwrap_err();
                assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["data.path"]);
                config["data"]["path"] = json!("/data/cifar-10");
            }
            let read = RunConfig::parse(&config).unwrap_or_else(|errors| panic!("{}: {errors:?}", preset.id));
            assert_eq!(read.to_json(), config, "{}", preset.id);
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_field() {
        check(
            "/training/epochs",
            json!(0),
            &[("training.epochs", "0 is out of range"), ("training.milestones", "30"), ("checkpoints.every", "5 is more")],
        );
        check("/training/learning_rate", json!(-0.1), &[("training.learning_rate", "-0.1")]);
        check("/training/milestones", json!([45, 30]), &[("training.milestones", "[45, 30]")]);
        check("/training/milestones", json!([30, 99]), &[("training.milestones", "99 is not an epoch")]);
        check("/data/label_noise", json!(1.0), &[("data.label_noise", "1 is out of range")]);
        check("/data/train_samples", json!(5), &[("data.train_samples", "5 is out of range"), ("data.holdout_samples", "too few")]);
        check("/data/holdout_samples", json!(5), &[("data.holdout_samples", "5 is too few")]);
        check("/data/holdout_samples", json!(295), &[("data.holdout_samples", "295 of 300")]);
        check("/model/architecture", json!("preact_resnet18"), &[("model.architecture", "8×8")]);
        check("/attack/eps", json!("2.0/1"), &[("attack.eps", "510/255")]);
        check("/attack/eps", json!(0), &[("attack.eps", "above 0")]);
        check("/evaluation/every", json!(61), &[("evaluation.every", "61")]);
        check("/device", json!("gpu"), &[("device", "`gpu`")]);
        check("/name", json!("x".repeat(81)), &[("name", "81 characters")]);
        check("/data/path", json!("/tmp"), &[("data.path", "`/tmp`")]);
        check("/attribution/inputs", json!(["clean", "clean"]), &[("attribution.inputs", "twice")]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_field() {
        check("/attack/eps", json!("eight"), &[("attack.eps", "`eight`")]);
        check("/training/epochs", json!("many"), &[("training.epochs", "`many` is not a whole number, 0 or more")]);
        check("/training/epochs", json!(-3), &[("training.epochs", "`-3` is not a whole number, 0 or more")]);
        check("/training/epochs", json!(1.5), &[("training.epochs", "`1.5` is not a whole number, 0 or more")]);
        check("/training/momentum", json!("0,9"), &[("training.momentum", "`0,9` is not a number")]);
        check("/training/milestones", json!("30"), &[("training.milestones", "`30` is not a list")]);
        check("/data/augment", json!("yes"), &[("data.augment", "`yes` is not true or false")]);
        check("/name", Value::Null, &[("name", "`null` is not a text")]);
        check("/training/method", json!("magic"), &[("training.method", "`magic`")]);
        check("/data/dataset", json!("mnist"), &[("data.dataset", "`mnist`")]);
        check("/training/epoch", json!(3), &[("training.epoch", "unknown field")]);
        check("/color", json!("red"), &[("color", "unknown field")]);
        check("/kind", json!("dance"), &[("kind", "`dance`")]);
        check("/kind", Value::Null, &[("kind", "missing")]);
        let missing = &RunConfig::parse(&json!({"kind": "train"})).unwrap_err()[0];
        assert_eq!((missing.field.as_str(), missing.message.as_str()), ("data", "is missing"));
        assert_eq!(RunConfig::parse(&json!([])).unwrap_err()[0].field, "");
    }

    #[test]
    fn absent_fields_take_the_papers_recipe() {
        let RunConfig::Train(config) = RunConfig::parse(&json!({
            "kind": "train",
            "data": {"dataset": "cifar10", "path": "/data/cifar-10", "augment": true},
            "model": {"architecture": "preact_resnet18"},
            "training": {"method": "pgd_at", "epochs": 200, "milestones": [100, 150]},
            "attack": {"norm": "linf", "eps": "8/255", "step_size": "2/255"},
            "checkpoints": {"epochs": [10, 70]}
        }))
        .unwrap();
        let RunConfig::Train(mut paper) = preset::all().pop().unwrap().config;
        paper.data.path = Some("/data/cifar-10".into());
        assert_eq!(config, paper);
        assert_eq!(config.evaluation_step_size().to_string(), "2/255");
        assert_eq!(config.title(), "CIFAR-10 · PGD AT · ℓ∞ 8/255");
    }

    #[test]
    fn the_learning_rate_drops_after_its_milestones() {
        let RunConfig::Train(config) = preset::all().pop().unwrap().config;
        for (epoch, rate) in [(1, 0.1), (100, 0.1), (101, 0.01), (150, 0.01), (151, 0.001), (200, 0.001)] {
            assert!((config.learning_rate_at(epoch) - rate).abs() < 1e-12, "epoch {epoch}");
        }
    }

    #[test]
    fn the_l2_step_of_evaluation_is_an_eighth_of_eps() {
        let RunConfig::Train(mut config) = preset::all().pop().unwrap().config;
        config.attack.norm = Norm::L2;
        config.attack.eps = Eps::of_255(128.0);
        assert_eq!(config.evaluation_step_size().to_string(), "16/255");
    }
}
