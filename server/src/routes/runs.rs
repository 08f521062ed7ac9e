//! Runs: submitting, listing, following, canceling and deleting them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::Value;
use shared::api::{EvaluationFile, PairFile, QueueMove, Run, RunChange, RunDisk, RunPage, RunRows, RunState, SaliencyFile, path};
use shared::chart::curves::Curves;
use shared::config::{Inputs, RunConfig, RunKind};
use shared::export::Format;
use shared::id::RunId;
use shared::labels;
use shared::problem::FieldError;
use shared::provenance::CheckpointHash;
use shared::query;
use shared::record::{Epoch, Metrics};
use shared::rundir;
use shared::view::View;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;
use tracing::{Instrument, info_span};
use utoipa::IntoParams;

use crate::db::{RunFilter, RunStatus, SortKey, SortOrder};
use crate::disk_space;
use crate::extract::{self, Name, Named, Query};
use crate::figures::{self, FigureQuery, Style};
use crate::live::{Listening, News};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::resources;
use crate::rundir::{LogPart, LogRange, RunDir, record};
use crate::scheduler::{Change, Refusal};
use crate::state::AppState;
use crate::submit::submit;
use crate::tail::{Line, Tail};
use crate::tensorboard;
use crate::trash;

const MOST_LISTED: u32 = 500;

/// Queues a run
#[utoipa::path(post, path = "/api/runs", tag = "runs", request_body = RunConfig, responses((status = 201, body = Run), ApiError))]
pub async fn create_run(State(state): State<AppState>, extract::Json(config): extract::Json<Value>) -> Result<impl IntoResponse, ApiError> {
    let config = RunConfig::parse(&config).map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))?;
    let id = submit(&state, config, None).await?;
    created(&state, &id).await
}

/// 201 with a run that was made.
pub async fn created(state: &AppState, id: &RunId) -> Result<impl IntoResponse + use<>, ApiError> {
    let run = resources::run(state, id).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("{}/{}", state.settings.base_path, path::run(id)))], Json(run)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListRuns {
    /// Only runs in this state.
    state: Option<RunState>,
    /// Words that the name or the title contains.
    q: String,
    #[param(inline)]
    sort: SortKey,
    #[param(inline)]
    order: SortOrder,
    /// 50 by default, at most 500.
    limit: u32,
    offset: u32,
}

impl Default for ListRuns {
    fn default() -> Self {
        ListRuns { state: None, q: String::new(), sort: SortKey::default(), order: SortOrder::default(), limit: 50, offset: 0 }
    }
}

