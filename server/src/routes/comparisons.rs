//! Attributions against the first of them.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Comparison;
use shared::chart::colors::Theme;
use shared::chart::figure::Figure;
use shared::chart::overlay::{Compared, OverlaidRun, Overlay, run_colors};
use shared::chart::scatter::Scatter;
use shared::order::distinct;
use shared::provenance::Page;
use shared::view::{AttributionId, SIDES, View};
use utoipa::{IntoParams, ToSchema};

use crate::content;
use crate::figures::{self, FigureQuery, FigureStyle, Picture, Style};
use crate::id::RunId;
use crate::npy;
use crate::problem::{ApiError, Kind};
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Compare {
    /// The baseline, `RUN.e12.adversarial`.
    a: String,
    /// The attribution to compare with it.
    b: String,
    /// More of them, as are `d` to `f`.
    c: Option<String>,
    d: Option<String>,
    e: Option<String>,
    f: Option<String>,
    #[serde(default)]
    #[param(inline)]
    chart: ComparisonChart,
    /// The side that the scatter shows against the baseline: `b`, unless another of `c` to `f` is named.
    of: Option<String>,
    #[serde(default)]
    #[param(inline)]
    format: ComparisonForm,
}

/// What of a comparison is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonChart {
    #[default]
    Matrices,
    /// The pairs of classes, their cosine in the baseline against that in another.
    Scatter,
    /// Robust accuracy and CAS over the epochs of the runs.
    Curves,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonForm {
    #[default]
    Json,
    /// Every pair of classes with all values, the largest change first; of the curves, every epoch of every run.
    Csv,
    /// The matrices in the order of the sides, `[n, K, K]` of float64.
    Npy,
    Svg,
    Png,
    Tex,
}

