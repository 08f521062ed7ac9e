//! Passes in float32 and bfloat16, held to the golden numbers of float64 and to runs in float32, on the device that
//! `CROSSLENS_TEST_DEVICE` names; on the CPU by default. These are the tests that a machine with a GPU runs.

use std::env;

use engine::attack::{Attack, cross_entropy, perturb};
use engine::model::Network;
use engine::stop::Stop;
use engine::train::{Batch, State, Targets, Teachers, train_step};
use engine::{data, device};
use shared::config::{BatchNormMode, Method, ModelConfig, Precision, TrainConfig};
use shared::dataset::Dataset;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use crate::golden::{GoldenArchitecture, architectures, fill, images};
use crate::training::train_on;
use crate::{tiny_config, values};

/// 24 significant bits, and sums in another order. Mostly 1e-6; a ReLU whose input is near 0 may open or close.
const SINGLE: f64 = 1e-3;
/// A bfloat16 has 8 significant bits: rounding one changes it by up to 1/512. Rounded weights, inputs and outputs of
/// ten to forty layers add up, without a direction, to some hundredths.
const ROUNDED: f64 = 0.05;

/// Returns the length of the difference, relative to that of `expected`.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    length(&mut found.iter().zip(expected).map(|(found, expected)| found - expected)) / length(&mut expected.iter().copied())
}

