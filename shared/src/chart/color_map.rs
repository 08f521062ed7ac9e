//! Color maps: from the value of a cell to its color.

use std::sync::OnceLock;

use plotters::style::RGBColor;

use super::colors::{Theme, from_oklab, mixed, oklab};
use crate::matrix::Matrix;
use crate::view::{Lens, Ramp, Scale};

/// Kind of values in a matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Cosines, with 1 on the diagonal.
    #[default]
    Cosine,
    /// Differences of two matrices, with 0 on the diagonal.
    Difference,
    /// Fractions, with 0 on the diagonal. Their scale is always fitted.
    Fraction,
    /// Logits. Their scale is always fitted.
    Logit,
}

/// A color map and the range of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColorMap {
    /// From blue at `-limit` through the background color at 0 to orange at `limit`.
    Diverging { limit: f64 },
    /// From the background color at 0 to blue at `limit`.
    Blues { limit: f64 },
}

/// Numbers of cells whose value is not visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Values below 0, if the scale starts at 0.
    pub negative: usize,
    /// Values outside the scale.
    pub clipped: usize,
    /// Values below the threshold of the lens.
    pub small: usize,
}

/// Minimum limit of a fitted scale: smaller differences are noise, and would look like structure.
const SMALLEST_LIMIT: f64 = 0.01;

/// Number of colors from zero to each end; so many that adjacent colors look equal.
const STEPS: usize = 128;
/// Faded cells are mixed with this fraction of the surface color.
const FADED: f64 = 0.75;

impl ColorMap {
    /// The color map of the lens, common to all `matrices`. Differences have a sign, so they ignore a
    /// sequential ramp.
    pub fn for_lens(lens: &Lens, matrices: &[&Matrix], content: Content) -> Self {
        let ramp = |limit: f64| match (lens.ramp, content) {
            (Ramp::Diverging, Content::Cosine) | (_, Content::Difference | Content::Logit) => ColorMap::Diverging { limit },
            (Ramp::Sequential, Content::Cosine) | (_, Content::Fraction) => ColorMap::Blues { limit },
        };
        match (lens.scale, content) {
            (Scale::Locked, Content::Cosine | Content::Difference) => ramp(1.0),
            (Scale::Fitted, _) | (_, Content::Fraction | Content::Logit) => {
                let largest = matrices
                    .iter()
                    .map(|matrix| matrix.off_diagonal_range())
                    .fold(0.0, |largest, (low, high)| f64::max(largest, f64::max(low.abs(), high.abs())));
                ramp(largest.max(SMALLEST_LIMIT))
            }
            (Scale::Paper, Content::Cosine) => ColorMap::Blues { limit: 1.0 },
            (Scale::Paper, Content::Difference) => ColorMap::Blues { limit: 0.5 },
        }
    }

    /// The values at the two ends.
    pub fn range(self) -> (f64, f64) {
        match self {
            ColorMap::Diverging { limit } => (-limit, limit),
            ColorMap::Blues { limit } => (0.0, limit),
        }
    }

    /// Counts the off-diagonal cells whose value is not visible because of the scale or the threshold.
    pub fn hidden(self, matrix: &Matrix, threshold: f64) -> Hidden {
        let (low, high) = self.range();
        let mut hidden = Hidden::default();
        for (i, row) in matrix.rows().enumerate() {
            for (j, value) in row.iter().enumerate() {
                match self {
                    _ if i == j => {}
                    _ if value.abs() < threshold => hidden.small += 1,
                    ColorMap::Blues { .. } if *value < 0.0 => hidden.negative += 1,
                    _ if *value < low || *value > high => hidden.clipped += 1,
                    _ => {}
                }
            }
        }
        hidden
    }

    /// The colors of the map in a theme, precomputed for many cells.
    pub fn colors(self, theme: Theme) -> MapColors {
        let (low, high) = self.range();
        let table = self.table(theme);
        MapColors { low, scale: (table.full.len() - 1) as f64 / (high - low), table }
    }

