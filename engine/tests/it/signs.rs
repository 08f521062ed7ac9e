//! Signs of a broken evaluation: a network whose softmax saturates shows them wherever a robust accuracy is
//! recorded, a healthy one does not.

use std::fs;
use std::path::Path;

use engine::attack::{Attack, perturb};
use engine::data::Split;
use engine::evaluate::{EvalInputs, attack_starts, measure};
use engine::kept::Kept;
use engine::model::Network;
use engine::stop::Stop;
use engine::{checkpoint, data};
use serde_json::{Value, json};
use shared::api::{AttributionFile, EvaluationFile, PairFile};
use shared::config::{BatchNormMode, DataConfig, Norm, PgdConfig};
use shared::dataset::Dataset;
use shared::eps::Eps;
use shared::record::BrokenGradients;
use shared::rundir;
use shared::signs::SignKind;
use tch::{Device, Kind, Tensor, no_grad};
use tempfile::TempDir;

use crate::measure::run;
use crate::worker::{self, metrics};
use crate::{small_network, tiny_config, values};

/// By this, logits of even an untrained network are so far apart that the softmax is 1 for one class and 0
/// for the others.
const SATURATING: f64 = 1e8;

fn scale_head(network: &Network, factor: f64) {
    no_grad(|| {
        let mut weight = network.linear_weight().shallow_clone();
        weight *= factor;
    });
}

fn predicted(network: &Network, images: &Tensor) -> Tensor {
    network.forward(images, BatchNormMode::Eval).logits.argmax(1, false)
}

/// Images whose gradient of the cross-entropy is zero, and whose gradient is not finite, taken one by one.
fn count_by_hand(network: &Network, images: &Tensor, labels: &Tensor, start: &Tensor) -> [i64; 2] {
    let mut counts = [0, 0];
    for row in 0..images.size()[0] {
        let of_row = |tensor: &Tensor| tensor.narrow(0, row, 1);
        let leaf = (of_row(images) + of_row(start)).clamp(0.0, 1.0).set_requires_grad(true);
        let log = network.forward(&leaf, BatchNormMode::Eval).logits.log_softmax(1, Kind::Float);
        (-log.gather(1, &of_row(labels).unsqueeze(1), false).sum(Kind::Float)).backward();
        let gradient = values(&leaf.grad());
        counts[0] += i64::from(gradient.iter().all(|value| *value == 0.0));
        counts[1] += i64::from(gradient.iter().any(|value| !value.is_finite()));
    }
    counts
}

#[test]
fn images_without_a_usable_first_gradient_are_counted() {
    let split = data::load(&DataConfig::of(Dataset::Digits), 0).unwrap().test;
    let (images, _) = split.narrow(0, 60);
    for norm in [Norm::Linf, Norm::L2] {
        let attack = Attack::to_measure(&PgdConfig { steps: 3, ..PgdConfig::of(norm, Eps::of_255(8.0)) });
        let start = attack_starts(&split, &attack, 2).narrow(0, 0, 60);
        let found = |factor: f64| {
            let network = small_network(Dataset::Digits, Kind::Float);
            scale_head(&network, factor);
            let labels = predicted(&network, &images);
            let found = perturb(&network, &images, &labels, &start, &attack, &Stop::default()).unwrap().broken_gradients.unwrap();
            let counts: Vec<i64> = Vec::try_from(found.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)).unwrap();
            assert_eq!(counts, count_by_hand(&network, &images, &labels, &start), "{norm:?} {factor}");
            counts
        };
        assert_eq!(found(1.0), [0, 0]);
        assert!(found(SATURATING)[0] > 20, "{norm:?}");
        assert_eq!(found(f64::INFINITY)[1], 60);
    }

    // An epoch and an attribution record them of all images, or nothing.
    let [healthy, saturated] = [1.0, SATURATING].map(|factor| {
        let network = small_network(Dataset::Digits, Kind::Float);
        scale_head(&network, factor);
        network
    });
    let split = Split::new(split.images(), predicted(&saturated, &split.images()));
    let attack = Attack::to_measure(&PgdConfig { steps: 2, ..PgdConfig::of(Norm::Linf, Eps::of_255(8.0)) });
    let measured = |network: &Network, inputs: EvalInputs<'_>| {
        measure(network, &split, inputs, &mut Kept::default(), &mut |_, _| Ok(())).unwrap().broken_gradients
    };
    let attacked = EvalInputs::Attacked { attack: &attack, seed: 2 };
    assert_eq!(measured(&healthy, attacked), None);
    let [zero, not_finite] = count_by_hand(&saturated, &split.images(), &split.labels, &attack_starts(&split, &attack, 2));
    let expected = BrokenGradients { images: split.len() as u32, zero: zero as u32, not_finite: not_finite as u32 };
    assert_eq!((measured(&saturated, attacked), measured(&saturated, EvalInputs::Clean)), (Some(expected), None));
}

