//! Auto-PGD: ascent with momentum, whose step size is halved wherever the loss has stopped rising. Croce & Hein 2020, algorithm 1.

use tch::{Kind, Reduction, Tensor};

use super::{Ball, Classifier, column, logits_of, normalized};
use crate::Error;
use crate::attack::cross_entropy;
use crate::cancel::Cancel;
use shared::config::Norm;

/// Of the standard version.
pub(super) const STEPS: u32 = 100;
/// Steps before the first look at the step sizes, how many fewer each time, and the fewest: 0.22, 0.03 and 0.06 of all.
const FIRST_INTERVAL: u32 = 22;
const DECREMENT: u32 = 3;
const SHORTEST_INTERVAL: u32 = 6;
/// The targeted DLR loss is in terms of the four largest logits.
pub const CLASSES_FOR_DLR: i64 = 4;

/// How much of a step is new; the rest repeats the step before.
const NEW: f64 = 0.75;
/// The step size is halved unless the loss rose in more than this part of the steps since the last check.
const RISING: f64 = 0.75;

/// What is to rise.
#[derive(Debug)]
pub enum Objective {
    CrossEntropy,
    /// The logit of the target above that of the label, in units of how far the largest logits lie apart, so that scaling the logits
    /// changes nothing. `targets`: `[N]`.
    TargetedDlr {
        targets: Tensor,
    },
}

/// A random offset on the border of the ball, for each image.
pub fn start(ball: Ball, images: &Tensor) -> Tensor {
    let direction = match ball.norm {
        Norm::Linf => images.empty_like().uniform_(-1.0, 1.0),
        Norm::L2 => images.randn_like(),
    };
    normalized(ball.norm, &direction) * ball.eps.fraction()
}

/// Searches for misclassified images within `ball`.
///
/// `images`, `start` (offsets): `[N, C, H, W]`; `labels`: `[N]`. Returns for each image the last misclassified one on its way, and the
/// given one where there was none.
pub fn perturb(
    classifier: &impl Classifier,
    images: &Tensor,
    labels: &Tensor,
    start: &Tensor,
    objective: &Objective,
    ball: Ball,
    cancel: &Cancel,
) -> Result<Tensor, Error> {
    let mut interval = FIRST_INTERVAL;
    let mut since_check = 0;
    let mut search = Search::begin(classifier, images, labels, (images + start).clamp_(0.0, 1.0), objective, ball);
    for step in 0..STEPS {
        cancel.check()?;
        search.advance(classifier, ball, if step == 0 { 1.0 } else { NEW });
        since_check += 1;
        if since_check == interval {
            search.adapt(interval);
            since_check = 0;
            interval = (interval - DECREMENT).max(SHORTEST_INTERVAL);
        }
    }
    Ok(search.adversarial.where_self(&column(&search.fooled), images))
}

/// The state of the search for some images; `[M]` or `[M, C, H, W]` each, step sizes `[M, 1, 1, 1]`.
struct Search<'a> {
    images: &'a Tensor,
    labels: &'a Tensor,
    objective: &'a Objective,
    current: Tensor,
    previous: Tensor,
    /// At `current`, as is `loss`; after a step size was halved, still the loss of the point that was left.
    gradient: Tensor,
    loss: Tensor,
    /// Where the loss was highest, with its gradient.
    best: Tensor,
    best_gradient: Tensor,
    best_loss: Tensor,
    /// The last point that was misclassified.
    adversarial: Tensor,
    fooled: Tensor,
    step_sizes: Tensor,
    /// Steps since the last check in which the loss rose.
    rises: Tensor,
    best_loss_at_check: Tensor,
    /// At the last check.
    halved: Tensor,
}

