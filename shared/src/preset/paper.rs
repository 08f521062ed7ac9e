//! Experiments of the paper.
//!
//! Wei, Guo, Wang: Identifying and Understanding Cross-Class Features in Adversarial Training, ICML 2025.

use serde_json::Value;

use super::small::{small, train};
use super::{Preset, PresetGroup};
use crate::api::SweepAxis;
use crate::config::*;
use crate::dataset::Dataset;
use crate::eps::Eps;

const PAPER: &str =
    "Wei, Guo, Wang: Identifying and Understanding Cross-Class Features in Adversarial Training, ICML 2025, arXiv 2506.05032";

pub(super) fn presets() -> Vec<Preset> {
    vec![cifar10(), eps_sweep(), eps_sweep_at_8(), distillation(), cifar100(), tiny_imagenet(), l2(), deit(), fast(), saliency()]
}

fn cifar10() -> Preset {
    Preset {
        id: "cifar10".into(),
        group: PresetGroup::Paper,
        title: "E1: CIFAR-10, PreActResNet-18".into(),
        description:
            "PGD-10 adversarial training at ℓ∞ 8/255 for 200 epochs, learning rate ÷10 at 100 and 150; attribution after every epoch, \
                      checkpoints of epochs 10, 70, best and last. Needs a GPU."
                .into(),
        source: PAPER.into(),
        config: train(cifar10_config()),
        small: Some(small(|_| {})),
        sweep: Vec::new(),
    }
}

/// E2 and E3. E10 uses the same runs: it shows their curves.
fn eps_sweep() -> Preset {
    let eps = |numerator: f64| Value::from(Eps::of_255(numerator).to_string());
    Preset {
        id: "eps-sweep".into(),
        title: "E2, E3, E10: CIFAR-10 at six radii".into(),
        description: "E1 at eps 2, 4, 6, 8, 12 and 16 of 255: best and last robust accuracy and CAS against eps, train and test robust \
                      accuracy over epochs. The paper gives CAS, best minus last, as 4.1, 8.9, 13.8 and 16.6 at 2, 4, 6 and 8."
            .into(),
        small: Some(small(|config| config.training.epochs = 10)),
        sweep: vec![SweepAxis { field: "attack.eps".into(), values: [2.0, 4.0, 6.0, 8.0, 12.0, 16.0].map(eps).into() }],
        ..cifar10()
    }
}

/// The other reading of E2 and E3: the public code measures, and chooses the best checkpoint, at 8/255.
fn eps_sweep_at_8() -> Preset {
    let at_8 = |config: &mut TrainConfig| config.evaluation.eps = Some(Eps::of_255(8.0));
    Preset {
        id: "eps-sweep-at-8".into(),
        title: "E2, E3 evaluated at 8/255".into(),
        description:
            "The six radii again, with robust accuracy, the best checkpoint and CAS measured at 8/255 for each, as the paper's public \
                      code does. The paper does not say which reading its figures show."
                .into(),
        config: edited(cifar10_config(), at_8),
        small: Some(small(|config| {
            config.training.epochs = 10;
            at_8(config);
        })),
        ..eps_sweep()
    }
}

fn distillation() -> Preset {
    let distill = |config: &mut TrainConfig| Addition::Distillation.set(&mut config.training);
    Preset {
        id: "distillation".into(),
        title: "E4: AT with knowledge distillation".into(),
        description: "E1 with a standard and a robust teacher (0.3 cross-entropy, 0.1 and 0.6 distillation, T = 2). Teachers that are not \
                      named are trained first: self-distillation."
            .into(),
        source: format!("{PAPER}; weights of Chen et al. 2021, Robust Overfitting May Be Mitigated by Properly Learned Smoothening"),
        config: edited(cifar10_config(), distill),
        small: Some(small(distill)),
        ..cifar10()
    }
}

fn cifar100() -> Preset {
    Preset {
        id: "cifar100".into(),
        title: "E5: CIFAR-100".into(),
        description: "E1 on 100 classes.".into(),
        config: edited(cifar10_config(), |config| config.data.dataset = Dataset::Cifar100),
        small: Some(small(|config| config.data.train_samples = Some(300))),
        ..cifar10()
    }
}

fn tiny_imagenet() -> Preset {
    Preset {
        id: "tiny-imagenet".into(),
        title: "E6: Tiny-ImageNet-200, ResNet-18".into(),
        description: "E1's recipe on 64×64 images of 200 classes. The paper names the network; the recipe is that of its CIFAR-10 code."
            .into(),
        config: edited(cifar10_config(), |config| {
            config.data.dataset = Dataset::TinyImagenet;
            config.model = ModelConfig::of(Architecture::Resnet18);
        }),
        small: Some(small(|config| {
            config.model = ModelConfig { width: Some(8), ..ModelConfig::of(Architecture::Resnet18) };
        })),
        ..cifar10()
    }
}

