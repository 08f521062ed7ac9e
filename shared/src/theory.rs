//! The paper's three-class data model: closed forms, and a simulation that shows where they hold.
//!
//! As eps grows, robust training gives up cross-class features before class-specific ones. Wei, Guo, Wang
//! 2025, arXiv 2506.05032.
//!
//! There are six features: x_Ei of each class i, and x_Ci shared by the two classes other than i. Given class
//! i, x_Ei ~ N(μ, σ²) and the other x_E are 0; x_Ci is 0 and the other x_C ~ N(μ, σ²). The linear classifier
//! is f_i = w₁ x_Ei + w₂ Σ_{j≠i} x_Cj with w₁, w₂ ≥ 0. In an ℓ∞ ball of radius ε, the attack moves every
//! feature by ε against the true class, which lowers each margin f_i − f_j by 2ε(w₁ + w₂).
//!
//! Theorem 3 says that with smoothed labels the radius at which cross-class features are given up grows from ε₀
//! to ε₁, and that w₂ is larger below it. The smoothed surrogate here is ours: a share β of the loss is of the
//! mean margin over the rivals instead of the smallest one. It has both properties, with ε₁ = ε₀ + βσ/(2√π).

use std::f64::consts::{PI, SQRT_2, TAU};

use serde::{Deserialize, Serialize};

use crate::builtin::{self, cos, exp, ln};
use crate::problem::FieldError;
use crate::random::SplitMix;

/// Parameters of the data model and its training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// μ, the mean of a present feature.
    pub mean: f64,
    /// σ, the standard deviation of a present feature.
    pub deviation: f64,
    /// ε, the radius of the ℓ∞ ball.
    pub eps: f64,
    /// λ, the weight of λ/2·‖w‖² in the loss.
    pub weight_decay: f64,
}

/// Learned weights: w₁ of the class-specific and w₂ of the cross-class features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Weights {
    pub specific: f64,
    pub cross: f64,
}

/// The loss that training minimizes under attack. `label_smoothing` is in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Loss of the theorems: the largest margin of a rival over the true class; for the share
    /// `label_smoothing` of the loss, the mean margin of the rivals.
    Surrogate { label_smoothing: f64 },
    /// Cross-entropy on images that maximize plain cross-entropy. `label_smoothing` is spread over the three
    /// labels.
    CrossEntropy { label_smoothing: f64 },
}

/// A model and its loss: the state of the theory page, in its URL and its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    pub model: Model,
    pub loss: Loss,
}

/// Learned weights at one radius.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    pub eps: f64,
    /// Closed form for the surrogate with the label smoothing of the loss.
    pub theorem: Weights,
    /// Simulation with the selected loss.
    pub simulated: Weights,
}

/// Standard normal draws for x_Ei, x_Cj and x_Ck of each sample. All parameters use the same draws, which
/// makes curves smooth.
#[derive(Clone, Debug)]
pub struct Samples(Vec<[f64; 3]>);

impl Samples {
    /// Draws `count` samples from a seed; the same on every machine.
    pub fn draw(seed: u64, count: usize) -> Self {
        let mut random = SplitMix::new(seed);
        // Box and Muller 1958; 1 − u keeps the logarithm finite.
        let mut normal = move || (-2.0 * ln(1.0 - random.uniform())).sqrt() * cos(TAU * random.uniform());
        // Antithetic pairs (each draw and its negative) give the exact mean. Hammersley and Morton 1956.
        let pairs = (0..count.div_ceil(2)).flat_map(|_| {
            let draw = [normal(), normal(), normal()];
            [draw, draw.map(|z| -z)]
        });
        Samples(pairs.take(count).collect())
    }
}

/// Seed of the page and its figures.
pub const SEED: u64 = 1;
/// The error of w₂ is then about σ/(100 λ). The page computes 21 radii at each step of a slider.
pub const DRAWS: usize = 2500;

impl Default for Question {
    /// An example with the threshold in the middle of the axis, where cross-class features are still used.
    fn default() -> Self {
        Question {
            model: Model { mean: 1.0, deviation: 0.6, eps: 0.15, weight_decay: 0.5 },
            loss: Loss::Surrogate { label_smoothing: 0.0 },
        }
    }
}

impl Question {
    /// Names of the query parameters.
    pub const PARAMETERS: [&str; 6] = ["mean", "deviation", "eps", "weight_decay", "loss", "label_smoothing"];
    /// Upper limit of the parameters. Above it, the chart shows rounding errors only.
    pub const LARGEST: f64 = 100.0;
    /// Number of radii on the axis.
    const RADII: u32 = 21;

