//! Axes of charts over epochs: accuracy on the left, CAS on the right if there is any, and losses in an area
//! below.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::colors::Theme;
use super::pen::{Align, Font};
use super::scale::{Projection, ROUND, ROUNDEST, round_up, ticks};
use super::{ChartError, Pen, Rect};
use crate::builtin::log10;
use crate::format;
use crate::view::LossScale;

/// Areas of the chart, and projections between data and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochAxes {
    /// Area of accuracies and CAS.
    pub plot: Rect,
    /// Left axis.
    pub accuracy: Projection,
    /// Right axis; `None` without CAS.
    pub cas: Option<Projection>,
    /// Axis of the area below; `None` without losses.
    pub loss: Option<LossAxis>,
    /// First and last visible epoch.
    pub sight: (u32, u32),
    epoch: Projection,
    epoch_step: f64,
    pub(super) accuracy_step: f64,
    pub(super) cas_step: f64,
}

/// Area of the losses, with its own vertical axis.
#[derive(Clone, Debug, PartialEq)]
pub struct LossAxis {
    pub plot: Rect,
    pub is_log: bool,
    /// Projection of values, or of their logarithms.
    projection: Projection,
    ticks: Vec<f64>,
}

/// Range of the data that the axes must contain.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    /// First and last visible epoch.
    pub sight: (u32, u32),
    pub highest_cas: Option<f64>,
    pub losses: Option<Losses>,
}

/// Range of the visible losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Losses {
    /// Smallest loss above 0; infinite if there is none.
    pub lowest: f64,
    pub highest: f64,
    pub scale: LossScale,
}

pub(super) const AXIS_SIZE: f64 = 11.0;
/// Space above the plot for the names of the axes.
const AXIS_NAMES: f64 = 26.0;
/// Space between the areas for the name of the lower axis.
const BETWEEN: f64 = 32.0;
const BOTTOM: f64 = 38.0;
pub(super) const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const RIGHT_WITH_CAS: f64 = 40.0;
/// Minimum length of the CAS axis: a smaller CAS is almost nothing and must look small.
const SMALLEST_CAS: f64 = 0.05;
/// Fraction of the height for the losses.
const LOSS_PART: f64 = 0.34;
/// By default, losses that differ by more than this factor have a logarithmic axis.
const LINEAR_UP_TO: f64 = 100.0;

impl Losses {
    /// Range of the losses of visible curves; `None` if nothing can be drawn.
    pub fn of<'a>(curves: impl Iterator<Item = &'a [(u32, f64)]>, sight: (u32, u32), scale: LossScale) -> Option<Self> {
        let mut losses = Losses { lowest: f64::INFINITY, highest: f64::NEG_INFINITY, scale };
        for points in curves {
            // Include the point before and the point after: a line from outside is visible too.
            let start = points.partition_point(|point| point.0 < sight.0).saturating_sub(1);
            let end = (points.partition_point(|point| point.0 <= sight.1) + 1).min(points.len());
            for (_, value) in points[start..end].iter().filter(|point| point.1.is_finite()) {
                losses.highest = losses.highest.max(*value);
                if *value > 0.0 {
                    losses.lowest = losses.lowest.min(*value);
                }
            }
        }
        (losses.highest > f64::NEG_INFINITY).then_some(losses)
    }

    pub fn is_log(self) -> bool {
        let positive = self.lowest.is_finite();
        match self.scale {
            LossScale::Linear => false,
            LossScale::Log => positive,
            LossScale::Auto => positive && self.highest / self.lowest > LINEAR_UP_TO,
        }
    }
}

