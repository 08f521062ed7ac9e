//! Signs that a measurement of robustness is broken, in words: what was seen, what it means, what to do.
//!
//! Knows nothing of how the facts were measured. Sources: Athalye, Carlini, Wagner 2018, section 3.1,
//! <https://arxiv.org/abs/1802.00420>; Carlini et al. 2019, <https://arxiv.org/abs/1902.06705>; Croce and
//! Hein 2020, <https://arxiv.org/abs/2003.01690>.

use serde::{Deserialize, Serialize};

use crate::api::{Attribution, CheckedAttack, Overlap, SelfCheck};
use crate::config::{AutoAttack, ThreatModel};
use crate::eps_curve::wilson;
use crate::format;
use crate::id::CheckpointId;
use crate::record::{BrokenGradients, Epoch, EpsPoint, EvaluationStep, Metrics, Transfer};

/// What a sign is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// The gradient of the loss is zero everywhere on some images: Carlini et al. 2019.
    ZeroGradients,
    /// The gradient of the loss has entries that are not finite on some images: Carlini et al. 2019.
    NotFiniteGradients,
    /// More steps from the same starts fool more images than chance explains: Carlini et al. 2019.
    TooFewSteps,
    /// Accuracy does not fall to 0 at a large radius: Athalye et al. 2018.
    RobustAtLargeRadius,
    /// Accuracy rises with the radius: Athalye et al. 2018.
    RisingAccuracy,
    /// An attack without gradients succeeds where those by gradients failed: Croce and Hein 2020.
    MaskedGradients,
    /// Images attacked on another network fool this one more often than those attacked on itself: Athalye et
    /// al. 2018.
    TransferIsStronger,
}

/// A sign that a measurement of robustness is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sign {
    /// What it is a sign of.
    pub kind: SignKind,
    /// What was seen, what it means and what to do, in sentences.
    pub message: String,
}

/// Level of the sign test. An evaluation that is as it should be is doubted once in a hundred times at most.
const LEVEL: f64 = 0.01;
/// Accuracy counts as near 0 if its interval reaches below this.
const NEAR_ZERO: f64 = 0.01;
/// Square may fool this fraction of all images after gradients have failed: the limit in AutoAttack's public
/// code.
const SQUARE_LIMIT: f64 = 0.002;

impl SignKind {
    /// The heading of a sentence.
    pub fn title(self) -> &'static str {
        match self {
            SignKind::ZeroGradients => "Gradients are zero",
            SignKind::NotFiniteGradients => "Gradients are not finite",
            SignKind::TooFewSteps => "More steps fool more images",
            SignKind::RobustAtLargeRadius => "Accuracy stays up at a large radius",
            SignKind::RisingAccuracy => "Accuracy rises with the radius",
            SignKind::MaskedGradients => "Gradients are masked",
            SignKind::TransferIsStronger => "Images from elsewhere fool more",
        }
    }
}

impl Sign {
    fn new(kind: SignKind, message: String) -> Self {
        Sign { kind, message }
    }

    /// Says first where it was seen, such as `Epoch 12`.
    pub fn at(self, place: &str) -> Self {
        Sign { message: format!("{place}: {}", self.message), ..self }
    }
}

/// What the first gradients of an attack tell.
pub fn of_gradients(broken: Option<&BrokenGradients>) -> Vec<Sign> {
    let Some(BrokenGradients { images, zero, not_finite }) = broken.copied() else { return Vec::new() };
    let share = |count: u32| {
        let fraction = format::percent(f64::from(count) / f64::from(images.max(1)));
        format!("{} of {} attacked images ({fraction})", format::count(count.into()), format::count(images.into()))
    };
    let zero = (zero > 0).then(|| {
        let message = format!(
            "On {}, the gradient of the loss is zero everywhere, so PGD stays where it starts and these images were hardly attacked. Robust \
             accuracy may be lower than measured. A softmax that saturates, units that pass no gradient or a step that has none do this \
             (Athalye et al. 2018; Carlini et al. 2019). Attack with a loss that does not saturate (targeted APGD-DLR) and without \
             gradients (Square): both are in AutoAttack.",
            share(zero)
        );
        Sign::new(SignKind::ZeroGradients, message)
    });
    let not_finite = (not_finite > 0).then(|| {
        let message = format!(
            "On {}, the gradient of the loss has entries that are infinite or not a number, and a step along it leads nowhere. Robust \
             accuracy may be lower than measured. Numbers overflow in the network or its loss (Carlini et al. 2019). Measure in float32, \
             look for roots, logarithms and divisions at 0, and hold the result against Square, which needs no gradients.",
            share(not_finite)
        );
        Sign::new(SignKind::NotFiniteGradients, message)
    });
    zero.into_iter().chain(not_finite).collect()
}

