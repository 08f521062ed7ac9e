//! Sweeps: runs that differ in a few fields, submitted and shown together.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::{NewSweep, Run, RunState, Sweep, SweepChange, SweepSummary, path, per_pair};
use shared::chart::SweepFigure;
use shared::chart::sweep::{SEED, SweepChart, Unit, fields};
use shared::config::RunConfig;
use shared::export::Format;
use shared::id::{RunId, SweepId};
use shared::provenance::Page;
use shared::sweep;
use utoipa::IntoParams;

use crate::extract::{self, Name, Named};
use crate::figures::{self, FigureQuery, Style};
use crate::id::new_sweep;
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::state::AppState;
use crate::submit::submit_all;

impl Named for SweepId {
    fn not_found(text: &str) -> ApiError {
        ApiError::on_field(Kind::SweepNotFound, "id", format!("no sweep `{text}`"))
    }
}

/// Queues one run for every combination of values: all of them or none
#[utoipa::path(post, path = "/api/sweeps", tag = "runs", request_body = NewSweep, responses((status = 201, body = Sweep), ApiError))]
pub async fn create_sweep(
    State(state): State<AppState>,
    extract::Json(new): extract::Json<NewSweep>,
) -> Result<impl IntoResponse, ApiError> {
    let id = new_sweep(&new);
    let configs = sweep::expand(&new, &id).map_err(|errors| ApiError::on_fields(Kind::InvalidRun, errors))?;
    // First, so that no more start than may run.
    state.scheduler.limit_sweep(id.clone(), new.at_once).await?;
    submit_all(&state, configs, "config.").await?;
    let location = format!("{}/{}", state.settings.base_path, path::sweep(&id));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(look_up(&state, &id).await?)))
}

/// All sweeps without their runs, newest first
#[utoipa::path(get, path = "/api/sweeps", tag = "runs", responses((status = 200, body = Vec<SweepSummary>), ApiError))]
pub async fn list_sweeps(State(state): State<AppState>) -> Result<Json<Vec<SweepSummary>>, ApiError> {
    let mut sweeps: Vec<(SweepId, Vec<Run>)> = Vec::new();
    let mut places: HashMap<SweepId, usize> = HashMap::new();
    for run in state.db.sweep_runs(None).await? {
        let Some(id) = run.config.as_train().and_then(|config| config.sweep.clone()) else { continue };
        let place = *places.entry(id.clone()).or_insert_with(|| {
            sweeps.push((id, Vec::new()));
            sweeps.len() - 1
        });
        sweeps[place].1.push(run);
    }
    Ok(Json(sweeps.into_iter().rev().map(|(id, runs)| in_short(summed_up(id, runs))).collect()))
}

fn in_short(sweep: Sweep) -> SweepSummary {
    let Sweep { id, title, created_at, axes, runs, at_once: _ } = sweep;
    let count = |state| u32::try_from(runs.iter().filter(|run| run.state == state).count()).unwrap_or(u32::MAX);
    let best = runs.iter().filter_map(|run| run.summary.best.as_ref()?.robust_accuracy);
    let cas = runs.iter().filter_map(|run| per_pair(run.summary.best.as_ref()?.cas?, run.classes()?));
    SweepSummary {
        id,
        title,
        created_at,
        axes,
        runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        queued: count(RunState::Queued),
        running: count(RunState::Running),
        paused: count(RunState::Paused),
        succeeded: count(RunState::Succeeded),
        failed: count(RunState::Failed),
        canceled: count(RunState::Canceled),
        best_robust_accuracy: best.reduce(f64::max),
        best_cas_normalized: cas.reduce(f64::max),
    }
}

/// The runs of a sweep, and the fields in which they differ
#[utoipa::path(
    get, path = "/api/sweeps/{id}", tag = "runs",
    params(("id" = String, Path, description = "The sweep")),
    responses((status = 200, body = Sweep), ApiError)
)]
pub async fn get_sweep(State(state): State<AppState>, Name(id): Name<SweepId>) -> Result<Json<Sweep>, ApiError> {
    look_up(&state, &id).await.map(Json)
}

