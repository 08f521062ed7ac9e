//! Which field of a configuration could not be read, and why, in words for people who know no Rust.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json;
use crate::problem::FieldError;

/// Reads a value, or names the first field in it that cannot be read.
///
/// From its text: then everything that comes as JSON is read by one piece of code, which the browser downloads once, and its errors
/// say where they are.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, FieldError> {
    let text = value.to_string();
    json::from_str(&text).map_err(|error| field_error(&text, &error))
}

fn field_error(text: &str, error: &serde_json::Error) -> FieldError {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let read = text.get(..error.column()).unwrap_or(text);
    // That a field is missing is known at the end of its object. Anything else is about a value, and what it is the last of may be closed.
    let read = if message.starts_with("missing field `") { read } else { read.strip_suffix(['}', ']']).unwrap_or(read) };
    let path = path_at(read);
    // A missing or unknown field is named in the message; the place is the object around it.
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split_once('`'))
        .map(|(field, _)| field);
    let field = match named {
        Some(field) if path.is_empty() => field.to_owned(),
        Some(field) => format!("{path}.{field}"),
        None => path,
    };
    FieldError::new(field, in_plain_words(message).unwrap_or_else(|| message.to_owned()))
}

/// What a JSON text that breaks off is about: `attack.eps`, `training.milestones[1]`.
fn path_at(text: &str) -> String {
    /// Where the text is in an object or a list that is open.
    enum Place<'a> {
        Field(Option<&'a str>),
        Entry(usize),
    }
    let mut places = Vec::new();
    let mut string = "";
    let mut bytes = text.bytes().enumerate();
    while let Some((start, byte)) = bytes.next() {
        match byte {
            b'{' => places.push(Place::Field(None)),
            b'[' => places.push(Place::Entry(0)),
            b'}' | b']' => drop(places.pop()),
            b',' => match places.last_mut() {
                Some(Place::Field(name)) => *name = None,
                Some(Place::Entry(index)) => *index += 1,
                None => {}
            },
            b':' => {
                if let Some(Place::Field(name)) = places.last_mut() {
                    *name = Some(string);
                }
            }
            b'"' => {
                let mut escaped = false;
                let end = bytes.find(|(_, byte)| {
                    let closes = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    closes
                });
                string = &text[start + 1..end.map_or(text.len(), |(end, _)| end)];
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for place in places {
        match place {
            Place::Field(Some(name)) if path.is_empty() => path.push_str(name),
            Place::Field(Some(name)) => path.extend([".", name]),
            Place::Entry(index) => path.push_str(&format!("[{index}]")),
            Place::Field(None) => {}
        }
    }
    path
}

/// What serde says about a value of the wrong type: `` `1e` is not a whole number, 0 or more ``.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::view::CheckpointRef;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(path_at(text), expected, "{text}");
    }

    #[test]
    fn a_last_value_that_is_no_name_is_named_itself() {
        let refused = |text: &str| read::<BTreeMap<String, Vec<CheckpointRef>>>(&serde_json::from_str(text).unwrap()).unwrap_err();
        let error = refused(r#"{"checkpoints":["r-1.best","r-1"]}"#);
        assert_eq!(error.field, "checkpoints[1]", "{error:?}");
    }

    #[test]
    fn the_place_where_a_text_breaks_off_is_named_by_its_fields() {
        check(r#"{"attack":{"eps":"eight""#, "attack.eps");
        check(r#"{"training":{"milestones":[30,"x""#, "training.milestones[1]");
        check(r#"{"training":{"milestones":[30,45],"unknown""#, "training");
        check(r#"{"name":"a \"quoted\": {name}, [\\","data":{"path":"#, "data.path");
        check(r#"{"data":{"path":null}"#, "data");
        check(r#"{"data":{}}"#, "");
    }
}
