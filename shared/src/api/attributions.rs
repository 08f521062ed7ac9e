//! Class-wise attribution matrices and their uncertainty.

use serde::{Deserialize, Serialize};

use crate::config::{Aggregation, Inputs, Layer, Norm, Precision, SplitName, Subset, ThreatModel};
use crate::eps::Eps;
use crate::id::{AttributionId, CheckpointId, RunId};
use crate::matrix::Matrix;

/// A class-wise attribution matrix with the settings it was measured with.
///
/// Content of `attributions/*.json` in a run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttributionFile {
    /// Epoch of the checkpoint.
    pub epoch: u32,
    /// Inputs that the matrix was measured on.
    pub inputs: Inputs,
    /// The attack that made the inputs; absent for clean inputs.
    pub attack: Option<AttackUsed>,
    /// Names of the classes, in the order of the matrix.
    pub class_names: Vec<String>,
    /// Number of samples averaged for each class.
    pub class_counts: Vec<u32>,
    /// Split of the images.
    #[serde(default)]
    pub split: SplitName,
    /// Order of averaging and cosine.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// Samples of a class that were averaged.
    #[serde(default)]
    pub subset: Subset,
    /// Features that the attribution was computed on.
    #[serde(default)]
    #[schema(value_type = String)]
    pub layer: Layer,
    /// The measured checkpoint, such as `RUN.e12`; absent if it belongs to the run of this directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub checkpoint: Option<CheckpointId>,
    /// C: the cosine of the mean attribution vectors of each pair of classes, unless `aggregation` says
    /// otherwise.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub matrix: Matrix,
    /// L2 norm of the mean attribution vector of each class.
    pub norms: Vec<f64>,
    /// Class attribution similarity: the sum of the positive cells of `matrix` off its diagonal.
    pub cas: f64,
    /// CAS / K(K−1).
    pub cas_normalized: f64,
    /// Accuracy on each class, a fraction, on these inputs.
    pub class_accuracy: Vec<f64>,
    /// Accuracy on all samples, a fraction, on these inputs.
    pub accuracy: f64,
    /// `confusion[i][j]`: number of samples of class i predicted as class j, on these inputs. Counts all
    /// samples, whatever `subset` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u32>>,
    /// A control: the cosines of the rows of W alone. For a stage, W is the fitted linear map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    pub weight_matrix: Option<Matrix>,
    /// Intervals of CAS and of the cells; absent if they were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// Length n of a feature vector.
    pub feature_dim: u32,
    /// SHA-256 of the checkpoint file; empty if the checkpoint of this epoch was not kept.
    pub checkpoint_sha256: String,
    /// Duration of the measurement.
    pub seconds: f64,
}

/// The attack that made adversarial inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttackUsed {
    /// Norm of the threat model.
    pub norm: Norm,
    /// Radius of the threat model.
    #[schema(value_type = String)]
    pub eps: Eps,
    /// Step size.
    #[schema(value_type = String)]
    pub step_size: Eps,
    /// Number of steps.
    pub steps: u32,
    /// Whether the attack started from a random point of the ball.
    pub random_start: bool,
    /// Number format of the passes that the attack took its gradients from.
    #[serde(default, skip_serializing_if = "Precision::is_float32")]
    pub precision: Precision,
}

/// 95 % bootstrap intervals: Efron's percentile method.
///
/// The images of each class that count are resampled with replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: u32,
    /// Lower end of the interval of CAS.
    pub cas_low: f64,
    /// Upper end of the interval of CAS.
    pub cas_high: f64,
    /// Lower end of the interval of each cell; `high` has the upper end.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub low: Matrix,
    /// Upper end of the interval of each cell.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub high: Matrix,
}

/// `GET /api/attributions/{id}/context`: what is known of an attribution besides its matrix. It can change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttributionContext {
    /// Run, epoch and inputs, such as `RUN.e12.adversarial`.
    #[schema(value_type = String)]
    pub id: AttributionId,
    /// Id of the run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Title of the run.
    pub run_title: String,
    /// Whether the checkpoint is the best of its run.
    pub is_best: bool,
    /// Whether the checkpoint is the last of its run.
    pub is_last: bool,
    /// Clean accuracy of the checkpoint on the whole test set, as measured during training.
    pub clean_accuracy: Option<f64>,
    /// Robust accuracy of the checkpoint, as measured during training.
    pub robust_accuracy: Option<f64>,
}

/// `GET /api/attributions/{id}`: an attribution matrix and its context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attribution {
    #[serde(flatten)]
    pub context: AttributionContext,
    #[serde(flatten)]
    pub file: AttributionFile,
}

/// `GET /api/runs/{id}/cells`: one cell of a run's matrix at one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpochCell {
    /// Epoch of the checkpoint.
    pub epoch: u32,
    /// Value of the cell.
    pub value: f64,
    /// Lower and upper end of the bootstrap interval; absent if the matrix has no intervals.
    pub interval: Option<[f64; 2]>,
}

impl AttributionFile {
    /// The measured checkpoint. `run`: the run whose directory holds this file.
    pub fn checkpoint_id(&self, run: &RunId) -> CheckpointId {
        self.checkpoint.clone().unwrap_or_else(|| CheckpointId { run: run.clone(), epoch: self.epoch })
    }
}

impl AttackUsed {
    /// Such as `PGD-20, ℓ∞ 8/255 (0.0314), step 2/255 (0.0078), random start`.
    pub fn text(&self) -> String {
        let AttackUsed { norm, eps, step_size, steps, random_start, precision } = *self;
        let threat = ThreatModel { norm, eps }.long();
        let start = if random_start { "random start" } else { "from the image" };
        let gradients = if precision.is_float32() { String::new() } else { format!(", gradients in {}", precision.label()) };
        format!("PGD-{steps}, {threat}, step {}, {start}{gradients}", step_size.long(norm))
    }
}

impl Attribution {
    /// Returns the baseline if it is another attribution over the same classes, else `None`.
    pub fn comparable<'a>(&self, baseline: Option<&'a Attribution>) -> Option<&'a Attribution> {
        baseline.filter(|baseline| baseline.context.id != self.context.id && baseline.file.class_names == self.file.class_names)
    }
}

impl Bootstrap {
    /// Cells whose difference between two matrices is within their intervals.
    ///
    /// A cell is unresolved if its two intervals overlap: the interval of the difference,
    /// `[low of other − high of self, high of other − low of self]`, then contains 0.
    ///
    /// This is conservative: if two 95 % intervals of equal width just touch, their values differ at about
    /// the 0.6 % level. A resolved cell is therefore a safe claim; some unresolved cells may differ as well.
    /// The diagonal is 1 in both matrices and always unresolved.
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
