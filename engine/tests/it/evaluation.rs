//! Robustness evaluation: attacks run one after another on the remaining images, and can be stopped and
//! resumed anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::attack::{Attack, perturb};
use engine::autoattack::Ball;
use engine::data::{self, Split};
use engine::model::Network;
use engine::random::{self, Purpose, Seed};
use engine::robustness::{self, Event, NamedAttack, Plan, State};
use engine::stop::Stop;
use engine::{Error, job};
use serde_json::{Value, json};
use shared::api::EvaluationFile;
use shared::config::{AutoAttack, BatchNormMode, DataConfig, Norm, PgdConfig};
use shared::dataset::Dataset;
use shared::eps::Eps;
use shared::fixtures::without_durations;
use shared::record::NoticeKind;
use shared::rundir::StopReason;
use shared::signs::{self, SignKind};
use tch::{Kind, Tensor};
use tempfile::TempDir;

use crate::worker::{self, metrics, terminate, wait_for, worker};
use crate::{small_network, tiny_config, values};

/// An attack that an untrained network resists on some digits.
fn pgd() -> Attack {
    Attack::to_measure(&PgdConfig { steps: 5, ..PgdConfig::of(Norm::Linf, Eps::of_255(30.0)) })
}

/// Two batches of digits. Labels are the predictions of an untrained network, except for every seventh image.
fn digits(network: &Network) -> Split {
    let images = data::load(&DataConfig::of(Dataset::Digits), 0).unwrap().test.images().narrow(0, 0, 330);
    let seen = network.forward(&images, BatchNormMode::Eval).logits.argmax(1, false);
    let wrong = Tensor::arange(seen.size()[0], (Kind::Int64, seen.device())).remainder(7).eq(0);
    Split::new(images, (&seen + wrong).remainder(10))
}

fn attacks() -> Vec<NamedAttack> {
    let ball = Ball { norm: Norm::Linf, eps: Eps::of_255(45.0) };
    let of_autoattack = [AutoAttack::Square, AutoAttack::ApgdCe].map(|attack| NamedAttack::autoattack(attack, ball, 10, 100).unwrap());
    [NamedAttack::pgd(&pgd(), 3)].into_iter().chain(of_autoattack).collect()
}

/// A self-check whose few steps are too few.
fn check_attacks() -> [Attack; 3] {
    let linf = |eps, steps| Attack::to_measure(&PgdConfig { steps, ..PgdConfig::of(Norm::Linf, Eps::of_255(eps)) });
    let slow = |steps| Attack { step_size: Eps::of_255(4.0), ..linf(30.0, steps) };
    [slow(1), slow(12), linf(200.0, 5)]
}

/// The state without durations, which differ between runs.
fn timeless(state: &State) -> Value {
    let mut value = json!(state);
    without_durations(&mut value);
    value
}

fn evaluate(
    network: &Network,
    split: &Split,
    state: &mut State,
    observe: &mut dyn FnMut(&State, Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (attacks, check) = (attacks(), check_attacks());
    let plan = Plan { attacks: &attacks, self_check: Some(&check), seed: 3 };
    robustness::run(network, split, plan, state, &mut (), &Stop::default(), observe)
}

#[test]
fn an_evaluation_stopped_after_any_batch_ends_with_the_same_numbers() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let split = digits(&network);
    let mut events = 0;
    let mut whole = State::default();
    let mut count = |_: &State, _: Event<'_>| {
        events += 1;
        Ok(())
    };
    evaluate(&network, &split, &mut whole, &mut count).unwrap();
    assert!(events > 10, "{events} events are too few to stop at");

    let mut stopped = State::default();
    for _ in 0..events {
        // Continue from the state on disk, and stop one event later each time.
        stopped = serde_json::from_str(&serde_json::to_string(&stopped).unwrap()).unwrap();
        let mut first = true;
        let mut stop = |_: &State, _: Event<'_>| if std::mem::take(&mut first) { Ok(()) } else { Err(Error::Stopped(StopReason::Cancel)) };
        let _ = evaluate(&network, &split, &mut stopped, &mut stop);
    }
    assert_eq!(timeless(&stopped), timeless(&whole));
    assert!(stopped.self_check(&check_attacks(), &split_labels(&split)).is_some());
}

