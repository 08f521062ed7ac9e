//! Detects catastrophic overfitting of fast adversarial training: Wong et al. 2020,
//! <https://arxiv.org/abs/2001.03994>.

use shared::format::percent;
use shared::record::{Epoch, Notice, NoticeKind};

/// Largest drop of accuracy below its best value that is not yet a loss. The authors' code stops at the same
/// value.
const MAX_DROP: f64 = 0.2;

/// Returns a notice if the last epoch has lost robustness against PGD, but not against the single steps used
/// in training.
///
/// A network that fails on both has diverged or forgotten everything, which is not catastrophic overfitting.
pub fn catastrophic_overfitting(epochs: &[Epoch]) -> Option<Notice> {
    let (last, before) = epochs.split_last()?;
    let (robust, trained) = (last.test_robust_accuracy?, last.train_robust_accuracy?);
    let highest = |accuracy: fn(&Epoch) -> Option<f64>| {
        let known = before.iter().filter_map(|epoch| Some((accuracy(epoch)?, epoch.epoch)));
        known.max_by(|(a, _), (b, _)| a.total_cmp(b))
    };
    let (best_robust, best_epoch) = highest(|epoch| epoch.test_robust_accuracy)?;
    let (best_trained, _) = highest(|epoch| epoch.train_robust_accuracy)?;
    if best_robust - robust <= MAX_DROP || best_trained - trained > MAX_DROP {
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
