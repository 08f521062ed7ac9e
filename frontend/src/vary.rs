//! Several runs from one configuration: fields with the values they take.

use serde_json::Value;
use shared::api::{NewSweep, SweepAxis};
use shared::config::RunConfig;
use shared::problem::FieldError;

use crate::form;

/// Each is checked as one types; more at once are for a script.
const MOST_RUNS: usize = 100;

/// A field that is varied, as it is typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The dotted path.
    pub field: String,
    /// Values with commas between.
    pub values: String,
}

/// Fields that are worth a sweep, with what they are called.
pub const FIELDS: [(&str, &str); 14] = [
    ("seed", "Seed"),
    ("attack.eps", "Radius eps"),
    ("attack.norm", "Norm"),
    ("attack.steps", "Steps of the attack"),
    ("training.method", "Method"),
    ("training.epochs", "Epochs"),
    ("training.learning_rate", "Learning rate"),
    ("training.weight_decay", "Weight decay"),
    ("training.batch_size", "Batch size"),
    ("training.label_smoothing", "Label smoothing"),
    ("training.trades_beta", "TRADES β"),
    ("data.label_noise", "Label noise"),
    ("data.train_samples", "Training images"),
    ("model.width", "Width"),
];

/// What a field is called; its path where it has no name here.
pub fn field_name(field: &str) -> &str {
    FIELDS.iter().find(|(path, _)| *path == field).map_or(field, |(_, name)| name)
}

/// A preset's axis as it would be typed. Small forms take every other value.
pub fn row(axis: &SweepAxis, small: bool) -> Row {
    let values = axis.values.iter().step_by(if small { 2 } else { 1 });
    Row { field: axis.field.clone(), values: values.map(|value| form::text_of(Some(value))).collect::<Vec<_>>().join(", ") }
}

/// The axes that are typed.
pub fn axes(rows: &[Row]) -> Vec<SweepAxis> {
    let values = |text: &str| text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()).map(form::number).collect();
    rows.iter().map(|row| SweepAxis { field: row.field.trim().to_owned(), values: values(&row.values) }).collect()
}

/// How many runs they make.
pub fn count(axes: &[SweepAxis]) -> usize {
    axes.iter().map(|axis| axis.values.len()).product()
}

/// The body that submits them.
pub fn body(config: &Value, axes: Vec<SweepAxis>) -> NewSweep {
    NewSweep { name: String::new(), config: config.clone(), axes }
}

/// What is wrong with the runs that differ from `config` in `axes`, which by itself has to be right.
pub fn errors(config: &Value, axes: &[SweepAxis]) -> Vec<FieldError> {
    for (index, axis) in axes.iter().enumerate() {
        let bad = |message: &str| vec![FieldError::new("axes", message)];
        if axis.field.is_empty() {
            return bad("names no field to vary");
        }
        if axes[..index].iter().any(|other| other.field == axis.field) {
            return bad("names the same field twice");
        }
        if axis.values.is_empty() {
            return vec![FieldError::new("axes", format!("has no values for `{}`", axis.field))];
        }
    }
    let runs = count(axes);
    if runs > MOST_RUNS {
        return vec![FieldError::new("axes", format!("makes {runs} runs; at most {MOST_RUNS}"))];
    }
    for combination in combinations(axes) {
        let mut varied = config.clone();
        for (axis, value) in axes.iter().zip(&combination) {
            form::set_at(&mut varied, &axis.field, Some((*value).clone()));
        }
        if let Err(errors) = RunConfig::parse(&varied) {
            let values: Vec<String> =
                axes.iter().zip(&combination).map(|(axis, value)| format!("{} = {}", axis.field, form::text_of(Some(value)))).collect();
            let first = errors.into_iter().next().map(|error| format!("{} {}", error.field, error.message)).unwrap_or_default();
            return vec![FieldError::new("axes", format!("with {}: {first}", values.join(", ")))];
        }
    }
    Vec::new()
}

/// Every choice of one value of each axis, the last axis fastest.
fn combinations(axes: &[SweepAxis]) -> Vec<Vec<&Value>> {
    axes.iter().fold(vec![Vec::new()], |chosen, axis| {
        let with = |chosen: &Vec<_>, value| chosen.iter().copied().chain([value]).collect::<Vec<_>>();
        chosen.iter().flat_map(|chosen| axis.values.iter().map(move |value| with(chosen, value))).collect()
    })
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
        check(&[("attack.eps", "2/255, 300")], 2, "with attack.eps = 300: attack.eps");
        check(&[("attack.radius", "1")], 1, "attack.radius");
        check(&[("", "1, 2")], 2, "names no field");
        check(&[("seed", "")], 0, "no values for `seed`");
        check(&[("seed", "1"), ("seed", "2")], 1, "twice");
        check(&[("seed", "1,2,3,4,5,6,7,8,9,10,11"), ("data.label_noise", "0,.1,.2,.3,.4,.5,.6,.7,.8,.9")], 110, "110 runs");
    }

    #[test]
    fn an_axis_reads_as_it_is_typed_and_small_forms_take_every_other_value() {
        let axis = SweepAxis { field: "attack.eps".into(), values: vec![json!("2/255"), json!("4/255"), json!(8)] };
        assert_eq!(axes(&[row(&axis, false)]), std::slice::from_ref(&axis));
        assert_eq!(row(&axis, true).values, "2/255, 8");
        assert_eq!((field_name("attack.eps"), field_name("training.momentum")), ("Radius eps", "training.momentum"));
    }
}
