//! The one place where an error becomes a response: RFC 9457 problem details.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::problem::{FieldError, Problem};
use strum::{EnumIter, IntoEnumIterator};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as OpenApiResponse, ResponseBuilder};

use crate::db::why_unreadable;
use crate::shortage::Shortage;

const CATALOGUE_HEAD: &str = "\
# Problems

An error of the API is a body of type `application/problem+json` (RFC 9457). Its `type` is `/problems/` and one of the names below, which a running
server describes at that address; `detail` names the value that was wrong, and `errors` the wrong fields where there are some.
";

/// What went wrong, as far as a program needs to tell. Each kind is described under `/problems/` and in `docs/problems.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub enum Kind {
    RouteNotFound,
    MethodNotAllowed,
    DatasetNotFound,
    RunNotFound,
    RunInTrash,
    CheckpointNotFound,
    AttributionNotFound,
    ResultNotFound,
    SweepNotFound,
    LaneNotFound,
    ShareNotFound,
    ShareExpired,
    ShareDeleted,
    InvalidQuery,
    InvalidJson,
    UnsupportedMediaType,
    BodyTooLarge,
    InvalidRun,
    InvalidShare,
    InvalidChange,
    InvalidActions,
    InvalidFolder,
    NotDownloadable,
    DatasetNotReady,
    NotComparable,
    RunFinished,
    RunNotResumable,
    RunNotQueued,
    RunActive,
    RunNotInTrash,
    RunUnreadable,
    QueueFull,
    TooManyShares,
    WorkerNotReady,
    LaneNotReady,
    InvalidLanes,
    Unauthorized,
    ReadOnly,
    TooManyAttempts,
    TooManyRequests,
    NotReady,
    CrossSite,
    UnknownHost,
    DiskFull,
    DatabaseBusy,
    Internal,
}

/// What a kind of problem is called and means.
struct Description {
    /// The last part of the problem's `type`.
    name: &'static str,
    status: StatusCode,
    meaning: &'static str,
}

impl Kind {
    fn describe(self) -> Description {
        let (name, status, meaning) = match self {
            Kind::RouteNotFound => ("route-not-found", StatusCode::NOT_FOUND, "Nothing is at this address."),
            Kind::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The address exists, but not for this HTTP method.")
            }
            Kind::DatasetNotFound => ("dataset-not-found", StatusCode::NOT_FOUND, "No data set has this id."),
            Kind::RunNotFound => ("run-not-found", StatusCode::NOT_FOUND, "No run has this id; it may have been deleted."),
            Kind::RunInTrash => ("run-in-trash", StatusCode::GONE, "The run was deleted and is still in the trash; it can be restored."),
            Kind::CheckpointNotFound => ("checkpoint-not-found", StatusCode::NOT_FOUND, "The run has kept no checkpoint of this epoch."),
            Kind::AttributionNotFound => {
                ("attribution-not-found", StatusCode::NOT_FOUND, "The run has no attribution matrix with this id.")
            }
            Kind::ResultNotFound => {
                ("result-not-found", StatusCode::NOT_FOUND, "The run has not written its result yet, or has ended without one.")
            }
            Kind::SweepNotFound => ("sweep-not-found", StatusCode::NOT_FOUND, "No run belongs to a sweep with this id."),
            Kind::LaneNotFound => ("lane-not-found", StatusCode::NOT_FOUND, "No lane has this name."),
            Kind::ShareNotFound => (
                "share-not-found",
                StatusCode::NOT_FOUND,
                "No share has this token or id; it may have been withdrawn, or its link replaced.",
            ),
            Kind::ShareExpired => ("share-expired", StatusCode::GONE, "The share existed, until the time its sender set."),
            Kind::ShareDeleted => {
                ("share-deleted", StatusCode::GONE, "A run that the share shows was deleted. The share works again if the run is restored.")
            }
            Kind::InvalidQuery => {
                ("invalid-query", StatusCode::BAD_REQUEST, "A parameter of the address is missing or cannot be read; `errors` names it.")
            }
            Kind::InvalidJson => ("invalid-json", StatusCode::BAD_REQUEST, "The body is not JSON, or not of the expected form."),
            Kind::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has another content type than the route reads.")
            }
            Kind::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than the route takes."),
            Kind::InvalidRun => {
                ("invalid-run", StatusCode::UNPROCESSABLE_ENTITY, "The configuration cannot be run; `errors` names every wrong field.")
            }
            Kind::InvalidShare => {
                ("invalid-share", StatusCode::UNPROCESSABLE_ENTITY, "The view cannot be shared, or a field of the share is wrong.")
            }
            Kind::InvalidChange => {
                ("invalid-change", StatusCode::UNPROCESSABLE_ENTITY, "A title, tag or note is not one that a run can have.")
            }
            Kind::InvalidActions => (
                "invalid-actions",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The list of runs to act on is empty or too long, or an action is wrong.",
            ),
            Kind::InvalidFolder => ("invalid-folder", StatusCode::UNPROCESSABLE_ENTITY, "The folder does not hold the data set."),
            Kind::NotDownloadable => {
                ("not-downloadable", StatusCode::CONFLICT, "The data set is not published for download, or is here already.")
            }
            Kind::DatasetNotReady => {
                ("dataset-not-ready", StatusCode::CONFLICT, "The files of the data set are not here, or are not what they should be.")
            }
            Kind::NotComparable => ("not-comparable", StatusCode::UNPROCESSABLE_ENTITY, "The matrices are about different classes."),
            Kind::RunFinished => ("run-finished", StatusCode::CONFLICT, "The run has ended or is about to, so it cannot be stopped."),
            Kind::RunNotResumable => ("run-not-resumable", StatusCode::CONFLICT, "Only a paused, canceled or failed run can go on."),
            Kind::RunNotQueued => ("run-not-queued", StatusCode::CONFLICT, "Only a queued run has a place in the queue."),
            Kind::RunActive => ("run-active", StatusCode::CONFLICT, "The run is still running, so it cannot be deleted."),
            Kind::RunNotInTrash => ("run-not-in-trash", StatusCode::CONFLICT, "Only a run in the trash can be restored."),
            Kind::RunUnreadable => (
                "run-unreadable",
                StatusCode::CONFLICT,
                "The run was made by another version of CrossLens, and this one cannot read it. It can be deleted.",
            ),
            Kind::QueueFull => ("queue-full", StatusCode::TOO_MANY_REQUESTS, "As many runs are queued as the server takes."),
            Kind::TooManyShares => ("too-many-shares", StatusCode::TOO_MANY_REQUESTS, "As many shares exist as the server keeps."),
            Kind::WorkerNotReady => (
                "worker-not-ready",
                StatusCode::SERVICE_UNAVAILABLE,
                "The worker program is missing or does not start; the System page says why.",
            ),
            Kind::LaneNotReady => (
                "lane-not-ready",
                StatusCode::SERVICE_UNAVAILABLE,
                "No worker could be tried on the lane; `detail` has the engine's words.",
            ),
            Kind::InvalidLanes => {
                ("invalid-lanes", StatusCode::UNPROCESSABLE_ENTITY, "The file of lanes cannot be read; `detail` names every wrong field.")
            }
            Kind::Unauthorized => {
                ("unauthorized", StatusCode::UNAUTHORIZED, "The server wants a token: `Authorization: Bearer TOKEN`, or the sign-in page.")
            }
            Kind::ReadOnly => ("read-only", StatusCode::FORBIDDEN, "The token permits reading only."),
            Kind::TooManyAttempts => {
                ("too-many-attempts", StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens were sent; wait a moment.")
            }
            Kind::TooManyRequests => {
                ("too-many-requests", StatusCode::TOO_MANY_REQUESTS, "Shared pages are opened too often; wait a moment.")
            }
            Kind::NotReady => (
                "not-ready",
                StatusCode::SERVICE_UNAVAILABLE,
                "The server answers, but cannot run or store anything; `GET /api/health` says why.",
            ),
            Kind::CrossSite => ("cross-site", StatusCode::FORBIDDEN, "A page of another site asked for a change."),
            Kind::UnknownHost => (
                "unknown-host",
                StatusCode::MISDIRECTED_REQUEST,
                "The server was addressed by a host name that it does not trust; see `docs/proxies.md`.",
            ),
            Kind::DiskFull => ("disk-full", StatusCode::INSUFFICIENT_STORAGE, "The disk is full; delete runs for good or make room."),
            Kind::DatabaseBusy => ("database-busy", StatusCode::SERVICE_UNAVAILABLE, "Another program holds the database; try again."),
            Kind::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The server failed; its log says why."),
        };
        Description { name, status, meaning }
    }

    /// The kind that a problem's `type` ends in.
    pub fn named(name: &str) -> Option<Self> {
        Kind::iter().find(|kind| kind.describe().name == name)
    }
}

