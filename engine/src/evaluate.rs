//! Measures a network on a set of images: loss, which class is taken for which, and what attributions are computed from, all from the
//! same forward passes.

use std::time::Instant;

use shared::config::BatchNormMode;
use tch::{Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::Samples;
use crate::cancel::Cancel;
use crate::data::Split;
use crate::linear_probe::LinearProbe;
use crate::model::Network;
use crate::random::{self, Purpose, Seed};

/// Images per forward pass: enough to fill a GPU, few enough for the memory of a laptop.
pub const BATCH_SIZE: i64 = 250;

/// What a network does on a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Samples of class i predicted as class j: `[K][K]`.
    pub confusion: Vec<Vec<u32>>,
    /// What the measurement took.
    pub seconds: f64,
}

impl Measurement {
    /// The fraction of all samples classified correctly.
    pub fn accuracy(&self) -> f64 {
        let correct: u32 = (0..).zip(&self.confusion).map(|(class, row)| row[class]).sum();
        f64::from(correct) / f64::from(self.confusion.iter().flatten().sum::<u32>())
    }

    /// The fraction of each class's samples classified correctly; 0 for a class without samples.
    pub fn class_accuracy(&self) -> Vec<f64> {
        let fraction = |class: usize, row: &[u32]| f64::from(row[class]) / f64::from(row.iter().sum::<u32>().max(1));
        (0..).zip(&self.confusion).map(|(class, row)| fraction(class, row)).collect()
    }
}

/// The inputs to measure on.
#[derive(Clone, Copy, Debug)]
pub enum EvalInputs<'a> {
    Clean,
    /// Attacked images. The random starts depend on `seed` alone, not on the epoch, so a curve shows how the network changes.
    Attacked {
        attack: &'a Attack,
        seed: u32,
    },
}

/// Measures `network` on `split` in evaluation mode; `progress` is told batches done and their number.
///
/// The result does not depend on the size of batches but for rounding.
pub fn measure(
    network: &Network,
    split: &Split,
    inputs: EvalInputs<'_>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<Measurement, Error> {
    let mut tally = Tally::new(network);
    visit(network, split, inputs, BATCH_SIZE, cancel, progress, &mut |images, labels| {
        let logits = network.forward(images, BatchNormMode::Eval).logits;
        tally.add(&logits, &logits.argmax(1, false), labels);
    })?;
    Ok(tally.measurement())
}

/// As [`measure`], and keeps what attributions are computed from.
pub fn measure_samples(
    network: &Network,
    probe: &LinearProbe,
    split: &Split,
    inputs: EvalInputs<'_>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<(Measurement, Samples), Error> {
    measure_samples_in_batches(network, probe, split, inputs, BATCH_SIZE, cancel, progress)
}

/// As [`measure_samples`], with a size of batches.
pub fn measure_samples_in_batches(
    network: &Network,
    probe: &LinearProbe,
    split: &Split,
    inputs: EvalInputs<'_>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<(Measurement, Samples), Error> {
    let mut tally = Tally::new(network);
    let (mut features, mut predictions) = (Vec::new(), Vec::new());
    visit(network, split, inputs, batch_size, cancel, progress, &mut |images, labels| {
        let output = probe.output(network, images);
        let predicted = output.logits.argmax(1, false);
        tally.add(&output.logits, &predicted, labels);
        predictions.push(predicted);
        features.push(output.features);
    })?;
    let samples = Samples {
        features: Tensor::cat(&features, 0),
        labels: split.labels.shallow_clone(),
        predictions: Tensor::cat(&predictions, 0),
        weight: probe.weight().shallow_clone(),
    };
    Ok((tally.measurement(), samples))
}

/// Shows every image of `split` once, in order and batch by batch, as `inputs` says; no gradients are recorded meanwhile.
pub fn visit(
    network: &Network,
    split: &Split,
    inputs: EvalInputs<'_>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    see: &mut dyn FnMut(&Tensor, &Tensor),
) -> Result<(), Error> {
    match inputs {
        EvalInputs::Clean => visit_from(network, split, None, batch_size, cancel, progress, see),
        EvalInputs::Attacked { attack, seed } => {
            let start = starts(split, attack, seed);
            visit_from(network, split, Some((attack, &start)), batch_size, cancel, progress, see)
        }
    }
}

/// Where the attack on each image starts: drawn for the whole set at once, as batch by batch the starts would depend on the batches.
pub fn starts(split: &Split, attack: &Attack, seed: u32) -> Tensor {
    random::draw(Seed::once(seed, Purpose::Evaluation), || attack.start(&split.images()))
}

/// As [`visit`], under an attack that starts where it is told, `[N, C, H, W]`: images chosen from a set are then attacked as in all of it.
pub fn visit_from(
    network: &Network,
    split: &Split,
    attack: Option<(&Attack, &Tensor)>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    see: &mut dyn FnMut(&Tensor, &Tensor),
) -> Result<(), Error> {
    let steps = (split.len() as u32).div_ceil(batch_size as u32);
    for step in 0..steps {
        cancel.check()?;
        let first = i64::from(step) * batch_size;
        let length = batch_size.min(split.len() - first);
        let (mut images, labels) = split.narrow(first, length);
        if let Some((attack, start)) = attack {
            images = attack::perturb(network, &images, &labels, &start.narrow(0, first, length), attack, cancel)?;
        }
        no_grad(|| see(&images, &labels));
        progress(step + 1, steps)?;
    }
    Ok(())
}

/// Loss and confusion, added up on the device in float64 and whole numbers.
struct Tally {
    begun: Instant,
    classes: i64,
    loss: Tensor,
    /// `[K K]`.
    confusion: Tensor,
}

impl Tally {
    fn new(network: &Network) -> Self {
        let (classes, device) = (network.classes(), network.device());
        Tally {
            begun: Instant::now(),
            classes,
            loss: Tensor::zeros([0i64; 0], (Kind::Double, device)),
            confusion: Tensor::zeros([classes * classes], (Kind::Int64, device)),
        }
    }

    fn add(&mut self, logits: &Tensor, predictions: &Tensor, labels: &Tensor) {
        self.loss += attack::cross_entropy(&logits.to_kind(Kind::Double), labels, Reduction::Sum);
        self.confusion += (labels * self.classes + predictions).bincount(None::<Tensor>, self.classes * self.classes);
    }

    fn measurement(&self) -> Measurement {
        let confusion: Vec<i64> = Vec::try_from(&self.confusion).expect("a list of whole numbers");
        let samples: i64 = confusion.iter().sum();
        Measurement {
            loss: self.loss.double_value(&[]) / samples as f64,
            confusion: confusion.chunks(self.classes as usize).map(|row| row.iter().map(|count| *count as u32).collect()).collect(),
            seconds: self.begun.elapsed().as_secs_f64(),
        }
    }
}
