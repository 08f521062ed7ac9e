//! Whether classes that share features are those that the attack confuses: relations between classes, held
//! against each other.
//!
//! Four relations of each pair of classes are at hand for every matrix: C, the cosine of their attributions;
//! the cosine of their rows of W, which owes nothing to images; the cosine of their mean features, which owes
//! nothing to W; and the traffic, which is how often images of one are taken for the other. Two relations are compared by Spearman's rank correlation over all pairs.
//! Pairs share classes and are not independent, so its significance comes from Mantel's permutation test:
//! Mantel 1967, <https://aacrjournals.org/cancerres/article/27/2_Part_1/209>.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::api::AttributionFile;
use crate::config::Aggregation;
use crate::matrix::Matrix;
use crate::random::SplitMix;

/// Number of random orders of the classes, so that p is at least 0.001.
pub const PERMUTATIONS: u32 = 999;

/// A symmetric relation between classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, EnumIter, IntoStaticStr, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Relation {
    /// C, the cosine of the mean attributions.
    Attribution,
    /// Cosine of the rows of W.
    Weights,
    /// Cosine of the mean features.
    Features,
    /// Fraction of the images of both classes that are taken for the other one.
    Traffic,
}

/// How two relations go together over all pairs of classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Association {
    pub x: Relation,
    pub y: Relation,
    /// Spearman's rank correlation, in `[−1, 1]`; 0 if either relation is the same for all pairs.
    pub rank_correlation: f64,
    /// Two-sided p of Mantel's test: the fraction of random orders of the classes with a correlation at least
    /// as large, the given order counted.
    pub p: f64,
}

/// `GET /api/attributions/{id}/interference`: how the relations between the classes go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Interference {
    /// Number of random orders of the classes behind each p.
    pub permutations: u32,
    /// Each pair of relations that are known. Older files lack some.
    pub associations: Vec<Association>,
}

impl Relation {
    pub fn label(self) -> &'static str {
        match self {
            Relation::Attribution => "C",
            Relation::Weights => "cosine of the rows of W",
            Relation::Features => "cosine of the mean features",
            Relation::Traffic => "traffic of the attack",
        }
    }

    pub fn short(self) -> &'static str {
        match self {
            Relation::Attribution => "C",
            Relation::Weights => "W",
            Relation::Features => "features",
            Relation::Traffic => "traffic",
        }
    }

    /// Whether a file has its values.
    pub fn is_in(self, file: &AttributionFile) -> bool {
        match self {
            Relation::Attribution => true,
            Relation::Weights => file.weight_matrix.is_some(),
            // Otherwise C is the same.
            Relation::Features => file.feature_matrix.is_some() && file.aggregation != Aggregation::AverageFeatures,
            Relation::Traffic => !file.confusion.is_empty() && file.confusion.iter().all(|row| row.len() == file.confusion.len()),
        }
    }

    /// Its values for each pair; `None` if the file does not have them.
    pub fn of(self, file: &AttributionFile) -> Option<Matrix> {
        if !self.is_in(file) {
            return None;
        }
        match self {
            Relation::Attribution => Some(file.matrix.clone()),
            Relation::Weights => file.weight_matrix.clone(),
            Relation::Features => file.feature_matrix.clone(),
            Relation::Traffic => Some(traffic(&file.confusion)),
        }
    }
}

impl Interference {
    /// Compares the relations of an attribution.
    pub fn of(file: &AttributionFile) -> Self {
        let known: Vec<(Relation, Matrix)> = Relation::iter().filter_map(|relation| Some((relation, relation.of(file)?))).collect();
        let pairs = (0..known.len()).flat_map(|x| (x + 1..known.len()).map(move |y| (x, y)));
        let associations = pairs.map(|(x, y)| {
            let (rank_correlation, p) = mantel(&known[x].1, &known[y].1, PERMUTATIONS);
            Association { x: known[x].0, y: known[y].0, rank_correlation, p }
        });
        Interference { permutations: PERMUTATIONS, associations: associations.collect() }
    }
}

/// Spearman's rank correlation of two relations over all pairs of classes; `None` if a file lacks one of them.
pub fn rank_correlation(file: &AttributionFile, [x, y]: [Relation; 2]) -> Option<f64> {
    Some(mantel(&x.of(file)?, &y.of(file)?, 0).0)
}

/// Entry `(i, j)`: of the images of classes i and j, the fraction that is taken for the other. 0 on the
/// diagonal.
fn traffic(confusion: &[Vec<u32>]) -> Matrix {
    let totals: Vec<f64> = confusion.iter().map(|row| row.iter().map(|count| f64::from(*count)).sum()).collect();
    let share = |i: usize, j: usize| match totals[i] + totals[j] {
        total if i == j || total == 0.0 => 0.0,
        total => f64::from(confusion[i][j] + confusion[j][i]) / total,
    };
    let rows: Vec<Vec<f64>> = (0..confusion.len()).map(|i| (0..confusion.len()).map(|j| share(i, j)).collect()).collect();
    Matrix::try_from(rows).expect("a square of fractions")
}

