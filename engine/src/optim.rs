//! Stochastic gradient descent as `torch.optim.SGD` has it, with a state that is plain tensors and can be written down.

use shared::config::TrainingConfig;
use tch::{Tensor, no_grad};

/// Momentum without dampening, weight decay added to the gradient.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    weight_decay: f64,
    /// One per parameter; the first step finds zeros.
    velocities: Vec<Tensor>,
}

impl Sgd {
    pub fn new(config: &TrainingConfig, parameters: &[Tensor]) -> Self {
        let velocities = parameters.iter().map(|parameter| parameter.detach().zeros_like()).collect();
        Sgd { momentum: config.momentum, weight_decay: config.weight_decay, velocities }
    }

    /// Moves `parameters` against `gradients`, which are in the same order.
    pub fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor], learning_rate: f64) {
        no_grad(|| {
            for ((parameter, gradient), velocity) in parameters.iter().zip(gradients).zip(&mut self.velocities) {
                *velocity *= self.momentum;
                *velocity += gradient + parameter * self.weight_decay;
                let _ = parameter.shallow_clone().g_sub_(&(&*velocity * learning_rate));
            }
        });
    }

    pub fn velocities(&self) -> &[Tensor] {
        &self.velocities
    }
}

/// Scales `gradients` down together, so that their norm is at most `limit`: `torch.nn.utils.clip_grad_norm_`.
pub fn clip(gradients: &mut [Tensor], limit: f64) {
    // Theirs, against a division by zero.
    const SMALLEST: f64 = 1e-6;
    no_grad(|| {
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        // Stays on the device: no step waits for the CPU.
        let scale = ((Tensor::stack(&norms, 0).norm() + SMALLEST).reciprocal() * limit).clamp_max(1.0);
        for gradient in gradients {
            let _ = gradient.g_mul_(&scale);
        }
    });
}
