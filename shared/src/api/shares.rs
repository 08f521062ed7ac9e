//! Share links and the data they show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attribution, Comparison, Run};
use crate::id::{ShareId, ShareToken};
use crate::record::Metrics;

/// `POST /api/shares`: creates a share link.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// Path and query of the page, such as `/compare?a=…&b=…`.
    pub view: String,
    /// Title, at most 120 characters. Empty: made from the content.
    #[serde(default)]
    pub title: String,
    /// Text shown to the reader beside the page, at most 2,000 characters.
    #[serde(default)]
    pub note: String,
    /// Days until the link expires, at most 3,650. Absent: it works until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// A share link, without the secret part that opens it: the server keeps only its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Share {
    /// Names the share to its owner.
    #[schema(value_type = u32)]
    pub id: ShareId,
    /// Title, as it is shown to the reader.
    pub title: String,
    /// Text shown to the reader beside the page; may be empty.
    pub note: String,
    /// Path and query of the page.
    pub view: String,
    /// Creation time: RFC 3339, UTC, as is `expires_at`.
    pub created_at: String,
    /// Time at which the link expires; absent if it works until it is revoked.
    pub expires_at: Option<String>,
    /// Whether `expires_at` has passed.
    pub expired: bool,
}

/// A share link that was just made: nothing else shows its secret part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewLink {
    #[serde(flatten)]
    pub share: Share,
    /// The secret part of the link.
    #[schema(value_type = String)]
    pub token: ShareToken,
    /// Path of the link, relative to the application: `s/TOKEN`.
    pub path: String,
}

/// `GET /api/shares/{token}`: all data of a shared page, so that its reader needs no other route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SharedView {
    /// The link.
    pub share: Share,
    /// What the page shows.
    pub content: SharedContent,
    /// Time of the content: RFC 3339, UTC.
    #[serde(default)]
    pub as_of: String,
    /// Responses of the other routes that the page uses, by path such as
    /// `api/attributions/RUN.e12.adversarial`: the matrix of the epoch, the baseline, the result of a run.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub answers: BTreeMap<String, serde_json::Value>,
}

/// What a shared page shows, by the kind of page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedContent {
    Run { run: Box<Run>, metrics: Box<Metrics> },
    Attribution { attribution: Box<Attribution> },
    Compare { comparison: Box<Comparison> },
}