/// Two to six matrices, how the others differ from the first, and the pairs that changed most
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare, FigureStyle),
    responses(
        (status = 200, content((Comparison = "application/json"), (String = "text/csv"), (Vec<u8> = "application/octet-stream"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, FigureQuery { own, style }: FigureQuery<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, c, d, e, f, chart, of, format } = own;
    let ids = attribution_ids([Some(a), Some(b), c, d, e, f])?;
    let comparison = content::comparison(&state, &ids).await?;
    let names: Vec<String> = ids.iter().take(2).map(AttributionId::to_string).collect();
    let file = |kind: &str, suffix: &str| {
        let disposition = format!("attachment; filename=\"{}.{suffix}\"", names.join("-to-"));
        [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)]
    };
    let picture = match format {
        ComparisonForm::Json => return Ok(Json(comparison).into_response()),
        ComparisonForm::Csv => {
            let table = match chart {
                ComparisonChart::Matrices | ComparisonChart::Scatter => changes_csv(&comparison),
                ComparisonChart::Curves => curves_csv(&overlay(&state, &comparison, Theme::Light).await?),
            };
            return Ok((file("text/csv; charset=utf-8", "csv"), table.map_err(ApiError::internal)?).into_response());
        }
        ComparisonForm::Npy => {
            let matrices = comparison.attributions.iter().map(|attribution| &attribution.file.matrix);
            let classes = comparison.baseline().file.matrix.classes();
            let array = npy::array(&[ids.len(), classes, classes], matrices.flat_map(|matrix| matrix.rows().flatten().copied()));
            return Ok((file("application/octet-stream", "npy"), array).into_response());
        }
        ComparisonForm::Svg => Picture::Svg,
        ComparisonForm::Png => Picture::Png,
        ComparisonForm::Tex => Picture::Tex,
    };
    let Style { lens, theme } = style;
    let side = side(of.as_deref(), ids.len())?;
    let view = View::Compare { ids, lens: lens.clone() };
    let runs = RunId::of_view(&view);
    let provenance = content::provenance(&state, Page::View(view), &comparison.attributions, &runs).await?;
    match chart {
        ComparisonChart::Matrices => {
            let figure = Figure::comparison(&comparison, &lens, theme);
            let size = figure.size();
            figures::picture(figure, size, picture, provenance, "comparison").await
        }
        ComparisonChart::Scatter => {
            const WIDTH: u32 = 560;
            let size = (WIDTH, Scatter::natural_height(f64::from(WIDTH)).ceil() as u32);
            figures::picture(Scatter::comparison(&comparison, side, theme), size, picture, provenance, "scatter").await
        }
        ComparisonChart::Curves => {
            let overlay = overlay(&state, &comparison, theme).await?;
            figures::picture(overlay, (960, 400), picture, provenance, "curves").await
        }
    }
}

/// The index of the side that is shown against the baseline.
fn side(of: Option<&str>, count: usize) -> Result<usize, ApiError> {
    let Some(of) = of else { return Ok(1) };
    let known = &SIDES[1..count];
    let wrong = || ApiError::on_field(Kind::InvalidQuery, "of", format!("`{of}` is not a side; known: `{}`", known.join("`, `")));
    known.iter().position(|side| *side == of).map(|index| index + 1).ok_or_else(wrong)
}

async fn overlay(state: &AppState, comparison: &Comparison, theme: Theme) -> Result<Overlay, ApiError> {
    let compared = Compared::all(comparison);
    let colors = run_colors(&compared.iter().map(|compared| compared.run.as_str()).collect::<Vec<_>>());
    let mut runs = Vec::with_capacity(compared.len());
    for (compared, color) in compared.into_iter().zip(colors) {
        let id: RunId = compared.run.parse().map_err(ApiError::internal)?;
        let metrics = state.dirs.of(&id).metrics().await?;
        runs.push(OverlaidRun::of(&compared.name(), color, &metrics, compared.marks));
    }
    Ok(Overlay::of(runs, theme))
}

/// Those that are given; a side that is left out before another is named.
fn attribution_ids(sides: [Option<String>; 6]) -> Result<Vec<AttributionId>, ApiError> {
    let count = sides.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let id = |(side, text): (&&str, &Option<String>)| match text {
        Some(text) => text.parse().map_err(|error| ApiError::on_field(Kind::InvalidQuery, side, format!("{error}"))),
        None => Err(ApiError::on_field(Kind::InvalidQuery, side, format!("`{side}` is missing before `{}`", SIDES[count - 1]))),
    };
    SIDES.iter().zip(&sides).take(count).map(id).collect()
}

/// A row for each pair: its classes, the baseline's value, then of each other its value and how it differs.
fn changes_csv(comparison: &Comparison) -> Result<Vec<u8>, csv::Error> {
    let names = &comparison.baseline().file.class_names;
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> = ["class_i", "class_j", SIDES[0]].map(str::to_owned).to_vec();
    for side in SIDES.iter().take(comparison.attributions.len()).skip(1) {
        head.extend([(*side).to_owned(), format!("{side}_minus_a")]);
    }
    table.write_record(head)?;
    for pair in comparison.ranked() {
        let baseline = pair.values[0];
        let mut row = vec![names[pair.i].clone(), names[pair.j].clone(), baseline.to_string()];
        row.extend(pair.values[1..].iter().flat_map(|value| [value.to_string(), (value - baseline).to_string()]));
        table.write_record(row)?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

/// A row for each run and epoch of which anything is known.
fn curves_csv(overlay: &Overlay) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["run", "epoch", "robust_accuracy", "cas"])?;
    for run in &overlay.runs {
        let at = |points: &[(u32, f64)], epoch: u32| {
            points.iter().find(|point| point.0 == epoch).map(|point| point.1.to_string()).unwrap_or_default()
        };
        for epoch in distinct(run.robust.iter().chain(&run.cas).map(|point| point.0).collect()) {
            table.write_record([run.title.clone(), epoch.to_string(), at(&run.robust, epoch), at(&run.cas, epoch)])?;
        }
    }
    table.into_inner().map_err(|error| error.into_error().into())
}
