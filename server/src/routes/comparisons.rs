//! Comparisons of attributions with the first of them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Comparison;
use shared::chart::ComparisonFigure;
use shared::chart::colors::Theme;
use shared::chart::figure::MatrixFigure;
use shared::chart::interference::InterferenceChart;
use shared::chart::overlaid_curves::{Compared, OverlaidCurves, OverlaidRun, run_colors};
use shared::chart::scatter::Scatter;
use shared::export::Format;
use shared::id::AttributionId;
use shared::view::{SIDES, View, side_of};
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use crate::figures::{self, FigureQuery, Style};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::resources;
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Compare {
    /// The baseline, `RUN.e12.adversarial`.
    #[param(value_type = String)]
    a: AttributionId,
    /// The attribution to compare with it.
    #[param(value_type = String)]
    b: AttributionId,
    /// Further attributions to compare with it, as are `d` to `f`.
    #[param(value_type = Option<String>)]
    c: Option<AttributionId>,
    #[param(value_type = Option<String>)]
    d: Option<AttributionId>,
    #[param(value_type = Option<String>)]
    e: Option<AttributionId>,
    #[param(value_type = Option<String>)]
    f: Option<AttributionId>,
    #[serde(default)]
    #[param(inline)]
    chart: ComparisonFigure,
    /// Side that the scatter plot shows against the baseline: `b` (default) to `f`.
    of: Option<String>,
    /// `json` by default.
    #[param(schema_with = figures::matrices_formats)]
    format: Option<Format>,
}

/// Two to six matrices, their differences from the first, and the pairs of classes that changed most
///
/// `csv`: one row per pair of classes with all values, the largest change first. `npz`: the arrays
/// `matrices`, `[n, K, K]` in the order of the sides, `attributions`, `classes` and `provenance`. `npy`: the
/// array `matrices` alone.
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare, Style),
    responses(
        (status = 200, body = Comparison),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, FigureQuery { own, style }: FigureQuery<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, c, d, e, f, chart, of, format } = own;
    let ids = attribution_ids([Some(a), Some(b), c, d, e, f])?;
    let comparison = resources::comparison(&state, &ids).await?;
    let format = format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(comparison).into_response());
    }
    if !chart.suits(&comparison) {
        let detail = format!("`{chart}` needs relations between classes that the files of these attributions do not have");
        return Err(ApiError::on_field(Kind::InvalidQuery, "chart", detail));
    }
    let Style { lens, theme } = style;
    let of = side(of.as_deref(), ids.len())?;
    let name = format!("{}-to-{}", ids[0], ids[of]);
    let view = View::Compare { ids, of, lens: lens.clone() };
    let checkpoints = comparison.attributions.iter().map(provenance::checkpoint);
    let provenance = provenance::of_view(&state, view, checkpoints).await?;
    match chart {
        ComparisonFigure::Matrices => {
            let figure = MatrixFigure::comparison(comparison, &lens, theme);
            figures::answer(figure, format, &name, provenance).await
        }
        ComparisonFigure::Scatter => {
            let scatter = Scatter::comparison(&comparison, of, theme);
            figures::answer(scatter, format, &format!("{name}-scatter"), provenance).await
        }
        ComparisonFigure::Curves => {
            let overlay = overlay(&state, &comparison, theme).await?.seen(&lens.curves);
            figures::answer(overlay, format, &format!("{name}-curves"), provenance).await
        }
        ComparisonFigure::Interference => {
            let chart = spawn_blocking(move || InterferenceChart::of(&comparison, theme)).await.map_err(ApiError::internal)?;
            figures::answer(chart, format, &format!("{name}-interference"), provenance).await
        }
    }
}

/// Index of the side that is shown against the baseline.
fn side(of: Option<&str>, count: usize) -> Result<usize, ApiError> {
    let known = SIDES[1..count].join("`, `");
    let wrong = || ApiError::on_field(Kind::InvalidQuery, "of", format!("`{}` is not a side; known: `{known}`", of.unwrap_or_default()));
    side_of(of, count).ok_or_else(wrong)
}

async fn overlay(state: &AppState, comparison: &Comparison, theme: Theme) -> Result<OverlaidCurves, ApiError> {
    let compared = Compared::all(comparison);
    let colors = run_colors(&compared.iter().map(|compared| compared.run.as_str()).collect::<Vec<_>>());
    let mut runs = Vec::with_capacity(compared.len());
    for (compared, color) in compared.into_iter().zip(colors) {
        let metrics = state.dirs.of(&compared.run).metrics().await?;
        runs.push(OverlaidRun::of(&compared.name(), color, &metrics, compared.marks));
    }
    Ok(OverlaidCurves::of(runs, theme))
}

/// The given sides in order; an error names a side that is missing before a given one.
fn attribution_ids(sides: [Option<AttributionId>; 6]) -> Result<Vec<AttributionId>, ApiError> {
    let count = sides.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let id = |(side, id): (&&str, Option<AttributionId>)| {
        let missing = || format!("`{side}` is missing before `{}`", SIDES[count - 1]);
        id.ok_or_else(|| ApiError::on_field(Kind::InvalidQuery, side, missing()))
    };
    SIDES.iter().zip(sides).take(count).map(id).collect()
}
