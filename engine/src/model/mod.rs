//! Networks: they take pixels and return features and logits. A network includes its normalization, and its
//! tensors have PyTorch's names.

mod deit;
mod layers;
mod preact_resnet;
mod program;
mod resnet;
mod xcit;

use shared::config::{Architecture, BatchNormMode, ModelConfig, Normalization, PROGRAM_RIGHTS, PROGRAMS_REFUSED, Precision};
use shared::dataset::DatasetInfo;
use tch::{Device, Kind, Tensor, no_grad};

use crate::Error;
use crate::checkpoint;
use crate::random::{self, Purpose, Seed};
use deit::Deit;
use layers::{Builder, Initialization, Linear};
pub use layers::{Entry, Role};
use preact_resnet::{PreActResNet, Sizes};
use program::Program;
pub use program::{allow as allow_programs, is_allowed as programs_are_allowed};
use resnet::ResNet18;
use xcit::Xcit;

/// A classifier f(x) = W g(x) + b for pixels in `[0, 1]`.
#[derive(Debug)]
pub struct Network {
    /// What messages call it.
    name: String,
    backbone: Box<dyn Backbone>,
    entries: Vec<Entry>,
    /// The entries with [`Role::Parameter`]. They share memory with `entries`.
    parameters: Vec<Tensor>,
    /// Mean of each channel, `[1, C, 1, 1]`. `std` has the same shape.
    mean: Tensor,
    std: Tensor,
    /// Mask m of the features, `[n]`: 0 for ablated dimensions, 1 for the others. `None` if nothing is
    /// ablated.
    feature_mask: Option<Tensor>,
}

