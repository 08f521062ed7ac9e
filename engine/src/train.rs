//! Training: standard, and adversarial as Madry et al. 2018 and the paper have it.

use shared::config::{BatchNormMode, Inputs, Method, TrainConfig};
use shared::record::Phase;
use tch::{Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::Samples;
use crate::cancel::Cancel;
use crate::data::{Data, augment, batches};
use crate::evaluate::{Measured, Measurement, measure, measure_samples};
use crate::model::Network;
use crate::optim::Sgd;
use crate::random::{self, Purpose, Seed};
use crate::read_out::ReadOut;

/// What [`fit`] reports as it goes.
#[derive(Debug)]
pub enum Event<'a> {
    /// A batch is done.
    Batch { phase: Phase, epoch: u32, step: u32, steps: u32 },
    /// An epoch is done; the network is as it is at its end.
    Epoch(&'a EpochReport),
}

/// What was measured of one epoch.
#[derive(Clone, Debug)]
pub struct EpochReport {
    /// From 1.
    pub epoch: u32,
    pub learning_rate: f64,
    /// Mean cross-entropy of the images trained on, as they were when trained on.
    pub train_loss: f64,
    /// On those same images where they were adversarial.
    pub train_robust_accuracy: Option<f64>,
    /// Absent in epochs without evaluation.
    pub evaluation: Option<Evaluation>,
}

/// A network on clean training images and on the images it is tested with.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// On training images without augmentation, with the labels trained on.
    pub train_clean: Measurement,
    pub test_clean: Measurement,
    pub test_robust: Measurement,
    pub holdout_robust: Option<Measurement>,
    /// What attributions are computed from, of the test images, for each kind of inputs that the configuration asks for.
    pub samples: Vec<(Inputs, Samples)>,
}

/// Trains `network` on `data` for every epoch of `config`, and evaluates it where the configuration asks for it.
///
/// The last event of an epoch is its report. An error from `observe` ends training and is returned.
pub fn fit(
    config: &TrainConfig,
    data: &Data,
    network: &Network,
    cancel: &Cancel,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let training_attack = Attack::for_training(config);
    let mut optimizer = Sgd::new(&config.training);
    let batches = batches(data.train.len(), i64::from(config.training.batch_size));
    let steps = batches.len() as u32;

    for epoch in 1..=config.training.epochs {
        let learning_rate = config.training.learning_rate_at(f64::from(epoch - 1));
        let order = random::draw(Seed { run: config.seed, purpose: Purpose::Order, epoch, step: 0 }, || data.train.shuffled_order());
        let mut tally = Tally::new(network);

        for (step, batch) in (1..).zip(&batches) {
            cancel.check()?;
            let (images, labels) = data.train.select(&order.narrow(0, batch.start, batch.end - batch.start));
            let seed = Seed { run: config.seed, purpose: Purpose::Step, epoch, step };
            let (images, start) = random::draw(seed, || {
                let images = if config.data.augment { augment::crop_and_flip(&images, data.info.id) } else { images };
                let start = training_attack.start(&images);
                (images, start)
            });
            let images = match config.training.method {
                Method::Standard => images,
                Method::PgdAt | Method::Trades | Method::FastAt => {
                    attack::perturb(network, &images, &labels, &start, &training_attack, cancel)?
                }
            };

            let logits = network.forward(&images, BatchNormMode::Train).logits;
            let loss = attack::cross_entropy(&logits, &labels, Reduction::Mean);
            let gradients = Tensor::run_backward(&[&loss], network.parameters(), false, false);
            optimizer.step(network.parameters(), gradients, learning_rate);

            tally.add(&loss, &logits, &labels);
            observe(Event::Batch { phase: Phase::Training, epoch, step, steps })?;
        }

        let (train_loss, train_accuracy) = tally.means();
        if !train_loss.is_finite() {
            return Err(Error::Diverged { epoch });
        }
        let evaluation = match config.evaluates_epoch(epoch) {
            true => Some(evaluate(config, data, network, epoch, cancel, observe)?),
            false => None,
        };
        let finite = |evaluation: &Evaluation| evaluation.test_clean.loss.is_finite() && evaluation.test_robust.loss.is_finite();
        if !evaluation.as_ref().is_none_or(finite) {
            return Err(Error::Diverged { epoch });
        }
        let train_robust_accuracy = (config.training.method != Method::Standard).then_some(train_accuracy);
        observe(Event::Epoch(&EpochReport { epoch, learning_rate, train_loss, train_robust_accuracy, evaluation }))?;
    }
    Ok(())
}

fn evaluate(
    config: &TrainConfig,
    data: &Data,
    network: &Network,
    epoch: u32,
    cancel: &Cancel,
    observe: &mut dyn FnMut(Event<'_>) -> Result<(), Error>,
) -> Result<Evaluation, Error> {
    let attack = Attack::to_measure(&config.measuring_attack());
    let attacked = Measured::Attacked { attack: &attack, seed: config.seed };
    let mut progress = |step, steps| observe(Event::Batch { phase: Phase::Evaluating, epoch, step, steps });
    let read_out = ReadOut::penultimate(network);
    let mut samples = Vec::new();
    let mut test = |inputs, measured| -> Result<Measurement, Error> {
        if !config.attribution.inputs.contains(&inputs) {
            return measure(network, &data.test, measured, cancel, &mut progress);
        }
        let (measurement, seen) = measure_samples(network, &read_out, &data.test, measured, cancel, &mut progress)?;
        samples.push((inputs, seen));
        Ok(measurement)
    };
    let (test_clean, test_robust) = (test(Inputs::Clean, Measured::Clean)?, test(Inputs::Adversarial, attacked)?);
    let mut measure = |split, measured| measure(network, split, measured, cancel, &mut progress);
    let train_clean = measure(&data.train, Measured::Clean)?;
    let holdout_robust = data.holdout.as_ref().map(|holdout| measure(holdout, attacked)).transpose()?;
    Ok(Evaluation { train_clean, test_clean, test_robust, holdout_robust, samples })
}

/// Loss and hits of an epoch, added up on the device so that no batch waits for the CPU.
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

    /// `loss`: the mean over the batch.
    fn add(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) {
        let samples = labels.size()[0];
        no_grad(|| {
            self.loss += loss.to_kind(Kind::Double) * samples as f64;
            self.correct += logits.argmax(1, false).eq_tensor(labels).sum(Kind::Double);
        });
        self.samples += samples;
    }

    /// Mean loss and accuracy.
    fn means(&self) -> (f64, f64) {
        let samples = self.samples as f64;
        (self.loss.double_value(&[]) / samples, self.correct.double_value(&[]) / samples)
    }
}
