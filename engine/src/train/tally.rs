//! Sums over the steps of an epoch.

use tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::targets::Targets;

/// Sums of loss and correct predictions in an epoch. They stay on the device, so that no batch waits for the
/// CPU.
#[derive(Debug)]
pub(super) struct Tally {
    /// In float64, as is `correct`.
    pub(super) loss: Tensor,
    pub(super) correct: Tensor,
    /// Number of images.
    pub(super) samples: i64,
}

impl Tally {
    pub(super) fn new(device: Device) -> Self {
        let zero = || Tensor::zeros([0i64; 0], (Kind::Double, device));
        Tally { loss: zero(), correct: zero(), samples: 0 }
    }

    /// Adds a batch with its logits, `[N, K]`.
    pub(super) fn add(&mut self, targets: &Targets, logits: &Tensor) {
        let samples = logits.size()[0];
        no_grad(|| {
            self.loss += targets.cross_entropy(logits, 0.0, Reduction::Mean).to_kind(Kind::Double) * samples as f64;
            self.correct += targets.correct(logits);
        });
        self.samples += samples;
    }

    /// Returns mean loss and accuracy.
    pub(super) fn means(&self) -> (f64, f64) {
        let samples = self.samples as f64;
        (self.loss.double_value(&[]) / samples, self.correct.double_value(&[]) / samples)
    }
}
