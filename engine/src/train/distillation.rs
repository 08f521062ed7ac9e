//! Distillation from a standard and a robust teacher: Chen et al. 2021, "Robust Overfitting May Be Mitigated
//! by Properly Learned Smoothening".

use shared::config::BatchNormMode;
use tch::{Kind, Tensor, no_grad};

use crate::model::Network;

/// Networks whose predictions the student learns from. Empty if training uses only the labels.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Each teacher with its weight in the loss.
    pub networks: Vec<(Network, f64)>,
    pub temperature: f64,
}

/// Predictions of the teachers for a batch.
pub(super) struct SoftTargets {
    /// For each teacher, softened probabilities, `[N, K]`, and its weight in the loss.
    probabilities: Vec<(Tensor, f64)>,
    temperature: f64,
}

impl Teachers {
    /// Computes the teachers' softened probabilities for `images`, in evaluation mode and without gradients.
    pub(super) fn soft_targets(&self, images: &Tensor) -> SoftTargets {
        let Teachers { networks, temperature } = self;
        let soften = |network: &Network| (network.forward(images, BatchNormMode::Eval).logits / *temperature).softmax(1, None::<Kind>);
        let probabilities = no_grad(|| networks.iter().map(|(network, weight)| (soften(network), *weight)).collect());
        SoftTargets { probabilities, temperature: *temperature }
    }
}

impl SoftTargets {
    /// Returns the distillation loss of a batch.
    ///
    /// It is the loss on the labels, weighted with 1 minus the weights of the teachers, plus T² times the
    /// cross-entropy with each teacher's probabilities. Cross-entropy has the same gradient as the
    /// Kullback-Leibler divergence, because the two differ by a constant.
    pub(super) fn distillation_loss(&self, labels_loss: Tensor, logits: &Tensor) -> Tensor {
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
