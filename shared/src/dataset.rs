//! The data sets CrossLens knows: names, shapes, classes, and where each comes from.

use serde::{Deserialize, Serialize};

/// A data set by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Dataset {
    /// 1,797 handwritten digits, 8×8 gray levels, embedded.
    Digits,
    /// Generated 32×32 images whose class-specific and shared features are known by construction.
    Synthetic,
    /// CIFAR-10 from a folder, binary or Python layout.
    Cifar10,
}

/// Where the images of a data set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Embedded,
    Generated,
    Folder,
}

/// What is fixed about a data set, whatever a run does with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetInfo {
    pub id: Dataset,
    pub title: String,
    pub description: String,
    pub source: Source,
    /// Channels, height, width.
    pub shape: [u32; 3],
    pub class_names: Vec<String>,
    /// Images for training when nothing limits them.
    pub train_samples: u32,
    pub test_samples: u32,
    /// Per channel, of pixels in [0, 1].
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    pub license: String,
    /// How to get the data, for data sets from a folder.
    pub how_to_get: Option<String>,
}

impl Dataset {
    pub const ALL: [Dataset; 3] = [Dataset::Digits, Dataset::Synthetic, Dataset::Cifar10];

    pub fn id(self) -> &'static str {
        match self {
            Dataset::Digits => "digits",
            Dataset::Synthetic => "synthetic",
            Dataset::Cifar10 => "cifar10",
        }
    }

    pub fn source(self) -> Source {
        match self {
            Dataset::Digits => Source::Embedded,
            Dataset::Synthetic => Source::Generated,
            Dataset::Cifar10 => Source::Folder,
        }
    }

    pub fn info(self) -> DatasetInfo {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match self {
            Dataset::Digits => DatasetInfo {
                id: self,
                title: "Handwritten digits, 8×8".into(),
                description: "1,797 scanned digits of 43 writers in 17 gray levels. Small enough to train on a laptop in seconds. \
                              A third of each class is kept for testing."
                    .into(),
                source: self.source(),
                shape: [1, 8, 8],
                class_names: names(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
                train_samples: 1198,
                test_samples: 599,
                mean: vec![0.5],
                std: vec![0.5],
                license: "CC BY 4.0, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998".into(),
                how_to_get: None,
            },
            Dataset::Synthetic => DatasetInfo {
                id: self,
                title: "Shared features, 32×32".into(),
                description: "Generated images of 10 classes. Each class has one pattern of its own, and the pairs (0,1), (2,3), … \
                              share another, so that which classes the matrix should join is known beforehand."
                    .into(),
                source: self.source(),
                shape: [3, 32, 32],
                class_names: (0..10).map(|class| format!("{} of pair {}", if class % 2 == 0 { "A" } else { "B" }, class / 2 + 1)).collect(),
                train_samples: 2000,
                test_samples: 500,
                mean: vec![0.5, 0.5, 0.5],
                std: vec![0.25, 0.25, 0.25],
                license: "none needed: generated from the seed".into(),
                how_to_get: None,
            },
            Dataset::Cifar10 => DatasetInfo {
                id: self,
                title: "CIFAR-10".into(),
                description: "60,000 color photographs of 10 classes, 32×32. The data set of the paper's main experiments.".into(),
                source: self.source(),
                shape: [3, 32, 32],
                class_names: names(&["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
                train_samples: 50_000,
                test_samples: 10_000,
                // The values the public robustness code normalizes with.
                mean: vec![0.4914, 0.4822, 0.4465],
                std: vec![0.2471, 0.2435, 0.2616],
                license: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009".into(),
                how_to_get: Some(
                    "Download the binary or the Python version from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it on the server, \
                     and give the folder that holds data_batch_1.bin (binary) or data_batch_1 (Python)."
                        .into(),
                ),
            },
        }
    }
}
