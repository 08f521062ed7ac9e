//! The configuration of a run and its validation.
//!
//! The form, the API, `config.json` and the worker all use this one type.

mod addition;
mod attack;
mod attribute;
mod autoattack;
mod check;
mod data;
mod eps_curve;
mod evaluate;
mod external;
mod import;
mod method;
mod model;
mod network_size;
mod pair;
mod precision;
mod saliency;
mod threat;
mod train;
mod transfer;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr, VariantArray};

pub use addition::Addition;
pub use attack::{AttackConfig, BatchNormMode, PgdConfig, TRAINING_STEPS};
pub use attribute::{Aggregation, AttributeConfig, Layer, Subset};
pub use autoattack::{AutoAttack, AutoAttackFacts, STANDARD_QUERIES};
use check::Check;
pub use check::{is_lane_name, is_local_device};
pub use data::{DataConfig, SplitName};
pub use eps_curve::EpsCurveConfig;
pub use evaluate::{EvaluateConfig, RestartedPgdConfig};
pub use external::ExternalConfig;
pub use import::{ImportConfig, LAST_EPOCH, NormalizationChoice, NormalizationSource, PROGRAM_RIGHTS, PROGRAMS_REFUSED, SeriesFile};
pub use method::{Method, MethodFacts};
pub use model::{Activation, Architecture, ArchitectureFacts, ModelConfig, Normalization};
pub use network_size::NetworkSize;
pub use pair::PairConfig;
pub use precision::Precision;
pub use saliency::SaliencyConfig;
pub use threat::{Norm, ThreatModel};
pub use train::{
    AttributionConfig, AwpConfig, CheckpointConfig, DistillationConfig, EvaluationConfig, Inputs, Schedule, TrainConfig, TrainingConfig,
    WeightAveragingConfig,
};
pub use transfer::TransferConfig;

use crate::eps;
use crate::id::CheckpointRef;
use crate::problem::{self, FieldError};

/// The configuration of a run. In JSON, the field `kind` selects the variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "Value")]
pub enum RunConfig {
    Train(Box<TrainConfig>),
    Attribute(Box<AttributeConfig>),
    Evaluate(Box<EvaluateConfig>),
    EpsCurve(Box<EpsCurveConfig>),
    Saliency(Box<SaliencyConfig>),
    Pair(Box<PairConfig>),
    Transfer(Box<TransferConfig>),
    Import(Box<ImportConfig>),
    External(Box<ExternalConfig>),
}

/// Kind of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunKind {
    Train,
    Attribute,
    Evaluate,
    EpsCurve,
    Saliency,
    Pair,
    Transfer,
    Import,
    /// Written by another program: cannot be submitted.
    External,
}

fn auto_device() -> String {
    "auto".to_owned()
}

/// A configuration with these fields, and the defaults of all others.
fn with_defaults<T: DeserializeOwned>(fields: Value) -> T {
    problem::read(&fields).expect("the other fields have defaults")
}

/// Evaluates an expression for the configuration inside, of whatever kind.
macro_rules! of_any_kind {
    ($config:expr, $inner:ident => $value:expr) => {
        match $config {
            RunConfig::Train($inner) => $value,
            RunConfig::Attribute($inner) => $value,
            RunConfig::Evaluate($inner) => $value,
            RunConfig::EpsCurve($inner) => $value,
            RunConfig::Saliency($inner) => $value,
            RunConfig::Pair($inner) => $value,
            RunConfig::Transfer($inner) => $value,
            RunConfig::Import($inner) => $value,
            RunConfig::External($inner) => $value,
        }
    };
}

