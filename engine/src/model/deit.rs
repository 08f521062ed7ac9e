//! DeiT-Ti with 4×4 patches for small images: Touvron et al. 2021, <https://arxiv.org/abs/2012.12877>.
//!
//! Tensor names and initial weights are those of timm's VisionTransformer: `cls_token`, `pos_embed`,
//! `patch_embed.proj`, `blocks.0.norm1`, …, `norm`, `head`. With width 192, it has 5.36 million parameters
//! for 32×32 images and 10 classes. It has no batch normalization, so both `BatchNormMode`s give the same
//! result.

use shared::config::BatchNormMode;
use tch::{Kind, Tensor};

use super::Backbone;
use super::layers::{BiasedConv, Builder, Initialization, LayerNorm, Linear};

/// Side of a patch in pixels.
const PATCH: i64 = 4;
const DEPTH: usize = 12;
/// Number of transformer blocks in a stage.
const BLOCKS_PER_STAGE: usize = 3;
/// Hidden width of the perceptron, as a multiple of the token width.
const EXPANSION: i64 = 4;

/// DeiT with 12 blocks. D is the token width.
#[derive(Debug)]
pub(super) struct Deit {
    /// `[1, 1, D]`.
    class_token: Tensor,
    /// `[1, 1 + patches, D]`.
    positions: Tensor,
    patches: BiasedConv,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

/// A transformer block: attention, then a perceptron. Each has a layer normalization before it and a residual
/// connection.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    query_key_value: Linear,
    projection: Linear,
    norm2: LayerNorm,
    expand: Linear,
    contract: Linear,
    heads: i64,
}

impl Deit {
    /// Builds the layers. `shape`: channels, height and width of the images; `width`: token width D.
    pub(super) fn new(builder: &mut Builder, shape: [i64; 3], [width, heads]: [i64; 2], classes: i64) -> Self {
        let [channels, height, side] = shape;
        let count = (height / PATCH) * (side / PATCH);
        builder.initialization = Initialization::Narrow;
        Deit {
            class_token: builder.normal("cls_token".to_owned(), &[1, 1, width], 1e-6),
            positions: builder.normal("pos_embed".to_owned(), &[1, 1 + count, width], 0.02),
            patches: builder.patch_embedding("patch_embed.proj", [channels, width], PATCH),
            blocks: (0..DEPTH).map(|index| Block::new(builder, &format!("blocks.{index}"), [width, heads])).collect(),
            norm: builder.layer_norm("norm", width),
            head: builder.linear("head", [width, classes]),
        }
    }
}

impl Backbone for Deit {
    fn features(&self, xs: &Tensor, _mode: BatchNormMode, mut stages: Option<&mut Vec<Tensor>>) -> Tensor {
        let patches = self.patches.forward(xs);
        let grid = patches.size();
        let class_tokens = self.class_token.expand([grid[0], -1, -1], false);
        let mut tokens = Tensor::cat(&[class_tokens, to_tokens(&patches)], 1) + &self.positions;
        for (index, block) in (1..).zip(&self.blocks) {
            tokens = block.forward(tokens);
            if let Some(stages) = &mut stages
                && index % BLOCKS_PER_STAGE == 0
            {
                // Use the stored map in what follows, so that the logits can be differentiated with respect
                // to it.
                let map = tokens.narrow(1, 1, tokens.size()[1] - 1).transpose(1, 2).reshape(&grid);
                tokens = Tensor::cat(&[tokens.narrow(1, 0, 1), to_tokens(&map)], 1);
                stages.push(map);
            }
        }
        self.norm.forward(&tokens.select(1, 0))
    }

    fn linear(&self) -> &Linear {
        &self.head
    }

    /// What blocks add up stays as it is, and is normalized so.
    fn cast(&self, kind: Kind) -> Box<dyn Backbone> {
        Box::new(Deit {
            patches: self.patches.cast(kind),
            class_token: self.class_token.shallow_clone(),
            positions: self.positions.shallow_clone(),
            blocks: self.blocks.iter().map(|block| block.cast(kind)).collect(),
            norm: self.norm.share(),
            head: self.head.share(),
        })
    }
}

/// Reshapes a map `[N, D, h, w]` to tokens `[N, h·w, D]`.
pub(super) fn to_tokens(map: &Tensor) -> Tensor {
    map.flatten(2, 3).transpose(1, 2)
}

impl Block {
    fn new(builder: &mut Builder, name: &str, [width, heads]: [i64; 2]) -> Self {
        Block {
            norm1: builder.layer_norm(&format!("{name}.norm1"), width),
            query_key_value: builder.linear(&format!("{name}.attn.qkv"), [width, 3 * width]),
            projection: builder.linear(&format!("{name}.attn.proj"), [width, width]),
            norm2: builder.layer_norm(&format!("{name}.norm2"), width),
            expand: builder.linear(&format!("{name}.mlp.fc1"), [width, EXPANSION * width]),
            contract: builder.linear(&format!("{name}.mlp.fc2"), [EXPANSION * width, width]),
            heads,
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Block {
            norm1: self.norm1.share(),
            query_key_value: self.query_key_value.cast(kind),
            projection: self.projection.cast(kind),
            norm2: self.norm2.share(),
            expand: self.expand.cast(kind),
            contract: self.contract.cast(kind),
            heads: self.heads,
        }
    }

    /// Maps `tokens`, `[N, T, D]`, to tokens of the same shape.
    fn forward(&self, tokens: Tensor) -> Tensor {
        let tokens = &tokens + self.attention(&self.norm1.forward(&tokens));
        let inner = self.expand.forward(&self.norm2.forward(&tokens)).gelu("none");
        &tokens + self.contract.forward(&inner)
    }
    /// Multi-head self-attention of `tokens`, `[N, T, D]`.
    fn attention(&self, tokens: &Tensor) -> Tensor {
        let size = tokens.size();
        let [samples, count, width] = [size[0], size[1], size[2]];
        let heads = self.heads;
        let parts = self.query_key_value.forward(tokens).view([samples, count, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
        // Not selected one by one: the gradient of each would be a tensor as large as all, filled with zeros.
        let [query, key, value] = <[Tensor; 3]>::try_from(parts.unbind(0)).expect("queries, keys and values");
        let mixed = Tensor::scaled_dot_product_attention(&query, &key, &value, None::<&Tensor>, 0.0, false, None::<f64>, false);
        self.projection.forward(&mixed.transpose(1, 2).reshape([samples, count, width]))
    }
}
