//! Accuracy of each of several checkpoints on images attacked on each of them: rows of sources, columns of targets.

use plotters::backend::DrawingBackend;

use super::color_map::ColorMap;
use super::colors::{Theme, text_on};
use super::numbers::{Array, Numbers, Values};
use super::pen::{Align, Font, fitted, text_width};
use super::tex::Tex;
use super::{Chart, ChartError, Figure, Pen, Rect};
use crate::export::Exported;
use crate::format;
use crate::record::Transfer;

/// The matrix, below a row for the images as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferChart {
    pub transfer: Transfer,
    /// Names of the checkpoints.
    labels: Vec<String>,
    pub theme: Theme,
}

/// The mark of one cell, for a second, transparent canvas above the matrix.
#[derive(Clone, Copy, Debug)]
pub struct TransferMark<'a> {
    pub chart: &'a TransferChart,
    pub cell: TransferCell,
}

/// A cell: the source, `None` for images as they are, and the target.
pub type TransferCell = (Option<usize>, usize);

/// Where the cells are.
#[derive(Clone, Copy, Debug)]
pub struct TransferLayout {
    /// Left end and top of the row of the images as they are.
    origin: (f64, f64),
    /// Side of a cell.
    side: f64,
    count: usize,
}

const LABEL_SIZE: f64 = 11.0;
/// Most room for the names of checkpoints.
const LONGEST_LABEL: f64 = 150.0;
/// Room for the name of an axis.
const AXIS_NAME: f64 = 22.0;
/// Space between the row of the images as they are and the others.
const GAP: f64 = 6.0;
const MARGIN: f64 = 8.0;
/// Smallest cell with its value.
const SMALLEST_NUMBERED_CELL: f64 = 24.0;
const CLEAN: &str = "clean";

impl TransferChart {
    pub fn of(transfer: &Transfer, theme: Theme) -> Self {
        let ids: Vec<_> = transfer.checkpoints.iter().map(|checkpoint| &checkpoint.id).collect();
        let one_run = ids.windows(2).all(|pair| pair[0].run == pair[1].run);
        let labels = ids.iter().map(|id| if one_run { format!("epoch {}", id.epoch) } else { id.to_string() }).collect();
        TransferChart { transfer: transfer.clone(), labels, theme }
    }

    fn count(&self) -> usize {
        self.labels.len()
    }

    /// Room for the names of the checkpoints.
    fn label_room(&self) -> f64 {
        self.labels.iter().map(|label| text_width(label, LABEL_SIZE)).fold(text_width(CLEAN, LABEL_SIZE), f64::max).min(LONGEST_LABEL) + 8.0
    }

    /// Square cells as large as fit into the width.
    pub fn layout(&self, width: f64) -> TransferLayout {
        let before = AXIS_NAME + self.label_room();
        let side = ((width - before - MARGIN) / self.count().max(1) as f64).clamp(1.0, 64.0);
        TransferLayout { origin: (before, before), side, count: self.count() }
    }

    /// Height for a given width.
    pub fn natural_height(&self, width: f64) -> f64 {
        let TransferLayout { origin, side, count } = self.layout(width);
        origin.1 + side * (count + 1) as f64 + GAP + MARGIN
    }

    fn accuracy(&self, (source, target): TransferCell) -> Option<f64> {
        self.transfer.accuracies(source)?.get(target).copied()
    }

    fn row_name(&self, source: Option<usize>) -> &str {
        source.map_or(CLEAN, |source| &self.labels[source])
    }

    fn sources(&self) -> impl Iterator<Item = Option<usize>> {
        [None].into_iter().chain((0..self.count()).map(Some))
    }
}

impl TransferLayout {
    fn cell(&self, (source, target): TransferCell) -> Rect {
        let (left, top) = self.origin;
        let row = source.map_or(0.0, |source| self.side * (source + 1) as f64 + GAP);
        Rect::new(left + self.side * target as f64, top + row, self.side, self.side)
    }

    /// The cell at a point.
    pub fn cell_at(&self, x: f64, y: f64) -> Option<TransferCell> {
        let mut sources = [None].into_iter().chain((0..self.count).map(Some));
        sources.find_map(|source| (0..self.count).map(|target| (source, target)).find(|cell| self.cell(*cell).contains(x, y)))
    }
}

