//! What images are trained towards: their labels, smoothed or mixed.

use shared::config::TrainingConfig;
use tch::{Device, Kind, Reduction, Tensor};

/// The labels of a batch.
#[derive(Debug)]
pub struct Targets {
    /// `[N]`.
    labels: Tensor,
    /// Where each image is mixed with another: the labels of those, and the share of the first in the mixture.
    mixed: Option<(Tensor, f64)>,
}

impl Targets {
    pub fn of(labels: Tensor) -> Self {
        Targets { labels, mixed: None }
    }

    /// Mean or sum of the cross-entropy of `logits`, `[N, K]`, with a `smoothing` of each label spread over all classes: Szegedy et al.
    /// 2016. Of a mixture it is the mixture of both labels' cross-entropies.
    pub fn cross_entropy(&self, logits: &Tensor, smoothing: f64, reduction: Reduction) -> Tensor {
        const NO_LABEL: i64 = -100;
        let of = |labels: &Tensor| logits.cross_entropy_loss(labels, None::<&Tensor>, reduction, NO_LABEL, smoothing);
        match &self.mixed {
            None => of(&self.labels),
            Some((others, share)) => of(&self.labels) * *share + of(others) * (1.0 - share),
        }
    }

    /// Images classified correctly; of a mixture the share of each label that is hit.
    pub(super) fn correct(&self, logits: &Tensor) -> Tensor {
        let predicted = logits.argmax(1, false);
        let of = |labels: &Tensor| predicted.eq_tensor(labels).sum(Kind::Double);
        match &self.mixed {
            None => of(&self.labels),
            Some((others, share)) => of(&self.labels) * *share + of(others) * (1.0 - share),
        }
    }
}

/// Mixes each image with another of the batch, all in the same proportion, which is drawn from Beta(α, α) as the default generator
/// gives it: Zhang et al. 2018, <https://arxiv.org/abs/1710.09412>. Without `mixup` in the configuration images stay as they are.
pub(super) fn mix(images: Tensor, labels: Tensor, config: &TrainingConfig) -> (Tensor, Targets) {
    let alpha = config.mixup;
    if alpha == 0.0 {
        return (images, Targets::of(labels));
    }
    let share = Tensor::from_slice(&[alpha, alpha]).internal_sample_dirichlet().double_value(&[0]);
    let order = Tensor::randperm(labels.size()[0], (Kind::Int64, Device::Cpu)).to_device(labels.device());
    mixed(&images, labels, &order, share)
}

/// Each image times `share` and the one that `order` puts in its place times the rest.
pub fn mixed(images: &Tensor, labels: Tensor, order: &Tensor, share: f64) -> (Tensor, Targets) {
    let images = images * share + images.index_select(0, order) * (1.0 - share);
    let others = labels.index_select(0, order);
    (images, Targets { labels, mixed: Some((others, share)) })
}
