//! Residual networks that normalize before each convolution: PreActResNet (He et al. 2016,
//! <https://arxiv.org/abs/1603.05027>) and WideResNet (Zagoruyko and Komodakis 2016,
//! <https://arxiv.org/abs/1605.07146>), as the public codes of robust training have them.
//!
//! The codes differ in depth, widths, tensor names, and in what [`Code`] says.
//!
//! PreActResNet-18 of width 64 has 11.17 million parameters. With PGD-10 adversarial training on CIFAR-10 at
//! ℓ∞ 8/255, the reported robust accuracy of its best checkpoint is 47.8 % (Wei et al. 2025, arXiv
//! 2506.05032). WideResNet-34-10 has 46.16 million parameters. DeepMind's WideResNet-28-10, trained with generated
//! images, reaches 67.3 % against AutoAttack (Wang et al. 2023, arXiv 2302.04638).

use shared::config::{Activation, BatchNormMode};
use tch::{Kind, Tensor};

use super::Backbone;
use super::layers::{BatchNorm, Builder, Conv, Initialization, Linear, average};

/// How a public code names its tensors, and what it does in its own way.
#[derive(Debug)]
pub(super) struct Code {
    stem: &'static str,
    /// Name of a block; stages and blocks count from 0.
    block: fn(u32, u32) -> String,
    norms: [&'static str; 2],
    convs: [&'static str; 2],
    shortcut: &'static str,
    /// The normalization after the last block, if there is one.
    last_norm: Option<&'static str>,
    linear: &'static str,
    shortcut_kernel: i64,
    /// Whether shortcuts take the activated input of their block, or the input as it is.
    shortcut_activated: bool,
    /// Whether strided 3×3 convolutions are padded as TensorFlow pads them.
    padded_as_same: bool,
    initialization: Initialization,
}

/// The code that robust-training papers share.
pub(super) const PREACT: Code = Code {
    stem: "conv1",
    block: |stage, index| format!("layer{}.{index}", stage + 1),
    norms: ["bn1", "bn2"],
    convs: ["conv1", "conv2"],
    shortcut: "shortcut.0",
    last_norm: Some("bn"),
    linear: "linear",
    shortcut_kernel: 1,
    shortcut_activated: true,
    padded_as_same: false,
    initialization: Initialization::Default,
};

/// `locuslab/fast_adversarial`: Wong et al. 2020, <https://arxiv.org/abs/2001.03994>.
pub(super) const FAST: Code = Code { last_norm: None, shortcut_activated: false, ..PREACT };

/// `yaodongyu/TRADES`: Zhang et al. 2019, <https://arxiv.org/abs/1901.08573>.
pub(super) const WIDE: Code = Code {
    block: |stage, index| format!("block{}.layer.{index}", stage + 1),
    shortcut: "convShortcut",
    last_norm: Some("bn1"),
    linear: "fc",
    initialization: Initialization::FanOut,
    ..PREACT
};

/// `deepmind-research/adversarial_robustness`: Gowal et al. 2020, <https://arxiv.org/abs/2010.03593>.
pub(super) const DM_WIDE: Code = Code {
    stem: "init_conv",
    block: |stage, index| format!("layer.{stage}.block.{index}"),
    norms: ["batchnorm_0", "batchnorm_1"],
    convs: ["conv_0", "conv_1"],
    shortcut: "shortcut",
    last_norm: Some("batchnorm"),
    linear: "logits",
    padded_as_same: true,
    ..PREACT
};

/// The PreActResNet of the same code: Rebuffi et al. 2021, <https://arxiv.org/abs/2103.01946>.
pub(super) const DM_PREACT: Code = Code {
    stem: "conv_2d",
    block: |stage, index| format!("layer_{stage}.{index}"),
    convs: ["conv_2d_1", "conv_2d_2"],
    shortcut_kernel: 3,
    shortcut_activated: false,
    ..DM_WIDE
};

/// Channels before the first stage of a WideResNet.
pub(super) const WIDE_STEM: i64 = 16;

/// Sizes of a network. Each stage after the first doubles the width and halves the image side.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) stages: u32,
    /// Number of blocks in each stage.
    pub(super) blocks: u32,
    /// Channels of the images.
    pub(super) channels: i64,
    /// Channels before the first stage.
    pub(super) stem: i64,
    /// Channels of the first stage.
    pub(super) width: i64,
    pub(super) classes: i64,
}

/// A pre-activation residual network: stem convolution, stages of blocks, final normalization, linear layer.
#[derive(Debug)]
pub(super) struct PreActResNet {
    stem: Conv,
    stages: Vec<Vec<Block>>,
    norm: Option<BatchNorm>,
    linear: Linear,
    activation: Activation,
}

/// Two 3×3 convolutions, each after batch normalization and activation, with a residual connection around them.
#[derive(Debug)]
struct Block {
    norm1: BatchNorm,
    conv1: Conv,
    norm2: BatchNorm,
    conv2: Conv,
    /// A convolution around the others. Only present if the block changes the shape.
    shortcut: Option<Conv>,
    shortcut_activated: bool,
    activation: Activation,
}

impl PreActResNet {
    pub(super) fn new(builder: &mut Builder, code: &Code, sizes: &Sizes, activation: Activation) -> Self {
        let Sizes { stages, blocks, channels, stem, width, classes } = *sizes;
        builder.initialization = code.initialization;
        let first = builder.conv(code.stem, [channels, stem], 3, 1);
        let mut from = stem;
        let mut made = Vec::new();
        for stage in 0..stages {
            let to = width << stage;
            let mut stage_blocks = Vec::new();
            for index in 0..blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                stage_blocks.push(Block::new(builder, code, &(code.block)(stage, index), [from, to], stride, activation));
                from = to;
            }
            made.push(stage_blocks);
        }
        let norm = code.last_norm.map(|name| builder.batch_norm(name, from));
        PreActResNet { stem: first, stages: made, norm, linear: builder.linear(code.linear, [from, classes]), activation }
    }
}

