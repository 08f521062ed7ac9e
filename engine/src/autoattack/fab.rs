//! FAB, the fast adaptive boundary attack, in its targeted version. Croce & Hein 2020,
//! <https://arxiv.org/abs/1907.02044>.
//!
//! Searches for the nearest misclassified image, without a limit on the distance. Each step projects onto the
//! linearized boundary between two classes.

use shared::config::Norm;
use tch::{Kind, Tensor, no_grad};

use super::{Classifier, column, length, logits_of};
use crate::Error;
use crate::stop::Stop;

/// Number of steps in the standard version.
pub(super) const STEPS: u32 = 100;

/// Factor on each projection, so that a step goes slightly beyond the boundary.
const OVERSHOOT: f64 = 1.05;
/// Factor on the offset of an adversarial point, so that the search moves back towards the image.
const BACKWARD: f64 = 0.9;
/// Largest weight of the step that starts from the image itself.
const MAX_BIAS: f64 = 0.1;

/// The nearest adversarial images that were found.
#[derive(Debug)]
pub struct Nearest {
    /// `[N, C, H, W]`. The given image if none was found.
    pub images: Tensor,
    /// Distances in the norm, `[N]`. Infinite if none was found.
    pub distances: Tensor,
}

/// Searches for the nearest misclassified images across the boundary between label and target.
///
/// `images`: `[N, C, H, W]`; `labels`, `targets`: `[N]`. A point counts if it is misclassified as any class,
/// not only as its target.
pub fn nearest(
    classifier: &impl Classifier,
    images: &Tensor,
    labels: &Tensor,
    targets: &Tensor,
    norm: Norm,
    stop: &Stop,
) -> Result<Nearest, Error> {
    let mut current = images.shallow_clone();
    let mut adversarial = images.shallow_clone();
    let mut distances = Tensor::full(labels.size(), f64::INFINITY, (images.kind(), images.device()));
    for _ in 0..STEPS {
        stop.check()?;
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

/// Returns the logit of the target minus that of the label, `[N]`, and its gradient with respect to the
/// images.
fn boundary(classifier: &impl Classifier, points: &Tensor, labels: &Tensor, targets: &Tensor) -> (Tensor, Tensor) {
    let points = points.detach().set_requires_grad(true);
    let logits = classifier.logits(&points);
    let difference = logits_of(&logits, targets) - logits_of(&logits, labels);
    let gradient = Tensor::run_backward(&[&difference.sum(None::<Kind>)], &[&points], false, false).swap_remove(0);
    (difference.detach(), gradient)
}

/// Steps slightly beyond the linearized boundary.
///
/// Mixes the step from the current points with a smaller part of the step from the images, so that the search
/// does not drift along the boundary.
fn biased_step(images: &Tensor, points: &Tensor, difference: &Tensor, gradient: &Tensor, norm: Norm) -> Tensor {
    // Avoids a division by zero: with a zero gradient, both steps are zero.
    const SMALLEST: f64 = 1e-8;
    // In the linearization, the difference at x is the difference at the points plus gradient · (x − points).
    let at_images = difference + ((images - points) * gradient).sum_dim_intlist([1i64, 2, 3].as_slice(), false, None::<Kind>);
    let from_points = project(points, gradient, difference, norm);
    let from_images = project(images, gradient, &at_images, norm);
    let [near, far] = [&from_points, &from_images].map(|offsets| length(norm, offsets).clamp_min(SMALLEST));
    let bias = (&near / (&near + far)).clamp_max(MAX_BIAS);
    let from_points = points + from_points * OVERSHOOT;
    let from_images = images + from_images * OVERSHOOT;
    (&from_points + (from_images - &from_points) * bias).clamp_(0.0, 1.0)
}

/// Returns the smallest offsets that move `points` onto the hyperplane `difference + gradient · offset = 0`
/// with pixels in `[0, 1]`.
///
/// `points`, `gradient`: `[N, C, H, W]`; `difference`: `[N]`. If the pixel range does not reach the
/// hyperplane, returns the offsets that come nearest.
///
/// Both norms lead to the same equation. Each pixel moves in the direction that reduces the difference: by λ
/// in ℓ∞ and by λ·|gradient| in ℓ2, at most to the end of its range. λ is chosen so that all movements
/// together reduce the difference to zero.
pub fn project(points: &Tensor, gradient: &Tensor, difference: &Tensor, norm: Norm) -> Tensor {
    // The effect of these pixels is negligible. The bounds are those of the public code.
    let irrelevant = match norm {
        Norm::Linf => gradient.eq(0.0),
        Norm::L2 => gradient.abs().lt(1e-8),
    };
    let gradient = gradient.masked_fill(&irrelevant, 0.0);
    let falls = gradient.gt(0.0).logical_xor(&column(&difference.lt(0.0)));
    // Largest movement of each pixel in its direction.
    let room = points.where_self(&falls, &(1.0 - points)).masked_fill(&irrelevant, 0.0);
    let slopes = gradient.abs();
    // Movement of a pixel per λ, its effect on the difference per λ, and the λ at which it reaches the end of
    // its range.
    let (pace, effect, ends) = match norm {
        Norm::Linf => (slopes.ones_like(), slopes.shallow_clone(), room.shallow_clone()),
        Norm::L2 => (slopes.shallow_clone(), &slopes * &slopes, (&room / &slopes).masked_fill(&irrelevant, 0.0)),
    };
    let lambda = column(&multiplier(&effect.flatten(1, -1), &ends.flatten(1, -1), &difference.abs()));
    let distance = (pace * lambda).minimum(&room);
    distance.neg().where_self(&falls, &distance)
}

/// Solves Σ effect · min(λ, end) = demand for λ in each row. Returns the largest end if Σ effect · end is
/// below the demand.
///
/// `effect`, `ends`: `[N, D]`, not negative; `demand`: `[N]`, not negative.
fn multiplier(effect: &Tensor, ends: &Tensor, demand: &Tensor) -> Tensor {
    let demand = demand.unsqueeze(1);
    let (ends, order) = ends.sort(1, false);
    let effect = effect.gather(1, &order, false);
    // Sort pixels by their ends. Compute the total effect of those at their ends, and the effect per λ of the
    // others.
    let worth = (&effect * &ends).cumsum(1, None::<Kind>);
    let others = effect.flip([1]).cumsum(1, None::<Kind>).flip([1]);
    let before = &worth - &effect * &ends;
    // The sum at the λ where each pixel reaches its end. It rises from pixel to pixel.
    let reached = &before + &others * &ends;
    let last = effect.size()[1] - 1;
    let index = reached.lt_tensor(&demand).sum_dim_intlist([1i64].as_slice(), true, Kind::Int64);
    let at = |values: &Tensor| values.gather(1, &index.clamp_max(last), false);
    let lambda = ((&demand - at(&before)) / at(&others)).clamp_min(0.0);
    ends.narrow(1, last, 1).where_self(&index.gt(last), &lambda).squeeze_dim(1)
}