    /// Reads the question from query parameters; absent ones have their default.
    pub fn from_parameters<'a>(mut get: impl FnMut(&str) -> Option<&'a str>) -> Result<Self, FieldError> {
        let Question { model, .. } = Question::default();
        let mut number = |name: &str, default: f64| {
            let Some(text) = get(name) else { return Ok(default) };
            let wrong = || FieldError::new(name, format!("`{text}` is not a number up to {}", Self::LARGEST));
            builtin::number(text).filter(|value| *value <= Self::LARGEST).ok_or_else(wrong)
        };
        let model = Model {
            mean: number("mean", model.mean)?,
            deviation: number("deviation", model.deviation)?,
            eps: number("eps", model.eps)?,
            weight_decay: number("weight_decay", model.weight_decay)?,
        };
        if let Some(error) = model.validate().into_iter().next() {
            return Err(error);
        }
        let label_smoothing = number("label_smoothing", 0.0)?;
        if !(0.0..1.0).contains(&label_smoothing) {
            return Err(FieldError::new("label_smoothing", format!("{label_smoothing} is not from 0 to below 1")));
        }
        let loss = match get("loss") {
            None | Some("surrogate") => Loss::Surrogate { label_smoothing },
            Some("cross_entropy") => Loss::CrossEntropy { label_smoothing },
            Some(other) => return Err(FieldError::new("loss", format!("`{other}` is not a loss; known: surrogate, cross_entropy"))),
        };
        Ok(Question { model, loss })
    }

    /// A copy with another value of one parameter.
    pub fn with(&self, name: &str, value: &str) -> Result<Self, FieldError> {
        let values = self.values();
        let known = |asked: &str| Self::PARAMETERS.iter().position(|known| *known == asked).map(|index| values[index].as_str());
        Self::from_parameters(|asked| if asked == name { Some(value) } else { known(asked) })
    }

    /// Values of the query parameters.
    pub fn values(&self) -> [String; 6] {
        let Question { model: Model { mean, deviation, eps, weight_decay }, loss } = *self;
        let (loss, label_smoothing) = match loss {
            Loss::Surrogate { label_smoothing } => ("surrogate", label_smoothing),
            Loss::CrossEntropy { label_smoothing } => ("cross_entropy", label_smoothing),
        };
        let [mean, deviation, eps, weight_decay, label_smoothing] =
            [mean, deviation, eps, weight_decay, label_smoothing].map(|value| value.to_string());
        [mean, deviation, eps, weight_decay, loss.to_owned(), label_smoothing]
    }

    /// URL of the page: `/theory` with the parameters that differ from the default.
    pub fn address(&self) -> String {
        let pairs = Self::PARAMETERS.into_iter().zip(self.values()).zip(Question::default().values());
        let query: Vec<String> =
            pairs.filter(|((_, value), default)| value != default).map(|((name, value), _)| format!("{name}={value}")).collect();
        if query.is_empty() { "/theory".to_owned() } else { format!("/theory?{}", query.join("&")) }
    }

    /// End of the axis of radii: 1.25 times μ/2, or the selected radius if that is larger.
    pub fn largest_radius(&self) -> f64 {
        (1.25 * self.model.specific_limit()).max(self.model.eps)
    }

    /// Answers along the axis of radii, from 0 to its end. All use the same draws, which makes curves smooth.
    pub fn course(&self, samples: &Samples) -> Vec<Answer> {
        let end = self.largest_radius();
        let mut former = Weights { specific: 0.0, cross: 0.0 };
        (0..Self::RADII)
            .map(|step| {
                let model = Model { eps: end * f64::from(step) / f64::from(Self::RADII - 1), ..self.model };
                former = model.simulate_from(self.loss, samples, former);
                Answer { eps: model.eps, theorem: model.closed_form(self.loss.label_smoothing()), simulated: former }
            })
            .collect()
    }

    /// The answer at the selected radius.
    pub fn answer(&self, samples: &Samples) -> Answer {
        let Question { model, loss } = self;
        Answer { eps: model.eps, theorem: model.closed_form(loss.label_smoothing()), simulated: model.simulate(*loss, samples) }
    }
}

