//! Generated 32×32 images for which the right matrix is known: each class has a pattern of its own, and the classes of a pair another
//! that both share.
//!
//! x = 0.5 + s·own(class) + t·shared(pair) + noise, with contrasts s and t drawn for each image. A pattern is a random tile of 4×4
//! colored pixels, repeated; the tiles are orthogonal, so that no two patterns have anything in common. The patterns of classes are
//! half as strong as those of pairs: under attack a network has to lean on what is shared.

use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

use super::Split;
use crate::random::{self, Purpose, Seed};

const CLASSES: i64 = 10;
const PAIRS: i64 = CLASSES / 2;
const SIDE: i64 = 32;
/// The side of a tile.
const TILE: i64 = 4;
/// Root mean square of the pattern of a class, before a contrast between half and all of it.
const OWN: f64 = 0.06;
/// The same of the pattern of a pair.
const SHARED: f64 = 0.12;
/// Standard deviation of the noise of a pixel.
const NOISE: f64 = 0.08;

/// Which images: the patterns are the same, contrasts and noise are not.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Train,
    Test,
}

/// The classes that share a pattern: which off-diagonal cells of the matrix should stand out.
pub fn shared_pairs() -> Vec<(usize, usize)> {
    (0..PAIRS as usize).map(|pair| (2 * pair, 2 * pair + 1)).collect()
}

/// Makes `count` images, classes in turn.
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

/// One pattern for each class, then one for each pair: `[15, 3, 32, 32]`, mean square 1.
fn patterns() -> Tensor {
    let count = CLASSES + PAIRS;
    let pixels = 3 * TILE * TILE;
    let (orthonormal, _) = Tensor::linalg_qr(&Tensor::randn([pixels, count], (Kind::Float, Device::Cpu)), "reduced");
    let tiles = orthonormal.tr() * (pixels as f64).sqrt();
    tiles.view([count, 3, TILE, TILE]).repeat([1, 1, SIDE / TILE, SIDE / TILE])
}
