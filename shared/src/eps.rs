//! Perturbation sizes, in the two usual notations: `8/255` and `0.0314`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::builtin;
use crate::config::Norm;
use crate::problem::FieldError;

/// A perturbation size or step size for pixels in `[0, 1]`: maximum change of a pixel in ℓ∞, length in ℓ2.
///
/// Written as `"8/255"`, or as a decimal if the numerator has more than two decimals or the size is a short
/// decimal above 1, such as 1.5. [`Eps::read`] accepts more notations.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Eps(f64);

/// Error: a text is not a perturbation size.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EpsError {
    #[error("`{0}` is not a size; write `8/255`, `8` (of 255, in ℓ∞) or `0.0314`")]
    NotANumber(String),
    #[error("`{0}` is negative; a size is 0 or more")]
    Negative(String),
    #[error("`{0}` can be read as 1/255 and as the whole range of a pixel; write `1/255` or `255/255`")]
    OneInLinf(String),
    #[error("`{0}` is of 255 in ℓ∞ and a length in ℓ2; write it as a fraction such as `8/255`, or name the norm")]
    NormUnknown(String),
}

impl Eps {
    /// The size `numerator / 255`.
    pub const fn of_255(numerator: f64) -> Self {
        Eps(numerator / 255.0)
    }

    /// Reads a size written by a person for a threat model in `norm`; `None` if the norm is unknown.
    ///
    /// `8/255` and numbers below 1 mean the same in every norm. A larger number without a denominator means
    /// n/255 in ℓ∞ and a length in ℓ2.
    /// Error: the text is not a size, or it is ambiguous: 1 in ℓ∞, or a number from 1 on without a norm.
    pub fn read(text: &str, norm: Option<Norm>) -> Result<Self, EpsError> {
        let text = text.trim();
        let owned = || text.to_owned();
        let number =
            |part: &str| builtin::number(part.trim()).filter(|value| value.is_finite()).ok_or_else(|| EpsError::NotANumber(owned()));
        let (value, is_fraction) = match text.split_once('/') {
            Some((_, denominator)) if number(denominator)? <= 0.0 => return Err(EpsError::NotANumber(owned())),
            Some((numerator, denominator)) => (number(numerator)? / number(denominator)?, true),
            None => (number(text)?, false),
        };
        match norm {
            _ if value < 0.0 => Err(EpsError::Negative(owned())),
            _ if is_fraction || value < 1.0 => Ok(Eps(value)),
            Some(Norm::L2) => Ok(Eps(value)),
            Some(Norm::Linf) if value == 1.0 => Err(EpsError::OneInLinf(owned())),
            Some(Norm::Linf) => Ok(Eps::of_255(value)),
            None => Err(EpsError::NormUnknown(owned())),
        }
    }

    /// The size as a fraction of the pixel range.
    pub const fn fraction(self) -> f64 {
        self.0
    }

    fn numerator(self) -> f64 {
        self.0 * 255.0
    }

    /// The size times `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Eps(self.0 * factor)
    }

    /// The form for people: `8/255 (0.0314)`; in ℓ2, `1.5` if the numerator is not whole or the size is 1 or
    /// more.
    pub fn long(self, norm: Norm) -> String {
        let numerator = (self.numerator() * 100.0).round() / 100.0;
        let whole = numerator.fract() == 0.0 && self.0 < 1.0;
        match norm {
            Norm::L2 if !whole => format!("{}", (self.0 * 1e4).round() / 1e4),
            Norm::Linf | Norm::L2 => format!("{numerator}/255 ({:.4})", self.0),
        }
    }
}

/// Reads the written form, which means the same in every norm.
impl FromStr for Eps {
    type Err = EpsError;

    fn from_str(text: &str) -> Result<Self, EpsError> {
        // Above 1, only lengths in ℓ2 are written as decimals.
        let norm = text.contains('.').then_some(Norm::L2);
        Eps::read(text, norm)
    }
}

