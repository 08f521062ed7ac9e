//! Class-wise feature attribution: which features a class is recognized by, and which classes share them.
//! Wei, Guo, Wang 2025, arXiv 2506.05032.
//!
//! For a classifier f(x) = W g(x) + b, the attribution of a sample x of class i is `A_i(x) = g(x) ⊙ W[i]`.
//! The attribution A_i of the class is the mean over all samples of the class, whether they are classified
//! correctly or not. The matrix C contains the cosines of all pairs A_i, A_j. CAS is computed from C.
//! Variants average the cosines of pairs of samples, use only correctly classified samples, or leave W out: the
//! cosines of the class means of g(x).
//!
//! All results are functions of how often each sample counts. The estimate (each sample counts once) and its
//! bootstrap resamples therefore share their code.

use shared::api::Bootstrap;
use shared::config::{Aggregation, Subset};
use shared::matrix::Matrix;
use tch::{Device, Kind, Tensor, no_grad};

use crate::Error;
use crate::random::{self, Purpose, Seed};
use crate::stop::Stop;

/// Number of float64 values that a chunk of resamples may hold at once: 32 MiB.
const CHUNK_NUMBERS: i64 = 1 << 22;
/// Probability outside a confidence interval on each side: the intervals cover 95 %.
const TAIL: f64 = 0.025;

/// Returns the attribution `g(x) ⊙ W[label]` of each sample.
///
/// `features`: `[N, n]`; `weight`: `[K, n]`; `labels`: `[N]`. Returns `[N, n]`. The sum of a row is the logit
/// of the label minus its bias.
pub fn attribution(features: &Tensor, weight: &Tensor, labels: &Tensor) -> Tensor {
    features * weight.index_select(0, labels)
}

/// Returns C, the cosines of all pairs of class attributions, `[K][n]`.
pub fn correlation_matrix(class_attributions: &[Vec<f64>]) -> Matrix {
    Matrix::cosine(class_attributions)
}

/// Features, labels and predictions of a set of images, and the linear map from features to logits: everything
/// that attributions are computed from.
#[derive(Debug)]
pub struct Samples {
    /// g(x), `[N, n]`.
    pub features: Tensor,
    /// True class of each image, `[N]`.
    pub labels: Tensor,
    /// Class with the largest logit, `[N]`.
    pub predictions: Tensor,
    /// W, `[K, n]`. It must be a copy of the network's W, because training changes that in place.
    pub weight: Tensor,
    /// b, `[K]`, a copy as well.
    pub bias: Tensor,
}

/// What the linear map makes of the images of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassLogits {
    /// Mean logit of class j over the images of class i, `[K][K]`. A row of zeros for a class without images.
    pub means: Vec<Vec<f64>>,
    /// Mean over all images of the softmax probability of the classes other than their own.
    pub non_target_mass: f64,
}

/// The attributions of all classes and their similarities.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassAttributions {
    /// A_i, `[K][n]`. Zero for a class without selected samples.
    pub attributions: Vec<Vec<f64>>,
    /// Number of selected samples in each class.
    pub counts: Vec<u32>,
    /// C, or its variant for the aggregation. The cosine with a zero attribution is 0. The diagonal is then
    /// 1.
    pub matrix: Matrix,
}

impl Clone for Samples {
    /// The clone shares memory with the original. Nothing writes to these tensors.
    fn clone(&self) -> Self {
        let Samples { features, labels, predictions, weight, bias } = self;
        Samples {
            features: features.shallow_clone(),
            labels: labels.shallow_clone(),
            predictions: predictions.shallow_clone(),
            weight: weight.shallow_clone(),
            bias: bias.shallow_clone(),
        }
    }
}

impl Samples {
    /// Selects the samples in `subset` and sorts them by class.
    pub fn of_classes(&self, subset: Subset) -> ClassSamples {
        let Samples { features, labels, predictions, weight, bias } = self;
        let chosen = match subset {
            Subset::All => Tensor::arange(labels.size()[0], (Kind::Int64, labels.device())),
            Subset::Correct => predictions.eq_tensor(labels).nonzero().view([-1]),
        };
        let labels = labels.index_select(0, &chosen);
        let order = chosen.index_select(0, &labels.argsort_stable(true, 0, false));
        ClassSamples {
            features: features.index_select(0, &order),
            counts: Vec::try_from(labels.bincount(None::<Tensor>, weight.size()[0])).expect("counts are whole numbers"),
            weight: weight.to_kind(Kind::Double),
            bias: bias.to_kind(Kind::Double),
        }
    }

