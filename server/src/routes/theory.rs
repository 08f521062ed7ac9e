//! The three-class model: closed form and simulation as numbers and as figures.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::chart::TheoryFigure;
use shared::chart::theory::TheoryChart;
use shared::export::Format;
use shared::problem::FieldError;
use shared::provenance::Page;
use shared::theory::{Answer, DRAWS, Question, SEED, Samples};
use utoipa::IntoParams;

use crate::figures::{self, FigureQuery, Style};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::state::AppState;

/// The same settings as on the page, so that figures show the same points.
static SAMPLES: LazyLock<Samples> = LazyLock::new(|| Samples::draw(SEED, DRAWS));

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Theory {
    /// μ, the mean of a feature that is present.
    mean: Option<String>,
    /// σ, its standard deviation.
    deviation: Option<String>,
    /// ε, the radius of the ℓ∞ ball, which figures mark.
    eps: Option<String>,
    /// λ, the weight of λ/2·‖w‖² in the loss.
    weight_decay: Option<String>,
    /// `surrogate`, `cross_entropy`.
    loss: Option<String>,
    /// Label smoothing, of the theorem as well, in `[0, 1)`.
    label_smoothing: Option<String>,
    #[serde(default)]
    #[param(inline)]
    chart: TheoryFigure,
    /// `json` by default.
    #[param(schema_with = figures::chart_or_data_formats)]
    format: Option<Format>,
}

/// The weights that the three-class model learns, over the radius of the attack
///
/// `csv` and `npz` hold the numbers of both charts.
#[utoipa::path(
    get, path = "/api/theory", tag = "theory", params(Theory, Style),
    responses(
        (status = 200, body = Vec<Answer>),
        ApiError
    )
)]
pub async fn get_theory(
    State(state): State<AppState>,
    FigureQuery { own, style: Style { lens: _, theme } }: FigureQuery<Theory>,
) -> Result<Response, ApiError> {
    let question = own.question().map_err(|error| ApiError::on_fields(Kind::InvalidQuery, vec![error]))?;
    let course = tokio::task::spawn_blocking(move || question.course(&SAMPLES)).await.map_err(ApiError::internal)?;
    let format = own.format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(course).into_response());
    }
    let (chart, name) = match own.chart {
        TheoryFigure::Weights => (TheoryChart::weights(&question, &course, theme), "theory-weights"),
        TheoryFigure::Chance => (TheoryChart::chance(&question, &course, theme), "theory-chance"),
    };
    let provenance = provenance::of_page(&state, Page::Theory(question), &[]).await?;
    figures::answer(chart, format, name, provenance).await
}

impl Theory {
    fn question(&self) -> Result<Question, FieldError> {
        Question::from_parameters(|name| {
            let value = match name {
                "mean" => &self.mean,
                "deviation" => &self.deviation,
                "eps" => &self.eps,
                "weight_decay" => &self.weight_decay,
                "loss" => &self.loss,
                "label_smoothing" => &self.label_smoothing,
                _ => return None,
            };
            value.as_deref()
        })
    }
}
