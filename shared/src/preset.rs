//! Configurations to start from, each with its source.

use serde::{Deserialize, Serialize};

use crate::config::*;
use crate::dataset::Dataset;
use crate::eps::Eps;

/// A configuration to start from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preset {
    pub id: String,
    pub title: String,
    pub description: String,
    /// Where its settings come from.
    pub source: String,
    pub config: RunConfig,
}

/// Every preset, the demo first.
pub fn all() -> Vec<Preset> {
    vec![demo(), digits(), synthetic(), cifar10()]
}

/// Robust overfitting on digits, in about a minute of two CPU cores.
pub fn demo() -> Preset {
    Preset {
        id: "demo".into(),
        title: "Demo: robust overfitting in a minute".into(),
        description:
            "300 digits, a fifth of them mislabeled, trained for longer than is good: robust accuracy peaks early and falls by 10 \
                      to 14 points. CAS falls for one seed of three and rises for two."
                .into(),
        source: "CrossLens; label noise as a cause of robust overfitting: Dong et al. 2022".into(),
        config: RunConfig::Train(TrainConfig {
            name: "Demo: robust overfitting on digits".into(),
            seed: 1,
            device: "auto".into(),
            data: DataConfig {
                dataset: Dataset::Digits,
                path: None,
                train_samples: Some(300),
                test_samples: None,
                label_noise: 0.2,
                holdout_samples: 0,
                augment: false,
            },
            model: ModelConfig { architecture: Architecture::PreactResnetSmall, width: 16 },
            training: TrainingConfig {
                method: Method::PgdAt,
                epochs: 60,
                batch_size: 64,
                learning_rate: 0.1,
                momentum: 0.9,
                weight_decay: 5e-4,
                milestones: vec![30, 45],
                decay_factor: 0.1,
            },
            attack: AttackConfig {
                norm: Norm::Linf,
                eps: Eps::of_255(25.5),
                step_size: Eps::of_255(6.375),
                steps: 10,
                random_start: true,
                batch_norm: BatchNormMode::Train,
            },
            evaluation: EvaluationConfig::default(),
            checkpoints: CheckpointConfig { every: 5, epochs: Vec::new() },
            attribution: AttributionConfig::default(),
        }),
    }
}

fn digits() -> Preset {
    let RunConfig::Train(demo) = demo().config;
    Preset {
        id: "digits".into(),
        title: "Digits".into(),
        description: "All 1,198 training digits with true labels: a robust network for 8×8 images in a few minutes.".into(),
        source: "CrossLens".into(),
        config: RunConfig::Train(TrainConfig {
            name: String::new(),
            data: DataConfig { train_samples: None, label_noise: 0.0, augment: true, ..demo.data },
            training: TrainingConfig { epochs: 40, batch_size: 128, milestones: vec![20, 30], ..demo.training },
            ..demo
        }),
    }
}

fn synthetic() -> Preset {
    let RunConfig::Train(demo) = demo().config;
    Preset {
        id: "synthetic".into(),
        title: "Shared features, known beforehand".into(),
        description: "Generated 32×32 images in which pairs of classes share a pattern: the matrix should find the pairs.".into(),
        source: "CrossLens".into(),
        config: RunConfig::Train(TrainConfig {
            name: String::new(),
            data: DataConfig {
                dataset: Dataset::Synthetic,
                path: None,
                train_samples: Some(500),
                test_samples: Some(200),
                label_noise: 0.0,
                holdout_samples: 0,
                augment: false,
            },
            model: ModelConfig { architecture: Architecture::PreactResnetSmall, width: 16 },
            training: TrainingConfig { epochs: 12, batch_size: 50, learning_rate: 0.05, milestones: vec![8, 10], ..demo.training },
            attack: AttackConfig { eps: Eps::of_255(8.0), step_size: Eps::of_255(2.0), steps: 5, ..demo.attack },
            evaluation: EvaluationConfig { steps: 10, ..EvaluationConfig::default() },
            checkpoints: CheckpointConfig { every: 4, epochs: Vec::new() },
            ..demo
        }),
    }
}

/// The paper's main experiment, with the settings of its public code.
fn cifar10() -> Preset {
    Preset {
        id: "cifar10".into(),
        title: "CIFAR-10, PreActResNet-18, as in the paper".into(),
        description:
            "PGD-10 adversarial training at ℓ∞ 8/255 for 200 epochs, learning rate ÷10 at 100 and 150. Needs a GPU and the CIFAR-10 files."
                .into(),
        source: "Wei, Guo, Wang: Identifying and Understanding Cross-Class Features in Adversarial Training, ICML 2025, arXiv 2506.05032"
            .into(),
        config: RunConfig::Train(TrainConfig {
            name: String::new(),
            seed: 0,
            device: "auto".into(),
            data: DataConfig {
                dataset: Dataset::Cifar10,
                path: None,
                train_samples: None,
                test_samples: None,
                label_noise: 0.0,
                holdout_samples: 0,
                augment: true,
            },
            model: ModelConfig { architecture: Architecture::PreactResnet18, width: 64 },
            training: TrainingConfig {
                method: Method::PgdAt,
                epochs: 200,
                batch_size: 128,
                learning_rate: 0.1,
                momentum: 0.9,
                weight_decay: 5e-4,
                milestones: vec![100, 150],
                decay_factor: 0.1,
            },
            attack: AttackConfig {
                norm: Norm::Linf,
                eps: Eps::of_255(8.0),
                step_size: Eps::of_255(2.0),
                steps: 10,
                random_start: true,
                batch_norm: BatchNormMode::Train,
            },
            evaluation: EvaluationConfig::default(),
            checkpoints: CheckpointConfig { every: 0, epochs: vec![10, 70] },
            attribution: AttributionConfig::default(),
        }),
    }
}
