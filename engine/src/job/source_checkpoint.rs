//! Finds a checkpoint of another run, in the run directories beside the run's own.

use std::fs;
use std::path::{Path, PathBuf};

use shared::config::{DataConfig, ModelConfig, PgdConfig, Precision, RunConfig, SplitName};
use shared::dataset::DatasetInfo;
use shared::id::{CheckpointId, CheckpointRef};
use shared::record::{Forked, Metrics, Record, Started};
use tch::{Device, Kind};

use crate::Error;
use crate::checkpoint::{self, Sidecar};
use crate::data::Split;
use crate::device;
use crate::model::Network;
use crate::run_dir;

/// A checkpoint of another run, with what that run says about it.
pub(super) struct SourceCheckpoint {
    pub(super) id: CheckpointId,
    pub(super) sidecar: Sidecar,
    path: PathBuf,
    /// Configuration of the run that wrote the checkpoint.
    config: RunConfig,
    metrics: Metrics,
}

impl SourceCheckpoint {
    /// Finds a checkpoint in the run directories beside `directory`.
    pub(super) fn find(directory: &Path, wanted: &CheckpointRef) -> Result<Self, Error> {
        let missing = |problem: String| Error::SourceCheckpoint { checkpoint: wanted.to_string(), problem };
        let directory = directory.canonicalize().map_err(Error::io(directory))?;
        let run = directory.with_file_name(wanted.run.as_str());
        if !run.is_dir() {
            return Err(missing(format!("there is no run directory {run:?}")));
        }
        let config = run_dir::read_config(&run)?;
        let metrics: Metrics = run_dir::read_metrics(&run)?;
        let epoch = metrics.checkpoint_epoch(wanted.which).map_err(|error| missing(error.to_string()))?;
        let sidecar = run.join(run_dir::sidecar_file(epoch));
        let text = fs::read_to_string(&sidecar).map_err(Error::io(&sidecar))?;
        let sidecar: Sidecar = serde_json::from_str(&text)
            .map_err(|error| Error::Checkpoint { path: sidecar, problem: format!("cannot be read: {error}") })?;
        let file = if sidecar.model.is_some() { run_dir::checkpoint_file(epoch) } else { run_dir::program_file(epoch) };
        let path = run.join(file);
        Ok(SourceCheckpoint { id: CheckpointId { run: wanted.run.clone(), epoch }, sidecar, path, config, metrics })
    }

    /// Finds several checkpoints, at least one. Fails if they do not have the same classes.
    pub(super) fn find_with_same_classes(directory: &Path, wanted: &[CheckpointRef]) -> Result<Vec<Self>, Error> {
        let sources = wanted.iter().map(|checkpoint| SourceCheckpoint::find(directory, checkpoint)).collect::<Result<Vec<_>, _>>()?;
        let first = &sources[0];
        for other in &sources[1..] {
            if other.sidecar.class_names != first.sidecar.class_names {
                let (theirs, ours) = (&other.sidecar.class_names, &first.sidecar.class_names);
                let problem = format!(
                    "its classes are {theirs:?}, but those of `{}` are {ours:?}; choose checkpoints with the same classes",
                    first.id
                );
                return Err(other.refused(problem));
            }
        }
        Ok(sources)
    }

    /// The error that this checkpoint cannot be measured as asked.
    pub(super) fn refused(&self, problem: String) -> Error {
        Error::SourceCheckpoint { checkpoint: self.id.to_string(), problem }
    }

    /// Returns the network's configuration. Fails if the checkpoint is a program, of which nothing is known that `what`
    /// needs.
    pub(super) fn model(&self, what: &str) -> Result<&ModelConfig, Error> {
        let problem = || format!("is a program, which can be evaluated and attributed by its penultimate features; it has no {what}");
        self.sidecar.model.as_ref().ok_or_else(|| self.refused(problem()))
    }

