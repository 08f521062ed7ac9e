//! Number formats of the passes of a network.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Number format of the passes that training and its attacks consist of.
///
/// Whatever it is, weights are kept and updated in float32, batch normalization, loss and last layer are computed in
/// float32, and so are all passes that something is measured with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Precision {
    /// As published numbers are.
    #[default]
    Float32,
    /// bfloat16, with 8 significant bits: faster on GPUs, and on processors with instructions for it.
    Bf16,
}

impl Precision {
    pub const ALL: &'static [Precision] = Precision::VARIANTS;

    /// Name in configurations.
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Precision::Float32 => "float32",
            Precision::Bf16 => "bfloat16",
        }
    }

    /// Whether it goes without saying. Configurations and files leave it out then, as those before it did.
    pub fn is_float32(&self) -> bool {
        *self == Precision::Float32
    }
}
