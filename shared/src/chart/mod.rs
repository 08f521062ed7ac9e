//! Charts: the same drawing code for the browser's canvas and for the server's SVG and PNG files.
//!
//! A chart is plain data whose geometry is available without drawing. [`Chart::paint`] draws it, and
//! [`Chart::describe`] describes it in words. Lengths are CSS pixels; the pen knows the number of device
//! pixels.

pub mod axes;
pub mod card;
pub mod class_bars;
pub mod color_map;
pub mod colors;
pub mod comparison;
pub mod course;
pub mod curves;
pub mod figure;
pub mod heatmap;
mod legend;
pub mod line;
pub mod overlaid_curves;
mod pen;
mod scale;
pub mod scatter;
#[cfg(feature = "svg")]
mod svg;
pub mod sweep;
pub mod theory;

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;

pub use pen::{Pen, Rect};
#[cfg(feature = "svg")]
pub use svg::svg;

/// Error of the drawing backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct ChartError(String);

/// A chart that any plotters backend can draw.
pub trait Chart {
    /// Draws the chart and its background on the whole of `pen`.
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError>;

    /// Describes the chart in one or two sentences, for people who cannot see it.
    fn describe(&self) -> String;

    /// Draws on the whole of `area`, with `scale` device pixels per CSS pixel.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: f64) -> Result<(), ChartError> {
        self.paint(&Pen::new(area, scale))
    }
}
