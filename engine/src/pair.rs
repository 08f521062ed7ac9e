//! Compares two classes: contribution of each dimension to the cosine of their attributions, and the images
//! behind it.

use shared::api::{PairAccuracy, SharedDimension};
use shared::config::{BatchNormMode, Norm};
use shared::record::BrokenGradients;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::{Samples, attribution};
use crate::data::Split;
use crate::evaluate::{BATCH_SIZE, broken_gradients, for_each_batch_from};
use crate::kept::{Kept, joined, joined_broken_gradients};
use crate::model::{Network, Output};
use crate::random::{self, Purpose, Seed};

/// Images with the start of the attack on each.
#[derive(Debug)]
pub struct AttackInputs {
    pub split: Split,
    /// Offsets of the images, `[N, C, H, W]`.
    pub start: Tensor,
}

/// Predictions and features of a network on clean and attacked images.
#[derive(Debug)]
pub struct AttackOutcome {
    pub labels: Vec<i64>,
    /// Predicted class of each clean image.
    pub clean: Vec<i64>,
    /// Predicted class of each attacked image.
    pub robust: Vec<i64>,
    /// The attacked images, `[N, C, H, W]`.
    pub adversarial: Tensor,
    /// Features and predictions of the attacked images.
    pub samples: Samples,
    /// That of [`attack::Perturbed`]; `None` if batches of an earlier version lack it.
    broken_gradients: Option<Tensor>,
}

/// Returns the contribution of each dimension d to the cosine of two class attributions:
/// `A_i[d] A_j[d] / (|A_i| |A_j|)`.
///
/// The sum is `C[i, j]`. All are 0 if one of the attributions is zero.
pub fn contributions(a: &[f64], b: &[f64]) -> Vec<f64> {
    let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let scale = length(a) * length(b);
    a.iter().zip(b).map(|(x, y)| if scale > 0.0 { x * y / scale } else { 0.0 }).collect()
}

/// Returns the indices of the `count` largest values, largest first. Of equal values, the earlier comes
/// first.
pub fn largest_indices(values: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|x, y| values[*y].total_cmp(&values[*x]));
    places.truncate(count);
    places
}

/// Computes how strongly each sample activates each of `dimensions` for its own class:
/// `g_d(x) W[y, d]`, in float64.
///
/// Returns `[N][dimensions]`. The sum of a row is the part of the sample's logit that comes from these
/// dimensions.
pub fn drives(samples: &Samples, dimensions: &[usize]) -> Vec<Vec<f64>> {
    let Samples { features, labels, weight, .. } = samples;
    let dimensions = index_tensor(dimensions).to_device(features.device());
    let there = |rows: &Tensor| rows.index_select(1, &dimensions).to_kind(Kind::Double);
    let drives = attribution(&there(features), &there(weight), labels);
    Vec::try_from(drives.detach().to_device(Device::Cpu).contiguous()).expect("a matrix of float64")
}

/// Draws control groups: each has as many dimensions as `dimensions`, drawn from the other dimensions of 0 to
/// `of`.
///
/// Returns `drawings` groups, each in rising order. The draws depend only on `seed` and `step`.
pub fn control_groups(dimensions: &[usize], of: usize, drawings: usize, seed: u32, step: u32) -> Vec<Vec<usize>> {
    let rest: Vec<usize> = (0..of).filter(|dimension| !dimensions.contains(dimension)).collect();
    let options = (Kind::Int64, Device::Cpu);
    let orders = random::draw(Seed { run: seed, purpose: Purpose::Control, epoch: 0, step }, || {
        (0..drawings).map(|_| Tensor::randperm(rest.len() as i64, options)).collect::<Vec<_>>()
    });
    let drawing = |order: &Tensor| {
        let order = Vec::<i64>::try_from(order).expect("a list of whole numbers");
        let mut drawn: Vec<usize> = order.into_iter().take(dimensions.len()).map(|place| rest[place as usize]).collect();
        drawn.sort_unstable();
        drawn
    };
    orders.iter().map(drawing).collect()
}

/// Makes perturbations visible: amplifies the difference of attacked and clean images, and adds 0.5.
///
/// `images`, `adversarial`: `[N, C, H, W]` in `[0, 1]`. Returns images in which 0.5 means no change, and the
/// amplification of each. In ℓ∞, a change of eps becomes black or white. In ℓ2, where a single pixel has no
/// limit, the largest change in the image does.
pub fn amplified_changes(images: &Tensor, adversarial: &Tensor, attack: &Attack) -> (Tensor, Vec<f64>) {
    let change = (adversarial - images).to_kind(Kind::Double);
    let full = match attack.norm {
        Norm::Linf => change.new_full([change.size()[0], 1, 1, 1], attack.eps.fraction(), (Kind::Double, change.device())),
        Norm::L2 => change.abs().amax([1i64, 2, 3], true),
    };
    // If nothing was added, there is nothing to amplify.
    let times = (full.clamp_min(f64::MIN_POSITIVE).reciprocal() * 0.5).where_self(&full.gt(0.0), &full.ones_like());
    let shown = (change * &times + 0.5).clamp(0.0, 1.0);
    (shown, Vec::try_from(times.view([-1]).to_device(Device::Cpu)).expect("a list of float64"))
}

