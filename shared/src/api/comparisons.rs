//! Comparison of attributions over the same classes with a baseline.

use serde::{Deserialize, Serialize};

use super::Attribution;
use crate::id::AttributionId;
use crate::matrix::{Matrix, PairChange};

/// `GET /api/comparisons`: two to six attributions over the same classes.
///
/// The first is the baseline; each other is compared with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// The compared attributions, the baseline first.
    pub attributions: Vec<Attribution>,
    /// One difference for each attribution after the baseline, in the same order.
    pub differences: Vec<Difference>,
}

/// How an attribution differs from the baseline of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Difference {
    /// Name of the attribution, such as `RUN.e12.adversarial`.
    #[schema(value_type = String)]
    pub id: AttributionId,
    /// CAS of this attribution minus CAS of the baseline.
    pub delta_cas: f64,
    /// Matrix of this attribution minus the baseline's matrix, cell by cell.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub matrix: Matrix,
    /// Every pair `i < j`, largest change first; `a` is the baseline's value.
    pub changes: Vec<PairChange>,
    /// True for each cell whose difference is within the bootstrap intervals, see `Bootstrap::unresolved`;
    /// absent if one of the two attributions has no intervals.
    pub unresolved: Option<Vec<Vec<bool>>>,
}

/// A pair of classes and its values in all matrices of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedPair {
    pub i: usize,
    pub j: usize,
    /// Cosine of the pair in each attribution, the baseline first.
    pub values: Vec<f64>,
    /// Largest change against the baseline by absolute value, with its sign.
    pub change: f64,
}

/// Error: an attribution has other classes than the baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is over other classes than `{baseline}`; choose attributions of one data set")]
pub struct OtherClasses {
    /// Index in the list of compared attributions, from 0.
    pub index: usize,
    pub id: AttributionId,
    pub baseline: AttributionId,
}

impl Comparison {
    /// Compares every attribution with the first. One attribution, or none, has no differences.
    pub fn of(attributions: Vec<Attribution>) -> Result<Self, OtherClasses> {
        let Some((baseline, others)) = attributions.split_first() else {
            return Ok(Comparison { attributions, differences: Vec::new() });
        };
        let difference = |(index, other): (usize, &Attribution)| {
            let of = Difference::between(baseline, other);
            of.ok_or_else(|| OtherClasses { index: index + 1, id: other.context.id.clone(), baseline: baseline.context.id.clone() })
        };
        let differences = others.iter().enumerate().map(difference).collect::<Result<_, _>>()?;
        Ok(Comparison { attributions, differences })
    }

    /// The attribution that the others are compared with.
    pub fn baseline(&self) -> &Attribution {
        &self.attributions[0]
    }

    /// Every pair `i < j`, by its largest change against the baseline, largest first.
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

    /// The attributions after the baseline, each with its difference.
    pub fn others(&self) -> impl Iterator<Item = (&Attribution, &Difference)> {
        self.attributions[1..].iter().zip(&self.differences)
    }
}

impl Difference {
    /// Compares `other` with `baseline`; `None` if their classes differ.
    pub fn between(baseline: &Attribution, other: &Attribution) -> Option<Self> {
        let (from, to) = (&baseline.file, &other.file);
        if from.class_names != to.class_names {
            return None;
        }
        Some(Difference {
            id: other.context.id.clone(),
            delta_cas: to.cas - from.cas,
            matrix: from.matrix.difference(&to.matrix)?,
            changes: from.matrix.changes(&to.matrix),
            unresolved: from.bootstrap.as_ref().zip(to.bootstrap.as_ref()).and_then(|(from, to)| from.unresolved(to)),
        })
    }

    /// Whether the difference of a cell is within the intervals; `None` without intervals.
    pub fn is_unresolved(&self, (i, j): (usize, usize)) -> Option<bool> {
        self.unresolved.as_ref()?.get(i)?.get(j).copied()
    }
}
