//! Runs that import checkpoints trained elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attack::PgdConfig;
use super::check::Check;
use super::data::DataConfig;
use super::model::{Activation, ModelConfig, Normalization};
use super::threat::Norm;
use super::train::AttributionConfig;
use crate::eps::Eps;

/// Imports checkpoints into this run. Executes code from a file only if `program` says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// Name of the run, at most 80 characters. Empty: named after the file.
    #[serde(default)]
    pub name: String,
    #[serde(default = "super::auto_device")]
    pub device: String,
    /// A safetensors file, a `torch.save` file with any name, a folder with the checkpoints of one training,
    /// or a `train_log/NAME` folder of the paper's public code. An absolute path, or for an upload a path
    /// relative to the run directory.
    pub source: String,
    /// Files of a folder to import, with their epochs. Empty: all checkpoints of the folder, with the epochs
    /// in their names, else those stored in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<SeriesFile>,
    /// Data set the network was trained on. It gives the class names, the normalization and the images to
    /// measure with.
    pub data: DataConfig,
    /// Whether the file is a program: TorchScript as `crosslens.export` of the Python package writes it. Its run can be
    /// evaluated and attributed. A program can do whatever the server may do, so it is refused unless the server was
    /// started with `--allow-programs`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub program: bool,
    /// Architecture. Absent: detected from the names and shapes of the tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// Selects one network of a file with several, by the prefix of its tensor names such as
    /// `swa_state_dict`; empty for no prefix. Absent: the only network; a file with different networks is
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Linear layer that gives the logits, such as `fc`, if a network has several. Absent: the only one; a
    /// file with several is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Activation, where the code of the network has several. Absent: that of the published weights; the file is refused if
    /// another gives a clearly higher clean accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Normalization of pixels in `[0, 1]` before the first layer. Absent: the file's own; else the one that
    /// the source code of the network is known to use; else that of the data set. The file is refused if the
    /// data set's normalization and none give different clean accuracies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<NormalizationChoice>,
    /// `false` ignores tensors that the network does not have, as `strict=False` of PyTorch. Missing tensors
    /// are always refused.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub strict: bool,
    /// Epoch assigned to a single file.
    #[serde(default = "first")]
    pub epoch: u32,
    /// Seed of the images and the attack in the measurements below.
    #[serde(default)]
    pub seed: u32,
    /// The network's threat model, and the attack that measures it.
    #[serde(default = "paper_attack")]
    pub attack: PgdConfig,
    /// Attribution matrices to measure for every checkpoint; none by default.
    #[serde(default = "none_at_once")]
    pub attribution: AttributionConfig,
}

/// A file of a folder of checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesFile {
    /// Name of the file in the folder.
    pub file: String,
    pub epoch: u32,
}

/// Normalization of an imported network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "is neither `file`, `dataset` nor `none`, nor {\"mean\": […], \"std\": […]}")]
pub enum NormalizationChoice {
    Of(NormalizationSource),
    /// The given mean and standard deviation, for pixels in `[0, 1]`.
    Given(Normalization),
}

/// Source of a normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormalizationSource {
    /// Tensors of the file.
    File,
    /// Mean and standard deviation of the data set.
    Dataset,
    /// No normalization: pixels in `[0, 1]`.
    None,
}

/// Largest number of an epoch.
pub const LAST_EPOCH: u32 = 1_000_000;

fn yes() -> bool {
    true
}
fn is_true(value: &bool) -> bool {
    *value
}
fn is_false(value: &bool) -> bool {
    !*value
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

/// What it means to run a program.
pub const PROGRAM_RIGHTS: &str =
    "A program can do whatever the server may do: read its files, change them, and send them away. Run only those that you trust.";
/// Why a program is not run.
pub const PROGRAMS_REFUSED: &str =
    "programs are not run here: start the server with `--allow-programs` (a worker by itself too) to run them";

impl ImportConfig {
    /// Imports a file or folder of networks trained on `data`.
    pub fn of(source: String, data: DataConfig) -> Self {
        super::with_defaults(json!({ "source": source, "data": data }))
    }

    pub(super) fn title(&self) -> String {
        let file = self.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        format!("Imported: {file}")
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let Self {
            name: _,
            device: _,
            source,
            checkpoints,
            data,
            program,
            model,
            network,
            head,
            activation,
            normalization,
            strict: _,
            epoch,
            seed: _,
            attack,
            attribution,
        } = self;
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
        let read = [
            ("model", model.is_some()),
            ("network", network.is_some()),
            ("head", head.is_some()),
            ("activation", activation.is_some()),
            ("normalization", normalization.is_some()),
        ];
        for (field, _) in read.into_iter().filter(|(_, is_set)| *program && *is_set) {
            check.fail(field, "is not used: a program says it itself; leave it out".to_owned());
        }
        let twice = activation.is_some() && model.as_ref().is_some_and(|model| model.activation.is_some());
        check.that("activation", !twice, || "is set, and so is `model.activation`; one of the two is enough".to_owned());
        check.range("epoch", *epoch, 0, LAST_EPOCH);
        validate_checkpoints(checkpoints, check);
        check.inside("attack", |check| attack.validate(check));
        check.inside("attribution", |check| attribution.validate(check));
    }
}

/// Requires names of files without folders, and each file and epoch once.
fn validate_checkpoints(checkpoints: &[SeriesFile], check: &mut Check) {
    let (mut files, mut epochs) = (BTreeMap::new(), BTreeMap::new());
    for (index, SeriesFile { file, epoch }) in checkpoints.iter().enumerate() {
        let field = |name: &str| format!("checkpoints[{index}].{name}");
        let plain = !file.is_empty() && !file.contains('/') && file != "..";
        check.that(&field("file"), plain, || format!("`{file}` is not the name of a file in the folder"));
        let earlier = files.insert(file, index);
        check.that(&field("file"), earlier.is_none(), || format!("`{file}` is named twice"));
        check.range(&field("epoch"), *epoch, 0, LAST_EPOCH);
        if let Some(other) = epochs.insert(*epoch, file) {
            check.fail(&field("epoch"), format!("{epoch} is given to `{other}` and to `{file}`; each needs an epoch of its own"));
        }
    }
}
