//! The training state between two steps. A run resumed from it gives the same numbers as an uninterrupted run.

use std::collections::HashMap;
use std::path::Path;

use shared::config::TrainConfig;
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor, no_grad};

use super::averaging::AveragedNetwork;
use super::left_out::LeftOut;
use super::tally::Tally;
use crate::Error;
use crate::checkpoint;
use crate::cuda_graph::Graphs;
use crate::model::Network;
use crate::optim::Sgd;

/// State of a training run between two steps. It needs no state of random generators, because draws are
/// named.
#[derive(Debug)]
pub struct State {
    /// Number of completed epochs.
    pub epoch: u32,
    /// Number of completed steps of the epoch after them.
    pub step: u32,
    pub network: Network,
    pub(super) optimizer: Sgd,
    pub(super) average: Option<AveragedNetwork>,
    /// Sums over these steps.
    pub(super) tally: Tally,
    /// The attack, recorded.
    pub(super) graphs: Graphs,
    pub(super) left_out: Option<LeftOut>,
}

/// A copy of a state on the CPU.
#[derive(Debug)]
pub struct Snapshot {
    pub epoch: u32,
    pub step: u32,
    tensors: Vec<(String, Tensor)>,
    /// Number of images in the tally.
    samples: i64,
    /// Prefix of the tensor names of the network that is evaluated.
    evaluated: &'static str,
}

const NETWORK: &str = "network.";
const VELOCITY: &str = "velocity.";
const AVERAGE: &str = "average.";
const TALLY: &str = "tally.";

/// Keys in the metadata of the file. Those after the first two are absent between two epochs.
const EPOCH: &str = "epoch";
const CONFIG: &str = "config";
const STEP: &str = "step";
const SAMPLES: &str = "samples";
const SECONDS: &str = "seconds";

impl State {
    /// Creates the state before the first epoch: a network with initial weights for the data set `info`.
    pub fn new(config: &TrainConfig, info: &DatasetInfo, kind: Kind, device: Device) -> Self {
        let network = || Network::new(&config.model, info, config.seed, kind, device);
        let average = config.training.weight_averaging.as_ref().map(|averaging| AveragedNetwork::new(network(), averaging));
        let network = network();
        let optimizer = Sgd::new(&config.training, network.parameters());
        let left_out = LeftOut::new(&config.training.left_out_features, &network);
        let state =
            State { epoch: 0, step: 0, optimizer, average, tally: Tally::new(device), graphs: Graphs::on(device), network, left_out };
        state.clear_left_out();
        state
    }

    /// Goes on from the weights and running statistics of `network` after `epoch`, without the features that are
    /// left out. Momentum starts anew, and a weight average starts from these weights.
    ///
    /// `network`: of the same configuration.
    pub fn start_from(&mut self, network: &Network, epoch: u32) {
        let average = self.average.as_ref().map(|average| &average.network);
        no_grad(|| {
            for own in [Some(&self.network), average].into_iter().flatten() {
                for (own, from) in own.entries().iter().zip(network.entries()) {
                    own.tensor.shallow_clone().copy_(&from.tensor);
                }
            }
        });
        self.clear_left_out();
        self.epoch = epoch;
    }

    fn clear_left_out(&self) {
        let networks = [Some(&self.network), self.average.as_ref().map(|average| &average.network)];
        self.left_out.iter().for_each(|left_out| networks.into_iter().flatten().for_each(|network| left_out.clear(network)));
    }

    /// Returns the network to evaluate and to save: the averaged network if it exists, otherwise the trained
    /// one.
    pub fn evaluated(&self) -> &Network {
        self.evaluated_after(self.epoch)
    }

    /// Returns the network to evaluate after the last step of `epoch`.
    pub(super) fn evaluated_after(&self, epoch: u32) -> &Network {
        self.averaged(epoch).unwrap_or(&self.network)
    }

    fn averaged(&self, epoch: u32) -> Option<&Network> {
        self.average.as_ref().filter(|average| average.has_begun(epoch)).map(|average| &average.network)
    }

    /// Ends the epoch whose steps are complete.
    pub(super) fn complete_epoch(&mut self) {
        self.epoch += 1;
        self.step = 0;
        self.tally = Tally::new(self.network.device());
    }

    /// Copies the state to the CPU.
    pub fn snapshot(&self) -> Snapshot {
        let tensors =
            self.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach().to_device_(Device::Cpu, tensor.kind(), false, true)));
        Snapshot {
            epoch: self.epoch,
            step: self.step,
            tensors: tensors.collect(),
            samples: self.tally.samples,
            evaluated: if self.averaged(self.epoch).is_some() { AVERAGE } else { NETWORK },
        }
    }

    /// Loads a file of [`Snapshot::save`] into this state. Returns the seconds that had been spent on the steps
    /// of the unfinished epoch.
    ///
    /// Fails if the file is damaged, or was saved with another configuration.
    pub fn load(&mut self, path: &Path, config: &TrainConfig) -> Result<f64, Error> {
        let refused = |problem: String| Error::Checkpoint { path: path.to_owned(), problem };
        let file = checkpoint::open_sealed(path)?;
        if file.metadata().get(CONFIG) != Some(&comparable(config)) {
            return Err(refused("belongs to another configuration; restore config.json, or copy it to a new directory".to_owned()));
        }
        let number = |key: &str| match file.metadata().get(key) {
            Some(text) => text.parse::<f64>().map_err(|_| refused(format!("has no number as `{key}` in its metadata"))),
            None => Ok(0.0),
        };
        if !file.metadata().contains_key(EPOCH) {
            return Err(refused("has no epoch in its metadata".to_owned()));
        }
        self.epoch = number(EPOCH)? as u32;
        self.step = number(STEP)? as u32;
        self.tally.samples = number(SAMPLES)? as i64;
        file.load_by_name(&self.tensors())?;
        number(SECONDS)
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
        if self.step > 0 {
            let Tally { loss, correct, samples: _ } = &self.tally;
            tensors.extend([("loss", loss), ("correct", correct)].map(|(name, sum)| (format!("{TALLY}{name}"), sum.shallow_clone())));
        }
        tensors
    }
}

impl Snapshot {
    /// Returns the tensors of the network that is evaluated, under PyTorch's names.
    pub fn evaluated(&self) -> Vec<(String, Tensor)> {
        let named = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(self.evaluated)?.to_owned(), tensor.shallow_clone()));
        self.tensors.iter().filter_map(named).collect()
    }

    /// Writes the state as a safetensors file, atomically. `seconds` were spent on the steps of the unfinished
    /// epoch.
    pub fn save(&self, path: &Path, config: &TrainConfig, seconds: f64) -> Result<(), Error> {
        let mut metadata = HashMap::from([(EPOCH.to_owned(), self.epoch.to_string()), (CONFIG.to_owned(), comparable(config))]);
        if self.step > 0 {
            metadata.insert(STEP.to_owned(), self.step.to_string());
            metadata.insert(SAMPLES.to_owned(), self.samples.to_string());
            metadata.insert(SECONDS.to_owned(), seconds.to_string());
        }
        checkpoint::save_sealed(path, &self.tensors, metadata)
    }
}

/// Serializes the configuration without the fields that do not change results.
pub(super) fn comparable(config: &TrainConfig) -> String {
    let config = TrainConfig { name: String::new(), sweep: None, device: String::new(), ..config.clone() };
    serde_json::to_string(&config).expect("a configuration has only string keys")
}
