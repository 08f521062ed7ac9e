//! Checkpoints: the list of a run, files of weights, and imports.

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
use shared::id::{CheckpointId, RunId};
use shared::inspection::Inspected;
use shared::rundir;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

use crate::app::BODY_LIMIT_BYTES;
use crate::extract::{Name, Named, unique_json};
use crate::problem::{ApiError, Kind};
use crate::ranges;
use crate::resources;
use crate::routes::runs::created;
use crate::state::AppState;
use crate::submit::{missing_source, submit};
use crate::uploads::{file_name, folder_name, without_folder};

/// The checkpoints that a run has kept, by epoch
#[utoipa::path(
    get, path = "/api/runs/{id}/checkpoints", tag = "checkpoints",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Vec<CheckpointInfo>), ApiError)
)]
pub async fn list_checkpoints(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Vec<CheckpointInfo>>, ApiError> {
    let metrics = resources::metrics(&state, &id).await?;
    Ok(Json(resources::checkpoints(&id, &metrics)))
}

/// Imports a checkpoint that was trained elsewhere
///
/// The part `config` comes first: the JSON of a run of kind `import` without `source`. Then either the part
/// `file`, the file under any name, or the part `upload`, the name of what was sent to be inspected. Several
/// parts `file` are the checkpoints of one training, with its log if it has one; a folder before their names
/// becomes the name of the run. The answer is the run that imports them. If they can be read in more than one
/// way, that run fails and says what to set. To import a file or folder that is on the server already, use
/// `POST /api/runs`.
#[utoipa::path(
    post, path = "/api/checkpoints", tag = "checkpoints",
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 201, body = Run), ApiError)
)]
pub async fn import_checkpoint(
    State(state): State<AppState>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Form { config, file, incoming: _incoming } = read_form(&state, form).await?;
    let (path, upload) = match file {
        Sent::File(path) => (path, None),
        Sent::Upload(id) => (kept(&state, &id)?, Some(id)),
        Sent::Nothing => return Err(missing("file")),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let config = import(config, &format!("upload/{name}"))?;
    let id = submit(&state, config, Some(path)).await?;
    if let Some(upload) = upload {
        state.uploads.remove(&upload);
    }
    created(&state, &id).await
}

/// Inspects a checkpoint that was trained elsewhere, before it is imported
///
/// Takes the same parts as `POST /api/checkpoints`, or only a `config` whose `source` is a path on the
/// server. Returns the networks, heads and normalizations of the file, which tensors would be used, and the
/// choices to make, each with its clean accuracy if the server has the test images; of a folder or several
/// files, which epoch each is of. What was sent is kept for two hours.
#[utoipa::path(
    post, path = "/api/checkpoints/inspect", tag = "checkpoints",
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 200, body = Inspected), ApiError)
)]
pub async fn inspect_checkpoint(
    State(state): State<AppState>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<Inspected>, ApiError> {
    let Form { config, file, incoming } = read_form(&state, form).await?;
    let path = match &file {
        Sent::File(path) => Some(path.clone()),
        Sent::Upload(id) => Some(kept(&state, id)?),
        Sent::Nothing => None,
    };
    let on_server = config.get("source").and_then(Value::as_str).unwrap_or_default().to_owned();
    let source = path.as_deref().map_or(on_server, |path| path.to_string_lossy().into_owned());
    let mut config = import(config, &source)?;
    if let RunConfig::Import(import) = &config
        && let Some(problem) = missing_source(import)
    {
        return Err(ApiError::on_field(Kind::InvalidRun, "source", problem));
    }
    // Keep the file from here on, so that it need not be sent again if something else is wrong.
    let upload = match file {
        Sent::File(path) => Some(state.uploads.keep(incoming, path)),
        Sent::Upload(id) => Some(id),
        Sent::Nothing => None,
    };
    // Without images nothing is measured.
    if let Some(data) = config.data_mut()
        && let Err(problem) = state.datasets.complete(data)
        && data.path.is_some()
    {
        return Ok(Json(Inspected { upload, inspection: None, problem: Some(format!("the folder of the data {problem}")) }));
    }
    let folder = state.dirs.make_inspection(&config)?;
    let looked = {
        let _turn = state.inspections.acquire().await.map_err(ApiError::internal)?;
        state.inspector.inspect(folder.path()).await
    };
    let (inspection, problem) = match looked {
        Ok(inspection) => (Some(inspection), None),
        Err(problem) => {
            let uploads = path.as_deref().and_then(Path::parent);
            (None, Some(uploads.map_or(problem.clone(), |folder| without_folder(&problem, folder))))
        }
    };
    Ok(Json(Inspected { upload, inspection, problem }))
}

/// Most files of one form: more than the epochs of the longest training.
const MOST_FILES: usize = 2000;

/// The form of the two handlers above, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "names the parts of the form")]
struct Upload {
    config: ImportConfig,
    /// A file; several for a series of checkpoints.
    #[schema(format = Binary)]
    file: Option<String>,
    /// Name of what an earlier inspection has kept.
    upload: Option<String>,
}

/// The content of a form.
struct Form {
    config: Value,
    file: Sent,
    /// Folder of the file, until the file is moved or kept.
    incoming: TempDir,
}

enum Sent {
    /// A file, or the folder of several.
    File(PathBuf),
    /// What was sent earlier.
    Upload(String),
    Nothing,
}

fn missing(name: &str) -> ApiError {
    ApiError::on_field(Kind::InvalidRun, name, format!("the part `{name}` is missing"))
}

fn kept(state: &AppState, id: &str) -> Result<PathBuf, ApiError> {
    let gone = || ApiError::on_field(Kind::InvalidRun, "upload", "the file is no longer kept here; send it again");
    state.uploads.file(id).ok_or_else(gone)
}

fn import(mut config: Value, source: &str) -> Result<RunConfig, ApiError> {
    if !config.is_object() {
        return Err(ApiError::on_field(Kind::InvalidJson, "config", "the part `config` is no JSON object"));
    }
    config["kind"] = "import".into();
    config["source"] = source.into();
    RunConfig::parse(&config).map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))
}

