//! Training runs.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strum::{EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::RunConfig;
use super::attack::{AttackConfig, BatchNormMode, PgdConfig};
use super::check::Check;
use super::data::DataConfig;
use super::method::Method;
use super::model::ModelConfig;
use super::network_size::NetworkSize;
use super::precision::Precision;
use crate::builtin::{cos, lowercase};
use crate::eps::Eps;
use crate::id::{CheckpointRef, SweepId, Which};
use crate::problem::FieldError;

/// Trains one network and measures the attribution of each checkpoint it keeps.
///
/// Defaults follow the paper's CIFAR-10 recipe, if it defines the setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the run, at most 80 characters. Empty: made from data, method and eps.
    #[serde(default)]
    pub name: String,
    /// Id of the sweep this run belongs to. The runs of a sweep are shown on one page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sweep: Option<SweepId>,
    #[serde(default)]
    pub seed: u32,
    /// `auto` (CUDA if available, else CPU), `cpu` or `cuda:N`.
    #[serde(default = "super::auto_device")]
    pub device: String,
    #[serde(default, skip_serializing_if = "Precision::is_float32")]
    pub precision: Precision,
    /// Checkpoint to start from in place of initial weights: the run is a fork of another one. It takes the weights, the
    /// batch-norm statistics and the epoch of the checkpoint, and goes on with the next epoch and its learning rate.
    /// Momentum and weight averaging start anew. Data set and network must be those of the checkpoint. `RUN.best` and
    /// `RUN.last` are replaced by the epoch that they name when the run is submitted. Absent: initial weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "at-cifar10-7f3a.e108")]
    pub start_from: Option<CheckpointRef>,
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

/// Course of the learning rate over the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Schedule {
    /// The learning rate is multiplied by `decay_factor` after each milestone.
    #[default]
    Milestones,
    /// Rises linearly from 0 to the learning rate at half of the run, then falls linearly to 0; updated each
    /// step. Wong et al. 2020.
    Cyclic,
    /// Falls from the learning rate to 0 along half a cosine; updated each step. Loshchilov and Hutter 2017.
    Cosine,
}

/// The loss, the optimizer (SGD with momentum) and optional additions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs after which the learning rate is multiplied by `decay_factor`.
    #[serde(default)]
    pub milestones: Vec<u32>,
    #[serde(default = "standard_decay_factor")]
    pub decay_factor: f64,
    /// β of TRADES: weight of robustness against clean accuracy. Its authors use 6. Other methods ignore it.
    #[serde(default = "standard_trades_beta")]
    pub trades_beta: f64,
    /// Fraction of the true label's weight spread over all classes. 0 = off. Szegedy et al. 2016.
    #[serde(default)]
    pub label_smoothing: f64,
    /// α of the Beta distribution for mixup, which mixes pairs of images before the attack. 0 = off. Zhang et
    /// al. 2018, <https://arxiv.org/abs/1710.09412>.
    #[serde(default)]
    pub mixup: f64,
    /// λ of the term `− λ · CAS` of the loss, with the normalized CAS of the batch in `[0, 1]`: above 0, features that
    /// classes share are rewarded, below 0 punished. Absent or 0: no such term. Not with mixup, whose images have no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_weight: Option<f64>,
    /// Indices of penultimate features g(x) to leave out, rising: their columns of W are 0 from the start and stay 0, so
    /// that no logit depends on them. They are features of one network: name those of the checkpoint to start from, such
    /// as the ones that a pair of classes shares there. Teachers keep all features. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_features: Vec<u32>,
    /// Maximum L2 norm of the gradient of all parameters; a larger gradient is scaled down. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_clip: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<DistillationConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_averaging: Option<WeightAveragingConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awp: Option<AwpConfig>,
}

/// Distillation from two teachers in addition to the labels.
///
/// The loss has three terms on the adversarial images: `(1 − standard_weight − robust_weight)` times
/// cross-entropy, and for each teacher its weight times T² times the divergence of the student from the
/// teacher at temperature T. Chen et al. 2021, "Robust Overfitting May Be Mitigated by Properly Learned
/// Smoothening".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Teacher from standard training, such as `RUN.best`. Absent: this run trains it first, on the same data
    /// with the same architecture (self-distillation).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "at-cifar10-7f3a.best")]
    pub standard_teacher: Option<CheckpointRef>,
    /// Teacher from adversarial training. Absent: this run trains it first, with its own attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "at-cifar10-7f3a.best")]
    pub robust_teacher: Option<CheckpointRef>,
    /// Number of epochs to train a teacher in this run. Absent: as many as for the student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_epochs: Option<u32>,
    pub standard_weight: f64,
    pub robust_weight: f64,
    pub temperature: f64,
}

