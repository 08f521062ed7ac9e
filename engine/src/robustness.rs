//! Robust accuracy under several attacks: each attack runs on the images that resisted all attacks before it.
//!
//! Then it may check itself: three attacks on the same few images show whether steps are too few and
//! gradients fail. The evaluation can stop after every batch, and continues from there to the same result.
//! This module knows nothing of run directories.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use shared::api::{CheckedAttack, SelfCheck};
use shared::config::{AutoAttack, EvaluateConfig, STANDARD_QUERIES};
use shared::eps_curve::wilson;
use shared::record::{BrokenGradients, EvaluationStep};
use shared::signs::sign_test;
use tch::{Device, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack, Perturbed};
use crate::autoattack::square::KeepSearch;
use crate::autoattack::{self, Ball, Classifier, PreparedStage, Stage};
use crate::data::Split;
use crate::model::Network;
use crate::random::{self, Purpose, Seed};
use crate::stop::Stop;

/// A named attack that consists of one or more passes. Each pass attacks the images that are still classified
/// correctly.
#[derive(Clone, Debug)]
pub struct NamedAttack {
    pub name: String,
    passes: Vec<Pass>,
}

#[derive(Clone, Debug)]
enum Pass {
    /// PGD. `start` numbers its random starts.
    Pgd {
        attack: Attack,
        start: u32,
    },
    AutoAttack {
        stage: Stage,
        ball: Ball,
    },
}

/// Predictions for each image so far. It is enough to continue the evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Predicted class of each clean image. Empty before the first pass.
    pub clean: Vec<i64>,
    /// Predicted class under the first attack that succeeded, or the clean prediction if none did.
    pub worst: Vec<i64>,
    /// Results: `clean` first, then each completed attack.
    pub steps: Vec<EvaluationStep>,
    under_way: Option<AttackPosition>,
    /// What the attacks of the self-check have found so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checked: Vec<Checked>,
}

/// What an attack of the self-check has found so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Checked {
    /// Whether each image is still classified correctly, for the first of the images that are attacked.
    correct: Vec<bool>,
    broken_gradients: BrokenGradients,
    seconds: f64,
}

/// Position inside an attack that is not complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AttackPosition {
    /// Index of the pass.
    pass: usize,
    /// Index of the first image that this pass has not reached.
    next: usize,
    /// Number of images that were classified correctly when the attack began.
    attacked: usize,
    /// Of the first pass, if it is PGD.
    #[serde(default)]
    broken_gradients: BrokenGradients,
    seconds: f64,
}

/// Attacks in their order, and the seed of what they draw.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub attacks: &'a [NamedAttack],
    /// Attacks by which the evaluation checks itself after the others: PGD with few steps, with many, and at
    /// a large radius.
    pub self_check: Option<&'a [Attack; 3]>,
    pub seed: u32,
}

/// Keeps what an attack has found on the batch under way. `()` keeps nothing.
pub trait KeepBatch: KeepSearch {
    /// The batch of this name is attacked next.
    fn next(&mut self, name: String);
}

impl KeepBatch for () {
    fn next(&mut self, _: String) {}
}

/// Progress reports of [`run`].
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A batch was attacked. `done` of `of` units of work are complete; a unit is one forward pass of an
    /// image.
    Batch { done: u32, of: u32 },
    /// An attack is complete.
    Step(&'a EvaluationStep),
}

impl NamedAttack {
    /// PGD from several random starts. The first start is the one that other measurements with the same seed
    /// use.
    pub fn pgd(attack: &Attack, starts: u32) -> Self {
        let name = match starts {
            1 => format!("PGD-{}", attack.steps),
            starts => format!("PGD-{}, {starts} starts", attack.steps),
        };
        NamedAttack { name, passes: (0..starts).map(|start| Pass::Pgd { attack: attack.clone(), start }).collect() }
    }

    /// An attack of AutoAttack. `None` if it is not defined for this number of classes.
    pub fn autoattack(attack: AutoAttack, ball: Ball, classes: i64, square_queries: u32) -> Option<Self> {
        let stages = autoattack::stages(attack, classes, square_queries);
        let passes = stages.into_iter().map(|stage| Pass::AutoAttack { stage, ball }).collect::<Vec<_>>();
        let name = match attack {
            AutoAttack::Square if square_queries != STANDARD_QUERIES => format!("{}, {square_queries} queries", attack.label()),
            _ => attack.label().to_owned(),
        };
        (!passes.is_empty()).then_some(NamedAttack { name, passes })
    }
}

