//! Curves of several runs in one chart: robust test accuracy, CAS, and losses below. Each run has a color.

use std::collections::BTreeSet;

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axes::{self, EpochAxes, Losses, Span, epoch_number};
use super::colors::Theme;
use super::comparison::LETTERS;
use super::curves::{CAS, QUIET, SeriesKind, diamond, quiet};
use super::line::{forked, parts, thinned_to};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, fitted};
use super::tex::{self, OverEpochs, Tex};
use super::{Chart, ChartError, Figure, Pen, legend};
use crate::api::Comparison;
use crate::config::Inputs;
use crate::format;
use crate::id::RunId;
use crate::record::Metrics;
use crate::view::{CurvesLens, SIDES};

/// The curves of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlaidCurves {
    /// Number of epochs on the axis: that of the longest run.
    pub epochs: u32,
    pub runs: Vec<OverlaidRun>,
    /// Visible epochs and curves.
    pub lens: CurvesLens,
    /// Whether the chart has a legend. Pages have switches instead.
    pub show_legend: bool,
    pub theme: Theme,
}

/// The curves of one run. Accuracies are fractions.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlaidRun {
    pub title: String,
    /// Index into the series colors of the palette, see [`run_colors`].
    pub color: usize,
    /// Robust test accuracy by epoch.
    pub robust: Vec<(u32, f64)>,
    /// Training loss by epoch; a non-finite value is a gap.
    pub train_loss: Vec<(u32, f64)>,
    /// Loss on adversarial test images by epoch.
    pub test_loss: Vec<(u32, f64)>,
    /// CAS on adversarial inputs by epoch.
    pub cas: Vec<(u32, f64)>,
    /// Epoch of the checkpoint that the run started from. What is before it was measured of another run.
    pub fork: Option<u32>,
    /// Compared epochs, each with the letter of its attribution.
    pub marks: Vec<(u32, &'static str)>,
}

/// A run of a comparison, with its compared epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub run: RunId,
    pub title: String,
    /// Compared epochs, each with the letter of its attribution.
    pub marks: Vec<(u32, &'static str)>,
}

impl Compared {
    /// All runs of a comparison, each once, in the order of the attributions.
    pub fn all(comparison: &Comparison) -> Vec<Self> {
        let mut all: Vec<Compared> = Vec::new();
        for (attribution, letter) in comparison.attributions.iter().zip(LETTERS) {
            let mark = (attribution.file.epoch, letter);
            match all.iter_mut().find(|known| known.run == attribution.context.run) {
                Some(known) => known.marks.push(mark),
                None => all.push(Compared {
                    run: attribution.context.run.clone(),
                    title: attribution.context.run_title.clone(),
                    marks: vec![mark],
                }),
            }
        }
        all
    }

    /// Letters and title, such as `A, C: Demo`.
    pub fn name(&self) -> String {
        let letters: Vec<&str> = self.marks.iter().map(|(_, letter)| *letter).collect();
        format!("{}: {}", letters.join(", "), self.title)
    }
}

/// Number of distinguishable colors.
const COLORS: usize = 6;
/// Maximum width of a title in the legend.
const LONGEST_TITLE: f64 = 400.0;
const KEY: &str = "Robust test; dashed: CAS (right axis)";
const KEY_WITH_LOSSES: &str = "Robust test, train loss; dashed: CAS (right axis), robust test loss";

/// Color of each run, as an index into the series colors, in the order of `runs`.
///
/// A color belongs to a run: it depends on the run's name, and not on the other runs or their order. Only if
/// two runs have the same color, the later one by name gets the next free color.
pub fn run_colors(runs: &[&str]) -> Vec<usize> {
    let names: BTreeSet<&str> = runs.iter().copied().collect();
    let mut taken: Vec<(&str, usize)> = Vec::new();
    for name in names {
        // FNV-1a: a short hash with the same result on every machine.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let own = (hash % COLORS as u64) as usize;
        let free = (0..COLORS).map(|step| (own + step) % COLORS).find(|color| taken.iter().all(|(_, other)| other != color));
        taken.push((name, free.unwrap_or(own)));
    }
    let color = |run: &&str| taken.iter().find(|(name, _)| name == run).map_or(0, |(_, color)| *color);
    runs.iter().map(color).collect()
}

