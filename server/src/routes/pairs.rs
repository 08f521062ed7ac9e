//! Pairs of classes: the runs that measure them, and what the matrices of a run tell of pairs over its epochs.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use shared::api::{AttributionFile, EpochCell, Run};
use shared::chart::course::{Course, CourseOf};
use shared::config::{Inputs, PairConfig, RunConfig};
use shared::export::Format;
use shared::id::{AttributionId, CheckpointId, CheckpointRef, RunId};
use shared::interference::{Relation, rank_correlation};
use shared::provenance::CheckpointHash;
use shared::view::{Lens, View};
use tokio::task::spawn_blocking;
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowInterference {
    /// A relation between classes.
    #[param(inline)]
    x: Relation,
    /// Another one.
    #[param(inline)]
    y: Relation,
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
    let followed = Followed {
        of: CourseOf::Cosine,
        name: format!("{id}-{i}-{j}"),
        run: id.clone(),
        inputs,
        format,
        style: Style { lens: Lens { cell: Some((i, j)), ..lens }, theme },
    };
    let value = move |file: &AttributionFile| {
        for (field, class) in [("i", i), ("j", j)] {
            if class >= file.matrix.classes() {
                let message = format!("{class} is no class; the matrices of `{id}` have {}, from 0", file.matrix.classes());
                return Err(ApiError::on_field(Kind::InvalidQuery, field, message));
            }
        }
        let interval = file.bootstrap.as_ref().and_then(|bootstrap| bootstrap.cell(i, j));
        Ok(Some((file.matrix.get(i, j), interval)))
    };
    followed.answer(&state, value).await
}

/// How two relations between the classes go together in every kept matrix of a run, by epoch
///
/// Spearman's rank correlation over all pairs of classes, without the files that lack one of the relations. Figures mark
/// the best and the last checkpoint.
#[utoipa::path(
    get, path = "/api/runs/{id}/interference", tag = "attributions",
    params(("id" = String, Path, description = "The run"), FollowInterference, Style),
    responses(
        (status = 200, body = Vec<EpochCell>),
        ApiError
    )
)]
pub async fn list_interference(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    FigureQuery { own, style }: FigureQuery<FollowInterference>,
) -> Result<Response, ApiError> {
    let FollowInterference { x, y, inputs, format } = own;
    let followed = Followed { of: CourseOf::RankCorrelation, name: format!("{id}-{x}-{y}"), run: id, inputs, format, style };
    followed.answer(&state, move |file: &AttributionFile| Ok(rank_correlation(file, [x, y]).map(|value| (value, None)))).await
}

/// A number of every kept matrix of a run.
struct Followed {
    of: CourseOf,
    /// Name of the file, without its ending.
    name: String,
    run: RunId,
    inputs: Inputs,
    format: Option<Format>,
    style: Style,
}

/// A number of a matrix with its interval; `None` if the file does not have it.
type Found = Result<Option<(f64, Option<[f64; 2]>)>, ApiError>;

impl Followed {
    async fn answer(
        self,
        state: &AppState,
        value: impl Fn(&AttributionFile) -> Found + Clone + Send + 'static,
    ) -> Result<Response, ApiError> {
        let Followed { of, name, run, inputs, format, style: Style { lens, theme } } = self;
        let metrics = resources::metrics(state, &run).await?;
        let epochs: BTreeSet<u32> = metrics.attributions.iter().filter(|entry| entry.inputs == inputs).map(|entry| entry.epoch).collect();
        let cells = stream::iter(epochs).map(|epoch| cell(state, AttributionId { run: run.clone(), epoch, inputs }, value.clone()));
        let cells: Vec<_> = cells.buffered(READ_TOGETHER).try_collect().await?;
        let (cells, checkpoints): (Vec<EpochCell>, Vec<CheckpointHash>) = cells.into_iter().flatten().unzip();
        let format = format.unwrap_or(Format::Json);
        if format == Format::Json {
            return Ok(Json(cells).into_response());
        }
        let marks = [(metrics.best(), "best"), (metrics.last(), "last")];
        let marks = marks.into_iter().filter_map(|(epoch, name)| Some((epoch?.epoch, name)));
        let marks = marks.filter(|mark| cells.iter().any(|cell| cell.epoch == mark.0)).collect();
        let view = View::Run { run, epoch: None, inputs, lens };
        let provenance = provenance::of_view(state, view, checkpoints).await?;
        figures::answer(Course { of, cells, marks, theme }, format, &name, provenance).await
    }
}

/// A number of an attribution and its checkpoint; `None` if both were removed after their record was read.
async fn cell(
    state: &AppState,
    id: AttributionId,
    value: impl FnOnce(&AttributionFile) -> Found + Send + 'static,
) -> Result<Option<(EpochCell, CheckpointHash)>, ApiError> {
    let Some(file) = state.dirs.of(&id.run).attribution(&id).await? else { return Ok(None) };
    // Ranks of 200 classes take some milliseconds.
    let found = spawn_blocking(move || {
        let checkpoint = CheckpointHash { id: file.checkpoint_id(&id.run), sha256: file.checkpoint_sha256.clone() };
        Ok(value(&file)?.map(|(value, interval)| (EpochCell { epoch: id.epoch, value, interval }, checkpoint)))
    });
    found.await.map_err(ApiError::internal)?
}
