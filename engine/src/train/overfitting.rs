//! Catastrophic overfitting of fast adversarial training: Wong et al. 2020, <https://arxiv.org/abs/2001.03994>.

use shared::format::percent;
use shared::record::{Epoch, Notice, NoticeKind};

/// More than this below its best is a loss; their code stops at the same number.
const LOSS: f64 = 0.2;

/// Says that the last of `epochs` has lost its robustness against PGD while single steps on training images are still withstood, which
/// tells it from a network that forgets everything.
pub fn catastrophic_overfitting(epochs: &[Epoch]) -> Option<Notice> {
    let (last, before) = epochs.split_last()?;
    let (robust, trained) = (last.test_robust_accuracy?, last.train_robust_accuracy?);
    let highest = |accuracy: fn(&Epoch) -> Option<f64>| {
        let known = before.iter().filter_map(|epoch| Some((accuracy(epoch)?, epoch.epoch)));
        known.max_by(|(a, _), (b, _)| a.total_cmp(b))
    };
    let (best_robust, best_epoch) = highest(|epoch| epoch.test_robust_accuracy)?;
    let (best_trained, _) = highest(|epoch| epoch.train_robust_accuracy)?;
    if best_robust - robust <= LOSS || best_trained - trained > LOSS {
        return None;
    }
    let trained_then = before.iter().find(|epoch| epoch.epoch == best_epoch)?.train_robust_accuracy?;
    let message = format!(
        "Catastrophic overfitting: accuracy under PGD fell from {} in epoch {best_epoch} to {} in epoch {}, while accuracy on the training \
         images under FGSM went from {} to {}.",
        percent(best_robust),
        percent(robust),
        last.epoch,
        percent(trained_then),
        percent(trained),
    );
    Some(Notice { kind: NoticeKind::CatastrophicOverfitting, epoch: Some(last.epoch), message })
}
