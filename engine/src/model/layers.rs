//! The layers of the networks, and a builder that lists their tensors under PyTorch's names.

use shared::config::{Activation, BatchNormMode};
use tch::{Device, Kind, Tensor};

use crate::shim;

/// Whether a tensor is trained or only stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Parameter,
    Buffer,
}

/// A named tensor of a network. It shares memory with the layer that uses it.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub tensor: Tensor,
    pub role: Role,
}

/// How initial weights are drawn. Each architecture follows its public code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Initialization {
    /// PyTorch's default for convolutions and linear layers.
    Default,
    /// Convolutions: normal with variance 2/(k²·to). Biases of linear layers: 0. WideResNet,
    /// <https://arxiv.org/abs/1605.07146>.
    FanOut,
    /// Linear layers: normal with standard deviation 0.02, and bias 0, as in timm's vision transformers.
    ///
    /// timm also truncates the values at ±2. That is a hundred standard deviations, so it makes no
    /// difference.
    Narrow,
}

/// Creates layers and collects their tensors in the order of PyTorch's state dict, which is the order of
/// creation.
///
/// Draws initial weights from libtorch's default generator.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) kind: Kind,
    pub(super) device: Device,
    pub(super) initialization: Initialization,
    pub(super) entries: Vec<Entry>,
}

impl Builder {
    pub(super) fn conv(&mut self, name: &str, [from, to]: [i64; 2], kernel: i64, stride: i64) -> Conv {
        let (name, shape) = (format!("{name}.weight"), [to, from, kernel, kernel]);
        let weight = match self.initialization {
            Initialization::FanOut => self.normal(name, &shape, (2.0 / (to * kernel * kernel) as f64).sqrt()),
            Initialization::Default | Initialization::Narrow => self.uniform(name, &shape, from * kernel * kernel),
        };
        Conv { weight, stride, padding: Padding::Around(kernel / 2) }
    }

    /// Adds a convolution with bias that embeds square patches without overlap.
    pub(super) fn patch_embedding(&mut self, name: &str, [from, to]: [i64; 2], side: i64) -> BiasedConv {
        self.biased_conv(name, [to, from, side, side], BiasedConv::of_patches)
    }

    /// Adds a 3×3 convolution with bias of each channel by itself. It keeps the image size.
    pub(super) fn depthwise_conv(&mut self, name: &str, channels: i64) -> BiasedConv {
        self.biased_conv(name, [channels, 1, 3, 3], BiasedConv::of_channels)
    }

    fn biased_conv(&mut self, name: &str, shape: [i64; 4], make: fn(Tensor, Tensor) -> BiasedConv) -> BiasedConv {
        let [to, from, height, width] = shape;
        let fan_in = from * height * width;
        let weight = self.uniform(format!("{name}.weight"), &shape, fan_in);
        let bias = self.uniform(format!("{name}.bias"), &[to], fan_in);
        make(weight, bias)
    }

    pub(super) fn batch_norm(&mut self, name: &str, channels: i64) -> BatchNorm {
        let options = (self.kind, self.device);
        BatchNorm {
            weight: self.entry(format!("{name}.weight"), Tensor::ones(channels, options), Role::Parameter),
            bias: self.entry(format!("{name}.bias"), Tensor::zeros(channels, options), Role::Parameter),
            running_mean: self.entry(format!("{name}.running_mean"), Tensor::zeros(channels, options), Role::Buffer),
            running_var: self.entry(format!("{name}.running_var"), Tensor::ones(channels, options), Role::Buffer),
            batches_tracked: self.entry(
                format!("{name}.num_batches_tracked"),
                Tensor::zeros([0i64; 0], (Kind::Int64, self.device)),
                Role::Buffer,
            ),
        }
    }

    pub(super) fn layer_norm(&mut self, name: &str, length: i64) -> LayerNorm {
        let options = (self.kind, self.device);
        LayerNorm {
            weight: self.entry(format!("{name}.weight"), Tensor::ones(length, options), Role::Parameter),
            bias: self.entry(format!("{name}.bias"), Tensor::zeros(length, options), Role::Parameter),
        }
    }

    pub(super) fn linear(&mut self, name: &str, [from, to]: [i64; 2]) -> Linear {
        const NARROW: f64 = 0.02;
        let [weight, bias] = ["weight", "bias"].map(|leaf| format!("{name}.{leaf}"));
        let weight = match self.initialization {
            Initialization::Narrow => self.normal(weight, &[to, from], NARROW),
            Initialization::Default | Initialization::FanOut => self.uniform(weight, &[to, from], from),
        };
        let bias = match self.initialization {
            Initialization::Default => self.uniform(bias, &[to], from),
            Initialization::FanOut | Initialization::Narrow => {
                self.entry(bias, Tensor::zeros(to, (self.kind, self.device)), Role::Parameter)
            }
        };
        Linear { weight, bias }
    }