async fn read_form(state: &AppState, form: Result<Multipart, MultipartRejection>) -> Result<Form, ApiError> {
    let mut form = form.map_err(|rejection| ApiError::new(Kind::UnsupportedMediaType, rejection.body_text()))?;
    let incoming = state.dirs.make_incoming()?;
    let (mut config, mut upload, mut files) = (None, None, Received::default());
    while let Some(part) = form.next_field().await.map_err(broken_upload)? {
        let twice = |name: &str, detail: &str| Err(ApiError::on_field(Kind::InvalidRun, name, detail));
        match part.name() {
            Some("config") if config.is_some() => return twice("config", "the part `config` is sent twice"),
            Some("config") => {
                let text = short_part(part, "config").await?;
                let value = unique_json(&text)
                    .map_err(|error| ApiError::on_field(Kind::InvalidJson, "config", format!("the part `config` is not JSON: {error}")))?;
                config = Some(value);
            }
            Some(name @ ("file" | "upload")) if upload.is_some() || name == "upload" && !files.names.is_empty() => {
                return twice(name, "files and an upload are sent; send parts `file`, or one part `upload`");
            }
            Some("file") => files.receive(part, incoming.path()).await?,
            Some("upload") => {
                let name = short_part(part, "upload").await?;
                upload = Some(String::from_utf8_lossy(&name).into_owned());
            }
            other => {
                let detail = format!("the part `{}` is not known; known: `config`, `file`, `upload`", other.unwrap_or_default());
                return Err(ApiError::on_field(Kind::InvalidRun, other.unwrap_or_default(), detail));
            }
        }
    }
    let file = match upload {
        Some(upload) => Sent::Upload(upload),
        None => files.gather(incoming.path())?,
    };
    Ok(Form { config: config.ok_or_else(|| missing("config"))?, file, incoming })
}

/// Reads a part that is no file: it may be as long as a body without a file.
async fn short_part(mut part: Field<'_>, name: &str) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(more) = part.chunk().await.map_err(broken_upload)? {
        bytes.extend_from_slice(&more);
        if bytes.len() > BODY_LIMIT_BYTES {
            return Err(ApiError::on_field(Kind::BodyTooLarge, name, format!("the part `{name}` is larger than 1 MiB")));
        }
    }
    Ok(bytes)
}

/// The files of a form.
#[derive(Default)]
struct Received {
    names: Vec<String>,
    /// Name of the folder that they were chosen from.
    folder: Option<String>,
}

