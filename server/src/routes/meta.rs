//! What the server is and offers.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use shared::api::{Health, RunState, WorkerStatus};
use shared::preset::{self, Preset};

use crate::problem::{ApiError, Kind};
use crate::shortage::free_bytes;
use crate::state::AppState;
use crate::telemetry::{self, Now};

/// The version of the server, whether it can train, and on which devices
#[utoipa::path(get, path = "/api/health", tag = "server", responses((status = 200, body = Health), ApiError))]
pub async fn get_health(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    let worker = state.worker.borrow().clone();
    Ok(Json(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        worker,
        queued: state.db.count(RunState::Queued).await?,
        running: state.db.count(RunState::Running).await?,
        trash_days: state.settings.trash_days,
        allow_programs: state.settings.allow_programs,
        problems: state.all_problems(),
    }))
}

/// Whether the server answers at all
#[utoipa::path(
    get, path = "/api/health/live", tag = "server",
    responses((status = 204, description = "It does"), ApiError), security(())
)]
pub async fn get_live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether the server can store and run what is sent to it; needs no token and names no details
#[utoipa::path(
    get, path = "/api/health/ready", tag = "server",
    responses((status = 204, description = "It can"), ApiError), security(())
)]
pub async fn get_ready(State(state): State<AppState>) -> Result<StatusCode, ApiError> {
    let missing = match &*state.worker.borrow() {
        WorkerStatus::Starting => Some("the worker program is starting"),
        WorkerStatus::Broken { .. } => Some("the worker program does not start"),
        WorkerStatus::Ready(_) if state.problems().is_empty() => None,
        WorkerStatus::Ready(_) => Some("the database or the disk needs attention"),
    };
    match missing {
        None => Ok(StatusCode::NO_CONTENT),
        Some(missing) => Err(ApiError::new(Kind::NotReady, missing)),
    }
}

/// Numbers for monitoring, in the text format of OpenMetrics: requests, runs by state, free disk space
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, content_type = "application/openmetrics-text", body = String), ApiError)
)]
pub async fn get_telemetry(State(state): State<AppState>) -> Result<impl IntoResponse, ApiError> {
    let mut runs = Vec::new();
    for run_state in RunState::ALL {
        runs.push((run_state.id(), state.db.count(run_state).await?));
    }
    let now = Now {
        runs,
        problems: state.problems().len(),
        worker_ready: matches!(&*state.worker.borrow(), WorkerStatus::Ready(_)),
        free_disk_bytes: free_bytes(&state.settings.data_dir)?,
    };
    let text = state.telemetry.text(&now).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, telemetry::MEDIA_TYPE)], text))
}

/// Configurations to start from
#[utoipa::path(get, path = "/api/presets", tag = "server", responses((status = 200, body = Vec<Preset>), ApiError))]
pub async fn list_presets() -> Json<Vec<Preset>> {
    Json(preset::all())
}
