//! Networks: pixels in, features and logits out. A network owns its normalization and its tensors under PyTorch's names.

mod layers;
mod preact_resnet;

use shared::config::{BatchNormMode, ModelConfig, Normalization};
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor};

use crate::random::{self, Purpose, Seed};
use layers::Builder;
pub use layers::{Entry, Role};
use preact_resnet::PreActResNet;

/// A classifier f(x) = W g(x) + b on pixels in `[0, 1]`.
#[derive(Debug)]
pub struct Network {
    body: PreActResNet,
    entries: Vec<Entry>,
    /// Handles of the entries that training moves.
    parameters: Vec<Tensor>,
    /// `[1, C, 1, 1]`, as is `std`.
    mean: Tensor,
    std: Tensor,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// g(x): `[N, n]`.
    pub features: Tensor,
    /// f(x): `[N, K]`.
    pub logits: Tensor,
}

impl Network {
    /// Builds the network for the images and classes of a data set, with PyTorch's default initialization drawn from `seed`.
    pub fn new(config: &ModelConfig, info: &DatasetInfo, seed: u32, kind: Kind, device: Device) -> Self {
        let (architecture, width) = (config.architecture, config.width());
        let channels = i64::from(info.shape[0]);
        let mut builder = Builder { kind, device, entries: Vec::new() };
        let body = random::draw(Seed::once(seed, Purpose::Weights), || {
            PreActResNet::new(&mut builder, architecture, channels, i64::from(width), info.class_names.len() as i64)
        });
        let entries = builder.entries;
        let parameters = entries.iter().filter(|entry| entry.role == Role::Parameter).map(|entry| entry.tensor.shallow_clone()).collect();
        let per_channel = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).to_device(device).view([1, channels, 1, 1]);
        let (mean, std) = match &config.normalization {
            Some(Normalization { mean, std }) => (mean, std),
            None => (&info.mean, &info.std),
        };
        Network { body, entries, parameters, mean: per_channel(mean), std: per_channel(std) }
    }

    /// `images`: `[N, C, H, W]` in `[0, 1]`. In `Train` mode the pass moves the running statistics.
    pub fn forward(&self, images: &Tensor, mode: BatchNormMode) -> Output {
        let features = self.body.features(&((images - &self.mean) / &self.std), mode);
        let logits = self.body.linear.forward(&features);
        Output { features, logits }
    }

    /// Every tensor, in the order of PyTorch's state dict.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tensors that training moves, in the order of the state dict.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Trainable numbers.
    pub fn parameter_count(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.numel() as u64).sum()
    }

    /// W: `[K, n]`.
    pub fn linear_weight(&self) -> &Tensor {
        &self.body.linear.weight
    }

    /// b: `[K]`.
    pub fn linear_bias(&self) -> &Tensor {
        &self.body.linear.bias
    }

    /// n, the length of a feature vector.
    pub fn feature_dim(&self) -> u32 {
        self.body.feature_dim as u32
    }

    /// K, the number of classes.
    pub fn classes(&self) -> i64 {
        self.body.linear.weight.size()[0]
    }

    pub fn device(&self) -> Device {
        self.mean.device()
    }

    /// The kind of the numbers it computes with.
    pub fn kind(&self) -> Kind {
        self.mean.kind()
    }

    /// A copy of every tensor on the CPU, in the order of the state dict, that later training does not touch.
    pub fn snapshot(&self) -> Vec<(String, Tensor)> {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.tensor.detach().copy().to_device(Device::Cpu))).collect()
    }
}