impl RunKind {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Name of the kind in configurations.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            RunKind::Train => "Training",
            RunKind::Attribute => "Attribution",
            RunKind::Evaluate => "Evaluation",
            RunKind::EpsCurve => "Curve over eps",
            RunKind::Saliency => "Saliency",
            RunKind::Pair => "Pair",
            RunKind::Transfer => "Transfer",
            RunKind::Import => "Import",
            RunKind::External => "External run",
        }
    }

    /// Whether a server runs it. Other kinds are only shown.
    pub fn is_submitted(self) -> bool {
        self != RunKind::External
    }

    /// Whether runs of this kind have checkpoints and curves over epochs.
    pub fn has_epochs(self) -> bool {
        match self {
            RunKind::Train | RunKind::Import | RunKind::External => true,
            RunKind::Attribute | RunKind::Evaluate | RunKind::EpsCurve | RunKind::Saliency | RunKind::Pair | RunKind::Transfer => false,
        }
    }
}

impl RunConfig {
    /// Parses and validates a configuration.
    ///
    /// Returns all wrong fields. If the JSON does not have the right structure, returns the first wrong field
    /// only.
    pub fn parse(value: &Value) -> Result<Self, Vec<FieldError>> {
        let config = RunConfig::try_from(value.clone()).map_err(|error| vec![error])?;
        let errors = config.validate();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// The configuration as JSON, with the fields in the order of the type.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a configuration has only string keys")
    }

    /// All fields with an invalid value. Each message has the value and the allowed range.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut check = Check::default();
        check.name(self.name());
        check.device(self.device());
        of_any_kind!(self, config => config.validate(&mut check));
        check.into_errors()
    }

    /// The configuration of a training run; `None` for other kinds.
    pub fn as_train(&self) -> Option<&TrainConfig> {
        match self {
            RunConfig::Train(config) => Some(config),
            _ => None,
        }
    }

    pub fn kind(&self) -> RunKind {
        match self {
            RunConfig::Train(_) => RunKind::Train,
            RunConfig::Attribute(_) => RunKind::Attribute,
            RunConfig::Evaluate(_) => RunKind::Evaluate,
            RunConfig::EpsCurve(_) => RunKind::EpsCurve,
            RunConfig::Saliency(_) => RunKind::Saliency,
            RunConfig::Pair(_) => RunKind::Pair,
            RunConfig::Transfer(_) => RunKind::Transfer,
            RunConfig::Import(_) => RunKind::Import,
            RunConfig::External(_) => RunKind::External,
        }
    }

    /// The given name, or a title made from the configuration.
    pub fn title(&self) -> String {
        match self.name().trim() {
            "" => of_any_kind!(self, config => config.title()),
            name => name.to_owned(),
        }
    }

    fn name(&self) -> &str {
        of_any_kind!(self, config => &config.name)
    }

    /// `auto`, `cpu`, `cuda:N` or the name of a lane.
    pub fn device(&self) -> &str {
        of_any_kind!(self, config => &config.device)
    }

    pub fn set_device(&mut self, device: String) {
        of_any_kind!(self, config => config.device = device);
    }

    /// The data set in the configuration; `None` if the run uses the data of its checkpoint's run.
    pub fn data(&self) -> Option<&DataConfig> {
        of_any_kind!(self, config => (&config.data).into())
    }

    pub fn data_mut(&mut self) -> Option<&mut DataConfig> {
        of_any_kind!(self, config => (&mut config.data).into())
    }

    #[expect(clippy::useless_conversion, reason = "only some kinds can leave the data out")]
    pub fn set_data(&mut self, data: DataConfig) {
        of_any_kind!(self, config => config.data = data.into());
    }

    /// Number of epochs to train; 0 for runs that do not train.
    pub fn epochs(&self) -> u32 {
        match self {
            RunConfig::Train(config) => config.training.epochs,
            RunConfig::External(config) => config.epochs,
            _ => 0,
        }
    }

    /// The attack that measures the checkpoints of this run; `None` if the run makes no checkpoints.
    pub fn measuring_attack(&self) -> Option<PgdConfig> {
        match self {
            RunConfig::Train(config) => Some(config.measuring_attack()),
            RunConfig::Import(config) => Some(config.attack.clone()),
            RunConfig::External(config) => config.attack.clone(),
            RunConfig::Attribute(_)
            | RunConfig::Evaluate(_)
            | RunConfig::EpsCurve(_)
            | RunConfig::Saliency(_)
            | RunConfig::Pair(_)
            | RunConfig::Transfer(_) => None,
        }
    }

    /// Checkpoints of other runs that this run reads, each with its field.
    pub fn needs(&self) -> Vec<(String, &CheckpointRef)> {
        match self {
            RunConfig::Train(config) => {
                let teachers = config.training.distillation.iter().flat_map(|distillation| {
                    [("standard_teacher", &distillation.standard_teacher), ("robust_teacher", &distillation.robust_teacher)]
                });
                let teachers = teachers.filter_map(|(name, teacher)| Some((format!("training.distillation.{name}"), teacher.as_ref()?)));
                config.start_from.iter().map(|start| ("start_from".to_owned(), start)).chain(teachers).collect()
            }
            RunConfig::Attribute(config) => vec![("checkpoint".to_owned(), &config.checkpoint)],
            RunConfig::Evaluate(config) => vec![("checkpoint".to_owned(), &config.checkpoint)],
            RunConfig::EpsCurve(config) => vec![("checkpoint".to_owned(), &config.checkpoint)],
            RunConfig::Saliency(config) => listed(&config.checkpoints),
            RunConfig::Pair(config) => listed(&config.checkpoints),
            RunConfig::Transfer(config) => listed(&config.checkpoints),
            RunConfig::Import(_) | RunConfig::External(_) => Vec::new(),
        }
    }
}

