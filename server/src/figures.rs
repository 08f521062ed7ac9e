//! Figures as files: the charts of the browser and their numbers, each file with its provenance.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, bail};
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
use shared::chart::colors::Theme;
use shared::chart::{ChartError, Figure, svg};
use shared::export::{Exported, Format};
use shared::provenance::Provenance;
use shared::view::{Lens, LensOption, ViewError};
use strum::IntoEnumIterator;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::{Content, OpenApi, RefOr, Required};

use crate::extract::read_query;
use crate::fonts;
use crate::problem::{ApiError, Kind};
use crate::{numbers, pgfplots, provenance};

/// Pixels of a PNG per CSS pixel, unless the PNG would be too large.
const PNG_SCALE: f32 = 2.0;
const MOST_PNG_PIXELS: f32 = 40e6;

/// Figures drawn at once: a large matrix takes one second of a processor and a hundred megabytes.
static DRAWING: Semaphore = Semaphore::const_new(2);

/// How to draw a figure: the lens as in the address of a page, and the theme.
#[derive(Clone, Debug)]
pub struct Style {
    pub lens: Lens,
    pub theme: Theme,
}

/// The query of a figure: its own parameters and those of [`Style`].
#[derive(Debug)]
pub struct FigureQuery<T> {
    pub own: T,
    pub style: Style,
}

const THEME: &str = "theme";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Appearance {
    #[serde(default)]
    #[param(inline)]
    theme: Theme,
}

impl IntoParams for Style {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let option = |option: LensOption| {
            Parameter::builder()
                .name(option.name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(option.documentation()))
                .schema(Some(Object::with_type(Type::String)))
                .build()
        };
        Appearance::into_params(parameter_in).into_iter().chain(Lens::OPTIONS.map(option)).collect()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for FigureQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let [mut appearance, mut own] = [(); 2].map(|()| form_urlencoded::Serializer::new(String::new()));
        let mut lens = HashMap::new();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if Lens::OPTIONS.iter().any(|option| option.name == name) {
                if lens.insert(name.clone(), value).is_some() {
                    return Err(ApiError::on_field(Kind::InvalidQuery, &name, format!("duplicate field `{name}`")));
                }
            } else {
                let query = if name == THEME { &mut appearance } else { &mut own };
                query.append_pair(&name, &value);
            }
        }
        let own = read_query(&own.finish())?;
        let Appearance { theme } = read_query(&appearance.finish())?;
        let lens = Lens::from_parameters(|name| lens.get(name).map(Cow::as_ref)).map_err(|error| {
            let field = if let ViewError::Parameter { name, .. } = &error { name } else { "" };
            ApiError::on_field(Kind::InvalidQuery, field, error.to_string())
        })?;
        Ok(FigureQuery { own, style: Style { lens, theme } })
    }
}

/// Answers a figure in a format. `name`: file name without its ending.
pub async fn answer<F>(figure: F, format: Format, name: &str, provenance: Provenance) -> Result<Response, ApiError>
where
    F: Figure + Send + 'static,
{
    if !format.is_of(F::EXPORTED) {
        let known: Vec<String> = Format::of(F::EXPORTED).map(|known| format!("`{known}`")).collect();
        let detail = format!("`{format}` is not a format of this figure; known: {}", known.join(", "));
        return Err(ApiError::on_field(Kind::InvalidQuery, "format", detail));
    }
    let body = made(move || match format {
        Format::Svg => Ok(provenance::with_metadata(&drawn(&figure)?, &provenance)?.into_bytes()),
        Format::Png => provenance::with_chunk(&png(&drawn(&figure)?, PNG_SCALE)?, &provenance),
        Format::Tex => Ok(pgfplots::document(&figure, &provenance)?.into_bytes()),
        Format::Csv => numbers::csv(&figure.numbers(), &provenance),
        Format::Npz => numbers::npz(&figure.numbers(), &provenance),
        Format::Npy => numbers::npy(&figure.numbers()),
        Format::Json | Format::Tfevents | Format::Toml => bail!("`{format}` is no format of figures, or its route answers it by itself"),
    })
    .await?;
    Ok(file(format, name, body))
}

/// Answers a file of a format. `name`: file name without its ending.
pub fn file(format: Format, name: &str, body: Vec<u8>) -> Response {
    let disposition = if format.is_shown() { "inline" } else { "attachment" };
    let disposition = format!("{disposition}; filename=\"{name}.{format}\"");
    ([(header::CONTENT_TYPE, format.media_type().to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
}

fn drawn(figure: &impl Figure) -> Result<String, ChartError> {
    let (width, height) = figure.size();
    svg(width, height, figure)
}

/// Formats of a chart, for the OpenAPI document.
pub fn chart_formats() -> Schema {
    format_schema(Format::of(Exported::Chart))
}

/// Formats of a chart whose route answers the data too.
pub fn chart_or_data_formats() -> Schema {
    format_schema(Format::iter().filter(|format| format.is_of(Exported::Chart) || format.is_of(Exported::Data)))
}

/// Formats of a chart of matrices.
pub fn matrices_formats() -> Schema {
    format_schema(Format::of(Exported::Matrices))
}

fn format_schema(formats: impl Iterator<Item = Format>) -> Schema {
    Object::builder().schema_type(Type::String).enum_values(Some(formats.map(Format::extension))).build().into()
}

/// Adds to the answer of each route of figures the media types of its formats: those that its parameter
/// `format` lists, or those of matrices, where the ending of the path selects one.
pub fn add_media_types(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().filter_map(|path| path.get.as_mut()) {
        let parameter = |name: &str| {
            let parameters = operation.parameters.iter().flatten();
            parameters.filter_map(|of| if let RefOr::T(of) = of { Some(of) } else { None }).find(|of| of.name == name)
        };
        if parameter(THEME).is_none() {
            continue;
        }
        let listed = match parameter("format").map(|format| &format.schema) {
            Some(Some(RefOr::T(Schema::Object(schema)))) => schema.enum_values.clone(),
            _ => None,
        };
        let is_listed = |format: &Format| match &listed {
            Some(listed) => listed.contains(&format.extension().into()),
            None => format.is_of(Exported::Matrices),
        };
        let media_types = Format::iter().filter(is_listed).filter_map(|format| format.media_type().split(';').next());
        if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") {
            for media_type in media_types.filter(|media_type| *media_type != Format::Json.media_type()) {
                answer.content.insert(media_type.to_owned(), RefOr::T(Content::default()));
            }
        }
    }
}

/// The PNG of a share link for previews.
pub async fn preview(shared: SharedView) -> Result<Vec<u8>, ApiError> {
    made(move || {
        let (width, height) = card::SIZE;
        png(&svg(width, height, &Card::of(&shared, Theme::Light))?, 1.0)
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
