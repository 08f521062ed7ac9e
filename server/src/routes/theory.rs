//! The three-class model: closed form and simulation as numbers and as figures.

use std::sync::LazyLock;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::chart::theory::TheoryChart;
use shared::export::Format;
use shared::problem::FieldError;
use shared::provenance::{APPLICATION, Page, Provenance};
use shared::theory::{Answer, DRAWS, Model, Question, SEED, Samples, Weights};
use utoipa::{IntoParams, ToSchema};

use crate::figures::{self, FigureQuery, FigureStyle, Style};
use crate::npy::Values;
use crate::numbers::Numbers;
use crate::problem::{ApiError, Kind};

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
    /// Label smoothing of cross-entropy, in `[0, 1)`.
    label_smoothing: Option<String>,
    #[serde(default)]
    #[param(inline)]
    chart: TheoryChartName,
    /// `json` by default.
    #[param(schema_with = figures::chart_or_data_formats)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TheoryChartName {
    /// The learned weights, w₁ and w₂.
    #[default]
    Weights,
    /// Probability to beat one rival class under attack.
    Chance,
}

/// The weights that the three-class model learns, over the radius of the attack
///
/// `csv` and `npz` hold the numbers of both charts.
#[utoipa::path(
    get, path = "/api/theory", tag = "theory", params(Theory, FigureStyle),
    responses(
        (status = 200, body = Vec<Answer>),
        ApiError
    )
)]
pub async fn get_theory(FigureQuery { own, style: Style { lens: _, theme } }: FigureQuery<Theory>) -> Result<Response, ApiError> {
    let question = own.question().map_err(|error| ApiError::on_fields(Kind::InvalidQuery, vec![error]))?;
    let course = tokio::task::spawn_blocking(move || question.course(&SAMPLES)).await.map_err(ApiError::internal)?;
    let format = own.format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(course).into_response());
    }
    let (chart, name) = match own.chart {
        TheoryChartName::Weights => (TheoryChart::weights(&question, &course, theme), "theory-weights"),
        TheoryChartName::Chance => (TheoryChart::chance(&question, &course, theme), "theory-chance"),
    };
    let numbers = numbers(&question, &course);
    let provenance = Provenance {
        application: APPLICATION.to_owned(),
        view: Page::Theory(question),
        checkpoints: Vec::new(),
        configs: Default::default(),
    };
    figures::figure(format, name, provenance, || numbers, || (chart, (720, 400))).await
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

fn numbers(question: &Question, course: &[Answer]) -> Numbers {
    let column = |of: &dyn Fn(&Answer) -> f64| Values::Numbers(course.iter().map(of).collect());
    let chance = |eps: f64, weights: Weights| Model { eps, ..question.model }.chance_to_beat_a_rival(weights);
    Numbers::table(vec![
        ("eps", column(&|answer| answer.eps)),
        ("w1_theorem", column(&|answer| answer.theorem.specific)),
        ("w2_theorem", column(&|answer| answer.theorem.cross)),
        ("w1_simulated", column(&|answer| answer.simulated.specific)),
        ("w2_simulated", column(&|answer| answer.simulated.cross)),
        ("chance_theorem", column(&|answer| chance(answer.eps, answer.theorem))),
        ("chance_simulated", column(&|answer| chance(answer.eps, answer.simulated))),
    ])
}