/// The written form: `8/255`, `0.1234` or `1.5`. Reading it back gives the same size.
impl fmt::Display for Eps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |value: f64| (value - value.round()).abs() < 1e-6;
        let hundredths = self.numerator() * 100.0;
        // Lengths in ℓ2 such as 1.5 and 2 would become 382.5/255 and 510/255.
        let plain_length = self.0 > 1.0 && whole(self.0 * 1e4);
        if whole(hundredths) && !plain_length { write!(f, "{}/255", hundredths.round() / 100.0) } else { write!(f, "{:?}", self.0) }
    }
}

/// Norm that applies to the size in `field`, such as `attack.eps`; `None` if the configuration has no norm
/// for it.
///
/// Searches for `norm` in the object with the size, then in the `attack` of that object, then in the outer
/// objects.
pub fn norm_of(config: &Value, field: &str) -> Option<Norm> {
    let mut around = field;
    while !around.is_empty() {
        around = around.rsplit_once('.').map_or("", |(outer, _)| outer);
        let object = config.pointer(&pointer(around))?;
        let norm = |norm: Option<&Value>| norm?.as_str()?.parse().ok();
        if let Some(norm) = norm(object.get("norm")).or_else(|| norm(object.pointer("/attack/norm"))) {
            return Some(norm);
        }
    }
    None
}

/// Rewrites every `eps` and `step_size` of a configuration, a size or a list of sizes, in the form that means the same in
/// every norm.
///
/// Error: path of the first size that is invalid or ambiguous.
pub fn write_out(config: &mut Value) -> Result<(), FieldError> {
    for (field, text) in sizes(config, "") {
        let size = Eps::read(&text, norm_of(config, &field)).map_err(|error| FieldError::new(field.as_str(), error.to_string()))?;
        if let Some(value) = config.pointer_mut(&pointer(&field)) {
            *value = size.to_string().into();
        }
    }
    Ok(())
}

/// Sizes in the object at `path`, also those in lists, with their paths. Skips values that are neither text nor number.
fn sizes(value: &Value, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Array(list) if is_size(name) => {
                let entries = list.iter().enumerate().map(|(index, entry)| (format!("{path}[{index}]"), entry));
                found.extend(entries.filter_map(|(path, entry)| Some((path, size_text(entry)?))));
            }
            _ if is_size(name) => found.extend(size_text(value).map(|text| (path, text))),
            _ => found.extend(sizes(value, &path)),
        }
    }
    found
}

fn size_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_size(name: &str) -> bool {
    name == "eps" || name == "step_size"
}

/// JSON pointer of a field such as `attack.eps` or `eps[2]`.
fn pointer(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("/{}", field.replace(['.', '['], "/").replace(']', "")) }
}