impl LossAxis {
    fn new(losses: Losses, plot: Rect) -> Self {
        let pixels = (plot.bottom(), plot.top);
        let most = (plot.height / 26.0).clamp(1.0, 5.0);
        if !losses.is_log() {
            let highest = if losses.highest > 0.0 { losses.highest } else { 1.0 };
            let step = round_up(highest / most, &ROUND);
            let values = (0.0, step * (highest / step - 1e-9).ceil().max(1.0));
            return LossAxis { plot, is_log: false, projection: Projection { values, pixels }, ticks: ticks(values, step) };
        }
        let decades = (log10(losses.lowest).floor() as i32, (log10(losses.highest) - 1e-9).ceil() as i32);
        let decades = (decades.0, decades.1.max(decades.0 + 1));
        let step = round_up((f64::from(decades.1 - decades.0) / most).max(1.0), &ROUNDEST) as i32;
        let mut ticks: Vec<f64> = (decades.0..=decades.1).filter(|decade| decade % step == 0).map(|decade| 10f64.powi(decade)).collect();
        if ticks.len() < 2 {
            ticks = vec![10f64.powi(decades.0), 10f64.powi(decades.1)];
        }
        if decades.1 - decades.0 == 1 && most > 2.0 {
            ticks = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * 10f64.powi(decades.0)).to_vec();
        }
        let values = (f64::from(decades.0), f64::from(decades.1));
        LossAxis { plot, is_log: true, projection: Projection { values, pixels }, ticks }
    }

    /// Vertical position of a loss; not finite if the axis cannot show it, such as 0 on a logarithmic axis.
    pub fn to_pixel(&self, value: f64) -> f64 {
        match self.is_log {
            true if value > 0.0 => self.projection.to_pixel(log10(value)),
            true => f64::NAN,
            false => self.projection.to_pixel(value),
        }
    }
}

impl EpochAxes {
    /// Axes in a box of the given size, below a legend.
    pub(super) fn new(span: &Span, legend_height: f64, width: f64, height: f64) -> Self {
        let Span { sight, highest_cas, losses } = span;
        let right = width - if highest_cas.is_some() { RIGHT_WITH_CAS } else { RIGHT };
        let top = legend_height + AXIS_NAMES;
        let whole = Rect::new(LEFT, top, (right - LEFT).max(1.0), (height - top - BOTTOM).max(1.0));
        let loss_height = ((whole.height - BETWEEN) * LOSS_PART).max(1.0);
        let (plot, loss) = match losses {
            None => (whole, None),
            Some(losses) => {
                let rect = Rect::new(whole.left, whole.bottom() - loss_height, whole.width, loss_height);
                let above = Rect { height: (whole.height - loss_height - BETWEEN).max(1.0), ..whole };
                (above, Some(LossAxis::new(*losses, rect)))
            }
        };
        let vertical = |values| Projection { values, pixels: (plot.bottom(), plot.top) };

        // Accuracy always spans 0 to 100 %, and CAS starts at 0: the axes do not move during a run, and runs
        // can be compared. CAS has as many steps as accuracy, so that both use the same grid lines.
        let steps = if plot.height >= 130.0 { 5.0 } else { 2.0 };
        let cas_step = highest_cas.map(|highest| round_up(highest.max(SMALLEST_CAS) / steps, &ROUND));
        let columns = (plot.width / 70.0).clamp(1.0, 10.0);
        let epochs = (f64::from(sight.0), f64::from(sight.1.max(sight.0 + 1)));
        EpochAxes {
            plot,
            accuracy: vertical((0.0, 1.0)),
            cas: cas_step.map(|step| vertical((0.0, step * steps))),
            loss,
            sight: *sight,
            epoch: Projection { values: epochs, pixels: (plot.left, plot.right()) },
            epoch_step: round_up(((epochs.1 - epochs.0) / columns).max(1.0), &ROUNDEST),
            accuracy_step: 1.0 / steps,
            cas_step: cas_step.unwrap_or(1.0),
        }
    }

    /// Lower end of the areas.
    pub fn bottom(&self) -> f64 {
        self.loss.as_ref().map_or(self.plot.bottom(), |loss| loss.plot.bottom())
    }

    /// Whether an epoch is visible.
    pub fn shows(&self, epoch: u32) -> bool {
        (self.sight.0..=self.sight.1).contains(&epoch)
    }

    /// The visible epoch (from 1) nearest to a horizontal position; `None` outside the plot.
    pub fn epoch_at(&self, x: f64) -> Option<u32> {
        let inside = x >= self.plot.left - 4.0 && x <= self.plot.right() + 4.0;
        inside.then(|| (self.epoch.to_value(x).round().max(1.0) as u32).clamp(self.sight.0.max(1), self.sight.1.max(1)))
    }

    /// Epochs at two horizontal positions, clipped to the visible ones; the second is greater than the first.
    pub fn epochs_between(&self, a: f64, b: f64) -> (u32, u32) {
        let (from, to) = (a.min(b), a.max(b));
        let at = |x: f64| self.epoch.to_value(x).round().max(0.0) as u32;
        let first = at(from).clamp(self.sight.0, self.sight.1.saturating_sub(1).max(self.sight.0));
        (first, at(to).clamp(first + 1, self.sight.1.max(first + 1)))
    }

