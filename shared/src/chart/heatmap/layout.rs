//! Layout of a heatmap, zoomed or not.

use std::ops::Range;

use super::super::Rect;
use super::super::pen::{fitted, text_width};
use super::Heatmap;
use crate::view::Region;

/// Positions of the parts of a heatmap.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatmapLayout {
    /// Square of all visible cells.
    pub cells: Rect,
    /// Side of a cell.
    pub cell: f64,
    /// The color bar, without its numbers.
    pub legend: Option<Rect>,
    /// The clustering, beside the rows.
    pub tree: Option<Rect>,
    /// Total height of the drawing.
    pub height: f64,
    /// Row and column at the top left corner; fractional if the corner is inside a cell.
    pub row: f64,
    pub column: f64,
    order: Vec<usize>,
    /// Row and column of each class.
    positions: Vec<usize>,
    pub(super) labels: LabelLayout,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LabelLayout {
    pub size: f64,
    /// Only every `every`-th label is shown, so that labels do not overlap.
    pub every: usize,
    pub row_width: f64,
    pub column_height: f64,
    /// Whether column labels read from bottom to top.
    pub upward: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Row,
    Column,
}

/// Format of values in cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Numbers {
    None,
    /// Short form: `−.42`.
    Short {
        size: f64,
    },
    /// Full form: `−0.42`.
    Full {
        size: f64,
    },
}

const LABEL_SIZE: f64 = 12.0;
const SMALLEST_LABEL: f64 = 8.0;
pub(super) const LABEL_GAP: f64 = 6.0;
/// Distance of a mark from the edge of its cell, or from the text of its label.
pub(super) const MARK: f64 = 3.0;
pub(super) const TITLE_HEIGHT: f64 = 26.0;
const LEGEND_GAP: f64 = 12.0;
const LEGEND_BAR: f64 = 8.0;
const LEGEND_NUMBERS: f64 = 18.0;
pub(super) const NOTE_HEIGHT: f64 = 16.0;
const TREE_GAP: f64 = 6.0;
/// Width of the tree as a fraction of the whole width, up to `WIDEST_TREE`.
const TREE_SHARE: f64 = 0.1;
const WIDEST_TREE: f64 = 64.0;
/// From this cell size on, lines of the background color separate the cells.
pub(super) const SMALLEST_GAPPED_CELL: f64 = 14.0;

impl Heatmap {
    /// Layout in a box. Cells are square and as large as possible; a zoomed region fills the square of the
    /// whole matrix.
    pub fn layout(&self, width: f64, height: f64) -> HeatmapLayout {
        let classes = self.arrangement.order.len();
        let title = if self.title.is_some() { TITLE_HEIGHT } else { 0.0 };
        let note = if self.note().is_some() { NOTE_HEIGHT } else { 0.0 };
        let legend = if self.show_legend { LEGEND_GAP + LEGEND_BAR + LEGEND_NUMBERS + note } else { 0.0 };
        let widest = self.labels.iter().map(|label| text_width(label, 1.0)).fold(0.0, f64::max);
        let has_tree = self.arrangement.tree.is_some() && !self.labels.is_empty();
        let tree_width = if has_tree { TREE_GAP + (width * TREE_SHARE).min(WIDEST_TREE) } else { 0.0 };

        let count = classes.max(1) as f64;
        let free = |labels: &LabelLayout| {
            let across = width - labels.row_width - MARK - tree_width;
            across.min(height - title - labels.column_height - legend.max(MARK)).max(0.0)
        };
        let (row, column, span) = self.region.map_or((0.0, 0.0, count), Region::classes);
        let side = |labels: &LabelLayout| free(labels) / span;
        // Labels shrink with the cells, and cells grow if labels shrink: two rounds are enough.
        let upright = self.label_layout(widest, LABEL_SIZE, width, true);
        let mut labels = self.label_layout(widest, (side(&upright) - 1.0).clamp(SMALLEST_LABEL, LABEL_SIZE), width, true);
        let flat = self.label_layout(widest, labels.size, width, false);
        if widest * flat.size + 4.0 <= side(&flat) {
            labels = flat;
        }
        let (cell, extent) = match self.region {
            // The square keeps its size during zooming.
            Some(_) => (whole(free(&labels) / count) * count / span, whole(free(&labels) / count) * count),
            None => (whole(side(&labels)), whole(side(&labels)) * count),
        };
        labels.every = if cell > 0.0 { ((labels.size + 0.5) / cell).ceil().max(1.0) as usize } else { classes.max(1) };

        let left = ((width - labels.row_width - MARK - tree_width - extent) / 2.0).max(0.0).floor() + labels.row_width;
        let cells = Rect::new(left, title + labels.column_height, extent, extent);
        let bar = self.show_legend.then(|| Rect::new(left, cells.bottom() + LEGEND_GAP, extent, LEGEND_BAR));
        let tree = has_tree.then(|| Rect::new(cells.right() + TREE_GAP, cells.top, tree_width - TREE_GAP, extent));

        let mut positions = vec![0; classes];
        for (position, class) in self.arrangement.order.iter().enumerate() {
            positions[*class] = position;
        }
        let height = cells.bottom() + legend.max(MARK);
        HeatmapLayout { cells, cell, legend: bar, tree, height, row, column, order: self.arrangement.order.clone(), positions, labels }
    }

    /// Height at which the cells use all of `width`.
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
}

impl HeatmapLayout {
    /// Number of visible classes along a side.
    pub fn span(&self) -> f64 {
        if self.cell > 0.0 { self.cells.width / self.cell } else { self.order.len() as f64 }
    }

