//! Lanes: where runs can go.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use shared::api::{LaneTrial, Lanes};

use crate::extract::{Name, Named};
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

/// Name of a lane, which need not exist.
#[derive(Debug)]
pub struct LaneName(String);

impl FromStr for LaneName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(LaneName(text.to_owned()))
    }
}

impl Named for LaneName {
    fn not_found(text: &str) -> ApiError {
        ApiError::on_field(Kind::LaneNotFound, "name", format!("no lane `{text}`"))
    }
}

/// Where runs can go: devices of this machine, clusters, other hosts
#[utoipa::path(get, path = "/api/lanes", tag = "server", responses((status = 200, body = Lanes), ApiError))]
pub async fn list_lanes(State(state): State<AppState>) -> Json<Lanes> {
    Json(state.lanes.described())
}

/// Reads the file of lanes again
///
/// Runs that were handed over go on; those that wait for a lane that is gone wait until it is there again or they are
/// moved.
#[utoipa::path(post, path = "/api/lanes/read", tag = "server", responses((status = 200, body = Lanes), ApiError))]
pub async fn read_lanes(state: State<AppState>) -> Result<Json<Lanes>, ApiError> {
    state.lanes.read_again().map_err(|error| ApiError::new(Kind::InvalidLanes, format!("{error:#}")))?;
    state.scheduler.look().await?;
    Ok(list_lanes(state).await)
}

/// Starts a worker on a lane that only says what it can do there
///
/// Takes as long as the lane needs to start it.
#[utoipa::path(
    post, path = "/api/lanes/{name}/try", tag = "server",
    params(("name" = String, Path, description = "The lane")),
    responses((status = 200, body = LaneTrial), ApiError)
)]
pub async fn try_lane(State(state): State<AppState>, Name(LaneName(name)): Name<LaneName>) -> Result<Json<LaneTrial>, ApiError> {
    let lane = state.lanes.get(&name).ok_or_else(|| LaneName::not_found(&name))?;
    let begun = Instant::now();
    let probe = lane.engine.probe(&name).await.map_err(|why| ApiError::new(Kind::LaneNotReady, why))?;
    Ok(Json(LaneTrial { probe, seconds: begun.elapsed().as_secs_f64() }))
}
