//! What softens the labels or the weights of adversarial training.

use strum::{EnumString, IntoStaticStr, VariantNames};

use super::train::{AwpConfig, DistillationConfig, TrainingConfig, WeightAveragingConfig};

/// An addition to plain training, with its usual settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Addition {
    /// Plain training with one-hot labels.
    None,
    /// Szegedy et al. 2016, arXiv 1512.00567.
    LabelSmoothing,
    /// Chen et al. 2021.
    Distillation,
    /// Rebuffi et al. 2021, arXiv 2103.01946.
    WeightAveraging,
    /// Wu et al. 2020, arXiv 2004.05884.
    Awp,
}

impl Addition {
    /// Its name as a field of sweeps. It stands for [`Addition::FIELDS`].
    pub const FIELD: &str = "training.addition";
    /// The fields of a configuration that it decides.
    pub const FIELDS: [&str; 4] = ["training.label_smoothing", "training.distillation", "training.weight_averaging", "training.awp"];

    pub fn slug(self) -> &'static str {
        self.into()
    }

    /// Makes it the only addition.
    pub fn set(self, training: &mut TrainingConfig) {
        training.label_smoothing = if self == Addition::LabelSmoothing { 0.1 } else { 0.0 };
        training.distillation = (self == Addition::Distillation).then(DistillationConfig::default);
        // A short run does not have the thousand steps that 0.999 averages over.
        let decay = if training.epochs > 50 { 0.999 } else { 0.9 };
        training.weight_averaging = (self == Addition::WeightAveraging).then_some(WeightAveragingConfig { decay, start_epoch: 1 });
        let warmup_epochs = AwpConfig::default().warmup_epochs.min(training.epochs / 6);
        training.awp = (self == Addition::Awp).then(|| AwpConfig { warmup_epochs, ..AwpConfig::default() });
    }

    /// The only addition of a training; nothing if it has several.
    pub fn of(training: &TrainingConfig) -> Option<Self> {
        let found = [
            (training.label_smoothing > 0.0, Addition::LabelSmoothing),
            (training.distillation.is_some(), Addition::Distillation),
            (training.weight_averaging.is_some(), Addition::WeightAveraging),
            (training.awp.is_some(), Addition::Awp),
        ];
        let mut found = found.into_iter().filter_map(|(is_on, addition)| is_on.then_some(addition));
        match (found.next(), found.next()) {
            (first, None) => Some(first.unwrap_or(Addition::None)),
            _ => None,
        }
    }
}