/// Evaluates and keeps an exponential moving average of the weights.
///
/// Izmailov et al. 2018; in adversarial training, Rebuffi et al. 2021.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WeightAveragingConfig {
    /// Factor of the average at each step; the current weights get `1 − decay`.
    pub decay: f64,
    /// The average starts from the weights at the end of this epoch. Before, the current weights are
    /// evaluated.
    pub start_epoch: u32,
}

/// Adversarial weight perturbation: Wu et al. 2020, <https://arxiv.org/abs/2004.05884>.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwpConfig {
    /// Size of the perturbation of each layer, relative to the norm of its weights.
    pub gamma: f64,
    /// Number of epochs without perturbation at the start.
    pub warmup_epochs: u32,
}

/// The PGD attack for robust accuracy and adversarial attribution, in the norm of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Evaluates the test set every `every` epochs, and after the last.
    pub every: u32,
    /// Radius. Absent: that of the training attack. The paper's public code evaluates, and chooses the best
    /// checkpoint, at 8/255 whatever it trains with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "8/255")]
    pub eps: Option<Eps>,
    pub steps: u32,
    /// Step size. Absent: eps/4 for ℓ∞ and eps/8 for ℓ2, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2/255")]
    pub step_size: Option<Eps>,
    pub random_start: bool,
}

/// Epochs whose checkpoints are kept, besides best and last, which are always kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Keeps a checkpoint every `every` epochs. 0 = off.
    pub every: u32,
    /// Keeps only the newest `at_most` of the checkpoints of `every`. An older one is removed together with
    /// its matrices, except those that `attribution.every` keeps. Absent: all are kept.
    ///
    /// The best and the last checkpoint and those of `epochs` do not count and stay. While the run is running,
    /// removed checkpoints may still be there for a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// Also keeps the checkpoints of these epochs.
    pub epochs: Vec<u32>,
}

/// Inputs for an attribution.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Inputs {
    /// Images under the measuring attack, as in the paper.
    Adversarial,
    Clean,
}

/// Attribution matrices a run measures of its own checkpoints.
///
/// They use the test images and the penultimate features, and average first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AttributionConfig {
    /// Inputs to measure, one matrix for each checkpoint. Empty: none.
    pub inputs: Vec<Inputs>,
    /// Also measures every `every` epochs that are evaluated, even if their checkpoints are not kept. 0 =
    /// only kept checkpoints. It needs no extra passes, since it uses those of the evaluation. For each of
    /// `inputs`, with 200 resamples, 10,000 images and 512 features, it takes 0.1 s of a CPU core and 9 KB
    /// for 10 classes, and 0.6 s and 4.8 MB for 200 classes.
    pub every: u32,
    /// Number of bootstrap resamples for the intervals of CAS and of each cell; 0 for no intervals.
    pub bootstrap: u32,
}

impl Default for DistillationConfig {
    /// Weights and temperature of Chen et al. 2021.
    fn default() -> Self {
        DistillationConfig {
            standard_teacher: None,
            robust_teacher: None,
            teacher_epochs: None,
            standard_weight: 0.1,
            robust_weight: 0.6,
            temperature: 2.0,
        }
    }
}

impl Default for WeightAveragingConfig {
    fn default() -> Self {
        WeightAveragingConfig { decay: 0.999, start_epoch: 0 }
    }
}

impl Default for AwpConfig {
    /// γ of the authors for AT, and their warm-up of 10 epochs. For TRADES they use γ = 0.005.
    fn default() -> Self {
        AwpConfig { gamma: 0.01, warmup_epochs: 10 }
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        EvaluationConfig { every: 1, eps: None, steps: 20, step_size: None, random_start: true }
    }
}

impl Default for AttributionConfig {
    /// 200 resamples are fast and give the second digit of an interval.
    fn default() -> Self {
        AttributionConfig { inputs: vec![Inputs::Adversarial, Inputs::Clean], every: 0, bootstrap: 200 }
    }
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
fn standard_trades_beta() -> f64 {
    6.0
}

impl TrainingConfig {
    /// The paper's optimizer settings for a method.
    pub fn of(method: Method, epochs: u32) -> Self {
        super::with_defaults(json!({ "method": method, "epochs": epochs }))
    }

