//! Tests of the engine through its public functions and its binary, with real code and tiny data.

mod attack;
mod attribution;
mod autoattack;
mod bench;
mod checkpoint;
mod data;
mod disk;
mod eps_curve;
mod evaluation;
mod fork;
mod golden;
mod import;
mod left_out;
mod measure;
mod model;
mod pair;
mod precision;
mod program;
mod series;
mod signs;
mod stopping;
mod tensor_file;
mod training;
mod transfer;
mod updates;
mod worker;

use engine::model::Network;
use shared::config::{Architecture, ModelConfig, TrainConfig};
use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

/// Builds the small network with width 4 and initial weights for a data set.
fn small_network(dataset: Dataset, kind: Kind) -> Network {
    // Tests run in parallel, so more threads in each would only wait for each other.
    tch::set_num_threads(1);
    let config = ModelConfig { width: Some(4), ..ModelConfig::of(Architecture::PreactResnetSmall) };
    Network::new(&config, &dataset.info(), 7, kind, Device::Cpu)
}

/// Returns the demo's configuration, reduced to about one second.
fn tiny_config() -> TrainConfig {
    let mut config = shared::preset::demo().config.as_train().unwrap().clone();
    config.data.train_samples = Some(60);
    config.data.test_samples = Some(40);
    config.model.width = Some(4);
    config.training.epochs = 4;
    config.training.milestones = vec![3];
    config.training.batch_size = 25;
    config.attack.steps = 3;
    config.evaluation.every = 1;
    config.evaluation.steps = 4;
    config.checkpoints.every = 2;
    config.attribution.every = 0;
    config
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.detach().to_kind(Kind::Double).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}

/// Checks that numbers are equal within `tolerance`, relative for magnitudes above 1 and absolute below.
#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let scale = expected.abs().max(1.0);
        assert!((found - expected).abs() <= tolerance * scale, "{what}, value {index}: {found} is not {expected} within {tolerance:e}");
    }
}
