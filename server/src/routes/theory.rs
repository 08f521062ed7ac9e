//! The three-class model: closed form and simulation as numbers and as figures.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::chart::theory::TheoryChart;
use shared::problem::FieldError;
use shared::provenance::{APPLICATION, Page, Provenance};
use shared::theory::{Answer, DRAWS, Model, Question, SEED, Samples};
use utoipa::{IntoParams, ToSchema};

use crate::figures::{self, FigureQuery, FigureStyle, Picture, Style};
use crate::problem::{ApiError, Kind};

/// Those of the page, so that figures hold its dots.
static SAMPLES: LazyLock<Samples> = LazyLock::new(|| Samples::draw(SEED, DRAWS));

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Theory {
    /// μ, the mean of a feature that is there.
    mean: Option<String>,
    /// σ, its standard deviation.
    deviation: Option<String>,
    /// ε, the radius of the ℓ∞ ball; figures mark it.
    eps: Option<String>,
    /// λ, the weight of λ/2·‖w‖² in the loss.
    weight_decay: Option<String>,
    /// `surrogate`, `cross_entropy`.
    loss: Option<String>,
    /// Of cross-entropy, from 0 to below 1.
    label_smoothing: Option<String>,
    #[serde(default)]
    #[param(inline)]
    chart: TheoryChartName,
    #[serde(default)]
    #[param(inline)]
    format: TheoryForm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TheoryChartName {
    /// What is learned, w₁ and w₂.
    #[default]
    Weights,
    /// The chance to beat one rival under attack.
    Chance,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TheoryForm {
    #[default]
    Json,
    Csv,
    Svg,
    Png,
    Tex,
}

/// The weights that the three-class model learns, over the radius of the attack
#[utoipa::path(
    get, path = "/api/theory", tag = "theory", params(Theory, FigureStyle),
    responses(
        (status = 200, content((Vec<Answer> = "application/json"), (String = "text/csv"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_theory(FigureQuery { own, style: Style { lens: _, theme } }: FigureQuery<Theory>) -> Result<Response, ApiError> {
    let question = own.question().map_err(|error| ApiError::on_fields(Kind::InvalidQuery, vec![error]))?;
    let course = tokio::task::spawn_blocking(move || question.course(&SAMPLES)).await.map_err(ApiError::internal)?;
    let picture = match own.format {
        TheoryForm::Json => return Ok(Json(course).into_response()),
        TheoryForm::Csv => {
            let table = course_csv(&question, &course).map_err(ApiError::internal)?;
            let disposition = "attachment; filename=\"theory.csv\"";
            return Ok(
                ([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, disposition)], table).into_response()
            );
        }
        TheoryForm::Svg => Picture::Svg,
        TheoryForm::Png => Picture::Png,
        TheoryForm::Tex => Picture::Tex,
    };
    let (chart, name) = match own.chart {
        TheoryChartName::Weights => (TheoryChart::weights(&question, &course, theme), "theory-weights"),
        TheoryChartName::Chance => (TheoryChart::chance(&question, &course, theme), "theory-chance"),
    };
    let provenance = Provenance {
        application: APPLICATION.to_owned(),
        view: Page::Theory(question),
        checkpoints: Vec::new(),
        configs: Default::default(),
    };
    figures::picture(chart, (720, 400), picture, provenance, name).await
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

fn course_csv(question: &Question, course: &[Answer]) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["eps", "w1_theorem", "w2_theorem", "w1_simulated", "w2_simulated", "chance_theorem", "chance_simulated"])?;
    for Answer { eps, theorem, simulated } in course {
        let model = Model { eps: *eps, ..question.model };
        let chances = [theorem, simulated].map(|weights| model.chance_to_beat_a_rival(*weights));
        let values = [*eps, theorem.specific, theorem.cross, simulated.specific, simulated.cross, chances[0], chances[1]];
        table.write_record(values.map(|value| value.to_string()))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}
