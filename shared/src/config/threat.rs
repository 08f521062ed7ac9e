//! Threat models: how far an attack may change an image.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::eps::Eps;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Norm {
    /// Largest change of a pixel.
    Linf,
    /// Euclidean length of all changes.
    L2,
}

/// All perturbations of size at most `eps` in a norm. In JSON, both are fields of the attack around them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreatModel {
    pub norm: Norm,
    pub eps: Eps,
}

impl Norm {
    /// Name of the norm in configurations.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Norm::Linf => "ℓ∞",
            Norm::L2 => "ℓ2",
        }
    }

    /// Largest possible distance between two images of `shape`.
    pub(super) fn largest(self, shape: [u32; 3]) -> f64 {
        match self {
            Norm::Linf => 1.0,
            Norm::L2 => f64::from(shape.iter().product::<u32>()).sqrt(),
        }
    }
}

impl ThreatModel {
    /// The paper's step size for training and measuring: eps/4 for ℓ∞, eps/8 for ℓ2.
    pub fn paper_step(self) -> Eps {
        match self.norm {
            Norm::Linf => self.eps.scaled(1.0 / 4.0),
            Norm::L2 => self.eps.scaled(1.0 / 8.0),
        }
    }

    /// With the radius in both notations: `ℓ∞ 8/255 (0.0314)`.
    pub fn long(self) -> String {
        format!("{} {}", self.norm.symbol(), self.eps.long(self.norm))
    }
}

/// The short form of titles: `ℓ∞ 8/255`.
impl fmt::Display for ThreatModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.norm.symbol(), self.eps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threat_model_is_shown_with_its_norm() {
        let threat = ThreatModel { norm: Norm::Linf, eps: Eps::of_255(8.0) };
        assert_eq!((threat.to_string(), threat.long()), ("ℓ∞ 8/255".to_owned(), "ℓ∞ 8/255 (0.0314)".to_owned()));
        assert_eq!(ThreatModel { norm: Norm::L2, eps: Eps::of_255(128.0) }.to_string(), "ℓ2 128/255");
    }
}
