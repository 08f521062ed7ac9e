//! Label noise, a known cause of robust overfitting: Dong et al. 2022, <https://arxiv.org/abs/2110.03135>.

use tch::{Device, Kind, Tensor};

use crate::random::{self, Purpose, Seed};

/// Replaces the given fraction of `labels`, `[N]`, in place by other classes, drawn uniformly. Returns how
/// many were replaced.
pub(super) fn replace_labels(labels: &mut Tensor, fraction: f64, classes: i64, seed: u32) -> u32 {
    let count = labels.size()[0];
    let noisy = (count as f64 * fraction).round() as i64;
    random::draw(Seed::once(seed, Purpose::LabelNoise), || {
        let chosen = Tensor::randperm(count, (Kind::Int64, Device::Cpu)).narrow(0, 0, noisy);
        let shifts = Tensor::randint_low(1, classes, [noisy], (Kind::Int64, Device::Cpu));
        let replaced = (labels.index_select(0, &chosen) + shifts).remainder(classes);
        let _ = labels.index_copy_(0, &chosen, &replaced);
    });
    noisy as u32
}
