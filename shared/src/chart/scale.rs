//! Axes: round numbers, and projections with their inverses.

use crate::builtin::log10;
use crate::format;

/// A linear map from values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    pub values: (f64, f64),
    pub pixels: (f64, f64),
}

impl Projection {
    pub fn to_pixel(self, value: f64) -> f64 {
        let Projection { values, pixels } = self;
        pixels.0 + (value - values.0) / (values.1 - values.0) * (pixels.1 - pixels.0)
    }

    pub fn to_value(self, pixel: f64) -> f64 {
        let Projection { values, pixels } = self;
        values.0 + (pixel - pixels.0) / (pixels.1 - pixels.0) * (values.1 - values.0)
    }
}

/// Leading digits of axis steps.
pub const ROUND: [f64; 9] = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];

/// Leading digits whose multiples stay round over many steps.
pub const ROUNDEST: [f64; 3] = [1.0, 2.0, 5.0];

/// The smallest number ≥ `raw` that is one of `digits` times a power of ten. `digits` increase from 1.
pub fn round_up(raw: f64, digits: &[f64]) -> f64 {
    let power = 10f64.powi(log10(raw).floor() as i32);
    // A small tolerance: rounding errors must not push 0.3 to the next step.
    let step = digits.iter().find(|step| **step * power >= raw * (1.0 - 1e-9));
    step.unwrap_or(&10.0) * power
}

/// Multiples of `step` in a range.
pub fn ticks(range: (f64, f64), step: f64) -> Vec<f64> {
    let first = (range.0 / step - 1e-9).ceil() as i64;
    let last = (range.1 / step + 1e-9).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Label of a tick, with as many digits as `step` needs, at most four.
pub fn tick_label(value: f64, step: f64) -> String {
    let whole = |digits: &usize| {
        let scaled = step * 10f64.powi(*digits as i32);
        (scaled - scaled.round()).abs() < 1e-9
    };
    format::decimal(value, (0..4).find(whole).unwrap_or(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_just_above() {
        for (raw, round) in [(1.0, 1.0), (1.1, 1.5), (4.74, 5.0), (113.8, 150.0), (0.3, 0.3), (0.0081, 0.01), (9.5, 10.0)] {
            assert!((round_up(raw, &ROUND) - round).abs() < 1e-12, "{raw}: {}", round_up(raw, &ROUND));
        }
    }

    #[test]
    fn projections_are_inverted() {
        let projection = Projection { values: (0.0, 60.0), pixels: (46.0, 812.0) };
        for value in [0.0, 0.5, 17.0, 60.0] {
            assert!((projection.to_value(projection.to_pixel(value)) - value).abs() < 1e-9);
        }
        assert_eq!(projection.to_pixel(60.0), 812.0);
    }

    #[test]
    fn labels_of_ticks_have_the_digits_of_their_step() {
        let check = |value: f64, step: f64, expected: &str| assert_eq!(tick_label(value, step), expected);
        check(0.15, 0.15, "0.15");
        check(0.3, 0.15, "0.30");
        check(-0.0, 0.1, "0.0");
        check(0.005, 0.005, "0.005");
        check(12.0, 4.0, "12");
        check(2.5, 2.5, "2.5");
    }

    #[test]
    fn ticks_are_multiples_inside_the_range() {
        assert_eq!(ticks((0.0, 60.0), 20.0), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks((5.0, 21.0), 10.0), [10.0, 20.0]);
    }
}
