//! The PGD attack: ball and pixel range, random starts, batch normalization modes, stop requests.

use engine::attack::{Attack, ascend, cross_entropy, perturb};
use engine::model::Network;
use engine::random::{self, Purpose, Seed};
use engine::stop::Stop;
use engine::{Error, data};
use shared::config::{BatchNormMode, Norm, Precision};
use shared::dataset::Dataset;
use shared::eps::Eps;
use tch::{Kind, Reduction, Tensor};

use crate::training::train;
use crate::{small_network, tiny_config, values};

const EPS: f64 = 0.1;
/// Rounding error of float32 pixels up to 1.
const ROUNDING: f64 = 1e-6;

fn attack(norm: Norm) -> Attack {
    // These steps leave the ball, so that the projection matters.
    let sizes = match norm {
        Norm::Linf => (EPS, 0.07),
        Norm::L2 => (8.0 * EPS, 0.5),
    };
    let [eps, step_size] = [sizes.0, sizes.1].map(|size| Eps::of_255(size * 255.0));
    Attack { norm, eps, step_size, steps: 5, random_start: true, batch_norm: BatchNormMode::Eval, precision: Precision::Float32 }
}

fn digits() -> (Tensor, Tensor) {
    let data = data::load(&tiny_config().data, 1).unwrap();
    (data.test.images(), data.test.labels)
}

fn start(attack: &Attack, images: &Tensor, run: u32) -> Tensor {
    random::draw(Seed::once(run, Purpose::Evaluation), || attack.start(images))
}

/// Returns the norm of each image's offset.
fn sizes(norm: Norm, offsets: &Tensor) -> Vec<f64> {
    let flat = offsets.flatten(1, -1);
    values(&match norm {
        Norm::Linf => flat.abs().amax([1i64].as_slice(), false),
        Norm::L2 => flat.norm_scalaropt_dim(2, [1], false),
    })
}

#[track_caller]
fn check(norm: Norm) {
    let network = small_network(Dataset::Digits, Kind::Float);
    let (images, labels) = digits();
    let attack = attack(norm);
    let adversarial = perturb(&network, &images, &labels, &start(&attack, &images, 1), &attack, &Stop::default()).unwrap().images;

    let eps = attack.eps.fraction();
    let found = sizes(norm, &(&adversarial - &images));
    assert!(found.iter().all(|size| *size <= eps + ROUNDING), "{found:?}");
    assert!(found.iter().any(|size| *size > 0.9 * eps), "an attack of these steps reaches the border: {found:?}");
    assert!(adversarial.min().double_value(&[]) >= 0.0 && adversarial.max().double_value(&[]) <= 1.0);

    let loss = |images: &Tensor| values(&cross_entropy(&network.forward(images, BatchNormMode::Eval).logits, &labels, Reduction::None));
    let (before, after) = (loss(&images), loss(&adversarial));
    let raised = before.iter().zip(&after).filter(|(before, after)| after > before).count();
    assert!(raised * 10 >= before.len() * 9, "raised for {raised} of {}", before.len());
}

#[test]
fn an_linf_attack_stays_in_ball_and_box_and_raises_the_loss() {
    check(Norm::Linf);
}

#[test]
fn an_l2_attack_stays_in_ball_and_box_and_raises_the_loss() {
    check(Norm::L2);
}

#[test]
fn random_starts_fill_the_ball() {
    let (images, _) = digits();
    for norm in [Norm::Linf, Norm::L2] {
        let attack = attack(norm);
        let eps = attack.eps.fraction();
        let found = sizes(norm, &start(&attack, &images, 1));
        assert!(found.iter().all(|size| *size <= eps + ROUNDING), "{norm:?}: {found:?}");
        // In 64 dimensions, half of the uniform draws lie within 1 % of the surface, and almost none below 80
        // %.
        assert!(found.iter().all(|size| *size > 0.8 * eps), "{norm:?}: {found:?}");
        assert_ne!(found, sizes(norm, &start(&attack, &images, 2)), "{norm:?}");
        assert_eq!(found, sizes(norm, &start(&attack, &images, 1)), "{norm:?}");
    }
    let still = Attack { random_start: false, ..attack(Norm::L2) };
    assert_eq!(start(&still, &images, 1).abs().max().double_value(&[]), 0.0);
}

#[test]
fn an_attack_in_train_mode_moves_the_running_statistics_and_one_in_eval_mode_does_not() {
    for (mode, moves) in [(BatchNormMode::Train, true), (BatchNormMode::Eval, false)] {
        let network = small_network(Dataset::Digits, Kind::Float);
        let (images, labels) = digits();
        let attack = Attack { batch_norm: mode, ..attack(Norm::Linf) };
        let before = network.snapshot();
        let _ = perturb(&network, &images, &labels, &start(&attack, &images, 1), &attack, &Stop::default()).unwrap();
        for ((name, before), (_, after)) in before.iter().zip(network.snapshot()) {
            let moved = *before != after;
            assert_eq!(moved, moves && (name.contains("running") || name.contains("tracked")), "{name} in {mode:?}");
        }
    }
}

#[test]
fn a_stopped_attack_ends_before_its_next_step() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let (images, labels) = digits();
    let attack = attack(Norm::Linf);
    let stop = Stop::default();
    stop.request();
    let outcome = perturb(&network, &images, &labels, &images.zeros_like(), &attack, &stop);
    assert!(matches!(outcome, Err(Error::Stopped(_))));
}

/// Attacks the digits with and without taking images out that repeat. Returns how many points of the last steps had
/// been reached before.
fn repeated(network: &Network, steps: u32, images: &Tensor, labels: &Tensor) -> i64 {
    let attack = Attack { steps, step_size: Eps::of_255(EPS * 255.0 / 4.0), ..attack(Norm::Linf) };
    let start = start(&attack, images, 1);
    let plainly = |steps| {
        let loss = |logits: &Tensor| cross_entropy(logits, labels, Reduction::Sum);
        ascend(network, images, &start, &Attack { steps, ..attack.clone() }, &Stop::default(), &loss).unwrap()
    };
    let found = perturb(network, images, labels, &start, &attack, &Stop::default()).unwrap().images;
    let expected = plainly(steps);
    assert!(found.equal(&expected), "{steps} steps: {} pixels differ", found.ne_tensor(&expected).sum(Kind::Int64).int64_value(&[]));
    let repeats = |before: u32| expected.eq_tensor(&plainly(steps - before)).flatten(1, -1).all_dim(1, false);
    (repeats(2).logical_or(&repeats(4))).sum(Kind::Int64).int64_value(&[])
}

#[test]
fn images_whose_points_repeat_end_where_the_plain_loop_ends_bit_for_bit() {
    let mut config = tiny_config();
    config.data.test_samples = Some(120);
    let data = data::load(&config.data, 1).unwrap();
    let (images, labels) = (data.test.images(), data.test.labels);
    let mut network = train(&config).unwrap().0.network;
    let found: Vec<i64> = (18..24).map(|steps| repeated(&network, steps, &images, &labels)).collect();
    // More than what a batch has to lose before it shrinks, and not all.
    assert!(found.iter().all(|count| (20..120).contains(count)), "{found:?}");

    // A network without gradients leaves every image where it is.
    network.ablate(&(0..network.feature_dim() as usize).collect::<Vec<_>>());
    assert_eq!(repeated(&network, 12, &images, &labels), 120);
}
