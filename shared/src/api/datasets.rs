//! Data sets, their files on the server and the content of these files.

use serde::{Deserialize, Serialize};

use crate::config::SplitName;
use crate::dataset::{DatasetInfo, PassedOver};

/// `GET /api/datasets`: a data set and the state of its files on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatasetStatus {
    #[serde(flatten)]
    pub info: DatasetInfo,
    /// State of its files.
    pub files: DatasetFiles,
    /// The download the server can run by itself; absent if the files are not published.
    pub download: Option<DownloadOffer>,
}

/// State of a data set's files. Runs can use it without a folder if it is `embedded`, `generated` or `ready`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DatasetFiles {
    Embedded,
    Generated,
    /// The folder has all required files. Runs that set no folder use it.
    Ready {
        path: String,
        /// True if a user chose this folder; false for the server's own folder.
        pointed: bool,
    },
    Missing {
        /// Bytes left by an earlier download, which can be continued.
        partial_bytes: u64,
        /// Why the last download failed; absent if it did not fail.
        problem: Option<String>,
    },
    Downloading {
        step: DownloadStep,
        /// Bytes processed in `step`.
        bytes: u64,
        total_bytes: Option<u64>,
        /// Whether a stopped download can continue where it stopped.
        resumable: bool,
    },
    /// The folder is set, but its files are missing or wrong.
    Broken {
        path: String,
        message: String,
        pointed: bool,
    },
}

/// What a download does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DownloadStep {
    Receiving,
    /// Compares the files with their published checksums.
    Verifying,
    Unpacking,
}

/// Files published by the authors of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DownloadOffer {
    /// Addresses of the files.
    pub urls: Vec<String>,
    /// Total size of all files, as published.
    pub size_bytes: u64,
    /// Whether a published checksum exists for the files.
    pub verified: bool,
}

/// `PUT /api/datasets/{id}/folder`: sets the folder of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetFolder {
    /// Absolute path on the server.
    pub path: String,
}

/// `GET /api/datasets/{id}/summary`: the content of the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatasetSummary {
    /// Names of the classes, in the order of their indices.
    pub class_names: Vec<String>,
    /// Training and test images.
    pub splits: Vec<SplitSummary>,
    /// Files in the folder that are not read, by kind.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
}

/// One split of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SplitSummary {
    /// Name of the split.
    pub split: SplitName,
    /// Number of images of each class.
    pub class_counts: Vec<u32>,
    /// First images of some classes, evenly spread over all classes; empty for generated data.
    pub samples: Vec<SampleImage>,
}

/// An image of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SampleImage {
    /// Index of its class.
    pub label: u32,
    /// PNG file in base64.
    pub png: String,
}

impl DatasetFiles {
    /// Whether runs can use the data set without setting a folder.
    pub fn are_ready(&self) -> bool {
        matches!(self, DatasetFiles::Embedded | DatasetFiles::Generated | DatasetFiles::Ready { .. })
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            DatasetFiles::Ready { path, .. } | DatasetFiles::Broken { path, .. } => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn the_state_of_files_stands_beside_its_fields() {
        let info = Dataset::Digits.info();
        for (files, expected) in [
            (DatasetFiles::Embedded, json!({"state": "embedded"})),
            (DatasetFiles::Missing { partial_bytes: 3, problem: None }, json!({"state": "missing", "partial_bytes": 3, "problem": null})),
        ] {
            let status = DatasetStatus { info: info.clone(), files, download: None };
            let mut beside = serde_json::to_value(&info).unwrap();
            (beside["files"], beside["download"]) = (expected, json!(null));
            assert_eq!(serde_json::to_value(&status).unwrap(), beside);
            assert_eq!(serde_json::from_value::<DatasetStatus>(beside).unwrap(), status);
        }
    }
}
