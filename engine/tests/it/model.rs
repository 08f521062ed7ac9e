//! Shapes, tensor names and sizes of the architectures. The golden tests check what they compute.

use engine::model::{Network, Role};
use shared::config::{Architecture, BatchNormMode, ModelConfig, NetworkSize};
use shared::dataset::{Dataset, DatasetInfo};
use tch::{Device, Kind, Tensor};

use crate::values;

/// Returns a configuration so narrow that a forward pass takes milliseconds.
fn narrow(architecture: Architecture) -> ModelConfig {
    let width = match architecture {
        Architecture::DeitTiny => 12,
        Architecture::XcitL12 => 16,
        _ => 8,
    };
    ModelConfig { width: Some(width), ..ModelConfig::of(architecture) }
}

fn network(config: &ModelConfig, info: &DatasetInfo) -> Network {
    tch::set_num_threads(1);
    Network::new(config, info, 3, Kind::Float, Device::Cpu)
}

fn of_side(side: u32) -> DatasetInfo {
    DatasetInfo { shape: [3, side, side], ..Dataset::Cifar10.info() }
}

#[test]
fn published_networks_have_their_published_number_of_parameters() {
    let info = Dataset::Cifar10.info();
    for (config, expected) in [
        (ModelConfig::of(Architecture::PreactResnet18), 11_172_170),
        (ModelConfig::of(Architecture::FastPreactResnet18), 11_171_146),
        (ModelConfig::of(Architecture::Resnet18), 11_173_962),
        (ModelConfig::of(Architecture::WideResnet), 36_479_194),
        (ModelConfig::of_depth(Architecture::WideResnet, 34), 46_160_474),
        (ModelConfig::of(Architecture::DmWideResnet), 36_479_194),
        (ModelConfig::of(Architecture::DmPreactResnet18), 12_548_426),
        (ModelConfig::of(Architecture::DeitTiny), 5_362_762),
        (ModelConfig::of(Architecture::XcitS12), 25_872_154),
    ] {
        assert_eq!(network(&config, &info).parameter_count(), expected, "{config:?}");
    }
}

#[test]
fn sizes_computed_without_tensors_are_those_of_the_tensors() {
    for &architecture in Architecture::ALL {
        for side in [16, 32] {
            let (config, info) = (narrow(architecture), of_side(side));
            let network = network(&config, &info);
            let values = |role| network.entries().iter().filter(|entry| entry.role == role).map(|entry| entry.tensor.numel() as u64).sum();
            let computed = NetworkSize::of(&config, info.shape, 10);
            let expected = NetworkSize {
                parameters: values(Role::Parameter),
                buffers: values(Role::Buffer),
                parameter_tensors: network.parameters().len() as u64,
                tensors: network.entries().len() as u64,
                features: network.feature_dim().into(),
                ..computed
            };
            assert_eq!(computed, expected, "{architecture:?} for {side}×{side}");
        }
    }
}

#[test]
fn every_stage_gives_a_map_that_halves_as_the_network_says() {
    for (architecture, side, expected) in [
        (Architecture::PreactResnet18, 32, vec![[8, 32], [16, 16], [32, 8], [64, 4]]),
        (Architecture::PreactResnetSmall, 8, vec![[8, 8], [16, 4], [32, 2]]),
        (Architecture::Resnet18, 64, vec![[8, 64], [16, 32], [32, 16], [64, 8]]),
        (Architecture::WideResnet, 32, vec![[8, 32], [16, 16], [32, 8]]),
        (Architecture::DmWideResnet, 8, vec![[8, 8], [16, 4], [32, 2]]),
        (Architecture::DmPreactResnet18, 16, vec![[8, 16], [16, 8], [32, 4], [64, 2]]),
        (Architecture::XcitS12, 16, vec![[8, 4], [8, 4], [8, 4], [8, 4]]),
        (Architecture::DeitTiny, 32, vec![[12, 8], [12, 8], [12, 8], [12, 8]]),
    ] {
        let info = of_side(side);
        let network = network(&narrow(architecture), &info);
        let images = Tensor::rand([2, 3, i64::from(side), i64::from(side)], (Kind::Float, Device::Cpu));
        let (stages, output) = network.forward_stages(&images, BatchNormMode::Eval);
        let shapes: Vec<Vec<i64>> = stages.iter().map(Tensor::size).collect();
        let expected: Vec<Vec<i64>> = expected.iter().map(|[channels, side]| vec![2, *channels, *side, *side]).collect();
        assert_eq!(shapes, expected, "{architecture:?}");
        assert_eq!(stages.len() as u32, architecture.facts().stages);
        assert_eq!(output.logits.size(), [2, 10]);
        assert_eq!(output.features.size(), [2, i64::from(network.feature_dim())]);
        assert_eq!(network.linear_weight().size(), [10, i64::from(network.feature_dim())]);
        let plain = network.forward(&images, BatchNormMode::Eval);
        assert_eq!(values(&plain.logits), values(&output.logits), "{architecture:?}");
    }
}

