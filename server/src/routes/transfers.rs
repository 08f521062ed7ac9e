//! Transfer matrices, as data and as figures.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::api::TransferMatrix;
use shared::chart::transfer::TransferChart;
use shared::config::Inputs;
use shared::export::Format;
use shared::id::RunId;
use shared::view::View;
use utoipa::IntoParams;

use crate::extract::Name;
use crate::figures::{self, FigureQuery, Style};
use crate::problem::{ApiError, Kind};
use crate::provenance;
use crate::resources;
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransferForm {
    /// `json` by default.
    #[param(schema_with = figures::matrices_formats)]
    format: Option<Format>,
}

/// How adversarial images of each of several checkpoints transfer to the others: the rows measured so far
///
/// `signs` say where an accuracy speaks of a broken attack.
///
/// `npy` is the matrix of accuracies, by source and target.
#[utoipa::path(
    get, path = "/api/runs/{id}/transfer", tag = "runs",
    params(("id" = String, Path, description = "The run, of kind `transfer`"), TransferForm, Style),
    responses(
        (status = 200, body = TransferMatrix),
        ApiError
    )
)]
pub async fn get_transfer(
    State(state): State<AppState>,
    Name(id): Name<RunId>,
    FigureQuery { own: TransferForm { format }, style: Style { lens, theme } }: FigureQuery<TransferForm>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::on_field(Kind::ResultNotFound, "id", format!("`{id}` has no transfer matrix, or has not begun it yet"));
    let transfer = resources::metrics(&state, &id).await?.transfer.ok_or_else(missing)?;
    let format = format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(TransferMatrix::of(transfer)).into_response());
    }
    let view = View::Run { run: id.clone(), epoch: None, inputs: Inputs::Adversarial, lens };
    let provenance = provenance::of_view(&state, view, transfer.checkpoints.clone()).await?;
    figures::answer(TransferChart::of(&transfer, theme), format, &format!("{id}-transfer"), provenance).await
}
