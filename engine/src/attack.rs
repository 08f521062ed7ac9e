//! Projected gradient descent (PGD) on images: Madry et al. 2018, <https://arxiv.org/abs/1706.06083>.
//!
//! The attack loop does not depend on the norm. Random start, step direction and projection of each norm are
//! separate functions.

use shared::api::AttackUsed;
use shared::config::{BatchNormMode, Norm, PgdConfig, Precision, TrainConfig};
use shared::eps::Eps;
use shared::record::BrokenGradients;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::model::Network;
use crate::stop::Stop;

/// Settings of a PGD attack: it searches images within `eps` of the originals that raise the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    pub norm: Norm,
    pub eps: Eps,
    pub step_size: Eps,
    pub steps: u32,
    pub random_start: bool,
    /// Whether batch normalization uses batch or running statistics during the attack.
    pub batch_norm: BatchNormMode,
    /// Number format of the passes.
    pub precision: Precision,
}

impl Attack {
    /// Returns the attack that creates the training images.
    pub fn for_training(config: &TrainConfig) -> Self {
        let attack = &config.attack;
        Attack {
            norm: attack.norm,
            eps: attack.eps,
            step_size: config.training_step_size(),
            steps: attack.steps,
            random_start: attack.random_start,
            batch_norm: attack.batch_norm,
            precision: config.precision,
        }
    }

    /// Returns an attack that measures robustness. It uses running statistics, computes in float32 and leaves
    /// the network unchanged.
    pub fn to_measure(config: &PgdConfig) -> Self {
        let PgdConfig { norm, eps, step_size: _, steps, random_start } = *config;
        let (batch_norm, precision) = (BatchNormMode::Eval, Precision::Float32);
        Attack { norm, eps, step_size: config.step_size(), steps, random_start, batch_norm, precision }
    }

    /// Returns the attack that measures robustness during training: at the precision of the run.
    pub fn of_evaluation(config: &TrainConfig) -> Self {
        Attack { precision: config.precision, ..Attack::to_measure(&config.measuring_attack()) }
    }

    /// Returns the settings that an attribution file records.
    pub fn used(&self) -> AttackUsed {
        let Attack { norm, eps, step_size, steps, random_start, batch_norm: _, precision } = *self;
        AttackUsed { norm, eps, step_size, steps, random_start, precision }
    }

    /// Whether each image takes the same step again from the same point, bit for bit, whatever the other
    /// images are. Steps in ℓ2 have so many directions that points do not repeat.
    fn may_repeat(&self) -> bool {
        self.norm == Norm::Linf && self.batch_norm == BatchNormMode::Eval && self.precision == Precision::Float32
    }

    /// Returns the start of the attack as an offset of `images`, of the same shape.
    ///
    /// Draws from libtorch's default generator if the start is random, and returns zeros otherwise.
    pub fn start(&self, images: &Tensor) -> Tensor {
        if self.random_start { sample(self.norm, images, self.eps) } else { images.zeros_like() }
    }
}

/// What an attack has found, and whether its gradients could lead it.
#[derive(Debug)]
pub struct Perturbed {
    /// Images in `[0, 1]`, detached.
    pub images: Tensor,
    /// Which images have a first gradient that is zero everywhere (first row), and which one that is not
    /// finite (second row): 1 or 0, `[2, N]`, int64, on the device of the images. `None` without gradients.
    pub broken_gradients: Option<Tensor>,
}

/// Finds images within `attack.eps` of `images` that raise the cross-entropy of `labels`, `[N]`.
///
/// Shapes and errors are those of [`ascend`]. On the CPU, images whose points repeat are taken out early.
pub fn perturb(
    network: &Network,
    images: &Tensor,
    labels: &Tensor,
    start: &Tensor,
    attack: &Attack,
    stop: &Stop,
) -> Result<Perturbed, Error> {
    let mut broken_gradients = None;
    let mut first_gradient = |gradient: &Tensor| broken_gradients = Some(find_broken(gradient));
    let images = if attack.may_repeat() && images.device() == Device::Cpu {
        ascend_until_repeated(network, images, labels, start, attack, stop, &mut first_gradient)?
    } else {
        let loss = |logits: &Tensor| cross_entropy(logits, labels, Reduction::Sum);
        ascend_watched(network, images, start, attack, stop, &loss, &mut first_gradient)?
    };
    Ok(Perturbed { images, broken_gradients })
}