    /// Returns the cosines of the rows of W: the similarity of the classes if features do not depend on the
    /// image.
    pub fn weight_matrix(&self) -> Matrix {
        correlation_matrix(&rows(&self.weight.to_kind(Kind::Double)))
    }
}

/// The selected samples, sorted by class.
#[derive(Debug)]
pub struct ClassSamples {
    /// `[N', n]` for N' selected samples.
    features: Tensor,
    /// Number of samples in each class, `[K]`.
    counts: Vec<i64>,
    /// W in float64, `[K, n]`.
    weight: Tensor,
    /// b in float64, `[K]`.
    bias: Tensor,
}

/// Averages of each class for R resamples.
struct Resampled {
    /// Mean attribution of each class, mean of the attributions scaled to length 1, or mean features: `[R, K,
    /// n]`.
    means: Tensor,
    /// `Σ w² |u|²` and `Σ w²` over the samples of each class, `[R, K]`. A sample counts `w` times; u is its
    /// attribution scaled to length 1, or 0 for a zero attribution. Only for
    /// [`Aggregation::CosineThenAverage`].
    own: Option<(Tensor, Tensor)>,
    /// Number of samples in each class, `[K]`.
    counts: Tensor,
}

impl ClassSamples {
    /// Computes the attribution of every class.
    pub fn attribute(&self, aggregation: Aggregation) -> ClassAttributions {
        no_grad(|| {
            let averages = self.once(Aggregation::AverageThenCosine);
            let cosines = match aggregation {
                Aggregation::AverageThenCosine => averages.cosines(aggregation),
                Aggregation::CosineThenAverage | Aggregation::AverageFeatures => self.once(aggregation).cosines(aggregation),
            };
            ClassAttributions {
                attributions: rows(&averages.means.get(0)),
                counts: self.counts.iter().map(|count| *count as u32).collect(),
                matrix: matrix(rows(&cosines.get(0))),
            }
        })
    }

    /// Returns the cosines of the class means of the features, without W.
    pub fn feature_matrix(&self) -> Matrix {
        no_grad(|| {
            let aggregation = Aggregation::AverageFeatures;
            matrix(rows(&self.once(aggregation).cosines(aggregation).get(0)))
        })
    }

    /// Computes the logits of each class for the images of each class.
    pub fn logits(&self) -> ClassLogits {
        no_grad(|| {
            let (mut means, mut first) = (Vec::new(), 0);
            let mut others = Tensor::zeros([0i64; 0], self.options());
            for (class, samples) in (0..).zip(self.counts.iter().copied()) {
                let features = self.features.narrow(0, first, samples).to_kind(Kind::Double);
                let logits = features.matmul(&self.weight.tr()) + &self.bias;
                others += samples as f64 - logits.softmax(1, Kind::Double).select(1, class).sum(Kind::Double);
                means.push(logits.sum_dim_intlist([0i64].as_slice(), false, Kind::Double) / samples.max(1) as f64);
                first += samples;
            }
            ClassLogits { means: rows(&Tensor::stack(&means, 0)), non_target_mass: others.double_value(&[]) / first.max(1) as f64 }
        })
    }

