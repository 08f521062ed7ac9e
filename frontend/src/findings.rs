//! Sentences about measured results.

use shared::api::{EpochSummary, RunSummary};
use shared::format;

/// CAS values below this are written with two decimals instead of one. They occur with few classes.
const SMALL_CAS: f64 = 10.0;

/// What a sentence needs to know of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// For example `epoch 12 (best)`.
    pub name: String,
    pub robust_accuracy: Option<f64>,
    pub cas: Option<f64>,
}

/// Describes the change from one checkpoint to another; `None` until both robust accuracies are known.
pub fn change(from: &Measured, to: &Measured) -> Option<String> {
    let points = (to.robust_accuracy? - from.robust_accuracy?) * 100.0;
    let size = format!("{:.1}", points.abs());
    let accuracy = match () {
        () if size == "0.0" => "did not change".to_owned(),
        () if points > 0.0 => format!("rose by {size} pp"),
        () => format!("fell by {size} pp"),
    };
    let accuracy = format!("Robust accuracy {accuracy} from {} to {}", from.name, to.name);
    let Some((before, after)) = from.cas.zip(to.cas) else { return Some(format!("{accuracy}.")) };
    let (from, to) = written(before, after);
    let cas = match () {
        () if from == to => format!("CAS stayed at {to}"),
        () if after > before => format!("CAS rose from {from} to {to}"),
        () => format!("CAS fell from {from} to {to}"),
    };
    Some(format!("{accuracy}; {cas}."))
}

/// Formats two CAS values for a sentence. If both have the same text, the sentence reports no change.
fn written(before: f64, after: f64) -> (String, String) {
    let digits = if before.abs().max(after.abs()) < SMALL_CAS { 2 } else { 1 };
    (format::decimal(before, digits), format::decimal(after, digits))
}

/// Describes the change from the best to the last checkpoint of a run.
///
/// If CAS did not fall, the sentence adds that it falls in the paper, so that readers notice the difference.
pub fn best_to_last(summary: &RunSummary) -> Option<String> {
    let (best, last) = (summary.best.as_ref()?, summary.last.as_ref()?);
    if best.epoch == last.epoch {
        return Some(format!("Robust accuracy is highest in the last evaluated epoch, {}: best and last are one checkpoint.", best.epoch));
    }
    let measured = |epoch: &EpochSummary, tag: &str| Measured {
        name: format!("epoch {} ({tag})", epoch.epoch),
        robust_accuracy: epoch.robust_accuracy,
        cas: epoch.cas,
    };
    let sentence = change(&measured(best, "best"), &measured(last, "last"))?;
    Some(with_paper(sentence, best.cas, last.cas))
}

/// Adds what the paper reports, if CAS did not fall from best to last.
pub fn with_paper(sentence: String, cas_best: Option<f64>, cas_last: Option<f64>) -> String {
    let differs = cas_best.zip(cas_last).is_some_and(|(best, last)| {
        let (from, to) = written(best, last);
        last >= best || from == to
    });
    if differs { format!("{sentence} The paper reports a falling CAS on CIFAR-10.") } else { sentence }
}

/// Robust accuracy of the last checkpoint − that of the best, as a fraction.
pub fn gap(summary: &RunSummary) -> Option<f64> {
    let robust = |epoch: &Option<EpochSummary>| epoch.as_ref()?.robust_accuracy;
    Some(robust(&summary.last)? - robust(&summary.best)?)
}

/// Text in place of a number that was not measured.
pub fn missing(ended: bool) -> &'static str {
    if ended { "not measured" } else { "not measured yet" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u32, robust: f64, cas: Option<f64>) -> Option<EpochSummary> {
        Some(EpochSummary { epoch, clean_accuracy: None, robust_accuracy: Some(robust), cas, signs: Vec::new() })
    }

    #[track_caller]
    fn check(best: Option<EpochSummary>, last: Option<EpochSummary>, expected: Option<&str>) {
        let summary = RunSummary { best, last, ..RunSummary::default() };
        assert_eq!(best_to_last(&summary).as_deref(), expected);
    }

    #[test]
    fn a_cas_that_did_not_fall_is_set_against_the_paper() {
        check(
            epoch(12, 0.716, Some(20.1)),
            epoch(60, 0.605, Some(24.3)),
            Some(
                "Robust accuracy fell by 11.1 pp from epoch 12 (best) to epoch 60 (last); CAS rose from 20.1 to 24.3. \
                 The paper reports a falling CAS on CIFAR-10.",
            ),
        );
        check(
            epoch(1, 0.4, Some(20.1)),
            epoch(2, 0.4, Some(20.12)),
            Some(
                "Robust accuracy did not change from epoch 1 (best) to epoch 2 (last); CAS stayed at 20.1. \
                 The paper reports a falling CAS on CIFAR-10.",
            ),
        );
    }

    #[test]
    fn a_falling_cas_needs_no_comment() {
        check(
            epoch(108, 0.478, Some(25.6)),
            epoch(200, 0.425, Some(9.0)),
            Some("Robust accuracy fell by 5.3 pp from epoch 108 (best) to epoch 200 (last); CAS fell from 25.6 to 9.0."),
        );
    }

    #[test]
    fn a_change_that_rounds_to_nothing_is_none() {
        let sentence = |before, after| {
            let measured = |name: &str, cas| Measured { name: name.to_owned(), robust_accuracy: Some(0.5), cas: Some(cas) };
            change(&measured("A", before), &measured("B", after)).unwrap()
        };
        assert!(sentence(10.14, 10.06).contains("CAS stayed at 10.1."));
        assert!(sentence(10.06, 10.14).contains("CAS stayed at 10.1."));
        assert!(sentence(10.16, 10.06).contains("CAS fell from 10.2 to 10.1."));
        // With two classes, CAS is at most 2.
        assert!(sentence(0.34, 0.31).contains("CAS fell from 0.34 to 0.31."));
        assert!(sentence(0.341, 0.339).contains("CAS stayed at 0.34."));
        assert!(with_paper(String::new(), Some(10.14), Some(10.06)).contains("The paper"));
        assert_eq!(with_paper(String::new(), Some(10.16), Some(10.06)), "");
    }

    #[test]
    fn the_gap_is_a_loss_and_none_is_no_negative_zero() {
        let gap = |last: f64| gap(&RunSummary { best: epoch(1, 0.5, None), last: epoch(2, last, None), ..RunSummary::default() });
        assert_eq!(format::points(gap(0.25)), "−25.0 pp");
        assert_eq!(format::points(gap(0.5)), "+0.0 pp");
    }

    #[test]
    fn only_what_was_measured_is_said() {
        check(None, None, None);
        check(
            epoch(5, 0.5, None),
            epoch(9, 0.4, Some(1.0)),
            Some("Robust accuracy fell by 10.0 pp from epoch 5 (best) to epoch 9 (last)."),
        );
        check(
            epoch(5, 0.5, None),
            epoch(5, 0.5, None),
            Some("Robust accuracy is highest in the last evaluated epoch, 5: best and last are one checkpoint."),
        );
    }
}