impl OverlaidRun {
    pub fn of(title: &str, color: usize, metrics: &Metrics, marks: Vec<(u32, &'static str)>) -> Self {
        OverlaidRun {
            title: title.to_owned(),
            color,
            robust: SeriesKind::TestRobust.points(metrics),
            train_loss: SeriesKind::TrainLoss.points(metrics),
            test_loss: SeriesKind::TestLoss.points(metrics),
            cas: metrics.attributions_from_first(Inputs::Adversarial).map(|entry| (entry.epoch, entry.cas)).collect(),
            fork: metrics.fork.as_ref().map(|fork| fork.checkpoint.epoch),
            marks,
        }
    }

    /// Name in [`crate::view::CURVES`]: that of the run's first attribution.
    pub fn id(&self) -> &'static str {
        let side = self.marks.first().and_then(|(_, letter)| LETTERS.iter().position(|known| known == letter));
        SIDES[side.unwrap_or_default()]
    }

    fn robust_at(&self, epoch: u32) -> Option<f64> {
        self.robust.binary_search_by_key(&epoch, |point| point.0).ok().map(|index| self.robust[index].1)
    }
}

impl OverlaidCurves {
    pub fn of(runs: Vec<OverlaidRun>, theme: Theme) -> Self {
        let last = |run: &OverlaidRun| run.robust.iter().chain(&run.cas).chain(&run.train_loss).map(|point| point.0).max();
        let epochs = runs.iter().filter_map(last).max().unwrap_or(1).max(1);
        OverlaidCurves { epochs, runs, lens: CurvesLens::default(), show_legend: true, theme }
    }

    /// The same curves with this lens.
    pub fn seen(self, lens: &CurvesLens) -> Self {
        OverlaidCurves { lens: lens.clone(), ..self }
    }

