//! Errors of the API: RFC 9457 problem details with the wrong fields.

use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::Segment;

/// A wrong field, such as `attack.eps`, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, utoipa::ToSchema)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Dotted path of the field in the request body, or name of the query parameter.
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { field: field.into(), message: message.into() }
    }
}

/// Body of every error response, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Path that identifies the kind of problem, such as `/problems/run-not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Message for a person, with the wrong value.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// Whether it is of the kind with this name, such as `run-not-found`.
    pub fn is(&self, name: &str) -> bool {
        self.kind.rsplit('/').next() == Some(name)
    }

    /// A problem that has no kind of its own in the documentation.
    pub fn unnamed(status: u16, title: impl Into<String>, detail: String) -> Self {
        Problem { kind: "about:blank".into(), title: title.into(), status, detail, errors: Vec::new() }
    }
}

/// Deserializes a configuration, a request body or a query. The error names the first wrong field, such as
/// `attack.eps` or `training.milestones[1]`, in words for people who do not know Rust.
pub fn read<'de, T: Deserialize<'de>>(from: impl Deserializer<'de>) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let message = error.inner().to_string();
        // The path of such a field ends at its parent object; only the message has the name of the field.
        let name = named_field(&message, "missing").or_else(|| named_field(&message, "duplicate"));
        let named = name.map(|field| Segment::Map { key: field.to_owned() });
        let mut path = String::new();
        for segment in error.path().iter().chain(&named) {
            match segment {
                Segment::Map { key } if path.is_empty() => path.push_str(key),
                Segment::Map { key } => path.extend([".", key]),
                Segment::Seq { index } => path.push_str(&format!("[{index}]")),
                // A variant is the value of a field and not part of its path.
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        FieldError::new(path, in_plain_words(&message).unwrap_or(message))
    })
}

/// The field that a message of serde such as ``missing field `eps` `` names.
fn named_field<'a>(message: &'a str, what: &str) -> Option<&'a str> {
    message.strip_prefix(what)?.strip_prefix(" field `")?.strip_suffix('`')
}

/// Rewrites serde's message about a value of the wrong type: `` `1e` is not a whole number, 0 or more ``.
fn in_plain_words(message: &str) -> Option<String> {
    if named_field(message, "missing").is_some() {
        return Some("is missing".to_owned());
    }
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "u32" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        // Types that serde reads an enum from.
        "a string" | "string or map" | "map with a single key" => "a text",
        _ => return None,
    };
    // `found` looks like `string "1e"`, `` integer `-3` `` or `null`.
    let value = found.split_once(['"', '`']).map_or(found, |(_, value)| value.trim_end_matches(['"', '`']));
    Some(format!("`{value}` is not {expected}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::NewSweep;
    use crate::config::TrainConfig;
    use crate::id::CheckpointRef;

    #[track_caller]
    fn check<T: DeserializeOwned>(value: Value, expected: &str) {
        let Err(error) = read::<T>(&value) else { panic!("{value} was read") };
        assert_eq!(error.field, expected, "{value}: {error:?}");
    }

    #[test]
    fn a_field_is_named_by_the_fields_around_it() {
        let training = |training: Value| {
            let model = json!({"architecture": "resnet18"});
            json!({"name": "a \"quoted\": {name}, [\\", "data": {"dataset": "digits"}, "model": model, "training": training})
        };
        check::<TrainConfig>(json!({}), "data");
        check::<TrainConfig>(json!({"data": {}}), "data.dataset");
        check::<TrainConfig>(json!({"data": {"dataset": "digits", "path": 3}}), "data.path");
        check::<TrainConfig>(json!({"data": {"dataset": {"digits": 3}}}), "data.dataset");
        check::<TrainConfig>(training(json!({"method": "magic"})), "training.method");
        check::<TrainConfig>(training(json!({"milestones": [30, "x"]})), "training.milestones[1]");
        check::<TrainConfig>(training(json!({"milestones": [30, 45], "unknown": 1})), "training.unknown");
        check::<NewSweep>(json!({"config": {}, "axes": [{"field": "seed", "values": [], "step": 1}]}), "axes[0].step");
        check::<BTreeMap<String, Vec<CheckpointRef>>>(json!({"checkpoints": ["r-1", "r-1.best"]}), "checkpoints[0]");
        check::<BTreeMap<String, Vec<CheckpointRef>>>(json!({"checkpoints": ["r-1.best", "r-1"]}), "checkpoints[1]");
    }
}
