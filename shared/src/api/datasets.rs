//! Data sets, their files on the server, and what these hold.

use serde::{Deserialize, Serialize};

use crate::config::SplitName;
use crate::dataset::{DatasetInfo, PassedOver};

/// `GET /api/datasets`: a data set, and what is known of its files on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetStatus {
    #[serde(flatten)]
    pub info: DatasetInfo,
    pub files: DatasetFiles,
    /// Where the server can get the files by itself; absent where nobody publishes them.
    pub download: Option<DownloadOffer>,
}

/// Where the files of a data set are. Only `embedded`, `generated` and `ready` can be used at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DatasetFiles {
    Embedded,
    Generated,
    /// The folder holds every file that the layout needs; runs that name no folder take this one.
    Ready {
        path: String,
        /// Somebody pointed to it; otherwise it is the server's own.
        pointed: bool,
    },
    Missing {
        /// What an earlier download has left to go on from.
        partial_bytes: u64,
        /// Why the last download ended, where it did not end well.
        problem: Option<String>,
    },
    Downloading {
        step: DownloadStep,
        /// Of `step`.
        bytes: u64,
        total_bytes: Option<u64>,
        /// Whether a download that is stopped can go on where it was.
        resumable: bool,
    },
    /// The folder is known and is not, or no longer, what it should be.
    Broken {
        path: String,
        message: String,
        pointed: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadStep {
    Receiving,
    /// The published checksum.
    Verifying,
    Unpacking,
}

/// Files that a data set's authors publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DownloadOffer {
    pub urls: Vec<String>,
    /// As published; of all files.
    pub size_bytes: u64,
    /// Whether the authors or the field publish a checksum to hold the files to.
    pub verified: bool,
}

/// `PUT /api/datasets/{id}/folder`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DatasetFolder {
    /// An absolute path on the server.
    pub path: String,
}

/// `GET /api/datasets/{id}/summary`: what the files hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetSummary {
    pub class_names: Vec<String>,
    pub splits: Vec<SplitSummary>,
    /// What lies in the folder and is not read, by kind.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
}

/// One part of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SplitSummary {
    pub split: SplitName,
    pub class_counts: Vec<u32>,
    /// The first image of classes spread evenly; none for generated data.
    pub samples: Vec<SampleImage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleImage {
    pub label: u32,
    /// A PNG file in base64.
    pub png: String,
}

impl DatasetFiles {
    /// Whether runs can use the data set without naming a folder.
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