    /// Default height in CSS pixels.
    pub fn natural_height(&self) -> f64 {
        if self.losses().is_some() { 540.0 } else { 400.0 }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.robust.is_empty() && run.cas.is_empty() && run.train_loss.is_empty())
    }

    /// Whether any run has losses, visible or not.
    pub fn has_losses(&self) -> bool {
        self.runs.iter().any(|run| run.train_loss.iter().chain(&run.test_loss).any(|point| point.1.is_finite()))
    }

    pub fn has_cas(&self) -> bool {
        self.runs.iter().any(|run| !run.cas.is_empty())
    }

    /// First and last visible epoch.
    pub fn sight(&self) -> (u32, u32) {
        self.lens.sight(self.epochs)
    }

    /// The visible runs.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &OverlaidRun> {
        self.runs.iter().filter(|run| self.lens.shows(run.id()))
    }

    /// The curve of a kind; empty if it is hidden.
    pub fn curve<'a>(&self, run: &'a OverlaidRun, kind: SeriesKind) -> &'a [(u32, f64)] {
        match kind {
            _ if !self.lens.shows(kind.id()) => &[],
            SeriesKind::TestRobust => &run.robust,
            SeriesKind::TrainLoss => &run.train_loss,
            SeriesKind::TestLoss => &run.test_loss,
            SeriesKind::TestClean | SeriesKind::TrainRobust | SeriesKind::TrainClean | SeriesKind::NonTarget => &[],
        }
    }

    /// CAS of a run; empty if it is hidden.
    pub fn cas<'a>(&self, run: &'a OverlaidRun) -> &'a [(u32, f64)] {
        if self.lens.shows(CAS) { &run.cas } else { &[] }
    }

    /// Whether losses have a logarithmic axis.
    pub fn loss_is_log(&self) -> bool {
        self.losses().is_some_and(Losses::is_log)
    }

    fn losses(&self) -> Option<Losses> {
        let curves = self.shown().flat_map(|run| [SeriesKind::TrainLoss, SeriesKind::TestLoss].map(|kind| self.curve(run, kind)));
        Losses::of(curves, self.sight(), self.lens.loss)
    }

    /// Axes in a box, and positions of the legend's entries.
    fn layout(&self, keys: &[String], width: f64, height: f64) -> (EpochAxes, Vec<(f64, f64)>) {
        let (places, legend_height) = legend::places(keys.iter().map(String::as_str), axes::LEFT, width);
        let highest_cas = self.shown().flat_map(|run| self.cas(run)).map(|point| point.1).reduce(f64::max);
        let span = Span { sight: self.sight(), highest_cas, losses: self.losses() };
        (EpochAxes::new(&span, legend_height, width, height), places)
    }

    /// Axes in a box.
    pub fn axes(&self, width: f64, height: f64) -> EpochAxes {
        self.layout(&self.keys(), width, height).0
    }

    fn keys(&self) -> Vec<String> {
        if !self.show_legend {
            return Vec::new();
        }
        let titles = self.shown().map(|run| fitted(&run.title, legend::TEXT_SIZE, LONGEST_TITLE));
        let key = if self.losses().is_some() { KEY_WITH_LOSSES } else { KEY };
        titles.chain([key.to_owned()]).collect()
    }

    fn paint_run<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, axes: &EpochAxes, run: &OverlaidRun) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let color = self.color(run);
        if let Some(projection) = axes.cas {
            let at = |epoch: u32, cas: f64| (axes.x_of(epoch), projection.to_pixel(cas));
            let [before, own] = forked(self.cas(run), run.fork);
            for (points, color) in [(before, quiet(color, palette)), (own, color)] {
                for part in parts(points, axes.sight, at).iter().filter(|part| part.len() > 1) {
                    pen.dashed(part, 1.25, color)?;
                }
                let points = points.iter().filter(|point| axes.shows(point.0)).map(|(epoch, cas)| at(*epoch, *cas));
                for point in thinned_to(&points.collect::<Vec<_>>(), 4.5) {
                    pen.polygon(&diamond(point), color)?;
                }
            }
        }
        if let Some(loss) = &axes.loss {
            let at = |epoch: u32, value: f64| (axes.x_of(epoch), loss.to_pixel(value));
            let [before, own] = forked(self.curve(run, SeriesKind::TestLoss), run.fork);
            for part in parts(before, axes.sight, at) {
                pen.dashed(&part, 1.25, quiet(color, palette))?;
            }
            for part in parts(own, axes.sight, at) {
                pen.dashed(&part, 1.25, color)?;
            }
            let [before, own] = forked(self.curve(run, SeriesKind::TrainLoss), run.fork);
            for part in parts(before, axes.sight, at) {
                pen.path(&part, QUIET, quiet(color, palette))?;
            }
            for part in parts(own, axes.sight, at) {
                line(pen, &part, color)?;
            }
        }
        let robust = self.curve(run, SeriesKind::TestRobust);
        let at = |epoch: u32, value: f64| (axes.x_of(epoch), axes.accuracy.to_pixel(value));
        let [before, own] = forked(robust, run.fork);
        for part in parts(before, axes.sight, at) {
            pen.path(&part, QUIET, quiet(color, palette))?;
        }
        for part in parts(own, axes.sight, at) {
            line(pen, &part, color)?;
        }
        if let Some((epoch, value)) = before.last().filter(|point| axes.shows(point.0)) {
            pen.disc(at(*epoch, *value), 4.0, color)?;
            pen.disc(at(*epoch, *value), 2.0, palette.surface)?;
        }
        for (epoch, letter) in run.marks.iter().filter(|mark| axes.shows(mark.0) && !robust.is_empty()) {
            let x = axes.x_of(*epoch);
            let y = run.robust_at(*epoch).map_or(axes.plot.bottom(), |value| axes.accuracy.to_pixel(value));
            pen.disc((x, y), 9.0, palette.surface)?;
            pen.disc((x, y), 8.0, color)?;
            pen.text(letter, (x, y), Align::Middle, Font::new(11.0, palette.surface).bold())?;
        }
        Ok(())
    }

    pub fn color(&self, run: &OverlaidRun) -> RGBColor {
        let series = &self.theme.palette().series;
        series[run.color % series.len()]
    }
}

