//! Math and text functions that every browser has: in WebAssembly, Rust's own versions would add 25 kB to the
//! download.
//!
//! On the host, Rust's functions are used. Parsing and lower case agree; the math functions can differ in the
//! last bit.

#[cfg(target_family = "wasm")]
use js_sys::{JsString, Math};

/// Parses a decimal number as Rust does, such as `0.25`, `.5`, `-3` or `1e-4`; `None` for words such as
/// `inf`.
pub fn number(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if text.is_empty() || !text.bytes().all(plain) {
        return None;
    }
    #[cfg(target_family = "wasm")]
    return Some(JsString::from(text).unchecked_into_f64()).filter(|number| !number.is_nan());
    #[cfg(not(target_family = "wasm"))]
    text.parse().ok()
}

/// The text in lower case.
pub fn lowercase(text: &str) -> String {
    #[cfg(target_family = "wasm")]
    return JsString::from(text).to_lower_case().into();
    #[cfg(not(target_family = "wasm"))]
    text.to_lowercase()
}

macro_rules! of_a_number {
    ($($(#[$doc:meta])* $name:ident: $browsers:path, $rusts:path;)*) => {
        $($(#[$doc])*
        pub fn $name(x: f64) -> f64 {
            #[cfg(target_family = "wasm")]
            return $browsers(x);
            #[cfg(not(target_family = "wasm"))]
            $rusts(x)
        })*
    };
}

of_a_number! {
    /// Cosine of an angle in radians.
    cos: Math::cos, f64::cos;
    exp: Math::exp, f64::exp;
    /// Natural logarithm.
    ln: Math::log, f64::ln;
    log10: Math::log10, f64::log10;
    cbrt: Math::cbrt, f64::cbrt;
}

pub fn pow(base: f64, exponent: f64) -> f64 {
    #[cfg(target_family = "wasm")]
    return Math::pow(base, exponent);
    #[cfg(not(target_family = "wasm"))]
    base.powf(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_nothing_else() {
        for (text, value) in [("0.25", 0.25), (".5", 0.5), ("5.", 5.0), ("-3", -3.0), ("+1e-4", 1e-4), ("05", 5.0), ("1E3", 1000.0)] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", " ", " 1", "1 ", ".", "-", "e5", "1e", "1-2", "0x10", "inf", "NaN", "1_000", "1,5"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