/// Returns mean features, weights, attributions and contributions of `dimensions` for both classes of a pair.
pub fn shared_dimensions(samples: &Samples, pair: &[u32; 2], dimensions: &[usize], contributions: &[f64]) -> Vec<SharedDimension> {
    let of_class = |class: u32| {
        let class = i64::from(class);
        let there = samples.labels.eq(class).nonzero().view([-1]);
        let features = samples.features.index_select(0, &there).to_kind(Kind::Double);
        let means = features.mean_dim([0i64].as_slice(), false, None::<Kind>);
        (to_vec(&means), to_vec(&samples.weight.get(class)))
    };
    let [(mean_i, weight_i), (mean_j, weight_j)] = pair.map(of_class);
    let one = |dimension: &usize| {
        let d = *dimension;
        SharedDimension {
            dimension: d as u32,
            contribution: contributions[d],
            feature: [mean_i[d], mean_j[d]],
            weight: [weight_i[d], weight_j[d]],
            attribution: [mean_i[d] * weight_i[d], mean_j[d] * weight_j[d]],
        }
    };
    dimensions.iter().map(one).collect()
}

impl AttackInputs {
    /// Selects the images at `rows`.
    pub fn at(&self, rows: &[usize]) -> Self {
        AttackInputs { split: self.split.at(rows), start: self.start.index_select(0, &index_tensor(rows).to_device(self.start.device())) }
    }

    /// Measures a network on the clean and the attacked images.
    ///
    /// Calls `done` after each batch, with the attack if the batch was attacked.
    pub fn measure(
        &self,
        network: &Network,
        attack: &Attack,
        kept: &mut Kept,
        done: &mut dyn FnMut(Option<&Attack>) -> Result<(), Error>,
    ) -> Result<AttackOutcome, Error> {
        let (clean, _) = predictions(network, &self.split, None, kept, done)?;
        let mut progress = |_, _| done(Some(attack));
        let attacked = Some((attack, &self.start));
        let batches = for_each_batch_from(network, &self.split, attacked, BATCH_SIZE, kept, &mut progress, &mut |images, _| {
            let Output { features, logits } = network.forward(images, BatchNormMode::Eval);
            Ok(vec![images.shallow_clone(), features, network.finite(logits)?.argmax(1, false)])
        })?;
        let predicted = joined(batches, 2);
        Ok(AttackOutcome {
            labels: self.split.label_list(),
            clean,
            robust: Vec::try_from(&predicted)?,
            adversarial: joined(batches, 0),
            samples: Samples {
                features: joined(batches, 1),
                labels: self.split.labels.shallow_clone(),
                predictions: predicted,
                weight: network.linear_weight().detach().copy(),
                bias: network.linear_bias().detach().copy(),
            },
            broken_gradients: joined_broken_gradients(batches),
        })
    }

    /// Measures the accuracies of a network on the images of a pair.
    ///
    /// `before` are the same images as attacked with another network. They give the transferred accuracy.
    pub fn accuracy(
        &self,
        network: &Network,
        before: &Split,
        pair: &[u32; 2],
        attack: &Attack,
        kept: &mut Kept,
        done: &mut dyn FnMut(Option<&Attack>) -> Result<(), Error>,
    ) -> Result<PairAccuracy, Error> {
        let labels = self.split.label_list();
        let (clean, _) = predictions(network, &self.split, None, kept, done)?;
        let (robust, broken_gradients) = predictions(network, &self.split, Some((attack, &self.start)), kept, done)?;
        let (transferred, _) = predictions(network, before, None, kept, done)?;
        Ok(PairAccuracy {
            clean: pair.map(|class| fraction_predicted(&labels, &clean, class, class)),
            robust: pair.map(|class| fraction_predicted(&labels, &robust, class, class)),
            transferred: pair.map(|class| fraction_predicted(&labels, &transferred, class, class)),
            crossed: crossed_fractions(&labels, &robust, pair),
            broken_gradients,
        })
    }
}

impl AttackOutcome {
    /// Returns the indices of the images of these classes.
    pub fn rows_of_classes(&self, classes: &[u32]) -> Vec<usize> {
        (0..self.labels.len()).filter(|row| classes.iter().any(|class| self.labels[*row] == i64::from(*class))).collect()
    }

