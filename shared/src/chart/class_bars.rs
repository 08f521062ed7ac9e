//! Accuracy of each class as a column, with a line at the baseline's accuracy.

use plotters::backend::DrawingBackend;

use super::axes::AXIS_SIZE;
use super::colors::Theme;
use super::heatmap::Arrangement;
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, fitted, text_width};
use super::scale::{Projection, ticks};
use super::tex::{self, Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::Attribution;
use crate::format;
use crate::view::Lens;

/// Accuracies by class, as fractions.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassBars {
    /// Class names, by class index.
    pub labels: Vec<String>,
    /// Number of images of each class.
    pub images: Vec<u32>,
    /// Accuracy of each class.
    pub accuracies: Vec<f64>,
    /// Accuracy of each class in the baseline; empty without a baseline.
    pub baseline: Vec<f64>,
    /// The class of each column, a permutation.
    pub order: Vec<usize>,
    /// Highlighted classes.
    pub marked: Option<(usize, usize)>,
    pub theme: Theme,
}

/// The columns alone, on a transparent background: the part that changes between checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a>(pub &'a ClassBars);

/// Everything except the columns.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a>(pub &'a ClassBars);

/// Positions of the parts of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassBarsLayout {
    pub plot: Rect,
    accuracy: Projection,
    /// Distance between columns.
    step: f64,
    /// Height for the names below the columns, and whether the names are rotated.
    names: f64,
    upward: bool,
    /// Only every `every`-th name is shown, so that names do not overlap.
    every: usize,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 4.0;
const TOP: f64 = 10.0;
/// Width of a column, as a fraction of the distance between columns.
const FILLED: f64 = 0.7;
const LONGEST_NAME: f64 = 90.0;

impl ClassBars {
    /// Accuracies of an attribution. The baseline counts if it is another attribution over the same classes.
    pub fn of(attribution: &Attribution, baseline: Option<&Attribution>, arrangement: &Arrangement, lens: &Lens, theme: Theme) -> Self {
        let file = &attribution.file;
        let baseline = attribution.comparable(baseline);
        ClassBars {
            labels: file.class_names.clone(),
            images: file.class_counts.clone(),
            accuracies: file.class_accuracy.clone(),
            baseline: baseline.map(|baseline| baseline.file.class_accuracy.clone()).unwrap_or_default(),
            // Columns are classes, but collapsed rows are groups of classes.
            order: if arrangement.collapsed { (0..file.class_names.len()).collect() } else { arrangement.order.clone() },
            marked: lens.cell,
            theme,
        }
    }

    /// Layout in a box.
    pub fn layout(&self, width: f64, height: f64) -> ClassBarsLayout {
        let count = self.order.len().max(1) as f64;
        let step = (width - LEFT - RIGHT).max(1.0) / count;
        let widest = self.labels.iter().map(|label| text_width(label, AXIS_SIZE)).fold(0.0, f64::max);
        let upward = widest + 4.0 > step;
        let names = if upward { widest.min(LONGEST_NAME) + 8.0 } else { 20.0 };
        let plot = Rect::new(LEFT, TOP, step * count, (height - TOP - names).max(1.0));
        ClassBarsLayout {
            plot,
            accuracy: Projection { values: (0.0, 1.0), pixels: (plot.bottom(), plot.top) },
            step,
            names,
            upward,
            every: ((AXIS_SIZE + 2.0) / step).ceil().max(1.0) as usize,
        }
    }

    /// Class of the column at a horizontal position.
    pub fn class_at(&self, layout: &ClassBarsLayout, x: f64) -> Option<usize> {
        let along = x - layout.plot.left;
        (along >= 0.0).then(|| self.order.get((along / layout.step) as usize).copied()).flatten()
    }

    /// Name, accuracy and change of a class, as text.
    pub fn describe_class(&self, class: usize) -> Option<String> {
        let (name, accuracy) = (self.labels.get(class)?, *self.accuracies.get(class)?);
        let change = self.baseline.get(class).map(|baseline| format!(" ({})", format::points(accuracy - baseline)));
        Some(format!("{name}: {}{}", format::percent(accuracy), change.unwrap_or_default()))
    }

    fn is_marked(&self, class: usize) -> bool {
        self.marked.is_some_and(|(i, j)| class == i || class == j)
    }
}

impl ClassBarsLayout {
    /// Horizontal center of a column, by its displayed position.
    pub fn center_of(&self, column: usize) -> f64 {
        self.plot.left + (column as f64 + 0.5) * self.step
    }
}