/// Reads `kind` first, then the type of that kind. With a tagged enum, serde would not report the wrong
/// field. Does not validate: configurations in the database and in files have passed [`RunConfig::parse`].
impl TryFrom<Value> for RunConfig {
    type Error = FieldError;

    fn try_from(value: Value) -> Result<Self, FieldError> {
        let Value::Object(mut object) = value else {
            return Err(FieldError::new("", "a run is a JSON object with the field `kind`"));
        };
        let kind = object.remove("kind");
        let mut object = Value::Object(object);
        let known = || format!("known: `{}`", RunKind::ALL.iter().map(|kind| kind.id()).collect::<Vec<_>>().join("`, `"));
        let Some(kind) = kind.as_ref().and_then(Value::as_str) else {
            return Err(FieldError::new("kind", format!("is missing; {}", known())));
        };
        let Ok(kind) = kind.parse() else {
            return Err(FieldError::new("kind", format!("`{kind}` is not a kind of run; {}", known())));
        };
        // What a program calls eps among its settings need not be a radius.
        if kind != RunKind::External {
            eps::write_out(&mut object)?;
        }
        match kind {
            RunKind::Train => problem::read(&object).map(RunConfig::Train),
            RunKind::Attribute => problem::read(&object).map(RunConfig::Attribute),
            RunKind::Evaluate => problem::read(&object).map(RunConfig::Evaluate),
            RunKind::EpsCurve => problem::read(&object).map(RunConfig::EpsCurve),
            RunKind::Saliency => problem::read(&object).map(RunConfig::Saliency),
            RunKind::Pair => problem::read(&object).map(RunConfig::Pair),
            RunKind::Transfer => problem::read(&object).map(RunConfig::Transfer),
            RunKind::Import => problem::read(&object).map(RunConfig::Import),
            RunKind::External => problem::read(&object).map(RunConfig::External),
        }
    }
}

