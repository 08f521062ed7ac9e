//! ResNet-18 with a 3×3 stem for 32×32 and 64×64 images: He et al. 2015, <https://arxiv.org/abs/1512.03385>.
//!
//! Tensor names are those of the PyTorch code that robust-training papers share: `conv1`, `bn1`,
//! `layer1.0.conv1`, …, `layer2.0.shortcut.0`, …, `linear`. With width 64 it has 11.17 million parameters.

use shared::config::BatchNormMode;
use tch::{Kind, Tensor};

use super::Backbone;
use super::layers::{BatchNorm, Builder, Conv, Linear, average};

/// ResNet-18: stem convolution, four stages of two blocks, linear layer.
#[derive(Debug)]
pub(super) struct ResNet18 {
    stem: Conv,
    norm: BatchNorm,
    stages: Vec<[Block; 2]>,
    linear: Linear,
}

/// Two 3×3 convolutions, each followed by batch normalization, with a residual connection around them.
#[derive(Debug)]
struct Block {
    conv1: Conv,
    norm1: BatchNorm,
    conv2: Conv,
    norm2: BatchNorm,
    /// A normalized 1×1 convolution of the input. Only present if the block changes the shape.
    shortcut: Option<(Conv, BatchNorm)>,
}

impl ResNet18 {
    /// Builds the network. It has four stages; each after the first doubles the width and halves the image
    /// side.
    ///
    /// `channels`: of the images; `width`: channels of the first stage.
    pub(super) fn new(builder: &mut Builder, channels: i64, width: i64, classes: i64) -> Self {
        let stem = builder.conv("conv1", [channels, width], 3, 1);
        let norm = builder.batch_norm("bn1", width);
        let mut from = width;
        let stages = (0..4)
            .map(|stage| {
                let (to, stride) = (width << stage, if stage > 0 { 2 } else { 1 });
                let name = |index| format!("layer{}.{index}", stage + 1);
                let first = Block::new(builder, &name(0), [from, to], stride);
                from = to;
                [first, Block::new(builder, &name(1), [to, to], 1)]
            })
            .collect();
        ResNet18 { stem, norm, stages, linear: builder.linear("linear", [from, classes]) }
    }
}

impl Backbone for ResNet18 {
    fn features(&self, xs: &Tensor, mode: BatchNormMode, mut stages: Option<&mut Vec<Tensor>>) -> Tensor {
        let mut ys = self.norm.forward_relu(&self.stem.forward(xs), mode);
        for stage in &self.stages {
            for block in stage {
                ys = block.forward(&ys, mode);
            }
            if let Some(stages) = &mut stages {
                stages.push(ys.shallow_clone());
            }
        }
        average(&ys, self.linear.weight.kind())
    }

    fn linear(&self) -> &Linear {
        &self.linear
    }

    fn cast(&self, kind: Kind) -> Box<dyn Backbone> {
        let cast = |stage: &[Block; 2]| stage.each_ref().map(|block| block.cast(kind));
        Box::new(ResNet18 {
            stem: self.stem.cast(kind),
            norm: self.norm.share(),
            stages: self.stages.iter().map(cast).collect(),
            linear: self.linear.share(),
        })
    }
}

impl Block {
    fn new(builder: &mut Builder, name: &str, [from, to]: [i64; 2], stride: i64) -> Self {
        Block {
            conv1: builder.conv(&format!("{name}.conv1"), [from, to], 3, stride),
            norm1: builder.batch_norm(&format!("{name}.bn1"), to),
            conv2: builder.conv(&format!("{name}.conv2"), [to, to], 3, 1),
            norm2: builder.batch_norm(&format!("{name}.bn2"), to),
            shortcut: (stride != 1 || from != to).then(|| {
                let conv = builder.conv(&format!("{name}.shortcut.0"), [from, to], 1, stride);
                (conv, builder.batch_norm(&format!("{name}.shortcut.1"), to))
            }),
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Block {
            conv1: self.conv1.cast(kind),
            norm1: self.norm1.share(),
            conv2: self.conv2.cast(kind),
            norm2: self.norm2.share(),
            shortcut: self.shortcut.as_ref().map(|(conv, norm)| (conv.cast(kind), norm.share())),
        }
    }

    fn forward(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        let inner = self.norm1.forward_relu(&self.conv1.forward(xs), mode);
        let mut sum = self.norm2.forward(&self.conv2.forward(&inner), mode);
        let mut sum = match &self.shortcut {
            Some((conv, norm)) => sum.g_add_(&norm.forward(&conv.forward(xs), mode)),
            None => sum.g_add_(xs),
        };
        sum.relu_()
    }
}
