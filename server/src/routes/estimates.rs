//! What runs will need, before they are submitted.

use axum::Json;
use axum::extract::State;
use shared::api::{EstimateRequest, NewSweep, RunEstimate, TimeEstimate};
use shared::config::RunConfig;
use shared::id::SweepId;
use shared::problem::FieldError;
use shared::sweep;

use crate::disk_space::{self, Disk};
use crate::estimate::{Experience, MOST_EARLIER};
use crate::extract;
use crate::launch::Choice;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

/// The disk space and the time that a run or a sweep will need, and whether the space is there
///
/// Submits nothing.
#[utoipa::path(
    post, path = "/api/estimate", tag = "runs", request_body = EstimateRequest, responses((status = 200, body = RunEstimate), ApiError)
)]
pub async fn estimate_runs(
    State(state): State<AppState>,
    extract::Json(EstimateRequest { config, axes }): extract::Json<EstimateRequest>,
) -> Result<Json<RunEstimate>, ApiError> {
    let configs = if axes.is_empty() {
        let named = |error: FieldError| FieldError::new(format!("config.{}", error.field), error.message);
        RunConfig::parse(&config).map(|config| vec![config]).map_err(|errors| errors.into_iter().map(named).collect())
    } else {
        let id: SweepId = "estimate".parse().map_err(ApiError::internal)?;
        sweep::expand(&NewSweep { name: String::new(), config, axes, at_once: None }, &id)
    };
    let configs = configs.map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))?;
    let (disk, estimate) = (Disk::of(state.dirs.root())?, disk_space::of_all(&configs));
    let expected_bytes = disk_space::expected(&state).await?;
    let warning = estimate.as_ref().and_then(|estimate| disk_space::lack(disk, estimate.most_bytes, expected_bytes, state.dirs.root()));
    let time = time(&state, &configs).await?;
    let runs = u32::try_from(configs.len()).unwrap_or(u32::MAX);
    Ok(Json(RunEstimate { runs, disk: estimate, time, expected_bytes, free_bytes: disk.free_bytes, warning }))
}

/// How long runs will take on the device that they ask for; `None` if nothing tells.
async fn time(state: &AppState, configs: &[RunConfig]) -> Result<Option<TimeEstimate>, ApiError> {
    let Some(config) = configs.first() else { return Ok(None) };
    let (Choice::Free(lane) | Choice::Wait(lane)) = state.lanes.choose(config.device(), |_| true) else { return Ok(None) };
    let Some(lane) = state.lanes.described().lanes.into_iter().find(|known| known.name == lane.name) else { return Ok(None) };
    let experience = Experience::of(state.db.done(MOST_EARLIER).await?);
    Ok(experience.time(configs, &lane))
}
