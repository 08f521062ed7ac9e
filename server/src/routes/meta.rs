//! What the server is and offers.

use axum::Json;
use axum::extract::State;
use shared::api::{DatasetStatus, Health, RunState};
use shared::dataset::{Dataset, Source};
use shared::preset::{self, Preset};

use crate::problem::ApiError;
use crate::state::AppState;

/// The server's version, whether it can train, and on what
#[utoipa::path(get, path = "/api/health", tag = "server", responses((status = 200, body = Health), ApiError))]
pub async fn get_health(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    let worker = state.worker.borrow().clone();
    Ok(Json(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        worker,
        queued: state.db.count(RunState::Queued).await?,
        running: state.db.count(RunState::Running).await?,
    }))
}

/// Configurations to start from
#[utoipa::path(get, path = "/api/presets", tag = "server", responses((status = 200, body = Vec<Preset>), ApiError))]
pub async fn list_presets() -> Json<Vec<Preset>> {
    Json(preset::all())
}

/// Data sets, and how to get those that are not built in
#[utoipa::path(get, path = "/api/datasets", tag = "server", responses((status = 200, body = Vec<DatasetStatus>), ApiError))]
pub async fn list_datasets() -> Json<Vec<DatasetStatus>> {
    let status = |dataset: Dataset| DatasetStatus { ready: dataset.source() != Source::Folder, info: dataset.info() };
    Json(Dataset::ALL.into_iter().map(status).collect())
}