impl Loss {
    pub fn label_smoothing(self) -> f64 {
        let (Loss::Surrogate { label_smoothing } | Loss::CrossEntropy { label_smoothing }) = self;
        label_smoothing
    }
}

impl Model {
    /// Wrong parameters, by field.
    pub fn validate(&self) -> Vec<FieldError> {
        let Model { mean, deviation, eps, weight_decay } = *self;
        let fields =
            [("mean", mean, mean > 0.0), ("deviation", deviation, deviation > 0.0), ("weight_decay", weight_decay, weight_decay > 0.0)];
        let positive = fields.into_iter().filter(|(_, value, holds)| !holds || !value.is_finite());
        let mut errors: Vec<FieldError> =
            positive.map(|(field, value, _)| FieldError::new(field, format!("{value} is not above 0"))).collect();
        if !(eps >= 0.0 && eps.is_finite()) {
            errors.push(FieldError::new("eps", format!("{eps} is not 0 or more")));
        }
        errors
    }

    /// Weights that minimize the surrogate: w₁ = (μ − 2ε)/λ and w₂ = (μ − (1 − β)σ/√π − 2ε)/λ, each at least 0
    /// (the theorem). β is `label_smoothing`.
    ///
    /// The attack picks the rival, so only the weaker of two cross-class features counts. The smaller of two
    /// draws is on average σ/√π below μ. For the share β of the loss both count, whose mean is μ.
    pub fn closed_form(&self, label_smoothing: f64) -> Weights {
        let specific = (self.mean - 2.0 * self.eps) / self.weight_decay;
        let cross = (self.mean - self.shortfall(label_smoothing) - 2.0 * self.eps) / self.weight_decay;
        Weights { specific: specific.max(0.0), cross: cross.max(0.0) }
    }

    /// ε₀ = (μ − σ/√π)/2, or ε₁ = (μ − (1 − β)σ/√π)/2 with label smoothing β: from this radius on, the surrogate
    /// gives cross-class features the weight 0. 0 if it always does.
    pub fn cross_class_limit(&self, label_smoothing: f64) -> f64 {
        ((self.mean - self.shortfall(label_smoothing)) / 2.0).max(0.0)
    }

    /// By how much the cross-class feature that counts is on average below μ.
    fn shortfall(&self, label_smoothing: f64) -> f64 {
        (1.0 - label_smoothing) * self.deviation / PI.sqrt()
    }

    /// μ/2: from this radius on, no feature is useful.
    pub fn specific_limit(&self) -> f64 {
        self.mean / 2.0
    }

    /// Probability that the true class beats one rival under attack; one half if both weights are 0.
    ///
    /// Φ((w₁ + w₂)(μ − 2ε) / (σ√(w₁² + w₂²))). It increases in w₂ up to w₁: cross-class features improve
    /// robustness if their weight is not above that of class-specific features.
    pub fn chance_to_beat_a_rival(&self, weights: Weights) -> f64 {
        let Weights { specific, cross } = weights;
        let length = specific.hypot(cross);
        if length == 0.0 {
            return 0.5;
        }
        normal_cdf((specific + cross) * (self.mean - 2.0 * self.eps) / (self.deviation * length))
    }

    /// Weights that minimize a loss on the samples.
    ///
    /// Uses projected Newton steps, because both losses are convex in the weights.
    pub fn simulate(&self, loss: Loss, samples: &Samples) -> Weights {
        self.simulate_from(loss, samples, Weights { specific: 0.0, cross: 0.0 })
    }

    /// As `simulate`, but starts from `start`; faster if `start` is close to the solution.
    fn simulate_from(&self, loss: Loss, samples: &Samples, start: Weights) -> Weights {
        match loss {
            Loss::Surrogate { label_smoothing } => self.minimize_surrogate(label_smoothing, samples),
            Loss::CrossEntropy { label_smoothing } => self.minimize_cross_entropy(label_smoothing, samples, start),
        }
    }

    /// A feature with draw `z` after the attack.
    fn feature(&self, z: f64) -> f64 {
        self.mean + self.deviation * z - 2.0 * self.eps
    }

