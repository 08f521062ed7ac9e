//! The order in which pairs are visited, and which predicted classes are listed.

use std::cmp::Reverse;

use shared::matrix::Matrix;

use crate::components::explorer::Cell;

/// All pairs `i < j`, sorted by their change from `baseline` or, without one, by their cosine; largest first.
pub fn ranked(subject: &Matrix, baseline: Option<&Matrix>) -> Vec<Cell> {
    match baseline {
        Some(baseline) => baseline.changes(subject).into_iter().map(|change| (change.i, change.j)).collect(),
        None => {
            let classes = subject.classes();
            let mut pairs: Vec<Cell> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).collect();
            pairs.sort_by(|a, b| subject.get(b.0, b.1).total_cmp(&subject.get(a.0, a.1)));
            pairs
        }
    }
}

/// The pair after or before `from`, or the first pair if `from` is not in the list; `None` beyond the ends.
pub fn stepped(ranked: &[Cell], from: Option<Cell>, forward: bool) -> Option<Cell> {
    let Some(place) = from.and_then(|from| ranked.iter().position(|pair| *pair == from)) else { return ranked.first().copied() };
    let next = if forward { Some(place + 1) } else { place.checked_sub(1) };
    next.and_then(|next| ranked.get(next)).copied()
}

/// A cell as a pair of classes, lower index first; `None` if it is on the diagonal or out of range.
pub fn pair_of(cell: Option<Cell>, classes: usize) -> Option<Cell> {
    let (i, j) = cell?;
    (i != j && i.max(j) < classes).then_some((i.min(j), i.max(j)))
}

/// Predicted classes for a row of the confusion matrix, most frequent first: `class`, `other` and at most
/// `more` others.
pub fn destinations(row: &[u32], class: usize, other: usize, more: usize) -> Vec<(usize, u32)> {
    let mut all: Vec<(usize, u32)> = row.iter().copied().enumerate().collect();
    all.sort_by_key(|entry| Reverse(entry.1));
    let mut others = 0;
    all.retain(|(to, count)| {
        let counts = *to != class && *to != other;
        others += usize::from(counts);
        !counts || (*count > 0 && others <= more)
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: f64, b: f64, c: f64) -> Matrix {
        Matrix::try_from(vec![vec![1.0, a, b], vec![a, 1.0, c], vec![b, c, 1.0]]).unwrap()
    }

    #[test]
    fn pairs_are_walked_by_change_and_without_a_baseline_by_cosine() {
        let subject = matrix(0.1, 0.5, -0.3);
        assert_eq!(ranked(&subject, None), [(0, 2), (0, 1), (1, 2)]);
        assert_eq!(ranked(&subject, Some(&matrix(0.2, 0.5, 0.4))), [(1, 2), (0, 1), (0, 2)]);
    }

    #[test]
    fn a_walk_begins_with_the_first_pair_and_ends_at_the_last() {
        let ranked = [(0, 2), (0, 1), (1, 2)];
        for (from, forward, to) in [
            (None, true, Some((0, 2))),
            (None, false, Some((0, 2))),
            (Some((0, 2)), true, Some((0, 1))),
            (Some((0, 2)), false, None),
            (Some((1, 2)), true, None),
            (Some((1, 2)), false, Some((0, 1))),
        ] {
            assert_eq!(stepped(&ranked, from, forward), to, "{from:?} {forward}");
        }
        assert_eq!(stepped(&[], None, true), None);
    }

    #[test]
    fn a_cell_below_the_diagonal_is_the_same_pair_and_one_on_it_is_none() {
        assert_eq!(pair_of(Some((5, 3)), 10), Some((3, 5)));
        assert_eq!(pair_of(Some((3, 3)), 10), None);
        assert_eq!(pair_of(Some((3, 10)), 10), None);
        assert_eq!(pair_of(None, 10), None);
    }

    #[test]
    fn of_many_destinations_the_two_classes_and_the_most_frequent_are_shown() {
        let row = [4, 0, 9, 7, 1, 0];
        assert_eq!(destinations(&row, 3, 1, 1), [(2, 9), (3, 7), (1, 0)]);
        assert_eq!(destinations(&row, 3, 1, 9), [(2, 9), (3, 7), (0, 4), (4, 1), (1, 0)]);
    }
}
