//! Perturbation sizes, in the two notations the field uses: `8/255` and `0.0314`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::builtin;

/// A perturbation size or step size, as a fraction of the pixel range `[0, 1]`.
///
/// Reads `"8/255"`, `"8"` or `8` (whole numbers count steps of 255), `"0.0314"` or `0.0314` (a fraction of the range), and
/// `"25.5"` (above 1 a decimal can only be of 255). Writes `"8/255"`, or the decimal where no short numerator fits.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Eps(f64);

/// Why a text is not a perturbation size.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EpsError {
    #[error("`{0}` is not a size; write `8/255`, `8` (of 255) or `0.0314`")]
    NotANumber(String),
    #[error("`{0}` is negative; a size is 0 or more")]
    Negative(String),
}

impl Eps {
    /// A size of `numerator` steps of 255.
    pub const fn of_255(numerator: f64) -> Self {
        Eps(numerator / 255.0)
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
}

impl FromStr for Eps {
    type Err = EpsError;

    fn from_str(text: &str) -> Result<Self, EpsError> {
        let text = text.trim();
        let bad = || EpsError::NotANumber(text.to_owned());
        let number = |part: &str| builtin::number(part.trim()).filter(|value| value.is_finite());
        let value = match text.split_once('/') {
            Some((numerator, denominator)) => {
                let denominator = number(denominator).filter(|d| *d > 0.0).ok_or_else(bad)?;
                number(numerator).ok_or_else(bad)? / denominator
            }
            None => {
                let value = number(text).ok_or_else(bad)?;
                let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'+' || byte == b'-');
                if whole || value > 1.0 { value / 255.0 } else { value }
            }
        };
        if value < 0.0 {
            return Err(EpsError::Negative(text.to_owned()));
        }
        Ok(Eps(value))
    }
}

/// The short form, `8/255` or `0.1234`; reading it back gives the same size.
impl fmt::Display for Eps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.numerator() * 100.0;
        if (hundredths - hundredths.round()).abs() < 1e-6 {
            write!(f, "{}/255", hundredths.round() / 100.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

impl Eps {
    /// The form shown to people: `8/255 (0.0314)`.
    pub fn long(self) -> String {
        let numerator = (self.numerator() * 100.0).round() / 100.0;
        format!("{numerator}/255 ({:.4})", self.0)
    }
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
                f.write_str("a size such as \"8/255\", 8 (of 255) or 0.0314")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Eps, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Eps, E> {
                value.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Eps, E> {
                value.to_string().parse().map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Eps, E> {
                format!("{value:?}").parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(EpsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<f64, &str>) {
        match (text.parse::<Eps>(), expected) {
            (Ok(eps), Ok(value)) => assert!((eps.fraction() - value).abs() < 1e-15, "{text}: {eps:?}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn reads_the_notations_of_the_field() {
        check("8/255", Ok(8.0 / 255.0));
        check(" 8 / 255 ", Ok(8.0 / 255.0));
        check("8", Ok(8.0 / 255.0));
        check("1", Ok(1.0 / 255.0));
        check("1.0", Ok(1.0));
        check("0.03137", Ok(0.03137));
        check("25.5", Ok(0.1));
        check("0", Ok(0.0));
        check("", Err("not a size"));
        check("8/0", Err("not a size"));
        check("eight", Err("`eight`"));
        check("NaN", Err("not a size"));
        check("-8/255", Err("negative"));
    }

    #[test]
    fn writes_a_form_that_reads_back_to_the_same_size() {
        for text in ["8/255", "0.1", "0.03137", "1.0", "128/255", "0.5", "2.5/255"] {
            let eps: Eps = text.parse().unwrap();
            let again: Eps = eps.to_string().parse().unwrap();
            assert!((again.fraction() - eps.fraction()).abs() < 1e-12, "{text} became {eps}");
        }
        assert_eq!("8".parse::<Eps>().unwrap().long(), "8/255 (0.0314)");
        assert_eq!("0.1".parse::<Eps>().unwrap().long(), "25.5/255 (0.1000)");
    }

    #[test]
    fn json_numbers_and_texts_mean_the_same() {
        for (json, value) in [("8", 8.0 / 255.0), ("0.5", 0.5), ("1.0", 1.0), ("\"8/255\"", 8.0 / 255.0)] {
            assert!((serde_json::from_str::<Eps>(json).unwrap().fraction() - value).abs() < 1e-15, "{json}");
        }
        assert!(serde_json::from_str::<Eps>("-1").unwrap_err().to_string().contains("negative"));
        assert!(serde_json::from_str::<Eps>("true").unwrap_err().to_string().contains("8/255"));
    }
}
