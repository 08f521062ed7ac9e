//! Analysis of pairs of classes: shared dimensions, ablations and images.

use serde::{Deserialize, Serialize};

use super::{AttackUsed, SaliencyMap};
use crate::config::SplitName;
use crate::id::CheckpointId;
use crate::record::BrokenGradients;
use crate::signs::Sign;

/// The analysis of pairs of classes: content of `pair.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PairFile {
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// One or two checkpoints, such as `RUN.e12`, in the requested order. The first decides which images are
    /// shown.
    #[schema(value_type = Vec<String>)]
    pub checkpoints: Vec<CheckpointId>,
    /// Split of the images.
    pub split: SplitName,
    /// The attack on the images.
    pub attack: AttackUsed,
    /// Network stage of the Grad-CAM maps, from 1.
    pub stage: u32,
    /// Length n of a feature vector, for each checkpoint.
    pub feature_dims: Vec<u32>,
    /// The pairs, in the requested order.
    pub pairs: Vec<MeasuredPair>,
    /// Duration of the analysis.
    pub seconds: f64,
}

/// A pair of classes at one or two checkpoints.
///
/// In an array of two numbers, the first is for class i and the second for class j.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MeasuredPair {
    /// Index of the first class.
    pub i: u32,
    /// Index of the second class; greater than `i`.
    pub j: u32,
    /// One overlap for each checkpoint.
    pub overlaps: Vec<Overlap>,
    /// Signs that a robust accuracy of `overlaps` is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
    /// Images of class i, then of class j. In each class, the image with the strongest drive at the first
    /// checkpoint comes first.
    pub images: Vec<DrivingImage>,
}

/// The features that two classes share at a checkpoint, on adversarial images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Overlap {
    /// C[i, j]: the sum of the contributions of all dimensions.
    pub cosine: f64,
    /// Sum of the contributions of `dimensions` alone.
    pub carried: f64,
    /// Dimensions with the largest contributions, largest first.
    pub dimensions: Vec<SharedDimension>,
    /// `sent[0][k]`: number of images of class i predicted as class k under attack; `sent[1]` is for class j.
    pub sent: [Vec<u32>; 2],
    /// Accuracy without the dimensions.
    pub leave_out: LeaveOut,
}

/// A dimension d of the feature vector g that two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SharedDimension {
    /// Index of the dimension, from 0.
    pub dimension: u32,
    /// Part of the cosine from this dimension: A_i[d] A_j[d] / (|A_i| |A_j|).
    pub contribution: f64,
    /// Mean of g_d over the images of each class.
    pub feature: [f64; 2],
    /// Weights W[i, d] and W[j, d].
    pub weight: [f64; 2],
    /// Attributions A_i[d] and A_j[d]: feature times weight.
    pub attribution: [f64; 2],
}

/// Accuracy on two classes when some dimensions of g are set to 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeaveOut {
    /// Accuracy with all dimensions.
    pub whole: PairAccuracy,
    /// Accuracy with the dimensions of [`Overlap`] set to 0.
    pub without: PairAccuracy,
    /// Control: as many other random dimensions set to 0, one entry for each draw.
    pub control: Vec<PairAccuracy>,
}

/// Accuracy on the images of two classes, as fractions of the images of each class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PairAccuracy {
    /// On clean images.
    pub clean: [f64; 2],
    /// Under an attack on the network with the same dimensions set to 0.
    pub robust: [f64; 2],
    /// On the adversarial images made for the whole network.
    pub transferred: [f64; 2],
    /// Predicted as the other class of the pair, under the attack of `robust`.
    pub crossed: [f64; 2],
    /// Images of both classes whose first gradient under the attack of `robust` cannot lead it; absent if
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradients: Option<BrokenGradients>,
}

/// An image that strongly activates the dimensions that two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DrivingImage {
    /// Index in the split.
    pub index: u32,
    /// Index of its class.
    pub label: u32,
    /// PNG in base64, as all images of this file.
    pub image: String,
    /// g_d W[label, d] under attack, for each dimension of the first checkpoint.
    pub drive: Vec<f64>,
    /// One for each checkpoint.
    pub perturbations: Vec<Perturbation>,
    /// Grad-CAM maps for each checkpoint, clean and adversarial.
    pub maps: Vec<SaliencyMap>,
}

/// The perturbation that an attack adds to an image, amplified. Gray means no change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Perturbation {
    /// The amplified perturbation.
    pub image: String,
    /// Factor applied to each pixel change. In ℓ∞, a change of eps becomes black or white; in ℓ2, the largest
    /// change of this image does.
    pub amplification: f64,
}
