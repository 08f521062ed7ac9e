//! The attacks of AutoAttack: Croce and Hein 2020, <https://arxiv.org/abs/2003.01690>. What is fixed about each stands in one table.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::format;

/// Queries of Square attack in the standard version.
pub const STANDARD_QUERIES: u32 = 5000;

/// An attack that an evaluation can run on the images that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AutoAttack {
    /// APGD on the cross-entropy.
    ApgdCe,
    /// APGD on the targeted difference-of-logits ratio, 9 targets.
    ApgdT,
    /// FAB towards 9 targets: Croce and Hein 2020, <https://arxiv.org/abs/1907.02044>.
    FabT,
    /// Square attack, which sees only scores: Andriushchenko et al. 2020, <https://arxiv.org/abs/1912.00049>.
    Square,
}

/// Everything fixed about an attack.
#[derive(Debug)]
pub struct AutoAttackFacts {
    pub label: &'static str,
    /// What it does, for the form.
    pub hint: &'static str,
    /// Whether it belongs to the standard version, whose result is reported as AutoAttack.
    pub standard: bool,
    effort: Effort,
}

/// How much an attack does to each image.
#[derive(Clone, Copy, Debug)]
enum Effort {
    Fixed(&'static str),
    /// As many queries as the configuration says.
    Queries,
}

impl AutoAttack {
    /// Every attack, in the order in which an evaluation runs them.
    pub const ALL: &[Self] = Self::VARIANTS;

    pub const fn facts(self) -> &'static AutoAttackFacts {
        match self {
            AutoAttack::ApgdCe => &AutoAttackFacts {
                label: "APGD-CE",
                hint: "Steps of a size that adapts, on the cross-entropy.",
                standard: true,
                effort: Effort::Fixed("APGD-CE (100 steps)"),
            },
            AutoAttack::ApgdT => &AutoAttackFacts {
                label: "APGD-DLR, targeted",
                hint: "The same on the difference of logits, towards nine other classes.",
                standard: true,
                effort: Effort::Fixed("targeted APGD-DLR (9 targets, 100 steps each)"),
            },
            AutoAttack::FabT => &AutoAttackFacts {
                label: "FAB, targeted",
                hint: "Looks for the nearest adversarial image, towards nine other classes.",
                standard: true,
                effort: Effort::Fixed("targeted FAB (9 targets, 100 steps each)"),
            },
            AutoAttack::Square => &AutoAttackFacts {
                label: "Square",
                hint: "Sees only scores: finds what hidden gradients hide.",
                standard: true,
                effort: Effort::Queries,
            },
        }
    }

    /// The attacks of the standard version, in the order of the public code: the default of an evaluation.
    pub fn standard() -> Vec<AutoAttack> {
        AutoAttack::ALL.iter().copied().filter(|attack| attack.facts().standard).collect()
    }

    /// As in a configuration.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// The attack with what it does to each image, such as `Square (5 000 queries)`.
    pub fn with_effort(self, square_queries: u32) -> String {
        match self.facts().effort {
            Effort::Fixed(text) => text.to_owned(),
            Effort::Queries => format!("{} ({} queries)", self.label(), format::count(square_queries.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_configurations_write() {
        for attack in AutoAttack::ALL {
            assert_eq!(serde_json::to_value(attack).unwrap(), attack.id());
        }
    }

    #[test]
    fn the_standard_version_has_the_four_attacks_of_its_authors_in_their_order() {
        let standard: Vec<&str> = AutoAttack::standard().into_iter().map(AutoAttack::id).collect();
        assert_eq!(standard, ["apgd_ce", "apgd_t", "fab_t", "square"]);
    }
}
