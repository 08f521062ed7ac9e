//! A matrix over classes as colored squares, with its geometry.

use plotters::backend::DrawingBackend;

use super::color_map::{ColorMap, Content, Hidden};
use super::colors::{Theme, text_on};
use super::pen::{Align, Font, fitted, text_width};
use super::{Chart, ChartError, Pen, Rect};
use crate::api::{Attribution, Comparison};
use crate::dataset::superclasses_of;
use crate::format;
use crate::matrix::Matrix;
use crate::view::{Lens, Order};

/// A matrix over classes, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    pub matrix: Matrix,
    pub content: Content,
    /// Class names, by index as given; empty draws no labels.
    pub labels: Vec<String>,
    /// The class shown in each row and column, a permutation.
    pub order: Vec<usize>,
    pub map: ColorMap,
    /// The marked cell: classes `(i, j)`, by index as given.
    pub selected: Option<(usize, usize)>,
    pub title: Option<String>,
    pub show_legend: bool,
    /// Writes values into cells that are large enough.
    pub show_values: bool,
    pub theme: Theme,
}

/// The mark of one cell of a heatmap on a transparent ground, for a second canvas above the one with the cells: following the
/// pointer then costs no redrawing of 40,000 cells.
#[derive(Clone, Copy, Debug)]
pub struct CellMark<'a> {
    pub heatmap: &'a Heatmap,
    /// Classes, by index as given.
    pub cell: (usize, usize),
}

/// Where the parts of a heatmap are.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// All cells together: a square.
    pub cells: Rect,
    /// The side of a cell.
    pub cell: f64,
    /// The color bar, its numbers not included.
    pub legend: Option<Rect>,
    /// Down to the last thing drawn.
    pub height: f64,
    order: Vec<usize>,
    /// The row and column of each class.
    positions: Vec<usize>,
    labels: LabelLayout,
}

#[derive(Clone, Debug, PartialEq)]
struct LabelLayout {
    size: f64,
    /// Shows every so many labels, so that they do not touch.
    every: usize,
    row_width: f64,
    column_height: f64,
    /// Column labels read from bottom to top.
    upward: bool,
}

/// How values are written into cells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Numbers {
    None,
    /// `−.42`
    Short {
        size: f64,
    },
    /// `−0.42`
    Full {
        size: f64,
    },
}

const LABEL_SIZE: f64 = 12.0;
const SMALLEST_LABEL: f64 = 8.0;
const LABEL_GAP: f64 = 6.0;
/// How far the mark of a cell reaches beyond it, and that of a label beyond its text.
const MARK: f64 = 3.0;
const TITLE_HEIGHT: f64 = 26.0;
const LEGEND_GAP: f64 = 12.0;
const LEGEND_BAR: f64 = 8.0;
const LEGEND_NUMBERS: f64 = 18.0;
const NOTE_HEIGHT: f64 = 16.0;
/// From this side on cells are set apart by a line of the ground.
const SMALLEST_GAPPED_CELL: f64 = 14.0;

impl Heatmap {
    /// The matrix of an attribution through a lens.
    pub fn of(attribution: &Attribution, lens: &Lens, theme: Theme) -> Self {
        let matrix = &attribution.file.matrix;
        let map = ColorMap::for_lens(lens.scale, &[matrix], Content::Cosine);
        let heatmap = Heatmap::plain(matrix, Content::Cosine, &attribution.file.class_names, map, theme);
        Heatmap { order: class_order(matrix, None, &attribution.file.class_names, lens), selected: lens.cell, ..heatmap }
    }

    /// A, B and B − A through a lens: one order, and one scale for A and B.
    pub fn of_comparison(comparison: &Comparison, lens: &Lens, theme: Theme) -> [Self; 3] {
        let Comparison { a, b, difference, .. } = comparison;
        let (a, b) = (&a.file, &b.file);
        let order = class_order(&a.matrix, Some(&b.matrix), &a.class_names, lens);
        let values = ColorMap::for_lens(lens.scale, &[&a.matrix, &b.matrix], Content::Cosine);
        let change = ColorMap::for_lens(lens.scale, &[difference], Content::Difference);
        [(&a.matrix, Content::Cosine, values), (&b.matrix, Content::Cosine, values), (difference, Content::Difference, change)].map(
            |(matrix, content, map)| Heatmap {
                order: order.clone(),
                selected: lens.cell,
                ..Heatmap::plain(matrix, content, &a.class_names, map, theme)
            },
        )
    }

