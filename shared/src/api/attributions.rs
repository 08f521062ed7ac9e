//! Class-wise attribution matrices and their uncertainty.

use serde::{Deserialize, Serialize};

use crate::config::{Aggregation, Inputs, Layer, Norm, Precision, SplitName, Subset, ThreatModel};
use crate::eps::Eps;
use crate::id::{AttributionId, CheckpointId, RunId};
use crate::matrix::Matrix;
use crate::record::BrokenGradients;
use crate::signs::Sign;

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
    /// A control without W: the cosines of the class means of the features, over the same samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    pub feature_matrix: Option<Matrix>,
    /// Entry `(i, j)`: mean logit of class j over all images of class i.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    pub mean_logits: Option<Matrix>,
    /// Mean over all images of the softmax probability of the classes other than their own, in `[0, 1]`. Soft
    /// labels keep it from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_target_mass: Option<f64>,
    /// Intervals of CAS and of the cells; absent if they were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// Images whose first gradient under the attack cannot lead it; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
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
    /// Lower end of the interval of each cell; `high` has the upper end. Both are absent in the small file of an
    /// epoch whose checkpoint is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    pub low: Option<Matrix>,
    /// Upper end of the interval of each cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    pub high: Option<Matrix>,
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
    /// Signs that `robust_accuracy` is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

/// `GET /api/attributions/{id}`: an attribution matrix and its context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attribution {
    #[serde(flatten)]
    pub context: AttributionContext,
    #[serde(flatten)]
    pub file: AttributionFile,
}

/// `GET /api/runs/{id}/cells` and `GET /api/runs/{id}/interference`: a number of a run's matrix at one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpochCell {
    /// Epoch of the checkpoint.
    pub epoch: u32,
    /// Value of the cell, or the rank correlation.
    pub value: f64,
    /// Lower and upper end of the bootstrap interval; absent if the matrix has no intervals.
    pub interval: Option<[f64; 2]>,
}

/// Most classes whose matrices are kept whole for every epoch: 50 kB each at 20, but 4.8 MB at 200.
pub const MOST_CLASSES_WHOLE: usize = 20;

impl AttributionFile {
    /// What is kept of an epoch whose checkpoint is not: all that curves, the scrubber and comparisons show.
    ///
    /// Above [`MOST_CLASSES_WHOLE`] classes, cells have four decimals, and the controls, the logits and the
    /// intervals of cells are left out: 0.4 MB in place of 4.8 MB for 200 classes. CAS, its interval and accuracies stay
    /// exact.
    pub fn thinned(self) -> Self {
        if self.matrix.classes() <= MOST_CLASSES_WHOLE {
            return self;
        }
        let bootstrap = self.bootstrap.map(|bootstrap| Bootstrap { low: None, high: None, ..bootstrap });
        let matrix = self.matrix.rounded(4);
        AttributionFile { matrix, weight_matrix: None, feature_matrix: None, mean_logits: None, bootstrap, ..self }
    }

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
    ///
    /// `None` if either has no intervals of cells.
    pub fn unresolved(&self, other: &Bootstrap) -> Option<Vec<Vec<bool>>> {
        let ([low, high], [other_low, other_high]) = (self.cells()?, other.cells()?);
        let overlap = |a: (&[f64], &[f64]), b: (&[f64], &[f64])| {
            let cells = a.0.iter().zip(a.1).zip(b.0.iter().zip(b.1));
            cells.map(|((low, high), (other_low, other_high))| low <= other_high && other_low <= high).collect()
        };
        let rows = low.rows().zip(high.rows()).zip(other_low.rows().zip(other_high.rows()));
        Some(rows.map(|(one, other)| overlap(one, other)).collect())
    }

    /// Ends of the intervals of all cells.
    pub fn cells(&self) -> Option<[&Matrix; 2]> {
        Some([self.low.as_ref()?, self.high.as_ref()?])
    }

    /// Ends of the interval of a cell; `None` if there is none.
    pub fn cell(&self, i: usize, j: usize) -> Option<[f64; 2]> {
        let cells = self.cells()?.map(|ends| (i.max(j) < ends.classes()).then(|| ends.get(i, j)));
        let [Some(low), Some(high)] = cells else { return None };
        Some([low, high])
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
    fn a_thinned_file_keeps_cas_and_what_a_page_shows_in_an_eighth_of_the_space() {
        let of = |classes: usize| {
            let value = |i: usize, j: usize| if i == j { 1.0 } else { (((i * 7 + j * 7) % 101) as f64 / 101.0 - 0.3) / 1.7 };
            let matrix = |shift: f64| {
                Matrix::try_from((0..classes).map(|i| (0..classes).map(|j| value(i, j) + shift).collect()).collect::<Vec<Vec<f64>>>())
                    .unwrap()
            };
            let file = fixtures::attribution("r", 1, matrix(0.0)).file;
            let ends = [Some(matrix(-0.012345)), Some(matrix(0.012345))];
            let [low, high] = ends;
            let bootstrap = Some(Bootstrap { resamples: 200, cas_low: 1.0, cas_high: 2.0, low, high });
            AttributionFile { weight_matrix: Some(matrix(0.1)), bootstrap, confusion: vec![vec![1; classes]; classes], ..file }
        };
        let small = of(MOST_CLASSES_WHOLE);
        assert_eq!(small.clone().thinned(), small);
        let whole = of(200);
        let thinned = whole.clone().thinned();
        let bytes = |file: &AttributionFile| serde_json::to_vec(file).unwrap().len();
        assert!(bytes(&thinned) * 7 < bytes(&whole), "{} of {}", bytes(&thinned), bytes(&whole));
        assert!((bytes(&thinned) as u64).abs_diff(10 * 200 * 200) < 40_000, "as `disk` estimates: {}", bytes(&thinned));
        assert_eq!((thinned.cas, thinned.bootstrap.as_ref().map(|bootstrap| bootstrap.cas_low)), (whole.cas, Some(1.0)));
        assert_eq!(thinned.bootstrap.as_ref().unwrap().cell(0, 1), None);
        let off = thinned.matrix.difference(&whole.matrix).unwrap();
        assert!(off.rows().flatten().all(|off| off.abs() <= 0.5e-4 + 1e-12));
        let read: AttributionFile = serde_json::from_slice(&serde_json::to_vec(&thinned).unwrap()).unwrap();
        assert_eq!((&read, read.clone().thinned()), (&thinned, read.clone()));
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
        let interval = |low: f64, high: f64| Bootstrap {
            resamples: 200,
            cas_low: 0.0,
            cas_high: 1.0,
            low: Some(matrix(low)),
            high: Some(matrix(high)),
        };
        let a = interval(0.2, 0.4);
        for (low, high, unresolved) in [(0.3, 0.5, true), (0.4, 0.6, true), (0.41, 0.6, false), (0.1, 0.19, false), (0.25, 0.3, true)] {
            let found = a.unresolved(&interval(low, high));
            assert_eq!(found, Some(vec![vec![true, unresolved], vec![unresolved, true]]), "[{low}, {high}]");
            assert_eq!(found, interval(low, high).unresolved(&a));
        }
    }
}