    /// Counts the predictions for the attacked images of a class, by predicted class.
    pub fn prediction_counts(&self, class: u32, classes: usize) -> Vec<u32> {
        let mut sent = vec![0; classes];
        self.rows_of_classes(&[class]).into_iter().for_each(|row| sent[self.robust[row] as usize] += 1);
        sent
    }

    /// Returns the accuracies on the images of a pair, for the network that they were attacked with.
    pub fn accuracy(&self, pair: &[u32; 2]) -> PairAccuracy {
        let robust = pair.map(|class| fraction_predicted(&self.labels, &self.robust, class, class));
        let clean = pair.map(|class| fraction_predicted(&self.labels, &self.clean, class, class));
        let crossed = crossed_fractions(&self.labels, &self.robust, pair);
        let rows = index_tensor(&self.rows_of_classes(pair));
        let of_pair = |found: &Tensor| attack::broken_gradients(&found.index_select(1, &rows.to_device(found.device())));
        let broken_gradients = self.broken_gradients.as_ref().map(of_pair).and_then(BrokenGradients::if_any);
        PairAccuracy { clean, robust, transferred: robust, crossed, broken_gradients }
    }
}

/// Predicts the class of each image, under an attack if one is given, and counts the broken gradients of the
/// attack.
fn predictions(
    network: &Network,
    split: &Split,
    attack: Option<(&Attack, &Tensor)>,
    kept: &mut Kept,
    done: &mut dyn FnMut(Option<&Attack>) -> Result<(), Error>,
) -> Result<(Vec<i64>, Option<BrokenGradients>), Error> {
    let mut progress = |_, _| done(attack.map(|(attack, _)| attack));
    let batches = for_each_batch_from(network, split, attack, BATCH_SIZE, kept, &mut progress, &mut |images, _| {
        Ok(vec![network.finite(network.forward(images, BatchNormMode::Eval).logits)?.argmax(1, false)])
    })?;
    Ok((Vec::try_from(joined(batches, 0))?, broken_gradients(batches)))
}

/// Returns the fraction of the images of class `of` that are predicted as class `taken_for`.
fn fraction_predicted(labels: &[i64], predicted: &[i64], of: u32, taken_for: u32) -> f64 {
    let there = labels.iter().zip(predicted).filter(|(label, _)| **label == i64::from(of));
    let (hits, count) = there.fold((0, 0), |(hits, count), (_, class)| (hits + u32::from(*class == i64::from(taken_for)), count + 1));
    f64::from(hits) / f64::from(count.max(1))
}

/// Returns the fractions of images of class i predicted as j, and of class j predicted as i.
fn crossed_fractions(labels: &[i64], predicted: &[i64], [i, j]: &[u32; 2]) -> [f64; 2] {
    [fraction_predicted(labels, predicted, *i, *j), fraction_predicted(labels, predicted, *j, *i)]
}

/// Converts indices to an int64 tensor on the CPU.
pub(crate) fn index_tensor(places: &[usize]) -> Tensor {
    Tensor::from_slice(&places.iter().map(|place| *place as i64).collect::<Vec<_>>())
}

fn to_vec(vector: &Tensor) -> Vec<f64> {
    let vector = vector.detach().to_kind(Kind::Double).to_device(Device::Cpu);
    Vec::try_from(vector).expect("a list of float64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_sum_to_the_cosine() {
        let (a, b) = ([1.0, 2.0, -2.0], [2.0, 0.0, 1.5]);
        let found = contributions(&a, &b);
        assert!((found.iter().sum::<f64>() - (2.0 - 3.0) / (3.0 * 2.5)).abs() < 1e-15, "{found:?}");
        assert_eq!(contributions(&a, &[0.0; 3]), [0.0; 3]);
    }

    #[test]
    fn the_largest_come_first_and_of_equals_the_earlier() {
        assert_eq!(largest_indices(&[0.1, 0.5, -0.7, 0.5, 0.2], 3), [1, 3, 4]);
        assert_eq!(largest_indices(&[1.0], 3), [0]);
    }

    #[test]
    fn other_dimensions_are_drawn_by_seed_and_never_the_ones_they_are_compared_with() {
        let draw = |seed, step| control_groups(&[1, 4, 7], 9, 3, seed, step);
        let drawn = draw(1, 5);
        assert_eq!((drawn.len(), &drawn), (3, &draw(1, 5)));
        assert!(drawn != draw(2, 5) && drawn != draw(1, 6));
        for drawing in drawn {
            assert!(drawing.is_sorted_by(|x, y| x < y) && drawing.len() == 3, "{drawing:?}");
            assert!(drawing.iter().all(|dimension| *dimension < 9 && ![1, 4, 7].contains(dimension)), "{drawing:?}");
        }
    }
}