    /// A matrix in the given order, nothing selected, with a legend.
    pub fn plain(matrix: &Matrix, content: Content, labels: &[String], map: ColorMap, theme: Theme) -> Self {
        Heatmap {
            matrix: matrix.clone(),
            content,
            labels: labels.to_vec(),
            order: (0..matrix.classes()).collect(),
            map,
            selected: None,
            title: None,
            show_legend: true,
            show_values: true,
            theme,
        }
    }

    /// The colored cells alone.
    pub fn bare(self) -> Self {
        Heatmap { labels: Vec::new(), title: None, show_legend: false, show_values: false, ..self }
    }

    pub fn titled(self, title: impl Into<String>) -> Self {
        Heatmap { title: Some(title.into()), ..self }
    }

    /// The geometry in a box. Cells are square and as large as both sides allow.
    pub fn layout(&self, width: f64, height: f64) -> Layout {
        let classes = self.matrix.classes();
        let title = if self.title.is_some() { TITLE_HEIGHT } else { 0.0 };
        let note = if self.map.hidden(&self.matrix).note().is_some() { NOTE_HEIGHT } else { 0.0 };
        let legend = if self.show_legend { LEGEND_GAP + LEGEND_BAR + LEGEND_NUMBERS + note } else { 0.0 };
        let widest = self.labels.iter().map(|label| text_width(label, 1.0)).fold(0.0, f64::max);

        let count = classes.max(1) as f64;
        let side = |labels: &LabelLayout| {
            let free = (width - labels.row_width - MARK).min(height - title - labels.column_height - legend.max(MARK));
            (free / count).max(0.0)
        };
        // Labels shrink with the cells they name, and cells grow when labels shrink: two rounds settle it.
        let upright = self.label_layout(widest, LABEL_SIZE, width, true);
        let mut labels = self.label_layout(widest, (side(&upright) - 1.0).clamp(SMALLEST_LABEL, LABEL_SIZE), width, true);
        let flat = self.label_layout(widest, labels.size, width, false);
        if widest * flat.size + 4.0 <= side(&flat) {
            labels = flat;
        }
        let cell = whole(side(&labels));
        labels.every = if cell > 0.0 { ((labels.size + 0.5) / cell).ceil().max(1.0) as usize } else { classes.max(1) };

        let extent = cell * count;
        let left = ((width - labels.row_width - MARK - extent) / 2.0).max(0.0).floor() + labels.row_width;
        let cells = Rect::new(left, title + labels.column_height, extent, extent);
        let bar = self.show_legend.then(|| Rect::new(left, cells.bottom() + LEGEND_GAP, extent, LEGEND_BAR));

        let mut positions = vec![0; classes];
        for (position, class) in self.order.iter().enumerate() {
            positions[*class] = position;
        }
        Layout { cells, cell, legend: bar, height: cells.bottom() + legend.max(MARK), order: self.order.clone(), positions, labels }
    }

    /// The height that lets cells take up all of `width`.
    pub fn natural_height(&self, width: f64) -> f64 {
        self.layout(width, f64::MAX).height
    }

    fn label_layout(&self, widest: f64, size: f64, width: f64, upward: bool) -> LabelLayout {
        if self.labels.is_empty() {
            return LabelLayout { size, every: 1, row_width: MARK, column_height: MARK, upward };
        }
        let longest = (widest * size).min(width * 0.28).ceil();
        let column_height = if upward { longest } else { size.ceil() + 2.0 };
        LabelLayout { size, every: 1, row_width: longest + LABEL_GAP + MARK, column_height: column_height + LABEL_GAP + MARK, upward }
    }

