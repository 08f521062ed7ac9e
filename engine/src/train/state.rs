//! All that the rest of a training run depends on, so that it can be stopped after any epoch and go on with the same numbers.

use std::collections::HashMap;
use std::path::Path;

use shared::config::TrainConfig;
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor};

use super::averaging::Average;
use crate::Error;
use crate::checkpoint;
use crate::model::Network;
use crate::optim::Sgd;

/// A run between two epochs. Random numbers are no part of it: each is named by its epoch and step.
#[derive(Debug)]
pub struct State {
    /// Complete epochs.
    pub epoch: u32,
    pub network: Network,
    pub(super) optimizer: Sgd,
    pub(super) average: Option<Average>,
}

/// A copy of a state, on the CPU.
#[derive(Debug)]
pub struct Snapshot {
    pub epoch: u32,
    tensors: Vec<(String, Tensor)>,
    /// What the names of the network that is evaluated begin with.
    evaluated: &'static str,
}

const NETWORK: &str = "network.";
const VELOCITY: &str = "velocity.";
const AVERAGE: &str = "average.";

/// Keys of the file's metadata.
const EPOCH: &str = "epoch";
const CONFIG: &str = "config";

impl State {
    /// A network with first weights, for data as `info` describes it.
    pub fn new(config: &TrainConfig, info: &DatasetInfo, kind: Kind, device: Device) -> Self {
        let network = || Network::new(&config.model, info, config.seed, kind, device);
        let average = config.training.weight_averaging.as_ref().map(|averaging| Average::new(network(), averaging));
        let network = network();
        State { epoch: 0, optimizer: Sgd::new(&config.training, network.parameters()), network, average }
    }

    /// The network to evaluate and to keep: the average of the weights, once there is one.
    pub fn evaluated(&self) -> &Network {
        self.averaged().unwrap_or(&self.network)
    }

    fn averaged(&self) -> Option<&Network> {
        self.average.as_ref().filter(|average| average.has_begun(self.epoch)).map(|average| &average.network)
    }

    pub fn snapshot(&self) -> Snapshot {
        let tensors =
            self.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach().to_device_(Device::Cpu, tensor.kind(), false, true)));
        Snapshot { epoch: self.epoch, tensors: tensors.collect(), evaluated: if self.averaged().is_some() { AVERAGE } else { NETWORK } }
    }

    /// Reads what [`Snapshot::save`] wrote for the same configuration into this state.
    pub fn load(&mut self, path: &Path, config: &TrainConfig) -> Result<(), Error> {
        let metadata = checkpoint::load_tensors(path, &self.tensors())?;
        if metadata.get(CONFIG) != Some(&comparable(config)) {
            let problem = "is of another configuration; restore config.json, or copy it to a new directory".to_owned();
            return Err(Error::Checkpoint { path: path.to_owned(), problem });
        }
        let epoch = metadata.get(EPOCH).and_then(|epoch| epoch.parse().ok());
        self.epoch = epoch.ok_or_else(|| Error::Checkpoint { path: path.to_owned(), problem: "does not say its epoch".to_owned() })?;
        Ok(())
    }

    /// Every tensor, sharing its storage.
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
    /// The tensors of the network that is evaluated, under PyTorch's names.
    pub fn evaluated(&self) -> Vec<(String, Tensor)> {
        let named = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(self.evaluated)?.to_owned(), tensor.shallow_clone()));
        self.tensors.iter().filter_map(named).collect()
    }

    /// Writes the state as safetensors; the file appears whole or not at all.
    pub fn save(&self, path: &Path, config: &TrainConfig) -> Result<(), Error> {
        let metadata = HashMap::from([(EPOCH.to_owned(), self.epoch.to_string()), (CONFIG.to_owned(), comparable(config))]);
        checkpoint::save_tensors(path, &self.tensors, metadata).map(|_| ())
    }
}

/// The configuration without what does not change results.
fn comparable(config: &TrainConfig) -> String {
    let config = TrainConfig { name: String::new(), sweep: None, device: String::new(), ..config.clone() };
    serde_json::to_string(&config).expect("a configuration has only string keys")
}
