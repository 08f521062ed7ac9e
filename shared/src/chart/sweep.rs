//! Results of a sweep: best, last and their difference over the varied value, with the range over seeds, and robust accuracy
//! over epochs.

use std::collections::BTreeMap;

use plotters::backend::DrawingBackend;

use super::axes::epoch_number;
use super::colors::{Palette, Theme};
use super::legend::{self, places};
use super::line::thinned;
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, text_width};
use super::scale::{Projection, ROUND, ROUNDEST, round_up, tick_label, ticks};
use super::tex::{self, Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::{Run, RunSummary, Sweep};
use crate::config::Inputs;
use crate::format;
use crate::id::RunId;
use crate::record::{Epoch, Metrics};
use crate::sweep::{self, Spread};

/// Runs that differ only in this field are summarized, because differences between seeds are random.
pub const SEED: &str = "seed";

/// Lines over a varied value or over epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepChart {
    pub x_name: String,
    /// The varied values with their positions; empty if the axis shows epochs.
    pub x_values: Vec<(f64, String)>,
    pub unit: Unit,
    pub series: Vec<SweepSeries>,
    /// Note after the legend.
    pub note: &'static str,
    pub theme: Theme,
}

/// Quantity on the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Robust accuracy, a fraction; the axis spans 0 to 100 %.
    Accuracy,
    /// CAS; the axis starts at 0.
    Cas,
    /// CAS of the best checkpoint − CAS of the last, which is what training past the best costs.
    CasLost,
}

/// A number of a finished or running training run.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Its name in addresses.
    pub slug: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// Which of the numbers of its unit, such as `Best`; empty if the unit has only one.
    pub name: &'static str,
    pub unit: Unit,
    /// Whether its line is dashed.
    pub dashed: bool,
    pub of: fn(&RunSummary) -> Option<f64>,
}

/// The numbers that sweeps show of their runs.
pub static READINGS: [Reading; 5] = [
    Reading {
        slug: "best",
        label: "Best robust",
        name: "Best",
        unit: Unit::Accuracy,
        dashed: false,
        of: |run| run.best.as_ref()?.robust_accuracy,
    },
    Reading {
        slug: "last",
        label: "Last robust",
        name: "Last",
        unit: Unit::Accuracy,
        dashed: true,
        of: |run| run.last.as_ref()?.robust_accuracy,
    },
    Reading { slug: "cas", label: "CAS, best", name: "Best", unit: Unit::Cas, dashed: false, of: |run| run.best.as_ref()?.cas },
    Reading { slug: "lastcas", label: "CAS, last", name: "Last", unit: Unit::Cas, dashed: true, of: |run| run.last.as_ref()?.cas },
    Reading {
        slug: "lost",
        label: "CAS, best − last",
        name: "",
        unit: Unit::CasLost,
        dashed: false,
        of: |run| run.delta_cas().map(|change| -change),
    },
];

#[derive(Clone, Debug, PartialEq)]
pub struct SweepSeries {
    /// Name in the legend; empty: not in the legend.
    pub name: String,
    /// Index into the series colors of the palette.
    pub color: usize,
    pub dashed: bool,
    /// Points by increasing `x`.
    pub points: Vec<SweepPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepPoint {
    pub x: f64,
    pub spread: Spread,
}

/// The runs of a sweep that differ only in their seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<'a> {
    /// Position of the value on the horizontal axis.
    pub x: f64,
    pub x_label: String,
    /// Values of the other fields, such as `training.method = trades`; empty if no other field is varied.
    pub others: String,
    pub runs: Vec<&'a Run>,
}

/// Fields for the horizontal axis: all varied fields, with the seed last.
pub fn fields(sweep: &Sweep) -> Vec<String> {
    let varied = |seeds: bool| sweep.axes.iter().map(|axis| axis.field.clone()).filter(move |field| (field == SEED) == seeds);
    varied(false).chain(varied(true)).collect()
}

