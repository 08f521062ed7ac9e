//! Square attack: a random search with squares of decreasing size. Andriushchenko et al. 2020,
//! <https://arxiv.org/abs/1912.00049>.
//!
//! It uses only logits, so masked gradients do not mislead it. Each query changes the same square in all
//! images of the batch. In ℓ2, signs differ between images.

use shared::config::Norm;
use tch::{Device, Kind, Tensor, no_grad};

use super::{Ball, Classifier, TINY, column, length, logits_of, normalized};
use crate::Error;
use crate::random::{self, Purpose, Seed};
use crate::stop::Stop;

/// Fraction of the image that the first squares cover.
const FIRST_PART: f64 = 0.8;
/// Number of queries between two checks for images that are done.
const RETIRE_EVERY: u32 = 50;

/// Random numbers of the initial point.
#[derive(Debug)]
pub struct InitialDraw {
    /// ±1. In ℓ∞ `[N, C, 1, W]`, for vertical stripes; in ℓ2 `[N, C, T, T]`, for the T×T tiles of a grid.
    pub signs: Tensor,
    /// Whether each tile is transposed, row by row. Only in ℓ2.
    pub transposed: Vec<bool>,
}

/// Random numbers of a query.
#[derive(Debug)]
pub struct QueryDraw {
    /// Row and column of two squares as fractions of the free space, in `[0, 1)`. The second square is only
    /// used in ℓ2.
    pub corners: [[f64; 2]; 2],
    /// Whether the bump is transposed. Only in ℓ2.
    pub transposed: bool,
    /// ±1 for each channel: `[1, C, 1, 1]` in ℓ∞, `[N, C, 1, 1]` in ℓ2.
    pub signs: Tensor,
}

/// Source of the random numbers. `rows`, `[M]`, are the images of the batch that are not done yet.
pub trait RandomSource {
    /// Draws for the initial point. `tiles`: number of rows, and of columns, of the grid.
    fn initial(&self, norm: Norm, tiles: i64, rows: &Tensor) -> InitialDraw;
    /// Draws for a query, which are numbered from 0.
    fn query(&self, norm: Norm, query: u32, rows: &Tensor) -> QueryDraw;
}

/// Random numbers from a seed, drawn for a whole set of images. `rows` are the images of the batch in the
/// set.
#[derive(Debug)]
pub struct Seeded<'a> {
    pub run: u32,
    pub rows: &'a Tensor,
    /// Number of images in the set.
    pub images: i64,
    /// Channels, height and width.
    pub shape: [i64; 3],
    pub device: Device,
}

/// A search under way: all that it needs to go on.
#[derive(Debug)]
pub struct Search {
    /// Number of queries made.
    pub queries: u32,
    /// What was found so far, `[N, C, H, W]`: the given image where that is nothing.
    pub adversarial: Tensor,
    /// Images not done yet: their indices in the batch, `[M]`.
    pub rows: Tensor,
    /// Their best points, `[M, C, H, W]`.
    pub best: Tensor,
    /// Margins of these points, `[M]`.
    pub margins: Tensor,
}

/// Keeps a search while it is under way. `()` keeps nothing.
pub trait KeepSearch {
    /// A search begins. Returns where an earlier worker has left it.
    fn begin(&mut self) -> Result<Option<Search>, Error>;
    /// The search has come this far.
    fn reached(&mut self, search: Search) -> Result<(), Error>;
}

impl KeepSearch for () {
    fn begin(&mut self) -> Result<Option<Search>, Error> {
        Ok(None)
    }

    fn reached(&mut self, _: Search) -> Result<(), Error> {
        Ok(())
    }
}

/// How far and how long a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub ball: Ball,
    pub queries: u32,
}

