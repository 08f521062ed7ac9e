//! Measures a network on a set of images: loss, accuracy by class, and attribution, all from the same forward passes.

use std::time::Instant;

use shared::config::BatchNormMode;
use tch::{Kind, Reduction, Tensor, no_grad};

use crate::Error;
use crate::attack::{self, Attack};
use crate::attribution::{ClassMeans, ClassSums};
use crate::cancel::Cancel;
use crate::data::Split;
use crate::model::Network;
use crate::random::{self, Purpose, Seed};

/// Images per forward pass: enough to fill a GPU, few enough for the memory of a laptop.
const BATCH_SIZE: i64 = 250;

/// What a network does on a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Mean cross-entropy.
    pub loss: f64,
    pub classes: ClassMeans,
    /// What the measurement took.
    pub seconds: f64,
}

impl Measurement {
    pub fn accuracy(&self) -> f64 {
        self.classes.overall_accuracy()
    }
}

/// Which inputs to measure on.
#[derive(Clone, Copy, Debug)]
pub enum Measured<'a> {
    Clean,
    /// Under an attack whose random starts are drawn from the seed, the same for every epoch, so that curves show the network.
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
    measured: Measured<'_>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<Measurement, Error> {
    measure_in_batches(network, split, measured, BATCH_SIZE, cancel, progress)
}

/// As [`measure`], with a size of batches.
pub fn measure_in_batches(
    network: &Network,
    split: &Split,
    measured: Measured<'_>,
    batch_size: i64,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
) -> Result<Measurement, Error> {
    let begun = Instant::now();
    // For the whole set at once: drawn batch by batch, the starts would depend on the batches.
    let start = match measured {
        Measured::Clean => None,
        Measured::Attacked { attack, seed } => {
            Some((attack, random::draw(Seed::once(seed, Purpose::Evaluation), || attack.start(&split.images()))))
        }
    };
    let mut sums = ClassSums::new(network.classes(), i64::from(network.feature_dim()), network.device());
    let mut loss = Tensor::zeros([0i64; 0], (Kind::Double, network.device()));
    let steps = (split.len() as u32).div_ceil(batch_size as u32);
    for step in 0..steps {
        cancel.check()?;
        let first = i64::from(step) * batch_size;
        let length = batch_size.min(split.len() - first);
        let (mut images, labels) = split.narrow(first, length);
        if let Some((attack, start)) = &start {
            images = attack::perturb(network, &images, &labels, &start.narrow(0, first, length), attack, cancel)?;
        }
        no_grad(|| {
            let output = network.forward(&images, BatchNormMode::Eval);
            loss += attack::cross_entropy(&output.logits.to_kind(Kind::Double), &labels, Reduction::Sum);
            sums.add(&output, network.linear_weight(), &labels);
        });
        progress(step + 1, steps)?;
    }
    Ok(Measurement { loss: loss.double_value(&[]) / split.len() as f64, classes: sums.means(), seconds: begun.elapsed().as_secs_f64() })
}
