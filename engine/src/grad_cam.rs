//! Grad-CAM: which positions of a stage support a class. Selvaraju et al. 2017,
//! <https://arxiv.org/abs/1610.02391>.

use shared::config::{Architecture, BatchNormMode};
use tch::{Kind, Tensor, with_grad};

use crate::model::Network;

/// Grad-CAM maps of a batch, with the logits of the network.
#[derive(Debug)]
pub struct Maps {
    /// `[N, h, w]` in the resolution of the stage. The maximum of each map is 1, or 0 if no position supports
    /// the class.
    pub maps: Tensor,
    /// f(x), `[N, K]`.
    pub logits: Tensor,
}

/// Returns the last stage for which a map is meaningful. DeiT uses only the class token after its last stage,
/// so patches have no effect there.
pub fn last_stage(architecture: Architecture) -> u32 {
    architecture.facts().last_mapped_stage
}

/// Computes ReLU(Σ_k α_k A_k), where A_k are the channels of `stage` (from 1).
///
/// α_k is the gradient of the class's logit with respect to A_k, averaged over positions. `images`: `[N, C,
/// H, W]` in `[0, 1]`; `labels`: the classes to explain, `[N]`.
pub fn grad_cam(network: &Network, images: &Tensor, labels: &Tensor, stage: u32) -> Maps {
    with_grad(|| {
        let (stages, output) = network.forward_stages(images, BatchNormMode::Eval);
        let activation = &stages[stage as usize - 1];
        // Sum over the batch: the logits of an image do not depend on the other images.
        let logit = output.logits.gather(1, &labels.unsqueeze(1), false).sum(None::<Kind>);
        let gradient = Tensor::run_backward(&[&logit], &[activation], false, false).swap_remove(0);
        let channels = gradient.mean_dim([2i64, 3].as_slice(), true, None::<Kind>);
        let maps = (activation.detach() * channels).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>).relu();
        let largest = maps.amax([1i64, 2], true);
        let scale = largest.reciprocal().where_self(&largest.gt(0.0), &largest.zeros_like());
        Maps { maps: maps * scale, logits: output.logits.detach() }
    })
}
