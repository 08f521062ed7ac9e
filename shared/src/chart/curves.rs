//! Curves of a training run: accuracies, learning-rate drops, best and last epoch, CAS on its own axis,
//! losses below.

use std::collections::{BTreeSet, HashMap};
use std::iter::once;

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axes::{self, AXIS_SIZE, EpochAxes, Losses, Span, epoch_number};
use super::colors::{Palette, Theme};
use super::line::{forked, parts, thinned_to};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, text_width};
use super::tex::{self, OverEpochs, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect, legend};
use crate::builtin::log10;
use crate::config::{Inputs, RunConfig};
use crate::format;
use crate::record::{Epoch, Metrics, Notice, NoticeKind};
use crate::view::CurvesLens;

/// The curves of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Number of planned epochs. The axis shows all of them from the start.
    pub epochs: u32,
    /// Number of finished epochs.
    pub done: u32,
    /// Whether the run has ended, so that no values will be added.
    pub ended: bool,
    pub series: Vec<Series>,
    /// CAS of the measured epochs, on adversarial inputs.
    pub cas: Vec<(u32, f64)>,
    /// Epochs after which the learning rate drops, with the new rate.
    pub drops: Vec<(u32, f64)>,
    /// Epochs with catastrophic overfitting or a breakdown of training, with a description.
    pub alarms: Vec<(u32, &'static str)>,
    pub best: Option<Mark>,
    pub last: Option<Mark>,
    /// Epoch of the checkpoint that the run started from. What is before it was measured of another run.
    pub fork: Option<u32>,
    /// The selected epoch.
    pub cursor: Option<u32>,
    /// Visible epochs and curves.
    pub lens: CurvesLens,
    /// Whether the chart has a legend. Pages have switches instead.
    pub show_legend: bool,
    pub theme: Theme,
}

/// An accuracy or loss over epochs. Accuracies are fractions; a non-finite value is a gap.
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
    /// The softmax probability of the classes other than the image's own, on adversarial test images.
    NonTarget,
    TrainLoss,
    TestLoss,
}

/// Name of the CAS curve in [`crate::view::CURVES`].
pub const CAS: &str = "cas";

/// A marked epoch on the curve of robust test accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub epoch: u32,
    pub accuracy: f64,
}

impl SeriesKind {
    pub const ALL: [SeriesKind; 7] = [
        SeriesKind::TestRobust,
        SeriesKind::TestClean,
        SeriesKind::TrainRobust,
        SeriesKind::TrainClean,
        SeriesKind::NonTarget,
        SeriesKind::TrainLoss,
        SeriesKind::TestLoss,
    ];

    pub fn name(self) -> &'static str {
        match self {
            SeriesKind::TestRobust => "Robust test",
            SeriesKind::TestClean => "Clean test",
            SeriesKind::TrainRobust => "Robust train",
            SeriesKind::TrainClean => "Clean train",
            SeriesKind::NonTarget => "Non-target mass",
            SeriesKind::TrainLoss => "Train loss",
            SeriesKind::TestLoss => "Robust test loss",
        }
    }

    /// Name of the curve in [`crate::view::CURVES`].
    pub fn id(self) -> &'static str {
        match self {
            SeriesKind::TestRobust => "test_robust",
            SeriesKind::TestClean => "test_clean",
            SeriesKind::TrainRobust => "train_robust",
            SeriesKind::TrainClean => "train_clean",
            SeriesKind::NonTarget => "non_target",
            SeriesKind::TrainLoss => "train_loss",
            SeriesKind::TestLoss => "test_loss",
        }
    }

    pub fn color(self, palette: &Palette) -> RGBColor {
        match self {
            SeriesKind::TestRobust | SeriesKind::TestClean | SeriesKind::TestLoss => palette.series[0],
            SeriesKind::TrainRobust | SeriesKind::TrainClean | SeriesKind::TrainLoss => palette.series[1],
            SeriesKind::NonTarget => palette.series[2],
        }
    }

    /// Value of an epoch: `None` if not measured, NaN if it was measured and is not a number.
    fn value(self, epoch: &Epoch) -> Option<f64> {
        // In JSON, a loss that is not a number is missing, although the other values of the epoch exist.
        let gap = |loss: Option<f64>, measured: bool| loss.or_else(|| measured.then_some(f64::NAN));
        match self {
            SeriesKind::TestRobust => epoch.test_robust_accuracy,
            SeriesKind::TestClean => epoch.test_clean_accuracy,
            SeriesKind::TrainRobust => epoch.train_robust_accuracy,
            SeriesKind::TrainClean => epoch.train_clean_accuracy,
            // The records of matrices have it.
            SeriesKind::NonTarget => None,
            SeriesKind::TrainLoss => gap(epoch.train_loss, true),
            SeriesKind::TestLoss => gap(epoch.test_loss, epoch.test_robust_accuracy.is_some()),
        }
    }

    /// The measured points. Only losses have non-finite values, as gaps.
    pub(super) fn points(self, metrics: &Metrics) -> Vec<(u32, f64)> {
        let value = |epoch: &Epoch| self.value(epoch).filter(|value| self.is_loss() || value.is_finite());
        let mass = metrics.attributions_from_first(Inputs::Adversarial).filter_map(|entry| Some((entry.epoch, entry.non_target_mass?)));
        let points: Vec<(u32, f64)> = match self {
            SeriesKind::NonTarget => mass.collect(),
            _ => metrics.epochs_from_first().filter_map(|epoch| Some((epoch.epoch, value(epoch)?))).collect(),
        };
        if points.iter().any(|point| point.1.is_finite()) { points } else { Vec::new() }
    }

    /// Whether the curve is a strong line. The others are thin and dashed.
    pub fn is_strong(self) -> bool {
        !matches!(self, SeriesKind::TestClean | SeriesKind::TrainClean | SeriesKind::NonTarget)
    }

    pub fn is_loss(self) -> bool {
        matches!(self, SeriesKind::TrainLoss | SeriesKind::TestLoss)
    }
}