/// The kind in Markdown, as a section of the catalogue.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { name, status, meaning } = self.describe();
        write!(f, "## {name}\n\n{status}. {meaning}\n")
    }
}

/// Every kind of problem, in Markdown: the text of `docs/problems.md`.
pub fn catalogue() -> String {
    let sections: Vec<String> = Kind::iter().map(|kind| kind.to_string()).collect();
    format!("{CATALOGUE_HEAD}\n{}", sections.join("\n"))
}

/// An error that a handler answers with.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
}

impl ApiError {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        ApiError { kind, detail: detail.into(), errors: Vec::new() }
    }

    /// An error about one field or parameter; the same sentence stands in both places.
    pub fn on_field(kind: Kind, field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        ApiError { kind, errors: vec![FieldError::new(field, detail.clone())], detail }
    }

    /// An error about the fields of a body.
    pub fn on_fields(kind: Kind, errors: Vec<FieldError>) -> Self {
        let named: Vec<String> = errors.iter().map(|error| format!("{} {}", error.field, error.message).trim_start().to_owned()).collect();
        ApiError { kind, detail: named.join("; "), errors }
    }

    /// The same error, about another parameter.
    pub fn moved_to(mut self, field: &str) -> Self {
        for error in &mut self.errors {
            field.clone_into(&mut error.field);
        }
        self
    }

    /// An error of the server's own; the cause goes to the log, in the span of the request.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!("{cause:#}");
        ApiError::new(Kind::Internal, "the server could not do this; its log says why")
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The body of the response.
    pub fn into_problem(self) -> Problem {
        let Description { name, status, .. } = self.kind.describe();
        Problem {
            kind: format!("/problems/{name}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(why) = why_unreadable(&error) {
            let detail = format!("this version of CrossLens cannot read the run: {why}; start the version that made it, or delete it");
            return ApiError::on_field(Kind::RunUnreadable, "id", detail);
        }
        anyhow::Error::new(error).context("the database failed").into()
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::new(error).context("a file could not be read or written").into()
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        match Shortage::of(error.as_ref()) {
            Some(shortage) => {
                tracing::warn!("{error:#}");
                ApiError::new(shortage.kind(), shortage.to_string())
            }
            None => ApiError::internal(format!("{error:#}")),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (kind, status) = (self.kind, self.kind.describe().status);
        let body = serde_json::to_vec(&self.into_problem()).expect("a problem has only string keys");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(kind, Kind::TooManyAttempts | Kind::TooManyRequests) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// Every operation of the API document answers errors in this form.
impl utoipa::IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<OpenApiResponse>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("What went wrong, with the wrong fields where there are some")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}
