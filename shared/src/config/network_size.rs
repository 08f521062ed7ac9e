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
        let blocks = u64::from(model.blocks_per_group());
        let heads = model.architecture.facts().heads.into();
        match model.architecture {
            Architecture::PreactResnet18 => size.preact_resnet([4, 2], shape, [width, width], PREACT),
            Architecture::FastPreactResnet18 => size.preact_resnet([4, 2], shape, [width, width], PreAct { last_norm: false, ..PREACT }),
            Architecture::PreactResnetSmall => size.preact_resnet([3, 1], shape, [width, width], PREACT),
            Architecture::WideResnet | Architecture::DmWideResnet => size.preact_resnet([3, blocks], shape, [WIDE_STEM, width], PREACT),
            Architecture::DmPreactResnet18 => size.preact_resnet([4, 2], shape, [width, width], PreAct { shortcut_kernel: 3, ..PREACT }),
            Architecture::Resnet18 => size.resnet18(shape, width),
            Architecture::DeitTiny => size.deit(shape, width, model.architecture.facts().side_multiple.into()),
            Architecture::XcitS12 | Architecture::XcitL12 => size.xcit(shape, width, heads),
        }
        size.linear([size.features, classes], 1);
        size
    }

    /// Pre-activation blocks: each normalizes before its convolutions. `[stem, width]`: channels before and in the first stage.
    fn preact_resnet(&mut self, [stages, blocks]: [u64; 2], [channels, height, side]: [u64; 3], [stem, width]: [u64; 2], code: PreAct) {
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
                    self.convolution([from, to], code.shortcut_kernel, positions);
                }
                from = to;
            }
        }
        if code.last_norm {
            self.batch_norm(from);
        }
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

    /// Four convolutions embed patches of 4×4; twelve blocks attend across channels, and two of the class token across patches.
    fn xcit(&mut self, [channels, height, side]: [u64; 3], width: u64, heads: u64) {
        const DEPTH: u64 = 12;
        const CLASS_BLOCKS: u64 = 2;
        const EXPANSION: u64 = 4;
        /// Sines and cosines of a position.
        const WAVES: u64 = 64;
        let patches = positions(height, side, 2);
        let tokens = 1 + patches;
        self.parameters(width);
        let mut from = channels;
        for (part, halved) in [(8, 0), (4, 0), (2, 1), (1, 2)] {
            self.convolution([from, width / part], 3, positions(height, side, halved));
            self.batch_norm(width / part);
            from = width / part;
        }
        self.convolution([WAVES, width], 1, patches);
        self.parameters(width);
        for _ in 0..DEPTH {
            (0..3).for_each(|_| self.parameters(width));
            self.layer_norm(width);
            self.parameters(heads);
            self.linear([width, 3 * width], patches);
            self.multiply_adds += 2 * patches * width * (width / heads);
            self.linear([width, width], patches);
            self.layer_norm(width);
            self.depthwise(width, patches);
            self.batch_norm(width);
            self.depthwise(width, patches);
            self.layer_norm(width);
            self.linear([width, EXPANSION * width], patches);
            self.linear([EXPANSION * width, width], patches);
        }
        for _ in 0..CLASS_BLOCKS {
            (0..2).for_each(|_| self.parameters(width));
            self.layer_norm(width);
            self.linear([width, width], 1);
            (0..2).for_each(|_| self.linear([width, width], tokens));
            self.multiply_adds += 2 * tokens * width;
            self.linear([width, width], 1);
            self.layer_norm(width);
            self.linear([width, EXPANSION * width], 1);
            self.linear([EXPANSION * width, width], 1);
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

    /// A 3×3 convolution of each channel by itself, with a bias.
    fn depthwise(&mut self, channels: u64, positions: u64) {
        self.parameters(9 * channels);
        self.parameters(channels);
        self.multiply_adds += 9 * channels * positions;
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

/// In what the public codes of pre-activation networks differ.
#[derive(Clone, Copy)]
struct PreAct {
    shortcut_kernel: u64,
    last_norm: bool,
}

const PREACT: PreAct = PreAct { shortcut_kernel: 1, last_norm: true };

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's tests compare every architecture with its tensors.
    /// Parameters and products of the public codes in PyTorch, by its counter of floating-point operations.
    #[test]
    fn sizes_are_those_that_pytorch_counts_in_the_public_code() {
        for (model, parameters, multiply_adds) in [
            (ModelConfig::of_depth(Architecture::DmWideResnet, 28), 36_479_194, 5_243_328_768),
            (ModelConfig { width: Some(256), ..ModelConfig::of_depth(Architecture::DmWideResnet, 70) }, 266_796_506, 38_764_210_176),
            (ModelConfig { width: Some(32), ..ModelConfig::of_depth(Architecture::WideResnet, 40) }, 2_243_546, 327_599_360),
            (ModelConfig::of(Architecture::DmPreactResnet18), 12_548_426, 605_754_368),
            (ModelConfig::of(Architecture::FastPreactResnet18), 11_171_146, 555_422_720),
            (ModelConfig::of(Architecture::XcitS12), 25_872_154, 1_564_267_776),
            (ModelConfig { width: Some(512), ..ModelConfig::of(Architecture::XcitS12) }, 45_893_290, 2_777_226_240),
            (ModelConfig::of(Architecture::XcitL12), 103_031_338, 6_183_823_872),
        ] {
            let size = NetworkSize::of(&model, [3, 32, 32], 10);
            assert_eq!((size.parameters, size.multiply_adds), (parameters, multiply_adds), "{model:?}");
        }
    }

    #[test]
    fn published_networks_have_their_published_sizes() {
        for (model, millions, billions) in [
            (ModelConfig::of(Architecture::PreactResnet18), "11.17", "0.56"),
            (ModelConfig::of(Architecture::Resnet18), "11.17", "0.56"),
            (ModelConfig::of(Architecture::WideResnet), "36.48", "5.24"),
            (ModelConfig::of_depth(Architecture::WideResnet, 34), "46.16", "6.66"),
            (ModelConfig::of(Architecture::DeitTiny), "5.36", "0.37"),
        ] {
            let size = NetworkSize::of(&model, [3, 32, 32], 10);
            assert_eq!(format!("{:.2}", size.parameters as f64 / 1e6), millions, "{model:?}");
            assert_eq!(format!("{:.2}", size.multiply_adds as f64 / 1e9), billions, "{model:?}");
        }
    }
}
