//! Measures a network on a set of images: loss, confusion matrix, and the features and predictions that
//! attributions are computed from. All come from the same forward passes.

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

/// Images in a forward pass: enough to use a GPU well, few enough for the memory of a laptop.
pub const BATCH_SIZE: i64 = 250;

/// Loss and predictions of a network on a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Mean cross-entropy over all images.
    pub loss: f64,
    /// Number of samples of class i that were predicted as class j, `[K][K]`.
    pub confusion: Vec<Vec<u32>>,
    /// Duration of the measurement, including the attack.
    pub seconds: f64,
}

impl Measurement {
    /// Returns the fraction of all samples that were classified correctly.
    pub fn accuracy(&self) -> f64 {
        let correct: u32 = (0..).zip(&self.confusion).map(|(class, row)| row[class]).sum();
        f64::from(correct) / f64::from(self.confusion.iter().flatten().sum::<u32>())
    }

    /// Returns the fraction of correctly classified samples in each class. 0 for a class without samples.
    pub fn class_accuracy(&self) -> Vec<f64> {
        let fraction = |class: usize, row: &[u32]| f64::from(row[class]) / f64::from(row.iter().sum::<u32>().max(1));
        (0..).zip(&self.confusion).map(|(class, row)| fraction(class, row)).collect()
    }
}

/// Inputs of a measurement: the images as they are, or attacked images.
#[derive(Clone, Copy, Debug)]
pub enum EvalInputs<'a> {
    Clean,
    /// Images under an attack. Random starts depend only on `seed`, so a curve over epochs shows only changes
    /// of the network.
    Attacked {
        attack: &'a Attack,
        seed: u32,
    },
}

/// Measures `network` on `split` in evaluation mode.
///
/// Calls `progress` after each batch with the number of batches done and their total. The batch size changes
/// the result only by rounding.
pub fn measure(
    network: &Network,
    split: &Split,
    inputs: EvalInputs<'_>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<Measurement, Error> {
    let mut tally = Tally::new(network);
    for_each_batch(network, split, inputs, BATCH_SIZE, cancel, progress, &mut |images, labels| {
        let logits = network.forward(images, BatchNormMode::Eval).logits;
        tally.add(&logits, &logits.argmax(1, false), labels);
    })?;
    Ok(tally.measurement())
}

/// Measures like [`measure`], and also returns the samples that attributions are computed from.
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

/// Like [`measure_samples`], with a given batch size.
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
    for_each_batch(network, split, inputs, batch_size, cancel, progress, &mut |images, labels| {
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

/// Passes every image of `split` once to `run`, in order, batch by batch, attacked if `inputs` says so.
///
/// `run` receives images, `[B, C, H, W]`, and labels, `[B]`. Autograd is off while it runs.
pub fn for_each_batch(
    network: &Network,
    split: &Split,
    inputs: EvalInputs<'_>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    run: &mut dyn FnMut(&Tensor, &Tensor),
) -> Result<(), Error> {
    match inputs {
        EvalInputs::Clean => for_each_batch_from(network, split, None, batch_size, cancel, progress, run),
        EvalInputs::Attacked { attack, seed } => {
            let start = attack_starts(split, attack, seed);
            for_each_batch_from(network, split, Some((attack, &start)), batch_size, cancel, progress, run)
        }
    }
}

/// Returns the start of the attack on each image, `[N, C, H, W]`.
///
/// Draws for the whole split at once, so that the batch size does not change the starts.
pub fn attack_starts(split: &Split, attack: &Attack, seed: u32) -> Tensor {
    random::draw(Seed::once(seed, Purpose::Evaluation), || attack.start(&split.images()))
}

/// Like [`for_each_batch`], with given starts of the attack, `[N, C, H, W]`.
///
/// A subset of a split can then be attacked exactly as within the whole split.
pub fn for_each_batch_from(
    network: &Network,
    split: &Split,
    attack: Option<(&Attack, &Tensor)>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    run: &mut dyn FnMut(&Tensor, &Tensor),
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
        no_grad(|| run(&images, &labels));
        progress(step + 1, steps)?;
    }
    Ok(())
}

/// Sums of loss and confusion. They stay on the device, in float64 and int64.
struct Tally {
    begun: Instant,
    classes: i64,
    loss: Tensor,
    /// Row-major `[K · K]`.
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
