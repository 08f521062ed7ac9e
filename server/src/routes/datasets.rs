//! Data sets: what is available, folders, downloads, and their content.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use shared::api::{DatasetFolder, DatasetStatus, DatasetSummary};
use shared::problem::FieldError;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use crate::extract::{self, Name, Query};
use crate::id::DatasetId;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

const MOST_SAMPLES: usize = 200;

/// All data sets: where their files are, and how to get missing ones
#[utoipa::path(get, path = "/api/datasets", tag = "datasets", responses((status = 200, body = Vec<DatasetStatus>), ApiError))]
pub async fn list_datasets(State(state): State<AppState>) -> Result<Json<Vec<DatasetStatus>>, ApiError> {
    let datasets = state.datasets.clone();
    Ok(Json(spawn_blocking(move || datasets.statuses()).await.map_err(ApiError::internal)?))
}

async fn status(state: &AppState, id: DatasetId) -> Result<Json<DatasetStatus>, ApiError> {
    let datasets = state.datasets.clone();
    Ok(Json(spawn_blocking(move || datasets.status(id.0)).await.map_err(ApiError::internal)?))
}

/// Sets the folder on the server that holds a data set
///
/// Used by runs that name no folder. The server only reads the folder and remembers it.
#[utoipa::path(
    put, path = "/api/datasets/{id}/folder", tag = "datasets", request_body = DatasetFolder,
    params(("id" = String, Path, description = "The data set")),
    responses((status = 200, body = DatasetStatus), ApiError)
)]
pub async fn set_dataset_folder(
    State(state): State<AppState>,
    Name(id): Name<DatasetId>,
    extract::Json(folder): extract::Json<DatasetFolder>,
) -> Result<Json<DatasetStatus>, ApiError> {
    let datasets = state.datasets.clone();
    let pointed = spawn_blocking(move || datasets.point(id.0, &folder.path)).await.map_err(ApiError::internal)??;
    pointed.map_err(|problem| ApiError::on_field(Kind::InvalidFolder, "path", problem))?;
    status(&state, id).await
}

/// Forgets the folder of a data set; its files stay
#[utoipa::path(
    delete, path = "/api/datasets/{id}/folder", tag = "datasets",
    params(("id" = String, Path, description = "The data set")),
    responses((status = 200, body = DatasetStatus), ApiError)
)]
pub async fn forget_dataset_folder(State(state): State<AppState>, Name(id): Name<DatasetId>) -> Result<Json<DatasetStatus>, ApiError> {
    state.datasets.forget(id.0)?;
    status(&state, id).await
}

/// Starts or continues the download of a published data set; the list of data sets shows the progress
#[utoipa::path(
    post, path = "/api/datasets/{id}/download", tag = "datasets",
    params(("id" = String, Path, description = "The data set")),
    responses((status = 202, body = DatasetStatus), ApiError)
)]
pub async fn start_download(
    State(state): State<AppState>,
    Name(id): Name<DatasetId>,
) -> Result<(StatusCode, Json<DatasetStatus>), ApiError> {
    state.datasets.start_download(id.0).map_err(|error| ApiError::on_field(Kind::NotDownloadable, "id", error.to_string()))?;
    Ok((StatusCode::ACCEPTED, status(&state, id).await?))
}

/// Stops a download and keeps what was received; if none is running, removes what an earlier one left
#[utoipa::path(
    delete, path = "/api/datasets/{id}/download", tag = "datasets",
    params(("id" = String, Path, description = "The data set")),
    responses((status = 200, body = DatasetStatus), ApiError)
)]
pub async fn cancel_download(State(state): State<AppState>, Name(id): Name<DatasetId>) -> Result<Json<DatasetStatus>, ApiError> {
    state.datasets.cancel_download(id.0)?;
    status(&state, id).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Summarize {
    /// Images to show of each split, spread over the classes: 20 by default, at most 200.
    samples: usize,
}

impl Default for Summarize {
    fn default() -> Self {
        Summarize { samples: 20 }
    }
}

/// Content of a data set: its classes, the images of each, and samples
#[utoipa::path(
    get, path = "/api/datasets/{id}/summary", tag = "datasets",
    params(("id" = String, Path, description = "The data set"), Summarize),
    responses((status = 200, body = DatasetSummary), ApiError)
)]
pub async fn get_dataset_summary(
    State(state): State<AppState>,
    Name(id): Name<DatasetId>,
    Query(Summarize { samples }): Query<Summarize>,
) -> Result<Json<DatasetSummary>, ApiError> {
    if samples > MOST_SAMPLES {
        let message = format!("{samples} is out of range; 0 to {MOST_SAMPLES}");
        return Err(ApiError::on_fields(Kind::InvalidQuery, vec![FieldError::new("samples", message)]));
    }
    let datasets = state.datasets.clone();
    let summary = spawn_blocking(move || datasets.summary(id.0, samples)).await.map_err(ApiError::internal)?;
    summary.map(Json).map_err(|problem| ApiError::on_field(Kind::DatasetNotReady, "id", problem))
}