/// Evaluates `split` on clean images and then with each attack of the plan that `state` does not contain yet.
///
/// After an error, including `Error::Stopped`, `state` is that of the last complete batch; `keep` has what an
/// attack has found on the batch after it.
pub fn run(
    network: &Network,
    split: &Split,
    Plan { attacks, self_check, seed }: Plan<'_>,
    state: &mut State,
    keep: &mut impl KeepBatch,
    stop: &Stop,
    observe: &mut dyn FnMut(&State, Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let labels = split.label_list();
    if state.steps.is_empty() {
        let begun = Instant::now();
        state.clean = clean_predictions(network, split, stop)?;
        state.worst.clone_from(&state.clean);
        state.steps.push(state.step("clean", labels.len(), begun.elapsed().as_secs_f64(), &labels));
        state.report(observe)?;
    }
    let all = work(attacks.iter().flat_map(|attack| &attack.passes));
    let checked = checked_images(labels.len());
    // In passes of all images, as that of the attacks.
    let of_check = |attack: &Attack| work_of_pgd(attack) * checked.len() as f64 / labels.len() as f64;
    let of = (all + self_check.into_iter().flatten().map(of_check).sum::<f64>()) as u32;
    // The first step is the clean evaluation, not an attack.
    let mut done = state.steps.len() - 1;
    while let Some(attack) = attacks.get(done) {
        let mut under_way = match &state.under_way {
            Some(under_way) => under_way.clone(),
            None => {
                let attacked = state.still_correct(&labels).len();
                AttackPosition { pass: 0, next: 0, attacked, broken_gradients: BrokenGradients::default(), seconds: 0.0 }
            }
        };
        while let Some(pass) = attack.passes.get(under_way.pass) {
            let prepared = pass.prepare(split, seed);
            let left: Vec<usize> = state.still_correct(&labels).into_iter().filter(|image| *image >= under_way.next).collect();
            for (number, batch) in (1..).zip(left.chunks(batch_size(split, pass.work()))) {
                let begun = Instant::now();
                let rows = indices(batch, split);
                let (images, labels_there) = split.select(&rows);
                keep.next(format!("{} {} {batch:?}", attack.name, under_way.pass));
                let found = prepared.perturb(network, &rows, &images, &labels_there, keep, stop)?;
                for (image, predicted) in batch.iter().zip(predictions(network, &found.images, number)?) {
                    state.worst[*image] = predicted;
                }
                if under_way.pass == 0 {
                    under_way.broken_gradients = with_batch(under_way.broken_gradients, &found);
                }
                under_way.next = batch[batch.len() - 1] + 1;
                under_way.seconds += begun.elapsed().as_secs_f64();
                state.under_way = Some(under_way.clone());
                let before = work(attacks[..done].iter().flat_map(|attack| &attack.passes)) + work(&attack.passes[..under_way.pass]);
                let now = before + pass.work() * under_way.next as f64 / labels.len() as f64;
                observe(state, Event::Batch { done: now as u32, of })?;
            }
            under_way = AttackPosition { pass: under_way.pass + 1, next: 0, ..under_way };
        }
        state.under_way = None;
        let step = state.step(&attack.name, under_way.attacked, under_way.seconds, &labels);
        state.steps.push(EvaluationStep { broken_gradients: under_way.broken_gradients.if_any(), ..step });
        state.report(observe)?;
        done += 1;
    }

    // The attacks of the check are not the worst case of anything: each attacks the same images.
    let mut before = all;
    let attacked: Vec<usize> = checked.iter().copied().filter(|image| state.clean[*image] == labels[*image]).collect();
    for (index, attack) in self_check.into_iter().flatten().enumerate() {
        if state.checked.len() == index {
            state.checked.push(Checked::default());
        }
        let pass = Pass::Pgd { attack: attack.clone(), start: 0 };
        let left = attacked.get(state.checked[index].correct.len()..).unwrap_or_default();
        let prepared = (!left.is_empty()).then(|| pass.prepare(split, seed));
        for (number, batch) in (1..).zip(left.chunks(batch_size(split, pass.work()))) {
            let begun = Instant::now();
            let rows = indices(batch, split);
            let (images, labels_there) = split.select(&rows);
            keep.next(format!("self-check {index} {batch:?}"));
            let prepared = prepared.as_ref().expect("there are images to attack");
            let found = prepared.perturb(network, &rows, &images, &labels_there, keep, stop)?;
            let predicted = predictions(network, &found.images, number)?;
            let so_far = &mut state.checked[index];
            so_far.correct.extend(batch.iter().zip(predicted).map(|(image, predicted)| predicted == labels[*image]));
            so_far.broken_gradients = with_batch(so_far.broken_gradients, &found);
            so_far.seconds += begun.elapsed().as_secs_f64();
            let now = before + of_check(attack) * so_far.correct.len() as f64 / attacked.len() as f64;
            observe(state, Event::Batch { done: now as u32, of })?;
        }
        before += of_check(attack);
    }
    Ok(())
}

/// The images of a self-check, of so many: in even steps, so that data sorted by class gives some of each.
fn checked_images(of: usize) -> Vec<usize> {
    let count = of.min(EvaluateConfig::CHECKED_IMAGES);
    (0..count).map(|index| index * of / count).collect()
}

/// Adds the counts of a batch, which has been waited for.
fn with_batch(before: BrokenGradients, found: &Perturbed) -> BrokenGradients {
    let Some(found) = &found.broken_gradients else { return before };
    let BrokenGradients { images, zero, not_finite } = attack::broken_gradients(found);
    BrokenGradients { images: before.images + images, zero: before.zero + zero, not_finite: before.not_finite + not_finite }
}

/// Returns the number of images attacked together.
///
/// A worker that is stopped or killed loses the batch under way, if it is not a random search, and a stop
/// waits for one step of it. On two CPU cores, a step with 32 color images of 32×32 pixels takes
/// PreActResNet-18 one or two seconds, PGD-20 with them half a minute, and larger batches save little time.
/// `work`: forward passes of an image.
fn batch_size(split: &Split, work: f64) -> usize {
    const MOST: usize = 250;
    const CPU_VALUES: f64 = 32.0 * 3.0 * 32.0 * 32.0;
    // Work of PGD-20, and of the longest attack of which nothing is kept within a batch.
    const SHORT: f64 = 60.0;
    const LONG: f64 = 400.0;
    match split.labels.device() {
        Device::Cpu => {
            let values = CPU_VALUES * SHORT / work.clamp(SHORT, LONG);
            ((values / split.narrow(0, 1).0.numel() as f64) as usize).clamp(8, MOST)
        }
        _ => MOST,
    }
}

/// Predicts the classes of all clean images.
fn clean_predictions(network: &Network, split: &Split, stop: &Stop) -> Result<Vec<i64>, Error> {
    let all: Vec<usize> = (0..split.len() as usize).collect();
    let mut predicted = Vec::new();
    for (number, batch) in (1..).zip(all.chunks(batch_size(split, 1.0))) {
        stop.check()?;
        predicted.extend(predictions(network, &split.select(&indices(batch, split)).0, number)?);
    }
    Ok(predicted)
}

fn predictions(network: &Network, images: &Tensor, batch: u32) -> Result<Vec<i64>, Error> {
    let logits = network.finite(no_grad(|| network.logits(images))).map_err(|error| error.in_batch(batch))?;
    Ok(Vec::try_from(logits.argmax(1, false))?)
}

fn indices(images: &[usize], split: &Split) -> Tensor {
    let images: Vec<i64> = images.iter().map(|image| *image as i64).collect();
    Tensor::from_slice(&images).to_device(split.labels.device())
}

fn work_of_pgd(attack: &Attack) -> f64 {
    3.0 * f64::from(attack.steps)
}

/// Returns the work of several passes.
fn work<'a>(passes: impl IntoIterator<Item = &'a Pass>) -> f64 {
    passes.into_iter().map(Pass::work).sum()
}

