//! Attributions as JSON, tables, arrays and figures.

use std::iter;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use md5::{Digest, Md5};
use serde::Deserialize;
use shared::api::{Attribution, AttributionContext, RunState};
use shared::chart::AttributionFigure;
use shared::chart::class_bars::ClassBars;
use shared::chart::comparison::arrangement_of;
use shared::chart::figure::MatrixFigure;
use shared::chart::scatter::Scatter;
use shared::export::{Exported, Format};
use shared::id::{AttributionId, IdError};
use shared::interference::Interference;
use shared::view::{Lens, View};
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use crate::extract::{Name, Named};
use crate::figures::{self, FigureQuery, Style};
use crate::id::hex;
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::ranges;
use crate::resources;
use crate::state::AppState;

/// An attribution with the wanted format as its ending: `RUN.e12.adversarial.csv`.
#[derive(Debug)]
pub struct AttributionExport {
    id: AttributionId,
    /// `None`: the file and its context.
    format: Option<Format>,
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
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let ended = |format: Format| Some((text.strip_suffix(format.extension())?.strip_suffix('.')?, format));
        Ok(match Format::of(Exported::Matrices).find_map(ended) {
            Some((name, format)) => AttributionExport { id: name.parse()?, format: Some(format) },
            None => AttributionExport { id: text.parse()?, format: None },
        })
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
/// - `.json`: the file that the worker has written, without what is known of its run. Once the run has
///   succeeded it never changes.
///
/// With `chart`, the files hold the accuracy of each class instead of the matrix. All files but `.npy`
/// and `.json` contain the address of the page, the hash of the checkpoint and the configuration.
#[utoipa::path(
    get, path = "/api/attributions/{id}", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`, with or without `.svg`, `.png`, `.tex`, `.csv`, `.npz`, `.npy` or `.json`"), Shown, Style),
    responses(
        (status = 200, body = Attribution),
        (status = 304, description = "Not modified: the client has the file with this ETag"),
        ApiError
    )
)]
pub async fn get_attribution(
    State(state): State<AppState>,
    headers: HeaderMap,
    Name(AttributionExport { id, format }): Name<AttributionExport>,
    FigureQuery { own: Shown { chart }, style: Style { lens, theme } }: FigureQuery<Shown>,
) -> Result<Response, ApiError> {
    let format = match format {
        None => return Ok(Json(resources::attribution(&state, &id).await?).into_response()),
        Some(Format::Json) => return worker_file(&state, &id, &headers).await,
        Some(format) => format,
    };
    let attribution = resources::attribution(&state, &id).await?;
    // Numbers are those of this matrix alone, even if the lens names a baseline.
    let baseline = if format.is_drawn() || chart == AttributionFigure::Classes { named_baseline(&state, &lens).await? } else { None };
    let name = id.to_string();
    let view = View::Attribution { id, lens: lens.clone() };
    let sides = iter::once(&attribution).chain(&baseline);
    let provenance = provenance::of_view(&state, view, sides.map(provenance::checkpoint)).await?;
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
        AttributionFigure::AttributionWeights
        | AttributionFigure::AttributionFeatures
        | AttributionFigure::AttributionTraffic
        | AttributionFigure::WeightsFeatures
        | AttributionFigure::WeightsTraffic
        | AttributionFigure::FeaturesTraffic => {
            let drawn = chart.relations().and_then(|relations| Scatter::relations(&attribution.file, relations, theme));
            let Some(scatter) = drawn else {
                let detail = format!("`{chart}` needs relations between classes that the file of `{name}` does not have");
                return Err(ApiError::on_field(Kind::InvalidQuery, "chart", detail));
            };
            figures::answer(scatter, format, &format!("{name}-{chart}"), provenance).await
        }
    }
}

/// Whether classes that share features are those that the attack confuses
///
/// Spearman's rank correlations, over all pairs of classes, of C, the cosines of the rows of W, the cosines of the mean
/// features and the traffic of the attack, each with the p of Mantel's permutation test.
#[utoipa::path(
    get, path = "/api/attributions/{id}/interference", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`")),
    responses((status = 200, body = Interference), ApiError)
)]
pub async fn get_interference(State(state): State<AppState>, Name(id): Name<AttributionId>) -> Result<Json<Interference>, ApiError> {
    let attribution = resources::attribution(&state, &id).await?;
    // Half a second for 200 classes.
    let found = spawn_blocking(move || Interference::of(&attribution.file)).await.map_err(ApiError::internal)?;
    Ok(Json(found))
}

/// What is known of an attribution besides its matrix
///
/// The title of its run, and what its checkpoint is in it: small, and it can change. The matrix is at
/// `/api/attributions/{id}.json`.
#[utoipa::path(
    get, path = "/api/attributions/{id}/context", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`")),
    responses((status = 200, body = AttributionContext), ApiError)
)]
pub async fn get_attribution_context(
    State(state): State<AppState>,
    Name(id): Name<AttributionId>,
) -> Result<Json<AttributionContext>, ApiError> {
    resources::attribution_context(&state, &id).await.map(Json)
}

/// The file of an attribution as the worker has written it.
async fn worker_file(state: &AppState, id: &AttributionId, asked: &HeaderMap) -> Result<Response, ApiError> {
    let (run, _) = resources::run_of_attribution(state, id).await?;
    let file = state.dirs.of(&id.run).attribution_bytes(id).await?.ok_or_else(|| AttributionId::not_found(&id.to_string()))?;
    let etag = HeaderValue::from_str(&format!("\"{}\"", hex(Md5::digest(&file)))).map_err(ApiError::internal)?;
    // A run that has failed or was canceled can go on and measure an epoch again.
    let kept = if run.state == RunState::Succeeded { "private, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static(kept))];
    if ranges::is_known(asked, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(header::CONTENT_TYPE, Format::Json.media_type())], file).into_response())
}

/// The baseline that a lens names.
async fn named_baseline(state: &AppState, lens: &Lens) -> Result<Option<Attribution>, ApiError> {
    match &lens.baseline {
        Some(baseline) => resources::attribution(state, baseline).await.map(Some).map_err(|error| error.moved_to("base")),
        None => Ok(None),
    }
}