impl Serialize for Eps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Eps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EpsVisitor;
        impl de::Visitor<'_> for EpsVisitor {
            type Value = Eps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"8/255\" or 0.0314")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Eps, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(EpsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, norm: Option<Norm>, expected: Result<f64, &str>) {
        match (Eps::read(text, norm), expected) {
            (Ok(eps), Ok(value)) => assert!((eps.fraction() - value).abs() < 1e-15, "{text}: {eps:?}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (got, _) => panic!("{text} in {norm:?}: {got:?}"),
        }
    }

    #[test]
    fn fractions_and_numbers_below_1_mean_the_same_in_every_norm() {
        for norm in [None, Some(Norm::Linf), Some(Norm::L2)] {
            check("8/255", norm, Ok(8.0 / 255.0));
            check(" 8 / 255 ", norm, Ok(8.0 / 255.0));
            check("383/255", norm, Ok(383.0 / 255.0));
            check("0.03137", norm, Ok(0.03137));
            check("0", norm, Ok(0.0));
            check("", norm, Err("not a size"));
            check("8/0", norm, Err("not a size"));
            check("eight", norm, Err("`eight`"));
            check("NaN", norm, Err("not a size"));
            check("-8/255", norm, Err("negative"));
            check("-8", norm, Err("negative"));
        }
    }

    #[test]
    fn a_bare_number_from_1_is_of_255_in_linf_and_a_length_in_l2() {
        check("8", Some(Norm::Linf), Ok(8.0 / 255.0));
        check("8.0", Some(Norm::Linf), Ok(8.0 / 255.0));
        check("25.5", Some(Norm::Linf), Ok(0.1));
        for text in ["1", "1.0", "1e0"] {
            check(text, Some(Norm::L2), Ok(1.0));
            check(text, Some(Norm::Linf), Err("1/255` or `255/255"));
        }
        check("1.5", Some(Norm::L2), Ok(1.5));
        check("2", Some(Norm::L2), Ok(2.0));
        check("8", None, Err("name the norm"));
        check("1.5", None, Err("name the norm"));
    }

    #[test]
    fn writes_a_form_that_reads_back_to_the_same_size_in_its_norm() {
        let linf = ["8/255", "0.1", "0.03137", "1/255", "2.5/255", "255/255"].map(|text| (text, Norm::Linf));
        let l2 = ["128/255", "0.5", "1.0", "1.5", "2", "383/255", "510/255", "12.345"].map(|text| (text, Norm::L2));
        for (text, norm) in linf.into_iter().chain(l2) {
            let eps = Eps::read(text, Some(norm)).unwrap();
            let written = eps.to_string();
            for again in [written.parse(), Eps::read(&written, Some(norm))] {
                assert!((again.unwrap().fraction() - eps.fraction()).abs() < 1e-12, "{text} became {written}");
            }
        }
    }

    #[test]
    fn people_see_sizes_in_the_notation_of_their_norm() {
        let shown = |text, norm| Eps::read(text, Some(norm)).unwrap().long(norm);
        assert_eq!(shown("8", Norm::Linf), "8/255 (0.0314)");
        assert_eq!(shown("0.1", Norm::Linf), "25.5/255 (0.1000)");
        assert_eq!(shown("128/255", Norm::L2), "128/255 (0.5020)");
        assert_eq!(shown("1.5", Norm::L2), "1.5");
        assert_eq!(shown("1", Norm::L2), "1");
        assert_eq!(shown("0.25", Norm::L2), "0.25");
    }

    #[test]
    fn sizes_in_a_configuration_are_read_in_its_norm() {
        let mut config = json!({
            "attack": {"norm": "l2", "eps": 1, "step_size": 0.1},
            "evaluation": {"step_size": "1.0"},
            "teacher": {"norm": "linf", "eps": 8, "pgd": {"step_size": 2.0}},
            "curve": {"norm": "linf", "eps": [0, 8, "0.1"], "steps": [3]},
            "seed": 8
        });
        write_out(&mut config).unwrap();
        assert_eq!(
            config,
            json!({
                "attack": {"norm": "l2", "eps": "255/255", "step_size": "25.5/255"},
                "evaluation": {"step_size": "255/255"},
                "teacher": {"norm": "linf", "eps": "8/255", "pgd": {"step_size": "2/255"}},
                "curve": {"norm": "linf", "eps": ["0/255", "8/255", "25.5/255"], "steps": [3]},
                "seed": 8
            })
        );
        let refused = |mut config: Value| write_out(&mut config).unwrap_err();
        assert_eq!(refused(json!({"pgd": {"step_size": 2}})).field, "pgd.step_size");
        assert_eq!(refused(json!({"eps": ["8/255", 8]})).field, "eps[1]");
        let error = refused(json!({"attack": {"norm": "linf", "eps": 1.0}}));
        assert_eq!(error.field, "attack.eps");
        assert!(error.message.contains("two") || error.message.contains("1/255"), "{error:?}");
    }

    #[test]
    fn the_written_form_is_what_json_holds() {
        assert_eq!(serde_json::to_value(Eps(1.5)).unwrap(), json!("1.5"));
        assert_eq!(serde_json::from_value::<Eps>(json!("1.5")).unwrap(), Eps(1.5));
        assert!(serde_json::from_str::<Eps>("\"-1/255\"").unwrap_err().to_string().contains("negative"));
        assert!(serde_json::from_str::<Eps>("true").unwrap_err().to_string().contains("8/255"));
    }
}
