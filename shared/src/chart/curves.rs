//! The curves of a training run: accuracies over epochs, learning-rate drops, best and last, and CAS on an axis of its own.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::colors::{Palette, Theme};
use super::pen::{Align, Font, text_width};
use super::scale::{Projection, round_range, round_step, ticks};
use super::{Chart, ChartError, Pen, Rect};
use crate::config::{Inputs, TrainConfig};
use crate::format;
use crate::record::{Epoch, Metrics};

/// The curves of a run, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Epochs planned: the axis spans them all from the start.
    pub epochs: u32,
    /// Epochs done.
    pub done: u32,
    pub series: Vec<Series>,
    /// CAS of the kept epochs, on adversarial inputs.
    pub cas: Vec<(u32, f64)>,
    /// The epochs after which the learning rate falls, and to what.
    pub drops: Vec<(u32, f64)>,
    pub best: Option<Mark>,
    pub last: Option<Mark>,
    /// The epoch that the reader looks at.
    pub cursor: Option<u32>,
    pub theme: Theme,
}

/// An accuracy over epochs. Accuracies are fractions.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub kind: SeriesKind,
    pub points: Vec<(u32, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    TestRobust,
    TestClean,
    TrainRobust,
    TrainClean,
}

/// A notable epoch on the curve of robust test accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub epoch: u32,
    pub accuracy: f64,
}

impl SeriesKind {
    pub const ALL: [SeriesKind; 4] = [SeriesKind::TestRobust, SeriesKind::TestClean, SeriesKind::TrainRobust, SeriesKind::TrainClean];

    pub fn name(self) -> &'static str {
        match self {
            SeriesKind::TestRobust => "Robust test",
            SeriesKind::TestClean => "Clean test",
            SeriesKind::TrainRobust => "Robust train",
            SeriesKind::TrainClean => "Clean train",
        }
    }

    pub fn color(self, palette: &Palette) -> RGBColor {
        match self {
            SeriesKind::TestRobust | SeriesKind::TestClean => palette.series[0],
            SeriesKind::TrainRobust | SeriesKind::TrainClean => palette.series[1],
        }
    }

    fn value(self, epoch: &Epoch) -> Option<f64> {
        match self {
            SeriesKind::TestRobust => epoch.test_robust_accuracy,
            SeriesKind::TestClean => epoch.test_clean_accuracy,
            SeriesKind::TrainRobust => epoch.train_robust_accuracy,
            SeriesKind::TrainClean => epoch.train_clean_accuracy,
        }
    }

    fn is_robust(self) -> bool {
        matches!(self, SeriesKind::TestRobust | SeriesKind::TrainRobust)
    }
}

/// The color of CAS.
pub fn cas_color(palette: &Palette) -> RGBColor {
    palette.series[2]
}

/// Where the parts of the chart are, and the projections between data and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The area that data is drawn in.
    pub plot: Rect,
    /// The left axis.
    pub accuracy: Projection,
    /// The right axis.
    pub cas: Option<Projection>,
    epoch: Projection,
    epochs: u32,
    epoch_step: f64,
    accuracy_step: f64,
    cas_step: f64,
    legend: Vec<(Key, f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Series(SeriesKind),
    Cas,
}

const AXIS_SIZE: f64 = 11.0;
const LEGEND_SIZE: f64 = 12.0;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_SAMPLE: f64 = 18.0;
/// Above the plot, for the names of the axes.
const AXIS_NAMES: f64 = 20.0;
const BOTTOM: f64 = 38.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const RIGHT_WITH_CAS: f64 = 40.0;

impl Curves {
    pub fn of(metrics: &Metrics, config: &TrainConfig, theme: Theme) -> Self {
        let epochs = config.training.epochs.max(1);
        let series = SeriesKind::ALL.into_iter().map(|kind| Series {
            kind,
            points: metrics.epochs.iter().filter_map(|epoch| Some((epoch.epoch, kind.value(epoch)?))).collect(),
        });
        let mark = |epoch: &Epoch| Some(Mark { epoch: epoch.epoch, accuracy: epoch.test_robust_accuracy? });
        let milestones = config.training.milestones.iter().copied().filter(|milestone| *milestone < epochs);
        let adversarial = metrics.attributions.iter().filter(|entry| entry.inputs == Inputs::Adversarial);
        Curves {
            epochs,
            done: metrics.epochs.last().map_or(0, |epoch| epoch.epoch),
            series: series.filter(|series| !series.points.is_empty()).collect(),
            cas: adversarial.map(|entry| (entry.epoch, entry.cas)).collect(),
            drops: milestones.map(|milestone| (milestone, config.learning_rate_at(milestone + 1))).collect(),
            best: metrics.best().and_then(mark),
            last: metrics.last().and_then(mark),
            cursor: None,
            theme,
        }
    }