/// Changes how many runs of a sweep may run at once, also while it runs
#[utoipa::path(
    patch, path = "/api/sweeps/{id}", tag = "runs", request_body = SweepChange,
    params(("id" = String, Path, description = "The sweep")),
    responses((status = 200, body = Sweep), ApiError)
)]
pub async fn change_sweep(
    State(state): State<AppState>,
    Name(id): Name<SweepId>,
    extract::Json(SweepChange { at_once }): extract::Json<SweepChange>,
) -> Result<Json<Sweep>, ApiError> {
    look_up(&state, &id).await?;
    if at_once == Some(0) {
        return Err(ApiError::on_field(Kind::InvalidChange, "at_once", "0 is out of range; 1 or more, or null"));
    }
    state.scheduler.limit_sweep(id.clone(), at_once).await?;
    look_up(&state, &id).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SweepCharts {
    #[serde(default)]
    #[param(inline)]
    chart: SweepFigure,
    /// `svg` by default.
    #[param(schema_with = figures::chart_formats)]
    format: Option<Format>,
    /// Field on the x axis, such as `attack.eps`; by default the first that is varied.
    over: Option<String>,
}

/// A chart of a sweep as a figure
///
/// `csv` and `npz` hold the mean, lowest and highest value of every point.
#[utoipa::path(
    get, path = "/api/sweeps/{id}/chart", tag = "runs",
    params(("id" = String, Path, description = "The sweep"), SweepCharts, Style),
    responses(
        (status = 200),
        ApiError
    )
)]
pub async fn get_sweep_chart(
    State(state): State<AppState>,
    Name(id): Name<SweepId>,
    FigureQuery { own, style: Style { lens: _, theme } }: FigureQuery<SweepCharts>,
) -> Result<Response, ApiError> {
    let SweepCharts { chart, format, over } = own;
    let sweep = look_up(&state, &id).await?;
    let known = fields(&sweep);
    if let Some(over) = over.as_ref().filter(|over| !known.contains(over)) {
        let detail = format!("`{over}` is not varied in this sweep; varied: {}", known.join(", "));
        return Err(ApiError::on_field(Kind::InvalidQuery, "over", detail));
    }
    let field = over.clone().or_else(|| known.first().cloned()).unwrap_or_else(|| SEED.to_owned());
    let name = sweep::field_name(&field);
    let drawn = match chart {
        SweepFigure::Accuracy => SweepChart::over_values(&sweep, &field, name, Unit::Accuracy, theme),
        SweepFigure::Cas => SweepChart::over_values(&sweep, &field, name, Unit::Cas, theme),
        SweepFigure::CasLost => SweepChart::over_values(&sweep, &field, name, Unit::CasLost, theme),
        SweepFigure::Epochs | SweepFigure::CasEpochs => {
            let unit = if chart == SweepFigure::Epochs { Unit::Accuracy } else { Unit::Cas };
            let mut metrics = BTreeMap::new();
            for run in &sweep.runs {
                metrics.insert(run.id.clone(), state.dirs.of(&run.id).metrics().await?);
            }
            SweepChart::over_epochs(&sweep, &field, unit, &metrics, theme)
        }
    };
    let runs: Vec<RunId> = sweep.runs.iter().map(|run| run.id.clone()).collect();
    let provenance = provenance::of_page(&state, Page::Sweep(id.clone(), over), &runs).await?;
    figures::answer(drawn, format.unwrap_or(Format::Svg), id.as_str(), provenance).await
}

async fn look_up(state: &AppState, id: &SweepId) -> Result<Sweep, ApiError> {
    let runs = state.db.sweep_runs(Some(id)).await?;
    if runs.is_empty() {
        return Err(SweepId::not_found(id.as_str()));
    }
    let at_once = state.db.sweep_limit(id).await?;
    Ok(Sweep { at_once, ..summed_up(id.clone(), runs) })
}

fn summed_up(id: SweepId, runs: Vec<Run>) -> Sweep {
    let configs: Vec<RunConfig> = runs.iter().map(|run| run.config.clone()).collect();
    let created_at = runs.first().map(|run| run.created_at.clone()).unwrap_or_default();
    Sweep { id, title: sweep::title(&configs), created_at, axes: sweep::axes(&configs), at_once: None, runs }
}
