//! Networks: pixels in, features and logits out. A network owns its normalization and its tensors under PyTorch's names.

mod deit;
mod layers;
mod preact_resnet;
mod resnet;

use shared::config::{Architecture, BatchNormMode, ModelConfig, Normalization};
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor};

use crate::random::{self, Purpose, Seed};
use deit::Deit;
use layers::{Builder, Initialization, Linear};
pub use layers::{Entry, Role};
use preact_resnet::PreActResNet;
use resnet::ResNet18;

/// A classifier f(x) = W g(x) + b on pixels in `[0, 1]`.
#[derive(Debug)]
pub struct Network {
    body: Box<dyn Body>,
    entries: Vec<Entry>,
    /// Handles of the entries that training moves.
    parameters: Vec<Tensor>,
    /// `[1, C, 1, 1]`, as is `std`.
    mean: Tensor,
    std: Tensor,
    /// 1 for each feature that counts and 0 for those left out, `[n]`; absent where all count.
    kept: Option<Tensor>,
}

/// What the architectures differ in.
trait Body: std::fmt::Debug + Send {
    /// `xs`: `[N, C, H, W]`, normalized. Returns g(x), `[N, n]`, and adds to `stages`, where given, the output of each stage.
    fn features(&self, xs: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Tensor;

    /// W and b.
    fn linear(&self) -> &Linear;
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
    /// Builds the network for the images and classes of a data set, with the first weights of its public code drawn from `seed`.
    pub fn new(config: &ModelConfig, info: &DatasetInfo, seed: u32, kind: Kind, device: Device) -> Self {
        let shape = info.shape.map(i64::from);
        let [channels, ..] = shape;
        let mut builder = Builder { kind, device, initialization: Initialization::Default, entries: Vec::new() };
        let body = random::draw(Seed::once(seed, Purpose::Weights), || {
            let (width, classes) = (i64::from(config.width()), info.class_names.len() as i64);
            make_body(&mut builder, config.architecture, shape, width, classes)
        });
        let entries = builder.entries;
        let parameters = entries.iter().filter(|entry| entry.role == Role::Parameter).map(|entry| entry.tensor.shallow_clone()).collect();
        let per_channel = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).to_device(device).view([1, channels, 1, 1]);
        let (mean, std) = match &config.normalization {
            Some(Normalization { mean, std }) => (mean, std),
            None => (&info.mean, &info.std),
        };
        Network { body, entries, parameters, mean: per_channel(mean), std: per_channel(std), kept: None }
    }

    /// Normalizes pixels so from now on.
    pub fn normalize_by(&mut self, Normalization { mean, std }: &Normalization) {
        let like = &self.mean;
        let per_channel = |values: &[f64]| Tensor::from_slice(values).to_kind(like.kind()).to_device(like.device()).view([1, -1, 1, 1]);
        (self.mean, self.std) = (per_channel(mean), per_channel(std));
    }

    /// `images`: `[N, C, H, W]` in `[0, 1]`. In `Train` mode the pass moves the running statistics.
    pub fn forward(&self, images: &Tensor, mode: BatchNormMode) -> Output {
        self.pass(images, mode, None)
    }

    /// As [`Network::forward`], with the outputs of the stages that [`Architecture::stages`] counts, each `[N, channels, h, w]`.
    ///
    /// Of residual networks a stage gives the sum its last block ends with (rectified in ResNet-18, not yet normalized in the others), of
    /// DeiT the tokens of the patches on their grid. The logits can be differentiated by each; by the last stage of DeiT the gradient is
    /// 0, as only the class token is read after it.
    pub fn forward_stages(&self, images: &Tensor, mode: BatchNormMode) -> (Vec<Tensor>, Output) {
        let mut stages = Vec::new();
        let output = self.pass(images, mode, Some(&mut stages));
        (stages, output)
    }

    fn pass(&self, images: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Output {
        let features = self.body.features(&((images - &self.mean) / &self.std), mode, stages);
        let features = match &self.kept {
            Some(kept) => features * kept,
            None => features,
        };
        let logits = self.body.linear().forward(&features);
        Output { features, logits }
    }

    /// Sets these dimensions of g to 0 in every pass from now on, and no others: the network is then W (g ⊙ m) + b.
    pub fn ablate(&mut self, dimensions: &[usize]) {
        self.kept = (!dimensions.is_empty()).then(|| {
            let mut kept = vec![1.0; self.feature_dim() as usize];
            dimensions.iter().for_each(|dimension| kept[*dimension] = 0.0);
            Tensor::from_slice(&kept).to_kind(self.kind()).to_device(self.device())
        });
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
        &self.body.linear().weight
    }

    /// b: `[K]`.
    pub fn linear_bias(&self) -> &Tensor {
        &self.body.linear().bias
    }

    /// n, the length of a feature vector.
    pub fn feature_dim(&self) -> u32 {
        self.body.linear().weight.size()[1] as u32
    }

    /// K, the number of classes.
    pub fn classes(&self) -> i64 {
        self.body.linear().weight.size()[0]
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

/// `shape`: channels, height and width of the images.
fn make_body(builder: &mut Builder, architecture: Architecture, shape: [i64; 3], width: i64, classes: i64) -> Box<dyn Body> {
    let [channels, ..] = shape;
    match architecture {
        Architecture::PreactResnet18 => Box::new(PreActResNet::new(builder, [4, 2], channels, width, classes)),
        Architecture::PreactResnetSmall => Box::new(PreActResNet::new(builder, [3, 1], channels, width, classes)),
        Architecture::Resnet18 => Box::new(ResNet18::new(builder, channels, width, classes)),
        Architecture::WideResnet28 => Box::new(PreActResNet::wide(builder, 4, channels, width, classes)),
        Architecture::WideResnet34 => Box::new(PreActResNet::wide(builder, 5, channels, width, classes)),
        Architecture::DeitTiny => Box::new(Deit::new(builder, shape, width, classes)),
    }
}
