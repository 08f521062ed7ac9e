//! Attributions as JSON, tables, arrays and figures.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Attribution;
use shared::chart::class_bars::ClassBars;
use shared::chart::comparison::arrangement_of;
use shared::chart::figure::Figure;
use shared::id::{AttributionId, IdError};
use shared::provenance::Page;
use shared::view::{Lens, View};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Name, Named};
use crate::figures::{self, FigureQuery, FigureStyle, Form, Style};
use crate::npy::Values;
use crate::numbers::Numbers;
use crate::problem::ApiError;
use crate::provenance;
use crate::resources;
use crate::state::AppState;

/// An attribution with the wanted form as its ending: `RUN.e12.adversarial.csv`.
#[derive(Debug)]
pub struct AttributionForm {
    id: AttributionId,
    /// `None`: JSON.
    form: Option<Form>,
}

/// What a figure of an attribution shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributionChart {
    #[default]
    Matrix,
    /// The accuracy of each class.
    Classes,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    #[serde(default)]
    #[param(inline)]
    chart: AttributionChart,
}

impl FromStr for AttributionForm {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let ending = |form: Form| Some((text.strip_suffix(form.suffix())?.strip_suffix('.')?, form));
        Ok(match Form::ALL.into_iter().find_map(ending) {
            Some((name, form)) => AttributionForm { id: name.parse()?, form: Some(form) },
            None => AttributionForm { id: text.parse()?, form: None },
        })
    }
}

impl Named for AttributionForm {
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
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`, with or without `.svg`, `.png`, `.tex`, `.csv`, `.npz` or `.npy`"), Shown, FigureStyle),
    responses(
        (status = 200, content((Attribution = "application/json"), (String = "text/csv"), (Vec<u8> = "application/zip"), (Vec<u8> = "application/octet-stream"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_attribution(
    State(state): State<AppState>,
    Name(AttributionForm { id, form }): Name<AttributionForm>,
    FigureQuery { own: Shown { chart }, style: Style { lens, theme } }: FigureQuery<Shown>,
) -> Result<Response, ApiError> {
    let attribution = resources::attribution(&state, &id).await?;
    let Some(form) = form else { return Ok(Json(attribution).into_response()) };
    // Numbers are those of this matrix alone, even if the lens names a baseline.
    let baseline = if form.is_drawn() || chart == AttributionChart::Classes { named_baseline(&state, &lens).await? } else { None };
    let name = id.to_string();
    let view = View::Attribution { id, lens: lens.clone() };
    let runs = view.runs();
    let sides: Vec<Attribution> = std::iter::once(attribution.clone()).chain(baseline.clone()).collect();
    let provenance = provenance::of_page(&state, Page::View(view), &sides, &runs).await?;
    match chart {
        AttributionChart::Matrix => {
            let numbers = || Numbers::matrix(&attribution.file.matrix, &attribution.file.class_names);
            let drawn = || {
                let figure = Figure::attribution(&attribution, baseline.as_ref(), &lens, theme);
                let size = figure.size();
                (figure, size)
            };
            figures::figure(form, &name, provenance, numbers, drawn).await
        }
        AttributionChart::Classes => {
            let other = attribution.comparable(baseline.as_ref());
            let drawn = || {
                let bars = ClassBars::of(&attribution, other, &arrangement_of(&attribution, other, &lens), &lens, theme);
                let size = bars.natural_size();
                (bars, size)
            };
            figures::figure(form, &format!("{name}-classes"), provenance, || accuracies(&attribution, other), drawn).await
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

/// Number of images and accuracy of each class, in the given order; also of the baseline if there is one.
fn accuracies(attribution: &Attribution, baseline: Option<&Attribution>) -> Numbers {
    let file = &attribution.file;
    let mut columns = vec![
        ("class", Values::Texts(file.class_names.clone())),
        ("images", Values::Integers(file.class_counts.iter().copied().map(i64::from).collect())),
        ("accuracy", Values::Numbers(file.class_accuracy.clone())),
    ];
    columns.extend(baseline.map(|baseline| ("baseline", Values::Numbers(baseline.file.class_accuracy.clone()))));
    Numbers::table(columns)
}
