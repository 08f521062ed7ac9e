//! Presets that run on any machine: the demo, the digits, and the generated images of all small versions.

use super::{Preset, PresetGroup};
use crate::config::*;
use crate::dataset::Dataset;
use crate::eps::Eps;

pub(super) fn presets() -> Vec<Preset> {
    vec![demo(), digits(), synthetic()]
}

/// Robust overfitting on digits; takes about 90 seconds on two CPU cores.
///
/// The settings were chosen with other seeds than those reported in the description.
pub fn demo() -> Preset {
    Preset {
        id: "demo".into(),
        group: PresetGroup::Start,
        title: "Demo: robust overfitting in 90 seconds".into(),
        description:
            "200 digits, a fifth of them mislabeled, trained for longer than is good. With seeds 2 to 6, fixed beforehand, robust \
                      accuracy fell by 12 to 18 points from the best epoch to the last; CAS fell for four of them, by up to 1.0, and rose \
                      by 0.2 for one."
                .into(),
        source: "CrossLens; label noise as a cause of robust overfitting: Dong et al. 2022".into(),
        config: train(TrainConfig {
            name: "Demo: robust overfitting on digits".into(),
            data: DataConfig { train_samples: Some(200), label_noise: 0.2, ..DataConfig::of(Dataset::Digits) },
            model: ModelConfig { width: Some(8), ..ModelConfig::of(Architecture::PreactResnetSmall) },
            training: TrainingConfig { batch_size: 64, milestones: vec![75, 112], ..TrainingConfig::of(Method::PgdAt, 150) },
            evaluation: EvaluationConfig { every: 3, ..EvaluationConfig::default() },
            checkpoints: CheckpointConfig { every: 15, ..CheckpointConfig::default() },
            ..digits_config()
        }),
        small: None,
        sweep: Vec::new(),
    }
}

fn digits() -> Preset {
    Preset {
        id: "digits".into(),
        group: PresetGroup::Start,
        title: "Digits".into(),
        description: "All 1,198 training digits with true labels: a robust network for 8×8 images in a few minutes.".into(),
        source: "CrossLens".into(),
        config: train(digits_config()),
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

fn digits_config() -> TrainConfig {
    TrainConfig {
        name: String::new(),
        sweep: None,
        seed: 1,
        device: "auto".into(),
        precision: Precision::Float32,
        start_from: None,
        data: DataConfig { augment: true, ..DataConfig::of(Dataset::Digits) },
        model: ModelConfig { width: Some(16), ..ModelConfig::of(Architecture::PreactResnetSmall) },
        training: TrainingConfig { milestones: vec![20, 30], ..TrainingConfig::of(Method::PgdAt, 40) },
        attack: AttackConfig::of(Norm::Linf, Eps::of_255(25.5)),
        evaluation: EvaluationConfig::default(),
        checkpoints: CheckpointConfig { every: 5, ..CheckpointConfig::default() },
        attribution: AttributionConfig { every: 1, ..AttributionConfig::default() },
    }
}

/// The small version of an experiment: generated images, a narrow network, few epochs, then the changes of
/// `edit`.
pub(super) fn small(edit: impl FnOnce(&mut TrainConfig)) -> RunConfig {
    let mut config = TrainConfig {
        data: DataConfig { train_samples: Some(500), test_samples: Some(200), ..DataConfig::of(Dataset::Synthetic) },
        training: TrainingConfig { batch_size: 50, learning_rate: 0.05, milestones: vec![8, 10], ..TrainingConfig::of(Method::PgdAt, 12) },
        attack: AttackConfig { steps: 5, ..AttackConfig::of(Norm::Linf, Eps::of_255(8.0)) },
        evaluation: EvaluationConfig { steps: 10, ..EvaluationConfig::default() },
        checkpoints: CheckpointConfig { every: 4, ..CheckpointConfig::default() },
        ..digits_config()
    };
    edit(&mut config);
    train(config)
}

pub(super) fn train(config: TrainConfig) -> RunConfig {
    RunConfig::Train(Box::new(config))
}
