//! The images of a run.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check::Check;
use crate::dataset::{Dataset, Source};

/// The images for training and testing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    pub dataset: Dataset,
    /// Folder with the files, on the server; only for data sets that are read from a folder. Absent: the
    /// server's folder of the data set; the server sets this field when the run is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Side of the images in pixels, after resizing and cropping; only for `image_folder`. Absent: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u32>,
    /// Number of training images, in equal parts for each class. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<u32>,
    /// Number of test images, in equal parts for each class. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<u32>,
    /// Fraction of training labels replaced by another class, chosen by the seed; in `[0, 1)`. Label noise is
    /// a known cause of robust overfitting: Dong et al. 2022, <https://arxiv.org/abs/2110.03135>.
    #[serde(default)]
    pub label_noise: f64,
    /// Number of training images held out to select the best checkpoint. 0 selects on the test set, as in the
    /// paper.
    #[serde(default)]
    pub holdout_samples: u32,
    /// Random crop with reflected padding (4 pixels for 32×32 images, 1 for 8×8) and, for photographs,
    /// horizontal flip.
    #[serde(default)]
    pub augment: bool,
}

/// A split of the images of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitName {
    #[default]
    Test,
    Train,
    /// Training images held out to select the best checkpoint.
    Holdout,
}

impl DataConfig {
    /// The whole data set, unchanged.
    pub fn of(dataset: Dataset) -> Self {
        super::with_defaults(json!({ "dataset": dataset }))
    }

    /// Channels, height and width of the images.
    pub fn shape(&self) -> [u32; 3] {
        let [channels, height, width] = self.dataset.info().shape;
        match self.image_size {
            Some(side) if self.dataset == Dataset::ImageFolder => [channels, side, side],
            _ => [channels, height, width],
        }
    }

    pub(super) fn validate(&self, check: &mut Check) {
        let info = self.dataset.info();
        // If only the files tell the number of classes, require two.
        let classes = info.classes.unwrap_or(2);
        // Generated data has no limit. If only the files tell the size, it is checked when they are read.
        let most = |samples: Option<u32>| samples.filter(|_| self.dataset.source() != Source::Generated).unwrap_or(10_000_000);
        let DataConfig { path, image_size, train_samples, test_samples, label_noise, holdout_samples, augment: _, dataset } = self;

        if let (Source::Embedded | Source::Generated, Some(path)) = (dataset.source(), path) {
            check.fail("path", format!("`{path}` is not used: {} needs no folder; leave it out", info.title));
        }
        if let Some(side) = image_size {
            check.that("image_size", *dataset == Dataset::ImageFolder, || {
                format!("{side} is not used: the images of {} have their size; leave it out", info.title)
            });
            check.that("image_size", (8..=256).contains(side), || format!("{side} is out of range; 8 to 256"));
        }
        check.samples("train_samples", *train_samples, classes, most(info.train_samples));
        check.samples("test_samples", *test_samples, classes, most(info.test_samples));
        check.fraction("label_noise", *label_noise);
        check.that("holdout_samples", *holdout_samples == 0 || *holdout_samples >= classes, || {
            format!("{holdout_samples} is too few; 0, or at least one for each of {classes} classes")
        });
        if let Some(available) = train_samples.or(info.train_samples) {
            check.that("holdout_samples", available.saturating_sub(*holdout_samples) >= classes, || {
                format!("{holdout_samples} of {available} training images leaves too few to train on")
            });
        }
    }
}

impl SplitName {
    pub fn label(self) -> &'static str {
        match self {
            SplitName::Test => "Test images",
            SplitName::Train => "Training images",
            SplitName::Holdout => "Held-out images",
        }
    }
}
