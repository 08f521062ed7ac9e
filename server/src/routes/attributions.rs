//! Attributions as JSON, tables, arrays and figures.

use std::iter;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Attribution;
use shared::chart::AttributionFigure;
use shared::chart::class_bars::ClassBars;
use shared::chart::comparison::arrangement_of;
use shared::chart::figure::MatrixFigure;
use shared::export::{Exported, Format};
use shared::provenance::Page;
use shared::view::{AttributionId, Lens, View, ViewError};
use utoipa::IntoParams;

use crate::extract::{Name, Named};
use crate::figures::{self, FigureQuery, Style};
use crate::id::RunId;
use crate::problem::ApiError;
use crate::provenance;
use crate::resources;
use crate::state::AppState;

/// An attribution with the wanted format as its ending: `RUN.e12.adversarial.csv`.
#[derive(Debug)]
pub struct AttributionExport {
    id: AttributionId,
    format: Format,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    #[serde(default)]
    #[param(inline)]
    chart: AttributionFigure,
}

impl FromStr for AttributionExport {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        // The data itself has no ending.
        let mut files = Format::of(Exported::Matrices).filter(|format| *format != Format::Json);
        let ended = files.find_map(|format| Some((text.strip_suffix(format.extension())?.strip_suffix('.')?, format)));
        let (id, format) = ended.unwrap_or((text, Format::Json));
        Ok(AttributionExport { id: id.parse()?, format })
    }
}

impl Named for AttributionExport {
    fn not_found(text: &str) -> ApiError {
        AttributionId::not_found(text)
    }
}

/// A class-wise attribution matrix, with how it was measured
///
/// An ending after the name selects a file format:
///
/// - `.svg`, `.png`, `.tex`: the heatmap, drawn as the query says.
/// - `.csv`: the matrix as a table, below comment lines that begin with `#`.
/// - `.npz`: the NumPy arrays `matrix`, `classes` and `provenance`.
/// - `.npy`: the matrix alone.
///
/// With `chart`, the files hold the accuracy of each class instead of the matrix. All files but `.npy`
/// contain the address of the page, the hash of the checkpoint and the configuration.
#[utoipa::path(
    get, path = "/api/attributions/{id}", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`, with or without `.svg`, `.png`, `.tex`, `.csv`, `.npz` or `.npy`"), Shown, Style),
    responses(
        (status = 200, body = Attribution),
        ApiError
    )
)]
pub async fn get_attribution(
    State(state): State<AppState>,
    Name(AttributionExport { id, format }): Name<AttributionExport>,
    FigureQuery { own: Shown { chart }, style: Style { lens, theme } }: FigureQuery<Shown>,
) -> Result<Response, ApiError> {
    let attribution = resources::attribution(&state, &id).await?;
    if format == Format::Json {
        return Ok(Json(attribution).into_response());
    }
    // Numbers are those of this matrix alone, even if the lens names a baseline.
    let baseline = if format.is_drawn() || chart == AttributionFigure::Classes { named_baseline(&state, &lens).await? } else { None };
    let name = id.to_string();
    let view = View::Attribution { id, lens: lens.clone() };
    let runs = RunId::of_view(&view);
    let sides = iter::once(&attribution).chain(&baseline);
    let provenance = provenance::of_page(&state, Page::View(view), sides, &runs).await?;
    match chart {
        AttributionFigure::Matrix => {
            let figure = MatrixFigure::attribution(attribution, baseline.as_ref(), &lens, theme);
            figures::answer(figure, format, &name, provenance).await
        }
        AttributionFigure::Classes => {
            let other = attribution.comparable(baseline.as_ref());
            let bars = ClassBars::of(&attribution, other, &arrangement_of(&attribution, other, &lens), &lens, theme);
            figures::answer(bars, format, &format!("{name}-classes"), provenance).await
        }
    }
}

/// The baseline that a lens names.
async fn named_baseline(state: &AppState, lens: &Lens) -> Result<Option<Attribution>, ApiError> {
    match &lens.baseline {
        Some(baseline) => resources::attribution(state, baseline).await.map(Some).map_err(|error| error.moved_to("base")),
        None => Ok(None),
    }
}
