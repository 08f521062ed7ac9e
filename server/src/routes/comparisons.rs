//! Comparisons of attributions with the first of them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::{Comparison, RankedPair};
use shared::chart::colors::Theme;
use shared::chart::figure::Figure;
use shared::chart::overlaid_curves::{Compared, OverlaidCurves, OverlaidRun, run_colors};
use shared::chart::scatter::{Point, Scatter};
use shared::id::AttributionId;
use shared::matrix::Matrix;
use shared::provenance::Page;
use shared::view::{SIDES, View, side_of};
use utoipa::{IntoParams, ToSchema};

use crate::figures::{self, DataForm, FigureQuery, FigureStyle, Style};
use crate::npy::Values;
use crate::numbers::Numbers;
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
    chart: ComparisonChart,
    /// Side that the scatter plot shows against the baseline: `b` (default) to `f`.
    of: Option<String>,
    #[serde(default)]
    #[param(inline)]
    format: DataForm,
}

/// What a figure of a comparison shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonChart {
    #[default]
    Matrices,
    /// One point per pair of classes: its cosine in the baseline and in the other attribution.
    Scatter,
    /// Robust accuracy and CAS over epochs, for each run.
    Curves,
}

/// Two to six matrices, their differences from the first, and the pairs of classes that changed most
///
/// `csv`: one row per pair of classes with all values, the largest change first. `npz`: the arrays
/// `matrices`, `[n, K, K]` in the order of the sides, `attributions`, `classes` and `provenance`. `npy`: the
/// array `matrices` alone.
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare, FigureStyle),
    responses(
        (status = 200, content((Comparison = "application/json"), (String = "text/csv"), (Vec<u8> = "application/zip"), (Vec<u8> = "application/octet-stream"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, FigureQuery { own, style }: FigureQuery<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, c, d, e, f, chart, of, format } = own;
    let ids = attribution_ids([Some(a), Some(b), c, d, e, f])?;
    let comparison = resources::comparison(&state, &ids).await?;
    let Some(form) = format.of_figure() else { return Ok(Json(comparison).into_response()) };
    let Style { lens, theme } = style;
    let of = side(of.as_deref(), ids.len())?;
    let name = format!("{}-to-{}", ids[0], ids[of]);
    let view = View::Compare { ids, of, lens: lens.clone() };
    let runs = view.runs();
    let provenance = provenance::of_page(&state, Page::View(view), &comparison.attributions, &runs).await?;
    match chart {
        ComparisonChart::Matrices => {
            let drawn = || {
                let figure = Figure::comparison(&comparison, &lens, theme);
                let size = figure.size();
                (figure, size)
            };
            figures::figure(form, &name, provenance, || matrices(&comparison), drawn).await
        }
        ComparisonChart::Scatter => {
            const WIDTH: u32 = 560;
            let size = (WIDTH, Scatter::natural_height(f64::from(WIDTH)).ceil() as u32);
            let scatter = Scatter::comparison(&comparison, of, theme);
            figures::figure(form, &format!("{name}-scatter"), provenance, || points(&scatter, of), || (scatter.clone(), size)).await
        }
        ComparisonChart::Curves => {
            const WIDTH: u32 = 960;
            let overlay = overlay(&state, &comparison, theme).await?.seen(&lens.curves);
            let size = (WIDTH, overlay.natural_height().ceil() as u32);
            figures::figure(form, &format!("{name}-curves"), provenance, || courses(&overlay), || (overlay.clone(), size)).await
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

/// The matrices in the order of the sides. The table has a row per pair: its classes, the value in the
/// baseline, and for each other side the value and the difference.
fn matrices(comparison: &Comparison) -> Numbers {
    let (classes, ranked) = (&comparison.baseline().file.class_names, comparison.ranked());
    let class = |of: fn(&RankedPair) -> usize| Values::Texts(ranked.iter().map(|pair| classes[of(pair)].clone()).collect());
    let value = |of: &dyn Fn(&RankedPair) -> f64| Values::Numbers(ranked.iter().map(of).collect());
    let mut table = vec![("class_i".to_owned(), class(|pair| pair.i)), ("class_j".to_owned(), class(|pair| pair.j))];
    table.push((SIDES[0].to_owned(), value(&|pair| pair.values[0])));
    for (index, side) in SIDES.iter().enumerate().take(comparison.attributions.len()).skip(1) {
        table.push(((*side).to_owned(), value(&|pair| pair.values[index])));
        table.push((format!("{side}_minus_a"), value(&|pair| pair.values[index] - pair.values[0])));
    }
    let matrices: Vec<&Matrix> = comparison.attributions.iter().map(|attribution| &attribution.file.matrix).collect();
    let names: Vec<String> = comparison.attributions.iter().map(|attribution| attribution.id.to_string()).collect();
    Numbers::matrices(&matrices, &names, classes, table)
}

/// A row for each pair that the scatter plot shows.
fn points(scatter: &Scatter, side: usize) -> Numbers {
    let points = &scatter.points;
    let class = |of: fn(&Point) -> usize| Values::Texts(points.iter().map(|point| scatter.labels[of(point)].clone()).collect());
    let value = |of: fn(&Point) -> f64| Values::Numbers(points.iter().map(of).collect());
    Numbers::table(vec![
        ("class_i", class(|point| point.i)),
        ("class_j", class(|point| point.j)),
        (SIDES[0], value(|point| point.x)),
        (SIDES[side], value(|point| point.y)),
    ])
}

/// A row for each run and epoch with at least one value.
fn courses(overlay: &OverlaidCurves) -> Numbers {
    let at =
        |points: &[(u32, f64)], epoch: u32| points.binary_search_by_key(&epoch, |point| point.0).map_or(f64::NAN, |index| points[index].1);
    let (mut titles, mut epochs) = (Vec::new(), Vec::new());
    let mut columns: [(&str, Vec<f64>); 4] = ["robust_accuracy", "cas", "train_loss", "test_loss"].map(|name| (name, Vec::new()));
    for run in &overlay.runs {
        let curves = [&run.robust, &run.cas, &run.train_loss, &run.test_loss];
        let measured: BTreeSet<u32> = curves.iter().flat_map(|points| points.iter().map(|point| point.0)).collect();
        for epoch in measured {
            titles.push(run.title.clone());
            epochs.push(i64::from(epoch));
            columns.iter_mut().zip(curves).for_each(|((_, values), points)| values.push(at(points, epoch)));
        }
    }
    let columns = columns.into_iter().map(|(name, values)| (name, Values::Numbers(values)));
    Numbers::table([("run", Values::Texts(titles)), ("epoch", Values::Integers(epochs))].into_iter().chain(columns).collect())
}
