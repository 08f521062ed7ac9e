//! Linear probes: features of a layer, and the linear map from them to logits.
//!
//! For the penultimate layer, the map is the network's own W. For an earlier stage, it is fitted.

use shared::config::BatchNormMode;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::data::Split;
use crate::evaluate::{EvalInputs, for_each_batch};
use crate::kept::Kept;
use crate::model::{Network, Output};

/// Ridge penalty as a fraction of the mean diagonal entry of S_xx. It decides between equal features and
/// barely changes the others.
const RIDGE: f64 = 1e-3;

/// A layer of a network, and the linear map W from its features to logits.
#[derive(Debug)]
pub struct LinearProbe {
    /// Number of the stage, from 1. `None` for the penultimate features.
    stage: Option<u32>,
    weight: Tensor,
    bias: Tensor,
}

impl LinearProbe {
    /// Uses g(x) and copies of the network's current W and bias.
    pub fn penultimate(network: &Network) -> Self {
        let copy = |tensor: &Tensor| tensor.detach().copy();
        LinearProbe { stage: None, weight: copy(network.linear_weight()), bias: copy(network.linear_bias()) }
    }

    /// Uses the output of `stage` (from 1), averaged over positions, and fits W to the labels of `split`.
    ///
    /// W = (S_xx + λ I)⁻¹ S_xy is the closed-form ridge regression on one-hot labels, in float64. Features
    /// and labels are centered, so that the intercept takes their means. λ = 10⁻³ tr(S_xx)/n. Fails if
    /// `split` is empty, or with `Error::Stopped` after a stop request.
    pub fn fitted(
        network: &Network,
        stage: u32,
        split: &Split,
        batch_size: i64,
        kept: &mut Kept,
        progress: &mut dyn FnMut(u32, u32) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let classes = network.classes();
        let batches = for_each_batch(network, split, EvalInputs::Clean, batch_size, kept, progress, &mut |images, _| {
            let (stages, output) = network.forward_stages(images, BatchNormMode::Eval);
            let _ = network.finite(output.logits)?;
            Ok(vec![pooled(&stages, stage)])
        })?;
        let mut sums: Option<[Tensor; 3]> = None;
        let mut first = 0;
        for batch in batches {
            let features = batch.tensors[0].to_kind(Kind::Double);
            let members = split.labels.narrow(0, first, features.size()[0]).one_hot(classes).to_kind(Kind::Double);
            let added = [features.tr().matmul(&features), members.tr().matmul(&features), total(&members)];
            match &mut sums {
                Some(sums) => sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added),
                None => sums = Some(added),
            }
            first += features.size()[0];
        }
        let [products, by_class, counts] = sums.ok_or_else(|| Error::Data("no images to fit a linear probe to".to_owned()))?;

        // The matrices are small, and libtorch's solvers on CUDA need another library.
        let [products, by_class, counts] = [products, by_class, counts].map(|sum| sum.to_device(Device::Cpu));
        let samples = counts.sum(Kind::Double);
        let mean = total(&by_class) / &samples;
        let within = products - mean.outer(&mean) * &samples;
        let between = by_class - counts.outer(&mean);
        // If no feature varies, S_xx is 0. The smallest positive ridge then gives W = 0 instead of a singular
        // system.
        let ridge = (within.trace() * RIDGE / mean.size()[0] as f64).clamp_min(f64::MIN_POSITIVE);
        let weight =
            Tensor::linalg_solve(&(within + Tensor::eye(mean.size()[0], (Kind::Double, Device::Cpu)) * ridge), &between.tr(), true);
        let weight = weight.tr().contiguous();
        let bias = counts / samples - weight.mv(&mean);
        let [weight, bias] = [weight, bias].map(|tensor| tensor.to_device(network.device()));
        Ok(LinearProbe { stage: Some(stage), weight, bias })
    }

    /// Returns W, `[K, n]`; in float64 if it was fitted.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Returns the intercept of the map, `[K]`; in float64 if it was fitted.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Returns the features of `images` in the probed layer, and the logits of the network.
    pub(crate) fn output(&self, network: &Network, images: &Tensor) -> Output {
        match self.stage {
            None => network.forward(images, BatchNormMode::Eval),
            Some(stage) => {
                let (stages, output) = network.forward_stages(images, BatchNormMode::Eval);
                Output { features: pooled(&stages, stage), ..output }
            }
        }
    }
}

/// Averages the output of a stage over positions, `[N, n]`.
fn pooled(stages: &[Tensor], stage: u32) -> Tensor {
    stages[stage as usize - 1].mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
}

/// Sums over the first dimension.
fn total(rows: &Tensor) -> Tensor {
    rows.sum_dim_intlist([0i64].as_slice(), false, Kind::Double)
}
