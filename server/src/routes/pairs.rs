//! Pairs of classes: what was measured of them, and one cell through the epochs of a run.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use shared::api::{EpochCell, Run};
use shared::config::{Inputs, PairConfig, RunConfig};
use shared::view::{AttributionId, CheckpointId, CheckpointRef};
use utoipa::IntoParams;

use crate::content;
use crate::extract::{Name, Query};
use crate::id::RunId;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindPair {
    /// `RUN.e12`.
    checkpoint: String,
    /// A class by its index.
    i: u32,
    /// The other class.
    j: u32,
}

/// Runs that measure a pair of classes at a checkpoint, the newest first
///
/// In whatever state they are: what those that succeeded have found is at `/api/runs/{id}/pair`.
#[utoipa::path(
    get, path = "/api/pairs", tag = "attributions", params(FindPair),
    responses((status = 200, body = Vec<Run>), ApiError)
)]
pub async fn list_pairs(State(state): State<AppState>, Query(query): Query<FindPair>) -> Result<Json<Vec<Run>>, ApiError> {
    let FindPair { checkpoint, i, j } = query;
    let checkpoint: CheckpointId =
        checkpoint.parse().map_err(|error| ApiError::on_field(Kind::InvalidQuery, "checkpoint", format!("{error}")))?;
    let run = RunId::of_checkpoint(&checkpoint);
    let metrics = content::metrics(&state, &run).await.map_err(|error| error.moved_to("checkpoint"))?;
    let measures = |config: &PairConfig| {
        let is_it = |named: &CheckpointRef| {
            named.run == checkpoint.run && metrics.checkpoint_epoch(named.which).is_ok_and(|epoch| epoch == checkpoint.epoch)
        };
        config.pairs.contains(&[i.min(j), i.max(j)]) && config.checkpoints.iter().any(is_it)
    };
    let runs = state.db.pair_runs().await?;
    Ok(Json(runs.into_iter().filter(|run| matches!(&run.config, RunConfig::Pair(config) if measures(config))).collect()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowCell {
    /// A class by its index.
    i: usize,
    j: usize,
    /// Adversarial when absent.
    #[serde(default = "adversarial")]
    inputs: Inputs,
}

fn adversarial() -> Inputs {
    Inputs::Adversarial
}

/// One cell of every matrix that a run has kept, by epoch
#[utoipa::path(
    get, path = "/api/runs/{id}/cells", tag = "attributions",
    params(("id" = String, Path, description = "The run"), FollowCell),
    responses((status = 200, body = Vec<EpochCell>), ApiError)
)]
pub async fn list_cells(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    Query(query): Query<FollowCell>,
) -> Result<Json<Vec<EpochCell>>, ApiError> {
    let FollowCell { i, j, inputs } = query;
    let metrics = content::metrics(&state, &id).await?;
    let mut cells = Vec::new();
    for entry in metrics.attributions.iter().filter(|entry| entry.inputs == inputs) {
        let name = AttributionId { run: id.to_string(), epoch: entry.epoch, inputs };
        // A file may have gone with its checkpoint since the line was read.
        let Some(file) = state.dirs.of(&id).attribution(&name).await? else { continue };
        for (field, class) in [("i", i), ("j", j)] {
            if class >= file.matrix.classes() {
                let message = format!("{class} is no class; the matrices of `{id}` have {}, from 0", file.matrix.classes());
                return Err(ApiError::on_field(Kind::InvalidQuery, field, message));
            }
        }
        let interval = file.bootstrap.map(|bootstrap| [bootstrap.low.get(i, j), bootstrap.high.get(i, j)]);
        cells.push(EpochCell { epoch: entry.epoch, value: file.matrix.get(i, j), interval });
    }
    cells.sort_unstable_by_key(|cell| cell.epoch);
    Ok(Json(cells))
}