/// Groups the runs by `field` and the other fields. Seeds are grouped together, unless `field` is the seed.
pub fn cells<'a>(sweep: &'a Sweep, field: &str) -> Vec<Cell<'a>> {
    let others: Vec<&str> = sweep.axes.iter().map(|axis| axis.field.as_str()).filter(|other| *other != field && *other != SEED).collect();
    let mut labels: Vec<String> = Vec::new();
    let mut cells: Vec<Cell<'a>> = Vec::new();
    for run in &sweep.runs {
        let value = |field: &str| sweep::text(&sweep::value_of(&run.config, field));
        let x_label = value(field);
        if !labels.contains(&x_label) {
            labels.push(x_label.clone());
        }
        let others = others.iter().map(|other| format!("{other} = {}", value(other))).collect::<Vec<_>>().join(", ");
        match cells.iter_mut().find(|cell| cell.x_label == x_label && cell.others == others) {
            Some(cell) => cell.runs.push(run),
            None => cells.push(Cell { x: 0.0, x_label, others, runs: vec![run] }),
        }
    }
    // Numbers are positioned by value, other values in the order of the runs.
    let number = |cell: &Cell<'_>| sweep::number(&sweep::value_of(&cell.runs.first()?.config, field));
    let numbers: Option<Vec<f64>> = cells.iter().map(number).collect();
    for (index, cell) in cells.iter_mut().enumerate() {
        let place = || labels.iter().position(|label| *label == cell.x_label).unwrap_or_default() as f64;
        cell.x = numbers.as_ref().map_or_else(place, |numbers| numbers[index]);
    }
    cells.sort_by(|a, b| a.x.total_cmp(&b.x));
    cells
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Accuracy => "Robust accuracy",
            Unit::Cas => "CAS",
            Unit::CasLost => "CAS, best − last",
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Unit::Accuracy => format::percent(value),
            Unit::Cas => format::decimal(value, 1),
            Unit::CasLost => format::decimal(value, 2),
        }
    }
}

impl Reading {
    /// Mean and spread over runs; `None` if none has the number.
    pub fn spread(&self, runs: &[&Run]) -> Option<Spread> {
        Spread::of(&runs.iter().filter_map(|run| (self.of)(&run.summary)).collect::<Vec<_>>())
    }
}