    /// With w₂ ≥ 0, the strongest rival has the smaller cross-class feature, whatever the weights. The
    /// minimum is therefore at the sample means.
    fn minimize_surrogate(&self, label_smoothing: f64, samples: &Samples) -> Weights {
        let count = samples.0.len().max(1) as f64;
        let mean = |value: &dyn Fn(&[f64; 3]) -> f64| samples.0.iter().map(value).sum::<f64>() / count;
        let specific = mean(&|[own, ..]| self.feature(*own));
        let cross = mean(&|[_, one, other]| {
            (1.0 - label_smoothing) * self.feature(one.min(*other)) + label_smoothing * self.feature((one + other) / 2.0)
        });
        Weights { specific: (specific / self.weight_decay).max(0.0), cross: (cross / self.weight_decay).max(0.0) }
    }

    fn minimize_cross_entropy(&self, label_smoothing: f64, samples: &Samples, start: Weights) -> Weights {
        const STEPS: usize = 100;
        const SMALL_STEP: f64 = 1e-5;
        const SHORTEST: f64 = 1e-10;
        let features: Vec<[f64; 3]> = samples.0.iter().map(|draws| draws.map(|draw| self.feature(draw))).collect();
        let mut weights = [start.specific, start.cross];
        let mut terms = self.cross_entropy(label_smoothing, &features, weights);
        for _ in 0..STEPS {
            // A weight at 0 that would become negative stays at 0; the other moves alone.
            let free = [0, 1].map(|axis| weights[axis] > 0.0 || terms.gradient[axis] < 0.0);
            let step = newton_step(terms.gradient, terms.curvature, free);
            let moved = |length: f64| [0, 1].map(|axis: usize| (weights[axis] - length * step[axis]).max(0.0));
            // The error after a Newton step is of the order of the squared step: invisible after a step this
            // small.
            if step.iter().all(|change| change.abs() < SMALL_STEP) {
                weights = moved(1.0);
                break;
            }
            let mut length = 1.0;
            (weights, terms) = loop {
                let reached = self.cross_entropy(label_smoothing, &features, moved(length));
                if reached.value <= terms.value || length < SHORTEST {
                    break (moved(length), reached);
                }
                length /= 2.0;
            };
        }
        Weights { specific: weights[0], cross: weights[1] }
    }

    /// Smoothed cross-entropy plus λ/2·‖w‖², with derivatives with respect to w₁ and w₂.
    fn cross_entropy(&self, label_smoothing: f64, features: &[[f64; 3]], weights: [f64; 2]) -> Terms {
        let rival_share = label_smoothing / 3.0;
        let count = features.len().max(1) as f64;
        let mut terms = Terms::default();
        for &[own, one, other] in features {
            // The margins of the true class over its rivals are linear in the weights.
            let slopes = [[own, one], [own, other]];
            let margins = slopes.map(|slope| slope[0] * weights[0] + slope[1] * weights[1]);
            // −log p of the true class is log(1 + Σ exp(−margin)); for a rival, add the margin over it.
            let top = margins.iter().fold(0.0, |top: f64, margin| top.max(-margin));
            let [first, second] = margins.map(|margin| exp(-margin - top));
            let total = exp(-top) + first + second;
            terms.value += top + ln(total) + rival_share * (margins[0] + margins[1]);
            let shares = [first / total, second / total];
            for a in 0..2 {
                let expected = shares[0] * slopes[0][a] + shares[1] * slopes[1][a];
                terms.gradient[a] += -expected + rival_share * (slopes[0][a] + slopes[1][a]);
                for b in 0..2 {
                    let mean = shares[0] * slopes[0][b] + shares[1] * slopes[1][b];
                    let square = shares[0] * slopes[0][a] * slopes[0][b] + shares[1] * slopes[1][a] * slopes[1][b];
                    terms.curvature[a][b] += square - expected * mean;
                }
            }
        }
        terms.value /= count;
        for (axis, weight) in weights.into_iter().enumerate() {
            terms.value += self.weight_decay / 2.0 * weight * weight;
            terms.gradient[axis] = terms.gradient[axis] / count + self.weight_decay * weight;
            terms.curvature[axis] = terms.curvature[axis].map(|value| value / count);
            terms.curvature[axis][axis] += self.weight_decay;
        }
        terms
    }
}

#[derive(Default)]
struct Terms {
    value: f64,
    gradient: [f64; 2],
    curvature: [[f64; 2]; 2],
}