    /// Learning rate at `point`, in epochs from 0 (start of epoch 1) to `epochs`.
    pub fn learning_rate_at(&self, point: f64) -> f64 {
        let part = point / f64::from(self.epochs);
        match self.schedule {
            Schedule::Milestones => {
                let passed = self.milestones.iter().filter(|milestone| f64::from(**milestone) <= point).count();
                self.learning_rate * self.decay_factor.powi(passed as i32)
            }
            Schedule::Cyclic if part < CYCLIC_PEAK => self.learning_rate * part / CYCLIC_PEAK,
            Schedule::Cyclic => self.learning_rate * (1.0 - part) / (1.0 - CYCLIC_PEAK),
            Schedule::Cosine => self.learning_rate * (1.0 + cos(std::f64::consts::PI * part)) / 2.0,
        }
    }

    /// `features`: length n of a feature vector of the network; `None` if its configuration is wrong.
    fn validate(&self, features: Option<u64>, check: &mut Check) {
        let Self {
            method,
            epochs,
            batch_size,
            learning_rate,
            momentum,
            weight_decay,
            schedule,
            milestones,
            decay_factor,
            trades_beta,
            label_smoothing,
            mixup,
            cas_weight,
            left_out_features,
            gradient_clip,
            distillation,
            weight_averaging,
            awp,
        } = self;
        check.range("epochs", *epochs, 1, 10_000);
        check.range("batch_size", *batch_size, 2, 65_536);
        check.positive("learning_rate", *learning_rate, 100.0);
        check.fraction("momentum", *momentum);
        check.fraction("weight_decay", *weight_decay);
        check.positive("decay_factor", *decay_factor, 1.0);
        check.epochs("milestones", milestones, *epochs);
        check.that("milestones", milestones.is_sorted_by(|a, b| a < b), || format!("{milestones:?} does not rise"));
        check.that("milestones", milestones.is_empty() || *schedule == Schedule::Milestones, || {
            format!("{milestones:?} is not used by the schedule `{}`; leave it empty", schedule.id())
        });

        check.weight("trades_beta", *trades_beta, 1000.0);
        check.fraction("label_smoothing", *label_smoothing);
        check.weight("mixup", *mixup, 10.0);
        if let Some(weight) = *cas_weight {
            check.that("cas_weight", weight.abs() <= MOST_CAS_WEIGHT, || {
                format!("{weight} is out of range; -{MOST_CAS_WEIGHT} to {MOST_CAS_WEIGHT}")
            });
            check.that("cas_weight", weight == 0.0 || *mixup == 0.0, || {
                format!("{weight} needs images of one class each, and mixup of {mixup} mixes them")
            });
        }
        check.that("left_out_features", left_out_features.is_sorted_by(|a, b| a < b), || {
            format!("{left_out_features:?} does not rise; name each feature once, the lowest first")
        });
        if let Some(features) = features {
            let unknown = left_out_features.iter().find(|feature| u64::from(**feature) >= features);
            check.that("left_out_features", unknown.is_none(), || {
                format!("{} is not among the {features} features of the network; 0 to {}", unknown.unwrap_or(&0), features - 1)
            });
            check.that("left_out_features", (left_out_features.len() as u64) < features, || {
                format!("names all {features} features of the network; leave at least one")
            });
        }
        if let Some(clip) = *gradient_clip {
            check.positive("gradient_clip", clip, 1e6);
        }
        if let Some(DistillationConfig { teacher_epochs, standard_weight, robust_weight, temperature, .. }) = distillation {
            check.that("distillation", method.facts().distillation, || {
                format!("is for PGD adversarial training; the method is `{}`", method.id())
            });
            if let Some(epochs) = *teacher_epochs {
                check.range("distillation.teacher_epochs", epochs, 1, 10_000);
            }
            check.weight("distillation.standard_weight", *standard_weight, 1.0);
            check.weight("distillation.robust_weight", *robust_weight, 1.0);
            check.that("distillation.robust_weight", standard_weight + robust_weight <= 1.0, || {
                format!("{robust_weight} and {standard_weight} of the standard teacher are more than 1 together")
            });
            check.positive("distillation.temperature", *temperature, 100.0);
        }
        if let Some(WeightAveragingConfig { decay, start_epoch }) = weight_averaging {
            check.fraction("weight_averaging.decay", *decay);
            check.range("weight_averaging.start_epoch", *start_epoch, 0, *epochs);
        }
        if let Some(AwpConfig { gamma, warmup_epochs }) = awp {
            check.that("awp", method.facts().adversarial, || format!("is for adversarial training; the method is `{}`", method.id()));
            check.positive("awp.gamma", *gamma, 1.0);
            check.range("awp.warmup_epochs", *warmup_epochs, 0, *epochs);
        }
    }
}

/// For example `feature 12`, or `features 3, 17, 40 and 7 more`.
fn named_features(features: &[u32]) -> String {
    /// As many as tell two lists apart in a title.
    const NAMED: usize = 3;
    let (named, more) = features.split_at(features.len().min(NAMED));
    let named: Vec<String> = named.iter().map(u32::to_string).collect();
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("feature{} {}{more}", if features.len() == 1 { "" } else { "s" }, named.join(", "))
}

/// The term is at most 1, and a cross-entropy of ten classes begins at 2.3: more weight is a typing error.
const MOST_CAS_WEIGHT: f64 = 100.0;

/// Point of the run with the highest learning rate, as a fraction. From the CIFAR-10 code of Wong et al.
/// 2020.
const CYCLIC_PEAK: f64 = 0.5;

impl TrainConfig {
    /// The default title, such as `Digits · PGD AT · ℓ∞ 8/255`.
    pub(super) fn title(&self) -> String {
        let data = self.data.dataset.facts().short_title;
        let method = self.training.method.facts();
        let title = match method.adversarial {
            false => format!("{data} · {}", method.short),
            true => format!("{data} · {} · {}", method.short, self.attack.threat()),
        };
        let title = match self.evaluation.eps {
            Some(eps) if eps != self.attack.eps => format!("{title} · evaluated at {eps}"),
            _ => title,
        };
        let title = match self.training.left_out_features.as_slice() {
            [] => title,
            features => format!("{title} · without {}", named_features(features)),
        };
        let title = match self.precision {
            Precision::Float32 => title,
            precision => format!("{title} · {}", precision.label()),
        };
        match &self.start_from {
            Some(start) => format!("{title} · from {start}"),
            None => title,
        }
    }

