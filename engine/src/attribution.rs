//! Which features a class is recognized by, and which classes share them: Wei, Guo, Wang 2025, arXiv 2506.05032.
//!
//! For f(x) = W g(x) + b, the attribution of a sample x of class i is A_i(x) = g(x) ⊙ W[i]; that of the class is its mean over the
//! samples of the class, classified correctly or not; C is the cosine of every two of those. CAS is read off C.

use shared::matrix::Matrix;
use tch::{Device, Kind, Tensor};

use crate::model::Output;

/// g(x) ⊙ W[label] of each sample; a row sums to the logit of its label minus the bias.
///
/// `features`: `[N, n]`; `weight`: `[K, n]`; `labels`: `[N]`. Returns `[N, n]`.
pub fn attribution(features: &Tensor, weight: &Tensor, labels: &Tensor) -> Tensor {
    features * weight.index_select(0, labels)
}

/// C: the cosine of every two class attributions, `[K][n]`.
pub fn correlation_matrix(class_attributions: &[Vec<f64>]) -> Matrix {
    Matrix::cosine(class_attributions)
}

/// Attributions and hits of each class, added up batch by batch in float64, so that the size of batches does not matter.
#[derive(Debug)]
pub struct ClassSums {
    /// `[K, n]`.
    attributions: Tensor,
    /// `[K]`, as is `correct`.
    samples: Tensor,
    correct: Tensor,
}

/// What the samples of each class have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMeans {
    /// A_i: `[K][n]`.
    pub attributions: Vec<Vec<f64>>,
    pub counts: Vec<u32>,
    /// The fraction of each class's samples classified correctly.
    pub accuracy: Vec<f64>,
}

impl ClassSums {
    pub fn new(classes: i64, feature_dim: i64, device: Device) -> Self {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, device));
        ClassSums { attributions: zeros(&[classes, feature_dim]), samples: zeros(&[classes]), correct: zeros(&[classes]) }
    }

    /// Adds a batch: `labels` `[N]`, `weight` `[K, n]`.
    pub fn add(&mut self, output: &Output, weight: &Tensor, labels: &Tensor) {
        let member = labels.one_hot(self.samples.size()[0]).to_kind(Kind::Double);
        let attributions = attribution(&output.features.to_kind(Kind::Double), &weight.to_kind(Kind::Double), labels);
        let correct = output.logits.argmax(1, false).eq_tensor(labels).to_kind(Kind::Double);
        // A product with the membership matrix adds in a fixed order; scattering would not on CUDA.
        self.attributions += member.tr().matmul(&attributions);
        self.samples += member.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        self.correct += member.tr().matmul(&correct);
    }

    /// The means; every class must have been seen.
    pub fn means(&self) -> ClassMeans {
        let counts = numbers(&self.samples);
        let attributions = numbers(&(&self.attributions / self.samples.unsqueeze(1)));
        ClassMeans {
            attributions: attributions.chunks(attributions.len() / counts.len()).map(<[f64]>::to_vec).collect(),
            accuracy: numbers(&(&self.correct / &self.samples)),
            counts: counts.into_iter().map(|count| count as u32).collect(),
        }
    }
}

impl ClassMeans {
    /// Samples of all classes.
    pub fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// The fraction of all samples classified correctly.
    pub fn overall_accuracy(&self) -> f64 {
        let correct: f64 = self.accuracy.iter().zip(&self.counts).map(|(accuracy, count)| accuracy * f64::from(*count)).sum();
        correct / f64::from(self.total())
    }

    /// The L2 norm of each class attribution.
    pub fn norms(&self) -> Vec<f64> {
        self.attributions.iter().map(|vector| vector.iter().map(|value| value * value).sum::<f64>().sqrt()).collect()
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}