    /// Horizontal position of an epoch.
    pub fn x_of(&self, epoch: u32) -> f64 {
        self.epoch.to_pixel(f64::from(epoch))
    }

    /// Draws the axes. `cas_color`: color of the numbers on the right.
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
        if let Some(LossAxis { plot, ticks, is_log, .. }) = &self.loss {
            for value in ticks {
                let y = self.loss.as_ref().map_or(0.0, |loss| loss.to_pixel(*value));
                pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
                pen.text(&format::short(*value), (plot.left - 8.0, y), Align::End, font)?;
            }
            pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)?;
            let name = if *is_log { "loss (log)" } else { "loss" };
            pen.text(name, (plot.left - 38.0, plot.top - 16.0), Align::Start, font)?;
        }
        let bottom = self.bottom();
        for value in ticks(self.epoch.values, self.epoch_step) {
            let x = self.epoch.to_pixel(value);
            pen.vertical(x, bottom, bottom + 4.0, 0.0, palette.axis)?;
            pen.text(&epoch_number(value as u32), (x, bottom + 13.0), Align::Middle, font)?;
        }
        pen.text("epoch", (plot.center().0, bottom + 29.0), Align::Middle, font)?;
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

/// Separates thousands by a no-break space, which every font has. The thin space of [`format::count`] would
/// change the font.
pub(super) fn epoch_number(epoch: u32) -> String {
    format::count(u64::from(epoch)).replace('\u{2009}', "\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(points: &[(u32, f64)], scale: LossScale) -> LossAxis {
        let losses = Losses::of([points].into_iter(), (0, 100), scale).unwrap();
        LossAxis::new(losses, Rect::new(0.0, 0.0, 400.0, 130.0))
    }

    #[test]
    fn losses_that_differ_much_are_on_a_logarithmic_axis_unless_one_asks_for_another() {
        let (calm, wild) = ([(1, 2.3), (2, 0.5)], [(1, 2.3), (2, 1e31), (3, 4.5)]);
        assert!(!axis(&calm, LossScale::Auto).is_log && axis(&calm, LossScale::Log).is_log);
        assert!(axis(&wild, LossScale::Auto).is_log && !axis(&wild, LossScale::Linear).is_log);
        assert!(!axis(&[(1, 0.0), (2, 0.0)], LossScale::Log).is_log, "zeros alone have no logarithm");
    }

    #[test]
    fn every_loss_is_inside_its_axis_and_ticks_are_few() {
        for points in [vec![(1, 1e31), (2, 2.0)], vec![(1, 2.3)], vec![(1, 0.0)], vec![(1, 1e-9), (2, 3e-7)], vec![(1, 1.0), (2, 10.0)]] {
            for scale in [LossScale::Auto, LossScale::Linear, LossScale::Log] {
                let axis = axis(&points, scale);
                for (_, value) in points.iter().filter(|point| point.1 > 0.0) {
                    assert!((-1e-6..=130.0 + 1e-6).contains(&axis.to_pixel(*value)), "{value} of {points:?} on {axis:?}");
                }
                assert!((2..=7).contains(&axis.ticks.len()), "{points:?}: {:?}", axis.ticks);
            }
        }
    }

    #[test]
    fn a_zero_has_no_place_on_a_logarithmic_axis() {
        assert!(axis(&[(1, 1.0), (2, 0.0), (3, 1000.0)], LossScale::Auto).to_pixel(0.0).is_nan());
    }

    #[test]
    fn a_range_of_pixels_is_one_of_epochs_in_sight() {
        let axes = EpochAxes::new(&Span { sight: (0, 60), ..Span::default() }, 0.0, 660.0, 300.0);
        let x = |epoch: u32| axes.x_of(epoch);
        assert_eq!(axes.epochs_between(x(40), x(10)), (10, 40));
        assert_eq!(axes.epochs_between(x(10), x(10) + 1.0), (10, 11), "a range has two ends");
        assert_eq!(axes.epochs_between(-500.0, 5000.0), (0, 60));
        assert_eq!(axes.epochs_between(5000.0, 6000.0), (59, 60));
    }
}