impl Chart for OverlaidCurves {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let keys = self.keys();
        let (axes, places) = self.layout(&keys, pen.width(), pen.height());
        let shown: Vec<&OverlaidRun> = self.shown().collect();
        axes.paint(pen, self.theme, palette.text_muted)?;
        for (index, (key, (x, y))) in keys.iter().zip(places).enumerate() {
            let font = Font::new(legend::TEXT_SIZE, if index < shown.len() { palette.text } else { palette.text_muted });
            let text = match shown.get(index) {
                Some(run) => {
                    pen.path(&[(x, y), (x + legend::SAMPLE, y)], 2.0, self.color(run))?;
                    x + legend::SAMPLE + legend::GAP
                }
                None => x,
            };
            pen.text(key, (text, y), Align::Start, font)?;
        }
        if self.is_empty() {
            let (x, y) = axes.plot.center();
            return pen.text("Nothing was measured over epochs", (x, y), Align::Middle, Font::new(13.0, palette.text_muted));
        }
        // Draw the baseline last, above the others.
        shown.iter().rev().try_for_each(|run| self.paint_run(pen, &axes, run))
    }

    fn describe(&self) -> String {
        let run = |run: &OverlaidRun| {
            let own = || run.robust.iter().filter(|point| Some(point.0) > run.fork);
            let best = own().max_by(|a, b| a.1.total_cmp(&b.1));
            let text = |(epoch, value): &(u32, f64)| format!("{} at epoch {}", format::percent(*value), epoch_number(*epoch));
            match (best, own().next_back()) {
                (Some(best), Some(last)) => format!("{}: best {}, last {}", run.title, text(best), text(last)),
                _ => format!("{}: nothing measured over epochs", run.title),
            }
        };
        format!("Robust test accuracy of {} runs. {}.", self.runs.len(), self.runs.iter().map(run).collect::<Vec<_>>().join("; "))
    }
}

impl Figure for OverlaidCurves {
    fn size(&self) -> (u32, u32) {
        (960, self.natural_height().ceil() as u32)
    }

    /// A row for each run and epoch with at least one value.
    fn numbers(&self) -> Numbers {
        let at = |points: &[(u32, f64)], epoch: u32| {
            points.binary_search_by_key(&epoch, |point| point.0).map_or(f64::NAN, |index| points[index].1)
        };
        let (mut titles, mut epochs) = (Vec::new(), Vec::new());
        let mut columns: [(&str, Vec<f64>); 4] = ["robust_accuracy", "cas", "train_loss", "test_loss"].map(|name| (name, Vec::new()));
        for run in &self.runs {
            let curves = [&run.robust, &run.cas, &run.train_loss, &run.test_loss];
            let measured: BTreeSet<u32> = curves.iter().flat_map(|points| points.iter().map(|point| point.0)).collect();
            for epoch in measured {
                titles.push(run.title.clone());
                epochs.push(i64::from(epoch));
                columns.iter_mut().zip(curves).for_each(|((_, values), points)| values.push(at(points, epoch)));
            }
        }
        let columns = columns.into_iter().map(|(name, values)| (name, Values::Numbers(values)));
        Numbers::table([("run", Values::Texts(titles)), ("epoch", Values::Integers(epochs))].into_iter().chain(columns).collect())
    }