/// A page of runs
#[utoipa::path(get, path = "/api/runs", tag = "runs", params(ListRuns), responses((status = 200, body = RunPage), ApiError))]
pub async fn list_runs(State(state): State<AppState>, Query(query): Query<ListRuns>) -> Result<Json<RunPage>, ApiError> {
    let ListRuns { state: run_state, q, sort, order, limit, offset } = query;
    if !(1..=MOST_LISTED).contains(&limit) {
        let message = format!("{limit} is out of range; 1 to {MOST_LISTED}");
        return Err(ApiError::on_fields(Kind::InvalidQuery, vec![FieldError::new("limit", message)]));
    }
    let words = q.split_whitespace().map(str::to_owned).collect();
    let (runs, total) = state.db.runs(&RunFilter { state: run_state, words, sort, order, limit, offset }).await?;
    Ok(Json(RunPage { runs, total }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListRows {
    /// Cursor of an earlier answer: returns only what has changed since then.
    since: Option<String>,
    /// Only runs that match this filter, in the language of the table of runs: words and fields such as
    /// `eps:8 best>45 -tag:old`. Not with `since`.
    q: Option<String>,
}

/// A short form of every run, or what has changed since an earlier answer
#[utoipa::path(get, path = "/api/run-rows", tag = "runs", params(ListRows), responses((status = 200, body = RunRows), ApiError))]
pub async fn list_rows(State(state): State<AppState>, Query(asked): Query<ListRows>) -> Result<Json<RunRows>, ApiError> {
    let ListRows { since, q } = asked;
    let Some(q) = q else { return Ok(Json(state.db.rows(since.as_deref()).await?)) };
    if since.is_some() {
        // Nobody could tell a run that has changed and no longer matches from one that has not changed.
        return Err(ApiError::on_field(Kind::InvalidQuery, "q", "a filter has no changes; leave `since` or `q` out"));
    }
    let (filter, wrong) = query::Query::parse(&q);
    if !wrong.is_empty() {
        return Err(ApiError::on_fields(Kind::InvalidQuery, wrong.iter().map(|error| FieldError::new("q", error.to_string())).collect()));
    }
    let mut rows = state.db.rows(None).await?;
    rows.rows.retain(|row| filter.matches(row, &query::words(row)));
    Ok(Json(rows))
}

/// One run, without its records
#[utoipa::path(
    get, path = "/api/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run), ApiError)
)]
pub async fn get_run(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Run>, ApiError> {
    resources::run(&state, &id).await.map(Json)
}

/// Renames a run, or sets its tags or its notes
#[utoipa::path(
    patch, path = "/api/runs/{id}", tag = "runs", request_body = RunChange,
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run), ApiError)
)]
pub async fn change_run(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    extract::Json(change): extract::Json<RunChange>,
) -> Result<Json<Run>, ApiError> {
    resources::status(&state, &id).await?;
    let change = labels::checked(change).map_err(|errors| ApiError::on_fields(Kind::InvalidChange, errors))?;
    state.labels.change(&state.db, &state.dirs, &id, &change).await?;
    resources::run(&state, &id).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteRun {
    /// Deletes the run with its files and the share links that show it, also if it is in the trash. This
    /// cannot be undone.
    #[serde(default)]
    #[param(required = false)]
    for_good: bool,
}

/// Moves a run that is not running to the trash, from where it can be restored
#[utoipa::path(
    delete, path = "/api/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "The run"), DeleteRun),
    responses((status = 204, description = "Deleted"), ApiError)
)]
pub async fn delete_run(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    Query(DeleteRun { for_good }): Query<DeleteRun>,
) -> Result<StatusCode, ApiError> {
    let change = if for_good { Change::Delete } else { trash::deletion(&state) };
    state.scheduler.change(change, id.clone()).await.map_err(|refusal| refused(&id, refusal))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a run out of the trash, as it was
#[utoipa::path(
    post, path = "/api/runs/{id}/restore", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run), ApiError)
)]
pub async fn restore_run(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Run>, ApiError> {
    state.scheduler.change(Change::Restore, id.clone()).await.map_err(|refusal| refused(&id, refusal))?;
    resources::run(&state, &id).await.map(Json)
}

/// The disk space that a run takes
#[utoipa::path(
    get, path = "/api/runs/{id}/disk", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = RunDisk), ApiError)
)]
pub async fn get_disk(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<RunDisk>, ApiError> {
    let run = resources::run(&state, &id).await?;
    disk_space::of_run(&state, &run).await.map(Json)
}

/// Takes a run out of the queue, or asks its worker to save and stop
#[utoipa::path(
    post, path = "/api/runs/{id}/cancel", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run, description = "The run: canceled, or stopping until the worker has saved"), ApiError)
)]
pub async fn cancel_run(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Run>, ApiError> {
    state.scheduler.change(Change::Cancel, id.clone()).await.map_err(|refusal| refused(&id, refusal))?;
    resources::run(&state, &id).await.map(Json)
}

/// Takes a run out of the queue for a while, or asks its worker to save and stop
#[utoipa::path(
    post, path = "/api/runs/{id}/pause", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run, description = "The run: paused, or stopping until the worker has saved"), ApiError)
)]
pub async fn pause_run(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Run>, ApiError> {
    state.scheduler.change(Change::Pause, id.clone()).await.map_err(|refusal| refused(&id, refusal))?;
    resources::run(&state, &id).await.map(Json)
}

/// Puts a paused, canceled or failed run back into the queue; it continues from its saved state
#[utoipa::path(
    post, path = "/api/runs/{id}/resume", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run, description = "The run, queued"), ApiError)
)]
pub async fn resume_run(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Run>, ApiError> {
    state.scheduler.change(Change::Resume, id.clone()).await.map_err(|refusal| refused(&id, refusal))?;
    resources::run(&state, &id).await.map(Json)
}

/// Moves a queued run among the runs that wait for the same lane, or to another lane
#[utoipa::path(
    post, path = "/api/runs/{id}/move", tag = "runs", request_body = QueueMove,
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Run, description = "The run, with its position"), ApiError)
)]
pub async fn move_run(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    extract::Json(QueueMove { to, lane }): extract::Json<QueueMove>,
) -> Result<Json<Run>, ApiError> {
    if to.is_none() && lane.is_none() {
        return Err(ApiError::on_field(Kind::InvalidJson, "to", "is missing, and so is `lane`; name a place or a lane"));
    }
    if let Some(lane) = lane {
        state.scheduler.send_to(id.clone(), lane).await.map_err(|refusal| refused(&id, refusal))?;
    }
    if let Some(to) = to {
        state.scheduler.move_to(id.clone(), to).await.map_err(|refusal| refused(&id, refusal))?;
    }
    resources::run(&state, &id).await.map(Json)
}

