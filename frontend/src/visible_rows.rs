//! Virtual scrolling for rows of equal height: which rows are in the page, and the gaps in place of the
//! others.

use std::ops::Range;

/// Rows kept beyond each edge, so that a key press or a turn of the wheel shows no gap.
const AHEAD: usize = 8;
/// The range starts and ends at multiples of this, so that a short scroll changes nothing.
const STEP: usize = 4;

/// A piece of the list, from top to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many rows that are not in the page.
    Gap(usize),
    /// The row at this position.
    Row(usize),
}

/// The rows to keep in the page when a window of `height` shows the list from `top` on. Both are in pixels;
/// `top` may be negative.
pub fn in_sight(top: f64, height: f64, row_height: f64, count: usize) -> Range<usize> {
    let row_height = row_height.max(1.0);
    // A cast of a negative number gives 0.
    let first = ((top / row_height).floor() as usize).saturating_sub(AHEAD) / STEP * STEP;
    let end = (((top + height) / row_height).ceil() as usize + AHEAD).div_ceil(STEP) * STEP;
    let end = end.min(count);
    first.min(end)..end
}

/// The list with gaps for the rows outside `range`. The row with the focus always stays in the page.
pub fn pieces(range: Range<usize>, focused: Option<usize>, count: usize) -> Vec<Piece> {
    let focused = focused.filter(|position| *position < count && !range.contains(position));
    let (before, after) = (focused.filter(|position| *position < range.start), focused.filter(|position| *position >= range.end));
    let mut pieces = Vec::with_capacity(range.len() + 4);
    let mut at = 0;
    for position in before.into_iter().chain(range).chain(after) {
        if position > at {
            pieces.push(Piece::Gap(position - at));
        }
        pieces.push(Piece::Row(position));
        at = position + 1;
    }
    if count > at {
        pieces.push(Piece::Gap(count - at));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_sight_are_those_of_the_window_and_some_beyond() {
        assert_eq!(in_sight(0.0, 600.0, 60.0, 10_000), 0..20);
        assert_eq!(in_sight(-200.0, 600.0, 60.0, 10_000), 0..16);
        assert_eq!(in_sight(60_000.0, 600.0, 60.0, 10_000), 992..1020);
        assert_eq!(in_sight(60_030.0, 600.0, 60.0, 10_000), 992..1020, "half a row changes nothing");
        assert_eq!(in_sight(599_400.0, 600.0, 60.0, 10_000), 9980..10_000);
        assert_eq!(in_sight(0.0, 600.0, 60.0, 3), 0..3);
        assert_eq!(in_sight(0.0, 600.0, 60.0, 0), 0..0);
        assert_eq!(in_sight(9_000.0, 600.0, 60.0, 3), 3..3, "the list has become shorter than the window is scrolled");
    }

    #[track_caller]
    fn check(range: Range<usize>, focused: Option<usize>, expected: &[Piece]) {
        let found = pieces(range, focused, 10);
        assert_eq!(found, expected);
        let rows: usize = found.iter().map(|piece| if let Piece::Gap(rows) = piece { *rows } else { 1 }).sum();
        assert_eq!(rows, 10, "gaps stand for every row that is not there");
    }

    #[test]
    fn the_row_with_the_focus_stays_between_its_gaps() {
        use Piece::{Gap, Row};
        check(4..6, None, &[Gap(4), Row(4), Row(5), Gap(4)]);
        check(4..6, Some(5), &[Gap(4), Row(4), Row(5), Gap(4)]);
        check(4..6, Some(1), &[Gap(1), Row(1), Gap(2), Row(4), Row(5), Gap(4)]);
        check(4..6, Some(3), &[Gap(3), Row(3), Row(4), Row(5), Gap(4)]);
        check(4..6, Some(9), &[Gap(4), Row(4), Row(5), Gap(3), Row(9)]);
        check(0..2, Some(99), &[Row(0), Row(1), Gap(8)]);
        check(10..10, None, &[Gap(10)]);
    }
}