/// What the records of an epoch tell of its robust accuracies: of that on the test images, and where those
/// show nothing of a kind, of that on held-out images.
pub fn of_epoch(epoch: &Epoch) -> Vec<Sign> {
    let mut signs = of_gradients(epoch.broken_gradients.as_ref());
    for sign in of_gradients(epoch.holdout_broken_gradients.as_ref()) {
        if signs.iter().all(|known| known.kind != sign.kind) {
            signs.push(sign.at("Held-out images"));
        }
    }
    signs
}

/// What the epochs of a training run tell of their robust accuracies: the worst epoch, and how many others
/// there are.
pub fn of_training(metrics: &Metrics) -> Vec<Sign> {
    let count = |epoch: &Epoch| -> u32 {
        [epoch.broken_gradients, epoch.holdout_broken_gradients].iter().flatten().map(BrokenGradients::count).sum()
    };
    let broken: Vec<&Epoch> = metrics.epochs_from_first().filter(|epoch| count(epoch) > 0).collect();
    let Some(worst) = broken.iter().rev().max_by_key(|epoch| count(epoch)) else { return Vec::new() };
    let place = match broken.len() {
        1 => format!("Epoch {}", worst.epoch),
        count => format!("Epoch {}, the worst of {count} such epochs", worst.epoch),
    };
    of_epoch(worst).into_iter().map(|sign| sign.at(&place)).collect()
}

/// What is known of the accuracy of an attribution: of its own inputs, and of its epoch where its run has
/// trained.
pub fn of_attribution(attribution: &Attribution) -> Vec<Sign> {
    let own = of_gradients(attribution.file.broken_gradients.as_ref());
    if own.is_empty() { attribution.context.signs.clone() } else { own }
}

/// What the attacks of an evaluation tell, and its check of itself if it has made one.
pub fn of_evaluation(steps: &[EvaluationStep], self_check: Option<&SelfCheck>) -> Vec<Sign> {
    let at = |name: &str, broken: Option<&BrokenGradients>| of_gradients(broken).into_iter().map(|sign| sign.at(name)).collect::<Vec<_>>();
    let mut signs: Vec<Sign> = steps.iter().flat_map(|step| at(&step.attack, step.broken_gradients.as_ref())).collect();
    if let Some(check) = self_check {
        // The first gradients of both attacks at the usual radius are the same.
        if signs.is_empty() {
            signs = at(&check.few_steps.name(), check.few_steps.broken_gradients.as_ref());
        }
        signs.extend(too_few_steps(check));
        let large = &check.large_radius;
        signs.extend(stays_up(ThreatModel { norm: check.norm, eps: large.eps }, large.accuracy, large.accuracy_interval));
    }
    signs.extend(masked_gradients(steps));
    signs
}

/// Square, which uses no gradients, succeeds where targeted APGD failed, on more than 0.2 % of all images.
pub fn masked_gradients(steps: &[EvaluationStep]) -> Option<Sign> {
    let is = |step: &EvaluationStep, attack: AutoAttack| step.attack.starts_with(attack.label());
    let square = steps.iter().position(|step| is(step, AutoAttack::Square))?;
    let by_gradients = steps[..square].iter().any(|step| is(step, AutoAttack::ApgdT));
    let broken = steps[square].broken;
    (by_gradients && f64::from(broken) > SQUARE_LIMIT * f64::from(steps[0].attacked)).then(|| {
        let message = format!(
            "Square, which uses only logits, found adversarial versions of {broken} images on which gradient-based attacks had failed. The \
             gradients of this network may be masked, and its robust accuracy lower than measured (Croce and Hein 2020). Check it with an \
             attack adapted to this network."
        );
        Sign::new(SignKind::MaskedGradients, message)
    })
}