/// The checkpoints of a list, each with its field such as `checkpoints[0]`.
fn listed(checkpoints: &[CheckpointRef]) -> Vec<(String, &CheckpointRef)> {
    (0..).zip(checkpoints).map(|(index, checkpoint)| (format!("checkpoints[{index}]"), checkpoint)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eps::Eps;
    use crate::preset;

    /// Sets one field of the demo's configuration and compares the wrong fields with `expected`.
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
    fn a_value_out_of_range_is_named_with_its_field() {
        check(
            "/training/epochs",
            json!(0),
            &[
                ("training.epochs", "0 is out of range"),
                ("training.milestones", "75"),
                ("evaluation.every", "3"),
                ("checkpoints.every", "15 is more"),
            ],
        );
        check("/training/learning_rate", json!(-0.1), &[("training.learning_rate", "-0.1")]);
        check("/training/milestones", json!([112, 75]), &[("training.milestones", "[112, 75]")]);
        check("/training/milestones", json!([75, 199]), &[("training.milestones", "199 is not an epoch")]);
        check("/data/label_noise", json!(1.0), &[("data.label_noise", "1 is out of range")]);
        check("/data/train_samples", json!(5), &[("data.train_samples", "5 is out of range"), ("data.holdout_samples", "too few")]);
        check("/data/holdout_samples", json!(5), &[("data.holdout_samples", "5 is too few")]);
        check("/data/holdout_samples", json!(195), &[("data.holdout_samples", "195 of 200")]);
        check("/model/architecture", json!("preact_resnet18"), &[("model.architecture", "8×8")]);
        check("/attack/eps", json!("2.0/1"), &[("attack.eps", "2.0 is out of range")]);
        check("/attack/eps", json!(1), &[("attack.eps", "`1/255` or `255/255`")]);
        check("/attack/eps", json!(1.0), &[("attack.eps", "`1/255` or `255/255`")]);
        check("/attack", json!({"norm": "l2", "eps": 128}), &[("attack.eps", "write `128/255`")]);
        check("/attack/eps", json!(0), &[("attack.eps", "above 0")]);
        check("/evaluation/every", json!(151), &[("evaluation.every", "151")]);
        check("/device", json!("the gpu"), &[("device", "`the gpu`")]);
        check("/device", json!("cuda"), &[("device", "`cuda`")]);
        check("/precision", json!("fp16"), &[("precision", "fp16")]);
        check("/name", json!("x".repeat(81)), &[("name", "81 characters")]);
        check("/data/path", json!("/tmp"), &[("data.path", "`/tmp`")]);
        check("/data/image_size", json!(64), &[("data.image_size", "64 is not used")]);
        check("/sweep", json!("Two words"), &[("sweep", "`Two words`")]);
        check("/model/width", json!(0), &[("model.width", "0 is out of range")]);
        check(
            "/model/normalization",
            json!({"mean": [0.5, 0.5], "std": [0.0]}),
            &[("model.normalization.mean", "[0.5, 0.5] has 2"), ("model.normalization.std", "not above 0")],
        );
        check("/training/method", json!("fast_at"), &[("attack.steps", "10 is too many")]);
        let mut trades = preset::all().into_iter().find(|preset| preset.id == "trades").unwrap().config.to_json();
        trades["attack"]["random_start"] = json!(false);
        assert_eq!(RunConfig::parse(&trades).unwrap_err()[0].field, "attack.random_start");
        check("/training/schedule", json!("cosine"), &[("training.milestones", "[75, 112] is not used")]);
        check("/training/label_smoothing", json!(1.0), &[("training.label_smoothing", "1 is out of range")]);
        check("/training/cas_weight", json!(-101), &[("training.cas_weight", "-101 is out of range")]);
        check(
            "/training",
            json!({"method": "pgd_at", "epochs": 15, "mixup": 1, "cas_weight": 0.5}),
            &[("training.cas_weight", "mixup of 1")],
        );
        for (features, part) in [
            (json!([7, 3]), "[7, 3] does not rise"),
            (json!([3, 3]), "[3, 3] does not rise"),
            (json!([3, 32, 40]), "32 is not among the 32 features of the network; 0 to 31"),
            (json!((0..32).collect::<Vec<_>>()), "names all 32 features"),
        ] {
            check("/training/left_out_features", features, &[("training.left_out_features", part)]);
        }
        check("/training/gradient_clip", json!(0.0), &[("training.gradient_clip", "above 0")]);
        check("/training/distillation", json!({"robust_weight": 0.95}), &[("training.distillation.robust_weight", "0.95 and 0.1")]);
        check("/training/awp", json!({"gamma": 0.0}), &[("training.awp.gamma", "above 0")]);
        check("/training/weight_averaging", json!({"decay": 1.0}), &[("training.weight_averaging.decay", "1 is out of range")]);
        check("/attribution/inputs", json!(["clean", "clean"]), &[("attribution.inputs", "twice")]);
        check("/checkpoints", json!({"at_most": 3}), &[("checkpoints.at_most", "3 is not used")]);
        check("/checkpoints", json!({"every": 2, "at_most": 0}), &[("checkpoints.at_most", "0 is out of range")]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_field() {
        check("/attack/eps", json!("eight"), &[("attack.eps", "`eight`")]);
        check("/training/epochs", json!("many"), &[("training.epochs", "`many` is not a whole number, 0 or more")]);
        check("/training/epochs", json!(-3), &[("training.epochs", "`-3` is not a whole number, 0 or more")]);
        check("/training/epochs", json!(1.5), &[("training.epochs", "`1.5` is not a whole number, 0 or more")]);
        check("/training/momentum", json!("0,9"), &[("training.momentum", "`0,9` is not a number")]);
        check("/training/milestones", json!("30"), &[("training.milestones", "`30` is not a list")]);
        check("/training/left_out_features", json!([3, -1]), &[("training.left_out_features[1]", "`-1` is not a whole number, 0 or more")]);
        check("/data/augment", json!("yes"), &[("data.augment", "`yes` is not true or false")]);
        check("/name", Value::Null, &[("name", "`null` is not a text")]);
        check("/training/method", json!("magic"), &[("training.method", "`magic`")]);
        check("/training/method", Value::Null, &[("training.method", "`null` is not a text")]);
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
    fn one_number_is_one_radius() {
        let eps = |norm: &str, eps: Value| {
            let config = json!({"kind": "evaluate", "checkpoint": "r-1.best", "norm": norm, "eps": eps, "pgd": {"step_size": eps}});
            let RunConfig::Evaluate(config) = RunConfig::parse(&config).unwrap() else { panic!("another kind") };
            assert_eq!(config.eps, config.pgd.unwrap().step_size);
            config.eps.unwrap().fraction()
        };
        for one in [json!(1), json!(1.0), json!("1"), json!("1.0"), json!("255/255")] {
            assert_eq!(eps("l2", one.clone()), 1.0, "{one}");
        }
        assert_eq!(eps("l2", json!("1.5")), 1.5);
        for eight in [json!(8), json!(8.0), json!("8"), json!("8/255")] {
            assert_eq!(eps("linf", eight.clone()), 8.0 / 255.0, "{eight}");
        }
    }

    #[test]
    fn a_run_in_bfloat16_says_so_and_one_in_float32_is_written_as_before_there_was_a_choice() {
        let mut config = preset::demo().config.to_json();
        assert_eq!(config.get("precision"), None);
        config["name"] = json!("");
        let title = RunConfig::parse(&config).unwrap().title();
        config["precision"] = json!("bf16");
        let config = RunConfig::parse(&config).unwrap();
        assert_eq!(config.title(), format!("{title} · bfloat16"));
        assert_eq!(config.to_json()["precision"], "bf16");
        assert_eq!(config.as_train().unwrap().precision, Precision::Bf16);
    }

    #[test]
    fn a_run_without_some_features_says_which_and_one_with_all_is_written_as_before() {
        let mut config = paper();
        assert_eq!(RunConfig::Train(Box::new(config.clone())).to_json()["training"].get("left_out_features"), None);
        let mut check = |features: &[u32], expected: &str| {
            config.training.left_out_features = features.to_vec();
            let config = RunConfig::Train(Box::new(config.clone()));
            assert_eq!(config.title(), format!("CIFAR-10 · PGD AT · ℓ∞ 8/255{expected}"));
            assert_eq!(RunConfig::parse(&config.to_json()), Ok(config));
        };
        check(&[], "");
        check(&[12], " · without feature 12");
        check(&[3, 17, 40], " · without features 3, 17, 40");
        check(&[0, 3, 17, 40, 511], " · without features 0, 3, 17 and 2 more");
    }

    /// The features are checked against a network that there is.
    #[test]
    fn features_of_a_network_that_is_wrong_itself_are_not_counted() {
        let mut config = preset::demo().config.to_json();
        config["training"]["left_out_features"] = json!([40]);
        config["model"]["width"] = json!(u32::MAX);
        let errors = RunConfig::parse(&config).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["model.width"], "{errors:?}");
    }

    fn paper() -> TrainConfig {
        let paper = preset::all().into_iter().find(|preset| preset.id == "cifar10").unwrap();
        paper.config.as_train().unwrap().clone()
    }

    #[test]
    fn absent_fields_take_the_papers_recipe() {
        let config = RunConfig::parse(&json!({
            "kind": "train",
            "data": {"dataset": "cifar10", "augment": true},
            "model": {"architecture": "preact_resnet18"},
            "training": {"method": "pgd_at", "epochs": 200, "milestones": [100, 150]},
            "attack": {"norm": "linf", "eps": "8/255"},
            "checkpoints": {"epochs": [10, 70]},
            "attribution": {"every": 1}
        }))
        .unwrap();
        assert_eq!(config.as_train(), Some(&paper()));
        assert_eq!(config.title(), "CIFAR-10 · PGD AT · ℓ∞ 8/255");
        let mut config = paper();
        assert_eq!(config.measuring_attack().eps, config.attack.eps);
        config.attack.eps = Eps::of_255(4.0);
        config.evaluation.eps = Some(Eps::of_255(8.0));
        assert_eq!((config.measuring_attack().eps, config.measuring_attack().step_size()), (Eps::of_255(8.0), Eps::of_255(2.0)));
        assert_eq!(config.title(), "CIFAR-10 · PGD AT · ℓ∞ 4/255 · evaluated at 8/255");
    }

    #[test]
    fn only_the_newest_of_the_checkpoints_by_count_are_kept() {
        let mut config = paper();
        let mut check = |every, at_most, epochs: &[u32], now, expected: &[u32]| {
            config.checkpoints = CheckpointConfig { every, at_most, epochs: epochs.to_vec() };
            let kept: Vec<u32> = (1..=now).filter(|epoch| config.keeps_epoch(*epoch, now)).collect();
            assert_eq!(kept, expected, "{:?} after {now}", config.checkpoints);
            for epoch in (1..=now).filter(|epoch| !kept.contains(epoch)) {
                assert!(!config.keeps_epoch(epoch, now + 1), "epoch {epoch} does not come back");
            }
        };
        check(0, None, &[], 20, &[]);
        check(5, None, &[7], 20, &[5, 7, 10, 15, 20]);
        check(5, Some(2), &[], 4, &[]);
        check(5, Some(2), &[], 14, &[5, 10]);
        check(5, Some(2), &[], 15, &[10, 15]);
        check(5, Some(2), &[5, 7], 20, &[5, 7, 15, 20]);
        check(1, Some(1), &[], 20, &[20]);
    }

    #[test]
    fn step_sizes_follow_the_papers_rules() {
        let mut config = paper();
        let mut check = |norm, eps, method, training: &str, measuring: &str| {
            (config.attack.norm, config.attack.eps, config.training.method) = (norm, Eps::of_255(eps), method);
            assert_eq!(config.training_step_size().to_string(), training);
            assert_eq!(config.measuring_attack().step_size().to_string(), measuring);
        };
        check(Norm::Linf, 8.0, Method::PgdAt, "2/255", "2/255");
        check(Norm::L2, 128.0, Method::Trades, "16/255", "16/255");
        check(Norm::Linf, 8.0, Method::FastAt, "10/255", "2/255");
    }

    #[test]
    fn the_learning_rate_follows_its_schedule() {
        let mut training = paper().training;
        let mut check = |schedule, points: &[(f64, f64)]| {
            training.schedule = schedule;
            for (point, rate) in points {
                assert!((training.learning_rate_at(*point) - rate).abs() < 1e-12, "{schedule:?} at {point}");
            }
        };
        check(Schedule::Milestones, &[(0.0, 0.1), (99.9, 0.1), (100.0, 0.01), (149.0, 0.01), (150.0, 0.001), (199.0, 0.001)]);
        check(Schedule::Cyclic, &[(0.0, 0.0), (50.0, 0.05), (100.0, 0.1), (150.0, 0.05), (200.0, 0.0)]);
        check(Schedule::Cosine, &[(0.0, 0.1), (100.0, 0.05), (200.0, 0.0)]);
    }

    #[test]
    fn a_run_of_another_program_says_what_it_wants() {
        let parse = |settings: Value| {
            let config = json!({
                "kind": "external", "name": "Mine", "classes": ["a", "b"], "epochs": 3,
                "attack": {"norm": "l2", "eps": "1.5", "step_size": "0.1234", "steps": 2, "random_start": false}, "settings": settings
            });
            RunConfig::parse(&config)
        };
        let config = parse(json!({"eps": 1, "optimizer": "Adam", "nesterov": true})).unwrap();
        assert_eq!((config.title().as_str(), config.epochs()), ("Mine", 3));
        assert_eq!(config.measuring_attack().unwrap().eps.fraction(), 1.5);
        assert_eq!(RunConfig::parse(&config.to_json()).as_ref(), Ok(&config));
        assert_eq!(parse(json!({"betas": [0.9, 0.999]})).unwrap_err()[0].field, "settings.betas");
    }

    #[test]
    fn a_curve_over_eps_has_its_radii_and_the_steps_of_the_paper_at_each() {
        let parse = |value: Value| match RunConfig::parse(&value).unwrap() {
            RunConfig::EpsCurve(config) => *config,
            other => panic!("{other:?}"),
        };
        let config = parse(json!({"kind": "eps_curve", "checkpoint": "r-1.best"}));
        let of_255 = |norm| config.radii(norm).iter().map(|eps| (eps.fraction() * 255.0).round()).collect::<Vec<_>>();
        assert_eq!(of_255(Norm::Linf), [0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0]);
        assert_eq!(of_255(Norm::L2), [0.0, 16.0, 32.0, 64.0, 96.0, 128.0, 160.0, 192.0, 256.0]);
        let step = |norm, eps| config.attack(norm, Eps::of_255(eps)).map(|attack| attack.step_size().fraction() * 255.0);
        assert_eq!((step(Norm::Linf, 16.0), step(Norm::L2, 256.0), step(Norm::Linf, 0.0)), (Some(4.0), Some(32.0), None));

        let config =
            parse(json!({"kind": "eps_curve", "checkpoint": "r-1.best", "norm": "l2", "eps": [0, "64/255", 1.5], "step_size": "16/255"}));
        assert_eq!(config.radii(Norm::L2), [0.0, 64.0 / 255.0, 1.5].map(|eps| Eps::read(&eps.to_string(), Some(Norm::L2)).unwrap()));
        assert_eq!(config.attack(Norm::L2, config.eps[2]).unwrap().step_size(), Eps::of_255(16.0));
        let again = RunConfig::EpsCurve(Box::new(config)).to_json();
        assert_eq!((&again["eps"], RunConfig::parse(&again).unwrap().to_json()), (&json!(["0/255", "64/255", "1.5"]), again.clone()));
    }

    #[test]
    fn runs_on_checkpoints_name_what_they_need() {
        let parse = |value| RunConfig::parse(&value);
        let config = parse(json!({"kind": "attribute", "checkpoint": "r-1.best", "layer": "stage2", "subset": "correct"})).unwrap();
        assert_eq!((config.title().as_str(), config.needs().len()), ("Attribution of r-1.best", 1));
        let series =
            |checkpoints: Value| json!({"kind": "import", "source": "/x", "data": {"dataset": "cifar10"}, "checkpoints": checkpoints});
        for (value, field, part) in [
            (json!({"kind": "attribute", "checkpoint": "r-1"}), "checkpoint", "`r-1`"),
            (json!({"kind": "attribute", "checkpoint": "r-1.best", "layer": "stage7"}), "layer", "`stage7`"),
            (json!({"kind": "attribute", "checkpoint": "r-1.best", "layer": "logits"}), "layer", "`logits`"),
            (json!({"kind": "attribute", "checkpoint": "r-1.best", "inputs": []}), "inputs", "empty"),
            (json!({"kind": "evaluate", "checkpoint": "r-1.best", "autoattack": []}), "autoattack", "nothing would attack"),
            (json!({"kind": "evaluate", "checkpoint": "r-1.best", "norm": "l2"}), "eps", "is missing"),
            (json!({"kind": "evaluate", "checkpoint": "r-1.best", "eps": 1.5}), "eps", "name the norm"),
            (
                json!({"kind": "eps_curve", "checkpoint": "r-1.best", "norm": "linf", "eps": [0, 8, "4/255"]}),
                "eps",
                "has 4/255 after 8/255",
            ),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "norm": "linf", "eps": [8, "8/255"]}), "eps", "8/255 after 8/255"),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "eps": ["4/255", 8]}), "eps[1]", "name the norm"),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "eps": ["eight"]}), "eps[0]", "`eight`"),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "norm": "linf", "eps": [0, "300/255"]}), "eps[1]", "out of range"),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "eps": 0.1}), "eps", "not a list"),
            (json!({"kind": "eps_curve", "checkpoint": "r-1.best", "steps": 0}), "steps", "0 is out of range"),
            (json!({"kind": "saliency", "checkpoints": []}), "checkpoints", "names 0"),
            (json!({"kind": "saliency", "checkpoints": ["r-1.best", "r-1.best"]}), "checkpoints", "twice"),
            (json!({"kind": "pair", "checkpoints": ["r-1.best"], "pairs": []}), "pairs", "names 0"),
            (json!({"kind": "pair", "checkpoints": ["r-1.best"], "pairs": [[5, 3]]}), "pairs[0]", "[5, 3] is no pair"),
            (json!({"kind": "pair", "checkpoints": ["r-1.best"], "pairs": [[3, 5], [3, 5]]}), "pairs", "twice"),
            (json!({"kind": "pair", "checkpoints": ["r-1.best", "r-1.last", "r-2.best"], "pairs": [[3, 5]]}), "checkpoints", "names 3"),
            (json!({"kind": "pair", "checkpoints": ["r-1.best"], "pairs": [[3, 5]], "dimensions": 0}), "dimensions", "0 is out of range"),
            (json!({"kind": "transfer", "checkpoints": ["r-1.best"]}), "checkpoints", "names 1"),
            (json!({"kind": "transfer", "checkpoints": ["r-1.e1", "r-1.e2", "r-1.e1"]}), "checkpoints", "twice"),
            (
                json!({"kind": "transfer", "checkpoints": ["r-1.e1", "r-1.e2"], "attack": {"norm": "linf", "eps": 0}}),
                "attack.eps",
                "above 0",
            ),
            (json!({"kind": "import", "source": "../x.pth", "data": {"dataset": "cifar10"}}), "source", "`../x.pth`"),
            (json!({"kind": "import", "source": "", "data": {"dataset": "cifar10"}}), "source", "empty"),
            (
                series(json!([{"file": "a.pth", "epoch": 5}, {"file": "b.pth", "epoch": 5}])),
                "checkpoints[1].epoch",
                "to `a.pth` and to `b.pth`",
            ),
            (series(json!([{"file": "a.pth", "epoch": 5}, {"file": "a.pth", "epoch": 6}])), "checkpoints[1].file", "twice"),
            (series(json!([{"file": "../a.pth", "epoch": 5}])), "checkpoints[0].file", "`../a.pth` is not the name of a file"),
            (series(json!([{"file": "a.pth"}])), "checkpoints[0].epoch", "missing"),
            (series(json!([{"file": "a.pth", "epoch": 1_000_001}])), "checkpoints[0].epoch", "out of range"),
        ] {
            let errors = parse(value.clone()).unwrap_err();
            assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), [field], "{value}: {errors:?}");
            assert!(errors[0].message.contains(part), "{value}: {errors:?}");
        }
    }
}
