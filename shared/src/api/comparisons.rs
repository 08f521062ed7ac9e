//! Attributions over the same classes, and how they differ from the first.

use serde::{Deserialize, Serialize};

use super::Attribution;
use crate::matrix::{Matrix, PairChange};

/// `GET /api/comparisons`: two to six attributions over the same classes, and how they differ from the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// The baseline first.
    pub attributions: Vec<Attribution>,
    /// Of each of the others, in their order.
    pub differences: Vec<Difference>,
}

/// How an attribution differs from the baseline of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// The attribution, `RUN.e12.adversarial`.
    pub id: String,
    /// Its CAS less that of the baseline.
    pub delta_cas: f64,
    /// Its matrix less that of the baseline, cell by cell.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub matrix: Matrix,
    /// Every pair `i < j`, largest change first; `a` is the baseline's.
    pub changes: Vec<PairChange>,
    /// Whether the difference of a cell lies inside the intervals, as `Bootstrap::unresolved` has it; absent where one of the two
    /// has none.
    pub unresolved: Option<Vec<Vec<bool>>>,
}

/// A pair of classes in all the matrices of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedPair {
    pub i: usize,
    pub j: usize,
    /// Its cosine in each, the baseline's first.
    pub values: Vec<f64>,
    /// The largest change against the baseline by absolute value, with its sign.
    pub change: f64,
}

/// An attribution cannot be compared with the first of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is over other classes than `{baseline}`; choose attributions of one data set")]
pub struct OtherClasses {
    /// Its place among the compared, from 0.
    pub index: usize,
    pub id: String,
    pub baseline: String,
}

impl Comparison {
    /// Compares all but the first with the first; of one or none there are no differences.
    pub fn of(attributions: Vec<Attribution>) -> Result<Self, OtherClasses> {
        let Some((baseline, others)) = attributions.split_first() else {
            return Ok(Comparison { attributions, differences: Vec::new() });
        };
        let difference = |(index, other): (usize, &Attribution)| {
            let of = Difference::between(baseline, other);
            of.ok_or_else(|| OtherClasses { index: index + 1, id: other.id.clone(), baseline: baseline.id.clone() })
        };
        let differences = others.iter().enumerate().map(difference).collect::<Result<_, _>>()?;
        Ok(Comparison { attributions, differences })
    }

    /// What the others are compared with.
    pub fn baseline(&self) -> &Attribution {
        &self.attributions[0]
    }

    /// Every pair `i < j`, the one that changed most against the baseline in any of the others first.
    pub fn ranked(&self) -> Vec<RankedPair> {
        let classes = self.attributions.first().map_or(0, |baseline| baseline.file.matrix.classes());
        let pair = |(i, j): (usize, usize)| {
            let change = |difference: &Difference| difference.matrix.get(i, j);
            let changes = self.differences.iter().map(change);
            RankedPair {
                i,
                j,
                values: self.attributions.iter().map(|attribution| attribution.file.matrix.get(i, j)).collect(),
                change: changes.reduce(|most, change| if change.abs() > most.abs() { change } else { most }).unwrap_or(0.0),
            }
        };
        let mut pairs: Vec<RankedPair> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).map(pair).collect();
        pairs.sort_by(|x, y| y.change.abs().total_cmp(&x.change.abs()));
        pairs
    }

    /// The others, each with how it differs.
    pub fn others(&self) -> impl Iterator<Item = (&Attribution, &Difference)> {
        self.attributions[1..].iter().zip(&self.differences)
    }
}

impl Difference {
    /// How `other` differs from `baseline`; none where they are over different classes.
    pub fn between(baseline: &Attribution, other: &Attribution) -> Option<Self> {
        let (from, to) = (&baseline.file, &other.file);
        if from.class_names != to.class_names {
            return None;
        }
        Some(Difference {
            id: other.id.clone(),
            delta_cas: to.cas - from.cas,
            matrix: from.matrix.difference(&to.matrix)?,
            changes: from.matrix.changes(&to.matrix),
            unresolved: from.bootstrap.as_ref().zip(to.bootstrap.as_ref()).map(|(from, to)| from.unresolved(to)),
        })
    }

    /// Whether the difference of a cell lies inside the intervals; none where nothing is known of it.
    pub fn is_unresolved(&self, (i, j): (usize, usize)) -> Option<bool> {
        self.unresolved.as_ref()?.get(i)?.get(j).copied()
    }
}
