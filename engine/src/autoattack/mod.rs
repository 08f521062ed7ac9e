//! AutoAttack, standard version: Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>.
//!
//! Four attacks without parameters to tune: APGD on cross-entropy, APGD on the targeted DLR loss, targeted
//! FAB, and Square. Each runs on the images that resisted the attacks before it; the caller keeps track of
//! them.
//!
//! Every step agrees with the authors' public code. Where that code differs from the paper, the code is
//! followed and a comment says so.

pub mod apgd;
pub mod fab;
pub mod square;

use shared::config::{AutoAttack, BatchNormMode, Norm};
use shared::eps::Eps;
use tch::{Tensor, no_grad};

use self::square::KeepSearch;
use crate::Error;
use crate::model::Network;
use crate::random::{self, Purpose, Seed};
use crate::stop::Stop;

/// Number of target classes of APGD and FAB. The classes with the largest logits come first.
const TARGETS: i64 = 9;
/// Avoids a division by zero when a gradient is normalized. The value is that of the public code.
const TINY: f64 = 1e-12;

/// A function from images to logits that can be attacked.
pub trait Classifier {
    /// Returns the logits, `[N, K]`, of `images`, `[N, C, H, W]` in `[0, 1]`.
    ///
    /// The logits of an image must not depend on the other images of the batch.
    fn logits(&self, images: &Tensor) -> Tensor;
}

/// Evaluates the network with running statistics.
impl Classifier for Network {
    fn logits(&self, images: &Tensor) -> Tensor {
        self.forward(images, BatchNormMode::Eval).logits
    }
}

/// The perturbations that an attack may add to an image: all offsets of size at most `eps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ball {
    pub norm: Norm,
    pub eps: Eps,
}

/// One pass of an attack over the remaining images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    ApgdCe,
    /// The target is the class with this rank among the clean logits. Rank 0 is the predicted class.
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

/// Returns the stages of an attack for `classes` classes.
///
/// With fewer than ten classes there are fewer targets. The targeted DLR loss needs four logits: with fewer
/// than four classes, `ApgdT` has no stages (the public code fails in this case).
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
    /// Returns the work per image in forward passes. A backward pass counts as two.
    pub fn forward_passes(self) -> u32 {
        match self {
            Stage::ApgdCe | Stage::ApgdTargeted { .. } => 3 * (apgd::STEPS + 1),
            Stage::FabTargeted { .. } => 4 * fab::STEPS,
            Stage::Square { queries } => queries + 1,
        }
    }
}

/// A stage with random numbers drawn for a whole set of images.
///
/// Results therefore do not depend on which images are attacked together.
#[derive(Debug)]
pub struct PreparedStage {
    ball: Ball,
    search: PreparedSearch,
}

#[derive(Debug)]
enum PreparedSearch {
    /// `start`: offset of every image in the set; `rank`: rank of the target class, or `None` for
    /// cross-entropy.
    Apgd {
        start: Tensor,
        rank: Option<i64>,
    },
    Fab {
        rank: i64,
    },
    /// `images`: number of images in the set.
    Square {
        seed: u32,
        queries: u32,
        images: i64,
    },
}

impl PreparedStage {
    /// Draws the random numbers of `stage` for `images`, the whole set, `[N, C, H, W]`.
    pub fn new(stage: Stage, ball: Ball, images: &Tensor, seed: u32) -> Self {
        let start = |rank: i64| {
            let seed = Seed { run: seed, purpose: Purpose::AutoAttack, epoch: 0, step: rank as u32 };
            random::draw(seed, || apgd::start(ball, images))
        };
        let search = match stage {
            Stage::ApgdCe => PreparedSearch::Apgd { start: start(0), rank: None },
            Stage::ApgdTargeted { rank } => PreparedSearch::Apgd { start: start(rank), rank: Some(rank) },
            Stage::FabTargeted { rank } => PreparedSearch::Fab { rank },
            Stage::Square { queries } => PreparedSearch::Square { seed, queries, images: images.size()[0] },
        };
        PreparedStage { ball, search }
    }

    /// Attacks `images`, `[M, C, H, W]`, which are those at `rows`, `[M]`, of the set.
    ///
    /// Returns images inside the ball and the pixel range, of the same shape. An image is returned unchanged
    /// if no adversarial one was found. `keep` keeps a random search, which can take an hour.
    pub fn perturb(
        &self,
        classifier: &impl Classifier,
        images: &Tensor,
        labels: &Tensor,
        rows: &Tensor,
        keep: &mut dyn KeepSearch,
        stop: &Stop,
    ) -> Result<Tensor, Error> {
        let target = |rank: i64| no_grad(|| classifier.logits(images)).argsort(1, true).select(1, rank);
        match &self.search {
            PreparedSearch::Apgd { start, rank } => {
                let start = start.index_select(0, rows);
                let objective = match rank {
                    None => apgd::Objective::CrossEntropy,
                    Some(rank) => apgd::Objective::TargetedDlr { targets: target(*rank) },
                };
                apgd::perturb(classifier, images, labels, &start, &objective, self.ball, stop)
            }
            PreparedSearch::Fab { rank } => {
                let nearest = fab::nearest(classifier, images, labels, &target(*rank), self.ball.norm, stop)?;
                let inside = column(&nearest.distances.le(self.ball.eps.fraction()));
                Ok(nearest.images.where_self(&inside, images))
            }
            PreparedSearch::Square { seed, queries, images: count } => {
                let draws = square::Seeded { run: *seed, rows, images: *count, shape: image_shape(images), device: images.device() };
                square::perturb(classifier, images, labels, square::Limits { ball: self.ball, queries: *queries }, &draws, keep, stop)
            }
        }
    }
}

impl Ball {
    /// Projects `points` onto the ball around `images`, then clamps their pixels to `[0, 1]`.
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

/// Returns the norm of each offset, `[N, 1, 1, 1]`.
fn length(norm: Norm, offsets: &Tensor) -> Tensor {
    match norm {
        Norm::Linf => offsets.abs().amax([1i64, 2, 3].as_slice(), true),
        Norm::L2 => offsets.norm_scalaropt_dim(2, [1, 2, 3], true),
    }
}

/// Scales offsets to norm 1. Zero stays zero.
fn normalized(norm: Norm, offsets: &Tensor) -> Tensor {
    offsets / (length(norm, offsets) + TINY)
}

/// Reshapes one value for each image, `[N]`, to `[N, 1, 1, 1]`, so that it broadcasts over images.
fn column(values: &Tensor) -> Tensor {
    values.view([-1, 1, 1, 1])
}

/// Returns channels, height and width.
fn image_shape(images: &Tensor) -> [i64; 3] {
    let size = images.size();
    [size[1], size[2], size[3]]
}

/// Returns the logit of the given class of each image, `[N]`.
fn logits_of(logits: &Tensor, classes: &Tensor) -> Tensor {
    logits.gather(1, &classes.unsqueeze(1), false).squeeze_dim(1)
}