/// Searches for misclassified images within a ball.
///
/// `images`: `[N, C, H, W]`; `labels`: `[N]`. Returns the given image if no misclassified one was found.
pub fn perturb(
    classifier: &impl Classifier,
    images: &Tensor,
    labels: &Tensor,
    Limits { ball, queries }: Limits,
    draws: &impl RandomSource,
    keep: &mut dyn KeepSearch,
    stop: &Stop,
) -> Result<Tensor, Error> {
    let start = || {
        let rows = Tensor::arange(labels.size()[0], (Kind::Int64, labels.device()));
        let best = initial_point(images, ball, draws, &rows);
        Search { queries: 0, adversarial: images.copy(), margins: margin(classifier, &best, labels), rows, best }
    };
    let Search { queries: made, adversarial, mut rows, mut best, mut margins } = keep.begin()?.unwrap_or_else(start);
    // Images that are done are removed only every `RETIRE_EVERY` queries, because counting them waits for the
    // GPU.
    let [mut images, mut labels] = [images, labels].map(|tensor| tensor.index_select(0, &rows));
    let [_, height, width] = super::image_shape(&images);
    let mut bump: Option<Bump> = None;

    for query in made..queries {
        stop.check()?;
        let draw = draws.query(ball.norm, query, &rows);
        let side = side(ball.norm, query, [height, width]);
        let [first, second] = draw.corners.map(|corner| Window::new(corner, side, [height, width]));
        let tried = match ball.norm {
            Norm::Linf => {
                let tried = best.copy();
                let mut square = first.of(&tried);
                square += &draw.signs * (2.0 * ball.eps.fraction());
                ball.project(&images, &tried)
            }
            Norm::L2 => {
                let bump = match &bump {
                    Some(bump) if bump.side == side => bump,
                    _ => bump.insert(Bump::new(side, &images)),
                };
                let offsets = shift_mass(&(&best - &images), ball, [first, second], &(bump.oriented(draw.transposed) * &draw.signs));
                (&images + normalized(Norm::L2, &offsets) * ball.eps.fraction()).clamp_(0.0, 1.0)
            }
        };
        let found = margin(classifier, &tried, &labels);
        // A misclassified image is not changed any more.
        let better = found.lt_tensor(&margins).logical_and(&margins.gt(0.0));
        best = tried.where_self(&column(&better), &best);
        margins = found.where_self(&better, &margins);

        if (query + 1).is_multiple_of(RETIRE_EVERY) || query + 1 == queries {
            let done = margins.le(0.0);
            let [finished, left] = [&done, &done.logical_not()].map(|mask| mask.nonzero().squeeze_dim(1));
            if finished.size()[0] > 0 {
                let _ = adversarial.shallow_clone().index_copy_(0, &rows.index_select(0, &finished), &best.index_select(0, &finished));
                for tensor in [&mut images, &mut labels, &mut rows, &mut best, &mut margins] {
                    *tensor = tensor.index_select(0, &left);
                }
            }
            if left.size()[0] == 0 {
                break;
            }
            // Nothing below changes a tensor of the search in place but `adversarial`.
            let [rows, best, margins] = [&rows, &best, &margins].map(Tensor::shallow_clone);
            keep.reached(Search { queries: query + 1, adversarial: adversarial.copy(), rows, best, margins })?;
        }
    }
    Ok(adversarial)
}

/// Returns the logit of the label minus the largest other logit, `[N]`. Negative if the image is
/// misclassified.
fn margin(classifier: &impl Classifier, images: &Tensor, labels: &Tensor) -> Tensor {
    no_grad(|| {
        let logits = classifier.logits(images);
        let others = logits.scatter_value(1, &labels.unsqueeze(1), f64::NEG_INFINITY);
        logits_of(&logits, labels) - others.amax([1i64].as_slice(), false)
    })
}

/// Returns the initial point: vertical stripes in ℓ∞, a grid of bumps in ℓ2.
fn initial_point(images: &Tensor, ball: Ball, draws: &impl RandomSource, rows: &Tensor) -> Tensor {
    let eps = ball.eps.fraction();
    let [_, height, width] = super::image_shape(images);
    let side = (height.min(width) / 5).max(1);
    let border = (height.min(width) - 5 * side).max(0) / 2;
    // Only whole tiles. The public code also starts a tile that reaches over the edge and drops the part that
    // does not fit.
    let tiles = (height.min(width) - border) / side;
    let InitialDraw { signs, transposed } = draws.initial(ball.norm, tiles, rows);
    match ball.norm {
        Norm::Linf => (images + signs * eps).clamp_(0.0, 1.0),
        Norm::L2 => {
            let bump = Bump::new(side, images);
            let offsets = images.zeros_like();
            for (tile, transposed) in (0..).zip(transposed) {
                let (row, column) = (tile / tiles, tile % tiles);
                let window = Window { row: border + row * side, column: border + column * side, side };
                let sign = signs.narrow(2, row, 1).narrow(3, column, 1);
                window.of(&offsets).copy_(&(bump.oriented(transposed) * sign));
            }
            (images + normalized(Norm::L2, &offsets) * eps).clamp_(0.0, 1.0)
        }
    }
}

/// Moves the offsets of the second window, and what the offsets lack to eps, into the first window as a bump.
fn shift_mass(offsets: &Tensor, ball: Ball, [first, second]: [Window; 2], bump: &Tensor) -> Tensor {
    let squares = |values: &Tensor| (values * values).sum_dim_intlist([2i64, 3].as_slice(), true, None::<Kind>);
    let offsets = offsets.copy();
    let [_, channels, height, width] = offsets.size()[..] else { unreachable!("images have four dimensions") };
    let either = Tensor::zeros([1, 1, height, width], (offsets.kind(), offsets.device()));
    for window in [first, second] {
        let _ = window.of(&either).fill_(1.0);
    }
    let available = squares(&(&offsets * either));
    let lengths = length(Norm::L2, &offsets);
    let missing = (ball.eps.fraction().powi(2) - &lengths * &lengths).clamp_min(0.0) / channels as f64;

    let old = first.of(&offsets);
    let shape = bump + &old / (squares(&old).sqrt() + TINY);
    let shape = &shape / (squares(&shape).sqrt() + TINY) * (missing + available).sqrt();
    let _ = second.of(&offsets).fill_(0.0);
    first.of(&offsets).copy_(&shape);
    offsets
}