impl<'a> Search<'a> {
    fn begin(
        classifier: &impl Classifier,
        images: &'a Tensor,
        labels: &'a Tensor,
        point: Tensor,
        objective: &'a Objective,
        ball: Ball,
    ) -> Self {
        let Looked { fooled, loss, gradient } = objective.look(classifier, &point, labels);
        Search {
            images,
            labels,
            objective,
            previous: point.shallow_clone(),
            best: point.shallow_clone(),
            best_gradient: gradient.shallow_clone(),
            best_loss: loss.shallow_clone(),
            adversarial: point.shallow_clone(),
            step_sizes: column(&loss.full_like(2.0 * ball.eps.fraction())),
            rises: loss.zeros_like(),
            best_loss_at_check: loss.shallow_clone(),
            // As if it had just been: the first check looks at the rises alone.
            halved: fooled.ones_like(),
            // The public code counts a rise in the first step if the loss is then above zero.
            loss: loss.zeros_like(),
            current: point,
            gradient,
            fooled,
        }
    }

    fn advance(&mut self, classifier: &impl Classifier, ball: Ball, new: f64) {
        let direction = match ball.norm {
            Norm::Linf => self.gradient.sign(),
            Norm::L2 => normalized(Norm::L2, &self.gradient),
        };
        let uphill = ball.project(self.images, &(&self.current + direction * &self.step_sizes));
        let moved = &self.current + (uphill - &self.current) * new + (&self.current - &self.previous) * (1.0 - new);
        let point = ball.project(self.images, &moved);
        self.previous = std::mem::replace(&mut self.current, point);

        let Looked { fooled, loss, gradient } = self.objective.look(classifier, &self.current, self.labels);
        self.adversarial = self.current.where_self(&column(&fooled), &self.adversarial);
        self.fooled = self.fooled.logical_or(&fooled);
        self.rises += loss.gt_tensor(&self.loss);
        let better = loss.gt_tensor(&self.best_loss);
        self.best = self.current.where_self(&column(&better), &self.best);
        self.best_gradient = gradient.where_self(&column(&better), &self.best_gradient);
        self.best_loss = loss.where_self(&better, &self.best_loss);
        self.loss = loss;
        self.gradient = gradient;
    }

    /// Halves step sizes where the loss rose too seldom in the last `interval` steps, or where its maximum is that of the last check
    /// without a halving then; goes back to the best point there.
    fn adapt(&mut self, interval: u32) {
        let seldom = self.rises.le(RISING * f64::from(interval));
        let stuck = self.best_loss_at_check.ge_tensor(&self.best_loss).logical_and(&self.halved.logical_not());
        self.halved = seldom.logical_or(&stuck);
        let halved = column(&self.halved);
        self.step_sizes = (&self.step_sizes / 2.0).where_self(&halved, &self.step_sizes);
        self.current = self.best.where_self(&halved, &self.current);
        self.gradient = self.best_gradient.where_self(&halved, &self.gradient);
        self.best_loss_at_check = self.best_loss.shallow_clone();
        self.rises = self.rises.zeros_like();
    }
}

/// What a forward and a backward pass show of a point.
struct Looked {
    fooled: Tensor,
    loss: Tensor,
    gradient: Tensor,
}

impl Objective {
    fn look(&self, classifier: &impl Classifier, points: &Tensor, labels: &Tensor) -> Looked {
        let points = points.detach().set_requires_grad(true);
        let logits = classifier.logits(&points);
        let loss = self.loss(&logits, labels);
        // By the images alone: autograd then skips the parameters.
        let gradient = Tensor::run_backward(&[&loss.sum(None::<Kind>)], &[&points], false, false).swap_remove(0);
        Looked { fooled: logits.argmax(1, false).ne_tensor(labels), loss: loss.detach(), gradient }
    }

    /// The loss of each image: `[N]`.
    pub fn loss(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Objective::CrossEntropy => cross_entropy(logits, labels, Reduction::None),
            Objective::TargetedDlr { targets } => {
                let (largest, _) = logits.topk(CLASSES_FOR_DLR, 1, true, true);
                let scale = largest.select(1, 0) - (largest.select(1, 2) + largest.select(1, 3)) * 0.5;
                (logits_of(logits, targets) - logits_of(logits, labels)) / (scale + super::TINY)
            }
        }
    }
}