fn test_device() -> Device {
    tch::set_num_threads(1);
    device::choose(&env::var("CROSSLENS_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned())).unwrap()
}

fn network(config: &ModelConfig) -> Network {
    let network = Network::new(config, &Dataset::Cifar10.info(), 0, Kind::Float, test_device());
    fill(&network, 0);
    network
}

/// Compares every architecture with PyTorch in float64.
#[track_caller]
fn check_passes(precision: Precision, tolerance: f64) {
    for GoldenArchitecture { model, logits, features, gradient_norm, .. } in architectures() {
        let network = network(&model).cast(precision);
        let images = images(3).to_kind(Kind::Float).to_device(network.device()).set_requires_grad(true);
        let output = network.forward(&images, BatchNormMode::Eval);
        assert_eq!((output.logits.kind(), output.features.kind()), (Kind::Float, Kind::Float));
        let of_logits = distance(&values(&output.logits), &logits);
        let of_features = distance(&values(&output.features), &features);
        assert!(of_logits < tolerance && of_features < tolerance, "{model:?}: {of_logits} and {of_features}");

        let labels = Tensor::arange(3, (Kind::Int64, network.device()));
        let loss = cross_entropy(&output.logits, &labels, Reduction::Sum);
        let gradient = Tensor::run_backward(&[&loss], &[&images], false, false).swap_remove(0);
        let ratio = gradient.norm().double_value(&[]) / gradient_norm;
        assert!((ratio - 1.0).abs() < tolerance, "{model:?}: {ratio}");
    }
}

#[test]
fn passes_in_float32_are_those_of_float64() {
    check_passes(Precision::Float32, SINGLE);
}

#[test]
fn passes_in_bfloat16_are_near_those_of_float64() {
    check_passes(Precision::Bf16, ROUNDED);
}

#[test]
fn a_network_cast_to_float32_gives_the_same_bits() {
    for GoldenArchitecture { model, .. } in architectures() {
        let network = network(&model);
        let images = images(3).to_kind(Kind::Float).to_device(network.device());
        let [as_is, cast] = no_grad(|| {
            [&network, &network.cast(Precision::Float32)].map(|network| values(&network.forward(&images, BatchNormMode::Eval).logits))
        });
        assert_eq!(as_is, cast, "{model:?}");
    }
}

/// Takes a step from the same weights on the same batch. Returns how far each weight and running statistic moves.
fn moves(method: Method, precision: Precision, kind: Kind) -> Vec<f64> {
    let mut config = TrainConfig { precision, ..tiny_config() };
    // An attack multiplies differences: a gradient near 0 changes its sign.
    (config.training.method, config.attack.steps) = (method, 0);
    let device = test_device();
    let data = data::load(&config.data, 1).unwrap().to_device(device);
    let mut state = State::new(&config, &data.info, kind, device);
    fill(&state.network, 0);
    let numbers = |state: &State| {
        let floats = state.network.entries().iter().filter(|entry| entry.tensor.is_floating_point());
        floats.flat_map(|entry| values(&entry.tensor)).collect::<Vec<f64>>()
    };
    let before = numbers(&state);
    let (images, labels) = data.train.narrow(0, 40);
    let images = images.to_kind(kind);
    let start = &images * 0.0 + 0.001;
    let batch = Batch { images, targets: Targets::new(labels), start };
    let _ = train_step(&batch, &config, &Teachers::default(), &mut state, 0.1, &Stop::default()).unwrap();
    assert!(state.network.entries().iter().all(|entry| [kind, Kind::Int64].contains(&entry.tensor.kind())));
    numbers(&state).iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn a_step_moves_weights_and_statistics_nearly_as_one_in_float64_does() {
    for method in [Method::Standard, Method::PgdAt, Method::Trades] {
        let expected = moves(method, Precision::Float32, Kind::Double);
        for (precision, tolerance) in [(Precision::Float32, SINGLE), (Precision::Bf16, ROUNDED)] {
            let apart = distance(&moves(method, precision, Kind::Float), &expected);
            assert!(apart > 0.0 && apart < tolerance, "{method:?} in {precision:?}: {apart}");
        }
    }
}

#[test]
fn an_attack_with_gradients_in_bfloat16_raises_the_loss_of_the_float32_network_nearly_as_much() {
    let device = test_device();
    let (config, network) = (tiny_config(), train_on(device, &tiny_config()).unwrap().0.network);
    let (images, labels) = data::load(&config.data, 1).unwrap().to_device(device).test.narrow(0, 40);
    let loss = |images: &Tensor| {
        let logits = no_grad(|| network.forward(images, BatchNormMode::Eval).logits);
        cross_entropy(&logits, &labels, Reduction::Mean).double_value(&[])
    };
    let raised = Precision::ALL.iter().map(|&precision| {
        let attack = Attack { precision, ..Attack::of_evaluation(&config) };
        loss(&perturb(&network, &images, &labels, &images.zeros_like(), &attack, &Stop::default()).unwrap().images) - loss(&images)
    });
    let [float32, bf16] = raised.collect::<Vec<_>>()[..] else { panic!("there are two") };
    assert!(float32 > 0.1 && bf16 > 0.9 * float32, "{float32} and {bf16}");
}

/// The spread of seeds is what one does not know about a robust accuracy anyway.
#[test]
fn a_run_in_bfloat16_is_as_robust_as_one_in_float32_within_the_spread_of_seeds() {
    let robust = |precision, seed| {
        let mut config = TrainConfig { precision, seed, ..tiny_config() };
        (config.data.train_samples, config.data.test_samples) = (Some(200), Some(200));
        (config.training.epochs, config.evaluation.every, config.checkpoints.every) = (8, 8, 0);
        (config.training.milestones, config.attribution.inputs) = (vec![6], Vec::new());
        let reports = train_on(test_device(), &config).unwrap().1;
        reports.last().unwrap().evaluation.as_ref().unwrap().test_robust.accuracy()
    };
    let [float32, bf16] = [Precision::Float32, Precision::Bf16].map(|precision| {
        let accuracies = [1, 2, 3, 4].map(|seed| robust(precision, seed));
        let mean = accuracies.iter().sum::<f64>() / 4.0;
        // The variance of the mean.
        (mean, accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum::<f64>() / 12.0, accuracies)
    });
    let standard_error = (float32.1 + bf16.1).sqrt();
    assert!((float32.0 - bf16.0).abs() < 3.0 * standard_error, "{float32:?} and {bf16:?}");
    assert!(bf16.0 > 0.2, "{bf16:?} is no better than chance");
}