impl Chart for TransferChart {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        pen.fill(pen.bounds(), palette.surface)?;
        let layout = self.layout(pen.width());
        let (left, top) = layout.origin;
        let (font, muted) = (Font::new(LABEL_SIZE, palette.text), Font::new(LABEL_SIZE, palette.text_muted));
        let (span, room) = (layout.side * layout.count as f64, self.label_room() - 8.0);
        pen.text("classified by", (left + span / 2.0, AXIS_NAME / 2.0), Align::Middle, muted)?;
        let name = "attacked on";
        let middle = layout.cell((Some(0), 0)).top + span / 2.0;
        pen.text(name, (AXIS_NAME / 2.0, middle + text_width(name, LABEL_SIZE) / 2.0), Align::Start, Font { upward: true, ..muted })?;
        // Names that would overlap are left out.
        let every = (LABEL_SIZE * 1.1 / layout.side).ceil().max(1.0) as usize;
        for (target, label) in self.labels.iter().enumerate().step_by(every) {
            let x = layout.cell((None, target)).center().0;
            pen.text(&fitted(label, LABEL_SIZE, room), (x, top - 6.0), Align::Start, Font { upward: true, ..font })?;
        }
        let colors = ColorMap::Blues { limit: 1.0 }.colors(self.theme);
        for source in self.sources() {
            let row = layout.cell((source, 0));
            if source.is_none_or(|source| source % every == 0) {
                pen.text(&fitted(self.row_name(source), LABEL_SIZE, room), (left - 6.0, row.center().1), Align::End, font)?;
            }
            for target in 0..layout.count {
                let cell = layout.cell((source, target));
                let Some(accuracy) = self.accuracy((source, target)) else {
                    pen.frame(cell, 1.0, palette.grid)?;
                    continue;
                };
                let color = colors.of(accuracy);
                pen.fill(cell, color)?;
                if layout.side >= SMALLEST_NUMBERED_CELL {
                    let font = Font::new(LABEL_SIZE, text_on(color, self.theme));
                    let text = format::decimal(100.0 * accuracy, if layout.side >= 36.0 { 1 } else { 0 });
                    pen.text(&text, cell.center(), Align::Middle, if source == Some(target) { font.bold() } else { font })?;
                }
                if source == Some(target) && layout.side > 4.0 {
                    pen.frame(cell, 1.0, palette.text_muted)?;
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let measured = (0..self.count()).filter(|source| self.transfer.row(Some(*source)).is_some()).count();
        let mut told = format!("Accuracy of {} checkpoints on images attacked on each of them", self.count());
        if measured < self.count() {
            told += &format!(", of which {measured} are attacked so far");
        }
        let range = |values: Vec<f64>| {
            let low = values.iter().copied().reduce(f64::min)?;
            let high = values.iter().copied().reduce(f64::max)?;
            Some(format!("{} to {}", format::percent(low), format::percent(high)))
        };
        let all = |own: bool| {
            let cells = (0..self.count()).flat_map(|source| (0..self.count()).map(move |target| (source, target)));
            range(
                cells
                    .filter(|(source, target)| (source == target) == own)
                    .filter_map(|(source, target)| self.accuracy((Some(source), target)))
                    .collect(),
            )
        };
        if let (Some(own), Some(others)) = (all(true), all(false)) {
            told += &format!(": {own} where attacked themselves, {others} where another was");
        }
        told + "."
    }
}

impl Figure for TransferChart {
    const EXPORTED: Exported = Exported::Matrices;

    fn size(&self) -> (u32, u32) {
        let width = (AXIS_NAME + self.label_room() + MARGIN + 44.0 * self.count() as f64).clamp(320.0, 1600.0);
        (width.ceil() as u32, self.natural_height(width).ceil() as u32)
    }

    /// Table: a row for each source, below that of the images as they are. Arrays: the matrix of accuracies, NaN where a
    /// row is missing, then clean accuracies and names.
    fn numbers(&self) -> Numbers {
        let rows: Vec<Option<usize>> = self.sources().collect();
        let of_target = |target: usize| rows.iter().map(|source| self.accuracy((*source, target)).unwrap_or(f64::NAN)).collect::<Vec<_>>();
        let ids: Vec<String> = self.transfer.checkpoints.iter().map(|checkpoint| checkpoint.id.to_string()).collect();
        let names = rows.iter().map(|source| source.map_or_else(|| CLEAN.to_owned(), |source| ids[source].clone())).collect();
        let columns = ids.iter().enumerate().map(|(target, id)| (id.clone(), Values::Numbers(of_target(target))));
        let table = [("source".to_owned(), Values::Texts(names))].into_iter().chain(columns).collect();
        let matrix =
            rows[1..].iter().flat_map(|source| (0..self.count()).map(move |target| self.accuracy((*source, target)).unwrap_or(f64::NAN)));
        let clean = (0..self.count()).map(|target| self.accuracy((None, target)).unwrap_or(f64::NAN));
        let arrays = vec![
            ("accuracy", Array { shape: vec![self.count(); 2], values: Values::Numbers(matrix.collect()) }),
            ("clean", Array::column(Values::Numbers(clean.collect()))),
            ("checkpoints", Array::texts(&ids)),
        ];
        Numbers { table, arrays }
    }

    /// The row of the images as they are is the first, at −1.
    fn write_tex(&self, tex: &mut Tex) {
        let count = self.count();
        let places = (0..count).map(|place| place.to_string()).collect::<Vec<_>>().join(",");
        let names = tex.list(self.labels.iter().cloned());
        let colors = ColorMap::Blues { limit: 1.0 }.colors(self.theme);
        tex.color("low", colors.of(0.0));
        tex.color("middle", colors.of(0.5));
        tex.color("high", colors.of(1.0));
        tex.add(format_args!(
            "\\begin{{axis}}[width=9cm, height=9cm, scale only axis, enlargelimits=false, axis on top, tick style={{draw=none}},\n  \
             xmin=-0.5, xmax={right}, ymin=-1.5, ymax={right}, y dir=reverse, xticklabel pos=upper,\n  \
             xlabel={{classified by}}, ylabel={{attacked on}}, xtick={{{places}}}, ytick={{-1,{places}}}, tick label style={{font=\\tiny}},\n  \
             x tick label style={{rotate=90, anchor=west}}, xticklabels={{{names}}}, yticklabels={{{CLEAN},{names}}},\n  \
             colormap={{accuracy}}{{color=(low) color=(middle) color=(high)}}, point meta min=0, point meta max=100, colorbar, colorbar style={{font=\\tiny}}]\n\
             \\addplot [matrix plot*, mesh/cols={count}, point meta=explicit] table [meta=value] {{\nx y value\n",
            right = count as f64 - 0.5
        ));
        for (row, source) in (-1..).zip(self.sources()) {
            for target in 0..count {
                let value = self.accuracy((source, target)).map_or_else(|| "nan".to_owned(), |accuracy| format!("{:.2}", 100.0 * accuracy));
                tex.add(format_args!("{target} {row} {value}\n"));
            }
        }
        tex.add(format_args!("}};\n\\end{{axis}}\n"));
    }
}

impl Chart for TransferMark<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        pen.frame(self.chart.layout(pen.width()).cell(self.cell).grown(1.0), 2.0, self.chart.theme.palette().accent)
    }

