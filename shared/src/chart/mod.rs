//! Charts: one drawing code for the browser's canvas and for the SVG (and, made from it, PNG) that the server writes.
//!
//! A chart is plain data with geometry that can be asked without drawing, [`Chart::paint`] draws it, and [`Chart::describe`]
//! says in words what it shows. Lengths are CSS pixels; how many pixels of the device each is, the pen knows.

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

/// The drawing surface refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the chart: {0}")]
pub struct ChartError(String);

/// Something that can be drawn on any plotters backend.
pub trait Chart {
    /// Draws into the whole of `pen`, its ground included.
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError>;

    /// What a sighted reader takes from the chart, in a sentence or two: the label for those who cannot see it.
    fn describe(&self) -> String;

    /// Draws on the whole of `area`, `scale` of whose pixels are one CSS pixel.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: f64) -> Result<(), ChartError> {
        self.paint(&Pen::new(area, scale))
    }
}
