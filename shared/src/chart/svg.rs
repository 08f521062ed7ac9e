//! Charts as SVG text.

use plotters::drawing::IntoDrawingArea;
use plotters::prelude::SVGBackend;
use plotters_backend::text_anchor::{self, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontFamily, FontStyle, FontTransform,
};

use super::pen::printable;
use super::{Chart, ChartError};

/// Plotters rounds to whole pixels. The drawing is larger by this factor, and the view box scales it back.
const PRECISION: u32 = 4;

/// The chart as an SVG document of the given size in CSS pixels. Its label is the chart's description.
pub fn svg(width: u32, height: u32, chart: &impl Chart) -> Result<String, ChartError> {
    let mut text = String::new();
    let size = (width.max(1) * PRECISION, height.max(1) * PRECISION);
    {
        let area = Svg(SVGBackend::with_string(&mut text, size)).into_drawing_area();
        chart.draw(&area, f64::from(PRECISION))?;
        area.present().map_err(|error| ChartError(error.to_string()))?;
    }
    let written = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    let label = printable(&chart.describe()).replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Ok(text.replacen(&written, &format!("width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\""), 1))
}

/// The SVG backend of plotters, with the same font size and text height as on a canvas.
struct Svg<'a>(SVGBackend<'a>);

/// The backend divides font sizes by this number.
const SIZE_DIVISOR: f64 = 1.24;

/// Downward shift of a text, as a fraction of the font size. The backend centers text at half the x-height
/// (0.26), but digits and capitals have a lower center.
const CENTER_SHIFT: f64 = 0.09;

impl DrawingBackend for Svg<'_> {
    type ErrorType = std::io::Error;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_path(path, style)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_circle(center, radius, style, fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.fill_polygon(path, style)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        let shift = match style.anchor().v_pos {
            VPos::Center => (style.size() * CENTER_SHIFT).round() as i32,
            VPos::Top | VPos::Bottom => 0,
        };
        let (dx, dy) = style.transform().transform(0, shift);
        self.0.draw_text(text, &Unscaled(style), (x + dx, y + dy))
    }
}

/// A text style whose size compensates for the backend's division.
struct Unscaled<'a, S>(&'a S);

impl<S: BackendTextStyle> BackendTextStyle for Unscaled<'_, S> {
    type FontError = S::FontError;

    fn color(&self) -> BackendColor {
        self.0.color()
    }

    fn size(&self) -> f64 {
        self.0.size() * SIZE_DIVISOR
    }

    fn transform(&self) -> FontTransform {
        self.0.transform()
    }

    fn style(&self) -> FontStyle {
        self.0.style()
    }

    fn anchor(&self) -> text_anchor::Pos {
        self.0.anchor()
    }

    fn family(&self) -> FontFamily<'_> {
        self.0.family()
    }

    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Self::FontError> {
        self.0.layout_box(text)
    }

    fn draw<E, F: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        pos: BackendCoord,
        draw: F,
    ) -> Result<Result<(), E>, Self::FontError> {
        self.0.draw(text, pos, draw)
    }
}
