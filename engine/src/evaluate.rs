//! Measures a network on a set of images: loss, confusion matrix, and the features and predictions that
//! attributions are computed from. All come from the same forward passes.

use shared::config::BatchNormMode;
use shared::record::BrokenGradients;
use tch::{Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack, Perturbed};
use crate::attribution::Samples;
use crate::data::Split;
use crate::kept::{Batch, Kept, joined, joined_broken_gradients, seconds};
use crate::linear_probe::LinearProbe;
use crate::model::{Network, Output};
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
    /// Images whose first gradient cannot lead the attack. `None` if there are none, or nothing was attacked.
    pub broken_gradients: Option<BrokenGradients>,
    /// Duration of the measurement, including the attack.
    pub seconds: f64,
}

impl Measurement {
    /// Returns the number of samples.
    pub fn images(&self) -> u32 {
        self.confusion.iter().flatten().sum()
    }

    /// Returns the number of samples that were classified correctly.
    pub fn correct(&self) -> u32 {
        (0..).zip(&self.confusion).map(|(class, row)| row[class]).sum()
    }

    /// Returns the fraction of all samples that were classified correctly.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct()) / f64::from(self.images())
    }

    /// Returns the fraction of correctly classified samples in each class. 0 for a class without samples.
    pub fn class_accuracy(&self) -> Vec<f64> {
        let fraction = |class: usize, row: &[u32]| f64::from(row[class]) / f64::from(row.iter().sum::<u32>().max(1));
        (0..).zip(&self.confusion).map(|(class, row)| fraction(class, row)).collect()
    }
}

/// Computes the tensors to keep of a batch from images, `[B, C, H, W]`, and labels, `[B]`.
pub(crate) type RunBatch<'a> = &'a mut dyn FnMut(&Tensor, &Tensor) -> Result<Vec<Tensor>, Error>;

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
    kept: &mut Kept,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<Measurement, Error> {
    let batches = for_each_batch(network, split, inputs, BATCH_SIZE, kept, progress, &mut |images, labels| {
        let logits = network.finite(network.forward(images, BatchNormMode::Eval).logits)?;
        Ok(vec![loss(&logits, labels), logits.argmax(1, false)])
    })?;
    Ok(measurement(network, split, batches))
}

/// Measures like [`measure`], and also returns the samples that attributions are computed from.
pub fn measure_samples(
    network: &Network,
    probe: &LinearProbe,
    split: &Split,
    inputs: EvalInputs<'_>,
    kept: &mut Kept,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<(Measurement, Samples), Error> {
    measure_samples_in_batches(network, probe, split, inputs, BATCH_SIZE, kept, progress)
}

/// Like [`measure_samples`], with a given batch size.
pub fn measure_samples_in_batches(
    network: &Network,
    probe: &LinearProbe,
    split: &Split,
    inputs: EvalInputs<'_>,
    batch_size: i64,
    kept: &mut Kept,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<(Measurement, Samples), Error> {
    let batches = for_each_batch(network, split, inputs, batch_size, kept, progress, &mut |images, labels| {
        let Output { features, logits } = probe.output(network, images);
        let logits = network.finite(logits)?;
        Ok(vec![loss(&logits, labels), logits.argmax(1, false), features])
    })?;
    let samples = Samples {
        features: joined(batches, 2),
        labels: split.labels.shallow_clone(),
        predictions: joined(batches, 1),
        weight: probe.weight().shallow_clone(),
        bias: probe.bias().shallow_clone(),
    };
    Ok((measurement(network, split, batches), samples))
}

/// Passes every image of `split` once to `run`, in order, batch by batch, attacked if `inputs` says so.
///
/// Autograd is off while `run` runs. Returns what all batches gave.
pub(crate) fn for_each_batch<'a>(
    network: &Network,
    split: &Split,
    inputs: EvalInputs<'_>,
    batch_size: i64,
    kept: &'a mut Kept,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    run: RunBatch<'_>,
) -> Result<&'a [Batch], Error> {
    match inputs {
        EvalInputs::Clean => for_each_batch_from(network, split, None, batch_size, kept, progress, run),
        EvalInputs::Attacked { attack, seed } => {
            let start = attack_starts(split, attack, seed);
            for_each_batch_from(network, split, Some((attack, &start)), batch_size, kept, progress, run)
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
pub(crate) fn for_each_batch_from<'a>(
    network: &Network,
    split: &Split,
    attack: Option<(&Attack, &Tensor)>,
    batch_size: i64,
    kept: &'a mut Kept,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    run: RunBatch<'_>,
) -> Result<&'a [Batch], Error> {
    let begun = kept.reached();
    let steps = (split.len() as u32).div_ceil(batch_size as u32);
    for step in 0..steps {
        kept.batch(|stop| {
            let first = i64::from(step) * batch_size;
            let length = batch_size.min(split.len() - first);
            let (images, labels) = split.narrow(first, length);
            let Perturbed { images, broken_gradients } = match attack {
                Some((attack, start)) => attack::perturb(network, &images, &labels, &start.narrow(0, first, length), attack, stop)?,
                None => Perturbed { images, broken_gradients: None },
            };
            let tensors = no_grad(|| run(&images, &labels)).map_err(|error| error.in_batch(step + 1))?;
            Ok((tensors, broken_gradients))
        })?;
        progress(step + 1, steps)?;
    }
    Ok(kept.since(begun))
}

/// Returns the sum of the cross-entropies of a batch, in float64.
fn loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    attack::cross_entropy(&logits.to_kind(Kind::Double), labels, Reduction::Sum)
}

/// Counts the images of batches whose first gradient cannot lead the attack. `None` if there are none.
pub(crate) fn broken_gradients(batches: &[Batch]) -> Option<BrokenGradients> {
    joined_broken_gradients(batches).and_then(|found| attack::broken_gradients(&found).if_any())
}

/// Adds up batches whose first tensors are the sum of the losses and the predictions.
fn measurement(network: &Network, split: &Split, batches: &[Batch]) -> Measurement {
    let classes = network.classes();
    let mut loss = Tensor::zeros([0i64; 0], (Kind::Double, network.device()));
    batches.iter().for_each(|batch| loss += &batch.tensors[0]);
    let pairs = &split.labels * classes + joined(batches, 1);
    let confusion: Vec<i64> = Vec::try_from(pairs.bincount(None::<Tensor>, classes * classes)).expect("a list of whole numbers");
    let samples: i64 = confusion.iter().sum();
    Measurement {
        loss: loss.double_value(&[]) / samples as f64,
        confusion: confusion.chunks(classes as usize).map(|row| row.iter().map(|count| *count as u32).collect()).collect(),
        broken_gradients: broken_gradients(batches),
        seconds: seconds(batches),
    }
}
