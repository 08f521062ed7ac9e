//! Collects the errors of a configuration by field.

use super::data::DataConfig;
use crate::eps::Eps;
use crate::problem::FieldError;

/// Errors found so far. Field names are relative to `prefix`.
#[derive(Default)]
pub(super) struct Check {
    prefix: String,
    errors: Vec<FieldError>,
}

impl Check {
    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// Runs `check` on the fields below `prefix`. Returns whether all of them are right.
    pub(super) fn inside(&mut self, prefix: &str, check: impl FnOnce(&mut Check)) -> bool {
        let (outer, errors) = (self.prefix.len(), self.errors.len());
        self.prefix.push_str(prefix);
        self.prefix.push('.');
        check(self);
        self.prefix.truncate(outer);
        self.errors.len() == errors
    }

    pub(super) fn fail(&mut self, field: &str, message: String) {
        self.errors.push(FieldError::new(format!("{}{field}", self.prefix), message));
    }

    pub(super) fn that(&mut self, field: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.fail(field, message());
        }
    }

    pub(super) fn range(&mut self, field: &str, value: u32, low: u32, high: u32) {
        self.that(field, (low..=high).contains(&value), || format!("{value} is out of range; {low} to {high}"));
    }

    /// Requires `value` in `[0, 1)`.
    pub(super) fn fraction(&mut self, field: &str, value: f64) {
        self.that(field, (0.0..1.0).contains(&value), || format!("{value} is out of range; 0 or more, below 1"));
    }

    /// Requires `value` in `(0, largest]`.
    pub(super) fn positive(&mut self, field: &str, value: f64, largest: f64) {
        self.that(field, value > 0.0 && value <= largest, || format!("{value} is out of range; above 0, at most {largest}"));
    }

    /// Requires `value` in `[0, largest]`.
    pub(super) fn weight(&mut self, field: &str, value: f64, largest: f64) {
        self.that(field, (0.0..=largest).contains(&value), || format!("{value} is out of range; 0 or more, at most {largest}"));
    }

    /// Requires `value` in `(0, largest]`, if there is one.
    pub(super) fn size(&mut self, field: &str, value: impl Into<Option<Eps>>, largest: f64) {
        let Some(value) = value.into() else { return };
        let size = value.fraction();
        let message = || format!("{value} is out of range; above 0, at most {largest:.4}");
        // In ℓ2, a bare 128 is a length, but people often mean 128/255.
        if size > largest && size / 255.0 <= largest && size.fract() == 0.0 {
            self.fail(field, format!("{}: for {size} of 255 write `{size}/255`", message()));
        } else {
            self.that(field, size > 0.0 && size <= largest, message);
        }
    }

    pub(super) fn data(&mut self, data: Option<&DataConfig>) {
        if let Some(data) = data {
            self.inside("data", |check| data.validate(check));
        }
    }

    pub(super) fn samples(&mut self, field: &str, value: Option<u32>, classes: u32, most: u32) {
        if let Some(value) = value {
            self.that(field, (classes..=most).contains(&value), || format!("{value} is out of range; {classes} (one per class) to {most}"));
        }
    }

    pub(super) fn epochs(&mut self, field: &str, values: &[u32], last: u32) {
        if let Some(value) = values.iter().find(|value| !(1..=last).contains(*value)) {
            self.fail(field, format!("{value} is not an epoch of the run; 1 to {last}"));
        }
    }

    /// Requires that no entry occurs twice.
    pub(super) fn distinct<T: PartialEq>(&mut self, field: &str, values: &[T], what: &str) {
        let repeated = (1..values.len()).any(|index| values[..index].contains(&values[index]));
        self.that(field, !repeated, || format!("names the same {what} twice"));
    }

    pub(super) fn name(&mut self, name: &str) {
        self.that("name", name.chars().count() <= 80, || format!("has {} characters; at most 80", name.chars().count()));
    }

    pub(super) fn device(&mut self, device: &str) {
        let known = device == "auto" || is_local_device(device) || is_lane_name(device);
        self.that("device", known, || format!("`{device}` is not a device; write `auto`, `cpu`, `cuda:0` or the name of a lane"));
    }
}

/// Whether this is the name of a device of the machine itself: `cpu` or `cuda:N`.
pub fn is_local_device(name: &str) -> bool {
    name == "cpu" || name.strip_prefix("cuda:").is_some_and(|index| index.len() <= 3 && index.parse::<u16>().is_ok())
}

/// Whether a lane beyond this machine can have this name: letters, digits, `-`, `_` and `.`, at most 40, with a letter
/// first.
pub fn is_lane_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 40
        && name.chars().all(plain)
        && !["auto", "cpu", "cuda"].contains(&name)
}