    /// The colors of a map do not depend on its limit.
    fn table(self, theme: Theme) -> &'static Table {
        static TABLES: [OnceLock<Table>; 4] = [const { OnceLock::new() }; 4];
        let diverging = matches!(self, ColorMap::Diverging { .. });
        TABLES[usize::from(diverging) + 2 * usize::from(theme == Theme::Dark)].get_or_init(|| {
            let full: Vec<RGBColor> = match arms(self, theme) {
                (Some(negative), positive) => (0..=2 * STEPS)
                    .map(|step| {
                        let t = step as f64 / STEPS as f64 - 1.0;
                        if t < 0.0 { negative.at(-t) } else { positive.at(t) }
                    })
                    .collect(),
                (None, positive) => (0..=2 * STEPS).map(|step| positive.at(step as f64 / (2 * STEPS) as f64)).collect(),
            };
            let surface = theme.palette().surface;
            Table { faded: full.iter().map(|color| mixed(*color, surface, FADED)).collect(), full }
        })
    }
}

/// The precomputed colors of a map, from one end to the other.
#[derive(Debug)]
struct Table {
    full: Vec<RGBColor>,
    /// The same colors, mixed with the surface color.
    faded: Vec<RGBColor>,
}

/// A precomputed color map with its range.
#[derive(Clone, Copy, Debug)]
pub struct MapColors {
    /// Value of the first color.
    low: f64,
    /// Number of colors per unit of value.
    scale: f64,
    table: &'static Table,
}

impl MapColors {
    /// Color of a value. Values outside the range get the color of the nearer end.
    pub fn of(self, value: f64) -> RGBColor {
        self.table.full[self.place(value)]
    }

    /// Faded color of a value.
    pub fn faded(self, value: f64) -> RGBColor {
        self.table.faded[self.place(value)]
    }

    fn place(self, value: f64) -> usize {
        // The conversion to `usize` maps negative numbers to 0.
        let place = ((value - self.low) * self.scale + 0.5) as usize;
        place.min(self.table.full.len() - 1)
    }
}

/// A path through Oklab at constant speed.
struct Arm {
    points: [[f64; 3]; 3],
}