    /// Computes 95 % confidence intervals by resampling the samples of each class with replacement.
    ///
    /// The draws depend only on `seed` and the number of samples in each class, so that intervals of
    /// different epochs differ only by their networks. Returns `None` if `resamples` is 0. Fails with
    /// `Error::Stopped` after a stop request.
    pub fn bootstrap(&self, aggregation: Aggregation, resamples: u32, seed: u32, stop: &Stop) -> Result<Option<Bootstrap>, Error> {
        if resamples == 0 {
            return Ok(None);
        }
        no_grad(|| {
            let number = self.counts.len() as i64;
            let upper = Tensor::triu_indices(number, number, 0, (Kind::Int64, self.device()));
            let upper = upper.get(0) * number + upper.get(1);
            let mut tails = Tails::new(resamples);
            let (mut done, mut chunk) = (0, 0);
            while done < resamples {
                let count = self.chunk().min(resamples - done);
                let seed = Seed { run: seed, purpose: Purpose::Bootstrap, epoch: 0, step: chunk };
                let resampled = random::draw(seed, || {
                    self.resample(aggregation, i64::from(count), &mut |samples| {
                        stop.check()?;
                        Ok(draw_counts(i64::from(count), samples, self.options()))
                    })
                })?;
                let cosines = resampled.cosines(aggregation);
                let cas = cosines.clamp_min(0.0).sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Double)
                    - cosines.diagonal(0, 1, 2).clamp_min(0.0).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
                let cells = cosines.view([i64::from(count), -1]).index_select(1, &upper);
                tails.add(&Tensor::cat(&[cells, cas.unsqueeze(1)], 1));
                done += count;
                chunk += 1;
            }
            let (low, high) = tails.percentiles();
            let (cells, cas) = (low.len() - 1, low.len() - 1);
            Ok(Some(Bootstrap {
                resamples,
                cas_low: low[cas],
                cas_high: high[cas],
                low: Some(symmetric(&low[..cells], number as usize)),
                high: Some(symmetric(&high[..cells], number as usize)),
            }))
        })
    }

    /// Averages each class with every sample counted once.
    fn once(&self, aggregation: Aggregation) -> Resampled {
        let mut once = |samples: i64| Ok(Tensor::ones([1, samples], self.options()));
        self.resample(aggregation, 1, &mut once).expect("nothing is drawn and nothing stopped")
    }

    fn options(&self) -> (Kind, Device) {
        (Kind::Double, self.device())
    }

    fn device(&self) -> Device {
        self.weight.device()
    }

    /// Returns how many resamples fit into [`CHUNK_NUMBERS`].
    fn chunk(&self) -> u32 {
        let largest = self.counts.iter().copied().max().unwrap_or(0).max(self.weight.numel() as i64);
        (CHUNK_NUMBERS / largest.max(1)).max(1) as u32
    }

    /// Averages each class for `count` resamples.
    ///
    /// `multiplicities(samples)` returns how often each sample of a class counts in each resample, `[count,
    /// samples]`. Every row must add up to `samples`.
    fn resample(
        &self,
        aggregation: Aggregation,
        count: i64,
        multiplicities: &mut dyn FnMut(i64) -> Result<Tensor, Error>,
    ) -> Result<Resampled, Error> {
        let (mut means, mut own, mut squares) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for (class, samples) in (0..).zip(self.counts.iter().copied()) {
            let multiplicities = multiplicities(samples)?;
            let weight = self.weight.get(class);
            // Convert class by class: float64 copies of all features at once would take twice their memory.
            let features = self.features.narrow(0, first, samples).to_kind(Kind::Double);
            let total = samples.max(1) as f64;
            means.push(match aggregation {
                Aggregation::AverageThenCosine => multiplicities.matmul(&features) * weight / total,
                Aggregation::AverageFeatures => multiplicities.matmul(&features) / total,
                Aggregation::CosineThenAverage => {
                    let directions = directions(&(features * weight));
                    let squared = multiplicities.square();
                    own.push(squared.matmul(&directions.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double)));
                    squares.push(squared.sum_dim_intlist([1i64].as_slice(), false, Kind::Double));
                    multiplicities.matmul(&directions) / total
                }
            });
            debug_assert_eq!(means.last().map(Tensor::size), Some(vec![count, self.weight.size()[1]]));
            first += samples;
        }
        let counts = Tensor::from_slice(&self.counts).to_kind(Kind::Double).to_device(self.device());
        let own = (!own.is_empty()).then(|| (Tensor::stack(&own, 1), Tensor::stack(&squares, 1)));
        Ok(Resampled { means: Tensor::stack(&means, 1), own, counts })
    }
}

impl Resampled {
    /// Returns the matrix of each resample, `[R, K, K]`.
    fn cosines(&self, aggregation: Aggregation) -> Tensor {
        let products = |means: &Tensor| means.bmm(&means.transpose(1, 2));
        match (aggregation, &self.own) {
            (Aggregation::CosineThenAverage, Some((own, squares))) => {
                // The mean over all pairs is the product of the means. On the diagonal, remove the pairs of a
                // sample with itself.
                let cosines = products(&self.means);
                let mut diagonal = cosines.diagonal(0, 1, 2);
                let counted = self.counts.square();
                let pairs = &counted - squares;
                let of_two = (&diagonal * &counted - own) / pairs.clamp_min(1.0);
                diagonal.copy_(&of_two.where_self(&pairs.gt(0.5), &of_two.ones_like()));
                cosines.clamp(-1.0, 1.0)
            }
            _ => {
                let cosines = products(&directions(&self.means)).clamp(-1.0, 1.0);
                let _ = cosines.diagonal(0, 1, 2).fill_(1.0);
                cosines
            }
        }
    }
}

/// Scales vectors along the last dimension to length 1. A zero vector stays zero.
fn directions(vectors: &Tensor) -> Tensor {
    let lengths = vectors.norm_scalaropt_dim(2, [-1], true);
    let inverse = lengths.reciprocal().where_self(&lengths.gt(0.0), &lengths.zeros_like());
    vectors * inverse
}

