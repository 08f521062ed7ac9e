//! Attributions: as JSON, as tables and arrays, as figures.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::Attribution;
use shared::chart::class_bars::ClassBars;
use shared::chart::figure::Figure;
use shared::chart::heatmap::Arrangement;
use shared::matrix::Matrix;
use shared::provenance::Page;
use shared::view::{AttributionId, Lens, View, ViewError};
use utoipa::{IntoParams, ToSchema};

use crate::content;
use crate::extract::{Name, Named};
use crate::figures::{self, FigureQuery, FigureStyle, Picture, Style};
use crate::id::RunId;
use crate::npy;
use crate::problem::ApiError;
use crate::state::AppState;

/// An attribution, and the form in which it is wanted: `RUN.e12.adversarial.csv`.
#[derive(Debug)]
pub struct AttributionForm {
    id: AttributionId,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
    Csv,
    Npy,
    Picture(Picture),
}

/// What of an attribution is drawn.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
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
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        let forms = [
            (".csv", Form::Csv),
            (".npy", Form::Npy),
            (".svg", Form::Picture(Picture::Svg)),
            (".png", Form::Picture(Picture::Png)),
            (".tex", Form::Picture(Picture::Tex)),
        ];
        let (name, form) =
            forms.into_iter().find_map(|(suffix, form)| Some((text.strip_suffix(suffix)?, form))).unwrap_or((text, Form::Json));
        Ok(AttributionForm { id: name.parse()?, form })
    }
}

impl Named for AttributionForm {
    fn not_found(text: &str) -> ApiError {
        AttributionId::not_found(text)
    }
}

/// A class-wise attribution matrix with what is needed to trust it
///
/// With `.csv` or `.npy` after the name: the matrix alone, or as `.csv` the accuracies that `chart` asks for. With `.svg`, `.png` or `.tex`: the heatmap, drawn as
/// the query says, with the page it shows, the hash of the checkpoint and the configuration inside.
#[utoipa::path(
    get, path = "/api/attributions/{id}", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`, with or without `.csv`, `.npy`, `.svg`, `.png` or `.tex`"), Shown, FigureStyle),
    responses(
        (status = 200, content((Attribution = "application/json"), (String = "text/csv"), (Vec<u8> = "application/octet-stream"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_attribution(
    State(state): State<AppState>,
    Name(AttributionForm { id, form }): Name<AttributionForm>,
    FigureQuery { own: Shown { chart }, style: Style { lens, theme } }: FigureQuery<Shown>,
) -> Result<Response, ApiError> {
    let attribution = content::attribution(&state, &id).await?;
    let attachment = |suffix: &str| (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.{suffix}\""));
    let kind = |kind: &str| (header::CONTENT_TYPE, kind.to_owned());
    Ok(match form {
        Form::Json => Json(attribution).into_response(),
        Form::Csv => {
            let table = match chart {
                AttributionChart::Matrix => matrix_csv(&attribution.file.class_names, &attribution.file.matrix),
                AttributionChart::Classes => {
                    let baseline = named_baseline(&state, &lens).await?;
                    classes_csv(&attribution, attribution.comparable(baseline.as_ref()))
                }
            };
            let table = table.map_err(ApiError::internal)?;
            ([kind("text/csv; charset=utf-8"), attachment("csv")], table).into_response()
        }
        Form::Npy => ([kind("application/octet-stream"), attachment("npy")], matrix_npy(&attribution.file.matrix)).into_response(),
        Form::Picture(picture) => {
            let baseline = named_baseline(&state, &lens).await?;
            let name = id.to_string();
            let view = View::Attribution { id, lens: lens.clone() };
            let runs = RunId::of_view(&view);
            let sides: Vec<Attribution> = std::iter::once(attribution.clone()).chain(baseline.clone()).collect();
            let provenance = content::provenance(&state, Page::View(view), &sides, &runs).await?;
            match chart {
                AttributionChart::Matrix => {
                    let figure = Figure::attribution(&attribution, baseline.as_ref(), &lens, theme);
                    let size = figure.size();
                    figures::picture(figure, size, picture, provenance, &name).await?
                }
                AttributionChart::Classes => {
                    let other = attribution.comparable(baseline.as_ref());
                    let (matrix, names) = (&attribution.file.matrix, &attribution.file.class_names);
                    let arrangement = Arrangement::of(matrix, other.map(|baseline| &baseline.file.matrix), names, &lens);
                    let bars = ClassBars::of(&attribution, other, &arrangement, &lens, theme);
                    let size = bars.natural_size();
                    figures::picture(bars, size, picture, provenance, &format!("{name}-classes")).await?
                }
            }
        }
    })
}

/// What a lens compares with.
async fn named_baseline(state: &AppState, lens: &Lens) -> Result<Option<Attribution>, ApiError> {
    match &lens.baseline {
        Some(baseline) => content::attribution(state, baseline).await.map(Some).map_err(|error| error.moved_to("base")),
        None => Ok(None),
    }
}

fn matrix_csv(class_names: &[String], matrix: &Matrix) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(std::iter::once("class").chain(class_names.iter().map(String::as_str)))?;
    for (name, row) in class_names.iter().zip(matrix.rows()) {
        table.write_record(std::iter::once(name.clone()).chain(row.iter().map(f64::to_string)))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

fn matrix_npy(matrix: &Matrix) -> Vec<u8> {
    npy::array(&[matrix.classes(); 2], matrix.rows().flatten().copied())
}

/// Images and accuracy of each class, in the order as given, and the baseline's where there is one.
fn classes_csv(attribution: &Attribution, baseline: Option<&Attribution>) -> Result<Vec<u8>, csv::Error> {
    let file = &attribution.file;
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["class", "images", "accuracy"].into_iter().chain(baseline.map(|_| "baseline")))?;
    for (class, name) in file.class_names.iter().enumerate() {
        let accuracies = [Some(attribution), baseline].into_iter().flatten().map(|side| side.file.class_accuracy[class].to_string());
        table.write_record([name.clone(), file.class_counts[class].to_string()].into_iter().chain(accuracies))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}
