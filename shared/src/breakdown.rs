//! Detects a breakdown of training: the loss is not a number or explodes, or the accuracy stays at chance.
//!
//! Uses only the records, so that it also works for older runs and imported logs. The worker records the
//! notice once, with the epoch of its detection; a page applies the same rule to records without a notice.

use crate::builtin::ln;
use crate::format;
use crate::record::{Epoch, Metrics, Notice, NoticeKind};

/// A mean loss above this multiple of ln K (the loss of guessing) is not explained by an unlucky batch.
const EXPLODED: f64 = 10.0;
/// Above this multiple of ln K, one epoch is enough.
const FAR_EXPLODED: f64 = 1000.0;
/// Number of consecutive epochs above `EXPLODED` but not above `FAR_EXPLODED`.
const EXPLODED_EPOCHS: usize = 3;
/// Minimum number of consecutive epochs at chance. For long runs, a tenth of the epochs, which they may need
/// to start learning.
const CHANCE_EPOCHS: u32 = 5;
/// Accuracy up to this fraction above chance counts as chance.
const CHANCE_SLACK: f64 = 0.1;

/// Returns the notice of the first detected breakdown. Without class names, chance is unknown and not
/// checked.
pub fn breakdown(metrics: &Metrics) -> Option<Notice> {
    let started = metrics.started.as_ref();
    let classes = started.map_or(0, |started| started.class_names.len());
    let planned = started.map_or(0, |started| started.epochs).max(metrics.epochs.last().map_or(0, |epoch| epoch.epoch));
    // Loss of guessing among the classes; among ten if their number is unknown.
    let guessing = ln(if classes > 1 { classes as f64 } else { 10.0 });
    let found = [
        not_a_number(&metrics.epochs),
        exploded(&metrics.epochs, guessing),
        at_chance(&metrics.epochs, classes, started.map_or(0, |started| started.train_samples), planned),
    ];
    let (epoch, message) = found.into_iter().flatten().min_by_key(|(epoch, _)| *epoch)?;
    Some(Notice { kind: NoticeKind::TrainingBrokeDown, epoch: Some(epoch), message })
}

/// In JSON, a loss that is not a number is missing, although earlier epochs have one.
fn not_a_number(epochs: &[Epoch]) -> Option<(u32, String)> {
    let first = epochs.iter().position(|epoch| epoch.train_loss.is_some_and(f64::is_finite));
    let odd = |epoch: &&Epoch| epoch.train_loss.is_some_and(|loss| !loss.is_finite());
    let missing = first.and_then(|first| epochs[first..].iter().find(|epoch| epoch.train_loss.is_none()));
    let epoch = epochs.iter().find(odd).into_iter().chain(missing).min_by_key(|epoch| epoch.epoch)?.epoch;
    Some((epoch, format!("The training loss of epoch {epoch} is not a finite number.")))
}

fn exploded(epochs: &[Epoch], guessing: f64) -> Option<(u32, String)> {
    let mut row = 0;
    for epoch in epochs {
        let loss = epoch.train_loss.filter(|loss| *loss > EXPLODED * guessing);
        row = if loss.is_some() { row + 1 } else { 0 };
        let Some(loss) = loss.filter(|loss| row >= EXPLODED_EPOCHS || *loss > FAR_EXPLODED * guessing) else { continue };
        let message =
            format!("The training loss was {} in epoch {}; guessing has {}.", format::short(loss), epoch.epoch, format::short(guessing));
        return Some((epoch.epoch, message));
    }
    None
}