/// Newton step over the free axes. The curvature is at least λ along each axis.
fn newton_step(gradient: [f64; 2], curvature: [[f64; 2]; 2], free: [bool; 2]) -> [f64; 2] {
    match free {
        [true, true] => {
            let determinant = curvature[0][0] * curvature[1][1] - curvature[0][1] * curvature[1][0];
            [
                (curvature[1][1] * gradient[0] - curvature[0][1] * gradient[1]) / determinant,
                (curvature[0][0] * gradient[1] - curvature[1][0] * gradient[0]) / determinant,
            ]
        }
        [true, false] => [gradient[0] / curvature[0][0], 0.0],
        [false, true] => [0.0, gradient[1] / curvature[1][1]],
        [false, false] => [0.0, 0.0],
    }
}

/// Φ, the standard normal distribution function.
fn normal_cdf(x: f64) -> f64 {
    libm::erfc(-x / SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Model = Model { mean: 1.0, deviation: 0.6, eps: 0.1, weight_decay: 0.5 };

    fn at(eps: f64) -> Model {
        Model { eps, ..MODEL }
    }

    #[test]
    fn the_closed_form_is_the_theorems() {
        let Weights { specific, cross } = MODEL.closed_form(0.0);
        assert!((specific - 1.6).abs() < 1e-12 && (cross - (0.8 - 0.6 / PI.sqrt()) / 0.5).abs() < 1e-12);
        let limit = MODEL.cross_class_limit(0.0);
        assert!((limit - 0.330_743_124_9).abs() < 1e-9, "{limit}");
        let beyond = at(limit + 1e-9).closed_form(0.0);
        assert!(beyond.cross == 0.0 && beyond.specific > 0.0);
        assert_eq!(at(MODEL.specific_limit()).closed_form(0.0), Weights { specific: 0.0, cross: 0.0 });
    }

    #[test]
    fn smoothing_keeps_cross_class_features_up_to_a_larger_radius() {
        let (plain, smoothed) = (MODEL.cross_class_limit(0.0), MODEL.cross_class_limit(0.3));
        assert!((smoothed - plain - 0.3 * 0.6 / (2.0 * PI.sqrt())).abs() < 1e-12 && smoothed < MODEL.specific_limit());
        for eps in [0.0, 0.2, plain, smoothed - 1e-6] {
            let [plain, smoothed] = [0.0, 0.3].map(|label_smoothing| at(eps).closed_form(label_smoothing));
            assert!(smoothed.cross > plain.cross && smoothed.specific == plain.specific, "{eps}: {smoothed:?} {plain:?}");
        }
        assert_eq!(at(smoothed + 1e-9).closed_form(0.3).cross, 0.0);
    }

    #[test]
    fn the_simulated_surrogate_agrees_with_the_theorem() {
        let samples = Samples::draw(1, 20_000);
        for (eps, label_smoothing) in [(0.0, 0.0), (0.1, 0.0), (0.3, 0.0), (0.4, 0.0), (0.1, 0.4), (0.35, 0.4)] {
            let loss = Loss::Surrogate { label_smoothing };
            let (found, expected) = (at(eps).simulate(loss, &samples), at(eps).closed_form(label_smoothing));
            // Four standard errors of σ/(λ√n).
            let tolerance = 4.0 * 0.6 / 20_000f64.sqrt() / 0.5;
            assert!(
                (found.specific - expected.specific).abs() < tolerance && (found.cross - expected.cross).abs() < tolerance,
                "{eps}: {found:?}"
            );
        }
    }

    /// Expected values: Gauss-Hermite quadrature with 40³ nodes. Tolerance: 2σ/(λ√n) with n = 20,000 samples.
    #[track_caller]
    fn check(eps: f64, label_smoothing: f64, expected: [f64; 2]) {
        let found = at(eps).simulate(Loss::CrossEntropy { label_smoothing }, &Samples::draw(1, 20_000));
        let close = (found.specific - expected[0]).abs() < 0.017 && (found.cross - expected[1]).abs() < 0.017;
        assert!(close, "{eps}, {label_smoothing}: {found:?} where {expected:?} was expected");
    }

    #[test]
    fn simulated_cross_entropy_agrees_with_an_integral() {
        check(0.0, 0.0, [0.645_839, 0.618_645]);
        check(0.1, 0.0, [0.610_149, 0.575_082]);
        check(0.1, 0.3, [0.425_348, 0.393_869]);
        check(0.3, 0.0, [0.407_265, 0.367_569]);
        check(0.4, 0.1, [0.200_479, 0.177_383]);
    }

    #[test]
    fn cross_entropy_has_no_threshold_and_trusts_cross_class_features_less_as_eps_grows() {
        let samples = Samples::draw(1, 20_000);
        let mut ratio = f64::INFINITY;
        for eps in [0.0, 0.1, 0.2, 0.3, 0.4] {
            let Weights { specific, cross } = at(eps).simulate(Loss::CrossEntropy { label_smoothing: 0.0 }, &samples);
            assert!(cross > 0.0 && cross / specific < ratio, "{eps}: {specific} {cross}");
            ratio = cross / specific;
        }
        assert!(ratio < 0.9);
    }

    #[test]
    fn a_minimum_of_cross_entropy_is_one() {
        let samples = Samples::draw(3, 2_000);
        for label_smoothing in [0.0, 0.2, 0.5] {
            let found = MODEL.simulate(Loss::CrossEntropy { label_smoothing }, &samples);
            let features: Vec<[f64; 3]> = samples.0.iter().map(|draws| draws.map(|draw| MODEL.feature(draw))).collect();
            let value = |specific: f64, cross: f64| MODEL.cross_entropy(label_smoothing, &features, [specific, cross]).value;
            let lowest = value(found.specific, found.cross);
            for (a, b) in [(0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01), (0.01, -0.01)] {
                assert!(value((found.specific + a).max(0.0), (found.cross + b).max(0.0)) > lowest, "{label_smoothing} {found:?}");
            }
        }
    }

    #[test]
    fn trusting_cross_class_features_as_much_as_specific_ones_is_best() {
        let chance = |cross: f64| MODEL.chance_to_beat_a_rival(Weights { specific: 1.0, cross });
        assert!(chance(0.0) < chance(0.5) && chance(0.5) < chance(1.0) && chance(1.5) < chance(1.0));
        assert!((chance(0.0) - 0.908_788_780_3).abs() < 1e-9, "Φ(0.8/0.6): {}", chance(0.0));
        assert_eq!(MODEL.chance_to_beat_a_rival(Weights { specific: 0.0, cross: 0.0 }), 0.5);
    }

    #[test]
    fn the_draws_are_standard_normal() {
        let Samples(draws) = Samples::draw(7, 20_000);
        let all: Vec<f64> = draws.into_iter().flatten().collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|value| value * value).sum::<f64>() / all.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn a_course_is_the_simulation_at_each_radius() {
        let samples = Samples::draw(1, 1_000);
        for loss in [Loss::Surrogate { label_smoothing: 0.0 }, Loss::CrossEntropy { label_smoothing: 0.1 }] {
            let question = Question { model: MODEL, loss };
            let course = question.course(&samples);
            assert_eq!((course.len(), course[0].eps, course[20].eps), (21, 0.0, 0.625));
            for answer in course {
                let alone = Question { model: at(answer.eps), loss }.answer(&samples);
                let (found, expected) = (answer.simulated, alone.simulated);
                // Both stop within the precision of the last step.
                let far = (found.specific - expected.specific).abs().max((found.cross - expected.cross).abs());
                assert!(far < 1e-8 && answer.theorem == alone.theorem, "{}: {found:?} {expected:?}", answer.eps);
            }
        }
    }

    #[track_caller]
    fn check_address(address: &str) -> Question {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let get = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name).map(|pair| pair.1);
        Question::from_parameters(get).unwrap_or_else(|error| panic!("{address}: {error:?}"))
    }

    #[test]
    fn questions_read_back_what_they_write() {
        for address in
            ["/theory", "/theory?eps=0", "/theory?mean=2&deviation=0.25&eps=0.4&weight_decay=1&loss=cross_entropy&label_smoothing=0.1"]
        {
            assert_eq!(check_address(address).address(), address);
        }
        assert_eq!(check_address("/theory"), Question::default());
    }

    #[test]
    fn what_is_no_question_is_named() {
        for (name, value) in [
            ("mean", "0"),
            ("deviation", "-1"),
            ("eps", "NaN"),
            ("eps", "-0.1"),
            ("weight_decay", "1e9"),
            ("loss", "hinge"),
            ("label_smoothing", "1"),
        ] {
            let error = Question::from_parameters(|asked| (asked == name).then_some(value)).unwrap_err();
            assert!(error.field == name && error.message.contains(value), "{error:?}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let wrong = Model { mean: 0.0, deviation: -1.0, eps: -0.1, weight_decay: f64::NAN };
        let fields: Vec<String> = wrong.validate().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["mean", "deviation", "weight_decay", "eps"]);
        assert!(MODEL.validate().is_empty());
    }
}
