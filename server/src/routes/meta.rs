//! What the server is and offers.

use axum::Json;
use axum::extract::State;
use shared::api::{Health, RunState};
use shared::preset::{self, Preset};

use crate::problem::ApiError;
use crate::state::AppState;

/// The version of the server, whether it can train, and on which devices
#[utoipa::path(get, path = "/api/health", tag = "server", responses((status = 200, body = Health), ApiError))]
pub async fn get_health(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    let worker = state.worker.borrow().clone();
    Ok(Json(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        worker,
        queued: state.db.count(RunState::Queued).await?,
        running: state.db.count(RunState::Running).await?,
        problems: state.problems(),
    }))
}

/// Configurations to start from
#[utoipa::path(get, path = "/api/presets", tag = "server", responses((status = 200, body = Vec<Preset>), ApiError))]
pub async fn list_presets() -> Json<Vec<Preset>> {
    Json(preset::all())
}
