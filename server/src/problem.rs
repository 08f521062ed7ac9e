//! The one place where an error becomes a response: RFC 9457 problem details.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::problem::{FieldError, Problem};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as OpenApiResponse, ResponseBuilder};

use crate::shortage::Shortage;

/// What went wrong, as far as a program needs to tell; each has a name under `/problems/` and a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RouteNotFound,
    MethodNotAllowed,
    DatasetNotFound,
    RunNotFound,
    CheckpointNotFound,
    AttributionNotFound,
    /// A run that has not written its result, or never will.
    ResultNotFound,
    SweepNotFound,
    ShareNotFound,
    /// A link that worked until a time that is past.
    ShareExpired,
    InvalidQuery,
    InvalidJson,
    UnsupportedMediaType,
    BodyTooLarge,
    InvalidRun,
    InvalidShare,
    /// A title, tags or notes that a run cannot have.
    InvalidChange,
    /// A list of runs that is empty or too long, or tags that a run cannot have.
    InvalidActions,
    /// A folder that does not hold the data set.
    InvalidFolder,
    /// What nobody publishes, or is here already.
    NotDownloadable,
    /// A data set whose files are not here or not what they should be.
    DatasetNotReady,
    /// Two matrices over different classes.
    NotComparable,
    /// A finished run cannot be canceled.
    RunFinished,
    /// Only a canceled or failed run can go on.
    RunNotResumable,
    /// Only a queued run has a place in the queue.
    RunNotQueued,
    /// A running run cannot be deleted.
    RunActive,
    QueueFull,
    TooManyShares,
    WorkerNotReady,
    Unauthorized,
    /// Too many wrong tokens at a time.
    TooManyAttempts,
    CrossSite,
    UnknownHost,
    /// There is no room for what was to be written.
    DiskFull,
    /// Another program holds the database.
    DatabaseBusy,
    Internal,
}

impl Kind {
    fn describe(self) -> (&'static str, StatusCode) {
        match self {
            Kind::RouteNotFound => ("route-not-found", StatusCode::NOT_FOUND),
            Kind::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED),
            Kind::DatasetNotFound => ("dataset-not-found", StatusCode::NOT_FOUND),
            Kind::RunNotFound => ("run-not-found", StatusCode::NOT_FOUND),
            Kind::CheckpointNotFound => ("checkpoint-not-found", StatusCode::NOT_FOUND),
            Kind::AttributionNotFound => ("attribution-not-found", StatusCode::NOT_FOUND),
            Kind::ResultNotFound => ("result-not-found", StatusCode::NOT_FOUND),
            Kind::SweepNotFound => ("sweep-not-found", StatusCode::NOT_FOUND),
            Kind::ShareNotFound => ("share-not-found", StatusCode::NOT_FOUND),
            Kind::ShareExpired => ("share-expired", StatusCode::GONE),
            Kind::InvalidQuery => ("invalid-query", StatusCode::BAD_REQUEST),
            Kind::InvalidJson => ("invalid-json", StatusCode::BAD_REQUEST),
            Kind::UnsupportedMediaType => ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Kind::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE),
            Kind::InvalidRun => ("invalid-run", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::InvalidShare => ("invalid-share", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::InvalidChange => ("invalid-change", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::InvalidActions => ("invalid-actions", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::InvalidFolder => ("invalid-folder", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::NotDownloadable => ("not-downloadable", StatusCode::CONFLICT),
            Kind::DatasetNotReady => ("dataset-not-ready", StatusCode::CONFLICT),
            Kind::NotComparable => ("not-comparable", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::RunFinished => ("run-finished", StatusCode::CONFLICT),
            Kind::RunNotResumable => ("run-not-resumable", StatusCode::CONFLICT),
            Kind::RunNotQueued => ("run-not-queued", StatusCode::CONFLICT),
            Kind::RunActive => ("run-active", StatusCode::CONFLICT),
            Kind::QueueFull => ("queue-full", StatusCode::TOO_MANY_REQUESTS),
            Kind::TooManyShares => ("too-many-shares", StatusCode::TOO_MANY_REQUESTS),
            Kind::WorkerNotReady => ("worker-not-ready", StatusCode::SERVICE_UNAVAILABLE),
            Kind::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Kind::TooManyAttempts => ("too-many-attempts", StatusCode::TOO_MANY_REQUESTS),
            Kind::CrossSite => ("cross-site", StatusCode::FORBIDDEN),
            Kind::UnknownHost => ("unknown-host", StatusCode::MISDIRECTED_REQUEST),
            Kind::DiskFull => ("disk-full", StatusCode::INSUFFICIENT_STORAGE),
            Kind::DatabaseBusy => ("database-busy", StatusCode::SERVICE_UNAVAILABLE),
            Kind::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
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
        let (name, status) = self.kind.describe();
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
        let (_, status) = self.kind.describe();
        let body = serde_json::to_vec(&self.into_problem()).expect("a problem has only string keys");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
