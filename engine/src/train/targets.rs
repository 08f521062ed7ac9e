//! Training targets: labels, with optional label smoothing and mixup.

use shared::config::TrainingConfig;
use tch::{Device, Kind, Reduction, Tensor};

/// Targets of a batch.
#[derive(Debug)]
pub struct Targets {
    /// Class of each image, `[N]`.
    labels: Tensor,
    /// With mixup: the labels of the second images, `[N]`, and the fraction of the first image in each
    /// mixture.
    mixed: Option<(Tensor, f64)>,
}

impl Targets {
    /// Uses `labels`, `[N]`, without mixup.
    pub fn new(labels: Tensor) -> Self {
        Targets { labels, mixed: None }
    }

    /// Returns the labels, `[N]`. `None` with mixup.
    pub(super) fn labels(&self) -> Option<&Tensor> {
        self.mixed.is_none().then_some(&self.labels)
    }

    /// Returns the cross-entropy of `logits`, `[N, K]`. With mixup, the losses of both labels are mixed like
    /// the images.
    ///
    /// `smoothing`: fraction of each label's weight that is spread over all classes (Szegedy et al. 2016).
    pub fn cross_entropy(&self, logits: &Tensor, smoothing: f64, reduction: Reduction) -> Tensor {
        const NO_LABEL: i64 = -100;
        let of = |labels: &Tensor| logits.cross_entropy_loss(labels, None::<&Tensor>, reduction, NO_LABEL, smoothing);
        match &self.mixed {
            None => of(&self.labels),
            Some((others, share)) => of(&self.labels) * *share + of(others) * (1.0 - share),
        }
    }

    /// Counts correct predictions. With mixup, a prediction counts by the fraction of the image whose label
    /// it gives.
    pub(super) fn correct(&self, logits: &Tensor) -> Tensor {
        let predicted = logits.argmax(1, false);
        let of = |labels: &Tensor| predicted.eq_tensor(labels).sum(Kind::Double);
        match &self.mixed {
            None => of(&self.labels),
            Some((others, share)) => of(&self.labels) * *share + of(others) * (1.0 - share),
        }
    }
}

/// Applies mixup: mixes each image with another image of the batch. Zhang et al. 2018,
/// <https://arxiv.org/abs/1710.09412>.
///
/// All images of the batch have the same fraction, drawn from Beta(α, α). Draws from the default generator.
/// If `mixup` is 0 in the configuration, the images stay as they are.
pub(super) fn mix(images: Tensor, labels: Tensor, config: &TrainingConfig) -> (Tensor, Targets) {
    let alpha = config.mixup;
    if alpha == 0.0 {
        return (images, Targets::new(labels));
    }
    let share = Tensor::from_slice(&[alpha, alpha]).internal_sample_dirichlet().double_value(&[0]);
    let order = Tensor::randperm(labels.size()[0], (Kind::Int64, Device::Cpu)).to_device(labels.device());
    mix_with(&images, labels, &order, share)
}

/// Mixes each image with the one at its position in `order`: `share` times the first plus `1 - share` times
/// the second.
pub fn mix_with(images: &Tensor, labels: Tensor, order: &Tensor, share: f64) -> (Tensor, Targets) {
    let images = images * share + images.index_select(0, order) * (1.0 - share);
    let others = labels.index_select(0, order);
    (images, Targets { labels, mixed: Some((others, share)) })
}
