//! Auto-PGD (APGD): gradient ascent with momentum, which halves its step size where the loss stops rising.
//! Croce & Hein 2020, algorithm 1.

use tch::{Kind, Reduction, Tensor};

use super::{Ball, Classifier, column, logits_of, normalized};
use crate::Error;
use crate::attack::cross_entropy;
use crate::stop::Stop;
use shared::config::Norm;

/// Number of steps in the standard version.
pub(super) const STEPS: u32 = 100;
/// Steps before the first check of the step sizes, decrease of this interval after each check, and its
/// minimum. 0.22, 0.03 and 0.06 of all steps.
const FIRST_INTERVAL: u32 = 22;
const DECREMENT: u32 = 3;
const SHORTEST_INTERVAL: u32 = 6;
/// The targeted DLR loss uses the four largest logits.
pub const CLASSES_FOR_DLR: i64 = 4;

/// Weight of the new step. The rest of the weight repeats the previous step (momentum).
const NEW: f64 = 0.75;
/// The step size is halved unless the loss rose in more than this fraction of the steps since the last check.
const RISING: f64 = 0.75;

/// The loss that the attack maximizes.
#[derive(Debug)]
pub enum Objective {
    CrossEntropy,
    /// Targeted DLR: difference of the logits of target and label, divided by the spread of the largest
    /// logits. Scaling the logits does not change it. `targets`: `[N]`.
    TargetedDlr {
        targets: Tensor,
    },
}

/// Draws an offset on the surface of the ball for each image. In ℓ∞, a uniform draw is scaled to norm eps.
pub fn start(ball: Ball, images: &Tensor) -> Tensor {
    let direction = match ball.norm {
        Norm::Linf => images.empty_like().uniform_(-1.0, 1.0),
        Norm::L2 => images.randn_like(),
    };
    normalized(ball.norm, &direction) * ball.eps.fraction()
}

/// Searches for misclassified images within `ball`.
///
/// `images`, and `start` as offsets: `[N, C, H, W]`; `labels`: `[N]`. Returns the last misclassified point of
/// each image, or the given image if there was none.
pub fn perturb(
    classifier: &impl Classifier,
    images: &Tensor,
    labels: &Tensor,
    start: &Tensor,
    objective: &Objective,
    ball: Ball,
    stop: &Stop,
) -> Result<Tensor, Error> {
    let mut interval = FIRST_INTERVAL;
    let mut since_check = 0;
    let mut search = Search::begin(classifier, images, labels, (images + start).clamp_(0.0, 1.0), objective, ball);
    for step in 0..STEPS {
        stop.check()?;
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

/// State of the search. Values are `[N]`, points `[N, C, H, W]`, step sizes `[N, 1, 1, 1]`.
struct Search<'a> {
    images: &'a Tensor,
    labels: &'a Tensor,
    objective: &'a Objective,
    current: Tensor,
    previous: Tensor,
    /// Gradient and loss at `current`. After a step size was halved, `loss` still belongs to the point
    /// before.
    gradient: Tensor,
    loss: Tensor,
    /// Point with the highest loss so far.
    best: Tensor,
    best_gradient: Tensor,
    best_loss: Tensor,
    /// Last misclassified point.
    adversarial: Tensor,
    /// Whether a misclassified point was found.
    fooled: Tensor,
    step_sizes: Tensor,
    /// Number of steps since the last check in which the loss rose.
    rises: Tensor,
    best_loss_at_check: Tensor,
    /// Whether the step size was halved at the last check.
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
        let Evaluated { fooled, loss, gradient } = objective.evaluate(classifier, &point, labels);
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
            // Treat the step size as just halved, so that the first check looks only at `rises`.
            halved: fooled.ones_like(),
            // As in the public code, the first step counts as a rise if the loss is then above zero.
            loss: loss.zeros_like(),
            current: point,
            gradient,
            fooled,
        }
    }

    /// Takes one step. `new`: weight of the gradient step against the momentum.
    fn advance(&mut self, classifier: &impl Classifier, ball: Ball, new: f64) {
        let direction = match ball.norm {
            Norm::Linf => self.gradient.sign(),
            Norm::L2 => normalized(Norm::L2, &self.gradient),
        };
        let uphill = ball.project(self.images, &(&self.current + direction * &self.step_sizes));
        let moved = &self.current + (uphill - &self.current) * new + (&self.current - &self.previous) * (1.0 - new);
        let point = ball.project(self.images, &moved);
        self.previous = std::mem::replace(&mut self.current, point);

        let Evaluated { fooled, loss, gradient } = self.objective.evaluate(classifier, &self.current, self.labels);
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

    /// Halves the step size where the loss rose too rarely in the last `interval` steps, or where the best
    /// loss is the same as at the last check and the step size was not halved then. There the search
    /// continues from the best point.
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

/// Result of a forward and a backward pass at a point.
struct Evaluated {
    fooled: Tensor,
    loss: Tensor,
    gradient: Tensor,
}

impl Objective {
    /// Computes loss and gradient at `points`.
    fn evaluate(&self, classifier: &impl Classifier, points: &Tensor, labels: &Tensor) -> Evaluated {
        let points = points.detach().set_requires_grad(true);
        let logits = classifier.logits(&points);
        let loss = self.loss(&logits, labels);
        // Only with respect to the images, so that autograd skips the parameters.
        let gradient = Tensor::run_backward(&[&loss.sum(None::<Kind>)], &[&points], false, false).swap_remove(0);
        Evaluated { fooled: logits.argmax(1, false).ne_tensor(labels), loss: loss.detach(), gradient }
    }

    /// Returns the loss of each image, `[N]`.
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
