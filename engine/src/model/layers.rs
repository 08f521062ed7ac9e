//! The three kinds of layers the networks are made of, and the list of their tensors under PyTorch's names.

use shared::config::BatchNormMode;
use tch::{Device, Kind, Tensor};

/// Whether training moves a tensor by its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Parameter,
    Buffer,
}

/// A named tensor of a network. Shares its storage with the layer that uses it.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub tensor: Tensor,
    pub role: Role,
}

/// Makes layers and keeps their tensors in the order they are made, which is the order of PyTorch's state dict.
///
/// Draws weights from the default generator.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) kind: Kind,
    pub(super) device: Device,
    pub(super) entries: Vec<Entry>,
}

impl Builder {
    pub(super) fn conv(&mut self, name: &str, [from, to]: [i64; 2], kernel: i64, stride: i64) -> Conv {
        let fan_in = from * kernel * kernel;
        let weight = self.uniform(format!("{name}.weight"), &[to, from, kernel, kernel], fan_in);
        Conv { weight, stride, padding: kernel / 2 }
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

    pub(super) fn linear(&mut self, name: &str, [from, to]: [i64; 2]) -> Linear {
        Linear {
            weight: self.uniform(format!("{name}.weight"), &[to, from], from),
            bias: self.uniform(format!("{name}.bias"), &[to], from),
        }
    }

    /// PyTorch's default for convolutions and linear layers: Kaiming-uniform with a = √5, which is uniform within 1/√fan_in.
    fn uniform(&mut self, name: String, shape: &[i64], fan_in: i64) -> Tensor {
        let bound = 1.0 / (fan_in as f64).sqrt();
        // Drawn on the CPU, so that a seed gives the same network on every device.
        let values = Tensor::rand(shape, (self.kind, Device::Cpu)) * (2.0 * bound) - bound;
        let values = match (self.device, shape.len()) {
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

/// The same values with the channels of a pixel side by side in memory. Convolutions and all that follows them adopt the layout of
/// their weights; on the CPU this one makes an attack a quarter faster (width 16 on 8×8 images, one Xeon core).
fn channels_last(weight: &Tensor) -> Tensor {
    weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// A convolution without bias, padded to keep the size at stride 1.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv {
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.conv2d(&self.weight, None::<&Tensor>, [self.stride, self.stride], [self.padding, self.padding], [1, 1], 1)
    }
}

#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches_tracked: Tensor,
}

impl BatchNorm {
    /// Normalizes and rectifies: every batch normalization of a pre-activation network is followed by a ReLU.
    pub(super) fn forward_relu(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        const MOMENTUM: f64 = 0.1;
        const EPSILON: f64 = 1e-5;
        let mut ys = match mode {
            BatchNormMode::Train => {
                let _ = self.batches_tracked.shallow_clone().g_add_scalar_(1);
                let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
                xs.batch_norm(Some(&self.weight), Some(&self.bias), mean, var, true, MOMENTUM, EPSILON, true)
            }
            BatchNormMode::Eval => {
                // With fixed statistics it is one multiplication and one addition, whose gradient by the input is far cheaper than
                // that of libtorch's batch normalization.
                let scale = &self.weight / (&self.running_var + EPSILON).sqrt();
                let shift = &self.bias - &self.running_mean * &scale;
                let per_channel = [1, -1, 1, 1];
                shift.view(per_channel).addcmul(xs, &scale.view(per_channel))
            }
        };
        ys.relu_()
    }
}

#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Linear {
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.linear(&self.weight, Some(&self.bias))
    }
}
