//! Grad-CAM: which positions of a stage speak for a class. Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>.

use shared::config::{Architecture, BatchNormMode};
use tch::{Kind, Tensor, with_grad};

use crate::model::Network;

/// Maps of a batch, with what the network made of it.
#[derive(Debug)]
pub struct Maps {
    /// `[N, h, w]` in the resolution of the stage, each scaled to a largest value of 1; all 0 where nothing speaks for the class.
    pub maps: Tensor,
    /// f(x): `[N, K]`.
    pub logits: Tensor,
}

/// The last stage that a map can be of. After the last stage of DeiT only the class token is read, so that its patches have no say.
pub fn last_stage(architecture: Architecture) -> u32 {
    architecture.facts().last_mapped_stage
}

/// The last stage that a map of every one of several networks can be of.
pub fn common_stage(architectures: impl Iterator<Item = Architecture>) -> u32 {
    architectures.map(last_stage).min().unwrap_or(1)
}

/// ReLU(Σ_k α_k A_k) for the channels A_k of a stage, from 1, where α_k is the mean over positions of the gradient of the class's logit.
///
/// `images`: `[N, C, H, W]` in `[0, 1]`; `labels`: `[N]`, the classes to explain.
pub fn grad_cam(network: &Network, images: &Tensor, labels: &Tensor, stage: u32) -> Maps {
    with_grad(|| {
        let (stages, output) = network.forward_stages(images, BatchNormMode::Eval);
        let activation = &stages[stage as usize - 1];
        // The sum over the batch: an image's logit depends on no other image.
        let logit = output.logits.gather(1, &labels.unsqueeze(1), false).sum(None::<Kind>);
        let gradient = Tensor::run_backward(&[&logit], &[activation], false, false).swap_remove(0);
        let channels = gradient.mean_dim([2i64, 3].as_slice(), true, None::<Kind>);
        let maps = (activation.detach() * channels).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>).relu();
        let largest = maps.amax([1i64, 2], true);
        let scale = largest.reciprocal().where_self(&largest.gt(0.0), &largest.zeros_like());
        Maps { maps: maps * scale, logits: output.logits.detach() }
    })
}
