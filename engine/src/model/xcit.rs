//! XCiT with 4×4 patches for small images: El-Nouby et al. 2021, <https://arxiv.org/abs/2106.09681>, in the version of
//! Debenedetti et al. 2022, <https://arxiv.org/abs/2209.07399>: the embedding of 16×16 patches with its first two
//! strides set to 1.
//!
//! Tensor names and initial weights are those of timm's Xcit: `cls_token`, `patch_embed.proj.0.0`, …,
//! `pos_embed.token_projection`, `blocks.0.gamma1`, …, `cls_attn_blocks.1.mlp.fc2`, `norm`, `head`. XCiT-S12 has
//! 25.9 million parameters for 10 classes.

use std::f64::consts::TAU;

use shared::config::BatchNormMode;
use tch::{Device, Kind, Tensor};

use super::Backbone;
use super::deit::to_tokens;
use super::layers::{BatchNorm, BiasedConv, Builder, Conv, Initialization, LayerNorm, Linear};

const DEPTH: usize = 12;
/// Number of blocks in which the class token attends to the patches.
const CLASS_BLOCKS: usize = 2;
/// Number of transformer blocks in a stage.
const BLOCKS_PER_STAGE: usize = 3;
/// Hidden width of a perceptron, as a multiple of the token width.
const EXPANSION: i64 = 4;
/// The embedding: a convolution makes the width divided by the first number, with the second as its stride.
const EMBEDDING: [(i64, i64); 4] = [(8, 1), (4, 1), (2, 2), (1, 2)];
/// Sines and cosines that tell the row, and as many for the column.
const WAVES: i64 = 32;

/// XCiT with 12 blocks. D is the token width.
#[derive(Debug)]
pub(super) struct Xcit {
    /// `[1, 1, D]`.
    class_token: Tensor,
    embedding: Vec<(Conv, BatchNorm)>,
    /// Sines and cosines of the positions, `[1, 64, h, w]`. Not a tensor of the state dict.
    waves: Tensor,
    positions: BiasedConv,
    blocks: Vec<Block>,
    class_blocks: Vec<ClassBlock>,
    norm: LayerNorm,
    head: Linear,
}

/// Attention across channels, two convolutions of each channel, and a perceptron. Each has a layer normalization before
/// it, a scale of each channel after it, and a residual connection.
#[derive(Debug)]
struct Block {
    scales: [Tensor; 3],
    norm1: LayerNorm,
    attention: Attention,
    norm3: LayerNorm,
    local1: BiasedConv,
    local_norm: BatchNorm,
    local2: BiasedConv,
    norm2: LayerNorm,
    perceptron: Perceptron,
}

/// Cross-covariance attention: the channels of a head attend to each other.
#[derive(Debug)]
struct Attention {
    /// `[heads, 1, 1]`.
    temperature: Tensor,
    query_key_value: Linear,
    projection: Linear,
}

/// The class token attends to all tokens, then passes through a perceptron.
#[derive(Debug)]
struct ClassBlock {
    scales: [Tensor; 2],
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    projection: Linear,
    norm2: LayerNorm,
    perceptron: Perceptron,
    heads: i64,
}

#[derive(Debug)]
struct Perceptron {
    expand: Linear,
    contract: Linear,
}

impl Xcit {
    /// Builds the layers. `shape`: channels, height and width of the images; `width`: token width D.
    pub(super) fn new(builder: &mut Builder, shape: [i64; 3], [width, heads]: [i64; 2], classes: i64) -> Self {
        let [channels, height, side] = shape;
        builder.initialization = Initialization::Narrow;
        let class_token = builder.normal("cls_token".to_owned(), &[1, 1, width], 0.02);
        let mut from = channels;
        let mut embedding = Vec::new();
        for (index, (part, stride)) in EMBEDDING.into_iter().enumerate() {
            let (name, to) = (format!("patch_embed.proj.{}", 2 * index), width / part);
            let conv = builder.conv(&format!("{name}.0"), [from, to], 3, stride);
            embedding.push((conv, builder.batch_norm(&format!("{name}.1"), to)));
            from = to;
        }
        let reduction: i64 = EMBEDDING.iter().map(|(_, stride)| stride).product();
        Xcit {
            class_token,
            embedding,
            waves: waves([height / reduction, side / reduction]).to_kind(builder.kind).to_device(builder.device),
            positions: builder.patch_embedding("pos_embed.token_projection", [2 * WAVES, width], 1),
            blocks: (0..DEPTH).map(|index| Block::new(builder, &format!("blocks.{index}"), [width, heads])).collect(),
            class_blocks: (0..CLASS_BLOCKS)
                .map(|index| ClassBlock::new(builder, &format!("cls_attn_blocks.{index}"), [width, heads]))
                .collect(),
            norm: builder.layer_norm("norm", width),
            head: builder.linear("head", [width, classes]),
        }
    }
}

