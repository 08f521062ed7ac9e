//! How many numbers a network has and how much it computes, without building it.

use super::model::{Architecture, ModelConfig};

/// Numbers and tensors of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkSize {
    /// Number of trainable values.
    pub parameters: u64,
    /// Number of values that are stored but not trained: running means and variances.
    pub buffers: u64,
    /// Number of tensors with parameters.
    pub parameter_tensors: u64,
    /// Number of tensors in a checkpoint.
    pub tensors: u64,
    /// Length n of a feature vector.
    pub features: u64,
    /// Products of a forward pass of one image, in convolutions, linear layers and attention.
    pub multiply_adds: u64,
}

impl NetworkSize {
    /// The network of a configuration for images of `[channels, height, width]`.
    pub fn of(model: &ModelConfig, [channels, height, side]: [u32; 3], classes: u32) -> Self {
        let [channels, height, side, classes] = [channels, height, side, classes].map(u64::from);
        let shape = [channels, height, side];
        let width = u64::from(model.width());
        let mut size = NetworkSize::default();
        match model.architecture {
            Architecture::PreactResnet18 => size.preact_resnet([4, 2], shape, width, width),
            Architecture::PreactResnetSmall => size.preact_resnet([3, 1], shape, width, width),
            Architecture::WideResnet28 => size.preact_resnet([3, 4], shape, WIDE_STEM, width),
            Architecture::WideResnet34 => size.preact_resnet([3, 5], shape, WIDE_STEM, width),
            Architecture::Resnet18 => size.resnet18(shape, width),
            Architecture::DeitTiny => size.deit(shape, width, model.architecture.facts().patch.into()),
        }
        size.linear([size.features, classes], 1);
        size
    }

    /// Pre-activation blocks: each normalizes before its convolutions, and a last normalization follows them.
    fn preact_resnet(&mut self, [stages, blocks]: [u64; 2], [channels, height, side]: [u64; 3], stem: u64, width: u64) {
        self.convolution([channels, stem], 3, height * side);
        let mut from = stem;
        for stage in 0..stages {
            let (to, positions) = (width << stage, positions(height, side, stage));
            for block in 0..blocks {
                self.batch_norm(from);
                self.convolution([from, to], 3, positions);
                self.batch_norm(to);
                self.convolution([to, to], 3, positions);
                if from != to || (stage > 0 && block == 0) {
                    self.convolution([from, to], 1, positions);
                }
                from = to;
            }
        }
        self.batch_norm(from);
        self.features = from;
    }

    fn resnet18(&mut self, [channels, height, side]: [u64; 3], width: u64) {
        self.convolution([channels, width], 3, height * side);
        self.batch_norm(width);
        let mut from = width;
        for stage in 0..4 {
            let (to, positions) = (width << stage, positions(height, side, stage));
            for block in 0..2 {
                self.convolution([from, to], 3, positions);
                self.batch_norm(to);
                self.convolution([to, to], 3, positions);
                self.batch_norm(to);
                if stage > 0 && block == 0 {
                    self.convolution([from, to], 1, positions);
                    self.batch_norm(to);
                }
                from = to;
            }
        }
        self.features = from;
    }

    fn deit(&mut self, [channels, height, side]: [u64; 3], width: u64, patch: u64) {
        const DEPTH: u64 = 12;
        const EXPANSION: u64 = 4;
        let patches = (height / patch) * (side / patch);
        let tokens = 1 + patches;
        self.parameters(width);
        self.parameters(tokens * width);
        self.convolution([channels, width], patch, patches);
        self.parameters(width);
        for _ in 0..DEPTH {
            self.layer_norm(width);
            self.linear([width, 3 * width], tokens);
            // Each token looks at each, and then adds up what it has seen.
            self.multiply_adds += 2 * tokens * tokens * width;
            self.linear([width, width], tokens);
            self.layer_norm(width);
            self.linear([width, EXPANSION * width], tokens);
            self.linear([EXPANSION * width, width], tokens);
        }
        self.layer_norm(width);
        self.features = width;
    }

    fn parameters(&mut self, count: u64) {
        self.parameters += count;
        self.parameter_tensors += 1;
        self.tensors += 1;
    }

    /// `positions`: number of positions of the output.
    fn convolution(&mut self, [from, to]: [u64; 2], kernel: u64, positions: u64) {
        let values = from * to * kernel * kernel;
        self.parameters(values);
        self.multiply_adds += values * positions;
    }

    fn linear(&mut self, [from, to]: [u64; 2], positions: u64) {
        self.parameters(from * to);
        self.parameters(to);
        self.multiply_adds += from * to * positions;
    }

    fn layer_norm(&mut self, length: u64) {
        self.parameters(length);
        self.parameters(length);
    }

    /// Weight and bias, then running mean, running variance and the number of batches.
    fn batch_norm(&mut self, channels: u64) {
        self.layer_norm(channels);
        self.buffers += 2 * channels + 1;
        self.tensors += 3;
    }
}

/// Positions of the maps of a stage: each stage after the first halves both sides, rounded up.
fn positions(height: u64, side: u64, stage: u64) -> u64 {
    let halved = |length: u64| length.div_ceil(1 << stage);
    halved(height) * halved(side)
}

/// Channels before the first stage of a WideResNet.
const WIDE_STEM: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's tests compare every architecture with its tensors.
    #[test]
    fn published_networks_have_their_published_sizes() {
        for (architecture, millions, billions) in [
            (Architecture::PreactResnet18, "11.17", "0.56"),
            (Architecture::Resnet18, "11.17", "0.56"),
            (Architecture::WideResnet28, "36.48", "5.24"),
            (Architecture::WideResnet34, "46.16", "6.66"),
            (Architecture::DeitTiny, "5.36", "0.37"),
        ] {
            let size = NetworkSize::of(&ModelConfig::of(architecture), [3, 32, 32], 10);
            assert_eq!(format!("{:.2}", size.parameters as f64 / 1e6), millions, "{architecture:?}");
            assert_eq!(format!("{:.2}", size.multiply_adds as f64 / 1e9), billions, "{architecture:?}");
        }
    }
}