    fn write_tex(&self, tex: &mut Tex) {
        let colors = self.theme.palette().series.len();
        let line = |run: &OverlaidRun, name: &str, style: &str, points| {
            tex::Line::new(name, format!("series{}, {style}", run.color % colors), points)
        };
        let sight = self.sight();
        let shown: Vec<&OverlaidRun> = self.shown().collect();
        let curve = |run: &OverlaidRun, kind, factor| tex::course(self.curve(run, kind), sight, factor);
        let measured = shown.iter().filter(|run| !self.cas(run).is_empty());
        let loss = |kind: SeriesKind, style: &'static str| {
            let lines =
                shown.iter().map(move |run| line(run, if style == "thick" { &run.title } else { "" }, style, curve(run, kind, 1.0)));
            lines.filter(|line| line.points.iter().any(|point| point.1.is_finite())).collect::<Vec<_>>()
        };
        tex.series_colors(self.theme);
        tex.over_epochs(OverEpochs {
            sight,
            accuracy_name: "robust accuracy (\\%)",
            accuracies: shown.iter().map(|run| line(run, &run.title, "thick", curve(run, SeriesKind::TestRobust, 100.0))).collect(),
            cas_name: "CAS (dashed)",
            cas: measured.map(|run| line(run, "", "dashed, mark=diamond*", tex::course(self.cas(run), sight, 1.0))).collect(),
            losses: [loss(SeriesKind::TrainLoss, "thick"), loss(SeriesKind::TestLoss, "dashed")].concat(),
            loss_is_log: self.loss_is_log(),
            verticals: Vec::new(),
        });
    }
}

fn line<DB: DrawingBackend>(pen: &Pen<'_, DB>, points: &[(f64, f64)], color: RGBColor) -> Result<(), ChartError> {
    match points[..] {
        [only] => pen.disc(only, 2.5, color),
        _ => pen.path(points, 2.0, color),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_color_belongs_to_a_run_in_any_company() {
        let alone = run_colors(&["at-digits-7f3a"])[0];
        let names = ["at-cifar10-0001", "at-digits-7f3a", "at-digits-b2c4", "at-digits-e1d7", "trades-1", "trades-2"];
        let all = run_colors(&names);
        let mut reversed: Vec<&str> = names.to_vec();
        reversed.reverse();
        let mut turned = run_colors(&reversed);
        turned.reverse();
        assert_eq!(all, turned, "the order of the sides does not matter");
        let mut distinct = all.clone();
        distinct.sort_unstable();
        assert_eq!(distinct, [0, 1, 2, 3, 4, 5]);
        assert_eq!(run_colors(&["at-digits-7f3a", "at-digits-7f3a"]), [alone, alone]);
    }

    fn overlay(epochs: u32) -> OverlaidCurves {
        let run = |title: &str, color| OverlaidRun {
            title: title.into(),
            color,
            robust: (1..=epochs).map(|epoch| (epoch, 0.1 + 0.5 * f64::from(epoch) / f64::from(epochs))).collect(),
            cas: (1..=epochs).filter(|epoch| epoch % 10 == 0).map(|epoch| (epoch, 20.0)).collect(),
            train_loss: (1..=epochs).map(|epoch| (epoch, if epoch == 7 { f64::NAN } else { 2.3 / f64::from(epoch) })).collect(),
            test_loss: Vec::new(),
            fork: None,
            marks: vec![(epochs, "A")],
        };
        OverlaidCurves::of(
            vec![run("One", 0), run("Another with a name that is so long that nobody would read all of it", 3)],
            Theme::Light,
        )
    }

    #[test]
    fn the_description_has_best_and_last_of_each() {
        assert!(
            overlay(60).describe().starts_with("Robust test accuracy of 2 runs. One: best 60.0 % at epoch 60, last 60.0 % at epoch 60; ")
        );
    }
    #[test]
    fn overlays_of_any_size_draw_finite_numbers() {
        use crate::chart::svg;
        for epochs in [0, 1, 60, 3000] {
            for (width, height) in [(860, 380), (340, 300), (60, 40), (1, 1)] {
                let drawn = svg(width, height, &overlay(epochs)).unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{epochs} in {width}×{height}");
            }
        }
        let drawn = svg(860, 380, &overlay(60)).unwrap();
        assert!(drawn.contains(">\nOne\n") && drawn.contains(KEY_WITH_LOSSES));
        assert!(svg(860, 380, &overlay(0)).unwrap().contains("Nothing was measured over epochs"));
    }
}