    fn name(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    fn paint_cells<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let colors = self.map.colors(self.theme);
        let numbers = if self.show_values { Numbers::fitting(layout.cell) } else { Numbers::None };
        for row in 0..self.order.len() {
            for column in 0..self.order.len() {
                let (i, j) = layout.classes(row, column);
                let value = self.matrix.get(i, j);
                let ground = if i == j { palette.diagonal } else { colors.of(value) };
                pen.fill(layout.inside(row, column), ground)?;
                let (text, size) = match numbers {
                    Numbers::None => continue,
                    _ if i == j && self.content == Content::Difference => continue,
                    Numbers::Short { size } | Numbers::Full { size } if i == j => ("1".to_owned(), size),
                    Numbers::Short { size } => (cell_number(value).replacen("0.", ".", 1), size),
                    Numbers::Full { size } => (cell_number(value), size),
                };
                let color = if i == j { palette.text_muted } else { text_on(ground, self.theme) };
                pen.text(&text, layout.inside(row, column).center(), Align::Middle, Font::new(size, color))?;
            }
        }
        Ok(())
    }

    fn paint_labels<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        if self.labels.is_empty() {
            return Ok(());
        }
        for position in (0..self.order.len()).step_by(layout.labels.every) {
            let font = Font::new(layout.labels.size, self.theme.palette().text_muted);
            self.paint_label(pen, layout, position, Side::Row, font)?;
            self.paint_label(pen, layout, position, Side::Column, font)?;
        }
        Ok(())
    }

    fn paint_label<DB: DrawingBackend>(
        &self,
        pen: &Pen<'_, DB>,
        layout: &Layout,
        position: usize,
        side: Side,
        font: Font,
    ) -> Result<(), ChartError> {
        let (text, point) = layout.label(&self.name(self.order[position]), position, side);
        let (align, upward) = match side {
            Side::Row => (Align::End, false),
            Side::Column if layout.labels.upward => (Align::Start, true),
            Side::Column => (Align::Middle, false),
        };
        pen.text(&text, point, align, Font { upward, ..font })
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, bar: Rect) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let colors = self.map.colors(self.theme);
        let (low, high) = self.map.range();
        let slices = (bar.width / 2.0).floor().clamp(1.0, 256.0);
        let width = bar.width / slices;
        for slice in 0..slices as usize {
            let value = low + (high - low) * (slice as f64 + 0.5) / slices;
            // Each slice runs on under those after it: edges that fall between pixels would show as seams.
            let left = bar.left + slice as f64 * width;
            pen.fill(Rect { left, width: bar.right() - left, ..bar }, colors.of(value))?;
        }
        pen.frame(bar, 1.0, palette.border)?;
        let font = Font::new(11.0, palette.text_muted);
        let y = bar.bottom() + 11.0;
        pen.text(&legend_number(low), (bar.left, y), Align::Start, font)?;
        pen.text(&legend_number((low + high) / 2.0), (bar.center().0, y), Align::Middle, font)?;
        pen.text(&legend_number(high), (bar.right(), y), Align::End, font)?;
        if let Some(note) = self.map.hidden(&self.matrix).note() {
            let text = fitted(&note, 11.0, bar.width.max(pen.width() - bar.left));
            pen.text(&text, (bar.left, y + NOTE_HEIGHT), Align::Start, font)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Row,
    Column,
}

impl Layout {
    /// The square of the cell at a row and column as shown.
    pub fn cell_rect(&self, row: usize, column: usize) -> Rect {
        Rect::new(self.cells.left + column as f64 * self.cell, self.cells.top + row as f64 * self.cell, self.cell, self.cell)
    }

    /// The part of a cell that is painted.
    fn inside(&self, row: usize, column: usize) -> Rect {
        let Rect { left, top, .. } = self.cell_rect(row, column);
        // Large cells are set apart; small ones run on under the next, so that edges between pixels show no seams.
        let side = |index: usize| match self.cell {
            cell if cell >= SMALLEST_GAPPED_CELL => cell - 1.0,
            cell if index + 1 < self.order.len() => cell + 0.5,
            cell => cell,
        };
        Rect::new(left, top, side(column), side(row))
    }

    /// The row and column under a point.
    pub fn cell_at(&self, x: f64, y: f64) -> Option<(usize, usize)> {
        if !self.cells.contains(x, y) {
            return None;
        }
        let last = self.order.len().checked_sub(1)?;
        let index = |distance: f64| ((distance / self.cell) as usize).min(last);
        Some((index(y - self.cells.top), index(x - self.cells.left)))
    }