    fn describe(&self) -> String {
        let (source, target) = self.cell;
        let by = &self.chart.labels[target];
        let accuracy = self.chart.accuracy(self.cell).map_or_else(|| "not measured yet".to_owned(), format::percent);
        match source {
            None => format!("Clean images, classified by {by}: {accuracy}"),
            Some(source) if source == target => format!("Attacked on {by} itself: {accuracy}"),
            Some(source) => format!("Attacked on {}, classified by {by}: {accuracy}", self.chart.labels[source]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::fixtures::transfer;

    #[test]
    fn a_cell_is_found_where_it_is_drawn() {
        for count in [2, 7, 40] {
            let chart = TransferChart::of(&transfer(count), Theme::Light);
            for width in [320.0, 700.0] {
                let layout = chart.layout(width);
                for cell in chart.sources().flat_map(|source| (0..count).map(move |target| (source, target))) {
                    let (x, y) = layout.cell(cell).center();
                    assert_eq!(layout.cell_at(x, y), Some(cell));
                }
                assert_eq!(layout.cell_at(1.0, 1.0), None);
                let last = layout.cell((Some(count - 1), count - 1));
                assert!(last.right() <= width && last.bottom() <= chart.natural_height(width), "{count} in {width}");
            }
        }
    }

    #[test]
    fn a_matrix_says_what_it_holds_in_every_form() {
        let mut of_two = transfer(2);
        let chart = TransferChart::of(&of_two, Theme::Light);
        assert_eq!(
            chart.describe(),
            "Accuracy of 2 checkpoints on images attacked on each of them: 40.0 % to 40.0 % where attacked themselves, 60.0 % to 61.0 % where another was."
        );
        let said = |cell| TransferMark { chart: &chart, cell }.describe();
        assert_eq!(said((Some(0), 1)), "Attacked on epoch 1, classified by epoch 2: 61.0 %");
        assert_eq!(
            (said((Some(1), 1)).as_str(), said((None, 0)).as_str()),
            ("Attacked on epoch 2 itself: 40.0 %", "Clean images, classified by epoch 1: 90.0 %")
        );
        let numbers = chart.numbers();
        assert_eq!(numbers.arrays[0].1, Array { shape: vec![2, 2], values: Values::Numbers(vec![0.4, 0.61, 0.6, 0.4]) });
        assert_eq!(numbers.table[1].1, Values::Numbers(vec![0.9, 0.4, 0.6]));
        of_two.rows.pop();
        let partly = TransferChart::of(&of_two, Theme::Dark);
        assert!(partly.describe().contains("of which 1 are attacked so far"), "{}", partly.describe());
        for (width, height) in [(640, 640), (60, 40), (1, 1)] {
            let drawn = svg(width, height, &partly).unwrap();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
        }
    }
}