impl SweepChart {
    /// The readings of a unit, such as best and last, over the values of `field`.
    pub fn over_values(sweep: &Sweep, field: &str, x_name: &str, unit: Unit, theme: Theme) -> Self {
        let cells = cells(sweep, field);
        let groups = distinct(cells.iter().map(|cell| cell.others.clone()));
        let mut series = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for reading in READINGS.iter().filter(|reading| reading.unit == unit) {
                let Reading { name, dashed, .. } = *reading;
                let mine = cells.iter().filter(|cell| cell.others == *group);
                let points = mine.filter_map(|cell| Some(SweepPoint { x: cell.x, spread: reading.spread(&cell.runs)? }));
                let (name, color) = match (groups.len(), name) {
                    (1, "") => (unit.name().to_owned(), 0),
                    (1, name) => (name.to_owned(), usize::from(dashed)),
                    (_, "") => (group.clone(), index),
                    (_, name) => (format!("{group}, {}", name.to_ascii_lowercase()), index),
                };
                series.push(SweepSeries { name, color, dashed, points: points.collect() });
            }
        }
        let several = series.iter().flat_map(|series| &series.points).any(|point| point.spread.count > 1);
        SweepChart {
            x_name: x_name.to_owned(),
            x_values: distinct(cells.iter().map(|cell| (cell.x, cell.x_label.clone()))),
            unit,
            series,
            note: if several { "mean; bars from lowest to highest seed" } else { "" },
            theme,
        }
    }

    /// Robust accuracy on test and training images, or CAS on adversarial and clean inputs, over epochs: mean
    /// over seeds, one color for each value of `field`.
    pub fn over_epochs(sweep: &Sweep, field: &str, unit: Unit, metrics: &BTreeMap<RunId, Metrics>, theme: Theme) -> Self {
        let cells = cells(sweep, field);
        let several = distinct(cells.iter().map(|cell| cell.others.clone())).len() > 1;
        let mut series = Vec::new();
        for (color, cell) in cells.iter().enumerate() {
            let name = if several { format!("{}, {}", cell.x_label, cell.others) } else { cell.x_label.clone() };
            let of = |value: fn(&Epoch) -> Option<f64>| move |metrics: &Metrics| measured(metrics, value);
            let cas = |inputs: Inputs| {
                move |metrics: &Metrics| {
                    let mine = metrics.attributions.iter().filter(|entry| entry.inputs == inputs);
                    mine.map(|entry| (entry.epoch, entry.cas)).collect::<Vec<_>>()
                }
            };
            let [solid, dashed] = match unit {
                Unit::Accuracy => [
                    mean_curve(cell, metrics, of(|epoch| epoch.test_robust_accuracy)),
                    mean_curve(cell, metrics, of(|epoch| epoch.train_robust_accuracy)),
                ],
                Unit::Cas | Unit::CasLost => {
                    [mean_curve(cell, metrics, cas(Inputs::Adversarial)), mean_curve(cell, metrics, cas(Inputs::Clean))]
                }
            };
            series.push(SweepSeries { name, color, dashed: false, points: solid });
            series.push(SweepSeries { name: String::new(), color, dashed: true, points: dashed });
        }
        SweepChart {
            x_name: "epoch".to_owned(),
            x_values: Vec::new(),
            unit,
            series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
            note: match unit {
                Unit::Accuracy => "solid: test images, dashed: training images",
                Unit::Cas | Unit::CasLost => "solid: adversarial inputs, dashed: clean",
            },
            theme,
        }
    }

    fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    fn layout(&self, width: f64, height: f64) -> SweepLayout {
        let named: Vec<usize> = (0..self.series.len()).filter(|index| !self.series[*index].name.is_empty()).collect();
        let names = named.iter().map(|index| self.series[*index].name.as_str()).chain((!self.note.is_empty()).then_some(self.note));
        let (keys, legend_height) = places(names, LEFT, width);
        let top = legend_height + AXIS_NAMES;
        let plot = Rect::new(LEFT, top, (width - RIGHT - LEFT).max(1.0), (height - top - BOTTOM).max(1.0));
        let steps = if plot.height >= 130.0 { 5.0 } else { 2.0 };
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (lowest, highest, y_step) = match self.unit {
            Unit::Accuracy => (0.0, 1.0, 1.0 / steps),
            Unit::Cas | Unit::CasLost => {
                let lowest = points().map(|point| point.spread.low).fold(0.0, f64::min);
                let highest = points().map(|point| point.spread.high).fold(0.05, f64::max);
                let step = round_up((highest - lowest) / steps, &ROUND);
                let whole = |value: f64| (value / step - 1e-9).ceil() * step;
                (-whole(-lowest), if lowest < 0.0 { whole(highest) } else { step * steps }, step)
            }
        };
        let places = || points().map(|point| point.x).chain(self.x_values.iter().map(|value| value.0));
        let (first, last) = match self.x_values.is_empty() {
            true => (0.0, places().fold(1.0, f64::max)),
            false => (places().fold(f64::INFINITY, f64::min), places().fold(f64::NEG_INFINITY, f64::max)),
        };
        // Margin for the dots at the ends; a single value is in the middle.
        let margin = if self.x_values.is_empty() { 0.0 } else { ((last - first) * 0.05).max(if last > first { 0.0 } else { 1.0 }) };
        SweepLayout {
            plot,
            x: Projection { values: (first - margin, last + margin), pixels: (plot.left, plot.right()) },
            y: Projection { values: (lowest, highest), pixels: (plot.bottom(), plot.top) },
            y_step,
            keys: named.into_iter().map(Some).chain([None]).zip(keys).collect(),
        }
    }

    fn paint_axes<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &SweepLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks(layout.y.values, layout.y_step) {
            let y = layout.y.to_pixel(value);
            let text = match self.unit {
                Unit::Accuracy => format!("{} %", format::decimal(value * 100.0, 0)),
                Unit::Cas | Unit::CasLost => tick_label(value, layout.y_step),
            };
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&text, (plot.left - 8.0, y), Align::End, font)?;
        }
        pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)?;
        if layout.y.values.0 < 0.0 {
            pen.horizontal(plot.left, plot.right(), layout.y.to_pixel(0.0), palette.axis)?;
        }
        let epochs = || {
            let step = round_up((layout.x.values.1 / (plot.width / 70.0).clamp(1.0, 10.0)).max(1.0), &ROUNDEST);
            ticks(layout.x.values, step).into_iter().map(|value| (value, epoch_number(value as u32))).collect()
        };
        let labels = if self.x_values.is_empty() { epochs() } else { self.x_values.clone() };
        let mut free_from = f64::MIN;
        for (value, text) in labels {
            let text = shortened(text);
            let (x, half) = (layout.x.to_pixel(value), text_width(&text, AXIS_SIZE) / 2.0);
            pen.vertical(x, plot.bottom(), plot.bottom() + 4.0, 0.0, palette.axis)?;
            // A long value at an end is moved inside.
            let x = x.min(pen.width() - half).max(half);
            if x - half >= free_from {
                pen.text(&text, (x, plot.bottom() + 13.0), Align::Middle, font)?;
                free_from = x + half + 4.0;
            }
        }
        pen.text(&self.x_name, (plot.center().0, plot.bottom() + 29.0), Align::Middle, font)?;
        pen.text(&self.unit.name().replacen('R', "r", 1), (plot.left - 38.0, plot.top - 16.0), Align::Start, font)
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &SweepLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        for (key, (x, y)) in &layout.keys {
            let Some(series) = key.map(|index| &self.series[index]) else {
                pen.text(self.note, (*x, *y), Align::Start, Font::new(legend::TEXT_SIZE, palette.text_muted))?;
                continue;
            };
            series.stroke(pen, &[(*x, *y), (x + legend::SAMPLE, *y)], palette)?;
            let at = (x + legend::SAMPLE + legend::GAP, *y);
            pen.text(&series.name, at, Align::Start, Font::new(legend::TEXT_SIZE, palette.text))?;
        }
        Ok(())
    }

    fn paint_series<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &SweepLayout, series: &SweepSeries) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let color = series.color(palette);
        let points: Vec<(f64, f64)> =
            series.points.iter().map(|point| (layout.x.to_pixel(point.x), layout.y.to_pixel(point.spread.mean))).collect();
        if points.len() > 1 {
            series.stroke(pen, &thinned(&points), palette)?;
        }
        // There are too many epochs for dots.
        if self.x_values.is_empty() && points.len() > 1 {
            return Ok(());
        }
        for (point, (x, y)) in series.points.iter().zip(points) {
            let Spread { low, high, .. } = point.spread;
            if high > low {
                let (top, bottom) = (layout.y.to_pixel(high), layout.y.to_pixel(low));
                pen.path(&[(x, top), (x, bottom)], 1.0, color)?;
                for end in [top, bottom] {
                    pen.path(&[(x - 4.0, end), (x + 4.0, end)], 1.0, color)?;
                }
            }
            pen.disc((x, y), 4.0, color)?;
            if series.dashed {
                pen.disc((x, y), 2.5, palette.surface)?;
            }
        }
        Ok(())
    }
}

