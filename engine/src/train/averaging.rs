//! Exponential moving average of the weights: Izmailov et al. 2018, <https://arxiv.org/abs/1803.05407>. In
//! adversarial training: Rebuffi et al. 2021, <https://arxiv.org/abs/2103.01946>.

use shared::config::WeightAveragingConfig;
use tch::no_grad;

use crate::model::Network;

/// A network whose tensors are the moving average. Running statistics are averaged like weights; counters are
/// copied.
#[derive(Debug)]
pub(super) struct AveragedNetwork {
    pub(super) network: Network,
    config: WeightAveragingConfig,
}

impl AveragedNetwork {
    /// Creates the average. `network` provides tensors of the right shapes; its values are overwritten.
    pub(super) fn new(network: Network, config: &WeightAveragingConfig) -> Self {
        AveragedNetwork { network, config: config.clone() }
    }

    /// Returns whether the average exists at the end of `epoch`.
    pub(super) fn has_begun(&self, epoch: u32) -> bool {
        epoch >= self.config.start_epoch
    }

    /// Updates the average after a step of `epoch`.
    ///
    /// During the start epoch, the average equals the current weights. Before it, nothing happens.
    pub(super) fn update(&mut self, network: &Network, epoch: u32) {
        if epoch < self.config.start_epoch {
            return;
        }
        let decay = if epoch > self.config.start_epoch { self.config.decay } else { 0.0 };
        no_grad(|| {
            for (average, current) in self.network.entries().iter().zip(network.entries()) {
                let mut values = average.tensor.shallow_clone();
                if decay > 0.0 && values.is_floating_point() {
                    let _ = values.lerp_(&current.tensor, 1.0 - decay);
                } else {
                    values.copy_(&current.tensor);
                }
            }
        });
    }
}