/// Sines and cosines of rows and columns, `[1, 64, h, w]`, computed in float32 as timm does.
fn waves([height, width]: [i64; 2]) -> Tensor {
    const LONGEST: f64 = 10_000.0;
    const EPSILON: f64 = 1e-6;
    let float = (Kind::Float, Device::Cpu);
    let places = |count: i64| Tensor::arange_start(1, count + 1, float) / (count as f64 + EPSILON) * TAU;
    let exponents = (Tensor::arange(WAVES, float) / 2.0).floor() * (2.0 / WAVES as f64);
    let lengths = Tensor::from(LONGEST as f32).pow(&exponents);
    // `[count, 32]`: sine and cosine in turn.
    let of = |count: i64| {
        let angles = places(count).unsqueeze(1) / &lengths;
        let every_other = |first: i64| angles.slice(1, first, None::<i64>, 2);
        Tensor::stack(&[every_other(0).sin(), every_other(1).cos()], 2).flatten(1, 2)
    };
    let rows = of(height).unsqueeze(1).expand([height, width, WAVES], false);
    let columns = of(width).unsqueeze(0).expand([height, width, WAVES], false);
    Tensor::cat(&[rows, columns], 2).permute([2, 0, 1]).unsqueeze(0).contiguous()
}

impl Backbone for Xcit {
    fn features(&self, xs: &Tensor, mode: BatchNormMode, mut stages: Option<&mut Vec<Tensor>>) -> Tensor {
        let mut map = xs.shallow_clone();
        for (index, (conv, norm)) in self.embedding.iter().enumerate() {
            let normalized = norm.forward(&conv.forward(&map), mode);
            map = if index + 1 < EMBEDDING.len() { normalized.gelu("none") } else { normalized };
        }
        let grid = map.size();
        let mut tokens = to_tokens(&(map + self.positions.forward(&self.waves))).to_kind(self.class_token.kind());
        for (index, block) in (1..).zip(&self.blocks) {
            tokens = block.forward(tokens, &grid, mode);
            if let Some(stages) = &mut stages
                && index % BLOCKS_PER_STAGE == 0
            {
                // Use the stored map in what follows, so that the logits can be differentiated with respect to it.
                let map = tokens.transpose(1, 2).reshape(&grid);
                tokens = to_tokens(&map);
                stages.push(map);
            }
        }
        let class_tokens = self.class_token.expand([grid[0], -1, -1], false);
        let mut tokens = Tensor::cat(&[class_tokens, tokens], 1);
        for block in &self.class_blocks {
            tokens = block.forward(&tokens);
        }
        self.norm.forward(&tokens.select(1, 0))
    }

    fn linear(&self) -> &Linear {
        &self.head
    }

    /// What blocks add up stays as it is, and is normalized so.
    fn cast(&self, kind: Kind) -> Box<dyn Backbone> {
        Box::new(Xcit {
            class_token: self.class_token.shallow_clone(),
            embedding: self.embedding.iter().map(|(conv, norm)| (conv.cast(kind), norm.share())).collect(),
            waves: self.waves.shallow_clone(),
            positions: self.positions.cast(kind),
            blocks: self.blocks.iter().map(|block| block.cast(kind)).collect(),
            class_blocks: self.class_blocks.iter().map(|block| block.cast(kind)).collect(),
            norm: self.norm.share(),
            head: self.head.share(),
        })
    }
}

impl Block {
    fn new(builder: &mut Builder, name: &str, [width, heads]: [i64; 2]) -> Self {
        Block {
            scales: [1, 3, 2].map(|index| builder.ones(format!("{name}.gamma{index}"), &[width])),
            norm1: builder.layer_norm(&format!("{name}.norm1"), width),
            attention: Attention {
                temperature: builder.ones(format!("{name}.attn.temperature"), &[heads, 1, 1]),
                query_key_value: builder.linear(&format!("{name}.attn.qkv"), [width, 3 * width]),
                projection: builder.linear(&format!("{name}.attn.proj"), [width, width]),
            },
            norm3: builder.layer_norm(&format!("{name}.norm3"), width),
            local1: builder.depthwise_conv(&format!("{name}.local_mp.conv1"), width),
            local_norm: builder.batch_norm(&format!("{name}.local_mp.bn"), width),
            local2: builder.depthwise_conv(&format!("{name}.local_mp.conv2"), width),
            norm2: builder.layer_norm(&format!("{name}.norm2"), width),
            perceptron: Perceptron::new(builder, name, width),
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Block {
            scales: self.scales.each_ref().map(Tensor::shallow_clone),
            norm1: self.norm1.share(),
            attention: Attention {
                temperature: self.attention.temperature.shallow_clone(),
                query_key_value: self.attention.query_key_value.cast(kind),
                projection: self.attention.projection.cast(kind),
            },
            norm3: self.norm3.share(),
            local1: self.local1.cast(kind),
            local_norm: self.local_norm.share(),
            local2: self.local2.cast(kind),
            norm2: self.norm2.share(),
            perceptron: self.perceptron.cast(kind),
        }
    }

    /// Maps `tokens`, `[N, h·w, D]`, to tokens of the same shape. `grid`: `[N, D, h, w]`.
    fn forward(&self, tokens: Tensor, grid: &[i64], mode: BatchNormMode) -> Tensor {
        let [attention, local, perceptron] = &self.scales;
        let tokens = &tokens + attention * self.attention.forward(&self.norm1.forward(&tokens));
        let map = self.norm3.forward(&tokens).transpose(1, 2).reshape(grid);
        let normalized = self.local_norm.forward(&self.local1.forward(&map).gelu("none"), mode);
        let tokens = &tokens + local * to_tokens(&self.local2.forward(&normalized));
        &tokens + perceptron * self.perceptron.forward(&self.norm2.forward(&tokens))
    }
}

impl Attention {
    /// Attends within `tokens`, `[N, T, D]`.
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let size = tokens.size();
        let [samples, count, width] = [size[0], size[1], size[2]];
        let heads = self.temperature.size()[0];
        // Channels of a head as rows, tokens as columns.
        let parts = self.query_key_value.forward(tokens).view([samples, count, 3, heads, width / heads]).permute([2, 0, 3, 4, 1]);
        let [query, key, value] = <[Tensor; 3]>::try_from(parts.unbind(0)).expect("queries, keys and values");
        let weights = unit(&query).matmul(&unit(&key).transpose(-2, -1)) * &self.temperature;
        let mixed = weights.softmax(-1, None::<Kind>).to_kind(value.kind()).matmul(&value);
        self.projection.forward(&mixed.permute([0, 3, 1, 2]).reshape([samples, count, width]))
    }
}