impl SweepSeries {
    fn color(&self, palette: &Palette) -> plotters::style::RGBColor {
        palette.series[self.color % palette.series.len()]
    }

    fn stroke<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, points: &[(f64, f64)], palette: &Palette) -> Result<(), ChartError> {
        if self.dashed { pen.dashed(points, 1.5, self.color(palette)) } else { pen.path(points, 2.0, self.color(palette)) }
    }
}

/// The beginning of a value that is too long for an axis, such as a list. Tables and descriptions have all of it.
fn shortened(text: String) -> String {
    const LONGEST: usize = 28;
    match text.char_indices().nth(LONGEST) {
        Some(_) => text.chars().take(LONGEST - 1).chain(['…']).collect(),
        None => text,
    }
}

/// A number of each epoch that has it.
fn measured(metrics: &Metrics, value: fn(&Epoch) -> Option<f64>) -> Vec<(u32, f64)> {
    metrics.epochs.iter().filter_map(|epoch| Some((epoch.epoch, value(epoch)?))).collect()
}

/// Mean over the runs of a cell, for each epoch.
fn mean_curve(cell: &Cell<'_>, metrics: &BTreeMap<RunId, Metrics>, values: impl Fn(&Metrics) -> Vec<(u32, f64)>) -> Vec<SweepPoint> {
    let mut by_epoch: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (epoch, value) in cell.runs.iter().filter_map(|run| metrics.get(&run.id)).flat_map(values) {
        by_epoch.entry(epoch).or_default().push(value);
    }
    by_epoch.into_iter().filter_map(|(epoch, values)| Some(SweepPoint { x: f64::from(epoch), spread: Spread::of(&values)? })).collect()
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

struct SweepLayout {
    plot: Rect,
    x: Projection,
    y: Projection,
    y_step: f64,
    /// Positions of the legend's entries: index of a series, or `None` for the note.
    keys: Vec<(Option<usize>, (f64, f64))>,
}

const AXIS_SIZE: f64 = 11.0;
/// Space above the plot for the name of the axis.
const AXIS_NAMES: f64 = 26.0;
const BOTTOM: f64 = 38.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;

impl Chart for SweepChart {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        self.paint_axes(pen, &layout)?;
        if self.is_empty() {
            let (x, y) = layout.plot.center();
            return pen.text("Nothing is measured yet", (x, y), Align::Middle, Font::new(13.0, palette.text_muted));
        }
        self.paint_legend(pen, &layout)?;
        // Draw the first series last, above the others.
        self.series.iter().rev().try_for_each(|series| self.paint_series(pen, &layout, series))
    }

    fn describe(&self) -> String {
        let name = self.unit.name();
        if self.is_empty() {
            return format!("{name} over {}: nothing is measured yet.", self.x_name);
        }
        let label = |x: f64| {
            let known = self.x_values.iter().find(|value| value.0 == x);
            known.map_or_else(|| format!("{} {x}", self.x_name), |value| value.1.clone())
        };
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        let parts = named.filter_map(|series| {
            let (first, last) = (series.points.first()?, series.points.last()?);
            let at = |point: &SweepPoint| format!("{} at {}", self.unit.text(point.spread.mean), label(point.x));
            Some(match series.points.len() {
                1 => format!("{} {}", series.name, at(first)),
                _ => format!("{} from {} to {}", series.name, at(first), at(last)),
            })
        });
        format!("{name} over {}: {}.", self.x_name, parts.collect::<Vec<_>>().join("; "))
    }
}

