//! Figures as files: the charts of the browser and their numbers, each file with its provenance.

use anyhow::Context;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::api::SharedView;
use shared::chart::card::{self, Card};
use shared::chart::{Chart, colors, svg};
use shared::provenance::Provenance;
use shared::view::{Lens, ViewError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::extract::read_query;
use crate::fonts;
use crate::numbers::Numbers;
use crate::pgfplots;
use crate::problem::{ApiError, Kind};
use crate::provenance;

/// Pixels of a PNG per CSS pixel, unless the PNG would be too large.
const PNG_SCALE: f32 = 2.0;
const MOST_PNG_PIXELS: f32 = 40e6;

/// Figures drawn at once: a large matrix takes one second of a processor and a hundred megabytes.
static DRAWING: Semaphore = Semaphore::const_new(2);

/// How to draw a figure: the lens as in the address of a page, and the theme.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FigureStyle {
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
    /// Order of the classes: `given`, `similarity`, `superclass`, `closeness:CLASS`, `change`.
    order: Option<String>,
    /// `1`: shows superclasses, each cell the mean of its block.
    blocks: Option<String>,
    /// Color map: `diverging`, `sequential`.
    ramp: Option<String>,
    /// Range of the color scale: `locked`, `fitted`, `paper`.
    scale: Option<String>,
    /// Cells with a smaller absolute value are blank, such as `0.3`.
    threshold: Option<String>,
    /// How two matrices are shown: `values`, `difference`, `split`, `flicker`.
    show: Option<String>,
    /// Visible part: row, column and span in hundredths of a class, such as `400,0,1200`.
    region: Option<String>,
    /// Marked cell: two class indices, such as `3,5`.
    cell: Option<String>,
    /// Baseline of differences, `RUN.e12.adversarial`.
    base: Option<String>,
    /// First and last epoch of the curves, such as `10-40`.
    epochs: Option<String>,
    /// Axis of the losses: `auto`, `linear`, `log`.
    losses: Option<String>,
    /// Hidden curves, such as `cas,train_loss`; also hidden sides of a comparison, such as `b`.
    hide: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    #[default]
    Light,
    Dark,
}

/// A checked [`FigureStyle`].
#[derive(Clone, Debug)]
pub struct Style {
    pub lens: Lens,
    pub theme: colors::Theme,
}

/// The query of a figure: its own parameters and those of [`FigureStyle`].
#[derive(Debug)]
pub struct FigureQuery<T> {
    pub own: T,
    pub style: Style,
}

/// File format of a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    #[default]
    Svg,
    Png,
    /// A standalone LaTeX document for pgfplots.
    Tex,
    /// The numbers as a table, below comment lines that begin with `#` and hold the provenance.
    Csv,
    /// The numbers as named NumPy arrays; the array `provenance` holds the provenance as JSON.
    Npz,
    /// Only the matrices, as one NumPy array; only for figures of matrices.
    Npy,
}

/// File formats of a figure, and JSON for its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataForm {
    #[default]
    Json,
    Svg,
    Png,
    Tex,
    Csv,
    Npz,
    Npy,
}

impl Form {
    pub const ALL: [Form; 6] = [Form::Svg, Form::Png, Form::Tex, Form::Csv, Form::Npz, Form::Npy];

    /// Ending of its files.
    pub fn suffix(self) -> &'static str {
        match self {
            Form::Svg => "svg",
            Form::Png => "png",
            Form::Tex => "tex",
            Form::Csv => "csv",
            Form::Npz => "npz",
            Form::Npy => "npy",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Form::Svg => "image/svg+xml",
            Form::Png => "image/png",
            Form::Tex => "application/x-tex",
            Form::Csv => "text/csv; charset=utf-8",
            Form::Npz => "application/zip",
            Form::Npy => "application/octet-stream",
        }
    }

    /// Whether it is drawn with the lens; numbers are always as measured.
    pub fn is_drawn(self) -> bool {
        matches!(self, Form::Svg | Form::Png | Form::Tex)
    }
}

impl DataForm {
    /// The format of the figure; `None` for the data itself.
    pub fn of_figure(self) -> Option<Form> {
        match self {
            DataForm::Json => None,
            DataForm::Svg => Some(Form::Svg),
            DataForm::Png => Some(Form::Png),
            DataForm::Tex => Some(Form::Tex),
            DataForm::Csv => Some(Form::Csv),
            DataForm::Npz => Some(Form::Npz),
            DataForm::Npy => Some(Form::Npy),
        }
    }
}

impl FigureStyle {
    const THEME: &str = "theme";