    /// The classes `(i, j)`, by index as given, of the cell at a row and column.
    pub fn classes(&self, row: usize, column: usize) -> (usize, usize) {
        (self.order[row], self.order[column])
    }

    /// The row and column of the cell of classes `(i, j)`; none where there is no such class.
    pub fn position(&self, (i, j): (usize, usize)) -> Option<(usize, usize)> {
        Some((*self.positions.get(i)?, *self.positions.get(j)?))
    }

    /// A label as it fits, and the point it is drawn from.
    fn label(&self, name: &str, position: usize, side: Side) -> (String, (f64, f64)) {
        let LabelLayout { size, row_width, column_height, upward, .. } = self.labels;
        let along = (position as f64 + 0.5) * self.cell;
        match side {
            Side::Row => (fitted(name, size, row_width - LABEL_GAP - MARK), (self.cells.left - LABEL_GAP, self.cells.top + along)),
            Side::Column if upward => {
                (fitted(name, size, column_height - LABEL_GAP - MARK), (self.cells.left + along, self.cells.top - LABEL_GAP))
            }
            Side::Column => {
                let y = self.cells.top - LABEL_GAP - (column_height - LABEL_GAP - MARK) / 2.0;
                (fitted(name, size, self.cell), (self.cells.left + along, y))
            }
        }
    }
}

impl Numbers {
    /// The longest form that fits a cell in a readable size, a minus sign included.
    fn fitting(cell: f64) -> Self {
        let size = |text: &str| ((cell - 5.0) / text_width(text, 1.0)).min(13.0);
        let (full, short) = (size("−0.00"), size("−.00"));
        if full >= 9.5 {
            Numbers::Full { size: full }
        } else if short >= 7.5 {
            Numbers::Short { size: short.min(11.0) }
        } else {
            Numbers::None
        }
    }
}

impl Chart for Heatmap {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let layout = self.layout(pen.width(), pen.height());
        pen.fill(pen.bounds(), palette.surface)?;
        if let Some(title) = &self.title {
            let text = fitted(title, 14.0, pen.width() - layout.cells.left);
            pen.text(&text, (layout.cells.left, 9.0), Align::Start, Font::new(14.0, palette.text).bold())?;
        }
        self.paint_labels(pen, &layout)?;
        self.paint_cells(pen, &layout)?;
        if let Some(bar) = layout.legend {
            self.paint_legend(pen, bar)?;
        }
        match self.selected {
            Some(cell) => CellMark { heatmap: self, cell }.paint_on(pen, &layout),
            None => Ok(()),
        }
    }

    fn describe(&self) -> String {
        let classes = self.matrix.classes();
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        let value = |(i, j): (usize, usize)| self.matrix.get(i, j);
        let title = self.title.as_ref().map(|title| format!("{title}. ")).unwrap_or_default();
        let kind = match self.content {
            Content::Cosine => "Class-wise attribution matrix",
            Content::Difference => "Difference of two class-wise attribution matrices",
        };
        let strongest = match self.content {
            Content::Cosine => pairs.max_by(|x, y| value(*x).total_cmp(&value(*y))),
            Content::Difference => pairs.max_by(|x, y| value(*x).abs().total_cmp(&value(*y).abs())),
        };
        let Some((i, j)) = strongest else { return format!("{title}{kind} of fewer than two classes.") };
        let (first, second) = (self.name(i), self.name(j));
        match self.content {
            Content::Cosine => format!(
                "{title}{kind} of {classes} classes: class attribution similarity {} of {}; most alike are {first} and {second}, {}.",
                format::decimal(self.matrix.cas(), 2),
                classes * (classes - 1),
                format::decimal(value((i, j)), 2),
            ),
            Content::Difference => {
                format!("{title}{kind} of {classes} classes: {first} and {second} changed most, by {}.", format::signed(value((i, j)), 2))
            }
        }
    }
}

