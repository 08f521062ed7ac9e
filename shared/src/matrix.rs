//! The class-wise attribution matrix C: CAS, differences, changed pairs, orders of classes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A square matrix over classes, stored row by row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<f64>>", into = "Vec<Vec<f64>>")]
pub struct Matrix {
    classes: usize,
    /// `classes × classes` values. Shared, so that a copy for each drawing costs nothing.
    values: Arc<[f64]>,
}

/// Error: rows are not a square matrix of finite values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    #[error("row {row} has {length} values; a matrix over {classes} classes has {classes}")]
    NotSquare { row: usize, length: usize, classes: usize },
    #[error("the value at row {row}, column {column} is not finite")]
    NotFinite { row: usize, column: usize },
}

impl TryFrom<Vec<Vec<f64>>> for Matrix {
    type Error = MatrixError;

    fn try_from(rows: Vec<Vec<f64>>) -> Result<Self, MatrixError> {
        let classes = rows.len();
        for (row, values) in rows.iter().enumerate() {
            if values.len() != classes {
                return Err(MatrixError::NotSquare { row, length: values.len(), classes });
            }
            if let Some(column) = values.iter().position(|value| !value.is_finite()) {
                return Err(MatrixError::NotFinite { row, column });
            }
        }
        Ok(Matrix { classes, values: rows.into_iter().flatten().collect() })
    }
}

impl From<Matrix> for Vec<Vec<f64>> {
    fn from(matrix: Matrix) -> Self {
        matrix.rows().map(<[f64]>::to_vec).collect()
    }
}

/// A pair of classes `i < j` and its values in two matrices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PairChange {
    pub i: usize,
    pub j: usize,
    pub a: f64,
    pub b: f64,
    /// `b − a`.
    pub difference: f64,
}

