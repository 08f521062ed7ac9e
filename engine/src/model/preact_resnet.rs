//! Pre-activation residual networks: He et al. 2016, <https://arxiv.org/abs/1603.05027>.
//!
//! Tensor names are those of the PyTorch code that the robust-training literature shares (`conv1`, `layer1.0.bn1`, …, `bn`, `linear`).
//! PreActResNet-18 of width 64 has 11.17 million parameters; under PGD-10 adversarial training on CIFAR-10 at ℓ∞ 8/255 its best
//! checkpoint is reported at 47.8 % robust accuracy (Wei et al. 2025, arXiv 2506.05032).

use shared::config::{Architecture, BatchNormMode};
use tch::{Kind, Tensor};

use super::layers::{BatchNorm, Builder, Conv, Linear};

#[derive(Debug)]
pub(super) struct PreActResNet {
    stem: Conv,
    blocks: Vec<Block>,
    norm: BatchNorm,
    pub(super) linear: Linear,
    pub(super) feature_dim: i64,
}

/// Two 3×3 convolutions, each after normalization and ReLU, around which the input is added.
#[derive(Debug)]
struct Block {
    norm1: BatchNorm,
    conv1: Conv,
    norm2: BatchNorm,
    conv2: Conv,
    /// Where the shape changes: a 1×1 convolution of the normalized input.
    shortcut: Option<Conv>,
}

impl PreActResNet {
    /// `channels`: of the images; `width`: of the first stage. Every later stage doubles the width and halves the side.
    pub(super) fn new(builder: &mut Builder, architecture: Architecture, channels: i64, width: i64, classes: i64) -> Self {
        let (stages, blocks_per_stage) = match architecture {
            Architecture::PreactResnet18 => (4, 2),
            Architecture::PreactResnetSmall => (3, 1),
            other => unimplemented!("{other:?}"),
        };
        let stem = builder.conv("conv1", [channels, width], 3, 1);
        let mut blocks = Vec::new();
        let mut from = width;
        for stage in 0..stages {
            let to = width << stage;
            for index in 0..blocks_per_stage {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(builder, &format!("layer{}.{index}", stage + 1), [from, to], stride));
                from = to;
            }
        }
        let norm = builder.batch_norm("bn", from);
        let linear = builder.linear("linear", [from, classes]);
        PreActResNet { stem, blocks, norm, linear, feature_dim: from }
    }

    /// `xs`: `[N, channels, H, W]`, normalized. Returns the features, `[N, feature_dim]`.
    pub(super) fn features(&self, xs: &Tensor, mode: BatchNormMode) -> Tensor {
        let mut ys = self.stem.forward(xs);
        for block in &self.blocks {
            ys = block.forward(&ys, mode);
        }
        // The published network pools 4×4, all that is left of 32×32; the mean is the same there and fits every size.
        self.norm.forward_relu(&ys, mode).mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
    }
}

impl Block {
    fn new(builder: &mut Builder, name: &str, [from, to]: [i64; 2], stride: i64) -> Self {
        Block {
            norm1: builder.batch_norm(&format!("{name}.bn1"), from),
            conv1: builder.conv(&format!("{name}.conv1"), [from, to], 3, stride),
            norm2: builder.batch_norm(&format!("{name}.bn2"), to),
            conv2: builder.conv(&format!("{name}.conv2"), [to, to], 3, 1),
            shortcut: (stride != 1 || from != to).then(|| builder.conv(&format!("{name}.shortcut.0"), [from, to], 1, stride)),
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