    /// Returns the seed from which the run drew generated images and label noise. With it, a measurement uses
    /// the same ones.
    pub(super) fn data_seed(&self) -> u32 {
        match &self.config {
            RunConfig::Train(config) => config.seed,
            RunConfig::Import(config) => config.seed,
            RunConfig::Attribute(_)
            | RunConfig::Evaluate(_)
            | RunConfig::EpsCurve(_)
            | RunConfig::Saliency(_)
            | RunConfig::Pair(_)
            | RunConfig::Transfer(_)
            | RunConfig::External(_) => 0,
        }
    }

    /// Returns channels, height and width of the images that the network was trained on.
    pub(super) fn shape(&self) -> Option<[u32; 3]> {
        self.config.data().map(DataConfig::shape)
    }

    /// Returns `asked` if given, otherwise the data that the network was trained on.
    pub(super) fn data(&self, asked: Option<&DataConfig>) -> Result<DataConfig, Error> {
        let data = asked.or(self.config.data()).cloned();
        data.ok_or_else(|| self.refused("its run names no data set; set `data`".to_owned()))
    }

    /// Returns `asked` if given, otherwise the attack that the checkpoint or its run was measured with.
    pub(super) fn attack(&self, asked: Option<&PgdConfig>) -> Result<PgdConfig, Error> {
        let attack = asked.or(self.sidecar.attack.as_ref()).cloned().or_else(|| self.config.measuring_attack());
        attack.ok_or_else(|| self.refused("its run names no attack; set `attack`".to_owned()))
    }

    /// Returns what a run that starts from this checkpoint keeps of the run that wrote it.
    pub(super) fn history(&self) -> Forked {
        self.metrics.forked_at(self.id.clone(), &self.sidecar.checkpoint)
    }

    /// Returns the first record of a run that measures `network` on the split `name`.
    pub(super) fn started(&self, network: &Network, name: SplitName, split: &Split, noisy_labels: u32) -> Record {
        let of_split = |wanted| if name == wanted { split.len() as u32 } else { 0 };
        Record::Started(Started {
            device: device::id(network.device()),
            device_name: device::name(network.device()),
            libtorch: device::libtorch_version(),
            engine: device::ENGINE_VERSION.to_owned(),
            precision: Precision::Float32,
            parameters: network.parameter_count(),
            feature_dim: network.feature_dim(),
            class_names: self.sidecar.class_names.clone(),
            train_samples: of_split(SplitName::Train),
            test_samples: of_split(SplitName::Test),
            holdout_samples: of_split(SplitName::Holdout),
            noisy_labels,
            epochs: 0,
            teacher_epochs: 0,
        })
    }

    /// Fails if the network does not have `stage`. Stages count from 1.
    pub(super) fn check_has_stage(&self, stage: u32) -> Result<(), Error> {
        let architecture = self.model("stages")?.architecture;
        let stages = architecture.facts().stages;
        if stage <= stages {
            return Ok(());
        }
        Err(self.refused(format!("stage {stage} is beyond the {stages} stages of {}", architecture.label())))
    }

    /// Builds the network and loads its weights. `info` describes the data it will be used on; the classes
    /// must be the same.
    pub(super) fn network(&self, info: &DatasetInfo, device: Device) -> Result<Network, Error> {
        if info.class_names != self.sidecar.class_names {
            let (ours, theirs) = (&self.sidecar.class_names, &info.class_names);
            return Err(self.refused(format!("its classes are {ours:?}, but those of the data are {theirs:?}")));
        }
        let sha256 = &self.sidecar.checkpoint.sha256;
        let network = match &self.sidecar.model {
            Some(model) => {
                let network = Network::new(model, info, 0, Kind::Float, device);
                checkpoint::load(&self.path, Some(sha256), &network)?;
                network
            }
            None => {
                let program = checkpoint::read_whole(&self.path, sha256)?;
                Network::of_program(&program, info, device).map_err(|problem| self.refused(problem))?
            }
        };
        Ok(network.named(self.id.to_string()))
    }
}
