//! The curves of a training run: accuracies over epochs, learning-rate drops, best and last, and CAS on an axis of its own.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axes::{self, AXIS_SIZE, EpochAxes, epoch_number};
use super::colors::{Palette, Theme};
use super::pen::{Align, Font, text_width};
use super::{Chart, ChartError, Pen, Rect, legend};
use crate::builtin::log10;
use crate::config::{Inputs, RunConfig};
use crate::format;
use crate::order::sorted;
use crate::record::{Epoch, Metrics, NoticeKind};

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
    /// The epochs in which robustness was lost at once.
    pub overfitting: Vec<u32>,
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
    pub axes: EpochAxes,
    legend: Vec<(Key, f64, f64)>,
}

/// The cursor of curves on a transparent ground, for a second canvas above the one with the curves: moving it then costs no drawing of
/// them.
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
/// How bad it is to cover a label or a mark, in points of a curve covered.
const COVERED_TEXT: u32 = 1000;

impl Curves {
    /// The curves of a run, over all the epochs that it is to have.
    pub fn of(metrics: &Metrics, config: &RunConfig, theme: Theme) -> Self {
        let last_epoch = metrics.epochs.last().map_or(1, |epoch| epoch.epoch);
        let (epochs, drops) = match config.as_train().map(|config| &config.training) {
            Some(training) => {
                let milestones = training.milestones.iter().copied().filter(|milestone| *milestone < training.epochs);
                let drops = milestones.map(|milestone| (milestone, training.learning_rate_at(f64::from(milestone))));
                (training.epochs.max(1), drops.collect())
            }
            // What was trained elsewhere says what it did.
            None => (last_epoch, drops(&metrics.epochs)),
        };
        let series = SeriesKind::ALL.into_iter().map(|kind| Series {
            kind,
            points: metrics
                .epochs
                .iter()
                .filter_map(|epoch| Some((epoch.epoch, kind.value(epoch).filter(|value| value.is_finite())?)))
                .collect(),
        });
        let mark = |epoch: &Epoch| Some(Mark { epoch: epoch.epoch, accuracy: epoch.test_robust_accuracy? });
        let adversarial = metrics.attributions.iter().filter(|entry| entry.inputs == Inputs::Adversarial);
        Curves {
            epochs,
            done: metrics.epochs.last().map_or(0, |epoch| epoch.epoch),
            series: series.filter(|series| !series.points.is_empty()).collect(),
            cas: adversarial.map(|entry| (entry.epoch, entry.cas)).collect(),
            drops,
            overfitting: metrics
                .notices
                .iter()
                .filter(|notice| notice.kind == NoticeKind::CatastrophicOverfitting)
                .filter_map(|notice| notice.epoch)
                .collect(),
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
        let keys: Vec<Key> =
            self.series.iter().map(|series| Key::Series(series.kind)).chain((!self.cas.is_empty()).then_some(Key::Cas)).collect();
        let (places, legend_height) = legend::places(keys.iter().map(|key| key.name()), axes::LEFT, width);
        let highest_cas = self.cas.iter().map(|point| point.1).reduce(f64::max);
        Layout {
            axes: EpochAxes::new(self.epochs, highest_cas, legend_height, width, height),
            legend: keys.into_iter().zip(places).map(|(key, (x, y))| (key, x, y)).collect(),
        }
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
            pen.text(key.name(), (x + LEGEND_SAMPLE + legend::GAP, *y), Align::Start, Font::new(LEGEND_SIZE, palette.text))?;
        }
        Ok(())
    }

