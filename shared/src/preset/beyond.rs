//! Experiments beyond the paper, based on its CIFAR-10 recipe.

use serde_json::Value;
use strum::VariantNames;

use super::paper::{cifar10_config, edited};
use super::small::small;
use super::{Preset, PresetGroup};
use crate::api::SweepAxis;
use crate::config::*;

pub(super) fn presets() -> Vec<Preset> {
    vec![
        variant(
            "trades",
            "TRADES",
            "β = 6, attacked by the divergence from clean predictions in eval mode.",
            "Zhang et al. 2019, arXiv 1901.08573",
            |config| {
                config.training.method = Method::Trades;
                config.attack.batch_norm = BatchNormMode::Eval;
            },
        ),
        variant(
            "label-smoothing",
            "Label smoothing",
            "AT with 0.1 of each label spread over all classes.",
            "Szegedy et al. 2016, arXiv 1512.00567",
            |config| Addition::LabelSmoothing.set(&mut config.training),
        ),
        variant(
            "ema",
            "Weight averaging",
            "AT evaluated with an exponential moving average of the weights.",
            "Rebuffi et al. 2021, arXiv 2103.01946",
            |config| Addition::WeightAveraging.set(&mut config.training),
        ),
        variant(
            "awp",
            "AWP",
            "AT with the weights perturbed against the loss as well, γ = 0.01.",
            "Wu et al. 2020, arXiv 2004.05884",
            |config| Addition::Awp.set(&mut config.training),
        ),
        Preset {
            sweep: vec![SweepAxis {
                field: Addition::FIELD.into(),
                values: Addition::VARIANTS.iter().map(|slug| Value::from(*slug)).collect(),
            }],
            ..variant(
                "soft-labels",
                "Soft labels side by side",
                "E1 with one-hot labels, label smoothing, distillation, weight averaging and AWP: best and last accuracy, CAS and what \
                 training past the best costs, beside each other.",
                "Section 4.3 of the paper; sources of each addition with its preset",
                |_| {},
            )
        },
        variant(
            "wrn-34-10",
            "WideResNet-34-10",
            "E1's recipe on the network of the field's leader boards.",
            "Zagoruyko and Komodakis 2016, arXiv 1605.07146",
            |config| {
                config.model = wide_resnet(34, config);
            },
        ),
        variant(
            "wrn-28-10",
            "WideResNet-28-10",
            "E1's recipe on the shallower wide network.",
            "Zagoruyko and Komodakis 2016, arXiv 1605.07146",
            |config| {
                config.model = wide_resnet(28, config);
            },
        ),
        variant("standard", "Standard training", "The control: the same network and schedule without an attack.", "CrossLens", |config| {
            config.training.method = Method::Standard;
        }),
        Preset {
            sweep: vec![SweepAxis { field: "training.cas_weight".into(), values: [-1.0, -0.5, 0.0, 0.5, 1.0].map(Value::from).to_vec() }],
            ..variant(
                "cas-weight",
                "CAS rewarded and punished",
                "Is CAS a cause of robustness? E1 with the loss − λ · CAS of the batch: λ below 0 takes shared features away, above 0 it \
                 asks for them, 0 is the control.",
                "CrossLens; CAS: Wei, Guo and Wang 2025",
                |_| {},
            )
        },
        Preset {
            sweep: vec![SweepAxis { field: "seed".into(), values: (0..5).map(Value::from).collect() }],
            ..variant("seeds", "Several seeds", "E1 with five seeds: mean and spread of everything that is measured.", "CrossLens", |_| {})
        },
    ]
}

/// Applies the same edit to E1 and to its small version.
fn variant(id: &str, title: &str, description: &str, source: &str, edit: impl Fn(&mut TrainConfig)) -> Preset {
    Preset {
        id: id.into(),
        group: PresetGroup::Beyond,
        title: title.into(),
        description: description.into(),
        source: source.into(),
        config: edited(cifar10_config(), &edit),
        small: Some(small(&edit)),
        sweep: Vec::new(),
    }
}

/// A WideResNet with the width of `config`: as published, or narrow in a small version.
fn wide_resnet(depth: u32, config: &TrainConfig) -> ModelConfig {
    ModelConfig { width: config.model.width, ..ModelConfig::of_depth(Architecture::WideResnet, depth) }
}