impl ClassBars {
    fn paint_frame<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &ClassBarsLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        pen.fill(pen.bounds(), palette.surface)?;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        for value in ticks((0.0, 1.0), if plot.height >= 110.0 { 0.25 } else { 0.5 }) {
            let y = layout.accuracy.to_pixel(value);
            pen.horizontal(plot.left, plot.right(), y, palette.grid)?;
            pen.text(&format!("{} %", format::decimal(value * 100.0, 0)), (plot.left - 8.0, y), Align::End, font)?;
        }
        for (column, class) in self.order.iter().enumerate().step_by(layout.every) {
            let middle = layout.center_of(column);
            let font = if self.is_marked(*class) { Font::new(AXIS_SIZE, palette.text).bold() } else { font };
            let name = self.labels.get(*class).map(String::as_str).unwrap_or_default();
            if layout.upward {
                let name = fitted(name, AXIS_SIZE, layout.names - 8.0);
                let bottom = plot.bottom() + 6.0 + text_width(&name, AXIS_SIZE);
                pen.text(&name, (middle, bottom), Align::Start, Font { upward: true, ..font })?;
            } else {
                pen.text(name, (middle, plot.bottom() + 11.0), Align::Middle, font)?;
            }
        }
        Ok(())
    }

    fn paint_columns<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &ClassBarsLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        // One shape for all columns of a color, joined along the axis: a canvas draws it much faster than a
        // rectangle for each class.
        let half = layout.step * FILLED / 2.0;
        for (is_marked, color) in [(false, palette.series[0]), (true, palette.accent)] {
            let columns = self.order.iter().enumerate().filter(|(_, class)| self.is_marked(**class) == is_marked);
            let corners = |(column, class): (usize, &usize)| {
                let (middle, top) = (layout.center_of(column), layout.accuracy.to_pixel(*self.accuracies.get(*class)?));
                let (left, right) = (middle - half, middle + half);
                Some([(left, plot.bottom()), (left, top), (right, top), (right, plot.bottom())])
            };
            pen.polygon(&columns.filter_map(corners).flatten().collect::<Vec<_>>(), color)?;
        }
        let baseline: Vec<(f64, f64)> = self
            .order
            .iter()
            .enumerate()
            .filter_map(|(column, class)| Some((layout.center_of(column), layout.accuracy.to_pixel(*self.baseline.get(*class)?))))
            .flat_map(|(middle, y)| [(middle - layout.step / 2.0, y), (middle + layout.step / 2.0, y)])
            .collect();
        // A dark line with a light border is visible on columns and on the background.
        for (half, color) in [(2.0, palette.surface), (1.0, palette.text)] {
            let above = baseline.iter().map(|(x, y)| (*x, y - half));
            let below = baseline.iter().rev().map(|(x, y)| (*x, y + half));
            pen.polygon(&above.chain(below).collect::<Vec<_>>(), color)?;
        }
        pen.horizontal(plot.left, plot.right(), plot.bottom(), palette.axis)
    }
}

impl Chart for ClassBars {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        self.paint_frame(pen, &layout)?;
        self.paint_columns(pen, &layout)
    }

    fn describe(&self) -> String {
        let by_accuracy = |a: &&usize, b: &&usize| self.accuracies[**a].total_cmp(&self.accuracies[**b]);
        let known: Vec<usize> = (0..self.accuracies.len().min(self.labels.len())).collect();
        let (Some(lowest), Some(highest)) = (known.iter().min_by(by_accuracy), known.iter().max_by(by_accuracy)) else {
            return "Accuracy by class: nothing is measured.".to_owned();
        };
        let text = |class: usize| format!("{} {}", self.labels[class], format::percent(self.accuracies[class]));
        format!("Accuracy of {} classes: highest {}, lowest {}.", known.len(), text(*highest), text(*lowest))
    }
}

impl Figure for ClassBars {
    fn size(&self) -> (u32, u32) {
        ((LEFT + RIGHT + 11.0 * self.order.len() as f64).clamp(640.0, 2400.0).ceil() as u32, 320)
    }

    /// Number of images and accuracy of each class; also of the baseline if there is one.
    fn numbers(&self) -> Numbers {
        let mut columns = vec![
            ("class", Values::Texts(self.labels.clone())),
            ("images", Values::Integers(self.images.iter().copied().map(i64::from).collect())),
            ("accuracy", Values::Numbers(self.accuracies.clone())),
        ];
        if !self.baseline.is_empty() {
            columns.push(("baseline", Values::Numbers(self.baseline.clone())));
        }
        Numbers::table(columns)
    }