impl State {
    /// Returns the duration of all attacks so far.
    pub fn seconds(&self) -> f64 {
        let under_way = self.under_way.iter().map(|under_way| under_way.seconds);
        self.steps.iter().map(|step| step.seconds).chain(under_way).chain(self.checked.iter().map(|checked| checked.seconds)).sum()
    }

    /// Returns whether this state can belong to these attacks and images.
    pub fn matches(&self, split: &Split, attacks: &[NamedAttack]) -> bool {
        let known = [&self.clean, &self.worst].iter().all(|predictions| predictions.len() as i64 == split.len());
        let done = self.steps.iter().skip(1);
        (self.steps.is_empty() || known)
            && self.steps.len() <= attacks.len() + 1
            && done.zip(attacks).all(|(step, attack)| step.attack == attack.name)
    }

    /// Returns the images that are still classified correctly.
    fn still_correct(&self, labels: &[i64]) -> Vec<usize> {
        (0..labels.len()).filter(|image| self.worst[*image] == labels[*image]).collect()
    }

    /// Returns the result of an attack that started with `attacked` correctly classified images.
    fn step(&self, attack: &str, attacked: usize, seconds: f64, labels: &[i64]) -> EvaluationStep {
        let left = self.still_correct(labels).len();
        EvaluationStep {
            attack: attack.to_owned(),
            attacked: attacked as u32,
            broken: (attacked - left) as u32,
            accuracy: left as f64 / labels.len() as f64,
            seconds,
            broken_gradients: None,
        }
    }

