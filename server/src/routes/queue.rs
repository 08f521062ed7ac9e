//! The queue: running and waiting runs, and when they will finish.

use axum::Json;
use axum::extract::State;
use shared::api::{Queue, QueueChange, RunState, WorkerStatus};

use crate::estimate::{Experience, MOST_EARLIER, queues};
use crate::extract;
use crate::problem::ApiError;
use crate::state::AppState;

/// The queue of each lane, with estimates of when its runs will finish
#[utoipa::path(get, path = "/api/queue", tag = "runs", responses((status = 200, body = Queue), ApiError))]
pub async fn get_queue(State(state): State<AppState>) -> Result<Json<Queue>, ApiError> {
    let runs = state.db.queue().await?;
    let waits = runs.iter().any(|(run, _)| run.state == RunState::Queued || run.seconds_left.is_none());
    let experience = if waits { Experience::of(state.db.done(MOST_EARLIER).await?) } else { Experience::default() };
    let working = !matches!(&*state.worker.borrow(), WorkerStatus::Broken { .. });
    let lanes = state.lanes.described().lanes;
    let paused = state.db.queue_is_paused().await?;
    let moves = working && !paused;
    Ok(Json(Queue { paused, devices: queues(lanes, runs, &experience, moves) }))
}

/// Pauses the queue, so that nothing starts, or lets it go on
#[utoipa::path(patch, path = "/api/queue", tag = "runs", request_body = QueueChange, responses((status = 200, body = Queue), ApiError))]
pub async fn change_queue(
    state: State<AppState>,
    extract::Json(QueueChange { paused }): extract::Json<QueueChange>,
) -> Result<Json<Queue>, ApiError> {
    state.scheduler.pause_queue(paused).await?;
    get_queue(state).await
}
