//! The small curve in a row of the table of runs.

use leptos::prelude::*;
use shared::format;

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
/// Keeps the line and its last point from being cut off at the edge.
const MARGIN: f64 = 3.0;

/// Robust accuracy over epochs. Each curve has its own scale, because only its shape matters; other columns
/// have the values.
#[component]
pub fn Spark(values: Vec<f64>) -> impl IntoView {
    let points = points(&values);
    let label = match (values.first(), values.last()) {
        (Some(first), Some(last)) => format!("Robust accuracy over epochs, from {} to {}", format::percent(*first), format::percent(*last)),
        _ => return ().into_any(),
    };
    let line = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let end = points.last().copied().unwrap_or_default();
    view! {
        <svg class="spark" width=WIDTH.to_string() height=HEIGHT.to_string() viewBox=format!("0 0 {WIDTH} {HEIGHT}") role="img" aria-label=label>
            <polyline points=line fill="none"></polyline>
            <circle cx=end.0.to_string() cy=end.1.to_string() r="2"></circle>
        </svg>
    }
    .into_any()
}

/// Positions of the values in the picture: the lowest at the bottom, the highest at the top.
fn points(values: &[f64]) -> Vec<(f64, f64)> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let across = (WIDTH - 2.0 * MARGIN) / (values.len().saturating_sub(1).max(1)) as f64;
    let place = |(index, value): (usize, &f64)| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        (MARGIN + across * index as f64, HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN))
    };
    values.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_fills_its_box() {
        assert_eq!(points(&[0.25, 0.75, 0.5]), [(3.0, 21.0), (48.0, 3.0), (93.0, 12.0)]);
    }

    #[test]
    fn a_level_curve_and_a_single_point_lie_in_the_middle() {
        assert_eq!(points(&[0.5, 0.5]), [(3.0, 12.0), (93.0, 12.0)]);
        assert_eq!(points(&[0.5]), [(3.0, 12.0)]);
        assert!(points(&[]).is_empty());
    }
}