#[test]
fn each_attack_is_run_on_what_the_ones_before_have_left() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let split = digits(&network);
    let mut state = State::default();
    let mut done = Vec::new();
    let mut observe = |_: &State, event: Event<'_>| {
        if let Event::Batch { done: now, of } = event {
            done.push(f64::from(now) / f64::from(of));
        }
        Ok(())
    };
    evaluate(&network, &split, &mut state, &mut observe).unwrap();

    let names: Vec<&str> = state.steps.iter().map(|step| step.attack.as_str()).collect();
    assert_eq!(names, ["clean", "PGD-5, 3 starts", "Square, 100 queries", "APGD-CE"]);
    assert_eq!((state.steps[0].attacked, state.steps[0].broken), (330, 48));
    for pair in state.steps.windows(2) {
        assert_eq!(pair[1].attacked, pair[0].attacked - pair[0].broken);
        assert!((pair[1].accuracy - f64::from(pair[1].attacked - pair[1].broken) / 330.0).abs() < 1e-12);
    }
    assert!(state.steps[1].broken > 0 && state.steps[3].broken > 0, "nothing to see in {:?}", state.steps);
    assert!(done.is_sorted() && done.iter().all(|part| (0.0..=1.0).contains(part)) && done.last() > Some(&0.9), "{done:?}");

    // Compare with three separate PGD attacks.
    let (images, labels) = (split.images(), &split.labels);
    let mut left = network.forward(&images, BatchNormMode::Eval).logits.argmax(1, false).eq_tensor(labels);
    for start in 0..3 {
        let seed = Seed { run: 3, purpose: Purpose::Evaluation, epoch: 0, step: start };
        let start = random::draw(seed, || pgd().start(&images));
        let found = perturb(&network, &images, labels, &start, &pgd(), &Stop::default()).unwrap().images;
        left = left.logical_and(&network.forward(&found, BatchNormMode::Eval).logits.argmax(1, false).eq_tensor(labels));
    }
    assert_eq!(f64::from(state.steps[2].attacked), values(&left).iter().sum::<f64>());
}

fn split_labels(split: &Split) -> Vec<i64> {
    Vec::try_from(&split.labels).unwrap()
}

/// PGD in ℓ∞ as the paper writes it, on images at `rows` of a split: which of them are still classified correctly.
fn pgd_by_hand(network: &Network, split: &Split, rows: &[i64], attack: &Attack) -> Vec<bool> {
    let rows = Tensor::from_slice(rows);
    let seed = Seed { run: 3, purpose: Purpose::Evaluation, epoch: 0, step: 0 };
    let start = random::draw(seed, || attack.start(&split.images())).index_select(0, &rows);
    let (images, labels) = split.select(&rows);
    let (eps, step) = (attack.eps.fraction(), attack.step_size.fraction());
    let logits = |images: &Tensor| network.forward(images, BatchNormMode::Eval).logits;
    let mut points = (&images + start).clamp(0.0, 1.0);
    for _ in 0..attack.steps {
        let leaf = points.detach().set_requires_grad(true);
        let picked = logits(&leaf).log_softmax(1, Kind::Float).gather(1, &labels.unsqueeze(1), false);
        (-picked.sum(Kind::Float)).backward();
        let offset = (&points - &images + leaf.grad().sign() * step).clamp(-eps, eps);
        points = (&images + offset).clamp(0.0, 1.0);
    }
    Vec::try_from(logits(&points).argmax(1, false).eq_tensor(&labels)).unwrap()
}