    fn get(&self, name: &str) -> Option<&str> {
        let FigureStyle { theme: _, order, blocks, ramp, scale, threshold, show, region, cell, base, epochs, losses, hide } = self;
        let value = match name {
            "order" => order,
            "blocks" => blocks,
            "ramp" => ramp,
            "scale" => scale,
            "threshold" => threshold,
            "show" => show,
            "region" => region,
            "cell" => cell,
            "base" => base,
            "epochs" => epochs,
            "losses" => losses,
            "hide" => hide,
            _ => return None,
        };
        value.as_deref()
    }

    fn checked(&self) -> Result<Style, ApiError> {
        let theme = match self.theme {
            Theme::Light => colors::Theme::Light,
            Theme::Dark => colors::Theme::Dark,
        };
        let lens = Lens::from_parameters(|name| self.get(name)).map_err(|error| {
            let field = match &error {
                ViewError::Parameter { name, .. } => name,
                ViewError::Id(_) | ViewError::Page(_) => "",
            };
            ApiError::on_field(Kind::InvalidQuery, field, error.to_string())
        })?;
        Ok(Style { lens, theme })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for FigureQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (mut style, mut own) = (form_urlencoded::Serializer::new(String::new()), form_urlencoded::Serializer::new(String::new()));
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let is_style = name == FigureStyle::THEME || Lens::PARAMETERS.contains(&name.as_ref());
            if is_style { &mut style } else { &mut own }.append_pair(&name, &value);
        }
        let own = read_query(&own.finish())?;
        Ok(FigureQuery { own, style: read_query::<FigureStyle>(&style.finish())?.checked()? })
    }
}

/// Answers a figure in a format: its chart with its size in CSS pixels, or its numbers. `name`: file name
/// without its ending.
pub async fn figure<C>(
    form: Form,
    name: &str,
    provenance: Provenance,
    numbers: impl FnOnce() -> Numbers,
    chart: impl FnOnce() -> (C, (u32, u32)),
) -> Result<Response, ApiError>
where
    C: Chart + pgfplots::Tex + Send + 'static,
{
    let body = if form.is_drawn() {
        let (chart, (width, height)) = chart();
        made(move || match form {
            Form::Tex => Ok(pgfplots::document(&chart, &provenance)?.into_bytes()),
            Form::Png => provenance::with_chunk(&png(&svg(width, height, &chart)?, PNG_SCALE)?, &provenance),
            _ => Ok(provenance::with_metadata(&svg(width, height, &chart)?, &provenance)?.into_bytes()),
        })
        .await?
    } else {
        let numbers = numbers();
        if form == Form::Npy {
            let several = "`npy` holds one array, and this figure has several; `npz` has each of them under its name";
            numbers.npy().ok_or_else(|| ApiError::on_field(Kind::InvalidQuery, "format", several))?
        } else {
            made(move || if form == Form::Csv { numbers.csv(&provenance) } else { numbers.npz(&provenance) }).await?
        }
    };
    // Browsers show pictures and save other files.
    let disposition = if matches!(form, Form::Svg | Form::Png) { "inline" } else { "attachment" };
    let disposition = format!("{disposition}; filename=\"{name}.{}\"", form.suffix());
    Ok(([(header::CONTENT_TYPE, form.media_type().to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// The PNG of a share link for previews.
pub async fn preview(shared: SharedView) -> Result<Vec<u8>, ApiError> {
    made(move || {
        let (width, height) = card::SIZE;
        png(&svg(width, height, &Card::of(&shared, colors::Theme::Light))?, 1.0)
    })
    .await
}

async fn made<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T, ApiError> {
    let _permit = DRAWING.acquire().await.map_err(ApiError::internal)?;
    Ok(spawn_blocking(work).await.map_err(ApiError::internal)?.context("a figure could not be made")?)
}

fn png(svg: &str, scale: f32) -> anyhow::Result<Vec<u8>> {
    let options = Options { fontdb: fonts::all(), font_resolver: fonts::resolver(), ..Options::default() };
    let tree = Tree::from_str(&fonts::drawable(svg), &options)?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = scale.min((MOST_PNG_PIXELS / (width * height)).sqrt());
    let mut pixels =
        Pixmap::new((width * scale).ceil() as u32, (height * scale).ceil() as u32).context("the figure has no size that can be drawn")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_a_lens_is_one_of_figures() {
        for name in Lens::PARAMETERS {
            let style: FigureStyle = read_query(&format!("{name}=x")).unwrap();
            assert_eq!(style.get(name), Some("x"), "{name}");
        }
    }
}
