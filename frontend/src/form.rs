//! Edits the form of a new run as one JSON value: parses and formats fields, changes dependent fields
//! together, and shows the configuration as text and as a command. Contains no validation; see
//! [`RunConfig::parse`].

use serde_json::{Map, Value, json};
use shared::builtin;
use shared::config::{Architecture, Method, Norm, RunConfig, TRAINING_STEPS};
use shared::dataset::Dataset;
use shared::eps::{self, Eps};
use shared::problem::FieldError;

/// How the text of a field becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An optional path.
    Path,
    Number,
    /// Numbers separated by commas or spaces.
    Numbers,
    /// Pairs of numbers, such as `3-5, 0-9`.
    Pairs,
    /// A perturbation size, kept in the notation in which it was typed.
    Size,
    /// Perturbation sizes separated by commas or spaces, such as `0, 4/255, 8/255`.
    Sizes,
}

/// Parses the text of a field; `None` if it is empty.
///
/// Text that is not a number stays a string, so that validation can report it.
pub fn parse_text(kind: Kind, text: &str) -> Option<Value> {
    let text = text.trim();
    match kind {
        Kind::Text => Some(Value::from(text)),
        Kind::Numbers => Some(listed(text).map(number).collect::<Vec<_>>().into()),
        Kind::Sizes => Some(listed(text).map(Value::from).collect::<Vec<_>>().into()),
        Kind::Pairs => {
            let numbers = |pair: &str| Value::from(pair.split('-').map(|part| number(part.trim())).collect::<Vec<_>>());
            Some(text.split([',', ';']).map(str::trim).filter(|pair| !pair.is_empty()).map(numbers).collect::<Vec<_>>().into())
        }
        _ if text.is_empty() => None,
        Kind::Number => Some(number(text)),
        Kind::Size | Kind::Path => Some(Value::from(text)),
    }
}

/// The entries of a list that are separated by commas or spaces.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|part| !part.is_empty())
}

/// Returns the text as a number if it is one, otherwise as a string.
pub fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<u64>() {
        return whole.into();
    }
    builtin::number(text).and_then(|number| serde_json::Number::from_f64(number).map(Value::Number)).unwrap_or_else(|| text.into())
}

/// Formats a value so that [`parse_text`] returns the same value.
pub fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let entry = |value: &Value| match value {
                Value::Array(pair) => pair.iter().map(|value| text_of(Some(value))).collect::<Vec<_>>().join("-"),
                other => text_of(Some(other)),
            };
            values.iter().map(entry).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// The value at a dotted path, such as `training.epochs`.
pub fn at<'a>(config: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(config, |value, key| value.get(key))
}