/// More steps of the same size from the same starts fool more images, by the exact sign test on the images on
/// which the two attacks differ: McNemar 1947, <https://doi.org/10.1007/BF02295996>.
fn too_few_steps(check: &SelfCheck) -> Option<Sign> {
    let SelfCheck { few_steps: few, many_steps: many, only_many, only_few, p, .. } = check;
    (*p <= LEVEL).then(|| {
        let message = format!(
            "{} steps fool {only_many} of {} images that {} steps of the same size from the same starts leave correct; the reverse happens \
             {only_few} times. Accuracy is {} after the fewer and {} after the more steps, and chance alone would do this with p = {} \
             (exact sign test). The attack has not converged, so a robust accuracy by PGD-{} is too high (Carlini et al. 2019). Report \
             one by more steps and several starts, or AutoAttack.",
            many.steps,
            check.images,
            few.steps,
            format::percent(few.accuracy),
            format::percent(many.accuracy),
            format::short(*p),
            few.steps,
        );
        Sign::new(SignKind::TooFewSteps, message)
    })
}

/// p of the one-sided sign test: how often a fair coin gives `more` heads or more in `more + fewer` tosses.
pub fn sign_test(more: u32, fewer: u32) -> f64 {
    let tosses = more + fewer;
    // Of the probabilities of 0, 1, 2, … heads, those from `more` on.
    let mut probability = 0.5_f64.powi(tosses as i32);
    let mut p = 0.0;
    for heads in 0..=tosses {
        if heads >= more {
            p += probability;
        }
        probability *= f64::from(tosses - heads) / f64::from(heads + 1);
    }
    p.min(1.0)
}

/// What the gradients at each checkpoint tell of the robust accuracies of a pair of classes: those of the
/// attack, of all that a checkpoint has for it, that fails on most images. `overlaps` and `checkpoints` are
/// in the same order.
pub fn of_pair(overlaps: &[Overlap], checkpoints: &[CheckpointId]) -> Vec<Sign> {
    let of_checkpoint = |(Overlap { leave_out, .. }, checkpoint): (&Overlap, &CheckpointId)| {
        let controls = leave_out.control.iter().map(|found| (found, " without other dimensions"));
        let all = [(&leave_out.whole, ""), (&leave_out.without, " without the shared dimensions")].into_iter().chain(controls);
        let broken = all.filter_map(|(found, network)| Some((found.broken_gradients.as_ref()?, network)));
        // Of equal ones the first, which comes last here.
        let worst = broken.collect::<Vec<_>>().into_iter().rev().max_by_key(|(broken, _)| broken.count());
        let said = worst.map(|(broken, network)| (of_gradients(Some(broken)), format!("At {checkpoint}{network}")));
        said.into_iter().flat_map(|(signs, place)| signs.into_iter().map(move |sign| sign.at(&place))).collect::<Vec<_>>()
    };
    overlaps.iter().zip(checkpoints).flat_map(of_checkpoint).collect()
}

/// What a transfer matrix tells: the gradients of the worst source, and for each checkpoint whether images
/// attacked on another one fool it more often than those attacked on itself.
pub fn of_transfer(transfer: &Transfer) -> Vec<Sign> {
    let name = |index: usize| transfer.checkpoints.get(index).map_or_else(String::new, |checkpoint| checkpoint.id.to_string());
    let broken = transfer.rows.iter().rev().filter_map(|row| Some((row.source?, row.broken_gradients.as_ref()?)));
    let worst = broken.max_by_key(|(_, broken)| broken.count());
    let of_worst = worst.into_iter().flat_map(|(source, broken)| {
        let place = format!("Attacked on {}", name(source));
        of_gradients(Some(broken)).into_iter().map(move |sign| sign.at(&place))
    });
    let of_target = |target: usize| {
        let correct = |source: usize| transfer.row(Some(source))?.correct.get(target).copied();
        let own = correct(target)?;
        let others = (0..transfer.checkpoints.len()).filter(|source| *source != target);
        let (lowest, source) = others.filter_map(|source| Some((correct(source)?, source))).min()?;
        transfer_is_stronger(&name(target), own, &name(source), lowest, transfer.images)
    };
    of_worst.chain((0..transfer.checkpoints.len()).filter_map(of_target)).collect()
}

