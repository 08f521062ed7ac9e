//! Training without some features: their columns of W are 0 and stay 0, so that no logit depends on them.
//!
//! Nothing else of a step changes a column that is 0 and has no gradient: weight decay, momentum, weight averaging
//! and the scaled gradient of AWP are then 0 as well. Passes, attacks and measurements need not know.

use tch::{Tensor, no_grad};

use crate::model::Network;

/// The features that a network does without.
#[derive(Debug)]
pub(super) struct LeftOut {
    /// W of the trained network, `[K, n]`. They share memory.
    weight: Tensor,
    /// Indices of the features, `[m]`, in int64 on the same device.
    features: Tensor,
}

impl LeftOut {
    /// Leaves out features of the trained `network`; `None` without any.
    pub(super) fn new(features: &[u32], network: &Network) -> Option<Self> {
        let features: Vec<i64> = features.iter().copied().map(i64::from).collect();
        (!features.is_empty()).then(|| LeftOut {
            weight: network.linear_weight().shallow_clone(),
            features: Tensor::from_slice(&features).to_device(network.device()),
        })
    }

    /// Sets the columns of W of `network` to 0: of the trained network, or of its average.
    pub(super) fn clear(&self, network: &Network) {
        self.set_to_0(network.linear_weight());
    }

    /// Sets the columns of the gradient of W to 0. `gradients` are those of `parameters`, in the same order.
    pub(super) fn mask(&self, parameters: &[Tensor], gradients: &[Tensor]) {
        let of_weight = parameters.iter().zip(gradients).filter(|(parameter, _)| parameter.data_ptr() == self.weight.data_ptr());
        of_weight.for_each(|(_, gradient)| self.set_to_0(gradient));
    }

    /// `columns`: `[K, n]`.
    fn set_to_0(&self, columns: &Tensor) {
        no_grad(|| {
            let _ = columns.shallow_clone().index_fill_(1, &self.features, 0.0);
        });
    }
}
