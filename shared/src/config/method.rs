//! Training methods. What is fixed about each stands in one table: lists, labels, names, validation and cost are made from it.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::attack::BatchNormMode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// PGD adversarial training: Madry et al. 2018, <https://arxiv.org/abs/1706.06083>.
    PgdAt,
    /// Cross-entropy on clean images and β times the divergence of adversarial ones from them: Zhang et al. 2019,
    /// <https://arxiv.org/abs/1901.08573>.
    Trades,
    /// One FGSM step from a random start: Wong et al. 2020, <https://arxiv.org/abs/2001.03994>.
    FastAt,
    /// Cross-entropy on clean images: the control.
    Standard,
}

/// Everything fixed about a training method.
#[derive(Debug)]
pub struct MethodFacts {
    pub label: &'static str,
    /// As part of the title of a run: `PGD AT`.
    pub short: &'static str,
    /// As part of the id of a run: `at-digits-7f3a`.
    pub slug: &'static str,
    /// Whether images are attacked before each step.
    pub adversarial: bool,
    /// The number of attack steps, where only one is possible.
    pub attack_steps: Option<u32>,
    /// The default step size of the attack as a multiple of eps; `None` for the paper's rule.
    pub step_factor: Option<f64>,
    /// The batch-norm mode that its authors attack in, where it is not the default.
    pub published_batch_norm: Option<BatchNormMode>,
    /// Why the attack must start at a random point, if it must.
    pub needs_random_start: Option<&'static str>,
    /// Whether β of TRADES is part of the loss.
    pub uses_trades_beta: bool,
    /// Whether knowledge distillation is defined for the loss.
    pub distillation: bool,
    /// Passes of the attack beside one for each of its steps.
    pub extra_attack_passes: u32,
    /// Passes of the step that changes the weights.
    pub update_passes: u32,
}

impl Method {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub const fn facts(self) -> &'static MethodFacts {
        match self {
            Method::Standard => {
                &MethodFacts { label: "Standard training", short: "standard", slug: "std", adversarial: false, ..ADVERSARIAL }
            }
            Method::PgdAt => {
                &MethodFacts { label: "PGD adversarial training", short: "PGD AT", slug: "at", distillation: true, ..ADVERSARIAL }
            }
            Method::Trades => &MethodFacts {
                label: "TRADES",
                short: "TRADES",
                slug: "trades",
                published_batch_norm: Some(BatchNormMode::Eval),
                // At the image itself the divergence is smallest and has no gradient, so that nothing would ever move.
                needs_random_start: Some("is needed by TRADES: its attack cannot leave the image itself"),
                uses_trades_beta: true,
                // The attack needs the clean predictions; the step learns from clean and adversarial images.
                extra_attack_passes: 1,
                update_passes: 2,
                ..ADVERSARIAL
            },
            Method::FastAt => &MethodFacts {
                label: "Fast adversarial training",
                short: "fast AT",
                slug: "fast",
                attack_steps: Some(1),
                // The step that Wong et al. 2020 found best.
                step_factor: Some(1.25),
                ..ADVERSARIAL
            },
        }
    }

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        self.facts().label
    }
}

/// What most methods have in common.
const ADVERSARIAL: MethodFacts = MethodFacts {
    label: "",
    short: "",
    slug: "",
    adversarial: true,
    attack_steps: None,
    step_factor: None,
    published_batch_norm: None,
    needs_random_start: None,
    uses_trades_beta: false,
    distillation: false,
    extra_attack_passes: 0,
    update_passes: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_configurations_write() {
        for method in Method::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.id());
        }
    }
}
