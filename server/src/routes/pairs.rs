//! Pairs of classes: the runs that measure them, and one cell of the matrix over the epochs of a run.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use shared::api::{EpochCell, Run};
use shared::chart::course::Course;
use shared::config::{Inputs, PairConfig, RunConfig};
use shared::export::Format;
use shared::id::{AttributionId, CheckpointId, CheckpointRef, RunId};
use shared::provenance::{CheckpointHash, Page, Provenance};
use shared::view::{Lens, View};
use utoipa::IntoParams;

use crate::extract::{Name, Query};
use crate::figures::{self, FigureQuery, Style};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::resources;
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindPair {
    /// `RUN.e12`.
    #[param(value_type = String)]
    checkpoint: CheckpointId,
    /// Index of a class, from 0.
    i: u32,
    /// Index of the other class.
    j: u32,
}

/// Runs that measure a pair of classes at a checkpoint, newest first
///
/// Includes runs in every state. The result of a succeeded one is at `/api/runs/{id}/pair`.
#[utoipa::path(
    get, path = "/api/pairs", tag = "attributions", params(FindPair),
    responses((status = 200, body = Vec<Run>), ApiError)
)]
pub async fn list_pairs(State(state): State<AppState>, Query(query): Query<FindPair>) -> Result<Json<Vec<Run>>, ApiError> {
    let FindPair { checkpoint, i, j } = query;
    let metrics = resources::metrics(&state, &checkpoint.run).await.map_err(|error| error.moved_to("checkpoint"))?;
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
    /// Index of a class, from 0.
    i: usize,
    j: usize,
    /// `adversarial` by default.
    #[serde(default = "adversarial")]
    inputs: Inputs,
    /// `json` by default.
    #[param(schema_with = figures::chart_or_data_formats)]
    format: Option<Format>,
}

/// Files read at once; each takes a few milliseconds of a processor and a few megabytes.
const READ_TOGETHER: usize = 8;

fn adversarial() -> Inputs {
    Inputs::Adversarial
}

/// One cell of every kept matrix of a run, by epoch
///
/// Figures mark the best and the last checkpoint.
#[utoipa::path(
    get, path = "/api/runs/{id}/cells", tag = "attributions",
    params(("id" = String, Path, description = "The run"), FollowCell, Style),
    responses(
        (status = 200, body = Vec<EpochCell>),
        ApiError
    )
)]
pub async fn list_cells(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    FigureQuery { own, style: Style { lens, theme } }: FigureQuery<FollowCell>,
) -> Result<Response, ApiError> {
    let FollowCell { i, j, inputs, format } = own;
    let metrics = resources::metrics(&state, &id).await?;
    let epochs: BTreeSet<u32> = metrics.attributions.iter().filter(|entry| entry.inputs == inputs).map(|entry| entry.epoch).collect();
    let cells = stream::iter(epochs).map(|epoch| cell(&state, AttributionId { run: id.clone(), epoch, inputs }, (i, j)));
    let cells: Vec<_> = cells.buffered(READ_TOGETHER).try_collect().await?;
    let (cells, checkpoints): (Vec<EpochCell>, Vec<CheckpointHash>) = cells.into_iter().flatten().unzip();
    let format = format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(cells).into_response());
    }
    let marks = [(metrics.best(), "best"), (metrics.last(), "last")];
    let marks = marks.into_iter().filter_map(|(epoch, name)| Some((epoch?.epoch, name)));
    let course = Course { marks: marks.filter(|mark| cells.iter().any(|cell| cell.epoch == mark.0)).collect(), cells, theme };
    let view = View::Run { run: id.clone(), epoch: None, inputs, lens: Lens { cell: Some((i, j)), ..lens } };
    let runs = view.runs();
    let provenance = Provenance { checkpoints, ..provenance::of_page(&state, Page::View(view), [], &runs).await? };
    figures::answer(course, format, &format!("{id}-{i}-{j}"), provenance).await
}

/// A cell of an attribution and its checkpoint; `None` if both were removed after their record was read.
async fn cell(state: &AppState, id: AttributionId, (i, j): (usize, usize)) -> Result<Option<(EpochCell, CheckpointHash)>, ApiError> {
    let Some(file) = state.dirs.of(&id.run).attribution(&id).await? else { return Ok(None) };
    for (field, class) in [("i", i), ("j", j)] {
        if class >= file.matrix.classes() {
            let message = format!("{class} is no class; the matrices of `{}` have {}, from 0", id.run, file.matrix.classes());
            return Err(ApiError::on_field(Kind::InvalidQuery, field, message));
        }
    }
    let interval = file.bootstrap.as_ref().and_then(|bootstrap| bootstrap.cell(i, j));
    let checkpoint = CheckpointHash { id: file.checkpoint_id(&id.run), sha256: file.checkpoint_sha256 };
    Ok(Some((EpochCell { epoch: id.epoch, value: file.matrix.get(i, j), interval }, checkpoint)))
}
