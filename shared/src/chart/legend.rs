//! The legend above a plot, wrapped to several lines if needed.

use super::pen::text_width;

pub(super) const TEXT_SIZE: f64 = 12.0;
/// Length of the line sample of a curve.
pub(super) const SAMPLE: f64 = 18.0;
pub(super) const GAP: f64 = 6.0;
const ROW: f64 = 20.0;
const BETWEEN: f64 = 14.0;

/// Positions of the samples (left end, vertical center), and the height of all lines.
pub(super) fn places<'a>(names: impl IntoIterator<Item = &'a str>, left: f64, width: f64) -> (Vec<(f64, f64)>, f64) {
    let mut places: Vec<(f64, f64)> = Vec::new();
    let (mut x, mut y) = (left, ROW / 2.0);
    for name in names {
        let item = SAMPLE + GAP + text_width(name, TEXT_SIZE) + BETWEEN;
        if x > left && x + item > width {
            (x, y) = (left, y + ROW);
        }
        places.push((x, y));
        x += item;
    }
    let height = if places.is_empty() { 0.0 } else { y + ROW / 2.0 };
    (places, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_to_the_next_line() {
        let (wide, height) = places(["one", "two"], 46.0, 800.0);
        assert_eq!((wide[0], wide[1].1, height), ((46.0, 10.0), 10.0, 20.0));
        let (narrow, height) = places(["one", "two"], 46.0, 120.0);
        assert_eq!((narrow[1], height), ((46.0, 30.0), 40.0));
        assert_eq!(places([], 46.0, 120.0).1, 0.0);
    }
}
