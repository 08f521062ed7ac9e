//! Training: standard, adversarial (Madry et al. 2018), and extensions of it. Each extension has its own
//! file.

mod averaging;
mod awp;
mod distillation;
mod overfitting;
mod state;
mod targets;
mod trades;

use shared::config::{BatchNormMode, Inputs, Method, TrainConfig, TrainingConfig};
use shared::record::Phase;
use tch::{Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::Samples;
use crate::cancel::Cancel;
use crate::data::{Data, augment, batches};
use crate::evaluate::{EvalInputs, Measurement, measure, measure_samples};
use crate::linear_probe::LinearProbe;
use crate::model::Network;
use crate::optim;
use crate::random::{self, Purpose, Seed};
pub use distillation::Teachers;
pub use overfitting::catastrophic_overfitting;
pub use state::{Snapshot, State};
pub use targets::{Targets, mix_with};

/// Progress reports of [`fit`].
#[derive(Debug)]
pub enum Event<'a> {
    /// A batch was trained on or evaluated. `step` counts from 1 to `steps`.
    Batch { phase: Phase, epoch: u32, step: u32, steps: u32 },
    /// An epoch is complete. `state` is the state at its end.
    Epoch { report: &'a EpochReport, state: &'a State },
}

/// Results of one epoch.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// Counts from 1.
    pub epoch: u32,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean cross-entropy of the images trained on (augmented, and attacked in adversarial training), without
    /// label smoothing. Logits are those of the training steps.
    pub train_loss: f64,
    /// Accuracy on the same images. `None` in standard training, which does not attack them.
    pub train_robust_accuracy: Option<f64>,
    /// `None` in epochs without evaluation.
    pub evaluation: Option<Evaluation>,
}

/// Measurements of a network after an epoch.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Training images without augmentation, with the labels used in training.
    pub train_clean: Measurement,
    /// Test images as they are.
    pub test_clean: Measurement,
    /// Test images under the evaluation's PGD attack.
    pub test_robust: Measurement,
    /// Held-out images under the same attack. `None` if no images are held out.
    pub holdout_robust: Option<Measurement>,
    /// Samples of the test images that attributions are computed from, one for each kind of input in the
    /// configuration.
    pub samples: Vec<(Inputs, Samples)>,
}

/// A training batch, with all random numbers drawn.
#[derive(Debug)]
pub struct Batch {
    /// Clean images, `[N, C, H, W]` in `[0, 1]`.
    pub images: Tensor,
    pub targets: Targets,
    /// Start of the attack as an offset of `images`, of the same shape.
    pub start: Tensor,
}

/// Trains a network: each batch is attacked, then one SGD step descends the loss on the attacked images.
///
/// Continues after the last complete epoch of `state`. Calls `observe` after each batch and at the end of
/// each epoch. If `observe` returns an error, training stops with that error.
///
/// The paper's recipe is PreActResNet-18 on CIFAR-10, PGD-10 with eps 8/255, 200 epochs with batch size 128,
/// learning rate 0.1 divided by 10 at epochs 100 and 150. It reports 47.8 % robust accuracy (PGD-20) at the
/// best epoch and 42.5 % at the last. `docs/performance.md` lists the time per step.
///
/// # Errors
///
/// `Error::Diverged` if the loss is infinite or NaN, `Error::Canceled` after a stop request.
pub fn fit(
    config: &TrainConfig,
    data: &Data,
    teachers: &Teachers,
    state: &mut State,
    cancel: &Cancel,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let training_attack = Attack::for_training(config);
    let batches = batches(data.train.len(), i64::from(config.training.batch_size));
    let steps = batches.len() as u32;

    for epoch in state.epoch + 1..=config.training.epochs {
        let order = random::draw(Seed { run: config.seed, purpose: Purpose::Order, epoch, step: 0 }, || data.train.shuffled_order());
        let mut tally = Tally::new(&state.network);
        let mut learning_rate = 0.0;

        for (step, batch) in (1..).zip(&batches) {
            // Draw images, augmentation, mixup and the start of the attack, all from (seed, epoch, step).
            cancel.check()?;
            let (images, labels) = data.train.select(&order.narrow(0, batch.start, batch.end - batch.start));
            let seed = Seed { run: config.seed, purpose: Purpose::Step, epoch, step };
            let batch = random::draw(seed, || {
                let images = if config.data.augment { augment::crop_and_flip(&images, data.info.id) } else { images };
                let (images, targets) = targets::mix(images, labels, &config.training);
                let start = match config.training.method {
                    Method::Trades => trades::start(&images),
                    Method::Standard | Method::PgdAt | Method::FastAt => training_attack.start(&images),
                };
                Batch { images, targets, start }
            });

            // Attack the batch and descend the loss.
            learning_rate = config.training.learning_rate_at(f64::from(epoch - 1) + f64::from(step - 1) / f64::from(steps));
            let logits = train_step(&batch, config, teachers, state, learning_rate, cancel)?;
            tally.add(&batch.targets, &logits);
            observe(Event::Batch { phase: Phase::Training, epoch, step, steps })?;
        }

        // Evaluate the network and report the epoch.
        state.epoch = epoch;
        let (train_loss, train_accuracy) = tally.means();
        if !train_loss.is_finite() {
            return Err(Error::Diverged { epoch });
        }
        let evaluation = match config.evaluates_epoch(epoch) {
            true => Some(evaluate(config, data, state.evaluated(), epoch, cancel, observe)?),
            false => None,
        };
        let finite = |evaluation: &Evaluation| evaluation.test_clean.loss.is_finite() && evaluation.test_robust.loss.is_finite();
        if !evaluation.as_ref().is_none_or(finite) {
            return Err(Error::Diverged { epoch });
        }
        let train_robust_accuracy = (config.training.method != Method::Standard).then_some(train_accuracy);
        let report = EpochReport { epoch, learning_rate, train_loss, train_robust_accuracy, evaluation };
        observe(Event::Epoch { report: &report, state })?;
    }
    Ok(())
}