/// A run with the checkpoints of epochs 2 and 4, the latter with a head scaled so that its softmax saturates.
fn with_saturated_last() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let config = tiny_config();
    worker::train(&root, "base", config.clone());
    let base = root.path().join("base");
    let file = base.join(rundir::checkpoint_file(4));
    let network = Network::new(&config.model, &Dataset::Digits.info(), 0, Kind::Float, Device::Cpu);
    checkpoint::load(&file, None, &network).unwrap();
    let sidecar = base.join(rundir::sidecar_file(4));
    let before = read(&sidecar)["checkpoint"]["sha256"].as_str().unwrap().to_owned();
    // Enough for a trained one.
    scale_head(&network, 1e6);
    let after = checkpoint::save(&file, &network.snapshot()).unwrap().sha256;
    for text in [sidecar, base.join(rundir::METRICS)] {
        fs::write(&text, fs::read_to_string(&text).unwrap().replace(&before, &after)).unwrap();
    }
    root
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What an evaluation, an attribution and a curve over eps leave of a checkpoint.
fn measured(root: &TempDir, checkpoint: &str) -> (EvaluationFile, AttributionFile, Vec<Option<BrokenGradients>>, String) {
    let of = |kind: &str, more: Value| {
        let mut config = json!({"kind": kind, "checkpoint": checkpoint, "device": "cpu", "seed": 1});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(root, &format!("{kind}-{}", checkpoint.replace('.', "-")), &config).unwrap()
    };
    let pgd = json!({"eps": "8/255", "norm": "linf", "pgd": {"steps": 5}, "autoattack": [], "self_check": true});
    let evaluation = of("evaluate", pgd).join(rundir::EVALUATION);
    let attack = json!({"norm": "linf", "eps": "8/255", "steps": 5});
    let epoch: u32 = checkpoint[checkpoint.len() - 1..].parse().unwrap();
    let attribution = of("attribute", json!({"attack": attack, "inputs": ["adversarial"], "bootstrap": 0}))
        .join(rundir::attribution_file(epoch, shared::config::Inputs::Adversarial));
    let curve = of("eps_curve", json!({"norm": "linf", "eps": [0, "8/255"], "steps": 5, "bootstrap": 0}));
    let text = [&evaluation, &attribution, &curve.join(rundir::METRICS)].map(|file| fs::read_to_string(file).unwrap()).concat();
    let points = metrics(&curve).eps_curve.into_iter().map(|point| point.broken_gradients).collect();
    (serde_json::from_value(read(&evaluation)).unwrap(), serde_json::from_value(read(&attribution)).unwrap(), points, text)
}

#[test]
fn masked_gradients_are_seen_in_every_measurement_and_healthy_ones_leave_no_trace() {
    let root = with_saturated_last();
    let (evaluation, attribution, points, text) = measured(&root, "base.e2");
    assert!(!text.contains("broken_gradients"), "files of a healthy network are those of before");
    assert_eq!((evaluation.steps[1].broken_gradients, attribution.broken_gradients, points), (None, None, vec![None, None]));
    let of_gradients = |kind: &SignKind| matches!(kind, SignKind::ZeroGradients | SignKind::NotFiniteGradients | SignKind::TooFewSteps);
    assert!(!evaluation.signs.iter().any(|sign| of_gradients(&sign.kind)), "{:?}", evaluation.signs);

    let (evaluation, attribution, points, _) = measured(&root, "base.e4");
    let zero = attribution.broken_gradients.unwrap();
    assert!(zero.images == 40 && zero.zero > 5, "{zero:?}");
    assert_eq!(points, [None, Some(zero)], "the same attack on the same images");
    // An evaluation attacks only images that are right without an attack; the others have a gradient.
    let of_step = evaluation.steps[1].broken_gradients.unwrap();
    assert_eq!((of_step.images, of_step.zero), (evaluation.steps[1].attacked, zero.zero));
    let check = evaluation.self_check.unwrap();
    assert_eq!((check.few_steps.broken_gradients, check.images, check.clean), (Some(of_step), 40, of_step.images));
    let kinds: Vec<SignKind> = evaluation.signs.iter().map(|sign| sign.kind).collect();
    assert_eq!(kinds, [SignKind::ZeroGradients, SignKind::RobustAtLargeRadius], "{:?}", evaluation.signs);
    let expected = format!("PGD-5: On {} of {} attacked images", of_step.zero, of_step.images);
    assert!(evaluation.signs[0].message.starts_with(&expected), "{:?}", evaluation.signs);
}

