//! Lines through measured points: cut to the visible epochs, broken at missing values, thinned to the pixels.
//!
//! The cost of drawing depends on the number of pixels, not on the number of points.

/// The parts of a line, in pixels.
///
/// `points`: by increasing epoch. `sight`: first and last visible epoch; the line is cut there. `at`:
/// position of a point in pixels; if its height is not finite, the line is broken there.
pub(super) fn parts(points: &[(u32, f64)], sight: (u32, u32), at: impl Fn(u32, f64) -> (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let start = points.partition_point(|point| point.0 < sight.0).saturating_sub(1);
    let end = (points.partition_point(|point| point.0 <= sight.1) + 1).min(points.len());
    let (left, right) = (at(sight.0, 0.0).0, at(sight.1, 0.0).0);
    let pixels: Vec<(f64, f64)> = points[start..end].iter().map(|(epoch, value)| at(*epoch, *value)).collect();
    let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
    for part in pixels.split(|point| !point.1.is_finite()) {
        let part = cut(part, left, right);
        let Some(first) = part.first() else { continue };
        // A gap narrower than a pixel is invisible.
        match parts.last_mut() {
            Some(before) if before.last().is_some_and(|last| first.0 - last.0 < 1.0) => before.extend(part),
            _ => parts.push(part),
        }
    }
    parts.iter().map(|part| thinned(part)).collect()
}

/// The points of a line up to the fork of its run, and those from it on. Both have the point at the fork, so that the
/// line does not break.
pub(super) fn forked(points: &[(u32, f64)], fork: Option<u32>) -> [&[(u32, f64)]; 2] {
    let before = points.partition_point(|point| Some(point.0) <= fork);
    [&points[..before], &points[before.saturating_sub(1)..]]
}

/// The part of a line between two vertical lines. At most one point may lie beyond each.
fn cut(points: &[(f64, f64)], left: f64, right: f64) -> Vec<(f64, f64)> {
    const HAIR: f64 = 1e-6;
    let inside = |point: &(f64, f64)| (left - HAIR..=right + HAIR).contains(&point.0);
    let crossing = |a: (f64, f64), b: (f64, f64), x: f64| (x, a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0));
    let mut kept: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    for (index, point) in points.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).map(|index| points[index]) {
            for x in [left, right] {
                if before.0 < x - HAIR && point.0 > x + HAIR {
                    kept.push(crossing(before, *point, x));
                }
            }
        }
        if inside(point) {
            kept.push(*point);
        }
    }
    kept
}

/// Keeps the first, lowest, highest and last point of each pixel column: the same image with fewer points.
pub(super) fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    thinned_to(points, 1.0)
}

/// As [`thinned`], for columns of `column` pixels.
pub(super) fn thinned_to(points: &[(f64, f64)], column: f64) -> Vec<(f64, f64)> {
    let place = |point: &(f64, f64)| (point.0 / column).floor();
    points.chunk_by(|a, b| place(a) == place(b)).flat_map(|column| extremes(column, |point| point.0, |point| point.1)).collect()
}

/// Thins a curve to at most `columns` groups of neighboring epochs.
///
/// Keeps the first, lowest, highest and last point of each group. A non-finite value is a gap and is kept.
pub fn thinned_course(points: &[(u32, f64)], columns: u32) -> Vec<(u32, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let width = (last.0 - first.0) / columns.max(1) + 1;
    let place = |point: &(u32, f64)| ((point.0 - first.0) / width, point.1.is_finite());
    points.chunk_by(|a, b| place(a) == place(b)).flat_map(|column| extremes(column, |point| f64::from(point.0), |point| point.1)).collect()
}

fn extremes<P: Copy + PartialEq>(points: &[P], x: impl Fn(&P) -> f64, y: impl Fn(&P) -> f64) -> Vec<P> {
    if points.len() <= 2 {
        return points.to_vec();
    }
    let by_height = |a: &&P, b: &&P| y(a).total_cmp(&y(b));
    let keep = [points.first(), points.iter().min_by(by_height), points.iter().max_by(by_height), points.last()];
    let mut keep: Vec<P> = keep.into_iter().flatten().copied().collect();
    keep.sort_by(|a, b| x(a).total_cmp(&x(b)));
    keep.dedup();
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_picture() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|index| (f64::from(index) / 100.0, f64::from(index * 7919 % 1000))).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= 4 * 100, "{}", kept.len());
        assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
        for column in 0..100 {
            let highest = |points: &[(f64, f64)]| {
                points.iter().filter(|point| point.0.floor() == f64::from(column)).map(|point| point.1).fold(0.0, f64::max)
            };
            assert_eq!(highest(&kept), highest(&points));
        }
        let sparse: Vec<(f64, f64)> = (0..50).map(|index| (f64::from(index) * 10.0, 1.0)).collect();
        assert_eq!(thinned(&sparse), sparse);
    }

    #[test]
    fn a_thinned_course_keeps_its_extremes_and_its_gaps() {
        let value = |epoch: u32| if epoch == 777_777 { f64::NAN } else { f64::from(epoch * 31 % 977) };
        let points: Vec<(u32, f64)> = (1..=1_000_000).map(|epoch| (epoch, value(epoch))).collect();
        let kept = thinned_course(&points, 500);
        assert!(kept.len() < 4 * 503, "{}", kept.len());
        let highest = |points: &[(u32, f64)]| points.iter().map(|point| point.1).fold(0.0, f64::max);
        assert_eq!((highest(&kept), kept.len() - kept.iter().filter(|point| point.1.is_nan()).count() + 1), (976.0, kept.len()));
        assert_eq!(thinned_course(&[(1_000_000, 0.5)], 500), [(1_000_000, 0.5)]);
        assert_eq!(thinned_course(&points[..3], 500), points[..3]);
    }

    #[test]
    fn a_line_is_cut_where_sight_ends_and_broken_where_a_value_cannot_be_drawn() {
        let points = [(0, 0.0), (10, 10.0), (20, f64::NAN), (30, 30.0), (40, f64::INFINITY), (50, 50.0)];
        let at = |epoch: u32, value: f64| (f64::from(epoch), value);
        assert_eq!(parts(&points, (0, 50), at), [vec![(0.0, 0.0), (10.0, 10.0)], vec![(30.0, 30.0)], vec![(50.0, 50.0)]]);
        assert_eq!(parts(&points, (5, 12), at), [vec![(5.0, 5.0), (10.0, 10.0)]]);
        let slope = [(0, 0.0), (100, 100.0)];
        assert_eq!(parts(&slope, (40, 60), at), [vec![(40.0, 40.0), (60.0, 60.0)]]);
        assert!(parts(&slope, (200, 300), at).is_empty());
        assert!(parts(&[], (0, 10), at).is_empty());
    }
}