/// Color of CAS.
pub fn cas_color(palette: &Palette) -> RGBColor {
    palette.series[2]
}

/// Parts of the chart, and projections between data and pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvesLayout {
    pub axes: EpochAxes,
    legend: Vec<(Key, f64, f64)>,
}

/// The cursor, for a second, transparent canvas above the curves: moving it then does not redraw them.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub curves: &'a Curves,
    pub epoch: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Series(SeriesKind),
    Cas,
}

const LEGEND_SIZE: f64 = legend::TEXT_SIZE;
const LEGEND_SAMPLE: f64 = legend::SAMPLE;
/// Minimum distance between vertical lines; closer ones are merged.
const LEAST_BETWEEN_LINES: f64 = 24.0;
/// Half the size of a diamond, and the minimum distance of two.
const DIAMOND: f64 = 4.5;
/// Thickness of lines before a fork.
pub(super) const QUIET: f64 = 1.25;
/// Name of the line at a fork.
const FORK: &str = "fork";
/// Cost of a label that covers a text or a mark. The unit is one covered point of a curve.
const COVERED_TEXT: u32 = 1000;

impl Curves {
    /// The curves of a run, over all its planned epochs.
    pub fn of(metrics: &Metrics, config: &RunConfig, theme: Theme) -> Self {
        let last_epoch = metrics.epochs.last().map_or(1, |epoch| epoch.epoch);
        let (epochs, drops) = match config.as_train().map(|config| &config.training) {
            Some(training) => {
                let milestones = training.milestones.iter().copied().filter(|milestone| *milestone < training.epochs);
                let drops = milestones.map(|milestone| (milestone, training.learning_rate_at(f64::from(milestone))));
                (training.epochs.max(1), drops.collect())
            }
            // An imported run has no planned schedule; its records show the drops.
            None => (last_epoch, drops(&metrics.epochs)),
        };
        let series = SeriesKind::ALL.into_iter().map(|kind| Series { kind, points: kind.points(metrics) });
        let alarm = |notice: Notice| {
            let what = match notice.kind {
                NoticeKind::CatastrophicOverfitting => "catastrophic overfitting",
                NoticeKind::TrainingBrokeDown => "training broke down",
                NoticeKind::CasFell
                | NoticeKind::Resumed
                | NoticeKind::Imported
                | NoticeKind::PassedOver
                | NoticeKind::LeftOut
                | NoticeKind::MaskedGradients => return None,
            };
            Some((notice.epoch?, what))
        };
        let mark = |epoch: &Epoch| Some(Mark { epoch: epoch.epoch, accuracy: epoch.test_robust_accuracy? });
        Curves {
            epochs,
            done: metrics.epochs.last().map_or(metrics.fork_epoch(), |epoch| epoch.epoch),
            ended: false,
            series: series.filter(|series| !series.points.is_empty()).collect(),
            cas: metrics.attributions_from_first(Inputs::Adversarial).map(|entry| (entry.epoch, entry.cas)).collect(),
            drops,
            alarms: metrics.all_notices().into_iter().filter_map(alarm).collect(),
            best: metrics.best().and_then(mark),
            last: metrics.last().and_then(mark),
            fork: metrics.fork.as_ref().map(|fork| fork.checkpoint.epoch),
            cursor: None,
            lens: CurvesLens::default(),
            show_legend: true,
            theme,
        }
    }

    /// The same curves with this lens.
    pub fn seen(self, lens: &CurvesLens) -> Self {
        Curves { lens: lens.clone(), ..self }
    }

    /// The same curves without losses, for small charts.
    pub fn without_losses(mut self) -> Self {
        self.series.retain(|series| !series.kind.is_loss());
        self
    }

    /// Default height in CSS pixels.
    pub fn natural_height(&self) -> f64 {
        if self.losses().is_some() { 560.0 } else { 420.0 }
    }