/// Returns the side of the square in a query.
fn side(norm: Norm, query: u32, [height, width]: [i64; 2]) -> i64 {
    // The published schedule for 10,000 queries. AutoAttack uses it unchanged for 5,000, and so does any
    // other number here.
    const LAST_QUERIES: [u32; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
    let halvings = LAST_QUERIES.iter().filter(|last| query > **last).count();
    let part = FIRST_PART / f64::from(1u32 << halvings);
    let side = (part * (height * width) as f64).sqrt().round_ties_even() as i64;
    let side = match norm {
        Norm::Linf => side.max(1),
        // A bump needs a center, so the side is odd.
        Norm::L2 => side.max(3) | 1,
    };
    side.min(height).min(width)
}

/// A square region of an image.
#[derive(Clone, Copy)]
struct Window {
    row: i64,
    column: i64,
    side: i64,
}

impl Window {
    /// Places a square. As in the public code, it never touches the last row and column, unless it fills the
    /// image.
    fn new(corner: [f64; 2], side: i64, [height, width]: [i64; 2]) -> Self {
        let [row, column] = [(corner[0], height), (corner[1], width)].map(|(part, length)| (part * (length - side) as f64) as i64);
        Window { row, column, side }
    }

    /// Returns this region of each image. It shares memory with `images`.
    fn of(self, images: &Tensor) -> Tensor {
        images.narrow(2, self.row, self.side).narrow(3, self.column, self.side)
    }
}

/// A pattern of length 1: two halves of opposite sign, each decreasing from its center.
struct Bump {
    side: i64,
    /// `[1, 1, side, side]`.
    upright: Tensor,
}

impl Bump {
    /// Creates a bump with the kind and device of `like`.
    fn new(side: i64, like: &Tensor) -> Self {
        let top = side / 2;
        let mut values = decreasing_rectangle(top, side);
        values.extend(decreasing_rectangle(side - top, side).iter().map(|value| -value));
        let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let values: Vec<f64> = values.iter().map(|value| value / length).collect();
        let upright = Tensor::from_slice(&values).to_kind(like.kind()).to_device(like.device()).view([1, 1, side, side]);
        Bump { side, upright }
    }

    fn oriented(&self, transposed: bool) -> Tensor {
        if transposed { self.upright.transpose(2, 3) } else { self.upright.shallow_clone() }
    }
}

/// Returns a rectangle of length 1, row by row. Its values decrease with the distance from the center.
fn decreasing_rectangle(height: i64, width: i64) -> Vec<f64> {
    let rings = (height / 2 + 1).max(width / 2 + 1);
    let mut values = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let distance = (row - height / 2).abs().max((column - width / 2).abs());
            values.push((distance..rings).map(|ring| ((ring + 1) as f64).powi(-2)).sum::<f64>());
        }
    }
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter().map(|value| value / length).collect()
}

impl Seeded<'_> {
    fn seed(&self, step: u32) -> Seed {
        Seed { run: self.run, purpose: Purpose::Square, epoch: 0, step }
    }

    /// Draws ±1 for every image of the set. Returns those at `rows` of the batch.
    fn signs(&self, shape: [i64; 3], rows: &Tensor) -> Tensor {
        let [channels, height, width] = shape;
        let signs = signs([self.images, channels, height, width], self.device);
        signs.index_select(0, &self.rows.index_select(0, rows))
    }
}

impl RandomSource for Seeded<'_> {
    fn initial(&self, norm: Norm, tiles: i64, rows: &Tensor) -> InitialDraw {
        let [channels, _, width] = self.shape;
        random::draw(self.seed(0), || match norm {
            Norm::Linf => InitialDraw { signs: self.signs([channels, 1, width], rows), transposed: Vec::new() },
            Norm::L2 => {
                let transposed = uniform(tiles * tiles).iter().map(|value| *value > 0.5).collect();
                InitialDraw { transposed, signs: self.signs([channels, tiles, tiles], rows) }
            }
        })
    }

    fn query(&self, norm: Norm, query: u32, rows: &Tensor) -> QueryDraw {
        let [channels, ..] = self.shape;
        random::draw(self.seed(query + 1), || {
            let numbers = uniform(5);
            let corners = [[numbers[0], numbers[1]], [numbers[2], numbers[3]]];
            let signs = match norm {
                Norm::Linf => signs([1, channels, 1, 1], self.device),
                Norm::L2 => self.signs([channels, 1, 1], rows),
            };
            QueryDraw { corners, transposed: numbers[4] > 0.5, signs }
        })
    }
}

/// Draws ±1 with equal probability, float32.
fn signs(shape: [i64; 4], device: Device) -> Tensor {
    Tensor::rand(shape, (Kind::Float, device)).ge(0.5).to_kind(Kind::Float) * 2.0 - 1.0
}

/// Draws numbers in `[0, 1)` on the CPU, where positions are needed. This does not wait for a GPU.
fn uniform(count: i64) -> Vec<f64> {
    let values = Tensor::rand([count], (Kind::Double, Device::Cpu));
    Vec::try_from(values).expect("a vector of float64")
}
