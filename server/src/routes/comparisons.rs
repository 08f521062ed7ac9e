//! Attributions against the first of them.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Comparison;
use shared::chart::figure::Figure;
use shared::provenance::Page;
use shared::view::{AttributionId, SIDES, View};
use utoipa::{IntoParams, ToSchema};

use crate::content;
use crate::figures::{self, FigureQuery, FigureStyle, Picture, Style};
use crate::id::RunId;
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
    format: ComparisonForm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonForm {
    #[default]
    Json,
    /// Every pair of classes with both values, the largest change first.
    Csv,
    Svg,
    Png,
    Tex,
}

/// Two to six matrices, how the others differ from the first, and the pairs that changed most
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare, FigureStyle),
    responses(
        (status = 200, content((Comparison = "application/json"), (String = "text/csv"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, FigureQuery { own, style }: FigureQuery<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, c, d, e, f, format } = own;
    let ids = attribution_ids([Some(a), Some(b), c, d, e, f])?;
    let comparison = content::comparison(&state, &ids).await?;
    Ok(match format {
        ComparisonForm::Json => Json(comparison).into_response(),
        ComparisonForm::Csv => {
            let table = changes_csv(&comparison).map_err(ApiError::internal)?;
            let names: Vec<String> = ids.iter().take(2).map(AttributionId::to_string).collect();
            let disposition = format!("attachment; filename=\"{}.csv\"", names.join("-to-"));
            ([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)], table)
                .into_response()
        }
        ComparisonForm::Svg => picture(&state, comparison, ids, style, Picture::Svg).await?,
        ComparisonForm::Png => picture(&state, comparison, ids, style, Picture::Png).await?,
        ComparisonForm::Tex => picture(&state, comparison, ids, style, Picture::Tex).await?,
    })
}

async fn picture(
    state: &AppState,
    comparison: Comparison,
    ids: Vec<AttributionId>,
    style: Style,
    picture: Picture,
) -> Result<Response, ApiError> {
    let Style { lens, theme } = style;
    let figure = Figure::comparison(&comparison, &lens, theme);
    let (size, view) = (figure.size(), View::Compare { ids, lens });
    let runs = RunId::of_view(&view);
    let provenance = content::provenance(state, Page::View(view), &comparison.attributions, &runs).await?;
    figures::picture(figure, size, picture, provenance, "comparison").await
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