    /// The visible curves.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Series> {
        self.series.iter().filter(|series| self.lens.shows(series.kind.id()))
    }

    /// CAS; empty if it is hidden.
    pub fn shown_cas(&self) -> &[(u32, f64)] {
        if self.lens.shows(CAS) { &self.cas } else { &[] }
    }

    /// First and last visible epoch.
    pub fn sight(&self) -> (u32, u32) {
        self.lens.sight(self.epochs)
    }

    /// Whether losses have a logarithmic axis.
    pub fn loss_is_log(&self) -> bool {
        self.losses().is_some_and(Losses::is_log)
    }

    fn losses(&self) -> Option<Losses> {
        let curves = self.shown().filter(|series| series.kind.is_loss()).map(|series| &series.points[..]);
        Losses::of(curves, self.sight(), self.lens.loss)
    }

    /// Value of a curve at an epoch; `None` if not measured.
    pub fn value_at(&self, kind: SeriesKind, epoch: u32) -> Option<f64> {
        let points = &self.series.iter().find(|series| series.kind == kind)?.points;
        points.binary_search_by_key(&epoch, |point| point.0).ok().map(|index| points[index].1)
    }

    /// CAS at an epoch; `None` if not measured.
    pub fn cas_at(&self, epoch: u32) -> Option<f64> {
        self.cas.iter().find(|point| point.0 == epoch).map(|point| point.1)
    }

    /// Layout in a box.
    pub fn layout(&self, width: f64, height: f64) -> CurvesLayout {
        let shown = self.shown().map(|series| Key::Series(series.kind)).chain((!self.shown_cas().is_empty()).then_some(Key::Cas));
        let keys: Vec<Key> = shown.filter(|_| self.show_legend).collect();
        let (places, legend_height) = legend::places(keys.iter().map(|key| key.name()), axes::LEFT, width);
        let highest_cas = self.shown_cas().iter().map(|point| point.1).reduce(f64::max);
        let span = Span { sight: self.sight(), highest_cas, losses: self.losses() };
        CurvesLayout {
            axes: EpochAxes::new(&span, legend_height, width, height),
            legend: keys.into_iter().zip(places).map(|(key, (x, y))| (key, x, y)).collect(),
        }
    }

    /// Position of a value in pixels.
    fn place(axes: &EpochAxes, kind: SeriesKind, epoch: u32, value: f64) -> (f64, f64) {
        let y = match &axes.loss {
            Some(loss) if kind.is_loss() => loss.to_pixel(value),
            _ => axes.accuracy.to_pixel(value),
        };
        (axes.x_of(epoch), y)
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
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
            pen.text(key.name(), (x + LEGEND_SAMPLE + legend::GAP, *y), Align::Start, Font::new(LEGEND_SIZE, palette.text))?;
        }
        Ok(())
    }

    fn paint_drops<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let axes = &layout.axes;
        let (mut line_from, mut text_from) = (f64::MIN, f64::MIN);
        for (epoch, learning_rate) in self.drops.iter().filter(|drop| axes.shows(drop.0)) {
            let x = axes.x_of(*epoch);
            if x < line_from {
                continue;
            }
            line_from = x + LEAST_BETWEEN_LINES;
            pen.vertical(x, axes.plot.top, axes.bottom(), 4.0, palette.axis)?;
            let text = format!("lr {}", rounded(*learning_rate));
            let end = x + 5.0 + text_width(&text, AXIS_SIZE);
            if x >= text_from && end <= pen.width() {
                pen.text(&text, (x + 5.0, axes.plot.bottom() - 9.0), Align::Start, Font::new(AXIS_SIZE, palette.text_muted))?;
                text_from = end;
            }
        }
        Ok(())
    }

    /// Draws a line where the run starts from the checkpoint of another one.
    fn paint_fork<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let axes = &layout.axes;
        let Some(x) = self.fork.filter(|epoch| axes.shows(*epoch)).map(|epoch| axes.x_of(epoch)) else { return Ok(()) };
        // Solid, so that it covers a drop of the learning rate at the same epoch.
        pen.vertical(x, axes.plot.top, axes.bottom(), 0.0, palette.axis)?;
        let fits = x + 5.0 + text_width(FORK, AXIS_SIZE) <= axes.plot.right();
        let (at, align) = if fits { (x + 5.0, Align::Start) } else { (x - 5.0, Align::End) };
        // Above the learning rates.
        pen.text(FORK, (at, axes.plot.bottom() - 23.0), align, Font::new(AXIS_SIZE, palette.text_muted))
    }

    /// Draws a red line at each alarm; only the first of each kind has a text.
    fn paint_alarms<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
        let color = self.theme.palette().failed.strong;
        let axes = &layout.axes;
        let mut said: Vec<&str> = Vec::new();
        let mut line_from = f64::MIN;
        for (epoch, text) in self.alarms.iter().filter(|alarm| axes.shows(alarm.0)) {
            let x = axes.x_of(*epoch);
            if x >= line_from || !said.contains(text) {
                pen.vertical(x, axes.plot.top, axes.bottom(), 3.0, color)?;
                line_from = x + LEAST_BETWEEN_LINES;
            }
            if !said.contains(text) {
                let fits = x + 5.0 + text_width(text, AXIS_SIZE) <= pen.width();
                let (at, align) = if fits { (x + 5.0, Align::Start) } else { (x - 5.0, Align::End) };
                let top = axes.plot.top + 9.0 + 14.0 * said.len() as f64;
                pen.text(text, (at, top), align, Font::new(AXIS_SIZE, color))?;
                said.push(text);
            }
        }
        Ok(())
    }

    fn paint_data<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let axes = &layout.axes;
        // Draw the most important curve last, above the others.
        for series in self.shown().rev() {
            let at = |epoch: u32, value: f64| Self::place(axes, series.kind, epoch, value);
            let [before, own] = forked(&series.points, self.fork);
            for part in parts(before, axes.sight, at) {
                let color = quiet(series.kind.color(palette), palette);
                if series.kind.is_strong() { pen.path(&part, QUIET, color)? } else { pen.dashed(&part, 1.0, color)? }
            }
            for part in parts(own, axes.sight, at) {
                match part[..] {
                    [only] => pen.disc(only, 2.5, series.kind.color(palette))?,
                    _ => stroke(pen, series.kind, &part, palette)?,
                }
            }
        }
        if let Some(projection) = axes.cas {
            let at = |epoch: u32, cas: f64| (axes.x_of(epoch), projection.to_pixel(cas));
            let [before, own] = forked(self.shown_cas(), self.fork);
            let color = cas_color(palette);
            for (points, color) in [(before, quiet(color, palette)), (own, color)] {
                for part in parts(points, axes.sight, at).iter().filter(|part| part.len() > 1) {
                    pen.path(part, 1.0, color)?;
                }
                let points = points.iter().filter(|point| axes.shows(point.0)).map(|(epoch, cas)| at(*epoch, *cas));
                for point in thinned_to(&points.collect::<Vec<_>>(), DIAMOND) {
                    pen.polygon(&diamond(point), color)?;
                }
            }
        }
        Ok(())
    }

    fn paint_marks<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout) -> Result<(), ChartError> {
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
        let mut occupied = self.occupied(layout);
        for (mark, text) in marks.into_iter().filter(|(mark, _)| layout.axes.shows(mark.epoch)) {
            let (x, y) = (layout.axes.x_of(mark.epoch), layout.axes.accuracy.to_pixel(mark.accuracy));
            pen.disc((x, y), 5.5, palette.text)?;
            pen.disc((x, y), 3.5, palette.surface)?;
            pen.disc((x, y), 2.0, palette.series[0])?;
            let (width, height) = (text_width(&text, LEGEND_SIZE) + 6.0, LEGEND_SIZE + 6.0);
            let left = (x - width / 2.0).clamp(layout.axes.plot.left, (layout.axes.plot.right() - width).max(layout.axes.plot.left));
            // Prefer positions beside the mark that cover least; use those above and below if there is no
            // room beside it.
            let beside = [x + 11.0, x - 11.0 - width];
            let heights = [-height / 2.0, -height - 2.0, 2.0, -height - 14.0, 14.0];
            let beside: Vec<Rect> = heights.into_iter().flat_map(|dy| beside.map(|left| Rect::new(left, y + dy, width, height))).collect();
            let above = [-12.0 - height, 12.0, -28.0 - height, 28.0].map(|dy| Rect::new(left, y + dy, width, height));
            let plot = layout.axes.plot;
            let inside = |chip: &Rect| {
                let (horizontally, vertically) =
                    (chip.left >= plot.left && chip.right() <= plot.right(), chip.top >= plot.top && chip.bottom() <= plot.bottom());
                horizontally && vertically
            };
            let covered = |chip: &Rect| occupied.iter().filter(|(taken, _)| taken.overlaps(chip)).map(|(_, weight)| weight).sum::<u32>();
            let least = |chips: &[Rect]| chips.iter().copied().filter(|chip| inside(chip)).min_by_key(|chip| covered(chip));
            let chip = least(&beside).or_else(|| least(&above)).unwrap_or(above[0]);
            pen.fill(chip, palette.surface)?;
            pen.text(&text, chip.center(), Align::Middle, Font::new(LEGEND_SIZE, palette.text).bold())?;
            occupied.push((chip, COVERED_TEXT));
        }
        Ok(())
    }

    /// Areas that labels should not cover, with the cost of covering each.
    fn occupied(&self, layout: &CurvesLayout) -> Vec<(Rect, u32)> {
        let around = |x: f64, y: f64, radius: f64| Rect::new(x - radius, y - radius, 2.0 * radius, 2.0 * radius);
        let axes = &layout.axes;
        let lines = self.shown().filter(|series| !series.kind.is_loss()).flat_map(|series| {
            let at = |epoch: u32, value: f64| Self::place(axes, series.kind, epoch, value);
            parts(&series.points, axes.sight, at).into_iter().flat_map(|part| stepped(&part))
        });
        let mut occupied: Vec<(Rect, u32)> = lines.map(|(x, y)| (around(x, y, 2.0), 1)).collect();
        if let Some(projection) = axes.cas {
            let cas = parts(self.shown_cas(), axes.sight, |epoch, cas| (axes.x_of(epoch), projection.to_pixel(cas)));
            occupied.extend(cas.into_iter().flatten().map(|(x, y)| (around(x, y, 5.0), 5)));
        }
        let marks = self.best.iter().chain(&self.last);
        occupied.extend(
            marks.map(|mark| (around(layout.axes.x_of(mark.epoch), layout.axes.accuracy.to_pixel(mark.accuracy), 6.0), COVERED_TEXT)),
        );
        occupied
    }

    fn paint_cursor<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CurvesLayout, epoch: u32) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let axes = &layout.axes;
        if !axes.shows(epoch) {
            return Ok(());
        }
        let (x, bottom) = (axes.x_of(epoch), axes.bottom());
        pen.vertical(x, axes.plot.top, bottom, 0.0, palette.accent)?;
        for series in self.shown() {
            let place = self.value_at(series.kind, epoch).map(|value| Self::place(axes, series.kind, epoch, value));
            if let Some(place) = place.filter(|place| place.1.is_finite()) {
                pen.disc(place, 3.0, series.kind.color(palette))?;
            }
        }
        let text = epoch_number(epoch);
        let width = text_width(&text, AXIS_SIZE) + 10.0;
        pen.fill(Rect::new(x - width / 2.0, bottom + 4.0, width, 18.0), palette.accent)?;
        pen.text(&text, (x, bottom + 13.0), Align::Middle, Font::new(AXIS_SIZE, palette.on_accent).bold())
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
        layout.axes.paint(pen, self.theme, cas_color(self.theme.palette()))?;
        self.paint_legend(pen, &layout)?;
        self.paint_drops(pen, &layout)?;
        self.paint_fork(pen, &layout)?;
        self.paint_alarms(pen, &layout)?;
        if self.series.is_empty() {
            let text = if self.ended { "The run ended before its first epoch was done" } else { "No epoch has finished yet" };
            let palette = self.theme.palette();
            let (x, y) = layout.axes.plot.center();
            let width = text_width(text, 13.0);
            pen.fill(Rect::new(x - width / 2.0, y - 12.0, width, 24.0), palette.surface)?;
            return pen.text(text, (x, y), Align::Middle, Font::new(13.0, palette.text_muted));
        }
        self.paint_data(pen, &layout)?;
        if let Some(epoch) = self.cursor {
            self.paint_cursor(pen, &layout, epoch)?;
        }
        // Marks are on the curve of robust test accuracy.
        if self.lens.shows(SeriesKind::TestRobust.id()) { self.paint_marks(pen, &layout) } else { Ok(()) }
    }

    fn describe(&self) -> String {
        let progress = format!("Training curves, {} of {} epochs", self.done, self.epochs);
        let with_cas = |mark: Mark| match self.cas_at(mark.epoch) {
            Some(cas) => format!("{} at epoch {} (CAS {})", format::percent(mark.accuracy), mark.epoch, format::decimal(cas, 1)),
            None => format!("{} at epoch {}", format::percent(mark.accuracy), mark.epoch),
        };
        let accuracy = match (self.best, self.last) {
            (Some(best), Some(last)) => format!("{progress}: robust test accuracy best {}, last {}.", with_cas(best), with_cas(last)),
            _ => format!("{progress}: no robust test accuracy{}.", if self.ended { "" } else { " yet" }),
        };
        let loss = match self.series.iter().find(|series| series.kind == SeriesKind::TrainLoss).and_then(|series| series.points.last()) {
            Some((epoch, loss)) => format!(" Train loss {} at epoch {epoch}.", format::short(*loss)),
            None => String::new(),
        };
        // Describe only the first alarm of each kind, because there can be thousands.
        let first = |alarm: &&(u32, &str)| self.alarms.iter().find(|other| other.1 == alarm.1) == Some(*alarm);
        let alarms = self.alarms.iter().filter(first).map(|(epoch, text)| format!(" In epoch {epoch}: {text}."));
        let sight = self.lens.epochs.map(|_| self.sight()).map(|(first, last)| format!(" In sight: epochs {first} to {last}."));
        let fork = self.fork.map(|epoch| format!(" Up to epoch {epoch}, the curves are those of the run that it starts from."));
        [accuracy, loss].into_iter().chain(fork).chain(alarms).chain(sight).collect()
    }
}