    /// The accuracy of a kind at an epoch, where it was measured.
    pub fn accuracy_at(&self, kind: SeriesKind, epoch: u32) -> Option<f64> {
        let points = &self.series.iter().find(|series| series.kind == kind)?.points;
        points.binary_search_by_key(&epoch, |point| point.0).ok().map(|index| points[index].1)
    }

    /// CAS at an epoch, where it was measured.
    pub fn cas_at(&self, epoch: u32) -> Option<f64> {
        self.cas.iter().find(|point| point.0 == epoch).map(|point| point.1)
    }

    /// The geometry in a box.
    pub fn layout(&self, width: f64, height: f64) -> Layout {
        let right = width - if self.cas.is_empty() { RIGHT } else { RIGHT_WITH_CAS };
        let keys = self.series.iter().map(|series| Key::Series(series.kind)).chain((!self.cas.is_empty()).then_some(Key::Cas));
        let mut legend: Vec<(Key, f64, f64)> = Vec::new();
        let (mut x, mut y) = (LEFT, LEGEND_ROW / 2.0);
        for key in keys {
            let item = LEGEND_SAMPLE + 6.0 + text_width(key.name(), LEGEND_SIZE) + 14.0;
            if x > LEFT && x + item > width {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            legend.push((key, x, y));
            x += item;
        }
        let legend_height = if legend.is_empty() { 0.0 } else { y + LEGEND_ROW / 2.0 };
        let top = legend_height + AXIS_NAMES;
        let plot = Rect::new(LEFT, top, (right - LEFT).max(1.0), (height - top - BOTTOM).max(1.0));
        let vertical = |values| Projection { values, pixels: (plot.bottom(), plot.top) };

        let rows = (plot.height / 48.0).clamp(2.0, 6.0) as usize;
        let accuracies = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let (range, accuracy_step) = match extent(accuracies) {
            Some((low, high)) => round_range(low, high, rows),
            None => ((0.0, 1.0), 0.25),
        };
        let cas = extent(self.cas.iter().map(|point| point.1)).map(|(low, high)| {
            // A similarity near its own noise should not look like a mountain: zero stays in unless it is far away.
            round_range(if low < high / 2.0 { 0.0 } else { low }, high, rows)
        });
        let columns = (plot.width / 70.0).clamp(1.0, 10.0) as usize;
        Layout {
            plot,
            accuracy: vertical((range.0.max(0.0), range.1.min(1.0))),
            cas: cas.map(|(range, _)| vertical(range)),
            epoch: Projection { values: (0.0, f64::from(self.epochs)), pixels: (plot.left, plot.right()) },
            epochs: self.epochs,
            epoch_step: round_step(f64::from(self.epochs), columns).ceil(),
            accuracy_step,
            cas_step: cas.map_or(1.0, |(_, step)| step),
            legend,
        }
    }

    fn paint_axes<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let Layout { plot, .. } = *layout;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks(layout.accuracy.values, layout.accuracy_step) {
            let y = layout.accuracy.to_pixel(value);
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&percent_tick(value, layout.accuracy_step), (plot.left - 8.0, y), Align::End, font)?;
        }
        pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)?;
        for value in ticks((0.0, f64::from(self.epochs)), layout.epoch_step) {
            let x = layout.epoch.to_pixel(value);
            pen.vertical(x, plot.bottom(), plot.bottom() + 4.0, 0.0, palette.axis)?;
            pen.text(&format::count(value as u64), (x, plot.bottom() + 13.0), Align::Middle, font)?;
        }
        pen.text("epoch", (plot.center().0, plot.bottom() + 29.0), Align::Middle, font)?;
        let names = plot.top - 12.0;
        pen.text("accuracy", (plot.left - 38.0, names), Align::Start, font)?;
        if let Some(projection) = layout.cas {
            let font = Font::new(AXIS_SIZE, cas_color(palette));
            for value in ticks(projection.values, layout.cas_step) {
                let digits = usize::from(layout.cas_step.fract() > 1e-9) + usize::from((layout.cas_step * 10.0).fract() > 1e-9);
                let y = projection.to_pixel(value);
                pen.text(&format::decimal(value, digits), (plot.right() + 8.0, y), Align::Start, font)?;
            }
            pen.text("CAS", (plot.right() + 8.0, names), Align::Start, font)?;
        }
        Ok(())
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        for (key, x, y) in &layout.legend {
            let sample = [(*x, *y), (x + LEGEND_SAMPLE, *y)];
            match key {
                Key::Series(kind) => stroke(pen, *kind, &sample, palette)?,
                Key::Cas => {
                    pen.path(&sample, 1.0, cas_color(palette))?;
                    pen.polygon(&diamond((x + LEGEND_SAMPLE / 2.0, *y)), cas_color(palette))?;
                }
            }
            pen.text(key.name(), (x + LEGEND_SAMPLE + 6.0, *y), Align::Start, Font::new(LEGEND_SIZE, palette.text))?;
        }
        Ok(())
    }

    fn paint_drops<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let mut free_from = f64::MIN;
        for (epoch, learning_rate) in &self.drops {
            let x = layout.x_of(*epoch);
            pen.vertical(x, layout.plot.top, layout.plot.bottom(), 4.0, palette.axis)?;
            let text = format!("lr {}", rounded(*learning_rate));
            let end = x + 5.0 + text_width(&text, AXIS_SIZE);
            if x >= free_from && end <= pen.width() {
                pen.text(&text, (x + 5.0, layout.plot.top + 8.0), Align::Start, Font::new(AXIS_SIZE, palette.text_muted))?;
                free_from = end;
            }
        }
        Ok(())
    }

    fn paint_data<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        // The most important one last, above the others.
        for series in self.series.iter().rev() {
            let points: Vec<(f64, f64)> =
                series.points.iter().map(|(epoch, value)| (layout.x_of(*epoch), layout.accuracy.to_pixel(*value))).collect();
            match points[..] {
                [only] => pen.disc(only, 2.5, series.kind.color(palette))?,
                _ => stroke(pen, series.kind, &thinned(&points), palette)?,
            }
        }
        if let Some(projection) = layout.cas {
            let points: Vec<(f64, f64)> = self.cas.iter().map(|(epoch, cas)| (layout.x_of(*epoch), projection.to_pixel(*cas))).collect();
            if points.len() > 1 {
                pen.path(&thinned(&points), 1.0, cas_color(palette))?;
            }
            for point in points {
                pen.polygon(&diamond(point), cas_color(palette))?;
            }
        }
        Ok(())
    }

    fn paint_marks<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let label = |name: &str, mark: Mark| format!("{name} {}", format::percent(mark.accuracy));
        let marks = match (self.best, self.last) {
            (Some(best), Some(last)) if best.epoch == last.epoch => vec![(best, label("best and last", best))],
            (best, last) => {
                let best = best.map(|mark| (mark, label("best", mark)));
                let last = last.map(|mark| (mark, label("last", mark)));
                best.into_iter().chain(last).collect()
            }
        };
        let mut taken: Option<Rect> = None;
        for (mark, text) in marks {
            let (x, y) = (layout.x_of(mark.epoch), layout.accuracy.to_pixel(mark.accuracy));
            pen.disc((x, y), 5.5, palette.text)?;
            pen.disc((x, y), 3.5, palette.surface)?;
            pen.disc((x, y), 2.0, palette.series[0])?;
            let size = LEGEND_SIZE;
            let (width, height) = (text_width(&text, size) + 8.0, size + 6.0);
            let left = (x - width / 2.0).clamp(layout.plot.left, (layout.plot.right() - width).max(layout.plot.left));
            let above = Rect::new(left, y - 10.0 - height, width, height);
            let below = Rect::new(left, y + 10.0, width, height);
            let free = |chip: &Rect| {
                let apart = taken.is_none_or(|other| {
                    chip.left > other.right() || chip.right() < other.left || chip.top > other.bottom() || chip.bottom() < other.top
                });
                apart && chip.top >= layout.plot.top && chip.bottom() <= layout.plot.bottom()
            };
            let chip = if free(&above) || !free(&below) { above } else { below };
            pen.fill(chip, palette.surface)?;
            pen.text(&text, chip.center(), Align::Middle, Font::new(size, palette.text).bold())?;
            taken = Some(chip);
        }
        Ok(())
    }

    fn paint_cursor<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let Some(epoch) = self.cursor else { return Ok(()) };
        let palette = self.theme.palette();
        let x = layout.x_of(epoch);
        pen.vertical(x, layout.plot.top, layout.plot.bottom(), 0.0, palette.accent)?;
        for series in &self.series {
            if let Some(value) = self.accuracy_at(series.kind, epoch) {
                pen.disc((x, layout.accuracy.to_pixel(value)), 3.0, series.kind.color(palette))?;
            }
        }
        let text = format::count(u64::from(epoch));
        let width = text_width(&text, AXIS_SIZE) + 10.0;
        pen.fill(Rect::new(x - width / 2.0, layout.plot.bottom() + 4.0, width, 18.0), palette.accent)?;
        pen.text(&text, (x, layout.plot.bottom() + 13.0), Align::Middle, Font::new(AXIS_SIZE, palette.on_accent).bold())
    }
}