/// Spearman's rank correlation of two matrices over the pairs `i < j`, and its two-sided p.
fn mantel(x: &Matrix, y: &Matrix, permutations: u32) -> (f64, f64) {
    let classes = x.classes();
    let (x, y) = (centered_ranks(x), centered_ranks(y));
    let sum = |order: &[usize]| -> f64 {
        let row = |i: usize| (i + 1..classes).map(|j| x[i * classes + j] * y[order[i] * classes + order[j]]).sum::<f64>();
        (0..classes).map(row).sum()
    };
    let scale = {
        let squares = |ranks: &[f64]| ranks.iter().map(|rank| rank * rank).sum::<f64>();
        // Each pair occurs twice in the matrices.
        (squares(&x) * squares(&y)).sqrt() / 2.0
    };
    if scale == 0.0 {
        return (0.0, 1.0);
    }
    let mut order: Vec<usize> = (0..classes).collect();
    let observed = sum(&order);
    let mut random = SplitMix::new(1);
    let mut as_large = 1;
    for _ in 0..permutations {
        random.shuffle(&mut order);
        // Sums in another order differ in their last bits.
        as_large += u32::from(sum(&order).abs() >= observed.abs() - 1e-9 * scale);
    }
    (observed / scale, f64::from(as_large) / f64::from(permutations + 1))
}

/// Ranks of the pairs less their mean, as a symmetric matrix; equal values share the mean of their ranks.
fn centered_ranks(matrix: &Matrix) -> Vec<f64> {
    let classes = matrix.classes();
    let mut pairs: Vec<(usize, usize)> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).collect();
    pairs.sort_by(|a, b| matrix.get(a.0, a.1).total_cmp(&matrix.get(b.0, b.1)));
    let middle = (pairs.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; classes * classes];
    let mut first = 0;
    for tied in pairs.chunk_by(|a, b| matrix.get(a.0, a.1) == matrix.get(b.0, b.1)) {
        let rank = first as f64 + (tied.len() as f64 - 1.0) / 2.0 - middle;
        for (i, j) in tied {
            ranks[i * classes + j] = rank;
            ranks[j * classes + i] = rank;
        }
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// A symmetric matrix from the values of its pairs, row by row.
    fn symmetric(classes: usize, pairs: &[f64]) -> Matrix {
        let mut rows = vec![vec![1.0; classes]; classes];
        let places = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for ((i, j), value) in places.zip(pairs) {
            (rows[i][j], rows[j][i]) = (*value, *value);
        }
        Matrix::try_from(rows).unwrap()
    }

    #[test]
    fn rank_correlations_are_those_of_scipy_and_p_counts_orders_of_classes() {
        // Correlations by scipy.stats.spearmanr, the second with ties; p over all 120 orders of five classes, by NumPy.
        let x = symmetric(5, &[0.1, 0.5, 0.3, 0.9, 0.2, 0.4, 0.8, 0.7, 0.6, 0.0]);
        for (pairs, rank_correlation, exact) in [
            ([0.2, 0.4, 0.1, 0.8, 0.5, 0.3, 0.9, 0.6, 0.0, 0.7], 0.3696969696969697, 43.0 / 120.0),
            ([0.0, 0.4, 0.0, 0.8, 0.4, 0.3, 0.9, 0.6, 0.4, 0.0], 0.8884730095773006, 1.0 / 120.0),
        ] {
            let y = symmetric(5, &pairs);
            let (found, p) = mantel(&x, &y, 9_999);
            assert!((found - rank_correlation).abs() < 1e-12, "{found}");
            // Four deviations of a count in 9,999 random orders, and the given order, which is always counted.
            assert!((p - exact).abs() < 4.0 * (exact * (1.0 - exact) / 9_999.0).sqrt() + 1e-4, "{p} is not near {exact}");
            assert_eq!(mantel(&y, &x, 0), (found, 1.0));
        }
    }

    #[test]
    fn traffic_is_the_fraction_of_both_classes_that_is_taken_for_the_other() {
        let found = traffic(&[vec![6, 3, 1], vec![1, 9, 0], vec![0, 0, 20]]);
        assert_eq!((found.get(0, 1), found.get(1, 0), found.get(0, 2), found.get(1, 2), found.get(0, 0)), (0.2, 0.2, 1.0 / 30.0, 0.0, 0.0));
        assert_eq!(traffic(&[vec![0, 0], vec![0, 0]]).get(0, 1), 0.0);
    }

    #[test]
    fn what_a_file_does_not_have_is_left_out() {
        let mut file = fixtures::attribution("r", 1, symmetric(4, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])).file;
        (file.weight_matrix, file.confusion) = (None, Vec::new());
        assert_eq!(Interference::of(&file).associations, []);
        file.weight_matrix = Some(file.matrix.clone());
        assert_eq!(rank_correlation(&file, [Relation::Attribution, Relation::Weights]).map(|found| (found * 1e9).round()), Some(1e9));
        assert_eq!(rank_correlation(&file, [Relation::Attribution, Relation::Traffic]), None);
        let [only] = Interference::of(&file).associations[..] else { panic!() };
        assert_eq!((only.x, only.y), (Relation::Attribution, Relation::Weights));
        assert!((only.rank_correlation - 1.0).abs() < 1e-12, "{only:?}");
        file.weight_matrix = Some(symmetric(4, &[0.5; 6]));
        let flat = Interference::of(&file).associations[0];
        assert_eq!((flat.rank_correlation, flat.p), (0.0, 1.0));
    }
}
