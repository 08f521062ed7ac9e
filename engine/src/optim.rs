//! Stochastic gradient descent as `torch.optim.SGD` has it, with a state that is plain tensors and can be written down.

use shared::config::TrainingConfig;
use tch::{Tensor, no_grad};

/// Momentum without dampening, weight decay added to the gradient.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    weight_decay: f64,
    /// One per parameter, from the first step on.
    velocities: Vec<Tensor>,
}

impl Sgd {
    pub fn new(config: &TrainingConfig) -> Self {
        Sgd { momentum: config.momentum, weight_decay: config.weight_decay, velocities: Vec::new() }
    }

    /// Moves `parameters` against `gradients`, which are in the same order.
    pub fn step(&mut self, parameters: &[Tensor], gradients: Vec<Tensor>, learning_rate: f64) {
        no_grad(|| {
            let decayed = gradients.into_iter().zip(parameters).map(|(gradient, parameter)| gradient + parameter * self.weight_decay);
            if self.velocities.is_empty() {
                self.velocities = decayed.collect();
            } else {
                for (velocity, gradient) in self.velocities.iter_mut().zip(decayed) {
                    *velocity *= self.momentum;
                    *velocity += gradient;
                }
            }
            for (parameter, velocity) in parameters.iter().zip(&self.velocities) {
                let _ = parameter.shallow_clone().g_sub_(&(velocity * learning_rate));
            }
        });
    }
}