    /// Returns what the self-check by `attacks` has measured on images with these labels. `None` if it is not
    /// complete.
    pub fn self_check(&self, attacks: &[Attack; 3], labels: &[i64]) -> Option<SelfCheck> {
        let [few, many, large] = self.checked.as_slice() else { return None };
        let images = checked_images(labels.len());
        let clean = images.iter().filter(|image| self.clean[**image] == labels[**image]).count();
        if large.correct.len() < clean {
            return None;
        }
        let images = images.len() as u32;
        let result = |attack: &Attack, checked: &Checked| {
            let correct = checked.correct.iter().filter(|correct| **correct).count() as u32;
            CheckedAttack {
                eps: attack.eps,
                step_size: attack.step_size,
                steps: attack.steps,
                correct,
                accuracy: f64::from(correct) / f64::from(images.max(1)),
                accuracy_interval: wilson(correct, images),
                broken_gradients: checked.broken_gradients.if_any(),
                seconds: checked.seconds,
            }
        };
        let only = |one: &Checked, other: &Checked| one.correct.iter().zip(&other.correct).filter(|(one, other)| !**one && **other).count();
        let (only_many, only_few) = (only(many, few) as u32, only(few, many) as u32);
        Some(SelfCheck {
            images,
            clean: clean as u32,
            norm: attacks[0].norm,
            few_steps: result(&attacks[0], few),
            many_steps: result(&attacks[1], many),
            only_many,
            only_few,
            p: sign_test(only_many, only_few),
            large_radius: result(&attacks[2], large),
        })
    }

    fn report(&self, observe: &mut dyn FnMut(&State, Event<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.steps.last().map_or(Ok(()), |step| observe(self, Event::Step(step)))
    }
}

/// A pass with its random numbers drawn.
enum PreparedPass<'a> {
    Pgd { attack: &'a Attack, start: Tensor },
    AutoAttack(PreparedStage),
}

impl Pass {
    fn prepare(&self, split: &Split, seed: u32) -> PreparedPass<'_> {
        match self {
            Pass::Pgd { attack, start } => {
                let seed = Seed { run: seed, purpose: Purpose::Evaluation, epoch: 0, step: *start };
                PreparedPass::Pgd { attack, start: random::draw(seed, || attack.start(&split.images())) }
            }
            Pass::AutoAttack { stage, ball } => PreparedPass::AutoAttack(PreparedStage::new(*stage, *ball, &split.images(), seed)),
        }
    }

    /// Returns the work per image in forward passes. A backward pass counts as two.
    fn work(&self) -> f64 {
        match self {
            Pass::Pgd { attack, .. } => work_of_pgd(attack),
            Pass::AutoAttack { stage, .. } => f64::from(stage.forward_passes()),
        }
    }
}

impl PreparedPass<'_> {
    /// Attacks `images` with `labels`, which are those at `rows` of the split.
    fn perturb(
        &self,
        network: &Network,
        rows: &Tensor,
        images: &Tensor,
        labels: &Tensor,
        keep: &mut dyn KeepSearch,
        stop: &Stop,
    ) -> Result<Perturbed, Error> {
        match self {
            PreparedPass::Pgd { attack, start } => attack::perturb(network, images, labels, &start.index_select(0, rows), attack, stop),
            PreparedPass::AutoAttack(prepared) => {
                let images = prepared.perturb(network, images, labels, rows, keep, stop)?;
                Ok(Perturbed { images, broken_gradients: None })
            }
        }
    }
}
