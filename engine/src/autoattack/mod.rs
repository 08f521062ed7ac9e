//! AutoAttack, standard version: Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>. Four attacks without parameters to tune, each on
//! the images that the ones before have left: APGD on cross-entropy, APGD on the targeted DLR loss, FAB targeted, Square.
//!
//! Agrees with the authors' public code step by step; where that code and the paper differ, the code is followed, and a comment says so.
//! Knows nothing of runs and files: which images are left, and what was tried, is the caller's to keep.

pub mod apgd;
pub mod fab;
pub mod square;

use shared::config::{AutoAttack, BatchNormMode, Norm};
use shared::eps::Eps;
use tch::{Tensor, no_grad};

use crate::Error;
use crate::cancel::Cancel;
use crate::model::Network;
use crate::random::{self, Purpose, Seed};

/// Target classes tried by APGD and by FAB, the likeliest first.
const TARGETS: i64 = 9;
/// Keeps a division by the length of a zero gradient finite, as in the public code.
const TINY: f64 = 1e-12;

/// What is attacked: logits for images.
pub trait Classifier {
    /// `images`: `[N, C, H, W]` in `[0, 1]`. Returns `[N, K]`; an image's logits must not depend on the others of the batch.
    fn logits(&self, images: &Tensor) -> Tensor;
}

/// A network as it is used: normalized by its running statistics.
impl Classifier for Network {
    fn logits(&self, images: &Tensor) -> Tensor {
        self.forward(images, BatchNormMode::Eval).logits
    }
}

/// The offsets that an attack may add to an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ball {
    pub norm: Norm,
    pub eps: Eps,
}

/// One pass over the images that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    ApgdCe,
    /// Towards the class of this rank among the clean logits; 0 is the predicted one.
    ApgdTargeted {
        rank: i64,
    },
    FabTargeted {
        rank: i64,
    },
    Square {
        queries: u32,
    },
}

/// The stages of an attack on a classifier of so many classes.
///
/// With fewer than ten classes there are fewer targets. The targeted DLR loss needs the fourth largest logit: with fewer than four
/// classes the attack has no stages, where the public code fails.
pub fn stages(attack: AutoAttack, classes: i64, square_queries: u32) -> Vec<Stage> {
    let ranks = 1..=TARGETS.min(classes - 1);
    match attack {
        AutoAttack::ApgdCe => vec![Stage::ApgdCe],
        AutoAttack::ApgdT if classes < apgd::CLASSES_FOR_DLR => Vec::new(),
        AutoAttack::ApgdT => ranks.map(|rank| Stage::ApgdTargeted { rank }).collect(),
        AutoAttack::FabT => ranks.map(|rank| Stage::FabTargeted { rank }).collect(),
        AutoAttack::Square => vec![Stage::Square { queries: square_queries }],
    }
}

impl Stage {
    /// What it takes for an image, a backward pass counted as two.
    pub fn forward_passes(self) -> u32 {
        match self {
            Stage::ApgdCe | Stage::ApgdTargeted { .. } => 3 * (apgd::STEPS + 1),
            Stage::FabTargeted { .. } => 4 * fab::STEPS,
            Stage::Square { queries } => queries + 1,
        }
    }
}

/// A stage with its random numbers, drawn for a whole set of images: which of them are attacked together then changes nothing.
#[derive(Debug)]
pub struct Prepared {
    ball: Ball,
    search: Search,
}

#[derive(Debug)]
enum Search {
    /// `start`: an offset for every image of the set; `rank`: of the target, none for cross-entropy.
    Apgd {
        start: Tensor,
        rank: Option<i64>,
    },
    Fab {
        rank: i64,
    },
    /// `images`: the number of them in the set.
    Square {
        seed: u32,
        queries: u32,
        images: i64,
    },
}

