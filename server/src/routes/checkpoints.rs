//! Checkpoints: the list of a run, and the files.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use shared::api::{CheckpointInfo, Run};
use shared::config::{ImportConfig, RunConfig};
use shared::view::CheckpointId;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

use crate::content;
use crate::extract::{Name, Named};
use crate::id::RunId;
use crate::problem::{ApiError, Kind};
use crate::routes::runs::created;
use crate::rundir::RunDir;
use crate::state::AppState;
use crate::submit::submit;

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

/// Brings in a checkpoint that was trained elsewhere
///
/// The part `config`, which comes first, is the JSON of a run of the kind `import` without its `source`; the part `file` is the file. The
/// answer is the run that reads it. A file on the server itself is imported with `POST /api/runs`.
#[utoipa::path(
    post, path = "/api/checkpoints", tag = "checkpoints",
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 201, body = Run), ApiError)
)]
pub async fn import_checkpoint(
    State(state): State<AppState>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let mut form = form.map_err(|rejection| ApiError::new(Kind::UnsupportedMediaType, rejection.body_text()))?;
    let incoming = state.dirs.make_incoming()?;
    let (mut config, mut file) = (None, None);
    while let Some(part) = form.next_field().await.map_err(broken_upload)? {
        match part.name() {
            Some("config") => {
                let text = part.text().await.map_err(broken_upload)?;
                let value: Value = serde_json::from_str(&text)
                    .map_err(|error| ApiError::on_field(Kind::InvalidJson, "config", format!("the part `config` is not JSON: {error}")))?;
                config = Some(value);
            }
            Some("file") => file = Some(receive(part, incoming.path()).await?),
            other => {
                let detail = format!("the part `{}` is not known; known: `config`, `file`", other.unwrap_or_default());
                return Err(ApiError::on_field(Kind::InvalidRun, other.unwrap_or_default(), detail));
            }
        }
    }
    let missing = |name: &str| ApiError::on_field(Kind::InvalidRun, name, format!("the part `{name}` is missing"));
    let (mut config, file) = (config.ok_or_else(|| missing("config"))?, file.ok_or_else(|| missing("file"))?);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    config["kind"] = "import".into();
    config["source"] = format!("upload/{name}").into();
    let config = RunConfig::parse(&config).map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))?;
    let id = submit(&state, config, Some(file)).await?;
    created(&state, &id).await
}

/// What `import_checkpoint` takes, for its document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "names the parts of the form")]
struct Upload {
    config: ImportConfig,
    #[schema(format = Binary)]
    file: String,
}

/// Writes a part to a file of the name it came under, in `folder`.
async fn receive(mut part: Field<'_>, folder: &Path) -> Result<PathBuf, ApiError> {
    const KNOWN: [&str; 3] = ["safetensors", "pth", "pt"];
    let given = part.file_name().unwrap_or_default().to_owned();
    // Some browsers send the whole path.
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = !name.starts_with('.') && name.len() <= 200 && !name.chars().any(char::is_control);
    let known = Path::new(name).extension().and_then(|extension| extension.to_str()).is_some_and(|extension| KNOWN.contains(&extension));
    if !(plain && known) {
        let detail = format!("`{given}` is not the name of a .safetensors, .pth or .pt file");
        return Err(ApiError::on_field(Kind::InvalidRun, "file", detail));
    }
    let path = folder.join(name);
    let mut file = tokio::fs::File::create_new(&path).await?;
    while let Some(bytes) = part.chunk().await.map_err(broken_upload)? {
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    Ok(path)
}

fn broken_upload(error: MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::on_field(Kind::BodyTooLarge, "file", "the file is larger than 4 GiB"),
        _ => ApiError::on_field(Kind::InvalidRun, "file", format!("the upload broke off or is no form: {}", error.body_text())),
    }
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
    let plain = {
        let (dir, name) = (dir.clone(), RunDir::checkpoint_name(&id));
        spawn_blocking(move || dir.open(&name)).await.map_err(ApiError::internal)?
    };
    if let Err(error) = plain {
        tracing::warn!("the file of {id} is not served: {error}");
        return Err(not_found());
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
