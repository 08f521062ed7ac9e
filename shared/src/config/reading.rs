//! Deserializes a configuration. Errors name the wrong field, in words for people who do not know Rust.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::FieldError;

/// Deserializes a value. The error names the first wrong field, such as `attack.eps` or
/// `training.milestones[1]`.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let message = error.inner().to_string();
        // The path of a missing field ends at its parent object; only the message has the name of the field.
        let missing = missing_field(&message).map(|field| Segment::Map { key: field.to_owned() });
        let mut path = String::new();
        for segment in error.path().iter().chain(&missing) {
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

fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Rewrites serde's message about a value of the wrong type: `` `1e` is not a whole number, 0 or more ``.
fn in_plain_words(message: &str) -> Option<String> {
    if missing_field(message).is_some() {
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

    use serde_json::json;

    use super::*;
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
        check::<BTreeMap<String, Vec<CheckpointRef>>>(json!({"checkpoints": ["r-1", "r-1.best"]}), "checkpoints[0]");
        check::<BTreeMap<String, Vec<CheckpointRef>>>(json!({"checkpoints": ["r-1.best", "r-1"]}), "checkpoints[1]");
    }
}