impl Arm {
    fn at(&self, t: f64) -> RGBColor {
        let [a, b, c] = self.points;
        let (first, second) = (distance(a, b), distance(b, c));
        let along = t * (first + second);
        let between = |from: [f64; 3], to: [f64; 3], t: f64| [0, 1, 2].map(|axis| from[axis] + (to[axis] - from[axis]) * t);
        from_oklab(if along <= first { between(a, b, along / first) } else { between(b, c, (along - first) / second) })
    }
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

/// The arms of a map from zero outwards. The middle point of each makes it more vivid than a straight line.
fn arms(map: ColorMap, theme: Theme) -> (Option<Arm>, Arm) {
    let palette = theme.palette();
    let zero = oklab(palette.map_zero);
    let (blue, orange) = match theme {
        Theme::Light => (RGBColor(0x6a, 0xb0, 0xe4), RGBColor(0xf0, 0xa0, 0x5c)),
        Theme::Dark => (RGBColor(0x3a, 0x70, 0xae), RGBColor(0xb0, 0x55, 0x1c)),
    };
    let low = Arm { points: [zero, oklab(blue), oklab(palette.map_low)] };
    let high = Arm { points: [zero, oklab(orange), oklab(palette.map_high)] };
    match map {
        ColorMap::Diverging { .. } => (Some(low), high),
        ColorMap::Blues { .. } => (None, low),
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::super::colors::{contrast, css, text_on};
    use super::*;

    const MAPS: [ColorMap; 2] = [ColorMap::Diverging { limit: 1.0 }, ColorMap::Blues { limit: 1.0 }];

    fn matrix(rows: &[&[f64]]) -> Matrix {
        Matrix::try_from(rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()).unwrap()
    }

    fn scale(scale: Scale) -> Lens {
        Lens { scale, ..Lens::default() }
    }

    #[test]
    fn equal_steps_of_value_are_equal_steps_to_the_eye() {
        for theme in [Theme::Light, Theme::Dark] {
            for map in MAPS {
                let colors = map.colors(theme);
                let (low, high) = map.range();
                let labs: Vec<[f64; 3]> = (0..=20).map(|step| oklab(colors.of(low + (high - low) * f64::from(step) / 20.0))).collect();
                let steps: Vec<f64> = labs.windows(2).map(|pair| distance(pair[0], pair[1])).collect();
                let (smallest, largest) = (steps.iter().copied().fold(f64::MAX, f64::min), steps.iter().copied().fold(0.0, f64::max));
                assert!(largest / smallest < 1.6, "{theme:?} {map:?}: steps from {smallest:.4} to {largest:.4}");
            }
        }
    }

    #[test]
    fn lightness_tells_size_without_color() {
        for theme in [Theme::Light, Theme::Dark] {
            let colors = ColorMap::Diverging { limit: 1.0 }.colors(theme);
            let lightness = |value: f64| oklab(colors.of(value))[0];
            for step in 1..=10 {
                let (inner, outer) = (f64::from(step - 1) / 10.0, f64::from(step) / 10.0);
                for sign in [-1.0, 1.0] {
                    let change = lightness(sign * outer) - lightness(sign * inner);
                    assert!(if theme == Theme::Light { change < 0.0 } else { change > 0.0 }, "{theme:?} at {}", sign * outer);
                }
                let apart = (lightness(outer) - lightness(-outer)).abs();
                assert!(apart < 0.06, "{theme:?}: {outer} and −{outer} differ in lightness by {apart:.3}");
            }
        }
    }

    #[test]
    fn zero_disappears_and_every_color_carries_readable_text() {
        for theme in [Theme::Light, Theme::Dark] {
            for map in MAPS {
                let colors = map.colors(theme);
                assert!(contrast(colors.of(0.0), theme.palette().surface) < 1.1);
                for color in &colors.table.full {
                    let ratio = contrast(text_on(*color, theme), *color);
                    assert!(ratio >= 4.5, "{theme:?} {}: {ratio:.2}:1", css(*color));
                }
            }
        }
    }

    #[test]
    fn a_fitted_scale_covers_all_matrices_and_ignores_the_diagonal() {
        let a = matrix(&[&[1.0, 0.25], &[0.25, 1.0]]);
        let b = matrix(&[&[1.0, -0.5], &[-0.5, 1.0]]);
        assert_eq!(ColorMap::for_lens(&scale(Scale::Fitted), &[&a, &b], Content::Cosine), ColorMap::Diverging { limit: 0.5 });
        let nothing = matrix(&[&[0.0, 0.0], &[0.0, 0.0]]);
        assert_eq!(ColorMap::for_lens(&scale(Scale::Fitted), &[&nothing], Content::Difference), ColorMap::Diverging { limit: 0.01 });
        assert_eq!(ColorMap::for_lens(&scale(Scale::Paper), &[&a], Content::Difference), ColorMap::Blues { limit: 0.5 });
    }

    #[test]
    fn fractions_and_logits_have_a_scale_of_their_own() {
        let values = matrix(&[&[9.0, 0.25], &[-0.5, 9.0]]);
        for chosen in Scale::iter() {
            assert_eq!(ColorMap::for_lens(&scale(chosen), &[&values], Content::Logit), ColorMap::Diverging { limit: 0.5 });
            assert_eq!(ColorMap::for_lens(&scale(chosen), &[&values], Content::Fraction), ColorMap::Blues { limit: 0.5 });
        }
    }

    #[test]
    fn cells_that_a_scale_hides_are_counted() {
        let c = matrix(&[&[1.0, -0.5, 0.7], &[-0.5, 1.0, 0.2], &[0.7, 0.2, 1.0]]);
        assert_eq!(ColorMap::Diverging { limit: 1.0 }.hidden(&c, 0.0), Hidden::default());
        assert_eq!(ColorMap::Blues { limit: 0.5 }.hidden(&c, 0.0), Hidden { negative: 2, clipped: 2, small: 0 });
        assert_eq!(ColorMap::Blues { limit: 0.5 }.hidden(&c, 0.3), Hidden { negative: 2, clipped: 2, small: 2 });
    }

    #[test]
    fn a_sequential_ramp_is_for_values_and_never_for_differences() {
        let c = matrix(&[&[1.0, 0.4], &[0.4, 1.0]]);
        let lens = Lens { ramp: Ramp::Sequential, scale: Scale::Fitted, ..Lens::default() };
        assert_eq!(ColorMap::for_lens(&lens, &[&c], Content::Cosine), ColorMap::Blues { limit: 0.4 });
        assert_eq!(ColorMap::for_lens(&lens, &[&c], Content::Difference), ColorMap::Diverging { limit: 0.4 });
    }
}
