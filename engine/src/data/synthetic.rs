//! Generated 32×32 images for which the expected matrix is known. Each class has its own pattern, and the two
//! classes of a pair share another one.
//!
//! x = 0.5 + s·own(class) + t·shared(pair) + noise. The contrasts s and t are drawn for each image. A pattern
//! is a tile of 4×4 random colored pixels, repeated over the image. The tiles are orthogonal, so that
//! different patterns have nothing in common. Class patterns are half as strong as pair patterns: under
//! attack, a network has to rely on the shared ones.

use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

use super::Split;
use crate::random::{self, Purpose, Seed};

const CLASSES: i64 = 10;
const PAIRS: i64 = CLASSES / 2;
const SIDE: i64 = 32;
/// Side of a tile in pixels.
const TILE: i64 = 4;
/// Root mean square of a class pattern at full contrast. Contrasts are between 0.5 and 1.
const OWN: f64 = 0.06;
/// Root mean square of a pair pattern at full contrast.
const SHARED: f64 = 0.12;
/// Standard deviation of the pixel noise.
const NOISE: f64 = 0.08;

/// Training or test images. Both have the same patterns, but different contrasts and noise.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Train,
    Test,
}

/// Returns the pairs of classes that share a pattern. Their cells of the matrix should be the largest off the
/// diagonal.
pub fn shared_pairs() -> Vec<(usize, usize)> {
    (0..PAIRS as usize).map(|pair| (2 * pair, 2 * pair + 1)).collect()
}

/// Generates `count` images. Their classes take turns: 0, 1, …, 9, 0, ….
pub fn images(seed: u32, part: Part, count: u32) -> Split {
    let cpu = (Kind::Float, Device::Cpu);
    let count = i64::from(count);
    let patterns = random::draw(Seed::once(seed, Purpose::Patterns), patterns);
    let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let own = patterns.index_select(0, &labels);
    let shared = patterns.index_select(0, &(labels.divide_scalar_mode(2, "floor") + CLASSES));
    let purpose = match part {
        Part::Train => Purpose::TrainImages,
        Part::Test => Purpose::TestImages,
    };
    let images = random::draw(Seed::once(seed, purpose), || {
        let contrast = || (Tensor::rand([count, 1, 1, 1], cpu) + 1.0) / 2.0;
        let noise = Tensor::randn([count, 3, SIDE, SIDE], cpu) * NOISE;
        (own * contrast() * OWN + shared * contrast() * SHARED + noise + 0.5).clamp_(0.0, 1.0)
    });
    debug_assert_eq!(images.size()[1..], Dataset::Synthetic.info().shape.map(i64::from));
    Split::new(images, labels)
}

/// Draws one pattern for each class, then one for each pair: `[15, 3, 32, 32]`, each with mean square 1.
fn patterns() -> Tensor {
    let count = CLASSES + PAIRS;
    let pixels = 3 * TILE * TILE;
    let (orthonormal, _) = Tensor::linalg_qr(&Tensor::randn([pixels, count], (Kind::Float, Device::Cpu)), "reduced");
    let tiles = orthonormal.tr() * (pixels as f64).sqrt();
    tiles.view([count, 3, TILE, TILE]).repeat([1, 1, SIDE / TILE, SIDE / TILE])
}