impl Layout {
    /// The epoch nearest to a horizontal position, from 1 to the planned number; none outside the plot.
    pub fn epoch_at(&self, x: f64) -> Option<u32> {
        let inside = x >= self.plot.left - 4.0 && x <= self.plot.right() + 4.0;
        inside.then(|| (self.epoch.to_value(x).round().max(1.0) as u32).min(self.epochs))
    }

    /// The horizontal position of an epoch.
    pub fn x_of(&self, epoch: u32) -> f64 {
        self.epoch.to_pixel(f64::from(epoch))
    }
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Key::Series(kind) => kind.name(),
            Key::Cas => "CAS (right axis)",
        }
    }
}

impl Chart for Curves {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        pen.fill(pen.bounds(), self.theme.palette().surface)?;
        self.paint_axes(pen, &layout)?;
        self.paint_legend(pen, &layout)?;
        self.paint_drops(pen, &layout)?;
        if self.series.is_empty() {
            let font = Font::new(13.0, self.theme.palette().text_muted);
            return pen.text("No epoch has finished yet", layout.plot.center(), Align::Middle, font);
        }
        self.paint_data(pen, &layout)?;
        self.paint_cursor(pen, &layout)?;
        self.paint_marks(pen, &layout)
    }

    fn describe(&self) -> String {
        let progress = format!("Training curves, {} of {} epochs", self.done, self.epochs);
        let with_cas = |mark: Mark| match self.cas_at(mark.epoch) {
            Some(cas) => format!("{} at epoch {} (CAS {})", format::percent(mark.accuracy), mark.epoch, format::decimal(cas, 1)),
            None => format!("{} at epoch {}", format::percent(mark.accuracy), mark.epoch),
        };
        match (self.best, self.last) {
            (Some(best), Some(last)) => format!("{progress}: robust test accuracy best {}, last {}.", with_cas(best), with_cas(last)),
            _ => format!("{progress}: no robust test accuracy yet."),
        }
    }
}

