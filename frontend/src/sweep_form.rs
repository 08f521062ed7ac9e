//! The sweep part of the form: fields and the values they take, for several runs from one configuration.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::api::{NewSweep, SweepAxis};
use shared::problem::FieldError;
use shared::sweep;

use crate::form::{self, Kind};

/// A varied field, as typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The dotted path.
    pub field: String,
    /// Values separated by commas; those that are lists are in brackets, such as `[], [12, 40]`.
    pub values: String,
}

/// A preset's axis as it would be typed. The small form of a preset takes every second value.
pub fn row(axis: &SweepAxis, small: bool) -> Row {
    let values = axis.values.iter().step_by(if small { 2 } else { 1 });
    let typed = |value: &Value| match value {
        Value::Array(_) => format!("[{}]", form::text_of(Some(value))),
        other => form::text_of(Some(other)),
    };
    Row { field: axis.field.clone(), values: values.map(typed).collect::<Vec<_>>().join(", ") }
}

/// Parses the typed axes.
pub fn axes(rows: &[Row]) -> Vec<SweepAxis> {
    let value = |part: &str| match part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => form::parse_text(Kind::Numbers, list).unwrap_or_default(),
        None => form::number(part),
    };
    let values = |text: &str| parts(text).into_iter().map(str::trim).filter(|part| !part.is_empty()).map(value).collect();
    rows.iter().map(|row| SweepAxis { field: row.field.trim().to_owned(), values: values(&row.values) }).collect()
}

/// Splits a text at the commas and semicolons that are not inside brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|letter| {
        inside = match letter {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        !inside && [',', ';'].contains(&letter)
    })
    .collect()
}

/// The number of runs in the sweep.
pub fn count(axes: &[SweepAxis]) -> usize {
    axes.iter().map(|axis| axis.values.len()).product()
}

/// The body of the request that submits the sweep.
///
/// `at_once`: how many of its runs may run at once, as typed; what is no number is refused by the server.
pub fn body(config: &Value, axes: Vec<SweepAxis>, at_once: &str) -> NewSweep {
    let at_once = (!at_once.trim().is_empty()).then(|| at_once.trim().parse().unwrap_or(0));
    NewSweep { name: String::new(), config: config.clone(), axes, at_once }
}

/// Returns the problems of a sweep of `config`, which must itself be valid.
pub fn errors(config: &Value, axes: &[SweepAxis]) -> Vec<FieldError> {
    if axes.is_empty() {
        return Vec::new();
    }
    // The server makes the id. It does not matter to whether the runs are valid.
    let id = "sweep".parse().expect("it is an id");
    sweep::expand(&body(config, axes.to_vec(), ""), &id).err().unwrap_or_default().into_iter().map(about_axes).collect()
}

/// Assigns a problem of one run to the axes, because the axes set the value.
fn about_axes(error: FieldError) -> FieldError {
    match error.field.strip_prefix("config.") {
        Some(field) => FieldError::new("axes", format!("{field}: {}", error.message)),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::preset;

    #[track_caller]
    fn check(rows: &[(&str, &str)], runs: usize, problem: &str) {
        let rows: Vec<Row> = rows.iter().map(|(field, values)| Row { field: (*field).into(), values: (*values).into() }).collect();
        let axes = axes(&rows);
        let errors = errors(&preset::demo().config.to_json(), &axes);
        assert_eq!(count(&axes), runs);
        match errors.first() {
            Some(error) => assert!(!problem.is_empty() && error.message.contains(problem), "{error:?}"),
            None => assert!(problem.is_empty(), "{rows:?} should be refused"),
        }
    }

    #[test]
    fn a_sweep_is_every_combination_and_each_is_checked() {
        check(&[("attack.eps", "2/255, 4/255, 8/255"), ("seed", "0, 1")], 6, "");
        check(&[("attack.eps", "2/255, 300")], 2, "attack.eps: 300/255");
        check(&[("attack.radius", "1")], 1, "attack.radius");
        check(&[("training.left_out_features", "[], [3, 17], [5, 9]")], 3, "");
        check(&[("training.left_out_features", "[], [3, x]")], 2, "training.left_out_features[1]: `x` is not a whole number");
        check(&[("training.left_out_features", "[3, 17")], 1, "`[3, 17` is not a list");
        check(&[("", "1, 2")], 2, "not a field");
        check(&[("seed", "")], 0, "is empty");
        check(&[("seed", "1"), ("seed", "2")], 1, "twice");
        check(
            &[
                ("seed", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21"),
                ("data.label_noise", "0,.1,.2,.3,.4,.5,.6,.7,.8,.9"),
                ("training.epochs", "1,2,3,4,5,6,7,8,9,10"),
            ],
            2100,
            "2100 runs",
        );
    }

    #[test]
    fn an_axis_reads_as_it_is_typed_and_small_forms_take_every_other_value() {
        let axis = SweepAxis { field: "attack.eps".into(), values: vec![json!("2/255"), json!("4/255"), json!(8)] };
        assert_eq!(axes(&[row(&axis, false)]), std::slice::from_ref(&axis));
        assert_eq!(row(&axis, true).values, "2/255, 8");
        let lists = SweepAxis { field: "training.milestones".into(), values: vec![json!([]), json!([75]), json!([75, 112])] };
        assert_eq!(row(&lists, false).values, "[], [75], [75, 112]");
        assert_eq!(axes(&[row(&lists, false)]), [lists]);
    }
}
