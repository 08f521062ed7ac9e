//! Generated 32×32 images for which the right matrix is known: each class has a pattern of its own, and the classes of a pair another
//! that both share.
//!
//! x = 0.5 + s·own(class) + t·shared(pair) + noise, with contrasts s and t drawn for each image. Patterns are colored gratings,
//! which differ in direction and number of waves and so are nearly orthogonal; the seed deals them to classes and pairs.

use std::f64::consts::PI;

use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

use super::Split;
use crate::random::{self, Purpose, Seed};

const CLASSES: i64 = 10;
const PAIRS: i64 = CLASSES / 2;
const SIDE: i64 = 32;
/// Largest deviation from gray by a pattern; contrasts go from half of it to all.
const CONTRAST: f64 = 0.12;
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
        let contrast = || (Tensor::rand([count, 1, 1, 1], cpu) + 1.0) * (CONTRAST / 2.0);
        let noise = Tensor::randn([count, 3, SIDE, SIDE], cpu) * NOISE;
        (own * contrast() + shared * contrast() + noise + 0.5).clamp_(0.0, 1.0)
    });
    debug_assert_eq!(images.size()[1..], Dataset::Synthetic.info().shape.map(i64::from));
    Split { images, labels }
}

/// One pattern for each class, then one for each pair: `[15, 3, 32, 32]`, in `[-1, 1]`.
fn patterns() -> Tensor {
    let cpu = (Kind::Float, Device::Cpu);
    let coordinates = Tensor::arange(SIDE, cpu) / SIDE as f64 - 0.5;
    let (rows, columns) = (coordinates.view([SIDE, 1]), coordinates.view([1, SIDE]));
    let gratings: Vec<Tensor> = (0..CLASSES + PAIRS)
        .map(|index| {
            let (direction, waves) = (PI * (index / 3) as f64 / 5.0, [3.0, 5.0, 7.0][(index % 3) as usize]);
            let grating = ((&rows * direction.sin() + &columns * direction.cos()) * (2.0 * PI * waves)).sin();
            let color = Tensor::randn([3, 1, 1], cpu);
            grating * (&color / color.abs().max())
        })
        .collect();
    let deal = Tensor::randperm(CLASSES + PAIRS, (Kind::Int64, Device::Cpu));
    Tensor::stack(&gratings, 0).index_select(0, &deal)
}
