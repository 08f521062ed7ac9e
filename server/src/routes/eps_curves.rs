//! Curves over eps: their points as data and as figures.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::{EpsCurvePoint, RunState};
use shared::chart::EpsCurveFigure;
use shared::chart::eps_curve::EpsCurve;
use shared::config::{Inputs, RunKind};
use shared::export::Format;
use shared::id::RunId;
use shared::provenance::CheckpointHash;
use shared::record::EpsPoint;
use shared::view::View;
use utoipa::IntoParams;

use crate::extract::Name;
use crate::figures::{self, FigureQuery, Style};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::resources;
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EpsCurveForm {
    #[serde(default)]
    #[param(inline)]
    chart: EpsCurveFigure,
    /// `json` by default.
    #[param(schema_with = figures::chart_or_data_formats)]
    format: Option<Format>,
}

/// Accuracy and CAS of a checkpoint over the radius of the attack: the points that are measured so far
///
/// `signs` of a point say where its accuracy speaks of a broken attack.
///
/// `csv` and `npz` hold the numbers of both charts.
#[utoipa::path(
    get, path = "/api/runs/{id}/eps-curve", tag = "runs",
    params(("id" = String, Path, description = "The run, of kind `eps_curve`"), EpsCurveForm, Style),
    responses(
        (status = 200, body = Vec<EpsCurvePoint>),
        ApiError
    )
)]
pub async fn get_eps_curve(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    FigureQuery { own, style: Style { lens, theme } }: FigureQuery<EpsCurveForm>,
) -> Result<Response, ApiError> {
    let EpsCurveForm { chart, format } = own;
    let run = resources::run(&state, &id).await?;
    if run.config.kind() != RunKind::EpsCurve {
        return Err(ApiError::on_field(Kind::ResultNotFound, "id", format!("`{id}` has no curve over eps")));
    }
    let points = resources::metrics(&state, &id).await?.eps_curve;
    let format = format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(EpsCurvePoint::of(&points, run.state == RunState::Succeeded)).into_response());
    }
    let checkpoint = |point: &EpsPoint| CheckpointHash { id: point.checkpoint.clone(), sha256: point.checkpoint_sha256.clone() };
    let view = View::Run { run: id.clone(), epoch: None, inputs: Inputs::Adversarial, lens };
    let provenance = provenance::of_view(&state, view, points.iter().map(checkpoint)).await?;
    figures::answer(EpsCurve::of(&points, chart, theme), format, &format!("{id}-{chart}"), provenance).await
}