/// Trains on one batch. Returns the logits, `[N, K]`, that the loss of the step was computed from.
pub fn train_step(
    batch: &Batch,
    config: &TrainConfig,
    teachers: &Teachers,
    state: &mut State,
    learning_rate: f64,
    cancel: &Cancel,
) -> Result<Tensor, Error> {
    let TrainingConfig { method, label_smoothing, awp, gradient_clip, .. } = &config.training;
    let State { epoch: complete, network, optimizer, average } = state;
    let Batch { images: clean, targets, start } = batch;
    let epoch = *complete + 1;
    let attack = Attack::for_training(config);

    // Attack.
    let images = match method {
        Method::Standard => clean.shallow_clone(),
        Method::PgdAt | Method::FastAt => {
            attack::ascend(network, clean, start, &attack, cancel, &|logits| targets.cross_entropy(logits, 0.0, Reduction::Sum))?
        }
        Method::Trades => trades::perturb(network, clean, start, &attack, cancel)?,
    };

    // Loss.
    let soft_targets = teachers.soft_targets(&images);
    let compute_loss = || match method {
        Method::Standard | Method::PgdAt | Method::FastAt => {
            let logits = network.forward(&images, BatchNormMode::Train).logits;
            let loss = targets.cross_entropy(&logits, *label_smoothing, Reduction::Mean);
            LossAndLogits { loss: soft_targets.distillation_loss(loss, &logits), logits }
        }
        Method::Trades => trades::loss(network, clean, &images, targets, &config.training),
    };

    // Descent. With AWP, the gradient is taken at perturbed weights.
    let perturbed = awp.as_ref().filter(|awp| epoch > awp.warmup_epochs);
    let perturbation = perturbed.map(|awp| awp::perturb(network, awp.gamma, || compute_loss().loss));
    let LossAndLogits { loss, logits } = compute_loss();
    let mut gradients = Tensor::run_backward(&[&loss], network.parameters(), false, false);
    if let Some(limit) = *gradient_clip {
        optim::clip_gradients(&mut gradients, limit);
    }
    optimizer.step(network.parameters(), &gradients, learning_rate);
    if let Some(perturbation) = perturbation {
        perturbation.undo();
    }
    if let Some(average) = average {
        average.update(network, epoch);
    }
    Ok(logits)
}

/// The loss of a step, and the logits of the images trained on.
struct LossAndLogits {
    loss: Tensor,
    logits: Tensor,
}
/// Measures the network on all splits after an epoch.
fn evaluate(
    config: &TrainConfig,
    data: &Data,
    network: &Network,
    epoch: u32,
    cancel: &Cancel,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<Evaluation, Error> {
    let attack = Attack::to_measure(&config.measuring_attack());
    let attacked = EvalInputs::Attacked { attack: &attack, seed: config.seed };
    let mut progress = |step, steps| observe(Event::Batch { phase: Phase::Evaluating, epoch, step, steps });
    let probe = LinearProbe::penultimate(network);
    let mut samples = Vec::new();
    let mut test = |inputs, measured| -> Result<Measurement, Error> {
        if !config.attribution.inputs.contains(&inputs) {
            return measure(network, &data.test, measured, cancel, &mut progress);
        }
        let (measurement, seen) = measure_samples(network, &probe, &data.test, measured, cancel, &mut progress)?;
        samples.push((inputs, seen));
        Ok(measurement)
    };
    let (test_clean, test_robust) = (test(Inputs::Clean, EvalInputs::Clean)?, test(Inputs::Adversarial, attacked)?);
    let mut measure = |split, measured| measure(network, split, measured, cancel, &mut progress);
    let train_clean = measure(&data.train, EvalInputs::Clean)?;
    let holdout_robust = data.holdout.as_ref().map(|holdout| measure(holdout, attacked)).transpose()?;
    Ok(Evaluation { train_clean, test_clean, test_robust, holdout_robust, samples })
}

/// Sums of loss and correct predictions in an epoch. They stay on the device, so that no batch waits for the
/// CPU.
struct Tally {
    loss: Tensor,
    correct: Tensor,
    samples: i64,
}

impl Tally {
    fn new(network: &Network) -> Self {
        let zero = || Tensor::zeros([0i64; 0], (Kind::Double, network.device()));
        Tally { loss: zero(), correct: zero(), samples: 0 }
    }

    fn add(&mut self, targets: &Targets, logits: &Tensor) {
        let samples = logits.size()[0];
        no_grad(|| {
            self.loss += targets.cross_entropy(logits, 0.0, Reduction::Mean).to_kind(Kind::Double) * samples as f64;
            self.correct += targets.correct(logits);
        });
        self.samples += samples;
    }

    /// Returns mean loss and accuracy.
    fn means(&self) -> (f64, f64) {
        let samples = self.samples as f64;
        (self.loss.double_value(&[]) / samples, self.correct.double_value(&[]) / samples)
    }
}
