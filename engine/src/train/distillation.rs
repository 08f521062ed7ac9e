//! Distillation from a standard and a robust teacher: Chen et al. 2021, "Robust Overfitting May Be Mitigated by Properly Learned
//! Smoothening".

use shared::config::BatchNormMode;
use tch::{Kind, Tensor, no_grad};

use crate::model::Network;

/// Networks that another one learns from, in evaluation mode. Without any it learns from the labels alone.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Each with its weight in the loss.
    pub networks: Vec<(Network, f64)>,
    pub temperature: f64,
}

/// What the teachers say of a batch.
pub(super) struct Lessons {
    /// Softened probabilities, `[N, K]`, each with its weight.
    probabilities: Vec<(Tensor, f64)>,
    temperature: f64,
}

impl Teachers {
    pub(super) fn lessons(&self, images: &Tensor) -> Lessons {
        let Teachers { networks, temperature } = self;
        let soften = |network: &Network| (network.forward(images, BatchNormMode::Eval).logits / *temperature).softmax(1, None::<Kind>);
        let probabilities = no_grad(|| networks.iter().map(|(network, weight)| (soften(network), *weight)).collect());
        Lessons { probabilities, temperature: *temperature }
    }
}

impl Lessons {
    /// The loss on the labels with what is left of the weights, and T² times the cross-entropy of each teacher's probabilities, which
    /// differs from the divergence by what does not depend on the student.
    pub(super) fn add_to(&self, labels_loss: Tensor, logits: &Tensor) -> Tensor {
        if self.probabilities.is_empty() {
            return labels_loss;
        }
        let predicted = (logits / self.temperature).log_softmax(1, None::<Kind>);
        let scale = self.temperature * self.temperature / logits.size()[0] as f64;
        let rest = 1.0 - self.probabilities.iter().map(|(_, weight)| weight).sum::<f64>();
        self.probabilities.iter().fold(labels_loss * rest, |loss, (probabilities, weight)| {
            loss - (probabilities * &predicted).sum(None::<Kind>) * (scale * weight)
        })
    }
}
