//! Runs that bring in checkpoints which were trained elsewhere.

use serde::{Deserialize, Serialize};

use super::attack::{Norm, PgdConfig};
use super::check::Check;
use super::data::DataConfig;
use super::model::ModelConfig;
use super::train::AttributionConfig;
use crate::eps::Eps;

/// Reads checkpoints, never executing what is in them, and makes them those of this run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// What the run is called in tables; at most 80 characters. Empty: named after the file.
    #[serde(default)]
    pub name: String,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// A `.safetensors`, `.pth` or `.pt` file, or a whole `train_log/NAME` folder of the paper's public code: absolute, or relative to the
    /// run directory for a file that was uploaded.
    pub source: String,
    /// What the network was trained on: gives its classes and normalization, and the images to measure it with.
    pub data: DataConfig,
    /// Absent: detected from the names and shapes of the tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// The epoch that a single file is kept under.
    #[serde(default = "first")]
    pub epoch: u32,
    /// Of the images, in the measurements below.
    #[serde(default)]
    pub seed: u32,
    /// The threat model the network was trained for, and the attack it is measured with.
    #[serde(default = "paper_attack")]
    pub attack: PgdConfig,
    /// The matrices to measure of every checkpoint at once; none by default.
    #[serde(default = "none_at_once")]
    pub attribution: AttributionConfig,
}

fn first() -> u32 {
    1
}
fn paper_attack() -> PgdConfig {
    PgdConfig::of(Norm::Linf, Eps::of_255(8.0))
}
fn none_at_once() -> AttributionConfig {
    AttributionConfig { inputs: Vec::new(), ..AttributionConfig::default() }
}

impl ImportConfig {
    /// A file or folder of networks trained on `data`.
    pub fn of(source: String, data: DataConfig) -> Self {
        ImportConfig {
            name: String::new(),
            device: super::auto_device(),
            source,
            data,
            model: None,
            epoch: first(),
            seed: 0,
            attack: paper_attack(),
            attribution: none_at_once(),
        }
    }

    pub(super) fn title(&self) -> String {
        let file = self.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        format!("Imported: {file}")
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self { name, device, source, data, model, epoch, seed: _, attack, attribution } = self;
        check.name(name);
        check.device(device);
        check.that("source", !source.trim().is_empty(), || "is empty; name a file or a folder".to_owned());
        check.that("source", !source.split('/').any(|part| part == ".."), || format!("`{source}` leaves its folder; write the whole path"));
        check.inside("data", |check| data.validate(check));
        if let Some(model) = model {
            check.inside("model", |check| model.validate(data.shape(), &data.dataset.info().title, check));
        }
        check.range("epoch", *epoch, 0, 1_000_000);
        check.inside("attack", |check| attack.validate(check));
        check.inside("attribution", |check| attribution.validate(check));
    }
}
