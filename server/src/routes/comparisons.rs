//! Two attributions against each other.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Comparison;
use shared::view::AttributionId;
use utoipa::{IntoParams, ToSchema};

use crate::content;
use crate::extract::Query;
use crate::figures::{self, FigureQuery, Theme};
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
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
    order: Option<String>,
    scale: Option<String>,
    cell: Option<String>,
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
}

/// Two matrices, their difference, and the pairs that changed most
#[utoipa::path(
    get, path = "/api/comparisons", tag = "attributions", params(Compare),
    responses(
        (status = 200, content((Comparison = "application/json"), (String = "text/csv"), (String = "image/svg+xml"), (Vec<u8> = "image/png"))),
        ApiError
    )
)]
pub async fn get_comparison(State(state): State<AppState>, Query(query): Query<Compare>) -> Result<Response, ApiError> {
    let Compare { a, b, format, theme, order, scale, cell } = query;
    let (a, b) = (attribution_id("a", &a)?, attribution_id("b", &b)?);
    let style = FigureQuery { theme, order, scale, cell }.style()?;
    let comparison = content::comparison(&state, &a, &b).await?;
    Ok(match format {
        ComparisonForm::Json => Json(comparison).into_response(),
        ComparisonForm::Csv => {
            let table = changes_csv(&comparison).map_err(ApiError::internal)?;
            let disposition = format!("attachment; filename=\"{a}-to-{b}.csv\"");
            ([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)], table)
                .into_response()
        }
        ComparisonForm::Svg => figures::comparison(comparison, style).await?.into_svg(),
        ComparisonForm::Png => figures::comparison(comparison, style).await?.into_png().await?,
    })
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