/// The result of an evaluation, once it is complete
#[utoipa::path(
    get, path = "/api/runs/{id}/evaluation", tag = "runs",
    params(("id" = String, Path, description = "The run, of kind `evaluate`")),
    responses((status = 200, body = EvaluationFile), ApiError)
)]
pub async fn get_evaluation(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    result_file(&state, &id, RunKind::Evaluate).await
}

/// The maps of a saliency run, once they are complete
#[utoipa::path(
    get, path = "/api/runs/{id}/saliency", tag = "runs",
    params(("id" = String, Path, description = "The run, of kind `saliency`")),
    responses((status = 200, body = SaliencyFile), ApiError)
)]
pub async fn get_saliency(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    result_file(&state, &id, RunKind::Saliency).await
}

/// The result of a pair run, once it is complete
#[utoipa::path(
    get, path = "/api/runs/{id}/pair", tag = "runs",
    params(("id" = String, Path, description = "The run, of kind `pair`")),
    responses((status = 200, body = PairFile), ApiError)
)]
pub async fn get_pair(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    result_file(&state, &id, RunKind::Pair).await
}

/// The result file of a run of a kind, as the worker wrote it.
async fn result_file(state: &AppState, id: &RunId, kind: RunKind) -> Result<Response, ApiError> {
    resources::status(state, id).await?;
    let result_name = resources::result_name(kind).unwrap_or("result");
    let missing = || ApiError::on_field(Kind::ResultNotFound, "id", format!("`{id}` has no {result_name}, or has not completed it yet"));
    let bytes = state.dirs.of(id).result(kind).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// The configuration of a run as TOML
#[utoipa::path(
    get, path = "/api/runs/{id}/config.toml", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, content_type = "application/toml", body = String), ApiError)
)]
pub async fn get_config_toml(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    let run = resources::run(&state, &id).await?;
    let text = toml::to_string_pretty(&run.config).map_err(ApiError::internal)?;
    Ok(figures::file(Format::Toml, id.as_str(), text.into_bytes()))
}