impl Backbone for PreActResNet {
    fn features(&self, xs: &Tensor, mode: BatchNormMode, mut stages: Option<&mut Vec<Tensor>>) -> Tensor {
        let mut ys = self.stem.forward(xs);
        for stage in &self.stages {
            for block in stage {
                ys = block.forward(&ys, mode);
            }
            if let Some(stages) = &mut stages {
                stages.push(ys.shallow_clone());
            }
        }
        if let Some(norm) = &self.norm {
            ys = norm.forward_activated(&ys, mode, self.activation);
        }
        average(&ys, self.linear.weight.kind())
    }

    fn linear(&self) -> &Linear {
        &self.linear
    }

    fn cast(&self, kind: Kind) -> Box<dyn Backbone> {
        let cast = |stage: &Vec<Block>| stage.iter().map(|block| block.cast(kind)).collect();
        Box::new(PreActResNet {
            stem: self.stem.cast(kind),
            stages: self.stages.iter().map(cast).collect(),
            norm: self.norm.as_ref().map(BatchNorm::share),
            linear: self.linear.share(),
            activation: self.activation,
        })
    }
}

impl Block {
    fn new(builder: &mut Builder, code: &Code, name: &str, [from, to]: [i64; 2], stride: i64, activation: Activation) -> Self {
        let ([norm1, norm2], [conv1, conv2]) = (code.norms, code.convs);
        let conv = |builder: &mut Builder, part: &str, ends, kernel, stride| {
            let conv = builder.conv(&format!("{name}.{part}"), ends, kernel, stride);
            if code.padded_as_same { conv.padded_as_same() } else { conv }
        };
        Block {
            norm1: builder.batch_norm(&format!("{name}.{norm1}"), from),
            conv1: conv(builder, conv1, [from, to], 3, stride),
            norm2: builder.batch_norm(&format!("{name}.{norm2}"), to),
            conv2: conv(builder, conv2, [to, to], 3, 1),
            shortcut: (stride != 1 || from != to).then(|| conv(builder, code.shortcut, [from, to], code.shortcut_kernel, stride)),
            shortcut_activated: code.shortcut_activated,
            activation,
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Block {
            norm1: self.norm1.share(),
            conv1: self.conv1.cast(kind),
            norm2: self.norm2.share(),
            conv2: self.conv2.cast(kind),
            shortcut: self.shortcut.as_ref().map(|conv| conv.cast(kind)),
            ..*self
        }
    }

    fn forward(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        let activated = self.norm1.forward_activated(xs, mode, self.activation);
        let inner = self.norm2.forward_activated(&self.conv1.forward(&activated), mode, self.activation);
        let mut sum = self.conv2.forward(&inner);
        match &self.shortcut {
            Some(shortcut) => sum.g_add_(&shortcut.forward(if self.shortcut_activated { &activated } else { xs })),
            None => sum.g_add_(xs),
        }
    }
}