impl Figure for Curves {
    fn size(&self) -> (u32, u32) {
        (960, self.natural_height().ceil() as u32)
    }

    /// A row for each epoch with at least one drawn value.
    fn numbers(&self) -> Numbers {
        let drawn = |kind: SeriesKind| self.series.iter().find(|series| series.kind == kind).map_or(&[][..], |series| &series.points);
        let mut columns = vec![
            ("test_robust_accuracy", drawn(SeriesKind::TestRobust)),
            ("test_clean_accuracy", drawn(SeriesKind::TestClean)),
            ("train_robust_accuracy", drawn(SeriesKind::TrainRobust)),
            ("train_clean_accuracy", drawn(SeriesKind::TrainClean)),
            ("cas", &self.cas[..]),
            ("train_loss", drawn(SeriesKind::TrainLoss)),
            ("test_loss", drawn(SeriesKind::TestLoss)),
        ];
        // Files of runs that did not measure it stay as they were.
        columns.extend(Some(("non_target_mass", drawn(SeriesKind::NonTarget))).filter(|(_, points)| !points.is_empty()));
        let epochs: BTreeSet<u32> = columns.iter().flat_map(|(_, points)| points.iter().map(|point| point.0)).collect();
        let values = |points: &[(u32, f64)]| {
            let known: HashMap<u32, f64> = points.iter().copied().collect();
            Values::Numbers(epochs.iter().map(|epoch| known.get(epoch).copied().unwrap_or(f64::NAN)).collect())
        };
        let epoch = ("epoch", Values::Integers(epochs.iter().copied().map(i64::from).collect()));
        Numbers::table(once(epoch).chain(columns.into_iter().map(|(name, points)| (name, values(points)))).collect())
    }