fn l2() -> Preset {
    Preset {
        id: "l2".into(),
        title: "E7: ℓ2 128/255".into(),
        description: "E1 in the ℓ2 ball of radius 128/255, training step 16/255.".into(),
        config: edited(cifar10_config(), |config| config.attack = AttackConfig::of(Norm::L2, Eps::of_255(128.0))),
        small: Some(small(|config| {
            config.attack = AttackConfig { steps: 5, ..AttackConfig::of(Norm::L2, Eps::of_255(128.0)) };
        })),
        ..cifar10()
    }
}

fn deit() -> Preset {
    Preset {
        id: "deit".into(),
        title: "E8: DeiT-Ti".into(),
        description:
            "A vision transformer with patches of 4×4 on CIFAR-10: 40 epochs of SGD with the gradient clipped to norm 1, learning \
                      rate ÷10 at 36 and 38."
                .into(),
        source: "Mo et al. 2022, When Adversarial Training Meets Vision Transformers, arXiv 2210.07540: the nearest public recipe; the \
                 paper's own is not public"
            .into(),
        config: edited(cifar10_config(), |config| {
            config.model = ModelConfig::of(Architecture::DeitTiny);
            config.training = TrainingConfig {
                weight_decay: 1e-4,
                milestones: vec![36, 38],
                gradient_clip: Some(1.0),
                ..TrainingConfig::of(Method::PgdAt, 40)
            };
            config.checkpoints.epochs = vec![10, 20];
        }),
        small: Some(small(|config| {
            config.model = ModelConfig { width: Some(48), ..ModelConfig::of(Architecture::DeitTiny) };
            config.training.gradient_clip = Some(1.0);
            config.training.epochs = 10;
            config.training.milestones = vec![8];
        })),
        ..cifar10()
    }
}

fn fast() -> Preset {
    let fast = |config: &mut TrainConfig, epochs: u32| {
        config.training = TrainingConfig {
            batch_size: config.training.batch_size,
            learning_rate: 0.2,
            schedule: Schedule::Cyclic,
            ..TrainingConfig::of(Method::FastAt, epochs)
        };
        config.attack.steps = 1;
    };
    Preset {
        id: "fast-at".into(),
        title: "E9: fast AT".into(),
        description:
            "FGSM from a random start, step 1.25 eps, 30 epochs of a cyclic learning rate. Says when robustness against PGD is lost \
                      within an epoch (catastrophic overfitting)."
                .into(),
        source: "Wong et al. 2020, Fast is Better than Free, arXiv 2001.03994".into(),
        config: edited(cifar10_config(), |config| {
            fast(config, 30);
            config.checkpoints.epochs = vec![10, 20];
        }),
        small: Some(small(|config| fast(config, 15))),
        ..cifar10()
    }
}

fn saliency() -> Preset {
    Preset {
        id: "saliency".into(),
        title: "E11: Grad-CAM at best and last".into(),
        description: "Where the network looks, on the same images, at two or more checkpoints of any runs.".into(),
        source: format!("{PAPER}; Grad-CAM: Selvaraju et al. 2017, arXiv 1610.02391"),
        config: RunConfig::Saliency(Box::new(SaliencyConfig::of(Vec::new()))),
        small: None,
        ..cifar10()
    }
}

/// E1 with the settings of the paper's public code.
pub(super) fn cifar10_config() -> TrainConfig {
    TrainConfig {
        name: String::new(),
        sweep: None,
        seed: 0,
        device: "auto".into(),
        precision: Precision::Float32,
        start_from: None,
        data: DataConfig { augment: true, ..DataConfig::of(Dataset::Cifar10) },
        model: ModelConfig::of(Architecture::PreactResnet18),
        training: TrainingConfig { milestones: vec![100, 150], ..TrainingConfig::of(Method::PgdAt, 200) },
        attack: AttackConfig::of(Norm::Linf, Eps::of_255(8.0)),
        evaluation: EvaluationConfig::default(),
        checkpoints: CheckpointConfig { epochs: vec![10, 70], ..CheckpointConfig::default() },
        attribution: AttributionConfig { every: 1, ..AttributionConfig::default() },
    }
}

pub(super) fn edited(mut config: TrainConfig, edit: impl FnOnce(&mut TrainConfig)) -> RunConfig {
    edit(&mut config);
    train(config)
}