    fn paint_drops<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let mut free_from = f64::MIN;
        for (epoch, learning_rate) in &self.drops {
            let x = layout.axes.x_of(*epoch);
            pen.vertical(x, layout.axes.plot.top, layout.axes.plot.bottom(), 4.0, palette.axis)?;
            let text = format!("lr {}", rounded(*learning_rate));
            let end = x + 5.0 + text_width(&text, AXIS_SIZE);
            if x >= free_from && end <= pen.width() {
                pen.text(&text, (x + 5.0, layout.axes.plot.bottom() - 9.0), Align::Start, Font::new(AXIS_SIZE, palette.text_muted))?;
                free_from = end;
            }
        }
        Ok(())
    }

    /// A line in the color of what went wrong; the first says what it is.
    fn paint_overfitting<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let color = self.theme.palette().failed.strong;
        for (index, epoch) in self.overfitting.iter().enumerate() {
            let x = layout.axes.x_of(*epoch);
            pen.vertical(x, layout.axes.plot.top, layout.axes.plot.bottom(), 3.0, color)?;
            if index == 0 {
                let text = "catastrophic overfitting";
                let fits = x + 5.0 + text_width(text, AXIS_SIZE) <= pen.width();
                let (at, align) = if fits { (x + 5.0, Align::Start) } else { (x - 5.0, Align::End) };
                pen.text(text, (at, layout.axes.plot.top + 9.0), align, Font::new(AXIS_SIZE, color))?;
            }
        }
        Ok(())
    }

    fn paint_data<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        // The most important one last, above the others.
        for series in self.series.iter().rev() {
            let points: Vec<(f64, f64)> =
                series.points.iter().map(|(epoch, value)| (layout.axes.x_of(*epoch), layout.axes.accuracy.to_pixel(*value))).collect();
            match points[..] {
                [only] => pen.disc(only, 2.5, series.kind.color(palette))?,
                _ => stroke(pen, series.kind, &thinned(&points), palette)?,
            }
        }
        if let Some(projection) = layout.axes.cas {
            let points: Vec<(f64, f64)> =
                self.cas.iter().map(|(epoch, cas)| (layout.axes.x_of(*epoch), projection.to_pixel(*cas))).collect();
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
        let mut occupied = self.occupied(layout);
        for (mark, text) in marks {
            let (x, y) = (layout.axes.x_of(mark.epoch), layout.axes.accuracy.to_pixel(mark.accuracy));
            pen.disc((x, y), 5.5, palette.text)?;
            pen.disc((x, y), 3.5, palette.surface)?;
            pen.disc((x, y), 2.0, palette.series[0])?;
            let (width, height) = (text_width(&text, LEGEND_SIZE) + 6.0, LEGEND_SIZE + 6.0);
            let left = (x - width / 2.0).clamp(layout.axes.plot.left, (layout.axes.plot.right() - width).max(layout.axes.plot.left));
            // Where it covers least, and near rather than far.
            let places = [-10.0 - height, 10.0, -26.0 - height, 26.0, -42.0 - height, 42.0];
            let chips = places.map(|offset| Rect::new(left, y + offset, width, height));
            let inside = |chip: &Rect| chip.top >= layout.axes.plot.top && chip.bottom() <= layout.axes.plot.bottom();
            let covered = |chip: &Rect| occupied.iter().filter(|(taken, _)| taken.overlaps(chip)).map(|(_, weight)| weight).sum::<u32>();
            let best = chips.iter().filter(|chip| inside(chip)).min_by_key(|chip| covered(chip));
            let chip = *best.unwrap_or(&chips[0]);
            pen.fill(chip, palette.surface)?;
            pen.text(&text, chip.center(), Align::Middle, Font::new(LEGEND_SIZE, palette.text).bold())?;
            occupied.push((chip, COVERED_TEXT));
        }
        Ok(())
    }

    /// What labels should not cover, each with how bad it would be.
    fn occupied(&self, layout: &Layout) -> Vec<(Rect, u32)> {
        let around = |x: f64, y: f64, radius: f64| Rect::new(x - radius, y - radius, 2.0 * radius, 2.0 * radius);
        let lines =
            self.series.iter().flat_map(|series| &series.points).map(|(epoch, value)| (*epoch, layout.axes.accuracy.to_pixel(*value)));
        let mut occupied: Vec<(Rect, u32)> = lines.map(|(epoch, y)| (around(layout.axes.x_of(epoch), y, 2.0), 1)).collect();
        if let Some(projection) = layout.axes.cas {
            occupied.extend(self.cas.iter().map(|(epoch, cas)| (around(layout.axes.x_of(*epoch), projection.to_pixel(*cas), 5.0), 5)));
        }
        let marks = self.best.iter().chain(&self.last);
        occupied.extend(
            marks.map(|mark| (around(layout.axes.x_of(mark.epoch), layout.axes.accuracy.to_pixel(mark.accuracy), 6.0), COVERED_TEXT)),
        );
        occupied
    }

    fn paint_cursor<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout, epoch: u32) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let EpochAxes { plot, accuracy, .. } = &layout.axes;
        let x = layout.axes.x_of(epoch);
        pen.vertical(x, plot.top, plot.bottom(), 0.0, palette.accent)?;
        for series in &self.series {
            if let Some(value) = self.accuracy_at(series.kind, epoch) {
                pen.disc((x, accuracy.to_pixel(value)), 3.0, series.kind.color(palette))?;
            }
        }
        let text = epoch_number(epoch);
        let width = text_width(&text, AXIS_SIZE) + 10.0;
        pen.fill(Rect::new(x - width / 2.0, plot.bottom() + 4.0, width, 18.0), palette.accent)?;
        pen.text(&text, (x, plot.bottom() + 13.0), Align::Middle, Font::new(AXIS_SIZE, palette.on_accent).bold())
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
        self.paint_overfitting(pen, &layout)?;
        if self.series.is_empty() {
            let text = "No epoch has finished yet";
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
        self.paint_marks(pen, &layout)
    }

    fn describe(&self) -> String {
        let progress = format!("Training curves, {} of {} epochs", self.done, self.epochs);
        let with_cas = |mark: Mark| match self.cas_at(mark.epoch) {
            Some(cas) => format!("{} at epoch {} (CAS {})", format::percent(mark.accuracy), mark.epoch, format::decimal(cas, 1)),
            None => format!("{} at epoch {}", format::percent(mark.accuracy), mark.epoch),
        };
        let accuracy = match (self.best, self.last) {
            (Some(best), Some(last)) => format!("{progress}: robust test accuracy best {}, last {}.", with_cas(best), with_cas(last)),
            _ => format!("{progress}: no robust test accuracy yet."),
        };
        match self.overfitting.first() {
            Some(epoch) => format!("{accuracy} Catastrophic overfitting in epoch {epoch}."),
            None => accuracy,
        }
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

/// Robust accuracies are strong lines, clean ones fine and dashed.
fn stroke<DB: DrawingBackend>(pen: &Pen<'_, DB>, kind: SeriesKind, points: &[(f64, f64)], palette: &Palette) -> Result<(), ChartError> {
    let color = kind.color(palette);
    if kind.is_robust() { pen.path(points, 2.0, color) } else { pen.dashed(points, 1.25, color) }
}

pub(super) fn diamond((x, y): (f64, f64)) -> [(f64, f64); 4] {
    [(x, y - 4.5), (x + 4.5, y), (x, y + 4.5), (x - 4.5, y)]
}

/// Keeps of the points in each pixel column the first, the lowest, the highest and the last: the same picture from fewer points.
pub(super) fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .chunk_by(|a, b| a.0.floor() == b.0.floor())
        .flat_map(|column| {
            let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let keep = [column.first(), column.iter().min_by(by_height), column.iter().max_by(by_height), column.last()];
            let mut keep = sorted(keep.into_iter().flatten().copied().collect::<Vec<_>>(), |a, b| a.0.total_cmp(&b.0));
            keep.dedup();
            keep
        })
        .collect()
}