/// Fewer images are classified correctly under the attack on `other` than under that on the network itself,
/// beyond both 95 % intervals.
fn transfer_is_stronger(network: &str, own: u32, other: &str, lowest: u32, images: u32) -> Option<Sign> {
    let accuracy = |correct: u32| (f64::from(correct) / f64::from(images.max(1)), wilson(correct, images));
    let ((own, own_interval), (lowest, interval)) = (accuracy(own), accuracy(lowest));
    (interval[1] < own_interval[0]).then(|| {
        let message = format!(
            "The accuracy of {network} is {} on images attacked on itself, and {} on the same images attacked on {other}, beyond the 95 % \
             intervals. An attack that has the gradients of a network should not do worse than one that lacks them, so the attack on \
             {network} fails, and its robust accuracy is too high: its gradients may be masked, or the steps too few (Athalye et al. \
             2018; Carlini et al. 2019). Evaluate it with AutoAttack.",
            with_interval(own, own_interval),
            with_interval(lowest, interval),
        );
        Sign::new(SignKind::TransferIsStronger, message)
    })
}

/// What the point of a curve over eps tells. `is_last`: no larger radius is measured or will be.
pub fn of_point(before: Option<&EpsPoint>, point: &EpsPoint, is_last: bool) -> Vec<Sign> {
    let mut signs = of_gradients(point.broken_gradients.as_ref());
    signs.extend(before.and_then(|before| rises(before, point)));
    if is_last && point.steps > 0 {
        signs.extend(stays_up(point.threat(), point.accuracy, point.accuracy_interval));
    }
    signs
}

/// What the gradients at the worst of all radii of a curve over eps tell.
pub fn of_curve_gradients(points: &[EpsPoint]) -> Vec<Sign> {
    let broken = points.iter().filter_map(|point| Some((point, point.broken_gradients.as_ref()?)));
    let Some((worst, broken)) = broken.max_by_key(|(_, broken)| broken.count()) else { return Vec::new() };
    let place = format!("At {}", worst.threat().long());
    of_gradients(Some(broken)).into_iter().map(|sign| sign.at(&place)).collect()
}

/// Accuracy rises from one radius to the next, beyond both 95 % intervals.
pub(crate) fn rises(before: &EpsPoint, after: &EpsPoint) -> Option<Sign> {
    (after.accuracy_interval[0] > before.accuracy_interval[1]).then(|| {
        let message = format!(
            "Accuracy rises from {} at {} to {} at {}, beyond its 95 % intervals. A larger radius allows everything that a smaller one does, so \
             the attack fails here, and the network is less robust than it looks: its gradients may be masked, or {} steps may be too few.",
            with_interval(before.accuracy, before.accuracy_interval),
            before.threat(),
            with_interval(after.accuracy, after.accuracy_interval),
            after.threat(),
            after.steps
        );
        Sign::new(SignKind::RisingAccuracy, message)
    })
}

/// Accuracy does not fall to about 0 at a large radius: its interval stays above 1 %.
pub(crate) fn stays_up(threat: ThreatModel, accuracy: f64, interval: [f64; 2]) -> Option<Sign> {
    (interval[0] > NEAR_ZERO).then(|| {
        let message = format!(
            "Accuracy does not fall to 0: at {}, it is still {}. A large enough radius turns every image into one of another class, so an \
             accuracy that stays up where the radius goes on growing is the sign of an attack that fails, not of a robust network: masked \
             gradients, or too few steps. Measure larger radii as well, and hold one against AutoAttack, before these numbers are trusted.",
            threat.long(),
            with_interval(accuracy, interval)
        );
        Sign::new(SignKind::RobustAtLargeRadius, message)
    })
}

/// Such as `12.0 % (8.2 % to 17.2 %)`.
pub(crate) fn with_interval(accuracy: f64, [low, high]: [f64; 2]) -> String {
    format!("{} ({} to {})", format::percent(accuracy), format::percent(low), format::percent(high))
}

