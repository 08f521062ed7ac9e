//! Two attributions against each other.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Comparison;
use shared::chart::figure::Figure;
use shared::provenance::Page;
use shared::view::{AttributionId, View};
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
    /// The attribution to start from, `RUN.e12.adversarial`.
    a: String,
    /// The attribution to compare it with.
    b: String,
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

/// Two matrices, their difference, and the pairs that changed most
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare, FigureStyle),
    responses(
        (status = 200, content((Comparison = "application/json"), (String = "text/csv"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, FigureQuery { own, style }: FigureQuery<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, format } = own;
    let (a, b) = (attribution_id("a", &a)?, attribution_id("b", &b)?);
    let comparison = content::comparison(&state, &a, &b).await?;
    Ok(match format {
        ComparisonForm::Json => Json(comparison).into_response(),
        ComparisonForm::Csv => {
            let table = changes_csv(&comparison).map_err(ApiError::internal)?;
            let disposition = format!("attachment; filename=\"{a}-to-{b}.csv\"");
            ([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)], table)
                .into_response()
        }
        ComparisonForm::Svg => picture(&state, comparison, vec![a, b], style, Picture::Svg).await?,
        ComparisonForm::Png => picture(&state, comparison, vec![a, b], style, Picture::Png).await?,
        ComparisonForm::Tex => picture(&state, comparison, vec![a, b], style, Picture::Tex).await?,
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
    let provenance = content::provenance(state, Page::View(view), &[comparison.a, comparison.b], &runs).await?;
    figures::picture(figure, size, picture, provenance, "comparison").await
}

fn attribution_id(field: &str, text: &str) -> Result<AttributionId, ApiError> {
    text.parse().map_err(|error| ApiError::on_field(Kind::InvalidQuery, field, format!("{error}")))
}

fn changes_csv(comparison: &Comparison) -> Result<Vec<u8>, csv::Error> {
    let names = &comparison.a.file.class_names;
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["class_i", "class_j", "a", "b", "difference"])?;
    for change in &comparison.changes {
        let (a, b, difference) = (change.a.to_string(), change.b.to_string(), change.difference.to_string());
        table.write_record([&names[change.i], &names[change.j], &a, &b, &difference])?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}
