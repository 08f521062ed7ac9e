//! Links that carry what they show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attribution, Comparison, Run};
use crate::record::Metrics;

/// `POST /api/shares`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// The path and query of the page, `/compare?a=…&b=…`.
    pub view: String,
    /// At most 120 characters; empty: named after what is shown.
    #[serde(default)]
    pub title: String,
    /// What the reader is told beside it, at most 2,000 characters.
    #[serde(default)]
    pub note: String,
    /// How long the link works, up to 3,650; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// A share as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Share {
    pub token: String,
    pub title: String,
    pub note: String,
    pub view: String,
    /// RFC 3339, UTC, as is the one below.
    pub created_at: String,
    /// From then on the link opens nothing; absent: it works until it is revoked.
    pub expires_at: Option<String>,
    /// Whether that is past.
    pub expired: bool,
    /// Where it opens, relative to the application: `s/TOKEN`.
    pub path: String,
}

/// `GET /api/shares/{token}`: all that the reader of a link needs, so that no other route must be open to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SharedView {
    pub share: Share,
    pub content: SharedContent,
    /// When the content was as it is here, RFC 3339, UTC.
    #[serde(default)]
    pub as_of: String,
    /// What other routes answer to the page that is shown, by their address such as `api/attributions/RUN.e12.adversarial`: the matrix
    /// of the epoch, the baseline, the result of a run.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Object>))]
    pub answers: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SharedContent {
    Run { run: Box<Run>, metrics: Box<Metrics> },
    Attribution { attribution: Box<Attribution> },
    Compare { comparison: Box<Comparison> },
}