    fn write_tex(&self, tex: &mut Tex) {
        let palette = self.theme.palette();
        for kind in SeriesKind::ALL {
            tex.color(&format!("{kind:?}"), kind.color(palette));
        }
        tex.color("cas", cas_color(palette));
        let style = |kind: SeriesKind| format!("{kind:?}, {}", if kind.is_strong() { "thick" } else { "dashed" });
        let sight = self.sight();
        let line = |Series { kind, points }: &Series| {
            let factor = if kind.is_loss() { 1.0 } else { 100.0 };
            let [before, own] = forked(points, self.fork);
            let own = tex::Line::new(kind.name(), style(*kind), tex::course(own, sight, factor));
            let before = || tex::Line::new("", format!("{kind:?}, {}", tex::QUIET), tex::course(before, sight, factor));
            self.fork.map(|_| before()).into_iter().chain([own])
        };
        let (losses, accuracies): (Vec<&Series>, Vec<&Series>) = self.shown().partition(|series| series.kind.is_loss());
        let [losses, mut accuracies] = [losses, accuracies].map(|series| series.into_iter().flat_map(line).collect::<Vec<_>>());
        let mut cas = Vec::new();
        if !self.shown_cas().is_empty() {
            const STYLE: &str = "cas, mark=diamond*";
            // The legend of this axis also names the line of the other.
            accuracies.push(tex::Line::new("CAS (right axis)", STYLE, Vec::new()));
            let [before, own] = forked(self.shown_cas(), self.fork);
            cas.push(tex::Line::new("", STYLE, tex::course(own, sight, 1.0)));
            cas.extend(self.fork.map(|_| tex::Line::new("", format!("{STYLE}, {}", tex::QUIET), tex::course(before, sight, 1.0))));
        }
        let drop = |(epoch, rate): &(u32, f64)| (f64::from(*epoch), format!("lr {rate:.4}").trim_end_matches('0').to_owned());
        // A continuously falling rate has no single drops to mark.
        const MOST_DROPS: usize = 40;
        let drops = self.drops.iter().filter(|drop| (sight.0..=sight.1).contains(&drop.0)).take(MOST_DROPS);
        let (accuracy_name, cas_name) = ("accuracy (\\%)", "CAS");
        let fork = self.fork.filter(|fork| (sight.0..=sight.1).contains(fork)).map(|fork| (f64::from(fork), FORK.to_owned()));
        let (loss_is_log, verticals) = (self.loss_is_log(), drops.map(drop).chain(fork).collect());
        tex.over_epochs(OverEpochs { sight, accuracy_name, accuracies, cas_name, cas, losses, loss_is_log, verticals });
    }
}