#[test]
fn a_self_check_counts_what_each_attack_leaves_of_the_same_images() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let split = digits(&network);
    let mut state = State::default();
    evaluate(&network, &split, &mut state, &mut |_, _| Ok(())).unwrap();
    let [few, many, large] = &check_attacks();
    let found = state.self_check(&check_attacks(), &split_labels(&split)).unwrap();

    // 200 of 330 in even steps; every seventh image has another label than the network gives it.
    let chosen: Vec<i64> = (0..200).map(|index| index * 330 / 200).collect();
    let rows: Vec<i64> = chosen.iter().copied().filter(|row| row % 7 != 0).collect();
    assert_eq!((found.images, found.clean), (200, rows.len() as u32));
    let by_hand = [few, many, large].map(|attack| pgd_by_hand(&network, &split, &rows, attack));
    for (checked, correct) in [&found.few_steps, &found.many_steps, &found.large_radius].into_iter().zip(&by_hand) {
        let correct = correct.iter().filter(|correct| **correct).count();
        assert_eq!((checked.correct as usize, checked.accuracy), (correct, correct as f64 / 200.0));
        assert_eq!(checked.broken_gradients, None);
    }
    let pairs = || by_hand[0].iter().zip(&by_hand[1]);
    assert_eq!(found.only_many as usize, pairs().filter(|(few, many)| **few && !**many).count());
    assert_eq!(found.only_few as usize, pairs().filter(|(few, many)| !**few && **many).count());
    let kinds: Vec<SignKind> = signs::of_evaluation(&state.steps, Some(&found)).into_iter().map(|sign| sign.kind).collect();
    assert!(kinds.contains(&SignKind::TooFewSteps), "{found:?}");
}

/// Creates a folder with a run that was trained for a second.
fn trained() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut config = tiny_config();
    config.attribution.inputs.clear();
    worker::train(&root, "base", config);
    root
}

/// Creates an evaluation run beside the trained one.
fn evaluation(root: &TempDir, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut config = json!({
        "kind": "evaluate", "checkpoint": "base.best", "seed": 5, "device": "cpu", "eps": "8/255", "square_queries": 200,
        "pgd": {"steps": 4, "restarts": 2}, "autoattack": ["apgd_ce", "square"]
    });
    change(&mut config);
    worker::beside(root, name, &config)
}

