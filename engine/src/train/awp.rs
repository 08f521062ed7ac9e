//! Adversarial weight perturbation: Wu et al. 2020, <https://arxiv.org/abs/2004.05884>, as the authors' code has it for AT.

use tch::{Tensor, no_grad};

use crate::model::{Network, Role};

/// By what each weight was moved; both tensors of a pair have the weight's shape.
pub(super) struct Perturbation(Vec<(Tensor, Tensor)>);

/// Moves the weights of every layer along the gradient of `loss` by `gamma` times their norm.
///
/// Weights are the tensors of that name with more than one dimension: neither biases nor the scales of normalization. Running
/// statistics stay as they are, as they do where a copy of the network computes the gradient.
pub(super) fn perturb(network: &Network, gamma: f64, loss: impl FnOnce() -> Tensor) -> Perturbation {
    let weights: Vec<Tensor> = network
        .entries()
        .iter()
        .filter(|entry| entry.role == Role::Parameter && entry.tensor.dim() > 1 && entry.name.ends_with("weight"))
        .map(|entry| entry.tensor.shallow_clone())
        .collect();
    let buffers: Vec<(Tensor, Tensor)> = network
        .entries()
        .iter()
        .filter(|entry| entry.role == Role::Buffer)
        .map(|entry| (entry.tensor.shallow_clone(), entry.tensor.copy()))
        .collect();
    let gradients = Tensor::run_backward(&[loss()], &weights, false, false);
    no_grad(|| {
        for (mut buffer, before) in buffers {
            buffer.copy_(&before);
        }
        let offset = |(weight, gradient): (Tensor, Tensor)| {
            // A weight without a gradient stays where it is.
            const SMALLEST: f64 = 1e-20;
            let offset = &gradient * (weight.norm() / (gradient.norm() + SMALLEST) * gamma);
            let _ = weight.shallow_clone().g_add_(&offset);
            (weight, offset)
        };
        Perturbation(weights.into_iter().zip(gradients).map(offset).collect())
    })
}

impl Perturbation {
    /// Moves the weights back, from wherever a step has brought them.
    pub(super) fn take_back(self) {
        no_grad(|| {
            for (mut weight, offset) in self.0 {
                let _ = weight.g_sub_(&offset);
            }
        });
    }
}