    /// Adds a parameter that starts with ones.
    pub(super) fn ones(&mut self, name: String, shape: &[i64]) -> Tensor {
        self.entry(name, Tensor::ones(shape, (self.kind, self.device)), Role::Parameter)
    }

    /// Adds a parameter drawn from a normal distribution with mean 0.
    pub(super) fn normal(&mut self, name: String, shape: &[i64], std: f64) -> Tensor {
        let values = Tensor::randn(shape, (self.kind, Device::Cpu)) * std;
        self.add_parameter(name, values)
    }

    /// Adds a parameter drawn uniformly from ±1/√fan_in.
    ///
    /// PyTorch's default for convolutions and linear layers: Kaiming-uniform with a = √5.
    fn uniform(&mut self, name: String, shape: &[i64], fan_in: i64) -> Tensor {
        let bound = 1.0 / (fan_in as f64).sqrt();
        let values = Tensor::rand(shape, (self.kind, Device::Cpu)) * (2.0 * bound) - bound;
        self.add_parameter(name, values)
    }

    /// Adds a parameter with values drawn on the CPU, so that a seed gives the same network on every device.
    fn add_parameter(&mut self, name: String, values: Tensor) -> Tensor {
        let values = match (self.device, values.dim()) {
            (Device::Cpu, 4) => channels_last(&values),
            _ => values.to_device(self.device),
        };
        self.entry(name, values, Role::Parameter)
    }

    fn entry(&mut self, name: String, tensor: Tensor, role: Role) -> Tensor {
        let tensor = tensor.set_requires_grad(role == Role::Parameter);
        self.entries.push(Entry { name, tensor: tensor.shallow_clone(), role });
        tensor
    }
}

/// Stores the channels of a pixel next to each other in memory. The values stay the same.
///
/// Convolutions and the layers after them adopt the memory format of their weights. On the CPU, this format
/// makes an attack a quarter faster (width 16, 8×8 images, one Xeon core).
fn channels_last(weight: &Tensor) -> Tensor {
    let (to, from, height, width) = weight.size4().expect("weights of a convolution have four dimensions");
    let weight = weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    // A single channel lies as in both formats; only the stride, which is never used, says which one is meant.
    if from == 1 { weight.as_strided([to, from, height, width], [height * width, 1, width, 1], None::<i64>) } else { weight }
}

/// Converts the weights of a convolution, for which other formats are fastest with channels last on every device.
fn cast_weight(weight: &Tensor, kind: Kind) -> Tensor {
    if kind == weight.kind() { weight.shallow_clone() } else { channels_last(&weight.to_kind(kind)) }
}

/// Zeros around a map before a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    /// As many on each side.
    Around(i64),
    /// One row below and one column on the right: TensorFlow's `SAME` for a 3×3 kernel with stride 2 on even sides.
    AtEnd,
}

/// A convolution without bias. Its padding keeps the image size if the stride is 1.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    stride: i64,
    padding: Padding,
}

impl Conv {
    /// Pads as TensorFlow's `SAME` does, which differs from PyTorch's padding if a 3×3 kernel has stride 2.
    pub(super) fn padded_as_same(self) -> Self {
        let differs = self.stride == 2 && self.weight.size()[2] == 3;
        Conv { padding: if differs { Padding::AtEnd } else { self.padding }, ..self }
    }

    pub(super) fn cast(&self, kind: Kind) -> Self {
        Conv { weight: cast_weight(&self.weight, kind), ..*self }
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let Conv { weight, stride, padding } = self;
        let xs = &xs.to_kind(weight.kind());
        let convolve =
            |xs: &Tensor, stride: i64, padding: i64| xs.conv2d(weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], 1);
        match padding {
            Padding::AtEnd => convolve(&xs.constant_pad_nd([0, 1, 0, 1]), *stride, 0),
            // oneDNN 3.10, part of libtorch 2.11, writes beyond its buffers in the backward pass of strided 1×1
            // convolutions if the batch size is odd and the channels are not a multiple of 16. Dropping the
            // skipped positions first gives the same convolution with stride 1. Pooling windows of one position does
            // that; unlike those of a slice, its gradients have channels last as well.
            Padding::Around(0) if xs.device() == Device::Cpu && *stride > 1 => {
                convolve(&xs.max_pool2d([1, 1], [*stride, *stride], [0, 0], [1, 1], false), 1, 0)
            }
            Padding::Around(padding) => convolve(xs, *stride, *padding),
        }
    }
}

/// A convolution with bias.
#[derive(Debug)]
pub(super) struct BiasedConv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
    groups: i64,
}

impl BiasedConv {
    /// The stride equals the kernel size.
    fn of_patches(weight: Tensor, bias: Tensor) -> Self {
        BiasedConv { stride: weight.size()[2], padding: 0, groups: 1, weight, bias }
    }

