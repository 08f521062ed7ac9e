//! TRADES: Zhang et al. 2019, <https://arxiv.org/abs/1901.08573>. Start, loss and number of passes are those
//! of the authors' code. In ℓ2, steps and projection are those of [`crate::attack`].

use shared::config::{BatchNormMode, TrainingConfig};
use tch::{Kind, Reduction, Tensor, no_grad};

use super::targets::Targets;
use crate::Error;
use crate::attack::{self, Attack};
use crate::model::{Network, Output};
use crate::stop::Stop;

/// Draws the start of the attack: a small normal offset. Exactly at the image, the divergence has no
/// gradient.
///
/// Draws from the default generator.
pub(super) fn start(images: &Tensor) -> Tensor {
    images.randn_like() * 0.001
}

/// Finds images whose predictions differ most from those of `images`. Shapes and errors are those of
/// [`attack::ascend`].
pub(super) fn perturb(network: &Network, images: &Tensor, start: &Tensor, attack: &Attack, stop: &Stop) -> Result<Tensor, Error> {
    let network = no_grad(|| network.cast(attack.precision));
    let clean = no_grad(|| network.forward(images, attack.batch_norm).logits);
    attack::ascend(&network, images, start, attack, stop, &|logits| divergence(logits, &clean))
}

/// Computes the cross-entropy on clean images plus β times the mean divergence of the adversarial from the
/// clean predictions. Returns it with the output for the adversarial images.
pub(super) fn loss(
    network: &Network,
    images: &Tensor,
    adversarial: &Tensor,
    targets: &Targets,
    config: &TrainingConfig,
) -> (Tensor, Output) {
    let before = network.buffers();
    let clean = network.forward(images, BatchNormMode::Train).logits;
    let after = network.buffers();
    let output = network.forward(adversarial, BatchNormMode::Train);
    // The authors' code passes the clean images a second time for the divergence. This gives the same logits,
    // but updates the running statistics a third time.
    before.repeat(after);
    let natural = targets.cross_entropy(&clean, config.label_smoothing, Reduction::Mean);
    let robust = divergence(&output.logits, &clean) / output.logits.size()[0] as f64;
    (natural + robust * config.trades_beta, output)
}

/// Returns the Kullback-Leibler divergence of the predictions of `logits` from those of `clean`, summed over
/// the images.
///
/// Both are logits, `[N, K]`. The divergence is computed from log-probabilities: a probability becomes 0 if
/// its logit is about 104 below another, and then the gradient of `p log p` is not finite.
fn divergence(logits: &Tensor, clean: &Tensor) -> Tensor {
    let [predicted, expected] = [logits, clean].map(|logits| logits.log_softmax(1, None::<Kind>));
    predicted.kl_div(&expected, Reduction::Sum, true)
}

#[cfg(test)]
mod tests {
    use shared::config::{Architecture, ModelConfig};
    use shared::dataset::Dataset;
    use tch::Device;

    use super::*;
    use crate::model::Role;

    #[test]
    fn running_statistics_are_those_of_passes_over_clean_adversarial_and_clean_images() {
        let config = ModelConfig { width: Some(4), ..ModelConfig::of(Architecture::PreactResnetSmall) };
        let networks = [0, 1].map(|_| Network::new(&config, &Dataset::Digits.info(), 7, Kind::Double, Device::Cpu));
        let images = Tensor::arange(8 * 64, (Kind::Double, Device::Cpu)).view([8, 1, 8, 8]).sin() * 0.4 + 0.5;
        let (adversarial, targets) = (&images * 0.9, Targets::new(Tensor::arange(8, (Kind::Int64, Device::Cpu))));
        let training = shared::preset::demo().config.as_train().unwrap().training.clone();
        let _ = loss(&networks[0], &images, &adversarial, &targets, &training);
        for seen in [&images, &adversarial, &images] {
            let _ = networks[1].forward(seen, BatchNormMode::Train);
        }
        let buffers = networks.each_ref().map(|network| network.entries().iter().filter(|entry| entry.role == Role::Buffer));
        let [found, expected] = buffers;
        for (found, expected) in found.zip(expected) {
            let off = (&found.tensor - &expected.tensor).abs().max().double_value(&[]);
            assert!(off < 1e-12, "{}: {off:e}", found.name);
        }
    }

    /// Returns the divergence and its gradients by both logits.
    fn measured(logits: &[[f64; 3]], clean: &[[f64; 3]], kind: Kind) -> Vec<f64> {
        let leaf = |rows: &[[f64; 3]]| {
            let values = Tensor::from_slice(&rows.concat()).view([-1, 3]);
            values.to_kind(kind).to_device(Device::Cpu).set_requires_grad(true)
        };
        let (logits, clean) = (leaf(logits), leaf(clean));
        let value = divergence(&logits, &clean);
        value.backward();
        [value.detach(), logits.grad(), clean.grad()]
            .iter()
            .flat_map(|tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double).view(-1)).unwrap())
            .collect()
    }

    #[test]
    fn logits_far_apart_give_a_finite_divergence_with_finite_gradients() {
        // exp(-104) is 0 in float32, and exp(-800) in float64 too.
        let (logits, clean) = ([[0.0, 90.0, 3.0], [400.0, -400.0, 0.0]], [[0.0, 120.0, -30.0], [-400.0, 400.0, 0.0]]);
        let single = measured(&logits, &clean, Kind::Float);
        let double = measured(&logits, &clean, Kind::Double);
        // By hand from the definition: the predictions of the first image agree, those of the second differ
        // by 800 in one logit.
        assert!((double[0] - 800.0).abs() < 1e-9, "{double:?}");
        for (single, double) in single.iter().zip(&double) {
            assert!((single - double).abs() < 1e-3, "{single} in float32, {double} in float64");
        }
    }
}
