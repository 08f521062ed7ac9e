//! Training without some features: their columns of W are 0 in every checkpoint, whatever else a training does.

use std::fs;
use std::path::Path;

use engine::checkpoint::load;
use engine::model::Network;
use serde_json::Value;
use shared::config::{AwpConfig, BatchNormMode, DistillationConfig, Method, TrainConfig, WeightAveragingConfig};
use shared::dataset::Dataset;
use tch::{Kind, Tensor};

use crate::golden::hashed;
use crate::stopping::run_in_pieces;
use crate::worker::{beside, json, metrics, train};
use crate::{small_network, tiny_config, values};

const LEFT_OUT: [u32; 3] = [1, 6, 11];
const FEATURES: u32 = 16;

fn config() -> TrainConfig {
    let mut config = tiny_config();
    config.training.epochs = 2;
    config.training.milestones = Vec::new();
    config.training.left_out_features = LEFT_OUT.to_vec();
    config.checkpoints.every = 1;
    config.attribution.bootstrap = 0;
    config
}

/// The networks of all checkpoints of a run.
fn checkpoints(directory: &Path) -> Vec<Network> {
    let of = |checkpoint: &shared::record::Checkpoint| {
        let network = small_network(Dataset::Digits, Kind::Float);
        load(&directory.join(&checkpoint.file), Some(&checkpoint.sha256), &network).unwrap();
        network
    };
    metrics(directory).checkpoints.iter().map(of).collect()
}

/// The features whose columns of W are 0.
fn without_weight(network: &Network) -> Vec<u32> {
    let lengths = values(&network.linear_weight().norm_scalaropt_dim(2.0, [0].as_slice(), false));
    assert_eq!(lengths.len(), FEATURES as usize);
    (0..FEATURES).filter(|feature| lengths[*feature as usize] == 0.0).collect()
}

/// Trains with workers that are stopped and go on.
#[track_caller]
fn check(what: &str, edit: impl FnOnce(&mut TrainConfig)) {
    let mut config = config();
    edit(&mut config);
    let root = tempfile::tempdir().unwrap();
    let directory = beside(&root, "run", &json(config));
    assert!(run_in_pieces(&directory, 9) > 0, "{what} was never stopped");
    let networks = checkpoints(&directory);
    assert_eq!(networks.len(), 2, "{what}");
    for network in &networks {
        assert_eq!(without_weight(network), LEFT_OUT, "{what}");
    }
}

#[test]
fn columns_that_are_left_out_stay_0_in_every_method() {
    check("standard", |config| config.training.method = Method::Standard);
    check("PGD AT", |_| {});
    check("TRADES", |config| config.training.method = Method::Trades);
    check("fast AT", |config| (config.training.method, config.attack.steps) = (Method::FastAt, 1));
}

#[test]
fn columns_that_are_left_out_stay_0_under_every_addition() {
    check("CAS", |config| config.training.cas_weight = Some(-2.0));
    check("AWP", |config| config.training.awp = Some(AwpConfig { gamma: 0.05, warmup_epochs: 0 }));
    check("averaging", |config| config.training.weight_averaging = Some(WeightAveragingConfig { decay: 0.8, start_epoch: 1 }));
    check("mixup, smoothing and clipping", |config| {
        (config.training.mixup, config.training.label_smoothing, config.training.gradient_clip) = (1.0, 0.1, Some(0.5));
    });
}

#[test]
fn a_student_does_without_features_that_its_teachers_have() {
    let mut config = config();
    config.training.distillation = Some(DistillationConfig { teacher_epochs: Some(1), ..DistillationConfig::default() });
    let root = tempfile::tempdir().unwrap();
    train(&root, "run", config);
    let directory = root.path().join("run");
    assert!(checkpoints(&directory).iter().all(|student| without_weight(student) == LEFT_OUT));
    for teacher in ["standard", "robust"] {
        let directory = directory.join("teachers").join(teacher);
        assert!(checkpoints(&directory).iter().all(|teacher| without_weight(teacher).is_empty()));
        let config: Value = serde_json::from_str(&fs::read_to_string(directory.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["training"].get("left_out_features"), None);
    }
}

#[test]
fn a_fork_loses_the_columns_of_its_parent_and_its_own_fork_may_have_them_again() {
    let root = tempfile::tempdir().unwrap();
    let from = |config: TrainConfig, start: &str| {
        let mut config = TrainConfig { start_from: Some(start.parse().unwrap()), ..config };
        config.training.epochs += 2;
        config
    };
    train(&root, "parent", TrainConfig { training: tiny_config().training, ..config() });
    let of = |name: &str| checkpoints(&root.path().join(name));
    assert!(of("parent").iter().all(|network| without_weight(network).is_empty()));
    train(&root, "child", from(config(), "parent.e2"));
    assert!(of("child").len() > 1 && of("child").iter().all(|network| without_weight(network) == LEFT_OUT));
    // Its weight average begins with the weights of the parent.
    let mut averaged = from(config(), "parent.e2");
    averaged.training.weight_averaging = Some(WeightAveragingConfig { decay: 0.8, start_epoch: 1 });
    train(&root, "averaged", averaged);
    assert!(of("averaged").len() > 1 && of("averaged").iter().all(|network| without_weight(network) == LEFT_OUT));
    let mut config = from(from(config(), "child.e4"), "child.e4");
    config.training.left_out_features = vec![3];
    train(&root, "grandchild", config);
    assert!(of("grandchild").iter().all(|network| without_weight(network) == [3]));
}

#[test]
fn logits_never_depend_on_features_that_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    train(&root, "run", config());
    let mut network = checkpoints(&root.path().join("run")).pop().unwrap();
    let images = Tensor::from_slice(&hashed(20 * 64, 1)).to_kind(Kind::Float).view([20, 1, 8, 8]) * 0.5 + 0.5;
    let logits = |network: &Network| values(&network.forward(&images, BatchNormMode::Eval).logits);
    let features = network.forward(&images, BatchNormMode::Eval).features;
    let left_out = Tensor::from_slice(&LEFT_OUT.map(i64::from));
    assert!(features.index_select(1, &left_out).abs().max().double_value(&[]) > 0.0, "the images have none of these features");
    let whole = logits(&network);
    network.ablate(&LEFT_OUT.map(|feature| feature as usize));
    assert_eq!(logits(&network), whole);
    network.ablate(&[0]);
    assert_ne!(logits(&network), whole);
}