/// Finds images within `attack.eps` of `images` that raise `loss`.
///
/// `images` in `[0, 1]` and the offsets `start`: `[N, C, H, W]`. Returns images in `[0, 1]` of the same
/// shape, detached. `loss` maps the logits, `[N, K]`, to the sum of the losses of all images. With a sum, the
/// gradient of an image does not depend on the size of the batch. With `BatchNormMode::Train` it still
/// depends on the other images, because they are normalized together.
///
/// Fails with `Error::Stopped` after a stop request.
pub fn ascend(
    network: &Network,
    images: &Tensor,
    start: &Tensor,
    attack: &Attack,
    stop: &Stop,
    loss: &dyn Fn(&Tensor) -> Tensor,
) -> Result<Tensor, Error> {
    ascend_watched(network, images, start, attack, stop, loss, &mut |_| {})
}

/// Like [`ascend`]. `first_gradient` sees the gradient at the start.
fn ascend_watched(
    network: &Network,
    images: &Tensor,
    start: &Tensor,
    attack: &Attack,
    stop: &Stop,
    loss: &dyn Fn(&Tensor) -> Tensor,
    first_gradient: &mut dyn FnMut(&Tensor),
) -> Result<Tensor, Error> {
    // Converted once, not in each pass.
    let network = no_grad(|| network.cast(attack.precision));
    let mut adversarial = (images + start).clamp_(0.0, 1.0);
    for number in 0..attack.steps {
        stop.check()?;
        let gradient = input_gradient(&network, &adversarial, attack.batch_norm, loss);
        if number == 0 {
            first_gradient(&gradient);
        }
        adversarial = step(images, &adversarial, &gradient, attack);
    }
    Ok(adversarial)
}

/// Takes one step of the attack from the points `adversarial`, where the loss has this gradient.
fn step(images: &Tensor, adversarial: &Tensor, gradient: &Tensor, attack: &Attack) -> Tensor {
    let moved = adversarial - images + direction(attack.norm, gradient) * attack.step_size.fraction();
    (images + project(attack.norm, &moved, attack.eps)).clamp_(0.0, 1.0)
}

/// Number of steps back at which a point is still found again. Longer circles are gone through to the end.
const LONGEST_CYCLE: usize = 4;
/// The batch shrinks by whole multiples of this fraction of it, because libtorch prepares anew for each size.
const PARTS: i64 = 8;
/// Smallest batch that is left. Matrix products of fewer rows add up in another order, which changes last
/// bits.
const FEWEST: i64 = 32;

/// Does what [`ascend_watched`] does, for an attack that takes the same step from the same point.
///
/// Once an image is at a point where it has been, it goes on in a circle, and where it ends is known:
/// <https://arxiv.org/abs/2503.19347>.
fn ascend_until_repeated(
    network: &Network,
    images: &Tensor,
    labels: &Tensor,
    start: &Tensor,
    attack: &Attack,
    stop: &Stop,
    first_gradient: &mut dyn FnMut(&Tensor),
) -> Result<Tensor, Error> {
    let network = no_grad(|| network.cast(attack.precision));
    let (mut images, mut labels) = (images.shallow_clone(), labels.shallow_clone());
    // The last points of the rows that go on, the newest first, and the number of each row in the result.
    let mut points = vec![(&images + start).clamp_(0.0, 1.0)];
    let part = (images.size()[0] + PARTS - 1) / PARTS;
    let mut rows = Tensor::arange(images.size()[0], (Kind::Int64, Device::Cpu));
    let mut result = images.empty_like();
    for left in (0..attack.steps as usize).rev() {
        stop.check()?;
        let loss = |logits: &Tensor| cross_entropy(logits, &labels, Reduction::Sum);
        let gradient = input_gradient(&network, &points[0], attack.batch_norm, &loss);
        if left + 1 == attack.steps as usize {
            first_gradient(&gradient);
        }
        points.insert(0, step(&images, &points[0], &gradient, attack));
        points.truncate(LONGEST_CYCLE + 1);
        if left == 0 {
            break;
        }

        // How many steps it takes to come back: 0 for a point that is new.
        let mut period = rows.zeros_like();
        for (ago, earlier) in (1..).zip(&points[1..]) {
            let same = points[0].eq_tensor(earlier).flatten(1, -1).all_dim(1, false);
            period = period.where_self(&period.gt(0).logical_or(&same.logical_not()), &Tensor::from(ago));
        }
        let goes_on = i64::try_from(&period.eq(0).sum(Kind::Int64))?;
        let count = if goes_on == 0 { 0 } else { ((goes_on + part - 1) / part * part).max(FEWEST) };
        if count >= rows.size()[0] {
            continue;
        }
        // Rows that go on come first; some that repeat fill up the batch.
        let order = period.argsort_stable(true, 0, false);
        let ended = order.narrow(0, count, rows.size()[0] - count);
        let period = period.index_select(0, &ended);
        let ago = &period - (period.zeros_like() + left as i64).remainder_tensor(&period);
        let last = Tensor::stack(&points, 0).index(&[Some(&ago), Some(&ended)]);
        let _ = result.index_copy_(0, &rows.index_select(0, &ended), &last);
        if count == 0 {
            return Ok(result);
        }
        let stay = order.narrow(0, 0, count);
        [&mut rows, &mut images, &mut labels].into_iter().chain(&mut points).for_each(|tensor| *tensor = tensor.index_select(0, &stay));
    }
    let _ = result.index_copy_(0, &rows, &points[0]);
    Ok(result)
}