/// Robust accuracies are strong lines, clean ones fine and dashed.
fn stroke<DB: DrawingBackend>(
    pen: &Pen<'_, DB>,
    kind: SeriesKind,
    points: &[(f64, f64)],
    palette: &Palette,
) -> Result<(), ChartError> {
    let color = kind.color(palette);
    if kind.is_robust() { pen.path(points, 2.0, color) } else { pen.dashed(points, 1.25, color) }
}

fn diamond((x, y): (f64, f64)) -> [(f64, f64); 4] {
    [(x, y - 4.5), (x + 4.5, y), (x, y + 4.5), (x - 4.5, y)]
}

/// Keeps of the points in each pixel column the first, the lowest, the highest and the last: the same picture from fewer points.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .chunk_by(|a, b| a.0.floor() == b.0.floor())
        .flat_map(|column| {
            let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let keep = [column.first(), column.iter().min_by(by_height), column.iter().max_by(by_height), column.last()];
            let mut keep: Vec<(f64, f64)> = keep.into_iter().flatten().copied().collect();
            keep.sort_by(|a, b| a.0.total_cmp(&b.0));
            keep.dedup();
            keep
        })
        .collect()
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

fn percent_tick(value: f64, step: f64) -> String {
    let digits = usize::from((step * 100.0).fract() > 1e-6 && (step * 100.0).fract() < 1.0 - 1e-6);
    format!("{} %", format::decimal(value * 100.0, digits))
}

/// A learning rate without the noise of its multiplications: `0.001`, not `0.0010000000000000002`.
fn rounded(value: f64) -> f64 {
    let factor = 10f64.powf(3.0 - value.log10().floor());
    (value * factor).round() / factor
}
