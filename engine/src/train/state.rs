//! The training state between two epochs. A run resumed from it gives the same numbers as an uninterrupted
//! run.

use std::collections::HashMap;
use std::path::Path;

use shared::config::TrainConfig;
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor};

use super::averaging::AveragedNetwork;
use crate::Error;
use crate::checkpoint;
use crate::model::Network;
use crate::optim::Sgd;

/// State of a training run between two epochs. It needs no state of random generators, because draws are
/// named.
#[derive(Debug)]
pub struct State {
    /// Number of completed epochs.
    pub epoch: u32,
    pub network: Network,
    pub(super) optimizer: Sgd,
    pub(super) average: Option<AveragedNetwork>,
}

/// A copy of a state on the CPU.
#[derive(Debug)]
pub struct Snapshot {
    pub epoch: u32,
    tensors: Vec<(String, Tensor)>,
    /// Prefix of the tensor names of the network that is evaluated.
    evaluated: &'static str,
}

const NETWORK: &str = "network.";
const VELOCITY: &str = "velocity.";
const AVERAGE: &str = "average.";

/// Keys in the metadata of the file.
const EPOCH: &str = "epoch";
const CONFIG: &str = "config";

impl State {
    /// Creates the state before the first epoch: a network with initial weights for the data set `info`.
    pub fn new(config: &TrainConfig, info: &DatasetInfo, kind: Kind, device: Device) -> Self {
        let network = || Network::new(&config.model, info, config.seed, kind, device);
        let average = config.training.weight_averaging.as_ref().map(|averaging| AveragedNetwork::new(network(), averaging));
        let network = network();
        State { epoch: 0, optimizer: Sgd::new(&config.training, network.parameters()), network, average }
    }

    /// Returns the network to evaluate and to save: the averaged network if it exists, otherwise the trained
    /// one.
    pub fn evaluated(&self) -> &Network {
        self.averaged().unwrap_or(&self.network)
    }

    fn averaged(&self) -> Option<&Network> {
        self.average.as_ref().filter(|average| average.has_begun(self.epoch)).map(|average| &average.network)
    }

    /// Copies the state to the CPU.
    pub fn snapshot(&self) -> Snapshot {
        let tensors =
            self.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach().to_device_(Device::Cpu, tensor.kind(), false, true)));
        Snapshot { epoch: self.epoch, tensors: tensors.collect(), evaluated: if self.averaged().is_some() { AVERAGE } else { NETWORK } }
    }

    /// Loads a file of [`Snapshot::save`] into this state. Fails if it was saved with another configuration.
    pub fn load(&mut self, path: &Path, config: &TrainConfig) -> Result<(), Error> {
        let metadata = checkpoint::load_tensors(path, &self.tensors())?;
        if metadata.get(CONFIG) != Some(&comparable(config)) {
            let problem = "belongs to another configuration; restore config.json, or copy it to a new directory".to_owned();
            return Err(Error::Checkpoint { path: path.to_owned(), problem });
        }
        let epoch = metadata.get(EPOCH).and_then(|epoch| epoch.parse().ok());
        self.epoch =
            epoch.ok_or_else(|| Error::Checkpoint { path: path.to_owned(), problem: "has no epoch in its metadata".to_owned() })?;
        Ok(())
    }

    /// Lists all tensors of the state with their names in the file. They share memory with the state.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let of = |prefix: &'static str, network: &Network| {
            network.entries().iter().map(|entry| (format!("{prefix}{}", entry.name), entry.tensor.shallow_clone())).collect::<Vec<_>>()
        };
        let mut tensors = of(NETWORK, &self.network);
        let velocities = self.optimizer.velocities().iter().enumerate();
        tensors.extend(velocities.map(|(index, velocity)| (format!("{VELOCITY}{index}"), velocity.shallow_clone())));
        tensors.extend(self.average.iter().flat_map(|average| of(AVERAGE, &average.network)));
        tensors
    }
}

impl Snapshot {
    /// Returns the tensors of the network that is evaluated, under PyTorch's names.
    pub fn evaluated(&self) -> Vec<(String, Tensor)> {
        let named = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(self.evaluated)?.to_owned(), tensor.shallow_clone()));
        self.tensors.iter().filter_map(named).collect()
    }

    /// Writes the state as a safetensors file, atomically.
    pub fn save(&self, path: &Path, config: &TrainConfig) -> Result<(), Error> {
        let metadata = HashMap::from([(EPOCH.to_owned(), self.epoch.to_string()), (CONFIG.to_owned(), comparable(config))]);
        checkpoint::save_tensors(path, &self.tensors, metadata).map(|_| ())
    }
}

/// Serializes the configuration without the fields that do not change results.
fn comparable(config: &TrainConfig) -> String {
    let config = TrainConfig { name: String::new(), sweep: None, device: String::new(), ..config.clone() };
    serde_json::to_string(&config).expect("a configuration has only string keys")
}
