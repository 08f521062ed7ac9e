//! Class-wise attribution matrices.

use serde::{Deserialize, Serialize};

use crate::config::{Aggregation, Inputs, Layer, Norm, SplitName, Subset};
use crate::eps::Eps;
use crate::matrix::Matrix;
use crate::view::CheckpointId;

/// A class-wise attribution matrix with everything needed to trust it: the content of `attributions/*.json` in a run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttributionFile {
    pub epoch: u32,
    pub inputs: Inputs,
    /// The attack the inputs were made with; absent for clean inputs.
    pub attack: Option<AttackUsed>,
    pub class_names: Vec<String>,
    /// Samples of each class that were averaged.
    pub class_counts: Vec<u32>,
    #[serde(default)]
    pub split: SplitName,
    #[serde(default)]
    pub aggregation: Aggregation,
    #[serde(default)]
    pub subset: Subset,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub layer: Layer,
    /// The checkpoint it is of where that is another run's, `RUN.e12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// C: the cosine of the mean attribution vectors of every two classes, or what `aggregation` says.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub matrix: Matrix,
    /// The L2 norm of each class's mean attribution vector.
    pub norms: Vec<f64>,
    pub cas: f64,
    pub cas_normalized: f64,
    /// The fraction of each class's samples classified correctly, on these inputs.
    pub class_accuracy: Vec<f64>,
    /// Of all samples, on these inputs.
    pub accuracy: f64,
    /// Samples of class i predicted as class j, on these inputs; all samples, whatever the subset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u32>>,
    /// The control: the cosines of the rows of W alone (of the fitted read-out for a stage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Vec<f64>>>))]
    pub weight_matrix: Option<Matrix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    pub feature_dim: u32,
    /// Empty for an epoch whose checkpoint was not kept.
    pub checkpoint_sha256: String,
    pub seconds: f64,
}

/// The attack behind adversarial inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttackUsed {
    pub norm: Norm,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub eps: Eps,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub step_size: Eps,
    pub steps: u32,
    pub random_start: bool,
}

/// 95 % intervals from resampling, with replacement, the images of each class that count: Efron's percentile method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bootstrap {
    pub resamples: u32,
    pub cas_low: f64,
    pub cas_high: f64,
    /// The ends of the interval of each cell.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub low: Matrix,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
    pub high: Matrix,
}

/// `GET /api/attributions/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attribution {
    pub id: String,
    pub run: String,
    pub run_title: String,
    pub is_best: bool,
    pub is_last: bool,
    /// Of the checkpoint, on the whole test set, as measured in training.
    pub clean_accuracy: Option<f64>,
    pub robust_accuracy: Option<f64>,
    #[serde(flatten)]
    pub file: AttributionFile,
}

/// `GET /api/runs/{id}/cells`: a cell of one of the matrices of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EpochCell {
    pub epoch: u32,
    pub value: f64,
    /// The ends of its interval, where the matrix has intervals.
    pub interval: Option<[f64; 2]>,
}

impl AttributionFile {
    /// The checkpoint it is of; `run` is the run whose directory it lies in.
    pub fn checkpoint_name(&self, run: &str) -> String {
        self.checkpoint.clone().unwrap_or_else(|| CheckpointId { run: run.to_owned(), epoch: self.epoch }.to_string())
    }
}

impl Attribution {
    /// What this can be compared with: a baseline that is another attribution, over the same classes.
    pub fn comparable<'a>(&self, baseline: Option<&'a Attribution>) -> Option<&'a Attribution> {
        baseline.filter(|baseline| baseline.id != self.id && baseline.file.class_names == self.file.class_names)
    }
}

impl Bootstrap {
    /// Which cells of two matrices differ by no more than their intervals leave open: those where the interval of the difference,
    /// `[low of other − high of self, high of other − low of self]`, holds 0, that is, where the two intervals overlap.
    ///
    /// Conservative: two 95 % intervals of equal width that just touch are of values that differ at about the 0.6 % level, so that what
    /// is left is safe to speak of, and some of what is taken out may be real. The diagonal is 1 in both and never resolved.
    pub fn unresolved(&self, other: &Bootstrap) -> Vec<Vec<bool>> {
        let classes = self.low.classes().min(other.low.classes());
        let overlap = |i, j| self.low.get(i, j) <= other.high.get(i, j) && other.low.get(i, j) <= self.high.get(i, j);
        (0..classes).map(|i| (0..classes).map(|j| overlap(i, j)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    fn matrix(cosine: f64) -> Matrix {
        Matrix::try_from(vec![vec![1.0, cosine], vec![cosine, 1.0]]).unwrap()
    }

    #[test]
    fn an_attribution_is_its_file_with_what_is_known_of_its_run() {
        let attribution = fixtures::attribution("r", 1, matrix(0.1));
        let value = serde_json::to_value(&attribution).unwrap();
        assert_eq!((&value["run"], &value["epoch"], &value["matrix"][0][1]), (&json!("r"), &json!(1), &json!(0.1)));
        assert_eq!(serde_json::from_value::<Attribution>(value).unwrap(), attribution);
    }

    #[test]
    fn a_baseline_is_another_attribution_over_the_same_classes() {
        let (subject, other) = (fixtures::attribution("r", 1, matrix(0.1)), fixtures::attribution("r", 2, matrix(0.1)));
        assert_eq!(subject.comparable(Some(&other)), Some(&other));
        assert_eq!(subject.comparable(Some(&subject)), None, "itself");
        assert_eq!(subject.comparable(None), None);
        let mut renamed = other;
        renamed.file.class_names[1] = "cat".into();
        assert_eq!(subject.comparable(Some(&renamed)), None, "over other classes");
    }

    #[test]
    fn a_cell_is_resolved_where_the_intervals_do_not_overlap() {
        let interval =
            |low: f64, high: f64| Bootstrap { resamples: 200, cas_low: 0.0, cas_high: 1.0, low: matrix(low), high: matrix(high) };
        let a = interval(0.2, 0.4);
        for (low, high, unresolved) in [(0.3, 0.5, true), (0.4, 0.6, true), (0.41, 0.6, false), (0.1, 0.19, false), (0.25, 0.3, true)] {
            let found = a.unresolved(&interval(low, high));
            assert_eq!(found, [[true, unresolved], [unresolved, true]], "[{low}, {high}]");
            assert_eq!(found, interval(low, high).unresolved(&a));
        }
    }
}
