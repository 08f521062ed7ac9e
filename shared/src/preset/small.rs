//! What runs anywhere at once: the demo, the digits, and the generated images that every experiment has a small form on.

use super::{Preset, PresetGroup};
use crate::config::*;
use crate::dataset::Dataset;
use crate::eps::Eps;

pub(super) fn presets() -> Vec<Preset> {
    vec![demo(), digits(), synthetic()]
}

/// Robust overfitting on digits, in about a minute of two CPU cores.
pub fn demo() -> Preset {
    Preset {
        id: "demo".into(),
        group: PresetGroup::Start,
        title: "Demo: robust overfitting in a minute".into(),
        description: "300 digits, a fifth of them mislabeled, trained for longer than is good: robust accuracy peaks early and falls by 9 \
                      to 14 points. CAS falls for one seed of three and rises for two."
            .into(),
        source: "CrossLens; label noise as a cause of robust overfitting: Dong et al. 2022".into(),
        config: train(TrainConfig { name: "Demo: robust overfitting on digits".into(), ..demo_config() }),
        small: None,
        sweep: Vec::new(),
    }
}

fn digits() -> Preset {
    let demo = demo_config();
    Preset {
        id: "digits".into(),
        group: PresetGroup::Start,
        title: "Digits".into(),
        description: "All 1,198 training digits with true labels: a robust network for 8×8 images in a few minutes.".into(),
        source: "CrossLens".into(),
        config: train(TrainConfig {
            data: DataConfig { augment: true, ..DataConfig::of(Dataset::Digits) },
            training: TrainingConfig { milestones: vec![20, 30], ..TrainingConfig::of(Method::PgdAt, 40) },
            ..demo
        }),
        small: None,
        sweep: Vec::new(),
    }
}

fn synthetic() -> Preset {
    Preset {
        id: "synthetic".into(),
        group: PresetGroup::Start,
        title: "Shared features, known beforehand".into(),
        description: "Generated 32×32 images in which pairs of classes share a pattern: the matrix should find the pairs.".into(),
        source: "CrossLens".into(),
        config: small(|_| {}),
        small: None,
        sweep: Vec::new(),
    }
}

fn demo_config() -> TrainConfig {
    TrainConfig {
        name: String::new(),
        sweep: None,
        seed: 1,
        device: "auto".into(),
        data: DataConfig { train_samples: Some(300), label_noise: 0.2, ..DataConfig::of(Dataset::Digits) },
        model: ModelConfig { width: Some(16), ..ModelConfig::of(Architecture::PreactResnetSmall) },
        training: TrainingConfig { batch_size: 64, milestones: vec![30, 45], ..TrainingConfig::of(Method::PgdAt, 60) },
        attack: AttackConfig::of(Norm::Linf, Eps::of_255(25.5)),
        evaluation: EvaluationConfig::default(),
        checkpoints: CheckpointConfig { every: 5, epochs: Vec::new() },
        attribution: AttributionConfig::default(),
    }
}

/// The small form of an experiment: generated images, a narrow network, few epochs, and what `edit` makes of them.
pub(super) fn small(edit: impl FnOnce(&mut TrainConfig)) -> RunConfig {
    let mut config = TrainConfig {
        data: DataConfig { train_samples: Some(500), test_samples: Some(200), ..DataConfig::of(Dataset::Synthetic) },
        training: TrainingConfig { batch_size: 50, learning_rate: 0.05, milestones: vec![8, 10], ..TrainingConfig::of(Method::PgdAt, 12) },
        attack: AttackConfig { steps: 5, ..AttackConfig::of(Norm::Linf, Eps::of_255(8.0)) },
        evaluation: EvaluationConfig { steps: 10, ..EvaluationConfig::default() },
        checkpoints: CheckpointConfig { every: 4, epochs: Vec::new() },
        ..demo_config()
    };
    edit(&mut config);
    train(config)
}

pub(super) fn train(config: TrainConfig) -> RunConfig {
    RunConfig::Train(Box::new(config))
}
