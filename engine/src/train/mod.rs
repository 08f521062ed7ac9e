//! Training: standard, adversarial (Madry et al. 2018), and extensions of it. Each extension has its own
//! file.

mod averaging;
mod awp;
mod cas_term;
mod distillation;
mod left_out;
mod overfitting;
mod state;
mod tally;
mod targets;
mod trades;

use std::path::Path;

use shared::config::{BatchNormMode, Inputs, Method, TrainConfig, TrainingConfig};
use shared::record::Phase;
use tch::{Device, Reduction, Tensor};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::Samples;
use crate::data::{Data, augment, batches};
use crate::evaluate::{EvalInputs, Measurement, measure, measure_samples};
use crate::kept::Kept;
use crate::linear_probe::LinearProbe;
use crate::model::{Buffers, Output};
use crate::optim;
use crate::random::{self, Purpose, Seed};
use crate::stop::Stop;
pub use cas_term::batch_cas;
pub use distillation::Teachers;
pub use overfitting::catastrophic_overfitting;
pub use state::{Snapshot, State};
pub use targets::{Targets, mix_with};

/// Progress reports of [`fit`].
#[derive(Debug)]
pub enum Event<'a> {
    /// A batch was trained on or evaluated. `step` counts from 1 to `steps`. Training continues from `state`.
    Batch { phase: Phase, epoch: u32, step: u32, steps: u32, state: &'a State },
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
/// Continues after the last step of `state`. Calls `observe` after each batch and at the end of each epoch. If
/// `observe` returns an error, training stops with that error. Batches of an evaluation that was stopped are
/// kept in the file `kept`, if given.
///
/// The paper's recipe is PreActResNet-18 on CIFAR-10, PGD-10 with eps 8/255, 200 epochs with batch size 128,
/// learning rate 0.1 divided by 10 at epochs 100 and 150. It reports 47.8 % robust accuracy (PGD-20) at the
/// best epoch and 42.5 % at the last. `docs/performance.md` lists the time per step.
///
/// # Errors
///
/// `Error::Diverged` if the loss is infinite or NaN, `Error::Stopped` after a stop request. `state` is then that
/// after the last complete step.
pub fn fit(
    config: &TrainConfig,
    data: &Data,
    teachers: &Teachers,
    state: &mut State,
    kept: Option<&Path>,
    stop: &Stop,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let training_attack = Attack::for_training(config);
    let batches = batches(data.train.len(), i64::from(config.training.batch_size));
    let steps = batches.len() as u32;

    for epoch in state.epoch + 1..=config.training.epochs {
        let order = random::draw(Seed { run: config.seed, purpose: Purpose::Order, epoch, step: 0 }, || data.train.shuffled_order());
        let learning_rate = |step: u32| config.training.learning_rate_at(f64::from(epoch - 1) + f64::from(step - 1) / f64::from(steps));

        for (step, batch) in (1..).zip(&batches).skip(state.step as usize) {
            // Draw images, augmentation, mixup and the start of the attack, all from (seed, epoch, step).
            stop.check()?;
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
            let logits = train_step(&batch, config, teachers, state, learning_rate(step), stop)?;
            state.tally.add(&batch.targets, &logits);
            state.step = step;
            observe(Event::Batch { phase: Phase::Training, epoch, step, steps, state })?;
        }

        // Evaluate the network and report the epoch.
        let (train_loss, train_accuracy) = state.tally.means();
        if !train_loss.is_finite() {
            return Err(Error::Diverged { epoch });
        }
        let evaluation = match config.evaluates_epoch(epoch) {
            true => Some(evaluate(config, data, state, epoch, kept, stop, observe).map_err(|error| match error {
                Error::NotFinite { .. } => Error::Diverged { epoch },
                error => error,
            })?),
            false => None,
        };
        let train_robust_accuracy = config.training.method.facts().adversarial.then_some(train_accuracy);
        let report = EpochReport { epoch, learning_rate: learning_rate(steps), train_loss, train_robust_accuracy, evaluation };
        state.complete_epoch();
        observe(Event::Epoch { report: &report, state })?;
    }
    Ok(())
}

/// Trains on one batch. Returns the logits, `[N, K]`, that the loss of the step was computed from.
///
/// A step that is stopped leaves `state` as it was.
pub fn train_step(
    batch: &Batch,
    config: &TrainConfig,
    teachers: &Teachers,
    state: &mut State,
    learning_rate: f64,
    stop: &Stop,
) -> Result<Tensor, Error> {
    let TrainingConfig { method, label_smoothing, cas_weight, awp, gradient_clip, .. } = &config.training;
    let cas_weight = cas_weight.unwrap_or_default();
    let State { epoch: complete, network, optimizer, average, graphs, left_out, .. } = state;
    let Batch { images: clean, targets, start } = batch;
    let epoch = *complete + 1;
    let attack = Attack::for_training(config);

    // Attack. On a CPU this can take minutes and is stopped within; its passes may have changed the running
    // statistics, which are then taken back. Elsewhere a step ends before a copy of them would be worth it.
    let never = Stop::default();
    let (buffers, stop) = match network.device() {
        Device::Cpu => (Some(network.buffers()), stop),
        _ => (None, &never),
    };
    let attacked = match method {
        Method::Standard => Ok(clean.shallow_clone()),
        Method::PgdAt | Method::FastAt => match targets.labels() {
            Some(labels) => graphs.run([clean, start, labels], |[clean, start, labels]| {
                attack::ascend(network, clean, start, &attack, stop, &|logits| attack::cross_entropy(logits, labels, Reduction::Sum))
            }),
            None => attack::ascend(network, clean, start, &attack, stop, &|logits| targets.cross_entropy(logits, 0.0, Reduction::Sum)),
        },
        Method::Trades => graphs.run([clean, start], |[clean, start]| trades::perturb(network, clean, start, &attack, stop)),
    };
    let images = attacked.inspect_err(|_| buffers.into_iter().for_each(Buffers::restore))?;

    // Loss.
    let soft_targets = teachers.soft_targets(&images);
    let compute_loss = || {
        let network = network.cast(config.precision);
        let (loss, Output { features, logits }) = match method {
            Method::Standard | Method::PgdAt | Method::FastAt => {
                let output = network.forward(&images, BatchNormMode::Train);
                let loss = targets.cross_entropy(&output.logits, *label_smoothing, Reduction::Mean);
                (soft_targets.distillation_loss(loss, &output.logits), output)
            }
            Method::Trades => trades::loss(&network, clean, &images, targets, &config.training),
        };
        let loss = match targets.labels() {
            Some(labels) if cas_weight != 0.0 => loss - batch_cas(&features, network.linear_weight(), labels) * cas_weight,
            _ => loss,
        };
        LossAndLogits { loss, logits }
    };

    // Descent. With AWP, the gradient is taken at perturbed weights.
    let perturbed = awp.as_ref().filter(|awp| epoch > awp.warmup_epochs);
    let perturbation = perturbed.map(|awp| awp::perturb(network, awp.gamma, left_out.as_ref(), || compute_loss().loss));
    let LossAndLogits { loss, logits } = compute_loss();
    let mut gradients = Tensor::run_backward(&[&loss], network.parameters(), false, false);
    if let Some(left_out) = left_out {
        left_out.mask(network.parameters(), &gradients);
    }
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
/// Measures the network on all splits after the steps of an epoch.
fn evaluate(
    config: &TrainConfig,
    data: &Data,
    state: &State,
    epoch: u32,
    kept: Option<&Path>,
    stop: &Stop,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<Evaluation, Error> {
    let network = state.evaluated_after(epoch);
    let mut kept = match kept {
        Some(path) => {
            let belongs_to = format!("epoch {epoch} with weights {} of {}", network.fingerprint(), state::comparable(config));
            Kept::in_file(stop, path, belongs_to, network.device())?
        }
        None => Kept::in_memory(stop),
    };
    let attack = Attack::of_evaluation(config);
    let attacked = EvalInputs::Attacked { attack: &attack, seed: config.seed };
    let mut progress = |step, steps| observe(Event::Batch { phase: Phase::Evaluating, epoch, step, steps, state });
    let probe = LinearProbe::penultimate(network);
    let mut samples = Vec::new();
    let mut test = |inputs, measured| -> Result<Measurement, Error> {
        if !config.attribution.inputs.contains(&inputs) {
            return measure(network, &data.test, measured, &mut kept, &mut progress);
        }
        let (measurement, seen) = measure_samples(network, &probe, &data.test, measured, &mut kept, &mut progress)?;
        samples.push((inputs, seen));
        Ok(measurement)
    };
    let (test_clean, test_robust) = (test(Inputs::Clean, EvalInputs::Clean)?, test(Inputs::Adversarial, attacked)?);
    let mut measure = |split, measured| measure(network, split, measured, &mut kept, &mut progress);
    let train_clean = measure(&data.train, EvalInputs::Clean)?;
    let holdout_robust = data.holdout.as_ref().map(|holdout| measure(holdout, attacked)).transpose()?;
    Ok(Evaluation { train_clean, test_clean, test_robust, holdout_robust, samples })
}