/// Divides vectors along the last dimension by their lengths, as PyTorch's `normalize` does.
fn unit(vectors: &Tensor) -> Tensor {
    const SHORTEST: f64 = 1e-12;
    vectors / vectors.norm_scalaropt_dim(2, [-1], true).clamp_min(SHORTEST)
}

impl ClassBlock {
    fn new(builder: &mut Builder, name: &str, [width, heads]: [i64; 2]) -> Self {
        let scales = [1, 2].map(|index| builder.ones(format!("{name}.gamma{index}"), &[width]));
        let norm1 = builder.layer_norm(&format!("{name}.norm1"), width);
        let [query, key, value, projection] =
            ["q", "k", "v", "proj"].map(|part| builder.linear(&format!("{name}.attn.{part}"), [width, width]));
        let norm2 = builder.layer_norm(&format!("{name}.norm2"), width);
        ClassBlock { scales, norm1, query, key, value, projection, norm2, perceptron: Perceptron::new(builder, name, width), heads }
    }

    fn cast(&self, kind: Kind) -> Self {
        ClassBlock {
            scales: self.scales.each_ref().map(Tensor::shallow_clone),
            norm1: self.norm1.share(),
            query: self.query.cast(kind),
            key: self.key.cast(kind),
            value: self.value.cast(kind),
            projection: self.projection.cast(kind),
            norm2: self.norm2.share(),
            perceptron: self.perceptron.cast(kind),
            heads: self.heads,
        }
    }

    /// Maps `tokens`, `[N, 1 + T, D]` with the class token first, to tokens of the same shape.
    ///
    /// Patches are added to their own normalization, twice: <https://github.com/huggingface/pytorch-image-models/pull/747>.
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let [attention, perceptron] = &self.scales;
        let patches = tokens.size()[1] - 1;
        let normalized = self.norm1.forward(tokens);
        let attended = Tensor::cat(&[self.attention(&normalized), normalized.narrow(1, 1, patches)], 1);
        let tokens = self.norm2.forward(&(tokens + attention * attended));
        let class_token = perceptron * self.perceptron.forward(&tokens.narrow(1, 0, 1));
        &tokens + Tensor::cat(&[class_token, tokens.narrow(1, 1, patches)], 1)
    }

    /// What the class token sees in `tokens`, `[N, 1, D]` in their kind.
    fn attention(&self, tokens: &Tensor) -> Tensor {
        let size = tokens.size();
        let [samples, width, heads] = [size[0], size[2], self.heads];
        let by_head = |ys: Tensor| ys.view([samples, -1, heads, width / heads]).transpose(1, 2);
        let query = by_head(self.query.forward(&tokens.narrow(1, 0, 1)));
        let [key, value] = [&self.key, &self.value].map(|layer| by_head(layer.forward(tokens)));
        let seen = Tensor::scaled_dot_product_attention(&query, &key, &value, None::<&Tensor>, 0.0, false, None::<f64>, false);
        self.projection.forward(&seen.transpose(1, 2).reshape([samples, 1, width])).to_kind(tokens.kind())
    }
}

impl Perceptron {
    fn new(builder: &mut Builder, name: &str, width: i64) -> Self {
        Perceptron {
            expand: builder.linear(&format!("{name}.mlp.fc1"), [width, EXPANSION * width]),
            contract: builder.linear(&format!("{name}.mlp.fc2"), [EXPANSION * width, width]),
        }
    }

    fn cast(&self, kind: Kind) -> Self {
        Perceptron { expand: self.expand.cast(kind), contract: self.contract.cast(kind) }
    }

    fn forward(&self, tokens: &Tensor) -> Tensor {
        self.contract.forward(&self.expand.forward(tokens).gelu("none"))
    }
}