    /// One kernel for each channel.
    fn of_channels(weight: Tensor, bias: Tensor) -> Self {
        let size = weight.size();
        BiasedConv { stride: 1, padding: size[2] / 2, groups: size[0], weight, bias }
    }

    pub(super) fn cast(&self, kind: Kind) -> Self {
        BiasedConv { weight: cast_weight(&self.weight, kind), bias: self.bias.to_kind(kind), ..*self }
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let BiasedConv { weight, bias, stride, padding, groups } = self;
        xs.to_kind(weight.kind()).conv2d(weight, Some(bias), [*stride, *stride], [*padding, *padding], [1, 1], *groups)
    }
}

/// Weight of a batch in the running statistics.
pub(super) const MOMENTUM: f64 = 0.1;
/// Added to variances.
const EPSILON: f64 = 1e-5;

#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches_tracked: Tensor,
}

impl BatchNorm {
    pub(super) fn share(&self) -> Self {
        let BatchNorm { weight, bias, running_mean, running_var, batches_tracked } = self;
        BatchNorm {
            weight: weight.shallow_clone(),
            bias: bias.shallow_clone(),
            running_mean: running_mean.shallow_clone(),
            running_var: running_var.shallow_clone(),
            batches_tracked: batches_tracked.shallow_clone(),
        }
    }

    /// Normalizes `xs`, `[N, C, H, W]`, and activates it. Returns a new tensor.
    pub(super) fn forward_activated(&self, xs: &Tensor, mode: BatchNormMode, activation: Activation) -> Tensor {
        match activation {
            Activation::Relu => self.forward_relu(xs, mode),
            Activation::Silu => self.forward(xs, mode).silu(),
        }
    }

    /// Normalizes `xs`, `[N, C, H, W]`, and takes ReLU of it. Returns a new tensor.
    pub(super) fn forward_relu(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        if xs.device() != Device::Cpu || xs.kind() != Kind::Float || !has_channels_last(xs) {
            return self.forward(xs, mode).relu_();
        }
        if mode == BatchNormMode::Train {
            let _ = self.batches_tracked.shallow_clone().g_add_scalar_(1);
        }
        let BatchNorm { weight, bias, running_mean, running_var, batches_tracked: _ } = self;
        let norm = shim::Norm { weight, bias, running_mean, running_var, momentum: MOMENTUM, epsilon: EPSILON };
        shim::norm_relu(xs, &norm, mode == BatchNormMode::Train)
    }

    /// Normalizes `xs`, `[N, C, H, W]`. Returns a new tensor, which the caller may change in place.
    pub(super) fn forward(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        let normalize = |train| {
            let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
            xs.batch_norm(Some(&self.weight), Some(&self.bias), mean, var, train, MOMENTUM, EPSILON, true)
        };
        match mode {
            BatchNormMode::Train => {
                let _ = self.batches_tracked.shallow_clone().g_add_scalar_(1);
                normalize(true)
            }
            // libtorch computes in float32 here too; scale and shift in bfloat16 would lose bits.
            BatchNormMode::Eval if xs.kind() == Kind::BFloat16 => normalize(false),
            BatchNormMode::Eval => {
                // With fixed statistics, batch normalization is one multiplication and one addition. Their
                // input gradient is far cheaper than that of libtorch's batch normalization.
                let scale = &self.weight / (&self.running_var + EPSILON).sqrt();
                let shift = &self.bias - &self.running_mean * &scale;
                let per_channel = [1, -1, 1, 1];
                shift.view(per_channel).addcmul(xs, &scale.view(per_channel))
            }
        }
    }
}

fn has_channels_last(map: &Tensor) -> bool {
    map.size4().is_ok_and(|(_, channels, height, width)| map.stride() == [height * width * channels, 1, width * channels, channels])
}

/// Averages a map `[N, C, h, w]` over positions: `[N, C]` in `kind`.
///
/// The published networks pool all positions left of a 32×32 image. The mean over positions is the same and works
/// for every image size. As pooling it keeps channels last in the gradient; elementwise operations on tensors of two
/// memory formats take up to thirty times as long.
pub(super) fn average(map: &Tensor, kind: Kind) -> Tensor {
    let side = &map.size()[2..];
    map.to_kind(kind).avg_pool2d(side, side, [0, 0], false, true, None::<i64>).flatten(1, -1)
}

/// Layer normalization over the last dimension.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn share(&self) -> Self {
        LayerNorm { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        // The value in timm's vision transformers; PyTorch's default is 1e-5.
        const EPSILON: f64 = 1e-6;
        xs.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPSILON, true)
    }
}

#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Linear {
    pub(super) fn cast(&self, kind: Kind) -> Self {
        Linear { weight: self.weight.to_kind(kind), bias: self.bias.to_kind(kind) }
    }

    pub(super) fn share(&self) -> Self {
        self.cast(self.weight.kind())
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.to_kind(self.weight.kind()).linear(&self.weight, Some(&self.bias))
    }
}
