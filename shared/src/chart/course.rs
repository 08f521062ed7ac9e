//! A number of the matrix over the epochs of a run: one cell, or a rank correlation of two relations.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axes::epoch_number;
use super::colors::Theme;
use super::line::{thinned, thinned_to};
use super::numbers::{Numbers, Values};
use super::pen::{Align, Font, text_width};
use super::scale::{Projection, ROUNDEST, round_up, ticks};
use super::tex::{self, Line, Plot, Tex};
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::api::EpochCell;
use crate::format;

/// What a course shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourseOf {
    /// The cosine of a pair of classes.
    Cosine,
    /// Spearman's rank correlation of two relations between classes.
    RankCorrelation,
}

impl CourseOf {
    /// Its name in a sentence, and as a column.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            CourseOf::Cosine => ("Cosine", "cosine"),
            CourseOf::RankCorrelation => ("Rank correlation", "rank_correlation"),
        }
    }
}

/// Values over epochs, with their intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    pub of: CourseOf,
    /// Values by increasing epoch.
    pub cells: Vec<EpochCell>,
    /// Highlighted epochs with their names.
    pub marks: Vec<(u32, &'static str)>,
    pub theme: Theme,
}

const AXIS_SIZE: f64 = 11.0;
/// Space above the plot for the names of the marks.
const TOP: f64 = 22.0;
const BOTTOM: f64 = 36.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
/// Radius of the dot of an epoch.
const DOT: f64 = 2.5;
/// Minimum range of the vertical axis; smaller changes are mostly noise.
const LEAST_RANGE: f64 = 0.05;

struct CourseLayout {
    plot: Rect,
    x: Projection,
    y: Projection,
    y_step: f64,
}

impl Course {
    fn layout(&self, width: f64, height: f64) -> CourseLayout {
        let plot = Rect::new(LEFT, TOP, (width - LEFT - RIGHT).max(1.0), (height - TOP - BOTTOM).max(1.0));
        let ends = |cell: &EpochCell| cell.interval.unwrap_or([cell.value; 2]);
        let (low, high) = self
            .cells
            .iter()
            .map(ends)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), [least, most]| (low.min(least), high.max(most)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        let middle = (low + high) / 2.0;
        let half = ((high - low) / 2.0).max(LEAST_RANGE / 2.0);
        let step = round_up(2.0 * half / 3.0, &ROUNDEST);
        let y = ((middle - half) / step).floor() * step..((middle + half) / step).ceil() * step;
        let epochs = |cell: Option<&EpochCell>| cell.map_or(0.0, |cell| f64::from(cell.epoch));
        let (first, last) = (epochs(self.cells.first()), epochs(self.cells.last()));
        CourseLayout {
            plot,
            x: Projection { values: (first, last.max(first + 1.0)), pixels: (plot.left + 6.0, plot.right() - 6.0) },
            y: Projection { values: (y.start, y.end), pixels: (plot.bottom(), plot.top) },
            y_step: step,
        }
    }

    fn paint_axes<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CourseLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        let font = Font::new(AXIS_SIZE, palette.text_muted);
        let digits = if layout.y_step < 0.1 { 2 } else { 1 };
        for value in ticks(layout.y.values, layout.y_step) {
            let y = layout.y.to_pixel(value);
            let color = if value.abs() < 1e-9 { palette.axis } else { palette.grid };
            pen.horizontal(plot.left, plot.right(), y, color)?;
            pen.text(&format::decimal(value + 0.0, digits), (plot.left - 8.0, y), Align::End, font)?;
        }
        let span = layout.x.values.1 - layout.x.values.0;
        let step = round_up((span / (plot.width / 60.0).clamp(1.0, 10.0)).max(1.0), &ROUNDEST);
        for value in ticks(layout.x.values, step) {
            let x = layout.x.to_pixel(value);
            pen.vertical(x, plot.bottom(), plot.bottom() + 4.0, 0.0, palette.axis)?;
            pen.text(&epoch_number(value as u32), (x, plot.bottom() + 12.0), Align::Middle, font)?;
        }
        pen.text("epoch", (plot.center().0, plot.bottom() + 27.0), Align::Middle, font)
    }

    fn paint_marks<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &CourseLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let plot = layout.plot;
        let mut free_from = plot.left;
        let mut marks = self.marks.clone();
        marks.sort();
        for (epoch, name) in marks {
            let x = layout.x.to_pixel(f64::from(epoch));
            pen.vertical(x, plot.top, plot.bottom(), 3.0, palette.axis)?;
            let half = text_width(name, AXIS_SIZE) / 2.0;
            let at = x.max(free_from + half).min(plot.right() - half);
            if at - half >= free_from - 1.0 {
                pen.text(name, (at, plot.top - 10.0), Align::Middle, Font::new(AXIS_SIZE, palette.text_muted))?;
                free_from = at + half + 6.0;
            }
        }
        Ok(())
    }
}