    /// Step size of the training attack: the given one, or the default of the method.
    pub fn training_step_size(&self) -> Eps {
        let threat = self.attack.threat();
        let of_method = self.training.method.facts().step_factor.map(|factor| threat.eps.scaled(factor));
        self.attack.step_size.or(of_method).unwrap_or_else(|| threat.paper_step())
    }

    /// The attack that measures robust accuracy.
    pub fn measuring_attack(&self) -> PgdConfig {
        let threat = self.attack.threat();
        let EvaluationConfig { every: _, eps, steps, step_size, random_start } = self.evaluation;
        PgdConfig { norm: threat.norm, eps: eps.unwrap_or(threat.eps), step_size, steps, random_start }
    }

    /// The first epoch to train: 1, or the one after the checkpoint to start from, if its epoch is named.
    pub fn first_epoch(&self) -> u32 {
        match &self.start_from {
            Some(CheckpointRef { which: Which::Epoch(epoch), .. }) => epoch + 1,
            Some(CheckpointRef { which: Which::Best | Which::Last, .. }) | None => 1,
        }
    }

    /// Number of epochs that the run trains itself, without those before the checkpoint that it starts from.
    pub fn own_epochs(&self) -> u32 {
        (self.training.epochs + 1).saturating_sub(self.first_epoch())
    }

    /// The fields that must be those of the run whose checkpoint this run starts from, and are not.
    pub fn differs_from_parent(&self, parent: &RunConfig) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut same = |field: &str, own: String, parents: String| {
            if own != parents {
                errors.push(FieldError::new(field, format!("`{own}` differs from `{parents}` of the run to start from")));
            }
        };
        if let Some(data) = parent.data() {
            same("data.dataset", self.data.dataset.id().to_owned(), data.dataset.id().to_owned());
            let size = |data: &DataConfig| format!("{:?}", data.shape());
            same("data.image_size", size(&self.data), size(data));
        }
        let model = match parent {
            RunConfig::Train(parent) => Some(&parent.model),
            RunConfig::Import(parent) => parent.model.as_ref(),
            _ => None,
        };
        if let Some(model) = model {
            let info = self.data.dataset.info();
            let (own, model) = (self.model.normalized_for(&info), model.normalized_for(&info));
            let number = |value: Option<u32>| value.unwrap_or_default().to_string();
            same("model.architecture", own.architecture.id().to_owned(), model.architecture.id().to_owned());
            same("model.depth", number(own.depth), number(model.depth));
            same("model.width", number(own.width), number(model.width));
            same("model.activation", format!("{:?}", own.activation), format!("{:?}", model.activation));
            same("model.normalization", format!("{:?}", own.normalization), format!("{:?}", model.normalization));
        }
        errors
    }

