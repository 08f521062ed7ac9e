//! Tests of the engine through its public functions and its binary, on real code and tiny data.

mod attack;
mod attribution;
mod autoattack;
mod checkpoint;
mod data;
mod evaluation;
mod golden;
mod import;
mod measure;
mod model;
mod pair;
mod tensor_file;
mod training;
mod updates;
mod worker;

use engine::model::Network;
use shared::config::{Architecture, ModelConfig, TrainConfig};
use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

/// The small network of width 4 for a data set, freshly initialized.
fn small_network(dataset: Dataset, kind: Kind) -> Network {
    // Tests run beside each other; more threads would only wait for one another.
    tch::set_num_threads(1);
    let config = ModelConfig { width: Some(4), ..ModelConfig::of(Architecture::PreactResnetSmall) };
    Network::new(&config, &dataset.info(), 7, kind, Device::Cpu)
}

/// The demo, cut down to run in about a second.
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
    config
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.detach().to_kind(Kind::Double).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}

/// Holds numbers to others within `tolerance` of the larger magnitude, or absolutely for numbers below 1.
#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let scale = expected.abs().max(1.0);
        assert!((found - expected).abs() <= tolerance * scale, "{what}, value {index}: {found} is not {expected} within {tolerance:e}");
    }
}
