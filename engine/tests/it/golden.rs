//! Compares the engine with a float64 run of PyTorch 2.11; see `fixtures/README.md`.

use engine::attack::{self, Attack, perturb};
use engine::attribution::Samples;
use engine::model::Network;
use engine::stop::Stop;
use serde::Deserialize;
use shared::config::{Aggregation, Architecture, BatchNormMode, ModelConfig, Norm, Precision, Subset};
use shared::dataset::Dataset;
use shared::eps::Eps;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use crate::{assert_close, values};

/// Only the order of additions differs from PyTorch's: about 1e-12 after eighteen layers.
const FORWARD: f64 = 1e-9;
/// Five attack steps increase the difference. A gradient near zero could change its sign and move a pixel;
/// this has not been seen.
const ATTACKED: f64 = 1e-8;

#[derive(Deserialize)]
struct Golden {
    clean: Expected,
    pgd5_linf: Attacked,
    pgd5_l2: Attacked,
}

#[derive(Deserialize)]
struct Expected {
    logits: Vec<Vec<f64>>,
    attribution_norms: Vec<f64>,
    matrix: Vec<Vec<f64>>,
    cas: f64,
    mean_cross_entropy: f64,
}

#[derive(Deserialize)]
struct Attacked {
    eps: f64,
    step_size: f64,
    steps: u32,
    random_start: bool,
    delta_l2_per_sample: Vec<f64>,
    #[serde(flatten)]
    expected: Expected,
}

#[test]
fn logits_matrix_and_cas_are_those_of_pytorch() {
    let (network, golden) = golden();
    check(&network, &images(20), &golden.clean, FORWARD);
}

#[test]
fn pgd_linf_finds_the_images_that_pytorch_finds() {
    let (network, golden) = golden();
    check_attacked(&network, Norm::Linf, &golden.pgd5_linf);
}

#[test]
fn pgd_l2_finds_the_images_that_pytorch_finds() {
    let (network, golden) = golden();
    check_attacked(&network, Norm::L2, &golden.pgd5_l2);
}

#[track_caller]
fn check_attacked(network: &Network, norm: Norm, golden: &Attacked) {
    let size = |fraction: f64| Eps::of_255(fraction * 255.0);
    let attack = Attack {
        norm,
        eps: size(golden.eps),
        step_size: size(golden.step_size),
        steps: golden.steps,
        random_start: golden.random_start,
        batch_norm: BatchNormMode::Eval,
        precision: Precision::Float32,
    };
    let images = images(20);
    let adversarial = perturb(network, &images, &labels(), &attack.start(&images), &attack, &Stop::default()).unwrap().images;
    let lengths = (&adversarial - &images).norm_scalaropt_dim(2, [1, 2, 3], false);
    assert_close("lengths of offsets", &values(&lengths), &golden.delta_l2_per_sample, ATTACKED);
    check(network, &adversarial, &golden.expected, ATTACKED);
}

#[track_caller]
fn check(network: &Network, images: &Tensor, expected: &Expected, tolerance: f64) {
    let output = no_grad(|| network.forward(images, BatchNormMode::Eval));
    assert_close("logits", &values(&output.logits), &expected.logits.concat(), tolerance);
    let loss = attack::cross_entropy(&output.logits, &labels(), Reduction::Mean).double_value(&[]);
    assert_close("cross-entropy", &[loss], &[expected.mean_cross_entropy], tolerance);

    let predictions = output.logits.argmax(1, false);
    let [weight, bias] = [network.linear_weight(), network.linear_bias()].map(|tensor| tensor.detach().shallow_clone());
    let samples = Samples { features: output.features, labels: labels(), predictions, weight, bias };
    let classes = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
    let matrix = &classes.matrix;
    assert_close("norms", &classes.norms(), &expected.attribution_norms, tolerance);
    assert_close("matrix", &matrix.rows().collect::<Vec<_>>().concat(), &expected.matrix.concat(), tolerance);
    assert_close("CAS", &[matrix.cas()], &[expected.cas], tolerance);
}

#[derive(Deserialize)]
pub(crate) struct GoldenArchitecture {
    pub(crate) model: ModelConfig,
    pub(crate) logits: Vec<f64>,
    pub(crate) features: Vec<f64>,
    gradient_sums: Vec<f64>,
    pub(crate) gradient_norm: f64,
    stage_sums: Vec<f64>,
}