/// Detects that both accuracies on training images, robust and clean, stay at `1 / classes`.
///
/// Robust accuracy alone can be that low if the attack is too strong, so a known clean accuracy must be at
/// chance too.
fn at_chance(epochs: &[Epoch], classes: usize, samples: u32, planned: u32) -> Option<(u32, String)> {
    if classes < 2 {
        return None;
    }
    let chance = 1.0 / classes as f64;
    // Two standard errors, for few images.
    let by_luck = if samples > 0 { 2.0 * (chance * (1.0 - chance) / f64::from(samples)).sqrt() } else { 0.0 };
    let highest = chance + by_luck.max(CHANCE_SLACK * chance);
    let needed = CHANCE_EPOCHS.max(planned.div_ceil(10));
    let mut first = None;
    for epoch in epochs {
        let known = [epoch.train_robust_accuracy, epoch.train_clean_accuracy];
        // Neither accuracy was measured in this epoch: skip it.
        if known.iter().all(Option::is_none) {
            continue;
        }
        if known.into_iter().flatten().any(|accuracy| accuracy > highest) {
            first = None;
            continue;
        }
        let first = *first.get_or_insert(epoch.epoch);
        if epoch.epoch - first + 1 >= needed {
            let accuracy = format::percent(known.into_iter().flatten().fold(0.0, f64::max));
            let message = format!(
                "Accuracy on the training images was {accuracy} in epoch {}, and at chance ({} for {classes} classes) since epoch {first}.",
                epoch.epoch,
                format::percent(chance),
            );
            return Some((epoch.epoch, message));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::record::{Record, Started};

    fn epoch(number: u32, train_loss: Option<f64>, robust: Option<f64>, clean: Option<f64>) -> Epoch {
        Epoch { train_loss, train_clean_accuracy: clean, train_robust_accuracy: robust, ..fixtures::epoch(number) }
    }

    #[track_caller]
    fn check(planned: u32, epochs: impl IntoIterator<Item = Epoch>, expected: Option<(u32, &str)>) {
        let started = Record::Started(Started { train_samples: 50_000, ..fixtures::started(planned) });
        let metrics = Metrics::from_records(std::iter::once(started).chain(epochs.into_iter().map(Record::Epoch)));
        let found = breakdown(&metrics);
        assert_eq!(found.as_ref().map(|notice| (notice.epoch.unwrap(), notice.message.as_str())), expected);
        // The page finds the breakdown once, with or without a recorded notice.
        let mut written = metrics.clone();
        found.iter().for_each(|notice| written.apply(Record::Notice(notice.clone())));
        assert_eq!(metrics.all_notices(), written.all_notices());
        assert_eq!(metrics.all_notices().len(), usize::from(expected.is_some()));
    }

    fn losses(losses: &[Option<f64>]) -> Vec<Epoch> {
        (1..).zip(losses).map(|(number, loss)| epoch(number, *loss, Some(0.3), None)).collect()
    }

    #[test]
    fn a_loss_that_is_no_number_or_explodes_is_told() {
        check(60, losses(&[Some(2.1), Some(1e31), Some(1e31)]), Some((2, "The training loss was 1e31 in epoch 2; guessing has 2.303.")));
        check(60, losses(&[Some(2.1), Some(f64::NAN)]), Some((2, "The training loss of epoch 2 is not a finite number.")));
        check(60, losses(&[Some(2.1), None, Some(2.0)]), Some((2, "The training loss of epoch 2 is not a finite number.")));
        check(1, losses(&[Some(f64::INFINITY)]), Some((1, "The training loss of epoch 1 is not a finite number.")));
        let slow = [Some(2.1), Some(40.0), Some(50.0), Some(60.0)];
        check(60, losses(&slow), Some((4, "The training loss was 60 in epoch 4; guessing has 2.303.")));
    }

    #[test]
    fn a_spike_and_a_log_without_losses_are_none() {
        check(60, losses(&[Some(80.0), Some(30.0), Some(2.1), Some(40.0), Some(1.9)]), None);
        check(60, losses(&[None, None, Some(2.0), Some(1.9)]), None);
        check(60, [], None);
    }

    #[test]
    fn accuracy_that_stays_at_chance_is_told_once_it_has_stayed_long() {
        let at =
            |count: u32, robust: f64, clean: Option<f64>| (1..=count).map(move |number| epoch(number, Some(2.303), Some(robust), clean));
        let message = "Accuracy on the training images was 10.1 % in epoch 5, and at chance (10.0 % for 10 classes) since epoch 1.";
        check(30, at(30, 0.101, None), Some((5, message)));
        check(30, at(4, 0.101, None), None);
        check(200, at(19, 0.1, None), None);
        let message = "Accuracy on the training images was 10.0 % in epoch 20, and at chance (10.0 % for 10 classes) since epoch 1.";
        check(200, at(20, 0.1, None), Some((20, message)));
        check(30, at(30, 0.2, None), None);
        check(30, at(30, 0.02, Some(0.9)), None);
        // The accuracy fell back to chance after it had been higher.
        let fell = (1..=20).map(|number| epoch(number, Some(2.0), Some(if number < 8 { 0.3 } else { 0.1 }), None));
        let message = "Accuracy on the training images was 10.0 % in epoch 12, and at chance (10.0 % for 10 classes) since epoch 8.";
        check(20, fell, Some((12, message)));
        // Standard training measures accuracy only every few epochs.
        let standard = (1..=12).map(|number| epoch(number, Some(2.303), None, (number % 4 == 0).then_some(0.1)));
        let message = "Accuracy on the training images was 10.0 % in epoch 8, and at chance (10.0 % for 10 classes) since epoch 4.";
        check(12, standard, Some((8, message)));
    }
}