/// Sets the value at a dotted path; `None` removes the field.
pub fn set_at(config: &mut Value, path: &str, value: Option<Value>) {
    let (folder, name) = path.rsplit_once('.').map_or((None, path), |(folder, name)| (Some(folder), name));
    let mut target = config;
    for key in folder.into_iter().flat_map(|folder| folder.split('.')) {
        let object = object(target);
        target = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    let object = object(target);
    match value {
        Some(value) => {
            object.insert(name.to_owned(), value);
        }
        None => {
            object.remove(name);
        }
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was just made one")
}

/// Changes the data set and the fields that depend on it: architecture, folder, image size, and sample counts
/// that exceed the new set.
pub fn switch_dataset(config: &mut Value, dataset: Dataset) {
    set_at(config, "data.dataset", Some(dataset.id().into()));
    let info = dataset.info();
    if at(config, "model").is_some() {
        let architecture = if info.shape[1] < 16 { Architecture::PreactResnetSmall } else { Architecture::PreactResnet18 };
        switch_architecture(config, architecture.id());
    }
    set_at(config, "data.path", None);
    set_at(config, "data.image_size", None);
    for (field, available) in [("data.train_samples", info.train_samples), ("data.test_samples", info.test_samples)] {
        let too_many =
            at(config, field).and_then(Value::as_u64).zip(available).is_some_and(|(wanted, available)| wanted > u64::from(available));
        if too_many {
            set_at(config, field, None);
        }
    }
}

/// Changes the architecture, and removes depth and activation if the new one has no choice of them.
pub fn switch_architecture(config: &mut Value, architecture: &str) {
    set_at(config, "model.architecture", Some(architecture.into()));
    let Some(facts) = architecture.parse().ok().map(Architecture::facts) else { return };
    if facts.published_depth.is_none() {
        set_at(config, "model.depth", None);
    }
    if !facts.has_activations {
        set_at(config, "model.activation", None);
    }
}

/// Takes over the data set and the network of the run whose checkpoint a run starts from. Returns whether that
/// changes anything.
pub fn take_from_parent(config: &mut Value, parent: &Value) -> bool {
    let before = config.clone();
    // Of the same data set, a run may train on other images.
    if ["data.dataset", "data.image_size"].iter().any(|path| at(config, path) != at(parent, path)) {
        set_at(config, "data", at(parent, "data").cloned());
    }
    if let Some(model) = at(parent, "model").filter(|model| !model.is_null()) {
        set_at(config, "model", Some(model.clone()));
    }
    *config != before
}

/// Changes the training method and the fields that depend on it, such as attack steps and the batch norm mode
/// of its attack.
pub fn switch_method(config: &mut Value, method: &str) {
    let facts = |id: &str| id.parse().ok().map(Method::facts);
    let former = at(config, "training.method").and_then(Value::as_str).and_then(facts);
    set_at(config, "training.method", Some(method.into()));
    let Some(method) = facts(method) else { return };
    match (former.and_then(|former| former.attack_steps), method.attack_steps) {
        (_, Some(steps)) => set_at(config, "attack.steps", Some(steps.into())),
        (Some(_), None) => set_at(config, "attack.steps", Some(TRAINING_STEPS.into())),
        (None, None) => {}
    }
    if let Some(mode) = method.published_batch_norm {
        set_at(config, "attack.batch_norm", Some(json!(mode)));
    }
    if method.needs_random_start.is_some() {
        set_at(config, "attack.random_start", Some(true.into()));
    }
}

/// Changes the schedule and removes the milestones if the new schedule has none.
pub fn switch_schedule(config: &mut Value, schedule: &str) {
    set_at(config, "training.schedule", Some(schedule.into()));
    if schedule != "milestones" {
        set_at(config, "training.milestones", Some(Value::Array(Vec::new())));
    }
}

/// Whether a list field holds an entry.
pub fn contains(config: &Value, path: &str, entry: &str) -> bool {
    at(config, path).and_then(Value::as_array).is_some_and(|list| list.iter().any(|value| value == entry))
}

/// Adds an entry to a list field or removes it. Entries named in `order` are sorted in that order.
pub fn toggle(config: &mut Value, path: &str, entry: &str, on: bool, order: &[&str]) {
    let mut list = at(config, path).and_then(Value::as_array).cloned().unwrap_or_default();
    list.retain(|value| value != entry);
    if on {
        list.push(entry.into());
    }
    list.sort_by_key(|value| order.iter().position(|known| value == known));
    set_at(config, path, Some(list.into()));
}

/// How the size at `path` is understood, such as `8/255 (0.0314)` or `1.5 (ℓ2)`; `None` if it is not a size.
pub fn size_hint(config: &Value, path: &str) -> Option<String> {
    let norm = eps::norm_of(config, path);
    let text = text_of(at(config, path));
    let size = Eps::read(&text, norm).ok()?;
    Some(match norm {
        // In ℓ∞ the same number would mean 255ths.
        Some(Norm::L2) if size.fraction() >= 1.0 && !text.contains('/') => {
            format!("{} (ℓ2); {}/255 would be {:.4}", size.long(Norm::L2), text.trim(), size.scaled(1.0 / 255.0).fraction())
        }
        Some(Norm::L2) if !size.long(Norm::L2).contains('/') => format!("{} (ℓ2)", size.long(Norm::L2)),
        _ => size.long(norm.unwrap_or(Norm::Linf)),
    })
}

/// The messages for a field and for everything inside it: `training.milestones` includes
/// `training.milestones[1]`.
pub fn messages(errors: &[FieldError], path: &str) -> Vec<String> {
    let inside = |field: &str| field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']));
    errors.iter().filter(|error| inside(&error.field)).map(|error| error.message.clone()).collect()
}

/// How many of the fields at `paths` differ between two configurations. A field inside another counts with that.
pub fn changed(config: &Value, first: &Value, paths: &[&'static str]) -> usize {
    let inside = |path: &str| paths.iter().any(|other| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.')));
    let mut differing: Vec<&str> = paths.iter().copied().filter(|path| !inside(path) && at(config, path) != at(first, path)).collect();
    // The entries of a list are fields of one path.
    differing.sort_unstable();
    differing.dedup();
    differing.len()
}

/// The configuration that a person has written as text, of the same kind as `former`. Fails with what is wrong with the
/// text.
pub fn config_of_text(text: &str, former: &Value) -> Result<Value, String> {
    let config: Value = serde_json::from_str(text).map_err(|error| format!("This is not JSON yet: {error}."))?;
    match (config.get("kind"), former.get("kind")) {
        _ if !config.is_object() => Err("A configuration is an object in braces.".to_owned()),
        (now, then) if now != then => Err(format!("The `kind` is {} here; other kinds have their own tabs.", then.unwrap_or(&Value::Null))),
        _ => Ok(config),
    }
}

/// The configuration as text. If valid, fields have the order of the type; otherwise the order of the JSON
/// value.
pub fn config_text(config: &Value) -> String {
    match RunConfig::parse(config) {
        Ok(config) => pretty(&config.to_json()),
        Err(_) => pretty(config),
    }
}

/// Formats a value as indented JSON.
pub fn pretty(body: &impl serde::Serialize) -> String {
    format!("{:#}", json!(body))
}

/// A shell command that submits a body to the server.
pub fn command_line(address: &str, body: &str) -> String {
    format!("curl {address} -H 'content-type: application/json' --data-binary @- <<'END'\n{body}\nEND")
}

/// A shell command that uploads files with their configuration.
pub fn upload_command(address: &str, config: &str, files: &[String]) -> String {
    let files: String = files.iter().map(|file| format!(" -F 'file=@{}'", file.replace('\'', "'\\''"))).collect();
    format!("curl {address} -F 'config=<-'{files} <<'END'\n{config}\nEND")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::preset;

    #[test]
    fn fields_that_were_changed_are_counted_once() {
        let first = json!({"attack": {"eps": "8"}, "inputs": ["clean"], "awp": null});
        let paths = ["attack.eps", "inputs", "inputs", "awp", "awp.gamma", "seed"];
        assert_eq!(changed(&first, &first, &paths), 0);
        let now = json!({"attack": {"eps": "4"}, "inputs": [], "awp": {"gamma": 0.01}});
        assert_eq!(changed(&now, &first, &paths), 3);
        assert_eq!(changed(&json!({"seed": 1, "attack": {"eps": "8"}, "inputs": ["clean"], "awp": null}), &first, &paths), 1);
    }

    #[test]
    fn a_configuration_written_as_text_is_of_the_kind_of_the_form() {
        let former = json!({"kind": "train", "seed": 0});
        assert_eq!(config_of_text("{\"kind\": \"train\"}", &former), Ok(json!({"kind": "train"})));
        for (text, part) in
            [("{\"kind\":", "not JSON yet: EOF"), ("[1]", "in braces"), ("{\"kind\": \"pair\"}", "`kind` is \"train\" here")]
        {
            let error = config_of_text(text, &former).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn numbers_are_numbers_and_anything_else_stays_what_was_typed() {
        for (kind, text, expected) in [
            (Kind::Number, "12", Some(json!(12))),
            (Kind::Number, " 5e-4 ", Some(json!(5e-4))),
            (Kind::Number, "1.", Some(json!(1.0))),
            (Kind::Number, "1e", Some(json!("1e"))),
            (Kind::Number, "-3", Some(json!(-3.0))),
            (Kind::Number, "inf", Some(json!("inf"))),
            (Kind::Number, "", None),
            (Kind::Numbers, "30, 45", Some(json!([30, 45]))),
            (Kind::Numbers, "30,x", Some(json!([30, "x"]))),
            (Kind::Numbers, "", Some(json!([]))),
            (Kind::Pairs, "3-5; 0 - 9", Some(json!([[3, 5], [0, 9]]))),
            (Kind::Pairs, "3-,x", Some(json!([[3, ""], ["x"]]))),
            (Kind::Pairs, "", Some(json!([]))),
            (Kind::Size, "8", Some(json!("8"))),
            (Kind::Size, "", None),
            (Kind::Text, "", Some(json!(""))),
            (Kind::Path, " /data ", Some(json!("/data"))),
            (Kind::Path, "", None),
        ] {
            assert_eq!(parse_text(kind, text), expected, "{kind:?} {text:?}");
        }
    }

    #[test]
    fn a_parent_gives_its_data_set_and_its_network() {
        let parent = json!({"data": {"dataset": "digits"}, "model": {"width": 4}});
        let mut config = json!({"data": {"dataset": "digits", "train_samples": 60}, "model": {"width": 4}});
        assert!(!take_from_parent(&mut config, &parent));
        set_at(&mut config, "data.dataset", Some("cifar10".into()));
        set_at(&mut config, "model.width", None);
        assert!(take_from_parent(&mut config, &parent));
        assert_eq!(config, parent);
    }

    #[test]
    fn the_text_of_a_value_reads_back_to_it() {
        for (kind, value) in [
            (Kind::Number, json!(0.0005)),
            (Kind::Number, json!(200)),
            (Kind::Numbers, json!([100, 150])),
            (Kind::Pairs, json!([[3, 5], [0, 9]])),
            (Kind::Size, json!("8/255")),
            (Kind::Text, json!("a name")),
        ] {
            assert_eq!(parse_text(kind, &text_of(Some(&value))), Some(value));
        }
    }

    #[test]
    fn a_field_is_set_and_removed_at_its_path() {
        let mut config = json!({"data": {"dataset": "digits"}});
        set_at(&mut config, "data.train_samples", Some(json!(300)));
        set_at(&mut config, "attack.eps", Some(json!("8")));
        assert_eq!(config, json!({"data": {"dataset": "digits", "train_samples": 300}, "attack": {"eps": "8"}}));
        set_at(&mut config, "data.train_samples", None);
        assert_eq!(at(&config, "data.train_samples"), None);
        assert_eq!(at(&config, "attack.eps"), Some(&json!("8")));
    }

    #[test]
    fn another_data_set_takes_an_architecture_that_fits_and_drops_what_does_not() {
        let mut config = preset::demo().config.to_json();
        switch_dataset(&mut config, Dataset::Cifar10);
        assert_eq!(at(&config, "model.architecture"), Some(&json!("preact_resnet18")));
        assert!(RunConfig::parse(&config).is_ok(), "the server may know the folder");
        set_at(&mut config, "data.train_samples", Some(json!(50_000)));
        switch_dataset(&mut config, Dataset::Digits);
        assert!(RunConfig::parse(&config).is_ok());
        assert_eq!(at(&config, "data.train_samples"), None);
    }

    #[test]
    fn another_architecture_drops_depth_and_activation_that_it_has_no_choice_of() {
        let mut config = json!({"model": {"architecture": "dm_preact_resnet18", "activation": "relu"}});
        switch_architecture(&mut config, "dm_wide_resnet");
        assert_eq!(config["model"], json!({"architecture": "dm_wide_resnet", "activation": "relu"}));
        set_at(&mut config, "model.depth", Some(json!(34)));
        switch_architecture(&mut config, "wide_resnet");
        assert_eq!(config["model"], json!({"architecture": "wide_resnet", "depth": 34}));
        switch_architecture(&mut config, "resnet18");
        assert_eq!(config["model"], json!({"architecture": "resnet18"}));
    }

    #[test]
    fn a_list_gains_and_loses_entries() {
        let mut config = json!({});
        toggle(&mut config, "attribution.inputs", "clean", true, &[]);
        toggle(&mut config, "attribution.inputs", "clean", true, &[]);
        assert!(contains(&config, "attribution.inputs", "clean"));
        toggle(&mut config, "attribution.inputs", "clean", false, &[]);
        assert_eq!(config, json!({"attribution": {"inputs": []}}));
        for attack in ["square", "apgd_ce"] {
            toggle(&mut config, "autoattack", attack, true, &["apgd_ce", "square"]);
        }
        assert_eq!(at(&config, "autoattack"), Some(&json!(["apgd_ce", "square"])));
    }

    #[test]
    fn another_method_brings_the_attack_it_goes_with() {
        let mut config = preset::demo().config.to_json();
        for method in ["fast_at", "trades", "pgd_at", "standard"] {
            switch_method(&mut config, method);
            assert!(RunConfig::parse(&config).is_ok(), "{method}: {config}");
        }
        switch_schedule(&mut config, "cosine");
        assert!(RunConfig::parse(&config).is_ok(), "{config}");
    }

    #[test]
    fn messages_go_to_the_field_they_are_about() {
        let errors = [FieldError::new("training.milestones[1]", "one"), FieldError::new("training.milestones_other", "two")];
        assert_eq!(messages(&errors, "training.milestones"), ["one"]);
        assert!(messages(&errors, "training.mile").is_empty());
    }

    #[test]
    fn the_command_holds_the_configuration_as_the_page_shows_it() {
        let config = preset::demo().config.to_json();
        let command = command_line("http://localhost:8000/lab/api/runs", &config_text(&config));
        assert!(command.starts_with("curl http://localhost:8000/lab/api/runs "));
        let body = command.split_once("<<'END'\n").unwrap().1.strip_suffix("\nEND").unwrap();
        assert_eq!(RunConfig::parse(&serde_json::from_str(body).unwrap()).unwrap(), preset::demo().config);
    }

    #[test]
    fn a_size_is_shown_as_it_is_understood_in_its_norm() {
        let hint = |norm: &str, eps: &str| size_hint(&json!({"attack": {"norm": norm, "eps": eps}}), "attack.eps");
        assert_eq!(hint("linf", "8").as_deref(), Some("8/255 (0.0314)"));
        assert_eq!(hint("l2", "1.5").as_deref(), Some("1.5 (ℓ2); 1.5/255 would be 0.0059"));
        assert_eq!(hint("l2", "0.25").as_deref(), Some("0.25 (ℓ2)"));
        assert_eq!(hint("l2", "128/255").as_deref(), Some("128/255 (0.5020)"));
        assert_eq!(hint("linf", "1"), None);
        let evaluation = json!({"attack": {"norm": "l2"}, "evaluation": {"step_size": "2"}});
        assert_eq!(size_hint(&evaluation, "evaluation.step_size").as_deref(), Some("2 (ℓ2); 2/255 would be 0.0078"));
        assert_eq!(size_hint(&json!({"eps": "8"}), "eps"), None, "the norm is the checkpoint's");
    }
}
