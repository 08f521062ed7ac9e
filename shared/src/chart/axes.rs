//! The axes of charts over epochs: accuracy at the left, and CAS at the right where there is any.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::colors::Theme;
use super::pen::{Align, Font};
use super::scale::{Projection, ROUND, ROUNDEST, round_up, ticks};
use super::{ChartError, Pen, Rect};
use crate::format;

/// Where data is drawn, and the projections between data and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochAxes {
    /// The area that data is drawn in.
    pub plot: Rect,
    /// The left axis.
    pub accuracy: Projection,
    /// The right axis.
    pub cas: Option<Projection>,
    epoch: Projection,
    epochs: u32,
    epoch_step: f64,
    pub(super) accuracy_step: f64,
    pub(super) cas_step: f64,
}

pub(super) const AXIS_SIZE: f64 = 11.0;
/// Above the plot, for the names of the axes.
const AXIS_NAMES: f64 = 26.0;
const BOTTOM: f64 = 38.0;
pub(super) const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const RIGHT_WITH_CAS: f64 = 40.0;
/// The CAS axis is never shorter: below, CAS is next to nothing and should look so.
const SMALLEST_CAS: f64 = 0.05;

impl EpochAxes {
    /// The axes in a box, below a legend.
    pub fn new(epochs: u32, highest_cas: Option<f64>, legend_height: f64, width: f64, height: f64) -> Self {
        let right = width - if highest_cas.is_some() { RIGHT_WITH_CAS } else { RIGHT };
        let top = legend_height + AXIS_NAMES;
        let plot = Rect::new(LEFT, top, (right - LEFT).max(1.0), (height - top - BOTTOM).max(1.0));
        let vertical = |values| Projection { values, pixels: (plot.bottom(), plot.top) };

        // Accuracy always spans 0 to 100 %, and CAS starts at 0: axes that do not move while a run is watched, and that compare from
        // run to run. CAS has as many steps as accuracy has, so that both share the lines of the grid.
        let steps = if plot.height >= 130.0 { 5.0 } else { 2.0 };
        let cas_step = highest_cas.map(|highest| round_up(highest.max(SMALLEST_CAS) / steps, &ROUND));
        let columns = (plot.width / 70.0).clamp(1.0, 10.0);
        EpochAxes {
            plot,
            accuracy: vertical((0.0, 1.0)),
            cas: cas_step.map(|step| vertical((0.0, step * steps))),
            epoch: Projection { values: (0.0, f64::from(epochs)), pixels: (plot.left, plot.right()) },
            epochs,
            epoch_step: round_up((f64::from(epochs) / columns).max(1.0), &ROUNDEST),
            accuracy_step: 1.0 / steps,
            cas_step: cas_step.unwrap_or(1.0),
        }
    }

    /// The epoch nearest to a horizontal position, from 1 to the planned number; none outside the plot.
    pub fn epoch_at(&self, x: f64) -> Option<u32> {
        let inside = x >= self.plot.left - 4.0 && x <= self.plot.right() + 4.0;
        inside.then(|| (self.epoch.to_value(x).round().max(1.0) as u32).min(self.epochs))
    }

    /// The horizontal position of an epoch.
    pub fn x_of(&self, epoch: u32) -> f64 {
        self.epoch.to_pixel(f64::from(epoch))
    }

    /// `cas_color`: of the numbers at the right.
    pub(super) fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, theme: Theme, cas_color: RGBColor) -> Result<(), ChartError> {
        let palette = theme.palette();
        let plot = self.plot;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks(self.accuracy.values, self.accuracy_step) {
            let y = self.accuracy.to_pixel(value);
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&format!("{} %", format::decimal(value * 100.0, 0)), (plot.left - 8.0, y), Align::End, font)?;
        }
        pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)?;
        for value in ticks((0.0, f64::from(self.epochs)), self.epoch_step) {
            let x = self.epoch.to_pixel(value);
            pen.vertical(x, plot.bottom(), plot.bottom() + 4.0, 0.0, palette.axis)?;
            pen.text(&epoch_number(value as u32), (x, plot.bottom() + 13.0), Align::Middle, font)?;
        }
        pen.text("epoch", (plot.center().0, plot.bottom() + 29.0), Align::Middle, font)?;
        let names = plot.top - 16.0;
        pen.text("accuracy", (plot.left - 38.0, names), Align::Start, font)?;
        if let Some(projection) = self.cas {
            let font = Font::new(AXIS_SIZE, cas_color);
            let digits = if self.cas_step < 0.1 { 2 } else { usize::from(self.cas_step.fract() > 1e-9) };
            for value in ticks(projection.values, self.cas_step) {
                let y = projection.to_pixel(value);
                pen.text(&format::decimal(value, digits), (plot.right() + 8.0, y), Align::Start, font)?;
            }
            pen.text("CAS", (plot.right() + 8.0, names), Align::Start, font)?;
        }
        Ok(())
    }
}

/// Thousands are set apart by a space that every font has; the thin one of [`format::count`] would change the font of the number.
pub(super) fn epoch_number(epoch: u32) -> String {
    format::count(u64::from(epoch)).replace('\u{2009}', "\u{a0}")
}