impl Prepared {
    /// `images`: the whole set, `[N, C, H, W]`.
    pub fn new(stage: Stage, ball: Ball, images: &Tensor, seed: u32) -> Self {
        let start = |rank: i64| {
            let seed = Seed { run: seed, purpose: Purpose::AutoAttack, epoch: 0, step: rank as u32 };
            random::draw(seed, || apgd::start(ball, images))
        };
        let search = match stage {
            Stage::ApgdCe => Search::Apgd { start: start(0), rank: None },
            Stage::ApgdTargeted { rank } => Search::Apgd { start: start(rank), rank: Some(rank) },
            Stage::FabTargeted { rank } => Search::Fab { rank },
            Stage::Square { queries } => Search::Square { seed, queries, images: images.size()[0] },
        };
        Prepared { ball, search }
    }

    /// Searches for adversarial images of those at `rows`, `[M]`, of the set; `images` and `labels` are theirs.
    ///
    /// Returns images within the ball and the pixel range, `[M, C, H, W]`: the given one where none was found.
    pub fn perturb(
        &self,
        classifier: &impl Classifier,
        images: &Tensor,
        labels: &Tensor,
        rows: &Tensor,
        cancel: &Cancel,
    ) -> Result<Tensor, Error> {
        let target = |rank: i64| no_grad(|| classifier.logits(images)).argsort(1, true).select(1, rank);
        match &self.search {
            Search::Apgd { start, rank } => {
                let start = start.index_select(0, rows);
                let objective = match rank {
                    None => apgd::Objective::CrossEntropy,
                    Some(rank) => apgd::Objective::TargetedDlr { targets: target(*rank) },
                };
                apgd::perturb(classifier, images, labels, &start, &objective, self.ball, cancel)
            }
            Search::Fab { rank } => {
                let nearest = fab::nearest(classifier, images, labels, &target(*rank), self.ball.norm, cancel)?;
                let inside = column(&nearest.distances.le(self.ball.eps.fraction()));
                Ok(nearest.images.where_self(&inside, images))
            }
            Search::Square { seed, queries, images: count } => {
                let draws = square::Seeded { run: *seed, rows, images: *count, shape: image_shape(images), device: images.device() };
                square::perturb(classifier, images, labels, self.ball, *queries, &draws, cancel)
            }
        }
    }
}

impl Ball {
    /// Brings `points` into the ball around `images`, and then their pixels into `[0, 1]`.
    fn project(self, images: &Tensor, points: &Tensor) -> Tensor {
        let eps = self.eps.fraction();
        match self.norm {
            Norm::Linf => points.maximum(&(images - eps)).minimum(&(images + eps)),
            Norm::L2 => {
                let offsets = points - images;
                let lengths = length(Norm::L2, &offsets);
                images + offsets * (lengths.clamp_max(eps) / (lengths + TINY))
            }
        }
        .clamp_(0.0, 1.0)
    }
}

/// The size of each offset in the norm: `[N, 1, 1, 1]`.
fn length(norm: Norm, offsets: &Tensor) -> Tensor {
    match norm {
        Norm::Linf => offsets.abs().amax([1i64, 2, 3].as_slice(), true),
        Norm::L2 => offsets.norm_scalaropt_dim(2, [1, 2, 3], true),
    }
}

/// Offsets of size 1 in the norm; zero stays zero.
fn normalized(norm: Norm, offsets: &Tensor) -> Tensor {
    offsets / (length(norm, offsets) + TINY)
}

/// Values of images, `[N]`, ready to be combined with the images themselves: `[N, 1, 1, 1]`.
fn column(values: &Tensor) -> Tensor {
    values.view([-1, 1, 1, 1])
}

fn image_shape(images: &Tensor) -> [i64; 3] {
    let size = images.size();
    [size[1], size[2], size[3]]
}

/// The logit of one class of each image: `[N]`.
fn logits_of(logits: &Tensor, classes: &Tensor) -> Tensor {
    logits.gather(1, &classes.unsqueeze(1), false).squeeze_dim(1)
}