    /// Square of the cell at a displayed row and column; parts of it can be outside the visible area.
    pub fn cell_rect(&self, row: usize, column: usize) -> Rect {
        let left = self.cells.left + (column as f64 - self.column) * self.cell;
        let top = self.cells.top + (row as f64 - self.row) * self.cell;
        Rect::new(left, top, self.cell, self.cell)
    }

    /// The visible part of a cell.
    pub(super) fn visible(&self, row: usize, column: usize) -> Rect {
        let rect = self.cell_rect(row, column);
        let (left, top) = (rect.left.max(self.cells.left), rect.top.max(self.cells.top));
        Rect::new(left, top, rect.right().min(self.cells.right()) - left, rect.bottom().min(self.cells.bottom()) - top)
    }

    /// Rows or columns with a visible part.
    pub(super) fn in_sight(&self, side: Side) -> Range<usize> {
        let first = match side {
            Side::Row => self.row,
            Side::Column => self.column,
        };
        let last = ((first + self.span() - 1e-9).ceil() as usize).min(self.order.len());
        (first as usize).min(last)..last
    }

    /// Row and column at a point.
    pub fn cell_at(&self, x: f64, y: f64) -> Option<(usize, usize)> {
        if !self.cells.contains(x, y) {
            return None;
        }
        let last = self.order.len().checked_sub(1)?;
        let (row, column) = self.point_at(x, y);
        Some(((row as usize).min(last), (column as usize).min(last)))
    }

    /// A point as fractional row and column: `2.5` is the middle of the third row.
    pub fn point_at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.row + (y - self.cells.top) / self.cell, self.column + (x - self.cells.left) / self.cell)
    }

    /// Class indices `(i, j)` of the cell at a row and column.
    pub fn classes(&self, row: usize, column: usize) -> (usize, usize) {
        (self.order[row], self.order[column])
    }

    /// Row and column of the cell `(i, j)`; `None` if a class does not exist.
    pub fn position(&self, (i, j): (usize, usize)) -> Option<(usize, usize)> {
        Some((*self.positions.get(i)?, *self.positions.get(j)?))
    }

    /// Position of the middle of a row or column along its side; `None` if it is not visible.
    pub(super) fn middle(&self, position: usize, side: Side) -> Option<f64> {
        let (first, start, end) = match side {
            Side::Row => (self.row, self.cells.top, self.cells.bottom()),
            Side::Column => (self.column, self.cells.left, self.cells.right()),
        };
        let middle = start + (position as f64 + 0.5 - first) * self.cell;
        (start..end).contains(&middle).then_some(middle)
    }

    /// A label, shortened to fit, and its position; `None` if its row or column is not visible.
    pub(super) fn label(&self, name: &str, position: usize, side: Side) -> Option<(String, (f64, f64))> {
        let LabelLayout { size, row_width, column_height, upward, .. } = self.labels;
        let middle = self.middle(position, side)?;
        Some(match side {
            Side::Row => (fitted(name, size, row_width - LABEL_GAP - MARK), (self.cells.left - LABEL_GAP, middle)),
            Side::Column if upward => (fitted(name, size, column_height - LABEL_GAP - MARK), (middle, self.cells.top - LABEL_GAP)),
            Side::Column => {
                let y = self.cells.top - LABEL_GAP - (column_height - LABEL_GAP - MARK) / 2.0;
                (fitted(name, size, self.cell), (middle, y))
            }
        })
    }
}

impl Numbers {
    /// The longest format that fits a cell at a readable size, including a minus sign.
    pub(super) fn fitting(cell: f64) -> Self {
        let size = |text: &str, margins: f64| ((cell - margins) / text_width(text, 1.0)).min(13.0);
        let (full, short) = (size("−0.00", 9.0), size("−.00", 5.0));
        if full >= 9.5 {
            Numbers::Full { size: full }
        } else if short >= 7.5 {
            Numbers::Short { size: short.min(11.0) }
        } else {
            Numbers::None
        }
    }
}

/// Rounds to whole pixels, which give sharp edges, or to halves if whole pixels waste much of the box.
fn whole(side: f64) -> f64 {
    if side >= 6.0 {
        side.floor()
    } else if side >= 1.0 {
        (side * 2.0).floor() / 2.0
    } else {
        side
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::heatmap;
    use super::*;

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
                assert_eq!(layout.in_sight(Side::Row), 0..classes);
            }
        }
    }

    #[test]
    fn zooming_keeps_the_square_and_fills_it_with_the_region() {
        let whole = heatmap(100).layout(700.0, 760.0);
        let region = Region::within(20.5, 40.0, 10.0, 100);
        let zoomed = Heatmap { region, ..heatmap(100) }.layout(700.0, 760.0);
        assert!((zoomed.cells.width - whole.cells.width).abs() <= 100.0, "labels may grow, the square stays");
        assert!((zoomed.span() - 10.0).abs() < 1e-9);
        assert_eq!((zoomed.in_sight(Side::Row), zoomed.in_sight(Side::Column)), (20..31, 40..50));
        let Rect { left, top, .. } = zoomed.cells;
        assert_eq!(zoomed.cell_at(left + 1.0, top + 1.0), Some((20, 40)));
        assert_eq!(zoomed.visible(20, 40).height, zoomed.cell / 2.0);
        assert_eq!((zoomed.middle(19, Side::Row), zoomed.middle(50, Side::Column)), (None, None));
        assert_eq!(zoomed.point_at(left, top), (20.5, 40.0));
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
    }
}
