//! Adversarial weight perturbation (AWP): Wu et al. 2020, <https://arxiv.org/abs/2004.05884>. Follows the
//! authors' code for AT.

use tch::{Tensor, no_grad};

use super::left_out::LeftOut;
use crate::model::{Network, Role};

/// Each perturbed weight with the offset that was added to it. Both have the same shape.
pub(super) struct Perturbation(Vec<(Tensor, Tensor)>);

/// Adds an offset to each weight along the gradient of `loss`. Its norm is `gamma` times that of the weight.
///
/// Perturbs parameters named `weight` with more than one dimension, so neither biases nor scales of
/// normalization layers. Columns of W that are left out stay 0, and do not count for the norm of the gradient.
/// Running statistics are restored, because the authors compute the gradient on a copy of the network.
pub(super) fn perturb(network: &Network, gamma: f64, left_out: Option<&LeftOut>, loss: impl FnOnce() -> Tensor) -> Perturbation {
    let weights: Vec<Tensor> = network
        .entries()
        .iter()
        .filter(|entry| entry.role == Role::Parameter && entry.tensor.dim() > 1 && entry.name.ends_with("weight"))
        .map(|entry| entry.tensor.shallow_clone())
        .collect();
    let buffers = network.buffers();
    let gradients = Tensor::run_backward(&[loss()], &weights, false, false);
    buffers.restore();
    if let Some(left_out) = left_out {
        left_out.mask(&weights, &gradients);
    }
    no_grad(|| {
        let offset = |(weight, gradient): (Tensor, Tensor)| {
            // Avoids a division by zero: a weight with zero gradient is not moved.
            const SMALLEST: f64 = 1e-20;
            let offset = &gradient * (weight.norm() / (gradient.norm() + SMALLEST) * gamma);
            let _ = weight.shallow_clone().g_add_(&offset);
            (weight, offset)
        };
        Perturbation(weights.into_iter().zip(gradients).map(offset).collect())
    })
}

impl Perturbation {
    /// Subtracts the offsets again. Keeps what a step has changed in between.
    pub(super) fn undo(self) {
        no_grad(|| {
            for (mut weight, offset) in self.0 {
                let _ = weight.g_sub_(&offset);
            }
        });
    }
}