impl Chart for Course {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let color = palette.series[0];
        let at = |epoch: u32, value: f64| (layout.x.to_pixel(f64::from(epoch)), layout.y.to_pixel(value));
        let end = |which: usize| move |cell: &EpochCell| cell.interval.map(|ends| at(cell.epoch, ends[which]));
        let edge = |which: usize| thinned(&self.cells.iter().filter_map(end(which)).collect::<Vec<_>>());
        let band: Vec<(f64, f64)> = edge(0).into_iter().chain(edge(1).into_iter().rev()).collect();
        if band.len() > 2 {
            // Pens draw opaque colors only, so the tint is mixed here.
            let mixed = |strong: u8, ground: u8| (f64::from(strong) * 0.18 + f64::from(ground) * 0.82).round() as u8;
            let ground = palette.surface;
            pen.polygon(&band, RGBColor(mixed(color.0, ground.0), mixed(color.1, ground.1), mixed(color.2, ground.2)))?;
        }
        self.paint_axes(pen, &layout)?;
        self.paint_marks(pen, &layout)?;
        let points: Vec<(f64, f64)> = self.cells.iter().map(|cell| at(cell.epoch, cell.value)).collect();
        if points.len() > 1 {
            pen.path(&thinned(&points), 2.0, color)?;
        }
        for point in thinned_to(&points, DOT) {
            pen.disc(point, DOT, color)?;
        }
        let is_marked = |cell: &EpochCell| self.marks.iter().any(|(epoch, _)| *epoch == cell.epoch);
        let mut marked = self.cells.iter().zip(&points).filter(|(cell, _)| is_marked(cell));
        marked.try_for_each(|(_, point)| pen.disc(*point, 2.0 * DOT, color))
    }

    fn describe(&self) -> String {
        let (Some(first), Some(last)) = (self.cells.first(), self.cells.last()) else { return "Nothing is measured yet.".to_owned() };
        let at = |cell: &EpochCell| format!("{} in epoch {}", format::decimal(cell.value, 2), cell.epoch);
        let highest = self.cells.iter().reduce(|best, cell| if cell.value > best.value { cell } else { best });
        let highest = highest.map(|cell| format!(", highest {}", at(cell))).unwrap_or_default();
        format!("{} over epochs: from {} to {}{highest}.", self.of.names().0, at(first), at(last))
    }
}

impl Figure for Course {
    fn size(&self) -> (u32, u32) {
        (640, 320)
    }

    /// A row for each epoch.
    fn numbers(&self) -> Numbers {
        let column = |of: &dyn Fn(&EpochCell) -> f64| Values::Numbers(self.cells.iter().map(of).collect());
        let end = |which: usize| column(&|cell| cell.interval.map_or(f64::NAN, |ends| ends[which]));
        Numbers::table(vec![
            ("epoch", Values::Integers(self.cells.iter().map(|cell| i64::from(cell.epoch)).collect())),
            (self.of.names().1, column(&|cell| cell.value)),
            ("low", end(0)),
            ("high", end(1)),
        ])
    }

    fn write_tex(&self, tex: &mut Tex) {
        let thinned = |points: Vec<(u32, f64)>| tex::course(&points, (0, u32::MAX), 1.0);
        let values = thinned(self.cells.iter().map(|cell| (cell.epoch, cell.value)).collect());
        let end = |which: usize| move |cell: &EpochCell| Some((cell.epoch, cell.interval?[which]));
        let line = |style: &str, points| Line::new("", style, points);
        let mut series = vec![line("series0, thick, mark=*, mark size=1.5pt", values)];
        for which in [0, 1] {
            series.push(line("series0, thin, opacity=0.5", thinned(self.cells.iter().filter_map(end(which)).collect())));
        }
        series.retain(|line| !line.points.is_empty());
        let fixed = "scaled y ticks=false, yticklabel style={/pgf/number format/fixed}";
        let name = format!("ylabel={{{}}}", self.of.names().0.to_ascii_lowercase());
        let options = [tex::SIZE, "xlabel={epoch}", &name, "ymajorgrids", fixed].map(str::to_owned).to_vec();
        let verticals = self.marks.iter().map(|(epoch, name)| (f64::from(*epoch), (*name).to_owned())).collect();
        tex.series_colors(self.theme);
        tex.plot(Plot { options, series, verticals });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(values: &[(u32, f64)]) -> Course {
        let cells = values.iter().map(|(epoch, value)| EpochCell { epoch: *epoch, value: *value, interval: None }).collect();
        Course { of: CourseOf::Cosine, cells, marks: Vec::new(), theme: Theme::Light }
    }

    #[test]
    fn the_axis_holds_every_value_and_interval() {
        let mut course = course(&[(5, 0.31), (10, 0.42), (60, -0.04)]);
        course.cells[1].interval = Some([0.38, 0.47]);
        let CourseLayout { y, x, .. } = course.layout(400.0, 200.0);
        assert!(y.values.0 <= -0.04 && y.values.1 >= 0.47, "{y:?}");
        assert_eq!(x.values, (5.0, 60.0));
        let level = super::tests::course(&[(1, 0.2), (2, 0.2)]).layout(400.0, 200.0);
        assert!(level.y.values.1 - level.y.values.0 >= LEAST_RANGE);
    }

    #[test]
    fn a_course_is_told_by_its_ends_and_its_height() {
        let said = course(&[(5, 0.31), (10, 0.42), (60, -0.04)]).describe();
        assert_eq!(said, "Cosine over epochs: from 0.31 in epoch 5 to −0.04 in epoch 60, highest 0.42 in epoch 10.");
        assert_eq!(course(&[]).describe(), "Nothing is measured yet.");
    }
}
