//! Writes checkpoints with their sidecars and records, for all kinds of runs.

use shared::config::{DataConfig, ModelConfig, PgdConfig};
use shared::dataset::DatasetInfo;
use shared::record::{self, Checkpoint, Record};
use tch::Tensor;

use crate::Error;
use crate::checkpoint::{self, Sidecar, Written};
use crate::device;
use crate::run_dir::{self, RunDir};

/// Description of a checkpoint, apart from its tensors.
pub(super) struct CheckpointFacts<'a> {
    pub(super) epoch: u32,
    /// `None` if the network was trained elsewhere and nothing is known about it.
    pub(super) metrics: Option<&'a record::Epoch>,
    /// `None` if the network is a program.
    pub(super) model: Option<&'a ModelConfig>,
    /// The data set that the network was trained on.
    pub(super) data: &'a DataConfig,
    pub(super) info: &'a DatasetInfo,
    /// PGD attack with which robust accuracy is measured.
    pub(super) attack: &'a PgdConfig,
}

/// Writes a checkpoint and its sidecar, then appends the record.
pub(super) fn write(dir: &mut RunDir, facts: CheckpointFacts<'_>, tensors: &[(String, Tensor)]) -> Result<Checkpoint, Error> {
    let file = run_dir::checkpoint_file(facts.epoch);
    let written = checkpoint::save(&dir.path(&file), tensors)?;
    describe(dir, facts, file, written)
}

/// Keeps a program as a checkpoint, with its sidecar and record.
pub(super) fn write_program(dir: &mut RunDir, facts: CheckpointFacts<'_>, program: &[u8]) -> Result<Checkpoint, Error> {
    let file = run_dir::program_file(facts.epoch);
    checkpoint::write_whole(&dir.path(&file), program)?;
    let written = Written { size_bytes: program.len() as u64, sha256: checkpoint::sha256(program) };
    describe(dir, facts, file, written)
}

fn describe(dir: &mut RunDir, facts: CheckpointFacts<'_>, file: String, written: Written) -> Result<Checkpoint, Error> {
    let CheckpointFacts { epoch, metrics, model, data, info, attack } = facts;
    let checkpoint = Checkpoint { epoch, file, size_bytes: written.size_bytes, sha256: written.sha256 };
    let sidecar = Sidecar {
        checkpoint: checkpoint.clone(),
        metrics: metrics.cloned(),
        model: model.map(|model| model.normalized_for(info)),
        dataset: data.dataset,
        class_names: info.class_names.clone(),
        attack: Some(attack.clone()),
        engine: device::ENGINE_VERSION.to_owned(),
    };
    dir.write_json(&run_dir::sidecar_file(epoch), &sidecar)?;
    dir.append(&Record::Checkpoint(checkpoint.clone()))?;
    Ok(checkpoint)
}