fn result(directory: &Path) -> EvaluationFile {
    serde_json::from_str(&fs::read_to_string(directory.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn an_evaluation_leaves_its_result_and_says_what_to_report() {
    let root = trained();
    let directory = evaluation(&root, "some", |_| {});
    job::run(&directory, &Stop::default()).unwrap();
    let (result, metrics) = (result(&directory), metrics(&directory));

    assert_eq!(metrics.evaluation, result.steps);
    assert_eq!((metrics.fraction_done(), metrics.notices.len()), (1.0, 0));
    assert_eq!(metrics.started.as_ref().unwrap().test_samples, 40);
    let base = crate::worker::metrics(&root.path().join("base"));
    let epoch = base.best().unwrap();
    assert_eq!(Some(result.clean_accuracy), epoch.test_clean_accuracy);
    assert_eq!(result.checkpoint.to_string(), format!("base.e{}", epoch.epoch));
    assert_eq!(result.robust_accuracy, result.steps.last().unwrap().accuracy);
    assert_eq!((result.norm, result.eps), (Norm::Linf, Eps::of_255(8.0)));
    assert_eq!(result.class_counts, vec![4; 10]);
    for (class, row) in result.confusion.iter().enumerate() {
        assert_eq!(row.iter().sum::<u32>(), 4);
        assert_eq!(result.class_robust_accuracy[class], f64::from(row[class]) / 4.0);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / 10.0;
    assert!((mean(&result.class_clean_accuracy) - result.clean_accuracy).abs() < 1e-12);
    assert!((mean(&result.class_robust_accuracy) - result.robust_accuracy).abs() < 1e-12);
    assert!(!directory.join("evaluation.state.json").exists());
    let start = "Robust accuracy against PGD-4, 2 starts; APGD-CE; Square, 200 queries (not the standard AutoAttack), the worst for each \
                 image, at ℓ∞ 8/255 (0.0314) on 40 test images: ";
    assert!(result.report.starts_with(start), "{}", result.report);

    let again = job::run(&directory, &Stop::default()).unwrap_err();
    assert!(again.to_string().contains("finished run"), "{again}");
}

#[test]
fn the_standard_autoattack_is_named_so() {
    let root = trained();
    let directory = evaluation(&root, "standard", |config| {
        for name in ["pgd", "autoattack", "square_queries", "eps"] {
            config.as_object_mut().unwrap().remove(name);
        }
        config["samples"] = json!(10);
    });
    job::run(&directory, &Stop::default()).unwrap();
    let result = result(&directory);
    let names: Vec<&str> = result.steps.iter().map(|step| step.attack.as_str()).collect();
    assert_eq!(names, ["clean", "APGD-CE", "APGD-DLR, targeted", "FAB, targeted", "Square"]);
    assert_eq!(result.class_counts, vec![1; 10]);
    // The configuration names no threat model, so that of the trained run is used.
    let start = "AutoAttack (standard) robust accuracy at ℓ∞ 25.5/255 (0.1000) on 10 test images: ";
    assert!(result.report.starts_with(start), "{}", result.report);
}

#[test]
fn an_evaluation_stopped_and_killed_goes_on_to_the_same_result() {
    let root = trained();
    // Two batches of images, and enough queries that there is time to stop.
    let long = |config: &mut Value| {
        config["data"] = json!({"dataset": "digits", "test_samples": 280});
        config["square_queries"] = json!(500);
        config["eps"] = json!("4/255");
        config["self_check"] = json!(true);
    };
    let (whole, stopped) = (evaluation(&root, "whole", long), evaluation(&root, "stopped", long));
    job::run(&whole, &Stop::default()).unwrap();

    let start = |seen: &dyn Fn() -> bool| {
        let mut child = worker().arg(&stopped).spawn().unwrap();
        wait_for("begin", || {
            assert!(child.try_wait().unwrap().is_none(), "the worker ended by itself");
            seen()
        });
        child
    };
    let done = |steps| move |directory: &Path| metrics(directory).evaluation.len() >= steps;
    let mut child = start(&|| done(2)(&stopped));
    let asked = Instant::now();
    terminate(&child);
    wait_for("end", || child.try_wait().unwrap().is_some());
    assert!(asked.elapsed() < Duration::from_secs(5), "the stop took {:?}", asked.elapsed());
    assert_eq!(child.wait().unwrap().code(), Some(85));
    assert!(stopped.join("evaluation.state.json").exists() && !stopped.join("evaluation.json").exists());

    let mut child = start(&|| done(3)(&stopped));
    child.kill().unwrap();
    child.wait().unwrap();

    job::run(&stopped, &Stop::default()).unwrap();
    let timeless = |file: EvaluationFile| {
        let mut value = json!(file);
        without_durations(&mut value);
        value
    };
    assert_eq!(timeless(result(&stopped)), timeless(result(&whole)));
    assert!(result(&stopped).self_check.is_some());
    let metrics = metrics(&stopped);
    assert_eq!(metrics.evaluation, result(&stopped).steps);
    assert!(metrics.notices.iter().all(|notice| notice.kind == NoticeKind::Resumed) && !metrics.notices.is_empty());
}

#[track_caller]
fn check_refused(root: &TempDir, name: &str, change: impl FnOnce(&mut Value), parts: &[&str]) {
    let error = job::run(&evaluation(root, name, change), &Stop::default()).unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    let root = trained();
    check_refused(&root, "gone", |config| config["checkpoint"] = json!("lost.best"), &["`lost.best`", "no run directory"]);
    check_refused(&root, "epoch", |config| config["checkpoint"] = json!("base.e99"), &["`base.e99`", "kept the epochs"]);
    check_refused(&root, "split", |config| config["split"] = json!("holdout"), &["held out"]);
    check_refused(&root, "many", |config| config["samples"] = json!(41), &["41 test images", "40"]);

    let directory = evaluation(&root, "other", |_| {});
    fs::write(directory.join("evaluation.state.json"), r#"{"checkpoint_sha256": "0", "state": {"clean": [], "worst": [], "steps": []}}"#)
        .unwrap();
    let error = job::run(&directory, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("another checkpoint than base.e"), "{error}");
}