impl CellMark<'_> {
    fn paint_on<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &Layout) -> Result<(), ChartError> {
        let Some((row, column)) = layout.position(self.cell) else { return Ok(()) };
        let palette = self.heatmap.theme.palette();
        let inner = layout.inside(row, column);
        // Ink around paper: one of the two stands out from any color of the map.
        pen.frame(inner.grown(MARK), MARK - 1.0, palette.text)?;
        pen.frame(inner.grown(1.0), 1.0, palette.surface)?;
        if self.heatmap.labels.is_empty() {
            return Ok(());
        }
        for (position, side) in [(row, Side::Row), (column, Side::Column)] {
            let (text, (x, y)) = layout.label(&self.heatmap.name(self.heatmap.order[position]), position, side);
            let size = layout.labels.size;
            let length = text_width(&text, size) + 2.0 * MARK;
            let thickness = size + 5.0;
            let chip = match side {
                Side::Row => Rect::new(x + MARK - length, y - thickness / 2.0, length, thickness),
                Side::Column if layout.labels.upward => Rect::new(x - thickness / 2.0, y + MARK - length, thickness, length),
                Side::Column => Rect::new(x - length / 2.0, y - thickness / 2.0, length, thickness),
            };
            pen.fill(chip, palette.accent)?;
            self.heatmap.paint_label(pen, layout, position, side, Font::new(size, palette.on_accent))?;
        }
        Ok(())
    }
}

impl Chart for CellMark<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.paint_on(pen, &self.heatmap.layout(pen.width(), pen.height()))
    }

    fn describe(&self) -> String {
        let (i, j) = self.cell;
        if i >= self.heatmap.matrix.classes() || j >= self.heatmap.matrix.classes() {
            return "No such cell.".to_owned();
        }
        let value = self.heatmap.matrix.get(i, j);
        let value = match self.heatmap.content {
            Content::Cosine => format::decimal(value, 3),
            Content::Difference => format::signed(value, 3),
        };
        format!("{} and {}: {value}", self.heatmap.name(i), self.heatmap.name(j))
    }
}

impl Hidden {
    /// What a reader should know, where anything is hidden.
    pub fn note(self) -> Option<String> {
        let cells = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
        match (self.negative, self.clipped) {
            (0, 0) => None,
            (negative, 0) => Some(format!("{} below 0 not shown", cells(negative))),
            (0, clipped) => Some(format!("{} beyond the scale", cells(clipped))),
            (negative, clipped) => Some(format!("{} below 0 not shown, {clipped} beyond the scale", cells(negative))),
        }
    }
}

/// The classes as the lens orders them; `other` is what the matrix is compared with.
fn class_order(matrix: &Matrix, other: Option<&Matrix>, class_names: &[String], lens: &Lens) -> Vec<usize> {
    let given = || (0..matrix.classes()).collect();
    match lens.order {
        Order::Given => given(),
        Order::Similarity => matrix.similarity_order(),
        Order::Superclass => superclasses_of(class_names)
            .map_or_else(given, |groups| groups.into_iter().flat_map(|group| group.classes).map(|class| class as usize).collect()),
        Order::Closeness(class) => matrix.closeness_order(class),
        Order::Change => other.and_then(|other| matrix.difference(other)).map_or_else(given, |change| change.size_order()),
    }
}

/// Whole pixels keep the edges of cells sharp; where they would waste much of the box, halves do.
fn whole(side: f64) -> f64 {
    if side >= 6.0 {
        side.floor()
    } else if side >= 1.0 {
        (side * 2.0).floor() / 2.0
    } else {
        side
    }
}

fn cell_number(value: f64) -> String {
    // Without the sum, −0.001 would read −0.00.
    format::decimal((value * 100.0).round() / 100.0 + 0.0, 2)
}