/// Draws `samples` samples with replacement, `count` times. Returns how often each was drawn, `[count,
/// samples]`.
fn draw_counts(count: i64, samples: i64, options: (Kind, Device)) -> Tensor {
    let drawn = Tensor::randint(samples.max(1), [count, samples], (Kind::Int64, options.1));
    // Sums of whole numbers are exact, so the order in which a GPU adds them does not matter.
    Tensor::zeros([count, samples], options).scatter_add_(1, &drawn, &Tensor::ones([1, 1], options).expand([count, samples], false))
}

/// The smallest and largest values of each column. They are enough to compute percentiles without storing all
/// values.
struct Tails {
    resamples: u32,
    /// `[columns, kept]`, smallest first.
    low: Option<Tensor>,
    /// `[columns, kept]`, largest first.
    high: Option<Tensor>,
}

impl Tails {
    fn new(resamples: u32) -> Self {
        Tails { resamples, low: None, high: None }
    }

    /// Returns the fractional rank of the percentile, counted from either end.
    fn position(&self) -> f64 {
        TAIL * f64::from(self.resamples - 1)
    }

    /// Adds `values`, `[resamples, columns]`.
    fn add(&mut self, values: &Tensor) {
        let values = values.tr().contiguous();
        let keep = self.position() as i64 + 2;
        let merged = |known: &Option<Tensor>, largest: bool| {
            let all = known.as_ref().map_or_else(|| values.shallow_clone(), |known| Tensor::cat(&[known, &values], 1));
            Some(all.topk(keep.min(all.size()[1]), 1, largest, true).0)
        };
        (self.low, self.high) = (merged(&self.low, false), merged(&self.high, true));
    }

    /// Returns the lower and upper percentile of each column. Interpolates linearly between ranks, as numpy
    /// does by default.
    fn percentiles(&self) -> (Vec<f64>, Vec<f64>) {
        let position = self.position();
        let end = |kept: &Option<Tensor>| {
            let kept = rows(kept.as_ref().expect("at least one chunk was added"));
            let at = |values: &[f64]| {
                let rank = position as usize;
                let next = values.get(rank + 1).unwrap_or(&values[rank]);
                values[rank] + (next - values[rank]) * position.fract()
            };
            kept.iter().map(|values| at(values)).collect()
        };
        (end(&self.low), end(&self.high))
    }
}

/// Builds a symmetric matrix from its upper triangle, which is given row by row.
fn symmetric(upper: &[f64], classes: usize) -> Matrix {
    let mut rows = vec![vec![0.0; classes]; classes];
    let cells = (0..classes).flat_map(|i| (i..classes).map(move |j| (i, j)));
    for ((i, j), value) in cells.zip(upper) {
        rows[i][j] = *value;
        rows[j][i] = *value;
    }
    matrix(rows)
}

fn matrix(rows: Vec<Vec<f64>>) -> Matrix {
    Matrix::try_from(rows).expect("cosines are finite, a row for each class")
}

/// Copies the rows of a float64 matrix to the CPU.
fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    Vec::try_from(tensor).expect("a matrix of float64")
}

impl ClassAttributions {
    /// Returns the L2 norm of each class attribution.
    pub fn norms(&self) -> Vec<f64> {
        self.attributions.iter().map(|vector| vector.iter().map(|value| value * value).sum::<f64>().sqrt()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.percentile(values, [2.5, 97.5])` of 0, 1, …, R − 1 is 0.025 (R − 1) and 0.975 (R − 1).
    #[test]
    fn percentiles_lie_between_ranks_and_do_not_depend_on_how_resamples_are_cut() {
        for resamples in [1u32, 2, 30, 200, 1001] {
            // 401 has no common divisor with any count, so every rank occurs once, in mixed order.
            let values: Vec<f64> = (0..resamples).map(|rank| f64::from(rank * 401 % resamples)).collect();
            let values = Tensor::from_slice(&values).unsqueeze(1);
            let values = Tensor::cat(&[&values, &(-&values)], 1);
            let last = f64::from(resamples - 1);
            for chunk in [1, 7, 1001] {
                let mut tails = Tails::new(resamples);
                values.split(chunk, 0).iter().for_each(|chunk| tails.add(chunk));
                let (low, high) = tails.percentiles();
                for (found, expected) in [(low[0], TAIL), (high[0], 1.0 - TAIL), (low[1], TAIL - 1.0), (high[1], -TAIL)] {
                    assert!((found - expected * last).abs() < 1e-9, "{resamples} in chunks of {chunk}: {found} is not {}", expected * last);
                }
            }
        }
    }
}
