//! A term of the training loss that rewards or punishes features that classes share: CAS of the batch.

use tch::{Kind, Tensor};

/// Below this, the length of an attribution vector counts as this: a class whose features are all 0 has no direction.
const SHORTEST: f64 = 1e-12;

/// Returns the normalized CAS of a batch: over ordered pairs of different classes, the mean of `max(cos, 0)` between
/// the mean attribution vectors `g(x) ⊙ W[y]` of their images.
///
/// `features`: `[N, n]`; `weight`: W, `[K, n]`; `labels`: `[N]`. The result is a scalar in `[0, 1]`, differentiable by
/// features and W. Classes without images are left out; it is 0 with fewer than two. CAS and the mean attribution
/// vectors are those of the paper; the mean over pairs makes a weight of the term mean the same in batches with other
/// numbers of classes, where the paper's sum grows with their square.
pub fn batch_cas(features: &Tensor, weight: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, kind, device) = (weight.size()[0], weight.kind(), weight.device());
    // `one_hot` would wait for a GPU.
    let members = labels.unsqueeze(1).eq_tensor(&Tensor::arange(classes, (Kind::Int64, device))).to_kind(kind);
    let counts = members.sum_dim_intlist([0].as_slice(), true, kind).tr();
    // Of an absent class, everything is 0.
    let attributions = members.tr().matmul(&features.to_kind(kind)) / counts.clamp_min(1.0) * weight;
    let lengths = attributions.norm_scalaropt_dim(2.0, [1].as_slice(), true).clamp_min(SHORTEST);
    let directions = attributions / lengths;
    let cosines = directions.matmul(&directions.tr()).relu();
    let others: Tensor = 1.0 - Tensor::eye(classes, (kind, device));
    let present = counts.gt(0.0).sum(kind);
    let pairs = (&present * (&present - 1.0)).clamp_min(1.0);
    (cosines * others).sum(None::<Kind>) / pairs
}