#[test]
fn logits_can_be_differentiated_by_every_stage() {
    for &architecture in Architecture::ALL {
        let network = network(&narrow(architecture), &of_side(16));
        let images = Tensor::rand([2, 3, 16, 16], (Kind::Float, Device::Cpu));
        for mode in [BatchNormMode::Eval, BatchNormMode::Train] {
            let (stages, output) = network.forward_stages(&images, mode);
            let logit = output.logits.select(1, 3).sum(Kind::Float);
            let gradients = Tensor::run_backward(&[logit], &stages, false, false);
            for (stage, (map, gradient)) in (1..).zip(stages.iter().zip(&gradients)) {
                assert_eq!(map.size(), gradient.size());
                let unread = architecture == Architecture::DeitTiny && stage == architecture.facts().stages;
                let moves = gradient.abs().sum(Kind::Double).double_value(&[]) > 0.0;
                assert_eq!(moves, !unread, "{architecture:?}, stage {stage}, {mode:?}");
            }
        }
    }
}

#[test]
fn first_weights_are_drawn_as_the_public_code_draws_them() {
    #[track_caller]
    fn check(config: &ModelConfig, name: &str, std: f64) {
        let network = network(config, &Dataset::Cifar10.info());
        let entry = network.entries().iter().find(|entry| entry.name == name).unwrap();
        let found = entry.tensor.std(false).double_value(&[]);
        // 3 % is enough for about ten thousand draws.
        assert!((found - std).abs() <= 0.03 * std, "{name}: {found} is not {std}");
    }
    let uniform = |fan_in: f64| 1.0 / (3.0 * fan_in).sqrt();
    check(&narrow(Architecture::Resnet18), "layer4.1.conv2.weight", uniform(9.0 * 64.0));
    check(&narrow(Architecture::WideResnet), "block3.layer.1.conv1.weight", (2.0 / (9.0 * 32.0_f64)).sqrt());
    check(&ModelConfig::of(Architecture::DeitTiny), "blocks.11.mlp.fc1.weight", 0.02);
    check(&ModelConfig::of(Architecture::DeitTiny), "pos_embed", 0.02);
    check(&ModelConfig::of(Architecture::DeitTiny), "patch_embed.proj.weight", uniform(48.0));
    check(&narrow(Architecture::WideResnet), "fc.bias", 0.0);
    check(&narrow(Architecture::DmPreactResnet18), "layer_3.0.shortcut.weight", uniform(9.0 * 32.0));
    check(&ModelConfig::of(Architecture::XcitS12), "blocks.11.attn.qkv.weight", 0.02);
    check(&ModelConfig::of(Architecture::XcitS12), "patch_embed.proj.6.0.weight", uniform(9.0 * 192.0));
    check(&ModelConfig::of(Architecture::XcitS12), "cls_attn_blocks.1.gamma2", 0.0);
    check(&ModelConfig::of(Architecture::DeitTiny), "head.bias", 0.0);
}