/// After which epochs the learning rate fell by half or more, and to what.
fn drops(epochs: &[Epoch]) -> Vec<(u32, f64)> {
    let pairs = epochs.iter().zip(epochs.iter().skip(1));
    let fell = pairs.filter(|(before, after)| after.learning_rate > 0.0 && after.learning_rate <= before.learning_rate / 2.0);
    fell.map(|(before, after)| (before.epoch, after.learning_rate)).collect()
}

/// A learning rate without the noise of its multiplications: `0.001`, not `0.0010000000000000002`.
fn rounded(value: f64) -> f64 {
    let factor = 10f64.powi(3 - log10(value).floor() as i32);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::super::scale::ticks;
    use super::*;
    use crate::preset;
    use crate::record::{AttributionEntry, Record};

    fn config(epochs: u32) -> RunConfig {
        let mut config = preset::demo().config.as_train().unwrap().clone();
        config.training.epochs = epochs;
        config.training.milestones = vec![epochs / 2, epochs * 3 / 4];
        RunConfig::Train(Box::new(config))
    }

    /// Robust test accuracy rises to 70 % at epoch 12 and falls from there; CAS is kept every tenth epoch.
    fn metrics(done: u32) -> Metrics {
        let epochs = (1..=done).map(|epoch| {
            let robust = if epoch <= 12 { 0.1 + 0.05 * f64::from(epoch) } else { 0.7 - 0.1 * f64::from(epoch - 12) / f64::from(done) };
            Record::Epoch(Epoch {
                epoch,
                learning_rate: 0.1,
                train_loss: Some(1.0),
                train_clean_accuracy: None,
                train_robust_accuracy: Some(f64::from(epoch) / f64::from(done)),
                test_clean_accuracy: Some(0.9),
                test_robust_accuracy: Some(robust),
                test_loss: None,
                holdout_robust_accuracy: None,
                seconds: 1.0,
                elapsed_secs: f64::from(epoch),
            })
        });
        let kept = (1..=done).filter(|epoch| epoch % 10 == 0).map(|epoch| {
            let (cas, inputs) = (20.0 - 0.1 * f64::from(epoch), Inputs::Adversarial);
            Record::Attribution(AttributionEntry { epoch, inputs, file: String::new(), cas, cas_normalized: 0.2 })
        });
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
        assert_eq!(kinds, [SeriesKind::TestRobust, SeriesKind::TestClean, SeriesKind::TrainRobust], "nothing measured, no curve");
        assert_eq!(curves.best.map(|mark| mark.epoch), Some(12));
        assert_eq!(curves.last.map(|mark| mark.epoch), Some(60));
        assert_eq!(curves.accuracy_at(SeriesKind::TestClean, 7), Some(0.9));
        assert_eq!(curves.accuracy_at(SeriesKind::TestClean, 61), None);
        assert_eq!((curves.cas_at(10), curves.cas_at(11)), (Some(19.0), None));
        assert_eq!(curves.drops.iter().map(|drop| (drop.0, rounded(drop.1))).collect::<Vec<_>>(), [(30, 0.01), (45, 0.001)]);
    }

    #[test]
    fn thinning_keeps_the_picture() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|index| (f64::from(index) / 100.0, f64::from(index * 7919 % 1000))).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= 4 * 100, "{}", kept.len());
        assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
        for column in 0..100 {
            let highest = |points: &[(f64, f64)]| {
                points.iter().filter(|point| point.0.floor() == f64::from(column)).map(|point| point.1).fold(0.0, f64::max)
            };
            assert_eq!(highest(&kept), highest(&points));
        }
        let sparse: Vec<(f64, f64)> = (0..50).map(|index| (f64::from(index) * 10.0, 1.0)).collect();
        assert_eq!(thinned(&sparse), sparse);
    }

    #[test]
    fn descriptions_give_best_and_last() {
        assert_eq!(
            Curves::of(&metrics(60), &config(60), Theme::Light).describe(),
            "Training curves, 60 of 60 epochs: robust test accuracy best 70.0 % at epoch 12, last 62.0 % at epoch 60 (CAS 14.0)."
        );
        assert_eq!(
            Curves::of(&Metrics::default(), &config(60), Theme::Light).describe(),
            "Training curves, 0 of 60 epochs: no robust test accuracy yet."
        );
    }

    #[cfg(feature = "svg")]
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
            for text in ["best 70.0 %", "last 62.0 %", "lr 0.01", "lr 0.001", "Robust test", "CAS (right axis)", "100 %", "epoch"] {
                assert!(drawn.contains(&format!(">\n{text}\n")), "{text} is missing");
            }
            assert_eq!(drawn.matches("<polygon").count(), 6 + 1, "a diamond for each kept epoch, and one in the legend");
        }

        #[test]
        fn catastrophic_overfitting_is_marked_at_its_epoch() {
            let notice = Notice { kind: NoticeKind::CatastrophicOverfitting, epoch: Some(59), message: String::new() };
            let mut metrics = metrics(60);
            metrics.apply(Record::Notice(notice));
            let curves = Curves::of(&metrics, &config(60), Theme::Light);
            assert!(svg(860, 380, &curves).unwrap().contains(">\ncatastrophic overfitting\n"));
            assert!(curves.describe().ends_with("Catastrophic overfitting in epoch 59."));
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