    fn write_tex(&self, tex: &mut Tex) {
        let columns = |values: &[f64]| {
            let value = |(place, class): (usize, &usize)| Some((place as f64, values.get(*class)? * 100.0));
            self.order.iter().enumerate().filter_map(value).collect::<Vec<_>>()
        };
        let mut series = vec![Line::new("accuracy", "ybar, fill=series0, draw=none, ybar legend", columns(&self.accuracies))];
        if !self.baseline.is_empty() {
            series.push(Line::new("baseline", "only marks, mark=-, mark size=4pt, thick, black", columns(&self.baseline)));
        }
        let name = |(place, class): (usize, &usize)| (place as f64, self.labels.get(*class).cloned().unwrap_or_default());
        let ticks: Vec<(f64, String)> = self.order.iter().enumerate().map(name).collect();
        let width = 7.0 / self.order.len().max(1) as f64;
        let mut options = vec![tex::SIZE.to_owned(), format!("bar width={width:.3}cm, ymin=0, ymax=100, ylabel={{accuracy (\\%)}}")];
        options.push(tex.named_ticks(&ticks));
        options.extend(["x tick label style={rotate=90, anchor=east, font=\\tiny}", "ymajorgrids", tex::LEGEND].map(str::to_owned));
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series, verticals: Vec::new() });
    }
}

impl Chart for Frame<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.0.paint_frame(pen, &self.0.layout(pen.width(), pen.height()))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

impl Chart for Columns<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.0.paint_columns(pen, &self.0.layout(pen.width(), pen.height()))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(classes: usize) -> ClassBars {
        ClassBars {
            labels: (0..classes).map(|class| format!("class {class}")).collect(),
            images: vec![5; classes],
            accuracies: (0..classes).map(|class| class as f64 / classes as f64).collect(),
            baseline: vec![0.5; classes],
            order: (0..classes).rev().collect(),
            marked: Some((0, 1)),
            theme: Theme::Light,
        }
    }

    #[test]
    fn a_class_is_found_where_its_column_stands() {
        for classes in [1, 10, 200] {
            let bars = bars(classes);
            let layout = bars.layout(420.0, 240.0);
            for (column, class) in bars.order.iter().enumerate() {
                assert_eq!(bars.class_at(&layout, layout.center_of(column)), Some(*class));
            }
            assert_eq!(bars.class_at(&layout, layout.plot.left - 1.0), None);
            assert_eq!(bars.class_at(&layout, layout.plot.right() + 1.0), None);
        }
    }
    #[test]
    fn frame_and_columns_on_each_other_are_the_chart() {
        use crate::chart::svg;
        let shapes = |svg: String| svg.lines().filter(|line| !line.contains("svg")).map(str::to_owned).collect::<Vec<_>>();
        let bars = bars(12);
        let parts = [svg(420, 240, &Frame(&bars)).unwrap(), svg(420, 240, &Columns(&bars)).unwrap()];
        assert!(parts.map(shapes).concat() == shapes(svg(420, 240, &bars).unwrap()));
        // The frame does not depend on the accuracies.
        let empty = ClassBars { accuracies: Vec::new(), baseline: Vec::new(), ..bars.clone() };
        let frame = |bars| shapes(svg(420, 240, &Frame(bars)).unwrap());
        assert!(frame(&empty) == frame(&bars));
    }

    #[test]
    fn a_class_is_told_with_its_change() {
        let bars = bars(4);
        assert_eq!(bars.describe_class(1).unwrap(), "class 1: 25.0 % (−25.0 pp)");
        assert_eq!(bars.describe_class(4), None);
        assert_eq!(bars.describe(), "Accuracy of 4 classes: highest class 3 75.0 %, lowest class 0 0.0 %.");
        assert_eq!(ClassBars { baseline: Vec::new(), ..bars }.describe_class(1).unwrap(), "class 1: 25.0 %");
    }
    #[test]
    fn columns_of_any_number_draw_finite_numbers() {
        use crate::chart::svg;
        for classes in [0, 1, 10, 200] {
            for (width, height) in [(420, 240), (60, 40), (1, 1)] {
                let drawn = svg(width, height, &bars(classes)).unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{classes} in {width}×{height}");
            }
        }
    }
}