impl Received {
    /// Writes a part to a file in `incoming`, under the name that it was sent with if that is a possible file
    /// name.
    async fn receive(&mut self, mut part: Field<'_>, incoming: &Path) -> Result<(), ApiError> {
        let given = part.file_name().unwrap_or_default();
        let name = file_name(given);
        let refused = |detail: String| Err(ApiError::on_field(Kind::InvalidRun, "file", detail));
        if self.names.contains(&name) {
            return refused(format!("two files with the name `{name}` are sent; files of one training lie in one folder"));
        }
        if self.names.len() == MOST_FILES {
            return refused(format!("more than {MOST_FILES} files are sent; put them into a folder on the server and import that"));
        }
        self.folder = self.folder.take().or_else(|| folder_name(given));
        let mut file = tokio::fs::File::create_new(incoming.join(&name)).await?;
        while let Some(bytes) = part.chunk().await.map_err(broken_upload)? {
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        self.names.push(name);
        Ok(())
    }

    /// Moves several files into a folder of their own.
    fn gather(self, incoming: &Path) -> std::io::Result<Sent> {
        match self.names.as_slice() {
            [] => Ok(Sent::Nothing),
            [only] => Ok(Sent::File(incoming.join(only))),
            names => {
                // No file has this name: those of files have no dot at their start.
                let hidden = incoming.join(".series");
                std::fs::create_dir(&hidden)?;
                for name in names {
                    std::fs::rename(incoming.join(name), hidden.join(name))?;
                }
                let folder = incoming.join(self.folder.as_deref().unwrap_or("checkpoints"));
                std::fs::rename(hidden, &folder)?;
                Ok(Sent::File(folder))
            }
        }
    }
}

fn broken_upload(error: MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "what is sent is larger than 4 GiB; put it into a folder on the server and import that";
            ApiError::on_field(Kind::BodyTooLarge, "file", detail)
        }
        _ => ApiError::on_field(Kind::InvalidRun, "file", format!("the upload broke off or is no form: {}", error.body_text())),
    }
}

/// The weights of a checkpoint as safetensors, with the names of PyTorch; a program as TorchScript
#[utoipa::path(
    get, path = "/api/checkpoints/{id}/file", tag = "checkpoints",
    params(("id" = String, Path, description = "The checkpoint, `RUN.e12`")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 304, description = "Not modified: the client has the file with this ETag"), ApiError)
)]
pub async fn get_checkpoint_file(
    State(state): State<AppState>,
    Name(id): Name<CheckpointId>,
    request: Request,
) -> Result<Response, ApiError> {
    let not_found = || CheckpointId::not_found(&id.to_string());
    resources::status(&state, &id.run).await.map_err(|error| if error.kind() == Kind::RunNotFound { not_found() } else { error })?;
    let dir = state.dirs.of(&id.run);
    let metrics = dir.metrics().await?;
    let checkpoint = metrics.checkpoints.iter().find(|checkpoint| checkpoint.epoch == id.epoch).ok_or_else(not_found)?;

    let etag = HeaderValue::from_str(&format!("\"{}\"", checkpoint.sha256)).map_err(ApiError::internal)?;
    if ranges::is_known(request.headers(), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    // Not the name that the record has: a directory from elsewhere must not name other files.
    let is_program = checkpoint.file == rundir::program_file(id.epoch);
    let name = if is_program { rundir::program_file(id.epoch) } else { rundir::checkpoint_file(id.epoch) };
    let plain = {
        let (dir, name) = (dir.clone(), name.clone());
        spawn_blocking(move || dir.open(&name)).await.map_err(ApiError::internal)?
    };
    if let Err(error) = plain {
        tracing::warn!("the file of {id} is not served: {error}");
        return Err(not_found());
    }
    let served = ServeFile::new(dir.path().join(&name)).oneshot(request).await.map_err(ApiError::internal)?;
    if served.status() == StatusCode::NOT_FOUND {
        return Err(not_found());
    }
    let mut response = served.map(Body::new);
    let ending = if is_program { "pt" } else { "safetensors" };
    let disposition = format!("attachment; filename=\"{id}.{ending}\"");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(ApiError::internal)?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ETAG, etag);
    Ok(response)
}
