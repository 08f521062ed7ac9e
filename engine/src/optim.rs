//! Stochastic gradient descent with the rules of `torch.optim.SGD`. Its state is a list of tensors that can
//! be saved.

use shared::config::TrainingConfig;
use tch::{Tensor, no_grad};

use crate::shim;

/// SGD with momentum (without dampening) and weight decay, which is added to the gradient.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    weight_decay: f64,
    /// One velocity for each parameter, of the same shape. All are zero before the first step.
    velocities: Vec<Tensor>,
}

impl Sgd {
    /// Creates an optimizer for `parameters` whose velocities are zero.
    pub fn new(config: &TrainingConfig, parameters: &[Tensor]) -> Self {
        let velocities = parameters.iter().map(|parameter| parameter.detach().zeros_like()).collect();
        Sgd { momentum: config.momentum, weight_decay: config.weight_decay, velocities }
    }

    /// Updates `parameters` in place. `gradients` are in the same order.
    ///
    /// v = momentum · v + gradient + weight_decay · parameter; parameter −= learning_rate · v. libtorch's fused kernel reads
    /// and writes each value once; one call for each operation and tensor would be 336 kernels on a GPU.
    pub fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor], learning_rate: f64) {
        let Sgd { momentum, weight_decay, velocities } = self;
        no_grad(|| shim::sgd(parameters, gradients, velocities, learning_rate, *momentum, *weight_decay));
    }

    /// Returns the velocities in the order of the parameters. They share memory with the optimizer.
    pub fn velocities(&self) -> &[Tensor] {
        &self.velocities
    }
}

/// Scales all `gradients` in place by one factor, so that the L2 norm of all together is at most `limit`.
///
/// Same as `torch.nn.utils.clip_grad_norm_`.
pub fn clip_gradients(gradients: &mut [Tensor], limit: f64) {
    // Avoids a division by zero; the value is PyTorch's.
    const SMALLEST: f64 = 1e-6;
    no_grad(|| {
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        // The scale stays on the device, so that no step waits for the CPU.
        let scale = ((Tensor::stack(&norms, 0).norm() + SMALLEST).reciprocal() * limit).clamp_max(1.0);
        for gradient in gradients {
            let _ = gradient.g_mul_(&scale);
        }
    });
}
