//! Residual networks that normalize before each convolution: PreActResNet (He et al. 2016,
//! <https://arxiv.org/abs/1603.05027>) and WideResNet (Zagoruyko and Komodakis 2016,
//! <https://arxiv.org/abs/1605.07146>). They differ in depth, widths and tensor names.
//!
//! Tensor names are those of the PyTorch code that robust-training papers share: `conv1`, `layer1.0.bn1`, …,
//! `bn`, `linear`. WideResNet has `conv1`, `block1.layer.0.bn1`, …, `bn1`, `fc`.
//!
//! PreActResNet-18 of width 64 has 11.17 million parameters. With PGD-10 adversarial training on CIFAR-10 at
//! ℓ∞ 8/255, the reported robust accuracy of its best checkpoint is 47.8 % (Wei et al. 2025, arXiv
//! 2506.05032). WideResNet-34-10 has 46.16 million parameters.

use shared::config::BatchNormMode;
use tch::{Kind, Tensor};

use super::Backbone;
use super::layers::{BatchNorm, Builder, Conv, Initialization, Linear, average};

/// A pre-activation residual network: stem convolution, stages of blocks, final normalization, linear layer.
#[derive(Debug)]
pub(super) struct PreActResNet {
    stem: Conv,
    stages: Vec<Vec<Block>>,
    norm: BatchNorm,
    linear: Linear,
}

/// Two 3×3 convolutions, each after batch normalization and ReLU, with a residual connection around them.
#[derive(Debug)]
struct Block {
    norm1: BatchNorm,
    conv1: Conv,
    norm2: BatchNorm,
    conv2: Conv,
    /// A 1×1 convolution of the activated input. Only present if the block changes the shape.
    shortcut: Option<Conv>,
}

impl PreActResNet {
    /// Builds a PreActResNet. Each stage after the first doubles the width and halves the image side.
    ///
    /// `[stages, blocks]`: number of stages, and of blocks in each; `channels`: of the images; `width`:
    /// channels of the first stage.
    pub(super) fn new(builder: &mut Builder, [stages, blocks]: [u32; 2], channels: i64, width: i64, classes: i64) -> Self {
        let stem = builder.conv("conv1", [channels, width], 3, 1);
        let name = |stage, index| format!("layer{stage}.{index}");
        let (stages, features) = make_stages(builder, [stages, blocks], width, width, name, "shortcut.0");
        let norm = builder.batch_norm("bn", features);
        PreActResNet { stem, stages, norm, linear: builder.linear("linear", [features, classes]) }
    }

    /// Builds a WideResNet with `6 * blocks + 4` layers. `width`: channels of the first stage.
    pub(super) fn wide(builder: &mut Builder, blocks: u32, channels: i64, width: i64, classes: i64) -> Self {
        const STEM: i64 = 16;
        builder.initialization = Initialization::FanOut;
        let stem = builder.conv("conv1", [channels, STEM], 3, 1);
        let name = |stage, index| format!("block{stage}.layer.{index}");
        let (stages, features) = make_stages(builder, [3, blocks], STEM, width, name, "convShortcut");
        let norm = builder.batch_norm("bn1", features);
        PreActResNet { stem, stages, norm, linear: builder.linear("fc", [features, classes]) }
    }
}

/// Builds the stages. Returns them with the number of channels of the last stage.
fn make_stages(
    builder: &mut Builder,
    [stages, blocks]: [u32; 2],
    stem: i64,
    width: i64,
    name: impl Fn(u32, u32) -> String,
    shortcut: &str,
) -> (Vec<Vec<Block>>, i64) {
    let mut from = stem;
    let mut made = Vec::new();
    for stage in 0..stages {
        let to = width << stage;
        let mut stage_blocks = Vec::new();
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            stage_blocks.push(Block::new(builder, &name(stage + 1, index), [from, to], stride, shortcut));
            from = to;
        }
        made.push(stage_blocks);
    }
    (made, from)
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
        average(&self.norm.forward_relu(&ys, mode), self.linear.weight.kind())
    }

    fn linear(&self) -> &Linear {
        &self.linear
    }

    fn cast(&self, kind: Kind) -> Box<dyn Backbone> {
        let cast = |stage: &Vec<Block>| stage.iter().map(|block| block.cast(kind)).collect();
        Box::new(PreActResNet {
            stem: self.stem.cast(kind),
            stages: self.stages.iter().map(cast).collect(),
            norm: self.norm.share(),
            linear: self.linear.share(),
        })
    }
}

impl Block {
    fn new(builder: &mut Builder, name: &str, [from, to]: [i64; 2], stride: i64, shortcut: &str) -> Self {
        Block {
            norm1: builder.batch_norm(&format!("{name}.bn1"), from),
            conv1: builder.conv(&format!("{name}.conv1"), [from, to], 3, stride),
            norm2: builder.batch_norm(&format!("{name}.bn2"), to),
            conv2: builder.conv(&format!("{name}.conv2"), [to, to], 3, 1),
            shortcut: (stride != 1 || from != to).then(|| builder.conv(&format!("{name}.{shortcut}"), [from, to], 1, stride)),
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Block {
            norm1: self.norm1.share(),
            conv1: self.conv1.cast(kind),
            norm2: self.norm2.share(),
            conv2: self.conv2.cast(kind),
            shortcut: self.shortcut.as_ref().map(|conv| conv.cast(kind)),
        }
    }

    fn forward(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        let activated = self.norm1.forward_relu(xs, mode);
        let inner = self.norm2.forward_relu(&self.conv1.forward(&activated), mode);
        let mut sum = self.conv2.forward(&inner);
        match &self.shortcut {
            Some(shortcut) => sum.g_add_(&shortcut.forward(&activated)),
            None => sum.g_add_(xs),
        }
    }
}