#[test]
fn every_architecture_computes_what_pytorch_computes() {
    let all = architectures();
    assert!(Architecture::ALL.iter().all(|architecture| all.iter().any(|golden| golden.model.architecture == *architecture)));
    for GoldenArchitecture { model, logits, features, gradient_sums, gradient_norm, stage_sums } in all {
        let network = hashed_network(&model);
        let images = images(3).set_requires_grad(true);
        let labels = Tensor::arange(3, (Kind::Int64, Device::Cpu));
        let (stages, output) = network.forward_stages(&images, BatchNormMode::Eval);
        assert_close(&format!("logits of {model:?}"), &values(&output.logits), &logits, FORWARD);
        assert_close(&format!("features of {model:?}"), &values(&output.features), &features, FORWARD);
        let sum =
            |tensor: &Tensor, salt| -> f64 { values(tensor).iter().zip(hashed(tensor.numel(), salt)).map(|(x, weight)| x * weight).sum() };
        let sums: Vec<f64> = (3000..).zip(&stages).map(|(salt, stage)| sum(stage, salt)).collect();
        assert_close(&format!("stages of {model:?}"), &sums, &stage_sums, FORWARD);

        let loss = attack::cross_entropy(&output.logits, &labels, Reduction::Sum);
        let gradient = Tensor::run_backward(&[&loss], &[&images], false, false).swap_remove(0);
        let sums: Vec<f64> = (2000..2008).map(|salt| sum(&gradient, salt)).collect();
        assert_close(&format!("gradients of {model:?}"), &sums, &gradient_sums, FORWARD * gradient_norm);
        assert_close("norm of the gradient", &[gradient.norm().double_value(&[])], &[gradient_norm], FORWARD);
    }
}

pub(crate) fn architectures() -> Vec<GoldenArchitecture> {
    serde_json::from_str(include_str!("../fixtures/architectures.json")).unwrap()
}

fn golden() -> (Network, Golden) {
    let golden = serde_json::from_str(include_str!("../fixtures/preactresnet18_cifar10.json")).unwrap();
    (hashed_network(&ModelConfig::of(Architecture::PreactResnet18)), golden)
}

/// Builds a network for CIFAR-10 with the weights of the fixtures.
fn hashed_network(config: &ModelConfig) -> Network {
    tch::set_num_threads(1);
    let network = Network::new(config, &Dataset::Cifar10.info(), 0, Kind::Double, Device::Cpu);
    fill(&network, 0);
    network
}

/// Sets the weights that the fixtures were computed with. `salt`: number of the first tensor.
pub(crate) fn fill(network: &Network, salt: u32) {
    no_grad(|| {
        for (salt, entry) in (salt..).zip(network.entries()) {
            if let Some(value) = weights(&entry.name, &entry.tensor, salt) {
                entry.tensor.shallow_clone().copy_(&value);
            }
        }
    });
}

/// Returns the weights of a tensor of the state dict. `None` for counters.
fn weights(name: &str, like: &Tensor, salt: u32) -> Option<Tensor> {
    let shape = like.size();
    let noise = Tensor::from_slice(&hashed(like.numel(), salt)).view(shape.as_slice());
    let leaf = name.rsplit('.').next().unwrap();
    match leaf {
        "num_batches_tracked" => None,
        "running_var" => Some(noise * 0.2 + 1.0),
        "running_mean" => Some(noise * 0.05),
        "weight" if shape.len() >= 2 => Some(noise * (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt()),
        "weight" => Some(noise * 0.1 + 1.0),
        _ => Some(noise * 0.1),
    }
}

/// Returns the first `count` images of the fixtures, `[count, 3, 32, 32]`.
pub(crate) fn images(count: u32) -> Tensor {
    let mut pixels = Vec::new();
    for s in 0..count {
        let noise = hashed(3 * 32 * 32, 1000 + s);
        for c in 0..3u32 {
            for r in 0..32u32 {
                for q in 0..32u32 {
                    let angle = 0.05 * f64::from((1 + s % 7) * q) + 0.07 * f64::from((1 + s % 5) * r) + f64::from(s) + f64::from(c);
                    pixels.push(0.5 + 0.35 * angle.sin() + 0.15 * noise[((c * 32 + r) * 32 + q) as usize]);
                }
            }
        }
    }
    Tensor::from_slice(&pixels).view([i64::from(count), 3, 32, 32])
}

fn labels() -> Tensor {
    Tensor::arange(20, (Kind::Int64, Device::Cpu)).remainder(10)
}

/// Returns `count` values in `[-1, 1)` that depend only on `salt`.
pub(crate) fn hashed(count: usize, salt: u32) -> Vec<f64> {
    (0..count as u32)
        .map(|index| {
            let mut h = index.wrapping_mul(0x9E37_79B1).wrapping_add(salt.wrapping_mul(0x85EB_CA77));
            h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
            h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
            h ^= h >> 15;
            f64::from(h) / 2f64.powi(31) - 1.0
        })
        .collect()
}
