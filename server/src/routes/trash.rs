//! The trash. Runs are moved there, restored and deleted for good with the routes of runs.

use axum::Json;
use axum::extract::State;
use shared::api::Trash;

use crate::problem::ApiError;
use crate::state::AppState;
use crate::trash;

/// The deleted runs that can still be restored, the last deleted first
#[utoipa::path(get, path = "/api/trash", tag = "runs", responses((status = 200, body = Trash), ApiError))]
pub async fn get_trash(State(state): State<AppState>) -> Result<Json<Trash>, ApiError> {
    Ok(Json(trash::content(&state).await?))
}