/// The epochs of a run as a TensorBoard event file
#[utoipa::path(
    get, path = "/api/runs/{id}/metrics.tfevents", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), ApiError)
)]
pub async fn get_metrics_tfevents(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    let run = resources::run(&state, &id).await?;
    let metrics = state.dirs.of(&id).metrics().await?;
    let begun = run.started_at.as_deref().unwrap_or(&run.created_at).parse::<jiff::Timestamp>().map_err(ApiError::internal)?;
    let file = tensorboard::event_file(&metrics, begun.as_second() as f64);
    let disposition = format!("attachment; filename=\"events.out.tfevents.{}.{id}\"", begun.as_second());
    Ok(([(header::CONTENT_TYPE, Format::Tfevents.media_type().to_owned()), (header::CONTENT_DISPOSITION, disposition)], file)
        .into_response())
}

pub fn refused(id: &RunId, refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::NotFound => RunId::not_found(id.as_str()),
        Refusal::NotResumable(state) => ApiError::on_field(
            Kind::RunNotResumable,
            "id",
            format!("`{id}` is {}; a run that was paused or canceled or has failed can go on", state.id()),
        ),
        Refusal::External => ApiError::on_field(
            Kind::RunNotResumable,
            "id",
            format!("`{id}` is written by another program; only that can pause it or go on with it"),
        ),
        Refusal::NotQueued(state) => {
            ApiError::on_field(Kind::RunNotQueued, "id", format!("`{id}` is {}; only a queued run can be moved", state.id()))
        }
        Refusal::Finished(state) => {
            ApiError::on_field(Kind::RunFinished, "id", format!("`{id}` has finished ({}) and cannot be stopped", state.id()))
        }
        Refusal::Canceling => {
            ApiError::on_field(Kind::RunFinished, "id", format!("`{id}` is being canceled; resume it later in place of pausing it"))
        }
        Refusal::Running => ApiError::on_field(
            Kind::RunActive,
            "id",
            format!("`{id}` is running or waits in the engine of its lane; cancel it before deleting it"),
        ),
        Refusal::InTrash => resources::in_trash(id),
        Refusal::NotInTrash => ApiError::on_field(Kind::RunNotInTrash, "id", format!("`{id}` is not in the trash")),
        Refusal::NoLane(lane) => ApiError::on_field(Kind::LaneNotFound, "lane", format!("no lane `{lane}`")),
        Refusal::Internal(error) => error.into(),
    }
}

/// Everything that a run has recorded so far
#[utoipa::path(
    get, path = "/api/runs/{id}/metrics", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, body = Metrics), ApiError)
)]
pub async fn get_metrics(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Json<Metrics>, ApiError> {
    resources::metrics(&state, &id).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CurvesFigure {
    /// `svg` by default.
    #[param(schema_with = figures::chart_formats)]
    format: Option<Format>,
    /// The epoch that is marked.
    epoch: Option<u32>,
    /// Inputs of the matrix on the page that the figure links to: `adversarial`, `clean`.
    inputs: Option<Inputs>,
}

/// The training curves of a run as a figure
///
/// `csv` and `npz` hold what the figure shows; `metrics.csv` holds everything that was recorded of the
/// epochs.
#[utoipa::path(
    get, path = "/api/runs/{id}/curves", tag = "runs",
    params(("id" = String, Path, description = "The run"), CurvesFigure, Style),
    responses(
        (status = 200),
        ApiError
    )
)]
pub async fn get_curves(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    FigureQuery { own, style: Style { lens, theme } }: FigureQuery<CurvesFigure>,
) -> Result<Response, ApiError> {
    let CurvesFigure { format, epoch, inputs } = own;
    let (run, metrics) = (resources::run(&state, &id).await?, resources::metrics(&state, &id).await?);
    let curves = Curves { cursor: epoch, ended: run.state.is_finished(), ..Curves::of(&metrics, &run.config, theme).seen(&lens.curves) };
    let checkpoints =
        resources::checkpoints(&id, &metrics).into_iter().filter(|entry| entry.is_best || entry.is_last || Some(entry.epoch) == epoch);
    let checkpoints = checkpoints.map(|entry| CheckpointHash { id: entry.id, sha256: entry.sha256 });
    let view = View::Run { run: run.id, epoch, inputs: inputs.unwrap_or(Inputs::Adversarial), lens };
    let provenance = provenance::of_view(&state, view, checkpoints).await?;
    figures::answer(curves, format.unwrap_or(Format::Svg), &format!("{id}-curves"), provenance).await
}