    /// Whether the checkpoint of `epoch` (from 1) is saved even if it is neither best nor last.
    pub fn saves_epoch(&self, epoch: u32) -> bool {
        self.keeps_epoch(epoch, epoch)
    }

    /// Whether the checkpoint of `epoch` (from 1) is still kept after the epoch `now`, even if it is neither
    /// best nor last.
    ///
    /// A checkpoint that is no longer kept after one epoch is not kept after a later one either.
    pub fn keeps_epoch(&self, epoch: u32, now: u32) -> bool {
        let CheckpointConfig { every, at_most, epochs } = &self.checkpoints;
        let by_count = |every: u32| {
            let newer = (now / every).saturating_sub(epoch / every);
            epoch.is_multiple_of(every) && at_most.is_none_or(|at_most| newer < at_most)
        };
        epochs.contains(&epoch) || (*every > 0 && by_count(*every))
    }

    /// Whether the test set is evaluated after `epoch` (from 1).
    pub fn evaluates_epoch(&self, epoch: u32) -> bool {
        epoch.is_multiple_of(self.evaluation.every.max(1)) || epoch == self.training.epochs || self.saves_epoch(epoch)
    }

    /// Whether the attribution of `epoch` (from 1) is measured and kept even if its checkpoint is not.
    pub fn attributes_epoch(&self, epoch: u32) -> bool {
        self.attribution.every > 0 && epoch.is_multiple_of(self.attribution.every) && self.evaluates_epoch(epoch)
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self {
            name: _,
            sweep: _,
            seed: _,
            device: _,
            precision: _,
            start_from,
            data,
            model,
            training,
            attack,
            evaluation,
            checkpoints,
            attribution,
        } = self;
        let shape = data.shape();
        let has_images = check.inside("data", |check| data.validate(check));
        let has_network = check.inside("model", |check| model.validate(shape, &data.dataset.info().title, check));
        // The length of a feature vector does not depend on the number of classes.
        let features = (has_images && has_network).then(|| NetworkSize::of(model, shape, 1).features);
        check.inside("training", |check| training.validate(features, check));
        if let Some(start) = start_from {
            check.that("training.epochs", self.first_epoch() <= training.epochs, || {
                format!("{} leaves nothing to train after `{start}`", training.epochs)
            });
        }
        check.inside("attack", |check| attack.validate(shape, check));
        let method = training.method.facts();
        if let Some(reason) = method.needs_random_start {
            check.that("attack.random_start", attack.random_start, || reason.to_owned());
        }
        if let Some(steps) = method.attack_steps {
            let label = lowercase(method.label);
            check.that("attack.steps", attack.steps == steps, || format!("{} is too many; {label} takes {steps}", attack.steps));
        }

        let EvaluationConfig { every, eps, steps, step_size, random_start: _ } = evaluation;
        check.range("evaluation.every", *every, 1, training.epochs.max(1));
        check.size("evaluation.eps", *eps, attack.norm.largest(shape));
        check.range("evaluation.steps", *steps, 1, 10_000);
        check.size("evaluation.step_size", *step_size, attack.norm.largest(shape));
        let CheckpointConfig { every, at_most, epochs } = checkpoints;
        check.that("checkpoints.every", *every <= training.epochs, || {
            format!("{every} is more than the {} epochs of the run", training.epochs)
        });
        if let Some(at_most) = *at_most {
            check.range("checkpoints.at_most", at_most, 1, 10_000);
            check.that("checkpoints.at_most", *every > 0, || {
                format!("{at_most} is not used, because no checkpoint is kept by count; set `every` or leave it out")
            });
        }
        check.epochs("checkpoints.epochs", epochs, training.epochs);
        check.inside("attribution", |check| attribution.validate(check));
    }
}

impl AttributionConfig {
    pub(super) fn validate(&self, check: &mut Check) {
        let AttributionConfig { inputs, every, bootstrap } = self;
        check.distinct("inputs", inputs, "inputs");
        check.range("every", *every, 0, 10_000);
        check.range("bootstrap", *bootstrap, 0, 10_000);
    }
}

impl Schedule {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Schedule::Milestones => "Drops at milestones",
            Schedule::Cyclic => "Cyclic",
            Schedule::Cosine => "Cosine",
        }
    }
}

impl Inputs {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Name in files and URLs: `adversarial` or `clean`.
    pub fn id(self) -> &'static str {
        self.into()
    }
}

impl BatchNormMode {
    pub fn label(self) -> &'static str {
        match self {
            BatchNormMode::Train => "Train mode, as published",
            BatchNormMode::Eval => "Eval mode",
        }
    }
}
