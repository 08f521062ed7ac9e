//! Checkpoints: the list of a run, and the files.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::api::CheckpointInfo;
use shared::view::CheckpointId;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::content;
use crate::extract::{Name, Named};
use crate::id::RunId;
use crate::problem::ApiError;
use crate::state::AppState;

/// The checkpoints that a run has kept, by epoch
#[utoipa::path(
    get, path = "/api/runs/{id}/checkpoints", tag = "checkpoints",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Vec<CheckpointInfo>), ApiError)
)]
pub async fn list_checkpoints(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Vec<CheckpointInfo>>, ApiError> {
    let metrics = content::metrics(&state, &id).await?;
    Ok(Json(content::checkpoints(&id, &metrics)))
}

/// The weights of a checkpoint as safetensors, with PyTorch's names
#[utoipa::path(
    get, path = "/api/checkpoints/{id}/file", tag = "checkpoints",
    params(("id" = String, Path, description = "The checkpoint, `RUN.e12`")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 304, description = "As known by its ETag"), ApiError)
)]
pub async fn get_checkpoint_file(
    State(state): State<AppState>,
    Name(id): Name<CheckpointId>,
    request: Request,
) -> Result<Response, ApiError> {
    let not_found = || CheckpointId::not_found(&id.to_string());
    let run = RunId::of_checkpoint(&id);
    state.db.run(&run).await?.ok_or_else(not_found)?;
    let dir = state.dirs.of(&run);
    let metrics = dir.metrics().await?;
    let checkpoint = metrics.checkpoints.iter().find(|checkpoint| checkpoint.epoch == id.epoch).ok_or_else(not_found)?;

    let etag = HeaderValue::from_str(&format!("\"{}\"", checkpoint.sha256)).map_err(ApiError::internal)?;
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes())) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let served = ServeFile::new(dir.checkpoint(&id)).oneshot(request).await.map_err(ApiError::internal)?;
    if served.status() == StatusCode::NOT_FOUND {
        return Err(not_found());
    }
    let mut response = served.map(Body::new);
    let disposition = format!("attachment; filename=\"{id}.safetensors\"");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(ApiError::internal)?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ETAG, etag);
    Ok(response)
}
