//! Sweeps: runs for all combinations of field values, and summaries of their results.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::VariantNames;

use crate::api::{NewSweep, SweepAxis};
use crate::config::{Addition, RunConfig};
use crate::eps::Eps;
use crate::id::SweepId;
use crate::problem::FieldError;

/// Fields offered for a sweep, with their labels.
pub const FIELDS: [(&str, &str); 18] = [
    ("seed", "Seed"),
    ("attack.eps", "Radius eps"),
    ("evaluation.eps", "Evaluation eps"),
    ("attack.norm", "Norm"),
    ("attack.steps", "Steps of the attack"),
    ("training.method", "Method"),
    ("training.epochs", "Epochs"),
    ("training.learning_rate", "Learning rate"),
    ("training.weight_decay", "Weight decay"),
    ("training.batch_size", "Batch size"),
    ("training.label_smoothing", "Label smoothing"),
    (Addition::FIELD, "Soft labels or weights"),
    ("training.trades_beta", "TRADES β"),
    ("training.cas_weight", "λ of CAS"),
    (LEFT_OUT, "Features left out"),
    ("data.label_noise", "Label noise"),
    ("data.train_samples", "Training images"),
    ("model.width", "Width"),
];

/// A list that configurations leave away where it is empty.
const LEFT_OUT: &str = "training.left_out_features";

/// Fields that the default title of a run tells.
const IN_TITLE: [&str; 2] = ["attack.eps", LEFT_OUT];

/// Label of a field; its path if it has no label.
pub fn field_name(field: &str) -> &str {
    FIELDS.iter().find(|(path, _)| *path == field).map_or(field, |(_, name)| name)
}

/// Limit that keeps a mistake in the values from filling the queue.
const MOST_RUNS: usize = 2000;

