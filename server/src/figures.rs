//! Figures as SVG and PNG: the charts of the browser, drawn here.

use std::sync::{Arc, LazyLock};

use anyhow::Context;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use serde::Deserialize;
use shared::api::{Attribution, Comparison, SharedView};
use shared::chart::card::{self, Card};
use shared::chart::colors;
use shared::chart::figure::Figure;
use shared::chart::svg;
use shared::view::Lens;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::extract;
use crate::problem::ApiError;

/// Pixels of a PNG for each CSS pixel, unless that makes it too large.
const PNG_SCALE: f32 = 2.0;
const MOST_PNG_PIXELS: f32 = 40e6;

/// A large matrix takes a processor for a second and a hundred megabytes: not more than this many at once.
static DRAWING: Semaphore = Semaphore::const_new(2);

/// Fonts that come with the program, so that figures look alike on every machine.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    // Has the signs that the first lacks, such as ℓ and ∞.
    fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
    let family = fonts.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
    if let Some(family) = family {
        fonts.set_sans_serif_family(family);
    }
    Arc::new(fonts)
});

/// How to draw a figure.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FigureQuery {
    #[serde(default)]
    #[param(inline)]
    pub theme: Theme,
    /// The order of the classes: `given`, `similarity`.
    pub order: Option<String>,
    /// What the ends of the color scale stand for: `locked`, `fitted`, `paper`.
    pub scale: Option<String>,
    /// The marked cell: two class indices, `3,5`.
    pub cell: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    #[default]
    Light,
    Dark,
}

/// A checked [`FigureQuery`].
#[derive(Debug)]
pub struct Style {
    lens: Lens,
    theme: colors::Theme,
}

impl FigureQuery {
    pub fn style(&self) -> Result<Style, ApiError> {
        let lens = extract::lens(self.order.as_deref(), self.scale.as_deref(), self.cell.as_deref())?;
        let theme = match self.theme {
            Theme::Light => colors::Theme::Light,
            Theme::Dark => colors::Theme::Dark,
        };
        Ok(Style { lens, theme })
    }
}

/// A figure as SVG text.
#[derive(Debug)]
pub struct Drawing(String);

pub async fn attribution(attribution: Attribution, style: Style) -> Result<Drawing, ApiError> {
    draw(move || {
        let figure = Figure::attribution(&attribution, &style.lens, style.theme);
        let (width, height) = figure.size();
        Ok(Drawing(svg(width, height, &figure)?))
    })
    .await
}

pub async fn comparison(comparison: Comparison, style: Style) -> Result<Drawing, ApiError> {
    draw(move || {
        let figure = Figure::comparison(&comparison, &style.lens, style.theme);
        let (width, height) = figure.size();
        Ok(Drawing(svg(width, height, &figure)?))
    })
    .await
}

/// The PNG that stands for a share where its link is posted.
pub async fn preview(shared: SharedView) -> Result<Vec<u8>, ApiError> {
    draw(move || {
        let (width, height) = card::SIZE;
        png(&svg(width, height, &Card::of(&shared, colors::Theme::Light))?, 1.0)
    })
    .await
}

impl Drawing {
    pub fn into_svg(self) -> Response {
        ([(header::CONTENT_TYPE, "image/svg+xml")], self.0).into_response()
    }

    pub async fn into_png(self) -> Result<Response, ApiError> {
        let png = draw(move || png(&self.0, PNG_SCALE)).await?;
        Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
    }
}

async fn draw<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T, ApiError> {
    let _permit = DRAWING.acquire().await.map_err(ApiError::internal)?;
    Ok(spawn_blocking(work).await.map_err(ApiError::internal)?.context("a figure could not be drawn")?)
}

fn png(svg: &str, scale: f32) -> anyhow::Result<Vec<u8>> {
    let options = Options { fontdb: FONTS.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = scale.min((MOST_PNG_PIXELS / (width * height)).sqrt());
    let mut pixels =
        Pixmap::new((width * scale).ceil() as u32, (height * scale).ceil() as u32).context("the figure has no size that can be drawn")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}
