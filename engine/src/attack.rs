//! Projected gradient descent on images: Madry et al. 2018, <https://arxiv.org/abs/1706.06083>.
//!
//! What a norm means (where to start, which way to step, how to come back into the ball) is apart from the loop.

use shared::api::AttackUsed;
use shared::config::{BatchNormMode, Norm, PgdConfig, TrainConfig};
use shared::eps::Eps;
use tch::{Reduction, Tensor};

use crate::Error;
use crate::cancel::Cancel;
use crate::model::Network;

/// A search for images within `eps` that raise the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    pub norm: Norm,
    pub eps: Eps,
    pub step_size: Eps,
    pub steps: u32,
    pub random_start: bool,
    /// Which statistics batch normalization uses while the attack searches.
    pub batch_norm: BatchNormMode,
}

impl Attack {
    /// The attack that adversarial training trains on.
    pub fn for_training(config: &TrainConfig) -> Self {
        let attack = &config.attack;
        Attack {
            norm: attack.norm,
            eps: attack.eps,
            step_size: config.training_step_size(),
            steps: attack.steps,
            random_start: attack.random_start,
            batch_norm: attack.batch_norm,
        }
    }

    /// An attack to measure with, on a network that is left as it is.
    pub fn to_measure(config: &PgdConfig) -> Self {
        let PgdConfig { norm, eps, step_size: _, steps, random_start } = *config;
        Attack { norm, eps, step_size: config.step_size(), steps, random_start, batch_norm: BatchNormMode::Eval }
    }

    /// The attack as an attribution names it.
    pub fn used(&self) -> AttackUsed {
        let Attack { norm, eps, step_size, steps, random_start, batch_norm: _ } = *self;
        AttackUsed { norm, eps, step_size, steps, random_start }
    }

    /// Where the search starts, as an offset of `images`; draws from the default generator if the start is random.
    pub fn start(&self, images: &Tensor) -> Tensor {
        if self.random_start { sample(self.norm, images, self.eps) } else { images.zeros_like() }
    }
}

/// Finds images within `attack.eps` of `images` that raise the cross-entropy of `labels`, `[N]`; otherwise as [`ascend`].
pub fn perturb(
    network: &Network,
    images: &Tensor,
    labels: &Tensor,
    start: &Tensor,
    attack: &Attack,
    cancel: &Cancel,
) -> Result<Tensor, Error> {
    ascend(network, images, start, attack, cancel, &|logits| cross_entropy(logits, labels, Reduction::Sum))
}

/// Finds images within `attack.eps` of `images` that raise `loss`, which is a function of their logits, summed over them: an image's
/// gradient then does not depend on how many others are in the batch.
///
/// `images`, `start`: `[N, C, H, W]`, the images in `[0, 1]`. Returns images in `[0, 1]`, detached.
/// Each image is attacked by itself, except in `BatchNormMode::Train`, where the batch is normalized together.
pub fn ascend(
    network: &Network,
    images: &Tensor,
    start: &Tensor,
    attack: &Attack,
    cancel: &Cancel,
    loss: &dyn Fn(&Tensor) -> Tensor,
) -> Result<Tensor, Error> {
    let mut adversarial = (images + start).clamp_(0.0, 1.0);
    for _ in 0..attack.steps {
        cancel.check()?;
        let gradient = input_gradient(network, &adversarial, attack.batch_norm, loss);
        let moved = &adversarial - images + direction(attack.norm, &gradient) * attack.step_size.fraction();
        adversarial = (images + project(attack.norm, &moved, attack.eps)).clamp_(0.0, 1.0);
    }
    Ok(adversarial)
}

/// The gradient by the images alone: autograd then skips the parameters, a third of the work.
fn input_gradient(network: &Network, images: &Tensor, mode: BatchNormMode, loss: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
    let images = images.detach().set_requires_grad(true);
    let loss = loss(&network.forward(&images, mode).logits);
    Tensor::run_backward(&[&loss], &[&images], false, false).swap_remove(0)
}

/// Cross-entropy of `logits`, `[N, K]`, for `labels`, `[N]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Tensor {
    const NO_LABEL: i64 = -100;
    logits.cross_entropy_loss(labels, None::<&Tensor>, reduction, NO_LABEL, 0.0)
}

/// An offset drawn uniformly from the ball.
fn sample(norm: Norm, images: &Tensor, eps: Eps) -> Tensor {
    match norm {
        Norm::Linf => images.empty_like().uniform_(-eps.fraction(), eps.fraction()),
        Norm::L2 => {
            let normal = images.randn_like();
            let dimensions: i64 = images.size()[1..].iter().product();
            let uniform = Tensor::rand([images.size()[0], 1, 1, 1], (images.kind(), images.device()));
            // The share of a ball's volume within r grows as r^d.
            let radius = uniform.pow_tensor_scalar(1.0 / dimensions as f64) * eps.fraction();
            direction(Norm::L2, &normal) * radius
        }
    }
}

/// The step of length 1 along which the loss rises fastest.
fn direction(norm: Norm, gradient: &Tensor) -> Tensor {
    // An image classified with certainty has no gradient, and then no direction.
    const SMALLEST: f64 = 1e-30;
    match norm {
        Norm::Linf => gradient.sign(),
        Norm::L2 => gradient / lengths(gradient).clamp_min(SMALLEST),
    }
}

/// The nearest offset inside the ball.
fn project(norm: Norm, offset: &Tensor, eps: Eps) -> Tensor {
    let eps = eps.fraction();
    match norm {
        Norm::Linf => offset.clamp(-eps, eps),
        Norm::L2 => offset * (lengths(offset).clamp_min(eps).reciprocal() * eps),
    }
}

/// The L2 norm of each image: `[N, 1, 1, 1]`.
fn lengths(images: &Tensor) -> Tensor {
    images.norm_scalaropt_dim(2, [1, 2, 3], true)
}
