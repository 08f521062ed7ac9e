//! Compares steps of every training method with a float64 run of PyTorch 2.11; see `fixtures/README.md`.

use std::collections::BTreeMap;

use engine::model::Network;
use engine::stop::Stop;
use engine::train::{Batch, State, Targets, Teachers, batch_cas, mix_with, train_step};
use serde::Deserialize;
use shared::config::*;
use shared::dataset::Dataset;
use shared::eps::Eps;
use tch::{Device, Kind, Tensor};

use crate::golden::{fill, hashed};
use crate::{assert_close, small_network, tiny_config, values};

/// The order of additions differs from PyTorch's, and three steps with attacks increase the difference.
const UPDATED: f64 = 1e-9;
const IMAGES: i64 = 12;
const SHAPE: [i64; 4] = [IMAGES, 1, 8, 8];

#[derive(Deserialize)]
struct Golden {
    /// For each method and each tensor except counters: its norm and its product with noise.
    updates: BTreeMap<String, Vec<[f64; 2]>>,
    rates: BTreeMap<String, Vec<f64>>,
    batch_cas: BatchCas,
}

#[derive(Deserialize)]
struct BatchCas {
    value: f64,
    /// By the features and by W.
    gradients: [Vec<f64>; 2],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../fixtures/training_updates.json")).unwrap()
}

/// Configuration that all methods start from: two PGD steps in ℓ∞ with eps 0.1, attack in train mode.
fn config(method: Method, edit: impl FnOnce(&mut TrainingConfig)) -> TrainConfig {
    let mut config = tiny_config();
    config.attack = AttackConfig { steps: 2, ..AttackConfig::of(Norm::Linf, Eps::of_255(25.5)) };
    config.training = TrainingConfig { learning_rate: 0.05, ..TrainingConfig::of(method, 1) };
    edit(&mut config.training);
    config
}

fn noise(salt: u32) -> Tensor {
    Tensor::from_slice(&hashed(SHAPE.iter().product::<i64>() as usize, salt)).view(SHAPE)
}

/// Trains three steps on fixed batches. `mix`: fraction of each image in its mixture with another one.
#[track_caller]
fn check(name: &str, config: &TrainConfig, teachers: &Teachers, mix: Option<f64>) {
    tch::set_num_threads(1);
    let mut state = State::new(config, &Dataset::Digits.info(), Kind::Double, Device::Cpu);
    let network = small_network(Dataset::Digits, Kind::Double);
    fill(&network, 0);
    state.start_from(&network, 0);
    let start = match config.training.method {
        Method::Trades => 0.001,
        Method::Standard | Method::PgdAt | Method::FastAt => 0.1,
    };
    for step in 0..3 {
        let images = noise(1000 + step) * 0.45 + 0.5;
        let labels = Tensor::arange(IMAGES, (Kind::Int64, Device::Cpu)).remainder(10);
        let (images, targets) = match mix {
            Some(share) => mix_with(&images, labels, &(IMAGES - 1 - Tensor::arange(IMAGES, (Kind::Int64, Device::Cpu))), share),
            None => (images, Targets::new(labels)),
        };
        let batch = Batch { images, targets, start: noise(2000 + step) * start };
        let _ = train_step(&batch, config, teachers, &mut state, config.training.learning_rate, &Stop::default()).unwrap();
    }
    let found: Vec<f64> = state
        .evaluated()
        .entries()
        .iter()
        .filter(|entry| !entry.name.ends_with("num_batches_tracked"))
        .flat_map(|entry| {
            let flat = entry.tensor.detach().contiguous().view([-1]);
            let noise = Tensor::from_slice(&hashed(flat.numel(), 5000));
            [flat.norm().double_value(&[]), flat.dot(&noise).double_value(&[])]
        })
        .collect();
    assert_close(name, &found, &golden().updates[name].concat(), UPDATED);
}

#[track_caller]
fn check_alone(name: &str, method: Method, edit: impl FnOnce(&mut TrainingConfig)) {
    check(name, &config(method, edit), &Teachers::default(), None);
}

#[test]
fn standard_and_pgd_training_step_as_pytorch_does() {
    check_alone("standard", Method::Standard, |_| {});
    check_alone("pgd_at", Method::PgdAt, |_| {});
}

#[test]
fn trades_steps_as_its_authors_code_does() {
    let mut config = config(Method::Trades, |_| {});
    config.attack.batch_norm = BatchNormMode::Eval;
    check("trades", &config, &Teachers::default(), None);
}

#[test]
fn fast_training_steps_as_its_authors_code_does() {
    let mut config = config(Method::FastAt, |_| {});
    config.attack.steps = 1;
    check("fast_at", &config, &Teachers::default(), None);
}

#[test]
fn smoothed_labels_mixed_images_and_clipped_gradients_are_those_of_torch() {
    check_alone("label_smoothing", Method::PgdAt, |training| training.label_smoothing = 0.1);
    check("mixup", &config(Method::PgdAt, |_| {}), &Teachers::default(), Some(0.3));
    check_alone("gradient_clip", Method::PgdAt, |training| training.gradient_clip = Some(0.5));
}

#[test]
fn cas_is_rewarded_and_punished_through_features_and_weights() {
    check_alone("cas_rewarded", Method::PgdAt, |training| training.cas_weight = Some(0.5));
    let mut config = config(Method::Trades, |training| training.cas_weight = Some(-2.0));
    config.attack.batch_norm = BatchNormMode::Eval;
    check("cas_punished", &config, &Teachers::default(), None);
}

