//! Axes: round numbers around data, and projections with their inverses.

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

/// The largest of 1, 2, 2.5 and 5 times a power of ten that divides `span` into about `count` parts.
pub fn round_step(span: f64, count: usize) -> f64 {
    let raw = span / count.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= raw * 0.999).unwrap_or(10.0);
    step * power
}

/// Round numbers around `low..=high`, and the step between ticks.
pub fn round_range(low: f64, high: f64, count: usize) -> ((f64, f64), f64) {
    let span = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
    let step = round_step(span, count);
    // A hair of slack, so that 0.7 is not pushed to the next step by its own representation.
    let bottom = (low / step + 1e-9).floor() * step;
    let top = (high / step - 1e-9).ceil() * step;
    ((bottom, if top > bottom { top } else { bottom + step }), step)
}

/// The multiples of `step` in a range.
pub fn ticks(range: (f64, f64), step: f64) -> Vec<f64> {
    let first = (range.0 / step - 1e-9).ceil() as i64;
    let last = (range.1 / step + 1e-9).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_round_and_hold_the_data() {
        assert_eq!(round_range(0.0, 1.0, 5), ((0.0, 1.0), 0.2));
        assert_eq!(round_range(17.2, 25.6, 4).0, (15.0, 27.5));
        assert_eq!(round_range(3.0, 3.0, 4).1, 0.1);
        let ((low, high), _) = round_range(0.7, 0.7, 5);
        assert!(low <= 0.7 + 1e-9 && high >= 0.7 - 1e-9 && high - low > 0.01, "{low} to {high}");
    }

    #[test]
    fn ticks_are_multiples_inside_the_range() {
        assert_eq!(ticks((0.0, 60.0), 20.0), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks((5.0, 21.0), 10.0), [10.0, 20.0]);
    }
}