/// The epochs of a run as a table
#[utoipa::path(
    get, path = "/api/runs/{id}/metrics.csv", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, content_type = "text/csv", body = String), ApiError)
)]
pub async fn get_metrics_csv(State(state): State<AppState>, Name(id): Name<RunId>) -> Result<Response, ApiError> {
    let table = metrics_csv(&resources::metrics(&state, &id).await?).map_err(ApiError::internal)?;
    Ok(figures::file(Format::Csv, id.as_str(), table))
}

/// A column of the table of epochs: its head and its value.
type Column = (&'static str, fn(&Metrics, &Epoch) -> Option<f64>);

const COLUMNS: [Column; 13] = [
    ("epoch", |_, epoch| Some(epoch.epoch.into())),
    ("learning_rate", |_, epoch| Some(epoch.learning_rate)),
    ("train_loss", |_, epoch| epoch.train_loss),
    ("train_clean_accuracy", |_, epoch| epoch.train_clean_accuracy),
    ("train_robust_accuracy", |_, epoch| epoch.train_robust_accuracy),
    ("test_clean_accuracy", |_, epoch| epoch.test_clean_accuracy),
    ("test_robust_accuracy", |_, epoch| epoch.test_robust_accuracy),
    ("test_loss", |_, epoch| epoch.test_loss),
    ("holdout_robust_accuracy", |_, epoch| epoch.holdout_robust_accuracy),
    ("cas_adversarial", |metrics, epoch| metrics.cas(epoch.epoch, Inputs::Adversarial)),
    ("cas_clean", |metrics, epoch| metrics.cas(epoch.epoch, Inputs::Clean)),
    ("seconds", |_, epoch| Some(epoch.seconds)),
    ("elapsed_secs", |_, epoch| Some(epoch.elapsed_secs)),
];

/// Columns that runs have only where an epoch has a value.
const RARE_COLUMNS: [Column; 4] = [
    ("zero_gradients", |_, epoch| Some(epoch.broken_gradients?.zero.into())),
    ("not_finite_gradients", |_, epoch| Some(epoch.broken_gradients?.not_finite.into())),
    ("holdout_zero_gradients", |_, epoch| Some(epoch.holdout_broken_gradients?.zero.into())),
    ("holdout_not_finite_gradients", |_, epoch| Some(epoch.holdout_broken_gradients?.not_finite.into())),
];

fn metrics_csv(metrics: &Metrics) -> Result<Vec<u8>, csv::Error> {
    let is_there = |(_, value): &Column| metrics.epochs.iter().any(|epoch| value(metrics, epoch).is_some());
    let columns: Vec<Column> = COLUMNS.into_iter().chain(RARE_COLUMNS.into_iter().filter(is_there)).collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(columns.iter().map(|(name, _)| name))?;
    for epoch in &metrics.epochs {
        table.write_record(columns.iter().map(|(_, value)| value(metrics, epoch).map(|value| value.to_string()).unwrap_or_default()))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadLog {
    /// Number of lines from the end; at most one megabyte.
    tail: Option<usize>,
    /// With `tail`: returns the lines before this byte, `Log-Start` of an earlier answer.
    before: Option<u64>,
    /// Returns what follows this byte, `Log-End` of an earlier answer; at most one megabyte.
    after: Option<u64>,
}

/// The output of the worker
///
/// The whole log, or a part of it. The headers of a part are `Log-Start` and `Log-End`, its first byte and
/// the byte after its last, and `Log-Size`, the size of the whole log. Ask with `before` for the lines above
/// a part, with `after` for what has been printed since.
#[utoipa::path(
    get, path = "/api/runs/{id}/log", tag = "runs",
    params(("id" = String, Path, description = "The run"), ReadLog),
    responses(
        (status = 200, content_type = "text/plain", body = String, headers(
            ("Log-Start" = u64, description = "Of a part: its first byte"),
            ("Log-End" = u64, description = "Of a part: the byte after its last"),
            ("Log-Size" = u64, description = "Of a part: the size of the whole log in bytes")
        )),
        ApiError
    )
)]
pub async fn get_log(State(state): State<AppState>, Name(id): Name<RunId>, Query(query): Query<ReadLog>) -> Result<Response, ApiError> {
    resources::status(&state, &id).await?;
    let dir = state.dirs.of(&id);
    let invalid = |field: &str, detail: &str| Err(ApiError::on_field(Kind::InvalidQuery, field, detail));
    let range = match query {
        ReadLog { tail: None, before: None, after: None } => return whole_log(&id, &dir).await,
        ReadLog { tail: None, before: None, after: Some(start) } => LogRange::After { start },
        ReadLog { tail: Some(lines), before: end, after: None } => LogRange::Before { end, lines },
        ReadLog { tail: None, before: Some(_), .. } => return invalid("before", "`before` needs `tail`: how many lines"),
        ReadLog { after: Some(_), .. } => return invalid("after", "`after` goes alone, without `tail` and `before`"),
    };
    let LogPart { text, start, end, size } = dir.log_part(range).await.map_err(|error| unreadable_log(&id, error))?;
    let place = |name: &'static str, value: u64| (HeaderName::from_static(name), HeaderValue::from(value));
    let places = HeaderMap::from_iter([place("log-start", start), place("log-end", end), place("log-size", size)]);
    Ok((places, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Streams the whole log, which may be larger than the memory.
async fn whole_log(id: &RunId, dir: &RunDir) -> Result<Response, ApiError> {
    let opened = {
        let dir = dir.clone();
        spawn_blocking(move || dir.open(rundir::LOG)).await.map_err(ApiError::internal)?
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let file = match opened {
        Ok(file) => tokio::fs::File::from_std(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((kind, Body::empty()).into_response()),
        Err(error) => return Err(unreadable_log(id, error)),
    };
    Ok((kind, Body::from_stream(ReaderStream::new(file))).into_response())
}

fn unreadable_log(id: &RunId, error: std::io::Error) -> ApiError {
    match error.kind() {
        std::io::ErrorKind::InvalidInput => {
            let detail = format!("the `{}` of `{id}` is a link or no plain file, so it is not shown", rundir::LOG);
            ApiError::on_field(Kind::ResultNotFound, "id", detail)
        }
        _ => error.into(),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowRun {
    /// Starts after this line. The header `Last-Event-ID` has priority.
    after: Option<u64>,
}

/// The records of a run, as a stream
///
/// Server-sent events. A `message` holds one record as JSON; its id is the number of its line in
/// `metrics.jsonl`. A `run` holds the run: it comes first, and again whenever the state of the run changes.
/// An `end` holds the run after it has finished and every record was sent; close the stream then.
#[utoipa::path(
    get, path = "/api/runs/{id}/events", tag = "runs",
    params(
        ("id" = String, Path, description = "The run"), FollowRun,
        ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last line received; the stream starts after it")
    ),
    responses((status = 200, content_type = "text/event-stream", body = String), ApiError)
)]
pub async fn stream_events(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    Query(query): Query<FollowRun>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let after = last_event_id(&headers)?.or(query.after).unwrap_or(0);
    resources::run(&state, &id).await?;
    let tail = state.dirs.of(&id).tail();
    let follower = Follower { state, id, tail, after, stage: Stage::Outside, seen: None, pending: VecDeque::new() };
    let events = Sse::new(events(follower)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    // nginx would hold events back until its buffer is full.
    Ok(([("x-accel-buffering", "no")], events))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    const NAME: &str = "last-event-id";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |_| ApiError::on_field(Kind::InvalidQuery, "Last-Event-ID", format!("`{text}` is not the number of a line"));
    text.parse().map(Some).map_err(bad)
}

/// One listener of a run and what it has received.
struct Follower {
    state: AppState,
    id: RunId,
    /// Reads the records that the listener does not get as news: those before it came, or all since it was
    /// too slow.
    tail: Tail,
    /// Number of the last line that was sent.
    after: u64,
    stage: Stage,
    /// As in the last `run` event.
    seen: Option<RunStatus>,
    pending: VecDeque<Event>,
}

/// From where a listener gets its next records.
enum Stage {
    /// Does not listen yet, or was too slow and lost news.
    Outside,
    /// Listens, and still reads earlier records from the file.
    Reading(Listening),
    /// The file has been read; further records come as news.
    Hearing(broadcast::Receiver<News>),
    /// Nothing more will come.
    Ended,
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let span = info_span!("run", id = %follower.id);
        let event = follower.next().instrument(span).await;
        event.map(|event| (Ok(event), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        let stopping = self.state.stopping.clone();
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if matches!(self.stage, Stage::Ended) || stopping.is_cancelled() {
                return None;
            }
            // A client that is cut off connects again with the last line that it received.
            if let Err(error) = stopping.run_until_cancelled(self.step()).await? {
                tracing::warn!("the event stream of {} ends: {error}", self.id);
                return None;
            }
        }
    }

    async fn step(&mut self) -> Result<(), ApiError> {
        match &mut self.stage {
            // Listen before reading, so that no line is missed. A line that comes both ways is sent once: see
            // `say_records`.
            Stage::Outside => match self.state.live.listen(&self.id).await? {
                Some(listening) => {
                    self.say_run(&listening.run)?;
                    self.stage = Stage::Reading(listening);
                }
                None => self.stage = Stage::Ended,
            },
            Stage::Reading(Listening { run, news }) => {
                let lines = self.tail.read().await?;
                if !lines.is_empty() {
                    self.say_records(lines.iter().filter(|line| record(line).is_ok()));
                } else if run.state.is_finished() {
                    let run = run.clone();
                    self.say_end(&run)?;
                } else {
                    self.stage = news.take().map_or(Stage::Outside, Stage::Hearing);
                }
            }
            Stage::Hearing(news) => match news.recv().await {
                Ok(News::Run(run)) => self.say_run(&run)?,
                Ok(News::Records(lines)) => self.say_records(lines.iter()),
                Ok(News::End(run)) => self.say_end(&run)?,
                Err(RecvError::Lagged(_)) => self.stage = Stage::Outside,
                Err(RecvError::Closed) => self.stage = Stage::Ended,
            },
            Stage::Ended => {}
        }
        Ok(())
    }

    fn say_run(&mut self, run: &Run) -> Result<(), ApiError> {
        let status = RunStatus::of(run);
        if self.seen.replace(status) != Some(status) {
            self.pending.push_back(run_event("run", run)?);
        }
        Ok(())
    }

    fn say_records<'a>(&mut self, lines: impl Iterator<Item = &'a Line>) {
        for line in lines {
            if line.number > self.after {
                self.after = line.number;
                self.pending.push_back(Event::default().id(line.number.to_string()).data(&line.text));
            }
        }
    }

    fn say_end(&mut self, run: &Run) -> Result<(), ApiError> {
        self.pending.push_back(run_event("end", run)?);
        self.stage = Stage::Ended;
        Ok(())
    }
}

fn run_event(name: &str, run: &Run) -> Result<Event, ApiError> {
    Event::default().event(name).json_data(run).map_err(ApiError::internal)
}