#[test]
fn classes_without_images_are_left_out_of_the_cas_of_a_batch() {
    let leaf = |tensor: Tensor| tensor.set_requires_grad(true);
    let features = leaf((Tensor::from_slice(&hashed(42, 7000)).view([7, 6]) + 0.3).relu());
    let weight = leaf(Tensor::from_slice(&hashed(60, 7001)).view([10, 6]));
    let value = batch_cas(&features, &weight, &Tensor::from_slice(&[2_i64, 0, 2, 7, 3, 0, 7]));
    let golden = golden().batch_cas;
    assert_close("CAS", &values(&value), &[golden.value], 1e-12);
    for (gradient, expected) in Tensor::run_backward(&[value], &[&features, &weight], false, false).iter().zip(&golden.gradients) {
        assert_close("its gradient", &values(gradient), expected, 1e-12);
    }
    // Two images of one class, and an image without features, which has no direction: 0, with finite gradients.
    for labels in [[4_i64, 4], [4, 5]] {
        let features = leaf(Tensor::from_slice(&[1.0, 2.0, 0.0, 0.0]).view([2, 2]));
        let weight = leaf(Tensor::ones([10, 2], (Kind::Double, Device::Cpu)));
        let value = batch_cas(&features, &weight, &Tensor::from_slice(&labels));
        assert_eq!(values(&value), [0.0]);
        let gradients = Tensor::run_backward(&[value], &[&features, &weight], false, false);
        assert!(gradients.iter().flat_map(values).all(f64::is_finite));
    }
}

#[test]
fn a_student_learns_from_two_teachers_as_in_the_published_loss() {
    let teacher = |salt| {
        let network = small_network(Dataset::Digits, Kind::Double);
        fill(&network, salt);
        network
    };
    let teachers = Teachers { networks: vec![(teacher(300), 0.1), (teacher(600), 0.6)], temperature: 2.0 };
    check("distillation", &config(Method::PgdAt, |_| {}), &teachers, None);
}

#[test]
fn averaged_weights_are_those_of_torchs_averaged_model() {
    check_alone("weight_averaging", Method::PgdAt, |training| {
        training.weight_averaging = Some(WeightAveragingConfig { decay: 0.7, start_epoch: 0 });
    });
}

#[test]
fn weights_are_perturbed_as_the_authors_of_awp_do() {
    check_alone("awp", Method::PgdAt, |training| training.awp = Some(AwpConfig { gamma: 0.01, warmup_epochs: 0 }));
    let mut config = config(Method::Trades, |training| {
        training.label_smoothing = 0.1;
        training.awp = Some(AwpConfig { gamma: 0.005, warmup_epochs: 0 });
    });
    config.attack.batch_norm = BatchNormMode::Eval;
    check("trades_awp", &config, &Teachers::default(), None);
}

/// In PyTorch, the network multiplies its features by a mask.
#[test]
fn features_that_are_left_out_are_those_that_torch_masks() {
    let without = |training: &mut TrainingConfig| training.left_out_features = vec![1, 6, 11];
    check_alone("left_out", Method::PgdAt, without);
    let mut config = config(Method::Trades, |training| {
        without(training);
        training.cas_weight = Some(-2.0);
        training.gradient_clip = Some(0.5);
        training.weight_averaging = Some(WeightAveragingConfig { decay: 0.7, start_epoch: 0 });
        training.awp = Some(AwpConfig { gamma: 0.005, warmup_epochs: 0 });
    });
    config.attack.batch_norm = BatchNormMode::Eval;
    check("left_out_of_all_additions", &config, &Teachers::default(), None);
}

#[test]
fn nothing_is_perturbed_while_awp_warms_up() {
    check_alone("pgd_at", Method::PgdAt, |training| training.awp = Some(AwpConfig { gamma: 0.01, warmup_epochs: 1 }));
}

#[test]
fn learning_rates_are_those_of_torchs_schedulers() {
    for &schedule in Schedule::ALL {
        let milestones = if schedule == Schedule::Milestones { vec![2, 4] } else { Vec::new() };
        let training = TrainingConfig { schedule, milestones, learning_rate: 0.2, ..TrainingConfig::of(Method::PgdAt, 5) };
        let found: Vec<f64> = (0..20).map(|step| training.learning_rate_at(f64::from(step) / 4.0)).collect();
        assert_close(schedule.id(), &found, &golden().rates[schedule.id()], 1e-12);
    }
}

/// During its first epoch, an average equals the weights. It takes in earlier weights only afterwards.
#[test]
fn an_average_that_has_not_begun_is_not_evaluated() {
    let config = config(Method::Standard, |training| {
        training.epochs = 3;
        training.weight_averaging = Some(WeightAveragingConfig { decay: 0.9, start_epoch: 2 });
    });
    let mut state = State::new(&config, &Dataset::Digits.info(), Kind::Double, Device::Cpu);
    let differs = |state: &State| {
        let weights = |network: &Network| values(network.linear_weight());
        weights(state.evaluated()) != weights(&state.network)
    };
    let mut seen = Vec::new();
    for epoch in 1..=3 {
        let targets = Targets::new(Tensor::arange(IMAGES, (Kind::Int64, Device::Cpu)).remainder(10));
        let batch = Batch { images: noise(epoch) * 0.45 + 0.5, targets, start: noise(0) };
        let _ = train_step(&batch, &config, &Teachers::default(), &mut state, 0.1, &Stop::default()).unwrap();
        state.epoch = epoch;
        seen.push(differs(&state));
    }
    assert_eq!(seen, [false, false, true]);
}