/// The part of a network that differs between architectures: the feature extractor g and the final linear
/// layer.
trait Backbone: std::fmt::Debug + Send {
    /// Returns the features g(x), `[N, n]`, of normalized images `xs`, `[N, C, H, W]`.
    ///
    /// If `stages` is given, appends the output of each stage to it.
    fn features(&self, xs: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Tensor;

    /// Returns features and logits.
    fn output(&self, xs: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Output {
        let features = self.features(xs, mode, stages);
        Output { logits: self.linear().forward(&features), features }
    }

    /// Returns the final linear layer, which holds W and b.
    fn linear(&self) -> &Linear;

    /// Returns the same layers with the weights of convolutions and inner linear layers in `kind`.
    fn cast(&self, kind: Kind) -> Box<dyn Backbone>;
}

/// Result of a forward pass.
#[derive(Debug)]
pub struct Output {
    /// g(x), `[N, n]`.
    pub features: Tensor,
    /// f(x), `[N, K]`.
    pub logits: Tensor,
}

impl Network {
    /// Builds a network for the image shape and the classes of a data set.
    ///
    /// Draws the initial weights from `seed`, as the public code of the architecture does.
    pub fn new(config: &ModelConfig, info: &DatasetInfo, seed: u32, kind: Kind, device: Device) -> Self {
        let shape = info.shape.map(i64::from);
        let [channels, ..] = shape;
        let mut builder = Builder { kind, device, initialization: Initialization::Default, entries: Vec::new() };
        let backbone =
            random::draw(Seed::once(seed, Purpose::Weights), || build_backbone(&mut builder, config, shape, info.class_names.len() as i64));
        let entries = builder.entries;
        let parameters = entries.iter().filter(|entry| entry.role == Role::Parameter).map(|entry| entry.tensor.shallow_clone()).collect();
        let per_channel = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).to_device(device).view([1, channels, 1, 1]);
        let (mean, std) = match &config.normalization {
            Some(Normalization { mean, std }) => (mean, std),
            None => (&info.mean, &info.std),
        };
        Network {
            name: "the network".to_owned(),
            backbone,
            entries,
            parameters,
            mean: per_channel(mean),
            std: per_channel(std),
            feature_mask: None,
        }
    }

    /// Loads a program from the bytes of its file. It takes pixels in `[0, 1]`, and normalizes them itself.
    ///
    /// The problem stands after the name of the file.
    pub fn of_program(bytes: &[u8], info: &DatasetInfo, device: Device) -> Result<Self, String> {
        if !programs_are_allowed() {
            return Err(format!("is a program, and {PROGRAMS_REFUSED}. {PROGRAM_RIGHTS}"));
        }
        let shape = info.shape.map(i64::from);
        let [channels, ..] = shape;
        let (program, entries) = Program::load(bytes, shape, device)?;
        let (classes, known) = (program.linear().weight.size()[0], info.class_names.len());
        if classes != known as i64 {
            return Err(format!("has {classes} classes, but {} has {known}", info.title));
        }
        let like = Tensor::zeros([1, channels, 1, 1], (Kind::Float, device));
        Ok(Network {
            name: "the network".to_owned(),
            backbone: Box::new(program),
            parameters: entries.iter().map(|entry| entry.tensor.shallow_clone()).collect(),
            entries,
            std: like.ones_like(),
            mean: like,
            feature_mask: None,
        })
    }

    /// Sets what messages call it, such as the name of its checkpoint.
    pub fn named(self, name: String) -> Self {
        Network { name, ..self }
    }

    /// Returns a network that computes its passes in `precision`, and shares all tensors with this one.
    ///
    /// Gradients reach the parameters of this one, in their own format. Changes of the parameters do not reach
    /// the returned network.
    pub fn cast(&self, precision: Precision) -> Self {
        let kind = match precision {
            Precision::Float32 => self.kind(),
            Precision::Bf16 => Kind::BFloat16,
        };
        let entry = |entry: &Entry| Entry { name: entry.name.clone(), tensor: entry.tensor.shallow_clone(), role: entry.role };
        Network {
            name: self.name.clone(),
            backbone: self.backbone.cast(kind),
            entries: self.entries.iter().map(entry).collect(),
            parameters: self.parameters.iter().map(Tensor::shallow_clone).collect(),
            mean: self.mean.shallow_clone(),
            std: self.std.shallow_clone(),
            feature_mask: self.feature_mask.as_ref().map(Tensor::shallow_clone),
        }
    }

    /// Replaces the normalization of the pixels.
    pub fn normalize_by(&mut self, Normalization { mean, std }: &Normalization) {
        let like = &self.mean;
        let per_channel = |values: &[f64]| Tensor::from_slice(values).to_kind(like.kind()).to_device(like.device()).view([1, -1, 1, 1]);
        (self.mean, self.std) = (per_channel(mean), per_channel(std));
    }

    /// Computes features and logits of `images`, `[N, C, H, W]` in `[0, 1]`.
    ///
    /// In `Train` mode, batch normalization uses the statistics of the batch and updates its running
    /// statistics.
    pub fn forward(&self, images: &Tensor, mode: BatchNormMode) -> Output {
        self.pass(images, mode, None)
    }

    /// Like [`Network::forward`], but also returns the output of each stage, `[N, channels, h, w]`.
    ///
    /// In residual networks, the output of a stage is that of its last block: after the final ReLU in
    /// ResNet-18, before the next normalization in PreActResNet and WideResNet. In DeiT and XCiT it is the patch
    /// tokens, arranged on their grid. Autograd can differentiate the logits with respect to each output. For
    /// the last stage of DeiT this gradient is 0, because only the class token is used after it.
    pub fn forward_stages(&self, images: &Tensor, mode: BatchNormMode) -> (Vec<Tensor>, Output) {
        let mut stages = Vec::new();
        let output = self.pass(images, mode, Some(&mut stages));
        (stages, output)
    }

    fn pass(&self, images: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Output {
        let output = self.backbone.output(&((images - &self.mean) / &self.std), mode, stages);
        match &self.feature_mask {
            Some(mask) => {
                let features = output.features * mask;
                Output { logits: self.backbone.linear().forward(&features), features }
            }
            None => output,
        }
    }

    /// Returns `logits` of this network. Fails if one is infinite or NaN.
    pub(crate) fn finite(&self, logits: Tensor) -> Result<Tensor, Error> {
        match no_grad(|| logits.isfinite().all()).int64_value(&[]) {
            0 => Err(Error::NotFinite { network: self.name.clone(), batch: 0 }),
            _ => Ok(logits),
        }
    }

    /// Sets these dimensions of g(x) to 0 in every later pass. The network then computes W (g(x) ⊙ m) + b.
    ///
    /// Replaces an earlier ablation. An empty list ends it.
    pub fn ablate(&mut self, dimensions: &[usize]) {
        self.feature_mask = (!dimensions.is_empty()).then(|| {
            let mut mask = vec![1.0; self.feature_dim() as usize];
            dimensions.iter().for_each(|dimension| mask[*dimension] = 0.0);
            Tensor::from_slice(&mask).to_kind(self.kind()).to_device(self.device())
        });
    }

    /// Returns all tensors in the order of PyTorch's state dict.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the trainable tensors in the order of the state dict.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Returns the number of trainable values.
    pub fn parameter_count(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.numel() as u64).sum()
    }

    /// Returns W, `[K, n]`.
    pub fn linear_weight(&self) -> &Tensor {
        &self.backbone.linear().weight
    }

    /// Returns b, `[K]`.
    pub fn linear_bias(&self) -> &Tensor {
        &self.backbone.linear().bias
    }

    /// Returns n, the length of a feature vector.
    pub fn feature_dim(&self) -> u32 {
        self.backbone.linear().weight.size()[1] as u32
    }

    /// Returns K, the number of classes.
    pub fn classes(&self) -> i64 {
        self.backbone.linear().weight.size()[0]
    }

    pub fn device(&self) -> Device {
        self.mean.device()
    }

    /// Returns the floating-point kind of the parameters.
    pub fn kind(&self) -> Kind {
        self.mean.kind()
    }

    /// Copies the buffers: what passes in training mode change, and no gradient does.
    pub(crate) fn buffers(&self) -> Buffers {
        let buffers = self.entries.iter().filter(|entry| entry.role == Role::Buffer);
        Buffers(buffers.map(|entry| (entry.tensor.shallow_clone(), entry.tensor.copy())).collect())
    }

    /// Summarizes the values of all tensors. Networks that differ have, in practice, different fingerprints.
    pub(crate) fn fingerprint(&self) -> String {
        let norms: Vec<Tensor> = no_grad(|| self.entries.iter().map(|entry| entry.tensor.to_kind(Kind::Double).norm()).collect());
        let norms = Vec::<f64>::try_from(Tensor::stack(&norms, 0).to_device(Device::Cpu)).expect("a list of float64");
        checkpoint::sha256(&norms.iter().flat_map(|norm| norm.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// Copies all tensors to the CPU, in the order of the state dict. Later training does not change the
    /// copies.
    pub fn snapshot(&self) -> Vec<(String, Tensor)> {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.tensor.detach().copy().to_device(Device::Cpu))).collect()
    }
}

/// The buffers of a network, each with a copy of its values.
pub(crate) struct Buffers(Vec<(Tensor, Tensor)>);

impl Buffers {
    /// Gives the buffers the values that they had when they were copied.
    pub(crate) fn restore(self) {
        no_grad(|| self.0.into_iter().for_each(|(mut buffer, before)| buffer.copy_(&before)));
    }

    /// Changes the buffers as a pass in training mode does that has seen its images before: with the same weights, from
    /// these values to those of `after`.
    ///
    /// A pass makes (1 − m) r + m s of a running statistic r, where s is that of the images and m
    /// [`layers::MOMENTUM`].
    pub(crate) fn repeat(self, after: Self) {
        no_grad(|| {
            for ((buffer, before), (_, after)) in self.0.into_iter().zip(after.0) {
                let kept = if buffer.is_floating_point() { 1.0 - layers::MOMENTUM } else { 1.0 };
                let of_images = after - before.to_kind(Kind::Double) * kept;
                let repeated = buffer.to_kind(Kind::Double) * kept + of_images;
                // Autograd keeps the buffers of a pass and, in training mode, does not read them: `data` hides the change.
                buffer.data().copy_(&repeated);
            }
        });
    }
}

/// Builds the layers of a network. `shape`: channels, height and width of the images.
fn build_backbone(builder: &mut Builder, config: &ModelConfig, shape: [i64; 3], classes: i64) -> Box<dyn Backbone> {
    let [channels, ..] = shape;
    let (width, heads) = (i64::from(config.width()), i64::from(config.architecture.facts().heads));
    let four = Sizes { stages: 4, blocks: 2, channels, stem: width, width, classes };
    let wide = Sizes { stages: 3, blocks: config.blocks_per_group(), stem: preact_resnet::WIDE_STEM, ..four };
    let mut preact = |code, sizes: &Sizes| Box::new(PreActResNet::new(builder, code, sizes, config.activation()));
    match config.architecture {
        Architecture::PreactResnet18 => preact(&preact_resnet::PREACT, &four),
        Architecture::FastPreactResnet18 => preact(&preact_resnet::FAST, &four),
        Architecture::PreactResnetSmall => preact(&preact_resnet::PREACT, &Sizes { stages: 3, blocks: 1, ..four }),
        Architecture::WideResnet => preact(&preact_resnet::WIDE, &wide),
        Architecture::DmWideResnet => preact(&preact_resnet::DM_WIDE, &wide),
        Architecture::DmPreactResnet18 => preact(&preact_resnet::DM_PREACT, &four),
        Architecture::Resnet18 => Box::new(ResNet18::new(builder, channels, width, classes)),
        Architecture::DeitTiny => Box::new(Deit::new(builder, shape, [width, heads], classes)),
        Architecture::XcitS12 | Architecture::XcitL12 => Box::new(Xcit::new(builder, shape, [width, heads], classes)),
    }
}
