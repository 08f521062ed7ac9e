//! Where networks look.

use serde::{Deserialize, Serialize};

use super::AttackUsed;
use crate::config::{Inputs, SplitName};

/// Where networks look: the content of `saliency.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencyFile {
    pub class_names: Vec<String>,
    /// `RUN.e12`, in the order asked for.
    pub checkpoints: Vec<String>,
    pub split: SplitName,
    /// The stage that maps are of, from 1.
    pub stage: u32,
    pub attack: Option<AttackUsed>,
    /// By class, then in the order of the data set.
    pub samples: Vec<SaliencySample>,
}

/// One image with its maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencySample {
    /// In the split.
    pub index: u32,
    pub label: u32,
    /// PNG in base64, as are all images here.
    pub image: String,
    /// For each checkpoint, for each kind of inputs.
    pub maps: Vec<SaliencyMap>,
}

/// What one checkpoint makes of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaliencyMap {
    /// An index into `checkpoints`.
    pub checkpoint: u32,
    pub inputs: Inputs,
    /// The attacked image; absent for clean inputs.
    pub image: Option<String>,
    pub predicted: u32,
    /// Softmax probability of the true class.
    pub true_probability: f64,
    /// Grad-CAM of the true class, row by row, scaled to `[0, 1]`; of the stage's own resolution.
    pub map: Vec<Vec<f32>>,
}