fn legend_number(value: f64) -> String {
    let text = cell_number(value);
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Scale;

    fn matrix(classes: usize, value: impl Fn(usize, usize) -> f64) -> Matrix {
        let row = |i| (0..classes).map(|j| if i == j { 1.0 } else { value(i, j) }).collect();
        Matrix::try_from((0..classes).map(row).collect::<Vec<Vec<f64>>>()).unwrap()
    }

    fn heatmap(classes: usize) -> Heatmap {
        let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        let matrix = matrix(classes, |i, j| ((i + j) % 7) as f64 / 10.0 - 0.3);
        let map = ColorMap::for_lens(Scale::Locked, &[&matrix], Content::Cosine);
        let order = (0..classes).rev().collect();
        Heatmap { order, ..Heatmap::plain(&matrix, Content::Cosine, &labels, map, Theme::Light) }
    }

    #[test]
    fn every_cell_is_found_at_its_center_and_corner_and_nowhere_else() {
        for classes in [1, 2, 10, 57, 200] {
            for (width, height) in [(340.0, 400.0), (760.0, 800.0), (1600.0, 500.0)] {
                let layout = heatmap(classes).layout(width, height);
                for row in 0..classes {
                    for column in 0..classes {
                        let rect = layout.cell_rect(row, column);
                        let (x, y) = rect.center();
                        assert_eq!(layout.cell_at(x, y), Some((row, column)));
                        assert_eq!(layout.cell_at(rect.left + 1e-6, rect.top + 1e-6), Some((row, column)));
                        assert_eq!(layout.position(layout.classes(row, column)), Some((row, column)));
                    }
                }
                let Rect { left, top, .. } = layout.cells;
                assert_eq!(layout.cell_at(left - 0.01, top + 1.0), None);
                assert_eq!(layout.cell_at(layout.cells.right(), top + 1.0), None);
                assert_eq!(layout.cell_at(left + 1.0, layout.cells.bottom()), None);
                assert_eq!(layout.position((classes, 0)), None);
                assert!(layout.cells.right() <= width && layout.height <= height, "{classes} classes leave {width}×{height}: {layout:?}");
            }
        }
    }

    #[test]
    fn the_order_says_which_class_a_row_shows() {
        let layout = heatmap(10).layout(500.0, 500.0);
        assert_eq!(layout.classes(0, 9), (9, 0));
        assert_eq!(layout.position((9, 0)), Some((0, 9)));
    }

    #[test]
    fn the_natural_height_is_the_one_that_leaves_no_room() {
        for classes in [1, 10, 100, 200] {
            let heatmap = heatmap(classes);
            let height = heatmap.natural_height(640.0);
            assert_eq!(heatmap.layout(640.0, height), heatmap.layout(640.0, 10_000.0));
            assert!(heatmap.layout(640.0, height - classes as f64).cell < heatmap.layout(640.0, height).cell);
        }
    }

    #[test]
    fn labels_lie_flat_where_they_fit_and_thin_out_where_they_do_not() {
        let short = Heatmap { labels: (0..10).map(|class| class.to_string()).collect(), ..heatmap(10) };
        assert!(!short.layout(500.0, 500.0).labels.upward);
        assert!(heatmap(10).layout(340.0, 400.0).labels.upward);
        assert_eq!(heatmap(40).layout(640.0, 700.0).labels.every, 1);
        let many = heatmap(200).layout(640.0, 700.0);
        assert!(many.labels.every as f64 * many.cell >= many.labels.size, "{many:?}");
    }

    #[test]
    fn numbers_shorten_and_then_leave_as_cells_shrink() {
        assert!(matches!(Numbers::fitting(44.0), Numbers::Full { size } if size >= 12.0));
        assert!(matches!(Numbers::fitting(25.0), Numbers::Short { .. }));
        assert_eq!(Numbers::fitting(13.0), Numbers::None);
        assert_eq!(cell_number(-0.42), "−0.42");
        assert_eq!(cell_number(-0.001), "0.00");
        assert_eq!([legend_number(1.0), legend_number(0.5), legend_number(0.0), legend_number(-0.61)], ["1", "0.5", "0", "−0.61"]);
    }

    #[test]
    fn descriptions_name_the_pair_that_matters() {
        let labels = ["cat", "dog", "ship"].map(str::to_owned);
        let values = matrix(3, |i, j| if i + j == 1 { 0.7 } else { -0.75 });
        let map = ColorMap::Diverging { limit: 1.0 };
        let cosines = Heatmap::plain(&values, Content::Cosine, &labels, map, Theme::Light);
        assert_eq!(
            cosines.describe(),
            "Class-wise attribution matrix of 3 classes: class attribution similarity 1.40 of 6; most alike are cat and dog, 0.70."
        );
        let change = Heatmap { content: Content::Difference, ..cosines.clone() }.describe();
        assert!(change.ends_with("dog and ship changed most, by −0.75."), "{change}");
        assert_eq!(CellMark { heatmap: &cosines, cell: (0, 1) }.describe(), "cat and dog: 0.700");
    }

    #[cfg(feature = "svg")]
    mod drawn {
        use super::*;
        use crate::chart::svg;

        fn count(svg: &str, part: &str) -> usize {
            svg.matches(part).count()
        }

        #[test]
        fn each_cell_is_one_rectangle_and_the_mark_four_more_inside_four() {
            let bare = heatmap(12).bare();
            let plain = svg(300, 300, &bare).unwrap();
            assert_eq!(count(&plain, "<rect"), 1 + 12 * 12);
            assert_eq!(count(&plain, "<text"), 0);
            let marked = svg(300, 300, &Heatmap { selected: Some((3, 5)), ..bare.clone() }).unwrap();
            assert_eq!(count(&marked, "<rect"), 1 + 12 * 12 + 8);
            let mark = svg(300, 300, &CellMark { heatmap: &bare, cell: (3, 5) }).unwrap();
            assert_eq!(count(&mark, "<rect"), 8, "the mark alone has no ground");
            let nowhere = svg(300, 300, &Heatmap { selected: Some((3, 99)), ..bare }).unwrap();
            assert_eq!(nowhere, plain);
        }

        #[test]
        fn every_class_is_labeled_twice_and_every_cell_has_its_value() {
            let drawn = svg(640, 700, &heatmap(10)).unwrap();
            for class in 0..10 {
                assert_eq!(count(&drawn, &format!(">\nclass {class}\n")), 2);
            }
            assert_eq!(count(&drawn, ">\n1\n"), 10 + 1, "the diagonal, and the end of the scale");
            let expected = (0..10).flat_map(|i| (0..10).map(move |j| (i, j))).filter(|(i, j)| i != j && (i + j) % 7 == 0).count();
            assert_eq!(count(&drawn, ">\n−0.30\n"), expected);
            assert!(!drawn.contains("-0."), "minus signs are typeset");
        }

        #[test]
        fn names_are_escaped_and_cut_to_the_margin() {
            let mut heatmap = heatmap(4);
            heatmap.labels[0] = "a <b> & \"c\"".to_owned();
            heatmap.labels[1] = "a class with a name that is longer than the picture is wide".to_owned();
            let drawn = svg(300, 300, &heatmap).unwrap();
            assert!(drawn.contains("&lt;b&gt; &amp;"), "{drawn}");
            assert!(drawn.contains('…') && !drawn.contains("wide\n"));
        }

        #[test]
        fn hidden_cells_are_confessed() {
            let matrix = matrix(3, |_, _| -0.5);
            let map = ColorMap::for_lens(Scale::Paper, &[&matrix], Content::Cosine);
            let heatmap = Heatmap::plain(&matrix, Content::Cosine, &[], map, Theme::Light);
            assert!(svg(300, 300, &heatmap).unwrap().contains("6 cells below 0 not shown"));
        }

        #[test]
        fn degenerate_matrices_and_boxes_draw_finite_numbers() {
            for classes in [0, 1, 2] {
                for scale in [Scale::Locked, Scale::Fitted, Scale::Paper] {
                    for theme in [Theme::Light, Theme::Dark] {
                        let matrix = matrix(classes, |_, _| 0.0);
                        let map = ColorMap::for_lens(scale, &[&matrix], Content::Difference);
                        let labels = vec!["x".to_owned(); classes];
                        let heatmap = Heatmap::plain(&matrix, Content::Difference, &labels, map, theme).titled("T");
                        for (width, height) in [(400, 400), (30, 400), (400, 30), (1, 1)] {
                            let drawn = svg(width, height, &heatmap).unwrap();
                            let wrong = ["NaN", "inf", "=\"-"].into_iter().find(|wrong| drawn.contains(wrong));
                            assert_eq!(wrong, None, "{classes} classes in {width}×{height}: {drawn}");
                        }
                    }
                }
            }
        }
    }
}