impl CheckedAttack {
    /// Such as `PGD-20`.
    pub fn name(&self) -> String {
        format!("PGD-{}", self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LeaveOut, PairAccuracy};
    use crate::config::Norm;
    use crate::eps::Eps;
    use crate::fixtures::{self, eps_point};
    use crate::matrix::Matrix;
    use crate::record::Record;

    fn broken(images: u32, zero: u32, not_finite: u32) -> Option<BrokenGradients> {
        BrokenGradients { images, zero, not_finite }.if_any()
    }

    fn step(attack: &str, broken: u32) -> EvaluationStep {
        EvaluationStep { attack: attack.to_owned(), attacked: 1000, broken, accuracy: 0.0, seconds: 0.0, broken_gradients: None }
    }

    fn check_of(only_many: u32, only_few: u32, at_large: u32) -> SelfCheck {
        let attack = |eps: f64, steps, correct| CheckedAttack {
            eps: Eps::of_255(eps),
            step_size: Eps::of_255(eps / 4.0),
            steps,
            correct,
            accuracy: f64::from(correct) / 200.0,
            accuracy_interval: wilson(correct, 200),
            broken_gradients: None,
            seconds: 1.0,
        };
        SelfCheck {
            images: 200,
            clean: 180,
            norm: Norm::Linf,
            few_steps: attack(8.0, 20, 100),
            many_steps: attack(8.0, 100, 100 + only_few - only_many),
            only_many,
            only_few,
            p: sign_test(only_many, only_few),
            large_radius: attack(64.0, 20, at_large),
        }
    }

    fn kinds(signs: &[Sign]) -> Vec<SignKind> {
        signs.iter().map(|sign| sign.kind).collect()
    }

    #[test]
    fn gradients_of_a_healthy_network_say_nothing() {
        assert_eq!((broken(1000, 0, 0), of_gradients(None)), (None, Vec::new()));
        let signs = of_gradients(broken(1000, 12, 3).as_ref());
        assert_eq!(kinds(&signs), [SignKind::ZeroGradients, SignKind::NotFiniteGradients]);
        assert!(
            signs[0].message.starts_with("On 12 of 1\u{2009}000 attacked images (1.2 %), the gradient of the loss is zero"),
            "{signs:?}"
        );
        assert!(signs[1].message.starts_with("On 3 of 1\u{2009}000 attacked images (0.3 %)"), "{signs:?}");
    }

    #[test]
    fn a_training_run_names_its_worst_epoch() {
        let epoch = |number, zero| Record::Epoch(Epoch { broken_gradients: broken(40, zero, 0), ..fixtures::epoch(number) });
        let said =
            |records: Vec<Record>| of_training(&Metrics::from_records(records)).into_iter().map(|sign| sign.message).collect::<Vec<_>>();
        assert!(said(vec![epoch(1, 0), epoch(2, 0)]).is_empty());
        assert!(said(vec![epoch(1, 0), epoch(2, 3)])[0].starts_with("Epoch 2: On 3 of 40"));
        let several = said(vec![epoch(1, 1), epoch(2, 7), epoch(3, 7)]);
        assert!(several[0].starts_with("Epoch 2, the worst of 3 such epochs: On 7 of 40"), "{several:?}");

        // What both kinds of images show is told of the test images.
        let held_out = |number, of_test, of_held_out| {
            Record::Epoch(Epoch { broken_gradients: of_test, holdout_broken_gradients: of_held_out, ..fixtures::epoch(number) })
        };
        let only = said(vec![held_out(1, None, broken(20, 2, 0)), epoch(2, 1)]);
        assert!(only.len() == 1 && only[0].starts_with("Epoch 1, the worst of 2 such epochs: Held-out images: On 2 of 20"), "{only:?}");
        let both = said(vec![held_out(1, broken(40, 3, 0), broken(20, 2, 1))]);
        assert_eq!(both.len(), 2);
        assert!(both[0].starts_with("Epoch 1: On 3 of 40") && both[1].starts_with("Epoch 1: Held-out images: On 1 of 20"), "{both:?}");
    }

    #[test]
    fn a_pair_names_the_worst_attack_of_each_checkpoint() {
        let accuracy = |broken_gradients| PairAccuracy {
            clean: [0.9; 2],
            robust: [0.5; 2],
            transferred: [0.5; 2],
            crossed: [0.1; 2],
            broken_gradients,
        };
        let overlap = |whole, without, control: u32| Overlap {
            cosine: 0.5,
            carried: 0.4,
            dimensions: Vec::new(),
            sent: [Vec::new(), Vec::new()],
            leave_out: LeaveOut {
                whole: accuracy(broken(200, whole, 0)),
                without: accuracy(broken(200, without, 0)),
                control: vec![accuracy(None), accuracy(broken(200, control, 0))],
            },
        };
        let checkpoints: Vec<CheckpointId> = ["r.e4", "r.e9"].map(|id| id.parse().unwrap()).to_vec();
        let said = |overlaps: [Overlap; 2]| of_pair(&overlaps, &checkpoints).into_iter().map(|sign| sign.message).collect::<Vec<_>>();
        assert!(said([overlap(0, 0, 0), overlap(0, 0, 0)]).is_empty());
        let found = said([overlap(5, 5, 2), overlap(0, 1, 3)]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("At r.e4: On 5 of 200"), "{found:?}");
        assert!(found[1].starts_with("At r.e9 without other dimensions: On 3 of 200"), "{found:?}");
    }

    #[test]
    fn a_transfer_matrix_names_its_worst_source_and_what_is_fooled_more_from_elsewhere() {
        let mut transfer = fixtures::transfer(3);
        assert!(of_transfer(&transfer).is_empty());
        (transfer.rows[1].broken_gradients, transfer.rows[3].broken_gradients) = (broken(1000, 4, 0), broken(1000, 7, 0));
        let said = of_transfer(&transfer);
        assert!(said.len() == 1 && said[0].message.starts_with("Attacked on at-1.e3: On 7 of 1\u{2009}000"), "{said:?}");

        let mut transfer = fixtures::transfer(3);
        // Images attacked on the third, seen by the second.
        transfer.rows[3].correct[1] = 345;
        assert!(of_transfer(&transfer).is_empty(), "34.5 % and 40 % may be chance");
        transfer.rows[3].correct[1] = 330;
        let said = of_transfer(&transfer);
        assert_eq!(kinds(&said), [SignKind::TransferIsStronger]);
        let expected =
            "The accuracy of at-1.e2 is 40.0 % (37.0 % to 43.1 %) on images attacked on itself, and 33.0 % (30.2 % to 36.0 %) on";
        assert!(said[0].message.starts_with(expected) && said[0].message.contains("attacked on at-1.e3,"), "{said:?}");
        transfer.rows.truncate(2);
        assert!(of_transfer(&transfer).is_empty(), "rows that are still to come");
    }

    #[test]
    fn an_attribution_says_what_is_known_of_its_inputs_or_of_its_epoch() {
        let mut attribution = fixtures::attribution("r", 1, Matrix::try_from(vec![vec![1.0, 0.1], vec![0.1, 1.0]]).unwrap());
        assert!(of_attribution(&attribution).is_empty());
        attribution.context.signs = of_gradients(broken(40, 1, 0).as_ref());
        assert_eq!(kinds(&of_attribution(&attribution)), [SignKind::ZeroGradients]);
        attribution.file.broken_gradients = broken(40, 0, 1);
        assert_eq!(kinds(&of_attribution(&attribution)), [SignKind::NotFiniteGradients]);
    }

    #[test]
    fn square_succeeding_after_gradients_failed_is_told() {
        let check = |attacks: &[(&str, u32)], expected: Option<&str>| {
            let steps: Vec<EvaluationStep> = [("clean", 0)].iter().chain(attacks).map(|(attack, broken)| step(attack, *broken)).collect();
            let said = masked_gradients(&steps).map(|sign| sign.message);
            assert_eq!(said.is_some(), expected.is_some(), "{attacks:?}");
            assert!(said.is_none_or(|said| said.contains(expected.unwrap_or_default())), "{attacks:?}");
        };
        let targeted = AutoAttack::ApgdT.label();
        check(&[(targeted, 100), ("Square", 3)], Some("adversarial versions of 3 images"));
        check(&[(targeted, 100), ("FAB, targeted", 0), ("Square, 100 queries", 3)], Some("of 3 images"));
        check(&[(targeted, 100), ("Square", 2)], None);
        check(&[("APGD-CE", 100), ("Square", 3)], None);
        check(&[("Square", 3), (targeted, 100)], None);
        check(&[(targeted, 100)], None);
    }

    #[test]
    fn the_sign_test_is_that_of_scipy() {
        // `scipy.stats.binomtest(more, more + fewer, 0.5, alternative="greater").pvalue`, which are sums of binomials.
        for (more, fewer, expected) in [
            (0, 0, 1.0),
            (0, 3, 1.0),
            (5, 0, 1.0 / 32.0),
            (7, 0, 1.0 / 128.0),
            (8, 1, 10.0 / 512.0),
            (10, 2, 79.0 / 4096.0),
            (3, 3, 42.0 / 64.0),
        ] {
            let found = sign_test(more, fewer);
            assert!((found - expected).abs() < 1e-12, "{more} and {fewer}: {found}");
        }
        // Half of the outcomes, and half of the one in the middle.
        let middle = sign_test(100, 100) - sign_test(101, 99);
        assert!((sign_test(100, 100) - 0.5 - middle / 2.0).abs() < 1e-12);
        assert!(sign_test(200, 0) > 0.0);
    }

    #[test]
    fn an_evaluation_that_checks_itself_says_what_chance_does_not_explain() {
        let signs = |check: &SelfCheck| kinds(&of_evaluation(&[step("clean", 100)], Some(check)));
        assert!(signs(&check_of(0, 0, 0)).is_empty());
        assert!(signs(&check_of(6, 0, 4)).is_empty(), "p = 1/64, and an interval of 4 of 200 that reaches below 1 %");
        assert_eq!(signs(&check_of(7, 0, 0)), [SignKind::TooFewSteps]);
        assert!(signs(&check_of(0, 20, 0)).is_empty(), "fewer steps that fool more are no sign of a weak attack");
        assert_eq!(signs(&check_of(0, 0, 20)), [SignKind::RobustAtLargeRadius]);
        let said = too_few_steps(&check_of(20, 1, 0)).unwrap().message;
        assert!(said.starts_with("100 steps fool 20 of 200 images that 20 steps of the same size"), "{said}");
        assert!(said.contains("Accuracy is 50.0 % after the fewer and 40.5 % after the more steps"), "{said}");

        let mut check = check_of(0, 0, 0);
        check.few_steps.broken_gradients = broken(180, 5, 0);
        let of_check = of_evaluation(&[step("clean", 100)], Some(&check));
        assert!(of_check[0].message.starts_with("PGD-20: On 5 of 180"), "{of_check:?}");
        let pgd = EvaluationStep { broken_gradients: broken(900, 25, 0), ..step("PGD-50", 1) };
        let of_step = of_evaluation(&[step("clean", 100), pgd], Some(&check));
        assert!(of_step.len() == 1 && of_step[0].message.starts_with("PGD-50: On 25 of 900"), "{of_step:?}");
    }

    #[test]
    fn a_point_of_a_curve_says_what_is_seen_at_it() {
        let said = |before: Option<(f64, u32)>, (eps, correct): (f64, u32), is_last| {
            let before = before.map(|(eps, correct)| eps_point(eps, correct));
            kinds(&of_point(before.as_ref(), &eps_point(eps, correct), is_last))
        };
        assert!(said(None, (0.0, 900), true).is_empty(), "nothing was attacked");
        assert!(said(Some((0.0, 900)), (8.0, 500), false).is_empty());
        assert_eq!(said(Some((4.0, 300)), (8.0, 400), false), [SignKind::RisingAccuracy]);
        assert_eq!(said(Some((4.0, 300)), (8.0, 100), true), [SignKind::RobustAtLargeRadius]);
        let mut points = [eps_point(4.0, 300), eps_point(8.0, 0)];
        assert!(of_curve_gradients(&points).is_empty());
        points[1].broken_gradients = broken(1000, 2, 0);
        let said = &of_curve_gradients(&points)[0].message;
        assert!(said.starts_with("At ℓ∞ 8/255 (0.0314): On 2 of 1\u{2009}000"), "{said}");
    }
}