impl Chart for Cursor<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.curves.paint_cursor(pen, &self.curves.layout(pen.width(), pen.height()), self.epoch)
    }

    fn describe(&self) -> String {
        format!("Epoch {}.", self.epoch)
    }
}

/// The color of what was measured before a fork: halfway to the ground.
pub(super) fn quiet(RGBColor(red, green, blue): RGBColor, palette: &Palette) -> RGBColor {
    let RGBColor(ground_red, ground_green, ground_blue) = palette.surface;
    RGBColor(red.midpoint(ground_red), green.midpoint(ground_green), blue.midpoint(ground_blue))
}

/// Draws robust accuracies and losses as strong lines, clean accuracies as thin dashed lines.
fn stroke<DB: DrawingBackend>(pen: &Pen<'_, DB>, kind: SeriesKind, points: &[(f64, f64)], palette: &Palette) -> Result<(), ChartError> {
    let color = kind.color(palette);
    if kind.is_strong() { pen.path(points, 2.0, color) } else { pen.dashed(points, 1.25, color) }
}

pub(super) fn diamond((x, y): (f64, f64)) -> [(f64, f64); 4] {
    [(x, y - DIAMOND), (x + DIAMOND, y), (x, y + DIAMOND), (x - DIAMOND, y)]
}

/// Points along a line, so close that a label on the line covers at least one.
fn stepped(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const STEP: f64 = 8.0;
    const MOST: f64 = 100.0;
    let mut along: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = ((x1 - x0).hypot(y1 - y0) / STEP).ceil().clamp(1.0, MOST) as u32;
        along.extend((1..=steps).map(|step| f64::from(step) / f64::from(steps)).map(|part| (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)));
    }
    along
}

/// Epochs after which the learning rate falls to a half or less, with the new rate.
fn drops(epochs: &[Epoch]) -> Vec<(u32, f64)> {
    let pairs = epochs.iter().zip(epochs.iter().skip(1));
    let fell = pairs.filter(|(before, after)| after.learning_rate > 0.0 && after.learning_rate <= before.learning_rate / 2.0);
    fell.map(|(before, after)| (before.epoch, after.learning_rate)).collect()
}

