//! Pairs of classes taken apart.

use serde::{Deserialize, Serialize};

use super::{AttackUsed, SaliencyMap};
use crate::config::SplitName;

/// Pairs of classes taken apart: the content of `pair.json` in its run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairFile {
    pub class_names: Vec<String>,
    /// `RUN.e12`, in the order asked for. The first decides which images are shown.
    pub checkpoints: Vec<String>,
    pub split: SplitName,
    pub attack: AttackUsed,
    /// The stage that maps are of, from 1.
    pub stage: u32,
    /// n, the length of a feature vector of each checkpoint.
    pub feature_dims: Vec<u32>,
    /// In the order asked for.
    pub pairs: Vec<MeasuredPair>,
    pub seconds: f64,
}

/// A pair of classes at one or two checkpoints. Where two numbers stand together, the first is of class i and the second of class j.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeasuredPair {
    pub i: u32,
    pub j: u32,
    /// One for each checkpoint.
    pub overlaps: Vec<Overlap>,
    /// Of class i, then of class j, each time those first that drive the dimensions most at the first checkpoint.
    pub images: Vec<DrivingImage>,
}

/// What two classes share at a checkpoint, on adversarial images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overlap {
    /// C[i, j]: what the contributions of all dimensions add up to.
    pub cosine: f64,
    /// What those of `dimensions` add up to.
    pub carried: f64,
    /// The largest contributions, the largest first.
    pub dimensions: Vec<SharedDimension>,
    /// Images of each of the two classes predicted as each class, under attack.
    pub sent: [Vec<u32>; 2],
    pub leave_out: LeaveOut,
}

/// A dimension of g that two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SharedDimension {
    pub dimension: u32,
    /// A_i[d] A_j[d] / (|A_i| |A_j|).
    pub contribution: f64,
    /// The mean of g_d over the images of the class.
    pub feature: [f64; 2],
    /// W[i, d] and W[j, d].
    pub weight: [f64; 2],
    /// The products of the two: A_i[d] and A_j[d].
    pub attribution: [f64; 2],
}

/// What becomes of two classes when dimensions of g are set to 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaveOut {
    pub whole: PairAccuracy,
    /// Without the dimensions of [`Overlap`].
    pub without: PairAccuracy,
    /// Without as many other dimensions, one drawing each.
    pub control: Vec<PairAccuracy>,
}

/// How the images of two classes fare. Fractions of the images of each class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PairAccuracy {
    pub clean: [f64; 2],
    /// Under the attack made for the network as it then is.
    pub robust: [f64; 2],
    /// On the adversarial images of the whole network.
    pub transferred: [f64; 2],
    /// Taken for the other class of the pair, under the attack of `robust`.
    pub crossed: [f64; 2],
}

/// An image that drives the dimensions two classes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrivingImage {
    /// In the split.
    pub index: u32,
    pub label: u32,
    /// PNG in base64, as are all images here.
    pub image: String,
    /// g_d W[label, d] for each of the dimensions of the first checkpoint, under attack.
    pub drive: Vec<f64>,
    /// For each checkpoint.
    pub perturbations: Vec<Perturbation>,
    /// For each checkpoint, clean and adversarial.
    pub maps: Vec<SaliencyMap>,
}

/// What an attack adds to an image, amplified: gray where nothing is added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Perturbation {
    pub image: String,
    /// How many times a change of a pixel is shown: eps, in ℓ2 the largest change of the image, is the way from gray to black or white.
    pub amplification: f64,
}