/// Makes a valid, named run of sweep `id` for each combination of values; the last axis varies fastest.
///
/// Error: wrong fields of the request, such as `config.…` and `axes[0].…`.
pub fn expand(new: &NewSweep, id: &SweepId) -> Result<Vec<RunConfig>, Vec<FieldError>> {
    let mut errors = Vec::new();
    if new.axes.is_empty() {
        errors.push(FieldError::new("axes", "is empty; name a field and its values"));
    }
    for (index, axis) in new.axes.iter().enumerate() {
        let mut fail = |field: &str, message: String| errors.push(FieldError::new(format!("axes[{index}].{field}"), message));
        if ["kind", "name", "sweep", "device"].contains(&axis.field.as_str()) || axis.field.is_empty() {
            fail("field", format!("`{}` is not a field that a sweep can vary", axis.field));
        }
        if new.axes[..index].iter().any(|other| other.field == axis.field) {
            fail("field", format!("`{}` is varied twice", axis.field));
        }
        if axis.values.is_empty() {
            fail("values", "is empty; name the values the field takes".to_owned());
        }
        if let Some(value) = axis.values.iter().find(|value| axis.field == Addition::FIELD && addition(value).is_none()) {
            fail("values", format!("`{}` is no addition; known: {}", text(value), Addition::VARIANTS.join(", ")));
        }
        if (1..axis.values.len()).any(|value| axis.values[..value].contains(&axis.values[value])) {
            fail("values", "holds a value twice".to_owned());
        }
    }
    let count = new.axes.iter().map(|axis| axis.values.len()).try_fold(1, usize::checked_mul);
    let count = count.filter(|count| *count <= MOST_RUNS).unwrap_or_else(|| {
        let made = count.map_or_else(|| "more runs than can be counted".to_owned(), |count| format!("{count} runs"));
        errors.push(FieldError::new("axes", format!("makes {made}; at most {MOST_RUNS}")));
        0
    });
    if new.at_once == Some(0) {
        errors.push(FieldError::new("at_once", "0 is out of range; 1 or more"));
    }
    if new.config.get("kind").and_then(Value::as_str) != Some("train") {
        errors.push(FieldError::new("config.kind", "is not `train`; a sweep varies training runs"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut configs = Vec::with_capacity(count);
    for index in 0..count {
        let mut config = new.config.clone();
        let mut rest = index;
        let mut values = Vec::new();
        for axis in new.axes.iter().rev() {
            let value = &axis.values[rest % axis.values.len()];
            rest /= axis.values.len();
            if axis.field != Addition::FIELD {
                set(&mut config, &axis.field, value.clone());
            }
            values.push((axis.field.as_str(), value));
        }
        values.reverse();
        config["sweep"] = id.as_str().into();
        let named = |errors: Vec<FieldError>| -> Vec<FieldError> {
            errors.into_iter().map(|error| FieldError::new(format!("config.{}", error.field), error.message)).collect()
        };
        let mut made = RunConfig::parse(&config).map_err(named)?;
        let added = values.iter().find(|(field, _)| *field == Addition::FIELD).and_then(|(_, value)| addition(value));
        if let (Some(added), RunConfig::Train(config)) = (added, &mut made) {
            added.set(&mut config.training);
            made = RunConfig::parse(&made.to_json()).map_err(named)?;
        }
        let name = name_of(&made, &new.config, &values);
        if let RunConfig::Train(config) = &mut made {
            config.name = name;
        }
        configs.push(made);
    }
    Ok(configs)
}

/// Title of the base configuration plus the varied values, such as `CIFAR-10 · PGD AT · ℓ∞ 8/255 · seed 2`.
fn name_of(made: &RunConfig, base: &Value, values: &[(&str, &Value)]) -> String {
    const LONGEST: usize = 80;
    let made_up = base.get("name").and_then(Value::as_str).is_none_or(|name| name.trim().is_empty());
    let mut name = made.title();
    for (field, value) in values.iter().filter(|(field, _)| !(made_up && IN_TITLE.contains(field))) {
        let last = field.rsplit('.').next().unwrap_or(field).replace('_', " ");
        name += &format!(" · {last} {}", text(value));
    }
    name.chars().take(LONGEST).collect()
}

/// Common beginning of the titles of all runs, such as `CIFAR-10 · PGD AT`; the first title if there is none.
pub fn title(configs: &[RunConfig]) -> String {
    let titles: Vec<String> = configs.iter().map(RunConfig::title).collect();
    let Some(first) = titles.first() else { return String::new() };
    let parts = |title: &String| title.split(" · ").map(str::to_owned).collect::<Vec<_>>();
    let mut common = parts(first);
    for title in &titles[1..] {
        let same = common.iter().zip(parts(title)).take_while(|(known, part)| **known == *part).count();
        common.truncate(same);
    }
    if common.is_empty() { first.clone() } else { common.join(" · ") }
}

fn set(config: &mut Value, path: &str, value: Value) {
    let mut target = config;
    for key in path.split('.') {
        if !target.is_object() {
            *target = Value::Object(serde_json::Map::new());
        }
        target = &mut target[key];
    }
    *target = value;
}

fn addition(value: &Value) -> Option<Addition> {
    value.as_str()?.parse().ok()
}

/// A value as text, without quotation marks.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as a number; sizes such as `8/255` as fractions.
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| Some(value.as_str()?.parse::<Eps>().ok()?.fraction()))
}

/// Fields in which the runs differ, with their values; numbers in increasing order.
pub fn axes(configs: &[RunConfig]) -> Vec<SweepAxis> {
    let flat: Vec<BTreeMap<String, Value>> = configs.iter().map(|config| flatten(&config.to_json())).collect();
    let fields: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let axes = fields.into_iter().filter(|field| *field != "name").filter_map(|field| {
        let mut values: Vec<Value> = Vec::new();
        for config in &flat {
            let value = config.get(field).cloned().unwrap_or_else(|| absent(field));
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
        (values.len() > 1).then(|| SweepAxis { field: field.clone(), values })
    });
    let mut axes: Vec<SweepAxis> = axes.collect();
    if let Some(axis) = addition_axis(configs, &axes) {
        axes.retain(|axis| !is_of_addition(&axis.field));
        axes.push(axis);
    }
    axes
}

/// The axis in place of those of [`Addition::FIELDS`], if their values follow from the addition.
fn addition_axis(configs: &[RunConfig], axes: &[SweepAxis]) -> Option<SweepAxis> {
    let varied: Vec<&str> = axes.iter().map(|axis| axis.field.as_str()).filter(|field| is_of_addition(field)).collect();
    let mut found: Vec<(Addition, Vec<Value>)> = Vec::new();
    for config in configs {
        let added = Addition::of(&config.as_train()?.training)?;
        let values = varied.iter().map(|field| value_of(config, field)).collect();
        match found.iter().find(|(known, _)| *known == added) {
            Some((_, known)) if *known != values => return None,
            Some(_) => {}
            None => found.push((added, values)),
        }
    }
    let values = || found.iter().map(|(added, _)| added.slug().into()).collect();
    (varied.len() > 1 && found.len() > 1).then(|| SweepAxis { field: Addition::FIELD.to_owned(), values: values() })
}

fn is_of_addition(field: &str) -> bool {
    Addition::FIELDS.iter().any(|part| field.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Value of a field in a configuration.
pub fn value_of(config: &RunConfig, field: &str) -> Value {
    if field == Addition::FIELD {
        return config.as_train().and_then(|config| Addition::of(&config.training)).map_or(Value::Null, |added| added.slug().into());
    }
    let found = field.split('.').try_fold(config.to_json(), |value, key| value.get(key).cloned());
    found.unwrap_or_else(|| absent(field))
}

/// Value of a field that a configuration leaves away.
fn absent(field: &str) -> Value {
    if field == LEFT_OUT { Value::Array(Vec::new()) } else { Value::Null }
}

/// Leaves of a configuration by dotted path. Lists are leaves.
fn flatten(config: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: &Value, flat: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    walk(&path, value, flat);
                }
            }
            leaf => drop(flat.insert(prefix.to_owned(), leaf.clone())),
        }
    }
    let mut flat = BTreeMap::new();
    walk("", config, &mut flat);
    flat
}

