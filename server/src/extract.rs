//! Extractors of requests. What they cannot read is answered with a problem that names the field.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::dataset::Dataset;
use shared::id::{AttributionId, CheckpointId, RunId, ShareId, ShareToken};
use shared::problem;

use crate::id::DatasetId;
use crate::problem::{ApiError, Kind};

/// The name of a resource, from the last parameter of the path.
#[derive(Debug)]
pub struct Name<T>(pub T);

/// Resources that a path can name.
pub trait Named: FromStr {
    /// The problem of a name that no resource has.
    fn not_found(text: &str) -> ApiError;
}

impl Named for RunId {
    fn not_found(text: &str) -> ApiError {
        ApiError::on_field(Kind::RunNotFound, "id", format!("no run `{text}`"))
    }
}

impl Named for CheckpointId {
    fn not_found(text: &str) -> ApiError {
        ApiError::on_field(Kind::CheckpointNotFound, "id", format!("no checkpoint `{text}`; checkpoints are named like `RUN.e12`"))
    }
}

impl Named for AttributionId {
    fn not_found(text: &str) -> ApiError {
        let detail = format!("no attribution `{text}`; attributions are named like `RUN.e12.adversarial`");
        ApiError::on_field(Kind::AttributionNotFound, "id", detail)
    }
}

impl Named for DatasetId {
    fn not_found(text: &str) -> ApiError {
        let known: Vec<&str> = Dataset::ALL.iter().map(|dataset| dataset.id()).collect();
        ApiError::on_field(Kind::DatasetNotFound, "id", format!("no data set `{text}`; known: {}", known.join(", ")))
    }
}

impl Named for ShareToken {
    fn not_found(_: &str) -> ApiError {
        let detail = "this link does not lead anywhere: it was revoked or replaced, it expired long ago, or the run it showed was deleted";
        ApiError::on_field(Kind::ShareNotFound, "share", detail)
    }
}

impl Named for ShareId {
    fn not_found(text: &str) -> ApiError {
        ApiError::on_field(Kind::ShareNotFound, "share", format!("no share has the id `{text}`"))
    }
}

impl<S: Send + Sync, T: Named> FromRequestParts<S> for Name<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| T::not_found("?"))?;
        text.parse().map(Name).map_err(|_| T::not_found(&text))
    }
}

/// The query of the address, read into a struct.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read_query(parts.uri.query().unwrap_or_default()).map(Query)
    }
}

/// Reads a query as a struct.
pub fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    problem::read(pairs).map_err(|error| ApiError::on_fields(Kind::InvalidQuery, vec![error]))
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let detail = "the body must be JSON, with the header `Content-Type: application/json`";
            return Err(ApiError::on_field(Kind::UnsupportedMediaType, "Content-Type", detail));
        }
        let body = Bytes::from_request(request, state).await.map_err(unreadable_body)?;
        let not_json = |error| ApiError::new(Kind::InvalidJson, format!("the body is not JSON: {error}"));
        let value = unique_json(&body).map_err(not_json)?;
        problem::read(value).map(Json).map_err(|error| ApiError::on_fields(Kind::InvalidJson, vec![error]))
    }
}

/// Parses JSON in which no object has a key twice: of two values, one would be ignored without a word.
pub fn unique_json(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Unique>(bytes)?;
    serde_json::from_slice(bytes)
}

/// Any JSON value, read only to check its keys.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` stands twice in an object")));
            }
            keys.insert(key);
            entries.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn unreadable_body(rejection: BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Kind::BodyTooLarge, "the body is larger than 1 MiB"),
        _ => ApiError::new(Kind::InvalidJson, format!("the body could not be read: {}", rejection.body_text())),
    }
}
