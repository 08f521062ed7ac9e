//! Attributions: as JSON, as tables and arrays, as figures.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use shared::api::Attribution;
use shared::chart::figure::Figure;
use shared::matrix::Matrix;
use shared::provenance::Page;
use shared::view::{AttributionId, View, ViewError};

use crate::content;
use crate::extract::{Name, Named};
use crate::figures::{self, FigureQuery, FigureStyle, NothingElse, Picture, Style};
use crate::id::RunId;
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
/// With `.csv` or `.npy` after the name: the matrix alone, whatever the query says. With `.svg`, `.png` or `.tex`: the heatmap, drawn as
/// the query says, with the page it shows, the hash of the checkpoint and the configuration inside.
#[utoipa::path(
    get, path = "/api/attributions/{id}", tag = "attributions",
    params(("id" = String, Path, description = "The attribution, `RUN.e12.adversarial`, with or without `.csv`, `.npy`, `.svg`, `.png` or `.tex`"), FigureStyle),
    responses(
        (status = 200, content((Attribution = "application/json"), (String = "text/csv"), (Vec<u8> = "application/octet-stream"), (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "application/x-tex"))),
        ApiError
    )
)]
pub async fn get_attribution(
    State(state): State<AppState>,
    Name(AttributionForm { id, form }): Name<AttributionForm>,
    FigureQuery { own: NothingElse {}, style: Style { lens, theme } }: FigureQuery<NothingElse>,
) -> Result<Response, ApiError> {
    let attribution = content::attribution(&state, &id).await?;
    let attachment = |suffix: &str| (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.{suffix}\""));
    let kind = |kind: &str| (header::CONTENT_TYPE, kind.to_owned());
    Ok(match form {
        Form::Json => Json(attribution).into_response(),
        Form::Csv => {
            let table = matrix_csv(&attribution.file.class_names, &attribution.file.matrix).map_err(ApiError::internal)?;
            ([kind("text/csv; charset=utf-8"), attachment("csv")], table).into_response()
        }
        Form::Npy => ([kind("application/octet-stream"), attachment("npy")], npy(&attribution.file.matrix)).into_response(),
        Form::Picture(picture) => {
            let baseline = match &lens.baseline {
                Some(baseline) => Some(content::attribution(&state, baseline).await.map_err(|error| error.moved_to("base"))?),
                None => None,
            };
            let figure = Figure::attribution(&attribution, baseline.as_ref(), &lens, theme);
            let (size, name) = (figure.size(), id.to_string());
            let view = View::Attribution { id, lens };
            let runs = RunId::of_view(&view);
            let provenance = content::provenance(
                &state,
                Page::View(view),
                &[Some(attribution), baseline].into_iter().flatten().collect::<Vec<_>>(),
                &runs,
            )
            .await?;
            figures::picture(figure, size, picture, provenance, &name).await?
        }
    })
}

fn matrix_csv(class_names: &[String], matrix: &Matrix) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(std::iter::once("class").chain(class_names.iter().map(String::as_str)))?;
    for (name, row) in class_names.iter().zip(matrix.rows()) {
        table.write_record(std::iter::once(name.clone()).chain(row.iter().map(f64::to_string)))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

/// A matrix as NumPy reads it: version 1.0 of <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn npy(matrix: &Matrix) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    const PREFIX: usize = 10;
    let classes = matrix.classes();
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({classes}, {classes}), }}");
    let padding = (ALIGNMENT - (PREFIX + header.len() + 1) % ALIGNMENT) % ALIGNMENT;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("the header of a matrix has less than 200 bytes");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(matrix.rows().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}
