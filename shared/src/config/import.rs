//! Runs that bring in checkpoints which were trained elsewhere.

use serde::{Deserialize, Serialize};

use super::attack::{Norm, PgdConfig};
use super::check::Check;
use super::data::DataConfig;
use super::model::{ModelConfig, Normalization};
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
    /// A file of safetensors or of `torch.save` under any name, or a whole `train_log/NAME` folder of the paper's public code: absolute, or
    /// relative to the run directory for a file that was uploaded.
    pub source: String,
    /// What the network was trained on: gives its classes and normalization, and the images to measure it with.
    pub data: DataConfig,
    /// Absent: detected from the names and shapes of the tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// Which network of a file with several: what the names of its tensors begin with, such as `swa_state_dict`; empty where they begin
    /// with nothing. Absent: the only one; a file whose networks differ is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Which linear layer gives the logits, `fc`, where a network has several. Absent: the only one; else the file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What pixels in `[0, 1]` are normalized with before the first layer. Absent: the file's own; where it has none, what its code is known
    /// to train with; else that of the data set, unless clean accuracy is another without it: then the file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<NormalizationChoice>,
    /// `false` leaves out what the network has no place for, as PyTorch does with `strict=False`. What it lacks is refused either way.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub strict: bool,
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

/// Which normalization an imported network has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "is neither `file`, `dataset` nor `none`, nor {\"mean\": […], \"std\": […]}")]
pub enum NormalizationChoice {
    Of(NormalizationSource),
    /// These numbers, for pixels in `[0, 1]`.
    Given(Normalization),
}

/// Where a normalization comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NormalizationSource {
    /// Tensors of the file.
    File,
    /// The mean and deviation of the data set.
    Dataset,
    /// Pixels in `[0, 1]` as they are.
    None,
}

fn yes() -> bool {
    true
}
fn is_true(value: &bool) -> bool {
    *value
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
            network: None,
            head: None,
            normalization: None,
            strict: yes(),
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
        let Self { name, device, source, data, model, network: _, head: _, normalization, strict: _, epoch, seed: _, attack, attribution } =
            self;
        check.name(name);
        check.device(device);
        check.that("source", !source.trim().is_empty(), || "is empty; name a file or a folder".to_owned());
        check.that("source", !source.split('/').any(|part| part == ".."), || format!("`{source}` leaves its folder; write the whole path"));
        check.inside("data", |check| data.validate(check));
        let title = data.dataset.info().title;
        if let Some(model) = model {
            check.inside("model", |check| model.validate(data.shape(), &title, check));
        }
        if let Some(NormalizationChoice::Given(given)) = normalization {
            check.inside("normalization", |check| given.validate(data.shape()[0], &title, check));
        }
        let twice = normalization.is_some() && model.as_ref().is_some_and(|model| model.normalization.is_some());
        check.that("normalization", !twice, || "is set, and so is `model.normalization`; one of the two is enough".to_owned());
        check.range("epoch", *epoch, 0, 1_000_000);
        check.inside("attack", |check| attack.validate(check));
        check.inside("attribution", |check| attribution.validate(check));
    }
}
