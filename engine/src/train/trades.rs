//! TRADES: Zhang et al. 2019, <https://arxiv.org/abs/1901.08573>, with the start, the loss and the passes of the authors' code. In ℓ2 the
//! attack steps and projects as the others here do.

use shared::config::{BatchNormMode, TrainingConfig};
use tch::{Kind, Reduction, Tensor, no_grad};

use super::Objective;
use super::targets::Targets;
use crate::Error;
use crate::attack::{self, Attack};
use crate::cancel::Cancel;
use crate::model::Network;

/// Where the search starts: hardly beside the image, where the divergence has no gradient. Draws from the default generator.
pub(super) fn start(images: &Tensor) -> Tensor {
    images.randn_like() * 0.001
}

/// Finds images whose predictions are far from those of `images`; as [`attack::ascend`].
pub(super) fn perturb(network: &Network, images: &Tensor, start: &Tensor, attack: &Attack, cancel: &Cancel) -> Result<Tensor, Error> {
    let clean = no_grad(|| network.forward(images, attack.batch_norm).logits.softmax(1, None::<Kind>));
    attack::ascend(network, images, start, attack, cancel, &|logits| divergence(logits, &clean))
}

/// Cross-entropy on clean images and β times the mean divergence of adversarial ones from them.
pub(super) fn objective(network: &Network, images: &Tensor, adversarial: &Tensor, targets: &Targets, config: &TrainingConfig) -> Objective {
    let clean = network.forward(images, BatchNormMode::Train).logits;
    let logits = network.forward(adversarial, BatchNormMode::Train).logits;
    // The authors pass the clean images once more for the divergence. The logits are the same; running statistics move a third time.
    no_grad(|| network.forward(images, BatchNormMode::Train));
    let natural = targets.cross_entropy(&clean, config.label_smoothing, Reduction::Mean);
    let robust = divergence(&logits, &clean.softmax(1, None::<Kind>)) / logits.size()[0] as f64;
    Objective { loss: natural + robust * config.trades_beta, logits }
}

/// The Kullback-Leibler divergence of the predictions of `logits` from `clean`, both `[N, K]`, summed over the images.
fn divergence(logits: &Tensor, clean: &Tensor) -> Tensor {
    logits.log_softmax(1, None::<Kind>).kl_div(clean, Reduction::Sum, false)
}
