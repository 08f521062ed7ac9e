//! Grad-CAM maps of images at several checkpoints.

use serde::{Deserialize, Serialize};

use super::AttackUsed;
use crate::config::{Inputs, SplitName};
use crate::id::CheckpointId;

/// Grad-CAM maps: content of `saliency.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SaliencyFile {
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// The checkpoints, such as `RUN.e12`, in the requested order.
    #[schema(value_type = Vec<String>)]
    pub checkpoints: Vec<CheckpointId>,
    /// Split of the images.
    pub split: SplitName,
    /// Network stage of the maps, from 1.
    pub stage: u32,
    /// The attack on the images; absent if only clean images were used.
    pub attack: Option<AttackUsed>,
    /// Images sorted by class, then by their order in the data set.
    pub samples: Vec<SaliencySample>,
}

/// One image with its maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SaliencySample {
    /// Index in the split.
    pub index: u32,
    /// Index of its class.
    pub label: u32,
    /// PNG in base64, as all images of this file.
    pub image: String,
    /// One map for each checkpoint and each kind of inputs.
    pub maps: Vec<SaliencyMap>,
}

/// Prediction and map of one checkpoint for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SaliencyMap {
    /// Index into `checkpoints`.
    pub checkpoint: u32,
    /// Inputs of the network.
    pub inputs: Inputs,
    /// The adversarial image; absent for clean inputs.
    pub image: Option<String>,
    /// Index of the predicted class.
    pub predicted: u32,
    /// Softmax probability of the true class.
    pub true_probability: f64,
    /// Grad-CAM of the true class, row by row, scaled to `[0, 1]`, at the resolution of the stage.
    pub map: Vec<Vec<f32>>,
}
