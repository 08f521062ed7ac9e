//! The features that attributions are computed on, and the linear map that reads classes off them.

use shared::config::BatchNormMode;
use tch::Tensor;

use crate::model::{Network, Output};

/// Where features are taken from a network, and what reads classes off them.
#[derive(Debug)]
pub struct ReadOut {
    weight: Tensor,
}

impl ReadOut {
    /// g(x) and W of the network as it is now.
    pub fn penultimate(network: &Network) -> Self {
        ReadOut { weight: network.linear_weight().detach().copy() }
    }

    /// `[K, n]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The features of `images` and the logits of the network.
    pub(crate) fn output(&self, network: &Network, images: &Tensor) -> Output {
        network.forward(images, BatchNormMode::Eval)
    }
}