impl Matrix {
    /// Cosines of each pair of rows of `vectors`, `[classes][n]`.
    ///
    /// The cosine with a zero vector is undefined; it is set to 0, and to 1 on the diagonal.
    pub fn cosine(vectors: &[Vec<f64>]) -> Self {
        let classes = vectors.len();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let norms: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
        let mut values = vec![0.0; classes * classes];
        for i in 0..classes {
            values[i * classes + i] = 1.0;
            for j in 0..i {
                let scale = norms[i] * norms[j];
                let cosine = if scale > 0.0 { (dot(&vectors[i], &vectors[j]) / scale).clamp(-1.0, 1.0) } else { 0.0 };
                values[i * classes + j] = cosine;
                values[j * classes + i] = cosine;
            }
        }
        Matrix { classes, values: values.into() }
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.classes + j]
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.classes..][..self.classes]
    }

    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks(self.classes.max(1))
    }

    /// CAS, the class attribution similarity: Σ over ordered pairs `i ≠ j` of `max(C[i,j], 0)`.
    ///
    /// Range `[0, K(K−1)]`.
    pub fn cas(&self) -> f64 {
        self.off_diagonal().map(|value| value.max(0.0)).sum()
    }

    /// CAS / K(K−1), the mean over ordered pairs, in `[0, 1]`.
    pub fn cas_normalized(&self) -> f64 {
        let pairs = self.classes * self.classes.saturating_sub(1);
        if pairs == 0 { 0.0 } else { self.cas() / pairs as f64 }
    }

    /// Smallest and largest value off the diagonal; `(0, 0)` for fewer than two classes.
    pub fn off_diagonal_range(&self) -> (f64, f64) {
        self.off_diagonal()
            .fold(None, |range, value| match range {
                None => Some((value, value)),
                Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
            })
            .unwrap_or((0.0, 0.0))
    }

    /// Row by row. After the first value, each `classes` values are followed by one of the diagonal.
    fn off_diagonal(&self) -> impl Iterator<Item = f64> {
        let after_first = self.values.get(1..).unwrap_or_default();
        after_first.chunks_exact(self.classes + 1).flat_map(move |values| &values[..self.classes]).copied()
    }

    /// `other − self`, cell by cell; `None` if the numbers of classes differ.
    pub fn difference(&self, other: &Matrix) -> Option<Matrix> {
        (self.classes == other.classes)
            .then(|| Matrix { classes: self.classes, values: self.values.iter().zip(other.values.iter()).map(|(a, b)| b - a).collect() })
    }

    /// The matrix with values of `decimals` digits after the point.
    pub fn rounded(&self, decimals: i32) -> Matrix {
        let unit = 10f64.powi(decimals);
        Matrix { classes: self.classes, values: self.values.iter().map(|value| (value * unit).round() / unit).collect() }
    }

    /// This matrix above the diagonal and `other` below it, after sorting the classes by `order`. The
    /// matrices must have the same classes, and the result keeps the given order of classes.
    pub fn split(&self, other: &Matrix, order: &[usize]) -> Matrix {
        let mut values = self.values.to_vec();
        for (row, i) in order.iter().enumerate() {
            for j in &order[..row] {
                values[i * self.classes + j] = other.get(*i, *j);
            }
        }
        Matrix { classes: self.classes, values: values.into() }
    }

    /// Every pair `i < j` with its change from `self` to `other`, largest change first.
    pub fn changes(&self, other: &Matrix) -> Vec<PairChange> {
        let classes = self.classes.min(other.classes);
        let mut changes: Vec<PairChange> = (0..classes)
            .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
            .map(|(i, j)| {
                let (a, b) = (self.get(i, j), other.get(i, j));
                PairChange { i, j, a, b, difference: b - a }
            })
            .collect();
        changes.sort_by(|x, y| y.difference.abs().total_cmp(&x.difference.abs()));
        changes
    }

    /// Rank of the pair `(i, j)` by similarity, from 1, and the number of pairs. Equal pairs share the best
    /// rank.
    pub fn rank(&self, i: usize, j: usize) -> (usize, usize) {
        let value = self.get(i, j);
        let above = |(class, row): (usize, &[f64])| row[class + 1..].iter().filter(|other| **other > value).count();
        (self.rows().enumerate().map(above).sum::<usize>() + 1, self.classes * self.classes.saturating_sub(1) / 2)
    }

    /// The pair `i < j` whose value has the largest `size`; of equal ones, the last.
    ///
    /// `None` for fewer than two classes.
    pub fn strongest(&self, size: impl Fn(f64) -> f64) -> Option<(usize, usize)> {
        let mut strongest = None;
        let mut largest = f64::NEG_INFINITY;
        for (i, row) in self.rows().enumerate() {
            for (j, value) in (i + 1..).zip(&row[i + 1..]) {
                let size = size(*value);
                if size >= largest {
                    (largest, strongest) = (size, Some((i, j)));
                }
            }
        }
        strongest
    }

    /// `class` first, then the others, most similar first; the given order if `class` does not exist.
    pub fn closeness_order(&self, class: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.classes).collect();
        if class >= self.classes {
            return order;
        }
        let closeness = |other: &usize| if *other == class { f64::INFINITY } else { self.get(class, *other) };
        order.sort_by(|x, y| closeness(y).total_cmp(&closeness(x)));
        order
    }

    /// Classes by the sum of absolute values in their row, largest first. For a difference: the most changed
    /// classes first.
    pub fn size_order(&self) -> Vec<usize> {
        let sizes: Vec<f64> = self.rows().map(|row| row.iter().map(|value| value.abs()).sum()).collect();
        let mut order: Vec<usize> = (0..self.classes).collect();
        order.sort_by(|x, y| sizes[*y].total_cmp(&sizes[*x]));
        order
    }

    /// Block means: entry `(a, b)` is the mean over pairs of a class of group `a` and a different class of
    /// group `b`.
    ///
    /// A group of one class gets 1 on the diagonal.
    pub fn block_means(&self, groups: &[Vec<usize>]) -> Matrix {
        let mean = |a: &Vec<usize>, b: &Vec<usize>| {
            let pairs = a.iter().flat_map(|i| b.iter().map(move |j| (*i, *j))).filter(|(i, j)| i != j);
            let (sum, count) = pairs.fold((0.0, 0), |(sum, count), (i, j)| (sum + self.get(i, j), count + 1));
            if count == 0 { 1.0 } else { sum / f64::from(count) }
        };
        Matrix { classes: groups.len(), values: groups.iter().flat_map(|a| groups.iter().map(move |b| mean(a, b))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f64]]) -> Matrix {
        Matrix::try_from(rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn cas_adds_positive_cosines_of_ordered_pairs() {
        let c = matrix(&[&[1.0, 0.5, -0.5], &[0.5, 1.0, 0.25], &[-0.5, 0.25, 1.0]]);
        assert_eq!(c.cas(), 1.5);
        assert_eq!(c.cas_normalized(), 0.25);
        assert_eq!(c.off_diagonal_range(), (-0.5, 0.5));
    }

    #[test]
    fn cosine_is_of_directions_and_a_zero_vector_has_none() {
        let c = Matrix::cosine(&[vec![3.0, 4.0], vec![6.0, 8.0], vec![-4.0, 3.0], vec![0.0, 0.0]]);
        assert!((c.get(0, 1) - 1.0).abs() < 1e-15);
        assert!(c.get(0, 2).abs() < 1e-15);
        assert_eq!((c.get(0, 3), c.get(3, 3)), (0.0, 1.0));
    }

    #[test]
    fn changes_are_ranked_by_size_and_keep_their_sign() {
        let a = matrix(&[&[1.0, 0.5, 0.1], &[0.5, 1.0, 0.2], &[0.1, 0.2, 1.0]]);
        let b = matrix(&[&[1.0, 0.1, 0.2], &[0.1, 1.0, 0.2], &[0.2, 0.2, 1.0]]);
        let changes = a.changes(&b);
        assert_eq!(changes.iter().map(|change| (change.i, change.j)).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        assert!((changes[0].difference + 0.4).abs() < 1e-15);
        assert!((a.difference(&b).unwrap().get(1, 0) + 0.4).abs() < 1e-15);
        assert_eq!(a.difference(&matrix(&[&[1.0]])), None);
    }

    #[test]
    fn blocks_are_means_over_pairs_of_two_classes() {
        let c = matrix(&[&[1.0, 0.5, 0.1], &[0.5, 1.0, 0.3], &[0.1, 0.3, 1.0]]);
        assert_eq!(c.block_means(&[vec![0, 1], vec![2]]), matrix(&[&[0.5, 0.2], &[0.2, 1.0]]));
    }

    #[test]
    fn a_split_matrix_has_the_other_below_the_diagonal_as_the_classes_stand() {
        let a = matrix(&[&[1.0, 0.5, 0.5], &[0.5, 1.0, 0.5], &[0.5, 0.5, 1.0]]);
        let b = matrix(&[&[1.0, 0.1, 0.2], &[0.1, 1.0, 0.3], &[0.2, 0.3, 1.0]]);
        let order = [2, 0, 1];
        let split = a.split(&b, &order);
        let shown: Vec<f64> = order.iter().flat_map(|i| order.iter().map(|j| split.get(*i, *j))).collect();
        assert_eq!(shown, [1.0, 0.5, 0.5, 0.2, 1.0, 0.5, 0.3, 0.1, 1.0]);
    }

    #[test]
    fn classes_are_ordered_by_closeness_to_one_and_by_size_of_change() {
        let c = matrix(&[&[1.0, 0.1, 0.7], &[0.1, 1.0, -0.3], &[0.7, -0.3, 1.0]]);
        assert_eq!(c.closeness_order(0), [0, 2, 1]);
        assert_eq!(c.closeness_order(1), [1, 0, 2]);
        assert_eq!(c.closeness_order(3), [0, 1, 2]);
        let change = matrix(&[&[0.0, 0.1, 0.0], &[0.1, 0.0, -0.4], &[0.0, -0.4, 0.0]]);
        assert_eq!(change.size_order(), [1, 2, 0]);
    }

    #[test]
    fn a_pair_is_ranked_among_all_and_the_strongest_is_found() {
        let c = matrix(&[&[1.0, 0.1, 0.7], &[0.1, 1.0, -0.9], &[0.7, -0.9, 1.0]]);
        assert_eq!([c.rank(0, 2), c.rank(1, 0), c.rank(2, 1)], [(1, 3), (2, 3), (3, 3)]);
        assert_eq!((c.strongest(|value| value), c.strongest(f64::abs)), (Some((0, 2)), Some((1, 2))));
        assert_eq!((matrix(&[&[1.0]]).strongest(f64::abs), Matrix::default().strongest(f64::abs)), (None, None));
    }

    #[test]
    fn rows_of_unequal_length_and_values_that_are_not_finite_are_refused() {
        assert_eq!(Matrix::try_from(vec![vec![1.0], vec![1.0]]), Err(MatrixError::NotSquare { row: 0, length: 1, classes: 2 }));
        assert_eq!(Matrix::try_from(vec![vec![f64::NAN]]), Err(MatrixError::NotFinite { row: 0, column: 0 }));
    }
}