#[test]
fn a_row_of_a_transfer_matrix_has_the_broken_gradients_of_its_source() {
    let root = with_saturated_last();
    let (_, attribution, ..) = measured(&root, "base.e4");
    let attack = json!({"norm": "linf", "eps": "8/255", "steps": 5});
    let config = json!({"kind": "transfer", "checkpoints": ["base.e2", "base.e4"], "device": "cpu", "seed": 1, "attack": attack});
    let transfer = metrics(&run(&root, "transfer", &config).unwrap()).transfer.unwrap();
    let found: Vec<Option<BrokenGradients>> = transfer.rows.iter().map(|row| row.broken_gradients).collect();
    assert_eq!(found, [None, None, attribution.broken_gradients], "clean images, a healthy source, and the saturated one");
    let said = &shared::signs::of_transfer(&transfer)[0];
    assert!(said.kind == SignKind::ZeroGradients && said.message.starts_with("Attacked on base.e4: On "), "{said:?}");
}

#[test]
fn a_pair_has_the_broken_gradients_of_its_own_images_at_each_checkpoint() {
    let root = with_saturated_last();
    let config = |pairs: Value| {
        let attack = json!({"norm": "linf", "eps": "8/255", "steps": 5});
        json!({"kind": "pair", "checkpoints": ["base.e2", "base.e4"], "pairs": pairs, "device": "cpu", "seed": 1, "attack": attack,
            "images_per_class": 1})
    };
    let of = |name: &str, pairs: Value| -> PairFile {
        serde_json::from_value(read(&run(&root, name, &config(pairs)).unwrap().join(rundir::PAIR))).unwrap()
    };
    let file = of("pairs", json!([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]));
    for pair in &file.pairs {
        let [healthy, saturated] = pair.overlaps.as_slice() else { panic!("two checkpoints were measured") };
        let all = |leave_out: &shared::api::LeaveOut| [leave_out.whole, leave_out.without].map(|found| found.broken_gradients);
        assert_eq!(all(&healthy.leave_out), [None, None]);
        let images: u32 = saturated.sent.iter().flatten().sum();
        assert!(all(&saturated.leave_out).iter().flatten().all(|broken| broken.images == images));
        let broken = saturated.leave_out.control.iter().any(|found| found.broken_gradients.is_some());
        assert_eq!(pair.signs.is_empty(), all(&saturated.leave_out) == [None, None] && !broken);
        assert!(pair.signs.iter().all(|sign| sign.message.starts_with("At base.e4")), "{:?}", pair.signs);
    }
    // Together, the pairs have all test images once: what an attribution counts.
    let (_, attribution, ..) = measured(&root, "base.e4");
    let whole = file.pairs.iter().filter_map(|pair| pair.overlaps[1].leave_out.whole.broken_gradients);
    assert_eq!(whole.map(|broken| broken.zero).sum::<u32>(), attribution.broken_gradients.unwrap().zero);
    // The images of a pair are told from those that are measured with them.
    let alone = of("alone", json!([[2, 3]]));
    let counted = |pair: &shared::api::MeasuredPair| pair.overlaps[1].leave_out.whole.broken_gradients;
    assert_eq!(counted(&alone.pairs[0]), counted(&file.pairs[1]));
}

#[test]
fn an_epoch_of_training_records_its_broken_gradients() {
    let root = with_saturated_last();
    let base = metrics(&root.path().join("base"));
    assert!(base.epochs.iter().all(|epoch| epoch.broken_gradients.is_none()));
    let mut config = tiny_config();
    config.data.holdout_samples = 20;
    config.start_from = Some("base.e4".parse().unwrap());
    // Training goes on without a change of the weights.
    (config.training.epochs, config.training.learning_rate) = (5, 1e-12);
    worker::train(&root, "child", config);
    let child = metrics(&root.path().join("child"));
    let broken = child.epochs.last().unwrap().broken_gradients.unwrap();
    assert!(broken.images == 40 && broken.zero > 5, "{broken:?}");
    let held_out = child.epochs.last().unwrap().holdout_broken_gradients.unwrap();
    assert!(held_out.images == 20 && (1..20).contains(&held_out.zero), "{held_out:?}");
}
