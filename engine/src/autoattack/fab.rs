//! FAB, the fast adaptive boundary attack, targeted: finds the nearest misclassified image rather than one within a ball, by stepping
//! onto the linearized boundary between two classes. Croce & Hein 2020, <https://arxiv.org/abs/1907.02044>.

use shared::config::Norm;
use tch::{Kind, Tensor, no_grad};

use super::{Classifier, column, length, logits_of};
use crate::Error;
use crate::cancel::Cancel;

/// Of the standard version.
pub(super) const STEPS: u32 = 100;

/// How far past the boundary a step goes: just over it.
const OVERSHOOT: f64 = 1.05;
/// How much of an adversarial offset is kept when the search goes back towards the image.
const BACKWARD: f64 = 0.9;
/// The most that a step leans towards the image itself.
const MAX_BIAS: f64 = 0.1;

/// The nearest adversarial images found.
#[derive(Debug)]
pub struct Nearest {
    /// `[N, C, H, W]`; the given image where none was found.
    pub images: Tensor,
    /// In the norm, `[N]`; infinite where none was found.
    pub distances: Tensor,
}

/// Searches for the nearest misclassified images, by way of the boundary between each label and its target.
///
/// `images`: `[N, C, H, W]`; `labels`, `targets`: `[N]`.
pub fn nearest(
    classifier: &impl Classifier,
    images: &Tensor,
    labels: &Tensor,
    targets: &Tensor,
    norm: Norm,
    cancel: &Cancel,
) -> Result<Nearest, Error> {
    let mut current = images.shallow_clone();
    let mut adversarial = images.shallow_clone();
    let mut distances = Tensor::full(labels.size(), f64::INFINITY, (images.kind(), images.device()));
    for _ in 0..STEPS {
        cancel.check()?;
        let (difference, gradient) = boundary(classifier, &current, labels, targets);
        current = biased_step(images, &current, &difference, &gradient, norm);

        let fooled = no_grad(|| classifier.logits(&current)).argmax(1, false).ne_tensor(labels);
        let offsets = &current - images;
        let reached = length(norm, &offsets).flatten(0, -1);
        let nearer = fooled.logical_and(&reached.lt_tensor(&distances));
        adversarial = current.where_self(&column(&nearer), &adversarial);
        distances = reached.where_self(&nearer, &distances);
        current = (images + offsets * BACKWARD).where_self(&column(&fooled), &current);
    }
    Ok(Nearest { images: adversarial, distances })
}

/// The logit of the target above that of the label, `[N]`, and its gradient by the images.
fn boundary(classifier: &impl Classifier, points: &Tensor, labels: &Tensor, targets: &Tensor) -> (Tensor, Tensor) {
    let points = points.detach().set_requires_grad(true);
    let logits = classifier.logits(&points);
    let difference = logits_of(&logits, targets) - logits_of(&logits, labels);
    let gradient = Tensor::run_backward(&[&difference.sum(None::<Kind>)], &[&points], false, false).swap_remove(0);
    (difference.detach(), gradient)
}

/// A step just over the linearized boundary from where the search is, leaning a little to the one from the image itself, so that the
/// search does not stray along the boundary.
fn biased_step(images: &Tensor, points: &Tensor, difference: &Tensor, gradient: &Tensor, norm: Norm) -> Tensor {
    // A gradient of zero would make both steps zero.
    const SMALLEST: f64 = 1e-8;
    // On the linearization the difference at x is that at the points plus gradient · (x − points).
    let at_images = difference + ((images - points) * gradient).sum_dim_intlist([1i64, 2, 3].as_slice(), false, None::<Kind>);
    let from_points = project(points, gradient, difference, norm);
    let from_images = project(images, gradient, &at_images, norm);
    let [near, far] = [&from_points, &from_images].map(|offsets| length(norm, offsets).clamp_min(SMALLEST));
    let bias = (&near / (&near + far)).clamp_max(MAX_BIAS);
    let from_points = points + from_points * OVERSHOOT;
    let from_images = images + from_images * OVERSHOOT;
    (&from_points + (from_images - &from_points) * bias).clamp_(0.0, 1.0)
}

/// The smallest offsets, in the norm, that bring `points` onto the hyperplane `difference + gradient · offset = 0` within the pixels
/// `[0, 1]`; where it cannot be reached, as near as the pixels allow.
///
/// `points`, `gradient`: `[N, C, H, W]`; `difference`: `[N]`.
///
/// Both norms come to one equation. A pixel moves against the sign of its gradient, by λ for ℓ∞ and by λ|gradient| for ℓ2, and at most to
/// the end of its range; λ is such that all movements together bring the difference to zero.
pub fn project(points: &Tensor, gradient: &Tensor, difference: &Tensor, norm: Norm) -> Tensor {
    // Such pixels count for nothing; the public code has the same bounds.
    let irrelevant = match norm {
        Norm::Linf => gradient.eq(0.0),
        Norm::L2 => gradient.abs().lt(1e-8),
    };
    let gradient = gradient.masked_fill(&irrelevant, 0.0);
    let falls = gradient.gt(0.0).logical_xor(&column(&difference.lt(0.0)));
    // How far a pixel can go, and which way.
    let room = points.where_self(&falls, &(1.0 - points)).masked_fill(&irrelevant, 0.0);
    let slopes = gradient.abs();
    // The movement of a pixel per λ, how much of the difference that takes away, and the λ from which on the pixel is at its end.
    let (pace, effect, ends) = match norm {
        Norm::Linf => (slopes.ones_like(), slopes.shallow_clone(), room.shallow_clone()),
        Norm::L2 => (slopes.shallow_clone(), &slopes * &slopes, (&room / &slopes).masked_fill(&irrelevant, 0.0)),
    };
    let lambda = column(&multiplier(&effect.flatten(1, -1), &ends.flatten(1, -1), &difference.abs()));
    let distance = (pace * lambda).minimum(&room);
    distance.neg().where_self(&falls, &distance)
}

/// The λ with Σ effect·min(λ, end) = demand, for each row; the largest end where even the sum of effect·end stays below the demand.
///
/// `effect`, `ends`: `[N, D]`, not negative; `demand`: `[N]`, not negative.
fn multiplier(effect: &Tensor, ends: &Tensor, demand: &Tensor) -> Tensor {
    let demand = demand.unsqueeze(1);
    let (ends, order) = ends.sort(1, false);
    let effect = effect.gather(1, &order, false);
    // What the pixels before are worth at their ends, and the effect of the others, by how many are at their ends.
    let worth = (&effect * &ends).cumsum(1, None::<Kind>);
    let others = effect.flip([1]).cumsum(1, None::<Kind>).flip([1]);
    let before = &worth - &effect * &ends;
    // The sum at the λ where each pixel comes to its end rises from pixel to pixel.
    let reached = &before + &others * &ends;
    let last = effect.size()[1] - 1;
    let index = reached.lt_tensor(&demand).sum_dim_intlist([1i64].as_slice(), true, Kind::Int64);
    let at = |values: &Tensor| values.gather(1, &index.clamp_max(last), false);
    let lambda = ((&demand - at(&before)) / at(&others)).clamp_min(0.0);
    ends.narrow(1, last, 1).where_self(&index.gt(last), &lambda).squeeze_dim(1)
}