/// Mean and standard deviation of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub count: usize,
    pub mean: f64,
    /// Sample standard deviation; absent for a single number.
    pub deviation: Option<f64>,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// `None` if there are no numbers.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len();
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        (count > 0).then(|| Spread {
            count,
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            low: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            high: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preset;

    fn new(axes: Value) -> NewSweep {
        let mut config = preset::demo().config.to_json();
        config["name"] = json!("");
        NewSweep { name: "radius".into(), config, axes: serde_json::from_value(axes).unwrap(), at_once: None }
    }

    #[test]
    fn a_field_without_a_name_is_called_by_its_path() {
        assert_eq!((field_name("attack.eps"), field_name("training.momentum")), ("Radius eps", "training.momentum"));
    }

    #[test]
    fn every_combination_becomes_a_run_and_the_runs_give_the_axes_back() {
        let new = new(json!([
            {"field": "attack.eps", "values": ["8/255", "16/255"]},
            {"field": "seed", "values": [1, 2, 3]}
        ]));
        let id = "radius-1".parse().unwrap();
        let configs = expand(&new, &id).unwrap();
        let names: Vec<String> = configs.iter().map(RunConfig::title).collect();
        assert_eq!(names[0], "Digits · PGD AT · ℓ∞ 8/255 · seed 1");
        assert_eq!(names[5], "Digits · PGD AT · ℓ∞ 16/255 · seed 3");
        assert_eq!(axes(&configs), new.axes);
        assert!(configs.iter().all(|config| config.as_train().unwrap().sweep.as_ref() == Some(&id)));
        assert_eq!(title(&configs), "Digits · PGD AT");
        assert_eq!(title(&configs[..3]), "Digits · PGD AT · ℓ∞ 8/255");
        assert_eq!(title(&[]), "");
    }

    #[test]
    fn additions_are_an_axis_of_their_own() {
        let axis = json!([{"field": "training.addition", "values": Addition::VARIANTS}, {"field": "seed", "values": [1, 2]}]);
        let configs = expand(&new(axis.clone()), &"soft".parse().unwrap()).unwrap();
        let mut found = axes(&configs);
        found.reverse();
        assert_eq!(serde_json::to_value(&found).unwrap(), axis);
        let trainings: Vec<_> = configs.iter().step_by(2).map(|config| &config.as_train().unwrap().training).collect();
        assert_eq!((trainings[0].label_smoothing, trainings[1].label_smoothing, trainings[2].label_smoothing), (0.0, 0.1, 0.0));
        let on =
            trainings.iter().map(|training| (training.distillation.is_some(), training.weight_averaging.is_some(), training.awp.is_some()));
        let (no, yes) = (false, true);
        assert_eq!(on.collect::<Vec<_>>(), [(no, no, no), (no, no, no), (yes, no, no), (no, yes, no), (no, no, yes)]);
        assert_eq!(configs[2].title(), "Digits · PGD AT · ℓ∞ 25.5/255 · addition label_smoothing · seed 1");

        // Several strengths of one addition are not one value.
        let strengths = new(json!([{"field": "training.label_smoothing", "values": [0.0, 0.1, 0.2]}]));
        let configs = expand(&strengths, &"s".parse().unwrap()).unwrap();
        assert_eq!(axes(&configs), strengths.axes);
    }

    #[test]
    fn lists_are_values_and_an_empty_one_is_the_control() {
        let new = new(json!([{"field": "training.left_out_features", "values": [[], [3, 17], [5, 9]]}]));
        let configs = expand(&new, &"shared".parse().unwrap()).unwrap();
        assert_eq!(axes(&configs), new.axes);
        let titles: Vec<String> = configs.iter().map(RunConfig::title).collect();
        assert_eq!(
            titles,
            [
                "Digits · PGD AT · ℓ∞ 25.5/255",
                "Digits · PGD AT · ℓ∞ 25.5/255 · without features 3, 17",
                "Digits · PGD AT · ℓ∞ 25.5/255 · without features 5, 9"
            ]
        );
        let texts = configs.iter().map(|config| text(&value_of(config, "training.left_out_features")));
        assert_eq!(texts.collect::<Vec<_>>(), ["[]", "[3,17]", "[5,9]"]);
        let mut named = new.clone();
        named.config["name"] = json!("Mine");
        let titles = expand(&named, &"shared".parse().unwrap()).unwrap().iter().map(RunConfig::title).collect::<Vec<_>>();
        assert_eq!(titles, ["Mine · left out features []", "Mine · left out features [3,17]", "Mine · left out features [5,9]"]);
    }

    #[track_caller]
    fn check(axes: Value, field: &str, part: &str) {
        let errors = expand(&new(axes), &"s".parse().unwrap()).unwrap_err();
        assert!(errors.iter().any(|error| error.field == field && error.message.contains(part)), "{errors:?}");
    }

    #[test]
    fn what_cannot_be_swept_is_named() {
        check(json!([]), "axes", "empty");
        check(json!([{"field": "seed", "values": []}]), "axes[0].values", "empty");
        check(json!([{"field": "seed", "values": [1, 1]}]), "axes[0].values", "twice");
        check(json!([{"field": "training.addition", "values": ["none", "kd"]}]), "axes[0].values", "`kd` is no addition; known: none,");
        check(json!([{"field": "device", "values": ["cpu"]}]), "axes[0].field", "`device`");
        check(json!([{"field": "seed", "values": [1]}, {"field": "seed", "values": [2]}]), "axes[1].field", "varied twice");
        check(json!([{"field": "attack.radius", "values": ["8/255"]}]), "config.attack.radius", "unknown field");
        check(json!([{"field": "attack.eps", "values": ["eight"]}]), "config.attack.eps", "`eight`");
        check(
            json!([{"field": "training.left_out_features", "values": [[], [40]]}]),
            "config.training.left_out_features",
            "40 is not among the 32 features",
        );
        check(json!([{"field": "seed", "values": (0..2001).collect::<Vec<_>>()}]), "axes", "2001 runs");
        let many: Vec<Value> = (0..64).map(|axis| json!({"field": format!("f{axis}"), "values": [1, 2]})).collect();
        check(json!(many), "axes", "more runs than can be counted");
    }

    #[test]
    fn seeds_are_summed_up_with_mean_and_spread() {
        let spread = Spread::of(&[0.4, 0.5, 0.6]).unwrap();
        assert!((spread.mean - 0.5).abs() < 1e-12 && (spread.deviation.unwrap() - 0.1).abs() < 1e-12, "{spread:?}");
        assert_eq!((spread.low, spread.high, spread.count), (0.4, 0.6, 3));
        assert_eq!(Spread::of(&[0.4]).unwrap().deviation, None);
        assert_eq!(Spread::of(&[]), None);
    }
}