impl Figure for SweepChart {
    fn size(&self) -> (u32, u32) {
        (720, 400)
    }

    /// A row for each point: mean, lowest and highest value.
    fn numbers(&self) -> Numbers {
        let (mut names, mut inputs, mut labels, mut spreads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut name = "";
        for series in &self.series {
            // Over epochs, the dashed line has no name and follows the solid one, which has one.
            let is_second = series.name.is_empty();
            name = if is_second { name } else { &series.name };
            for point in &series.points {
                let label = self.x_values.iter().find(|value| value.0 == point.x).map(|value| value.1.clone());
                names.push(name.to_owned());
                inputs.push(
                    match (self.unit, is_second) {
                        (Unit::Cas, false) if self.x_values.is_empty() => "adversarial",
                        (Unit::Cas, true) => "clean",
                        (_, false) => "test",
                        (_, true) => "train",
                    }
                    .to_owned(),
                );
                labels.push(label.unwrap_or_else(|| point.x.to_string()));
                spreads.push(point.spread);
            }
        }
        let column = |of: fn(&Spread) -> f64| Values::Numbers(spreads.iter().map(of).collect());
        Numbers::table(vec![
            ("series", Values::Texts(names)),
            ("inputs", Values::Texts(inputs)),
            ("x", Values::Texts(labels)),
            ("mean", column(|spread| spread.mean)),
            ("low", column(|spread| spread.low)),
            ("high", column(|spread| spread.high)),
            ("runs", Values::Integers(spreads.iter().map(|spread| spread.count as i64).collect())),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        let factor = if self.unit == Unit::Accuracy { 100.0 } else { 1.0 };
        let series = self.series.iter().map(|series| Line {
            name: series.name.clone(),
            style: format!(
                "series{}, {}{}",
                series.color % self.theme.palette().series.len(),
                if series.dashed { "dashed" } else { "thick" },
                if self.x_values.is_empty() { "" } else { ", mark=*, mark options={solid}" }
            ),
            points: series.points.iter().map(|point| (point.x, point.spread.mean * factor)).collect(),
            reach: match series.points.iter().any(|point| point.spread.count > 1) {
                true => {
                    let spreads = series.points.iter().map(|point| &point.spread);
                    spreads.map(|spread| ((spread.mean - spread.low) * factor, (spread.high - spread.mean) * factor)).collect()
                }
                false => Vec::new(),
            },
        });
        let mut options = vec![tex::SIZE.to_owned(), format!("xlabel={{{}}}", tex.escaped(&self.x_name))];
        options.push(match self.unit {
            Unit::Accuracy => "ymin=0, ymax=100, ylabel={robust accuracy (\\%)}".to_owned(),
            Unit::Cas => "ymin=0, ylabel={CAS}".to_owned(),
            Unit::CasLost => "ylabel={CAS, best $-$ last}".to_owned(),
        });
        if !self.x_values.is_empty() {
            options.push(tex.named_ticks(&self.x_values));
        }
        options.extend(["ymajorgrids", tex::LEGEND].map(str::to_owned));
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series: series.collect(), verticals: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EpochSummary, SweepAxis};
    use crate::config::RunConfig;
    use crate::fixtures;
    use crate::preset;
    use crate::record::Record;
    use serde_json::{Value, json};

    /// E2 with two seeds and made-up results; seed 1 is one point better.
    fn made(axes: &[(&str, &[Value])]) -> Sweep {
        let axes: Vec<SweepAxis> =
            axes.iter().map(|(field, values)| SweepAxis { field: (*field).into(), values: values.to_vec() }).collect();
        let mut configs = vec![preset::demo().config.to_json()];
        for axis in &axes {
            let pointer = format!("/{}", axis.field.replace('.', "/"));
            let with = |config: &Value, value: &Value| {
                let mut config = config.clone();
                *config.pointer_mut(&pointer).unwrap() = value.clone();
                config
            };
            configs = configs.iter().flat_map(|config| axis.values.iter().map(move |value| with(config, value))).collect();
        }
        let run = |(index, config): (usize, &Value)| {
            let config = RunConfig::parse(config).unwrap();
            let train = config.as_train().unwrap();
            let (eps, seed) = (train.attack.eps.fraction() * 255.0, f64::from(train.seed));
            let summary = |epoch, loss: f64| {
                let robust_accuracy = Some(0.8 - 0.02 * eps + 0.01 * seed - loss);
                Some(EpochSummary { epoch, clean_accuracy: None, robust_accuracy, cas: Some(20.0 + eps - 100.0 * loss), signs: Vec::new() })
            };
            let summary = RunSummary { best: summary(3, 0.0), last: summary(9, 0.1), ..RunSummary::default() };
            Run { config, summary, ..fixtures::run(&format!("r-{index}")) }
        };
        let runs = configs.iter().enumerate().map(run).collect();
        Sweep { id: "s".parse().unwrap(), title: String::new(), created_at: String::new(), axes, at_once: None, runs }
    }

    fn eps_and_seeds() -> Sweep {
        made(&[("attack.eps", &[json!("16/255"), json!(2), json!("8/255")]), ("seed", &[json!(0), json!(1)])])
    }

    #[test]
    fn seeds_are_one_point_with_their_spread() {
        let chart = SweepChart::over_values(&eps_and_seeds(), "attack.eps", "Radius eps", Unit::Accuracy, Theme::Light);
        assert_eq!(chart.x_values.iter().map(|value| value.1.as_str()).collect::<Vec<_>>(), ["2/255", "8/255", "16/255"]);
        let names: Vec<(&str, bool)> = chart.series.iter().map(|series| (series.name.as_str(), series.dashed)).collect();
        assert_eq!(names, [("Best", false), ("Last", true)]);
        let first = chart.series[0].points[0];
        assert!((first.x * 255.0 - 2.0).abs() < 1e-9 && first.spread.count == 2);
        assert!((first.spread.mean - 0.765).abs() < 1e-9, "{first:?}");
        assert!((first.spread.low - 0.76).abs() < 1e-9 && (first.spread.high - 0.77).abs() < 1e-9);
        assert_eq!(
            chart.describe(),
            "Robust accuracy over Radius eps: Best from 76.5 % at 2/255 to 48.5 % at 16/255; Last from 66.5 % at 2/255 to 38.5 % at 16/255."
        );
    }

    #[test]
    fn another_varied_field_has_lines_of_its_own() {
        let sweep = made(&[("attack.eps", &[json!(2), json!(8)]), ("training.label_smoothing", &[json!(0.0), json!(0.1)])]);
        assert_eq!(fields(&sweep), ["attack.eps", "training.label_smoothing"]);
        let chart = SweepChart::over_values(&sweep, "attack.eps", "eps", Unit::Cas, Theme::Light);
        let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
        let smoothing = "training.label_smoothing";
        assert_eq!(
            names,
            [
                format!("{smoothing} = 0.0, best"),
                format!("{smoothing} = 0.0, last"),
                format!("{smoothing} = 0.1, best"),
                format!("{smoothing} = 0.1, last")
            ]
        );
        assert_eq!(chart.series[2].color, chart.series[3].color);
    }

    #[test]
    fn what_training_past_the_best_costs_is_drawn_below_zero_where_cas_rose() {
        let mut sweep = eps_and_seeds();
        let chart = SweepChart::over_values(&sweep, "attack.eps", "Radius eps", Unit::CasLost, Theme::Light);
        let [lost] = &chart.series[..] else { panic!("{:?}", chart.series) };
        assert!(lost.points.iter().all(|point| (point.spread.mean - 10.0).abs() < 1e-9), "{lost:?}");
        assert_eq!((lost.name.as_str(), chart.layout(720.0, 400.0).y.values), ("CAS, best − last", (0.0, 10.0)));
        for run in &mut sweep.runs {
            std::mem::swap(&mut run.summary.best, &mut run.summary.last);
        }
        sweep.runs[0].summary.best.as_mut().unwrap().cas = Some(30.0);
        let chart = SweepChart::over_values(&sweep, "attack.eps", "Radius eps", Unit::CasLost, Theme::Light);
        let layout = chart.layout(720.0, 400.0);
        let (low, high) = layout.y.values;
        assert!(low <= -10.0 && high > 0.0 && ticks(layout.y.values, layout.y_step).iter().any(|tick| tick.abs() < 1e-9), "{low} {high}");
    }

    #[test]
    fn lists_stand_in_the_order_of_the_runs_and_long_ones_are_cut_on_the_axis() {
        let many = json!([3, 17, 40, 55, 90, 120, 200, 310, 400, 480]);
        let mut sweep = made(&[("data.label_noise", &[json!(0.0), json!(0.1)])]);
        sweep.axes[0] = SweepAxis { field: "training.left_out_features".into(), values: vec![json!([]), many.clone()] };
        for (run, value) in sweep.runs.iter_mut().zip([json!([]), many]) {
            let mut config = run.config.to_json();
            config["model"]["width"] = json!(128);
            config["data"]["label_noise"] = json!(0.0);
            config["training"]["left_out_features"] = value;
            run.config = RunConfig::parse(&config).unwrap();
        }
        let places = cells(&sweep, "training.left_out_features").into_iter().map(|cell| (cell.x, cell.x_label));
        assert_eq!(places.collect::<Vec<_>>(), [(0.0, "[]".to_owned()), (1.0, "[3,17,40,55,90,120,200,310,400,480]".to_owned())]);
        assert_eq!(shortened("[3,17,40,55,90,120,200,310,400,480]".to_owned()), "[3,17,40,55,90,120,200,310,…");
        assert_eq!(shortened("weight_averaging".to_owned()), "weight_averaging");
    }

    #[test]
    fn words_stand_in_the_order_of_the_runs_and_seeds_may_be_what_is_varied() {
        let methods = made(&[("training.method", &[json!("standard"), json!("pgd_at")])]);
        let places: Vec<(f64, String)> = cells(&methods, "training.method").into_iter().map(|cell| (cell.x, cell.x_label)).collect();
        assert_eq!(places, [(0.0, "standard".to_owned()), (1.0, "pgd_at".to_owned())]);
        let seeds = made(&[("seed", &[json!(4), json!(7)])]);
        assert_eq!(fields(&seeds), [SEED]);
        assert_eq!(cells(&seeds, SEED).iter().map(|cell| (cell.x, cell.runs.len())).collect::<Vec<_>>(), [(4.0, 1), (7.0, 1)]);
    }

    fn metrics(sweep: &Sweep) -> BTreeMap<RunId, Metrics> {
        let epochs = |offset: f64| {
            Metrics::from_records((1..=5).map(|epoch| {
                let (trained, tested) = (Some(0.5), Some(0.1 * f64::from(epoch) + offset));
                Record::Epoch(Epoch { train_robust_accuracy: trained, test_robust_accuracy: tested, ..fixtures::epoch(epoch) })
            }))
        };
        sweep.runs.iter().enumerate().map(|(index, run)| (run.id.clone(), epochs(if index % 2 == 0 { 0.0 } else { 0.02 }))).collect()
    }

    #[test]
    fn curves_are_the_mean_over_seeds_and_name_each_value_once() {
        let sweep = eps_and_seeds();
        let chart = SweepChart::over_epochs(&sweep, "attack.eps", Unit::Accuracy, &metrics(&sweep), Theme::Light);
        let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["2/255", "", "8/255", "", "16/255", ""]);
        assert!((chart.series[0].points[2].spread.mean - 0.31).abs() < 1e-9);
        assert!(SweepChart::over_epochs(&sweep, "attack.eps", Unit::Accuracy, &BTreeMap::new(), Theme::Light).is_empty());
    }

    #[test]
    fn cas_over_epochs_is_of_adversarial_inputs_and_dashed_of_clean_ones() {
        let sweep = made(&[("seed", &[json!(0), json!(1)])]);
        let of = |index: usize| {
            let entry = |epoch, inputs, cas| Record::Attribution(fixtures::matrix_of(epoch, inputs, cas));
            let cas = 8.0 + index as f64;
            Metrics::from_records([
                entry(1, Inputs::Adversarial, cas),
                entry(2, Inputs::Adversarial, cas - 2.0),
                entry(2, Inputs::Clean, 4.0),
            ])
        };
        let metrics = sweep.runs.iter().enumerate().map(|(index, run)| (run.id.clone(), of(index))).collect();
        let chart = SweepChart::over_epochs(&sweep, "attack.eps", Unit::Cas, &metrics, Theme::Light);
        let drawn: Vec<(bool, Vec<(f64, f64)>)> = chart
            .series
            .iter()
            .map(|series| (series.dashed, series.points.iter().map(|point| (point.x, point.spread.mean)).collect()))
            .collect();
        assert_eq!(drawn, [(false, vec![(1.0, 8.5), (2.0, 6.5)]), (true, vec![(2.0, 4.0)])]);
    }

    #[test]
    fn charts_of_any_size_draw_finite_numbers() {
        use crate::chart::svg;
        let full = eps_and_seeds();
        let one = made(&[("seed", &[json!(1)])]);
        let empty = Sweep { runs: Vec::new(), ..one.clone() };
        for sweep in [&full, &one, &empty] {
            let field = &fields(sweep)[0];
            for chart in [
                SweepChart::over_values(sweep, field, "Radius eps", Unit::Accuracy, Theme::Light),
                SweepChart::over_values(sweep, field, "Radius eps", Unit::Cas, Theme::Dark),
                SweepChart::over_values(sweep, field, "Radius eps", Unit::CasLost, Theme::Dark),
                SweepChart::over_epochs(sweep, field, Unit::Accuracy, &metrics(sweep), Theme::Light),
                SweepChart::over_epochs(sweep, field, Unit::Cas, &metrics(sweep), Theme::Light),
            ] {
                for (width, height) in [(640, 320), (340, 280), (60, 40), (1, 1)] {
                    let drawn = svg(width, height, &chart).unwrap();
                    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{} in {width}×{height}", chart.describe());
                }
            }
        }
        let chart = SweepChart::over_values(&full, "attack.eps", "Radius eps", Unit::Accuracy, Theme::Light);
        let drawn = svg(640, 320, &chart).unwrap();
        for text in ["2/255", "16/255", "Radius eps", "Best", "Last", "100 %"] {
            assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
        }
        assert!(
            svg(640, 320, &SweepChart::over_values(&empty, "seed", "Seed", Unit::Cas, Theme::Light))
                .unwrap()
                .contains("Nothing is measured yet")
        );
    }
}
