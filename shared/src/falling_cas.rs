//! Tells from the records that CAS has fallen while the network fitted its training images ever better.
//!
//! Wei, Guo and Wang (2025) see this in robust overfitting: CAS is highest about the best epoch, and falls while robust
//! accuracy on the training images goes on rising and that on test images falls.

use crate::config::Inputs;
use crate::format;
use crate::record::{AttributionEntry, Metrics, Notice, NoticeKind};

/// Number of last measured epochs that must be below the peak: one alone can be an outlier.
const BELOW: usize = 2;

/// Returns a notice if CAS on adversarial inputs has fallen since its peak: in each of the last two measured epochs, its
/// interval lies below the interval of the highest CAS, and robust accuracy on the training images is higher in the last
/// of them than it was at the peak.
///
/// Runs without intervals or without adversarial training have no such notice. Epochs before a fork count.
pub fn falling_cas(metrics: &Metrics) -> Option<Notice> {
    let measured: Vec<&AttributionEntry> = metrics.attributions_from_first(Inputs::Adversarial).collect();
    let peak = measured.iter().max_by(|a, b| a.cas.total_cmp(&b.cas))?;
    let [low, _] = peak.cas_interval?;
    let after = measured.iter().filter(|entry| entry.epoch > peak.epoch).count();
    let is_below = |entry: &&&AttributionEntry| entry.cas_interval.is_some_and(|[_, high]| high < low);
    if after < BELOW || measured.iter().rev().take(BELOW).filter(is_below).count() < BELOW {
        return None;
    }
    let last = measured.last()?;
    let at = |epoch: u32| metrics.epochs_from_first().find(|entry| entry.epoch == epoch);
    let (then, now) = (at(peak.epoch)?, at(last.epoch)?);
    let (trained_then, trained_now) = (then.train_robust_accuracy?, now.train_robust_accuracy?);
    if trained_now <= trained_then {
        return None;
    }
    let tested = then.test_robust_accuracy.zip(now.test_robust_accuracy);
    let here = tested.map(|(then, now)| format!("; here it went from {} to {}", format::percent(then), format::percent(now)));
    let message = format!(
        "CAS fell from {} in epoch {} to {} in epoch {}, while robust accuracy on the training images rose from {} to {}. In the \
         paper, CAS falls so in robust overfitting, where robust accuracy on test images falls{}.",
        said(peak),
        peak.epoch,
        said(last),
        last.epoch,
        format::percent(trained_then),
        format::percent(trained_now),
        here.unwrap_or_default(),
    );
    Some(Notice { kind: NoticeKind::CasFell, epoch: Some(peak.epoch), message })
}

/// CAS with its interval.
fn said(entry: &AttributionEntry) -> String {
    let number = |value: f64| format::decimal(value, 2);
    let interval = entry.cas_interval.map(|[low, high]| format!(" [{}, {}]", number(low), number(high)));
    format!("{}{}", number(entry.cas), interval.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::record::{Epoch, Record};

    /// Epochs with a CAS, an interval of ±0.5 and robust accuracy on the training images.
    fn metrics(epochs: &[(f64, f64)]) -> Metrics {
        let records = (1..).zip(epochs).flat_map(|(number, (cas, trained))| {
            let tested = 0.5 - 0.01 * f64::from(number);
            let epoch = Epoch { train_robust_accuracy: Some(*trained), test_robust_accuracy: Some(tested), ..fixtures::epoch(number) };
            let entry =
                AttributionEntry { cas_interval: Some([cas - 0.5, cas + 0.5]), ..fixtures::matrix_of(number, Inputs::Adversarial, *cas) };
            [Record::Epoch(epoch), Record::Attribution(entry)]
        });
        Metrics::from_records(records)
    }

    #[track_caller]
    fn check(epochs: &[(f64, f64)], since: Option<u32>) {
        assert_eq!(falling_cas(&metrics(epochs)).and_then(|notice| notice.epoch), since, "{epochs:?}");
    }

    #[test]
    fn a_fall_below_the_interval_of_the_peak_is_told_with_its_numbers() {
        let fallen = metrics(&[(10.0, 0.3), (25.6, 0.5), (20.0, 0.6), (9.0, 0.84)]);
        assert_eq!(
            fallen.all_notices()[0].message,
            "CAS fell from 25.60 [25.10, 26.10] in epoch 2 to 9.00 [8.50, 9.50] in epoch 4, while robust accuracy on the training \
             images rose from 50.0 % to 84.0 %. In the paper, CAS falls so in robust overfitting, where robust accuracy on test images \
             falls; here it went from 48.0 % to 46.0 %."
        );
        let mut without_intervals = fallen;
        without_intervals.attributions.iter_mut().for_each(|entry| entry.cas_interval = None);
        assert_eq!(falling_cas(&without_intervals), None);
    }

    #[test]
    fn a_fall_within_intervals_of_one_epoch_or_with_falling_accuracy_is_none() {
        check(&[(10.0, 0.3), (9.1, 0.4), (9.1, 0.5)], None);
        check(&[(10.0, 0.3), (8.0, 0.5)], None);
        check(&[(10.0, 0.3), (8.0, 0.4), (9.5, 0.5)], None);
        check(&[(10.0, 0.3), (8.0, 0.4), (8.0, 0.3)], None);
        check(&[(10.0, 0.3), (8.0, 0.4), (8.9, 0.31)], Some(1));
        check(&[], None);
    }
}