/// Finds the images whose gradient is zero everywhere, and those whose gradient has an entry that is not
/// finite.
///
/// Returns [`Perturbed::broken_gradients`] without waiting for the device.
fn find_broken(gradient: &Tensor) -> Tensor {
    // Not a number is larger than any number.
    let largest = gradient.abs().amax([1i64, 2, 3], false);
    Tensor::stack(&[largest.eq(0.0), largest.isfinite().logical_not()], 0).to_kind(Kind::Int64)
}

/// Returns the gradient of the loss with respect to the images.
///
/// Autograd then skips the gradients of the parameters, which saves a third of the work.
fn input_gradient(network: &Network, images: &Tensor, mode: BatchNormMode, loss: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
    let images = images.detach().set_requires_grad(true);
    let loss = loss(&network.forward(&images, mode).logits);
    Tensor::run_backward(&[&loss], &[&images], false, false).swap_remove(0)
}

/// Counts the images of [`Perturbed::broken_gradients`].
pub(crate) fn broken_gradients(found: &Tensor) -> BrokenGradients {
    let counts = found.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64);
    let counts: Vec<i64> = Vec::try_from(counts).expect("a list of whole numbers");
    BrokenGradients { images: found.size()[1] as u32, zero: counts[0] as u32, not_finite: counts[1] as u32 }
}

/// Returns the cross-entropy of `logits`, `[N, K]`, for `labels`, `[N]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Tensor {
    const NO_LABEL: i64 = -100;
    logits.cross_entropy_loss(labels, None::<&Tensor>, reduction, NO_LABEL, 0.0)
}

/// Draws an offset uniformly from the ball of radius `eps` for each image.
fn sample(norm: Norm, images: &Tensor, eps: Eps) -> Tensor {
    match norm {
        Norm::Linf => images.empty_like().uniform_(-eps.fraction(), eps.fraction()),
        Norm::L2 => {
            let normal = images.randn_like();
            let dimensions: i64 = images.size()[1..].iter().product();
            let uniform = Tensor::rand([images.size()[0], 1, 1, 1], (images.kind(), images.device()));
            // The volume within radius r grows as r^d, so this radius makes the draw uniform.
            let radius = uniform.pow_tensor_scalar(1.0 / dimensions as f64) * eps.fraction();
            direction(Norm::L2, &normal) * radius
        }
    }
}

/// Returns the step of length 1 that raises the loss fastest. In ℓ∞, pixels with a zero gradient do not move.
fn direction(norm: Norm, gradient: &Tensor) -> Tensor {
    // The gradient of an image can be zero; then the step is zero as well.
    const SMALLEST: f64 = 1e-30;
    match norm {
        Norm::Linf => gradient.sign(),
        Norm::L2 => gradient / lengths(gradient).clamp_min(SMALLEST),
    }
}

/// Projects offsets onto the ball of radius `eps`.
fn project(norm: Norm, offset: &Tensor, eps: Eps) -> Tensor {
    let eps = eps.fraction();
    match norm {
        Norm::Linf => offset.clamp(-eps, eps),
        Norm::L2 => offset * (lengths(offset).clamp_min(eps).reciprocal() * eps),
    }
}

/// Returns the L2 norm of each image, `[N, 1, 1, 1]`.
fn lengths(images: &Tensor) -> Tensor {
    images.norm_scalaropt_dim(2, [1, 2, 3], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gradient_of_zeros_is_zero_and_an_infinite_one_is_not_finite() {
        let gradients: [[f32; 2]; 6] = [[0.0, -0.0], [1e-30, 0.0], [0.0, -2.0], [0.0, f32::INFINITY], [f32::NAN, 0.0], [0.0, 0.0]];
        let found = find_broken(&Tensor::from_slice(&gradients.concat()).view([6, 1, 1, 2]));
        let rows = [0, 1].map(|row| Vec::<i64>::try_from(found.get(row)).unwrap());
        assert_eq!(rows, [vec![1, 0, 0, 0, 0, 1], vec![0, 0, 0, 1, 1, 0]]);
        assert_eq!(broken_gradients(&found), BrokenGradients { images: 6, zero: 2, not_finite: 2 });
    }
}