/// A learning rate without rounding errors: `0.001`, not `0.0010000000000000002`.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let factor = 10f64.powi(3 - log10(value).floor() as i32);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::super::scale::ticks;
    use super::*;
    use crate::fixtures;
    use crate::preset;
    use crate::record::Record;

    fn config(epochs: u32) -> RunConfig {
        let mut config = preset::demo().config.as_train().unwrap().clone();
        config.training.epochs = epochs;
        config.training.milestones = vec![epochs / 2, epochs * 3 / 4];
        RunConfig::Train(Box::new(config))
    }

    /// Robust test accuracy rises to 70 % at epoch 12 and then falls; CAS is measured every tenth epoch.
    fn metrics(done: u32) -> Metrics {
        let epochs = (1..=done).map(|epoch| {
            let robust = if epoch <= 12 { 0.1 + 0.05 * f64::from(epoch) } else { 0.7 - 0.1 * f64::from(epoch - 12) / f64::from(done) };
            Record::Epoch(Epoch {
                train_robust_accuracy: Some(f64::from(epoch) / f64::from(done)),
                test_clean_accuracy: Some(0.9),
                test_robust_accuracy: Some(robust),
                ..fixtures::epoch(epoch)
            })
        });
        let kept = (1..=done)
            .filter(|epoch| epoch % 10 == 0)
            .map(|epoch| Record::Attribution(fixtures::matrix_of(epoch, Inputs::Adversarial, 20.0 - 0.1 * f64::from(epoch))));
        Metrics::from_records(epochs.chain(kept))
    }

    #[test]
    fn an_epoch_is_found_where_it_is_drawn() {
        for epochs in [1, 2, 60, 10_000] {
            let layout = Curves::of(&metrics(epochs.min(200)), &config(epochs), Theme::Light).layout(860.0, 380.0);
            for epoch in (1..=epochs).step_by(epochs.div_ceil(97) as usize) {
                assert_eq!(layout.axes.epoch_at(layout.axes.x_of(epoch)), Some(epoch), "of {epochs}");
            }
            assert_eq!(layout.axes.epoch_at(layout.axes.plot.left), Some(1), "nothing is known of epoch 0");
            assert_eq!(layout.axes.epoch_at(layout.axes.plot.right() + 2.0), Some(epochs));
            assert_eq!(layout.axes.epoch_at(layout.axes.plot.left - 20.0), None);
        }
    }

    #[test]
    fn axes_are_those_of_the_whole_run_from_the_first_epoch_on() {
        let (early, late) = (Curves::of(&metrics(3), &config(60), Theme::Light), Curves::of(&metrics(9), &config(60), Theme::Light));
        assert_eq!(early.layout(800.0, 400.0), late.layout(800.0, 400.0));
        let layout = early.layout(800.0, 400.0);
        assert_eq!((layout.axes.x_of(60), layout.axes.accuracy.to_pixel(1.0)), (layout.axes.plot.right(), layout.axes.plot.top));
    }

    #[test]
    fn cas_shares_the_grid_of_accuracy_and_starts_at_zero() {
        let layout = Curves::of(&metrics(60), &config(60), Theme::Light).layout(800.0, 400.0);
        let cas = layout.axes.cas.unwrap();
        assert_eq!(cas.values, (0.0, 20.0));
        assert_eq!(ticks(cas.values, layout.axes.cas_step).len(), ticks((0.0, 1.0), layout.axes.accuracy_step).len());
        assert_eq!(Curves::of(&metrics(5), &config(60), Theme::Light).layout(800.0, 400.0).axes.cas, None);
    }

    #[test]
    fn curves_hold_what_was_measured() {
        let curves = Curves::of(&metrics(60), &config(60), Theme::Light);
        let kinds: Vec<SeriesKind> = curves.series.iter().map(|series| series.kind).collect();
        let measured = [SeriesKind::TestRobust, SeriesKind::TestClean, SeriesKind::TrainRobust, SeriesKind::TrainLoss];
        assert_eq!(kinds, measured, "nothing measured, no curve");
        assert_eq!(curves.best.map(|mark| mark.epoch), Some(12));
        assert_eq!(curves.last.map(|mark| mark.epoch), Some(60));
        assert_eq!(curves.value_at(SeriesKind::TestClean, 7), Some(0.9));
        assert_eq!(curves.value_at(SeriesKind::TestClean, 61), None);
        assert_eq!((curves.cas_at(10), curves.cas_at(11)), (Some(19.0), None));
        assert_eq!(curves.drops.iter().map(|drop| (drop.0, rounded(drop.1))).collect::<Vec<_>>(), [(30, 0.01), (45, 0.001)]);
    }

    #[test]
    fn descriptions_give_best_and_last() {
        assert_eq!(
            Curves::of(&metrics(60), &config(60), Theme::Light).describe(),
            "Training curves, 60 of 60 epochs: robust test accuracy best 70.0 % at epoch 12, last 62.0 % at epoch 60 (CAS 14.0). Train loss 1 at epoch 60."
        );
        assert_eq!(
            Curves::of(&Metrics::default(), &config(60), Theme::Light).describe(),
            "Training curves, 0 of 60 epochs: no robust test accuracy yet."
        );
    }
    mod drawn {
        use super::*;
        use crate::chart::svg;
        use crate::record::Notice;

        fn drawn(done: u32, epochs: u32) -> String {
            svg(860, 380, &Curves::of(&metrics(done), &config(epochs), Theme::Light)).unwrap()
        }

        #[test]
        fn a_finished_run_shows_curves_marks_drops_and_cas() {
            let drawn = drawn(60, 60);
            for text in [
                "Train loss",
                "loss",
                "best 70.0 %",
                "last 62.0 %",
                "lr 0.01",
                "lr 0.001",
                "Robust test",
                "CAS (right axis)",
                "100 %",
                "epoch",
            ] {
                assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
            }
            assert_eq!(drawn.matches("<polygon").count(), 6 + 1, "a diamond for each kept epoch, and one in the legend");
        }

        #[test]
        fn a_fork_begins_with_the_curves_of_its_parent() {
            use crate::record::{Checkpoint, Forked};
            let file = Checkpoint { epoch: 20, file: String::new(), size_bytes: 1, sha256: String::new() };
            let fork: Forked = metrics(60).forked_at("at-1.e20".parse().unwrap(), &file);
            let own = (21..=30).map(|epoch| Record::Epoch(Epoch { test_robust_accuracy: Some(0.5), ..fixtures::epoch(epoch) }));
            let metrics = Metrics::from_records(std::iter::once(Record::Forked(fork)).chain(own));
            let curves = Curves::of(&metrics, &config(60), Theme::Light);
            assert_eq!((curves.fork, curves.best.map(|mark| mark.epoch), curves.done), (Some(20), Some(21), 30));
            assert_eq!((curves.cas_at(20), curves.cas_at(30)), (Some(18.0), None));
            assert_eq!(curves.value_at(SeriesKind::TestRobust, 13), metrics.fork.unwrap().epochs[12].test_robust_accuracy);
            assert!(curves.describe().contains("Up to epoch 20, the curves are those of the run that it starts from."));
            let drawn = svg(860, 380, &curves).unwrap();
            let color = |RGBColor(red, green, blue)| format!("stroke=\"#{red:02X}{green:02X}{blue:02X}\"");
            let (strong, palette) = (SeriesKind::TestRobust.color(Theme::Light.palette()), Theme::Light.palette());
            assert!(drawn.contains(">\nfork\n") && drawn.contains(&color(strong)) && drawn.contains(&color(quiet(strong, palette))));
            let without = Curves { fork: None, ..curves };
            assert!(!svg(860, 380, &without).unwrap().contains(&color(quiet(strong, palette))));
        }

        #[test]
        fn catastrophic_overfitting_is_marked_at_its_epoch() {
            let notice = Notice { kind: NoticeKind::CatastrophicOverfitting, epoch: Some(59), message: String::new() };
            let mut metrics = metrics(60);
            metrics.apply(Record::Notice(notice));
            let curves = Curves::of(&metrics, &config(60), Theme::Light);
            assert!(svg(860, 380, &curves).unwrap().contains(">\ncatastrophic overfitting\n"));
            assert!(curves.describe().ends_with("In epoch 59: catastrophic overfitting."));
        }

        /// A run whose loss explodes at epoch 20 and is not a number at epoch 25.
        fn diverged() -> Metrics {
            let mut metrics = metrics(60);
            metrics.epochs[19..].iter_mut().for_each(|epoch| epoch.train_loss = Some(1e31));
            metrics.epochs[24].train_loss = None;
            metrics
        }

        #[test]
        fn a_loss_that_explodes_is_on_a_logarithmic_axis_with_a_gap_where_it_is_no_number() {
            let curves = Curves::of(&diverged(), &config(60), Theme::Light);
            let drawn = svg(960, 560, &curves).unwrap();
            assert!(drawn.contains(">\nloss (log)\n") && drawn.contains(">\ntraining broke down\n") && drawn.contains(">\n1e30\n"));
            let parts = |curves: &Curves| svg(960, 560, curves).unwrap().matches("<polyline").count();
            let mut whole = curves.clone();
            let loss = whole.series.iter_mut().find(|series| series.kind == SeriesKind::TrainLoss).unwrap();
            loss.points[24].1 = 1e31;
            assert_eq!(parts(&curves), parts(&whole) + 1, "the line is in two parts");
            assert!(curves.describe().ends_with("Train loss 1e31 at epoch 60. In epoch 20: training broke down."), "{}", curves.describe());
            let linear = CurvesLens { loss: crate::view::LossScale::Linear, ..CurvesLens::default() };
            assert!(svg(960, 560, &curves.seen(&linear)).unwrap().contains(">\nloss\n"));
        }

        #[test]
        fn what_is_switched_off_or_out_of_sight_is_not_drawn() {
            let whole = Curves::of(&metrics(60), &config(60), Theme::Light);
            let lens: CurvesLens =
                CurvesLens { epochs: Some((10, 20)), hidden: vec!["test_clean", "cas", "train_loss"], ..CurvesLens::default() };
            let drawn = svg(860, 380, &whole.clone().seen(&lens)).unwrap();
            for text in ["Clean test", "CAS", "CAS (right axis)", "Train loss", "loss", "last 62.0 %", "lr 0.01", "60"] {
                assert!(!drawn.contains(&format!(">\n{text}\n")), "{text} is there");
            }
            for text in ["Robust test", "best 70.0 %", "10", "20"] {
                assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
            }
            let layout = whole.seen(&lens).layout(860.0, 380.0);
            assert_eq!((layout.axes.epoch_at(layout.axes.plot.left), layout.axes.epoch_at(layout.axes.plot.right())), (Some(10), Some(20)));
            assert_eq!((layout.axes.x_of(10), layout.axes.x_of(20)), (layout.axes.plot.left, layout.axes.plot.right()));
        }

        #[test]
        fn the_label_of_best_stands_beside_its_mark() {
            for (width, height) in [(860, 420), (960, 560), (340, 300)] {
                let drawn = svg(width, height, &Curves::of(&metrics(60), &config(60), Theme::Light)).unwrap();
                let number = |element: &str, name: &str| -> f64 {
                    element.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap() / 4.0
                };
                let (before, _) = drawn.split_once(">\nbest 70.0 %\n").unwrap();
                let label = number(&before[before.rfind("<text").unwrap()..], "x");
                let mark = number(&drawn[drawn.find("<circle").unwrap()..], "cx");
                let half = text_width("best 70.0 %", LEGEND_SIZE) / 2.0;
                assert!((label - mark).abs() > half, "the label is from {} to {}, its mark at {mark}", label - half, label + half);
            }
        }

        #[test]
        fn a_figure_costs_what_its_pixels_cost_whatever_the_data_says() {
            let noise = |epoch: u32| f64::from(epoch.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
            let mut metrics = Metrics::default();
            for epoch in 1..=10_000 {
                metrics.epochs.push(Epoch {
                    train_loss: Some(10f64.powf(40.0 * noise(epoch) - 9.0)).filter(|_| epoch % 7 > 0),
                    train_clean_accuracy: Some(noise(epoch + 1)),
                    train_robust_accuracy: Some(noise(epoch + 2)),
                    test_clean_accuracy: Some(noise(epoch + 3)),
                    test_robust_accuracy: Some(noise(epoch + 4)),
                    test_loss: Some(noise(epoch + 5)),
                    ..fixtures::epoch(epoch * 100)
                });
                metrics.attributions.push(fixtures::matrix_of(epoch * 100, Inputs::Adversarial, 90.0 * noise(epoch + 6)));
                let kind = NoticeKind::CatastrophicOverfitting;
                metrics.notices.push(Notice { kind, epoch: Some(epoch * 100), message: String::new() });
            }
            let config = config(1_000_000);
            let drops = (1..5000).map(|drop| (200 * drop, 1e-9)).collect();
            let curves = Curves { drops, ..Curves::of(&metrics, &config, Theme::Light) };
            let drawn = svg(960, 560, &curves).unwrap();
            assert!(drawn.len() < 1_000_000, "{} bytes", drawn.len());
            // A single record of epoch 1,000,000 costs no more than its one point.
            metrics.epochs.drain(1..);
            metrics.epochs[0].epoch = 1_000_000;
            let drawn = svg(960, 560, &Curves::of(&metrics, &config, Theme::Light)).unwrap();
            assert!(drawn.contains("1\u{a0}000\u{a0}000"));
        }

        #[test]
        fn best_and_last_in_one_epoch_are_one_mark() {
            let drawn = drawn(12, 60);
            assert!(drawn.contains("best and last 70.0 %"));
            assert!(!drawn.contains(">\nlast"));
        }

        #[test]
        fn an_empty_run_says_so() {
            let drawn = svg(860, 380, &Curves::of(&Metrics::default(), &config(60), Theme::Dark)).unwrap();
            assert!(drawn.contains("No epoch has finished yet") && drawn.contains("lr 0.01"));
            let ended = Curves { ended: true, ..Curves::of(&Metrics::default(), &config(60), Theme::Dark) };
            let drawn = svg(860, 380, &ended).unwrap();
            assert!(drawn.contains("The run ended before its first epoch was done") && !drawn.contains("yet"));
            assert!(!ended.describe().contains("yet"), "{}", ended.describe());
        }

        #[test]
        fn runs_of_any_length_draw_finite_numbers_and_not_too_many() {
            for (done, epochs) in [(0, 1), (1, 1), (1, 60), (2, 2), (23, 60), (10_000, 10_000)] {
                for (width, height) in [(860, 380), (340, 300), (60, 40), (1, 1)] {
                    let curves = Curves { cursor: Some(1), ..Curves::of(&metrics(done), &config(epochs), Theme::Light) };
                    let drawn = svg(width, height, &curves).unwrap();
                    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{done} of {epochs} in {width}×{height}");
                    assert!(drawn.len() < 1_000_000, "{done} of {epochs} in {width}×{height}: {} bytes", drawn.len());
                }
            }
        }
    }
}
