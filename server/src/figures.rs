//! Figures as SVG, PNG and pgfplots: the charts of the browser, drawn here, with what they were drawn from inside.

use std::sync::{Arc, LazyLock};

use anyhow::Context;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::api::SharedView;
use shared::chart::card::{self, Card};
use shared::chart::{Chart, colors, svg};
use shared::provenance::{APPLICATION, Provenance};
use shared::view::{Lens, ViewError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use crate::extract::read_query;
use crate::pgfplots;
use crate::problem::{ApiError, Kind};

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

/// How to draw a figure: the lens that a page's address carries, and the theme.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FigureStyle {
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
    /// The order of the classes: `given`, `similarity`, `superclass`, `closeness:CLASS`, `change`.
    order: Option<String>,
    /// `1`: superclasses are collapsed to the means of their blocks.
    blocks: Option<String>,
    /// Which colors stand for values: `diverging`, `sequential`.
    ramp: Option<String>,
    /// What the ends of the color scale stand for: `locked`, `fitted`, `paper`.
    scale: Option<String>,
    /// Cells whose absolute value is below are left blank, `0.3`.
    threshold: Option<String>,
    /// What of two matrices is shown: `values`, `difference`, `split`, `flicker`.
    show: Option<String>,
    /// Row, column and span in hundredths of a class, `400,0,1200`.
    region: Option<String>,
    /// The marked cell: two class indices, `3,5`.
    cell: Option<String>,
    /// What differences refer to, `RUN.e12.adversarial`.
    base: Option<String>,
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

/// The query of a figure: parameters of its own beside those of a [`FigureStyle`].
#[derive(Debug)]
pub struct FigureQuery<T> {
    pub own: T,
    pub style: Style,
}

/// The form in which a picture is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    #[default]
    Svg,
    Png,
    /// A LaTeX document of its own, for pgfplots.
    Tex,
}

impl FigureStyle {
    const THEME: &str = "theme";

    fn get(&self, name: &str) -> Option<&str> {
        let FigureStyle { theme: _, order, blocks, ramp, scale, threshold, show, region, cell, base } = self;
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
                ViewError::Attribution(_) | ViewError::Checkpoint(_) | ViewError::CheckpointRef(_) | ViewError::Page(_) => "",
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

/// Draws a chart of a size in CSS pixels; `name` is that of the file that a browser keeps it in.
pub async fn picture<C>(chart: C, size: (u32, u32), picture: Picture, provenance: Provenance, name: &str) -> Result<Response, ApiError>
where
    C: Chart + pgfplots::Tex + Send + 'static,
{
    let (kind, suffix, body) = match picture {
        Picture::Svg => {
            ("image/svg+xml", "svg", draw(move || Ok(with_metadata(&svg(size.0, size.1, &chart)?, &provenance)?.into_bytes())).await?)
        }
        Picture::Png => ("image/png", "png", draw(move || with_chunk(&png(&svg(size.0, size.1, &chart)?, PNG_SCALE)?, &provenance)).await?),
        Picture::Tex => ("application/x-tex", "tex", draw(move || Ok(pgfplots::document(&chart, &provenance)?.into_bytes())).await?),
    };
    // A picture is looked at before it is kept; LaTeX is not.
    let disposition = if picture == Picture::Tex { "attachment" } else { "inline" };
    let disposition = format!("{disposition}; filename=\"{name}.{suffix}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// The PNG that stands for a share where its link is posted.
pub async fn preview(shared: SharedView) -> Result<Vec<u8>, ApiError> {
    draw(move || {
        let (width, height) = card::SIZE;
        png(&svg(width, height, &Card::of(&shared, colors::Theme::Light))?, 1.0)
    })
    .await
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

/// The SVG with its provenance in a `metadata` element at its end.
fn with_metadata(svg: &str, provenance: &Provenance) -> anyhow::Result<String> {
    let text = serde_json::to_string(provenance)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (picture, end) = svg.rsplit_once("</svg>").context("the drawing has no end")?;
    Ok(format!("{picture}<metadata id=\"{}\">{text}</metadata>\n</svg>{end}", APPLICATION.to_lowercase()))
}

/// The PNG with its provenance in an `iTXt` chunk behind its header: <https://www.w3.org/TR/png-3/#11iTXt>.
fn with_chunk(png: &[u8], provenance: &Provenance) -> anyhow::Result<Vec<u8>> {
    /// The signature, and the header with its length, name and checksum.
    const HEADER: usize = 8 + 4 + 4 + 13 + 4;
    let (header, rest) = png.split_at_checked(HEADER).context("the picture has no header")?;
    // Not compressed, in no language, under no other keyword.
    let mut chunk = [b"iTXt", APPLICATION.as_bytes(), b"\0\0\0\0\0"].concat();
    chunk.extend(serde_json::to_vec(provenance)?);
    let length = u32::try_from(chunk.len() - 4)?;
    let mut checksum = flate2::Crc::new();
    checksum.update(&chunk);
    Ok([header, &length.to_be_bytes(), &chunk, &checksum.sum().to_be_bytes(), rest].concat())
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
