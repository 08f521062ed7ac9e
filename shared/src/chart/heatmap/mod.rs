//! A matrix over classes as colored squares.
//!
//! Files draw the cells as rectangles. Screens use an image with one pixel per cell, a [`HeatmapFrame`] with
//! labels, numbers and lines above it, and a [`HeatmapNote`] and [`CellMark`]s on top.

mod arrangement;
mod layout;

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use self::layout::{MARK, NOTE_HEIGHT, Numbers, SMALLEST_GAPPED_CELL, Side};
use super::color_map::{ColorMap, Content, Hidden, MapColors};
use super::colors::{Theme, mixed, text_on};
use super::comparison::arrangement_of;
use super::pen::{Align, Font, fitted, text_width};
use super::{Chart, ChartError, Pen, Rect};
use crate::api::Attribution;
use crate::format;
use crate::interference::Relation;
use crate::matrix::Matrix;
use crate::view::{Cells, Lens, Region, Show};

pub use self::arrangement::Arrangement;
pub use self::layout::HeatmapLayout;

/// A matrix over classes, with the settings for drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Values over classes in their given order, or over groups if the arrangement is collapsed.
    pub matrix: Matrix,
    pub content: Content,
    /// Names by index in the matrix; empty: no labels.
    pub labels: Vec<String>,
    pub arrangement: Arrangement,
    pub map: ColorMap,
    /// Off-diagonal cells with a smaller absolute value are blank.
    pub threshold: f64,
    /// Cells that are not distinguishable from 0, by index in the matrix; empty: no hatching.
    pub hatched: Vec<Vec<bool>>,
    /// Fractions that discs on the cells show, by index in the matrix.
    pub discs: Option<Matrix>,
    /// The visible part. `None`: the whole matrix.
    pub region: Option<Region>,
    /// The selected cell `(i, j)`, as class indices.
    pub selected: Option<(usize, usize)>,
    pub title: Option<String>,
    pub show_legend: bool,
    /// Whether values are written into cells, if these are large enough.
    pub show_values: bool,
    pub theme: Theme,
    /// Numbers of cells hidden by the color map or the threshold.
    pub(super) hidden: Hidden,
}

/// Everything except the cells and the note, on a transparent background, to be drawn above an image of the cells.
#[derive(Clone, Copy, Debug)]
pub struct HeatmapFrame<'a>(pub &'a Heatmap);

/// The note below the color bar, for a transparent canvas above the frame: it changes with almost every matrix,
/// and the frame seldom.
#[derive(Clone, Copy, Debug)]
pub struct HeatmapNote<'a>(pub &'a Heatmap);

/// The mark of one cell, for a transparent canvas above the cells: following the pointer then does not redraw
/// up to 40,000 cells.
#[derive(Clone, Copy, Debug)]
pub struct CellMark<'a> {
    pub heatmap: &'a Heatmap,
    /// Class indices `(i, j)`.
    pub cell: (usize, usize),
}

/// Smallest cell with hatching; smaller ones are faded instead.
const SMALLEST_HATCHED_CELL: f64 = 8.0;
const HATCH_CONTRAST: f64 = 0.45;
/// Radius of the largest disc, as a part of the cell.
const LARGEST_DISC: f64 = 0.42;

impl Heatmap {
    /// The matrix of an attribution with a lens. The baseline counts if the lens shows two matrices and it
    /// has the same classes.
    pub fn of(attribution: &Attribution, baseline: Option<&Attribution>, lens: &Lens, theme: Theme) -> Self {
        let arrangement = Heatmap::arrangement(attribution, baseline, lens);
        Heatmap::in_order(attribution, baseline, arrangement, lens, theme)
    }

    /// The order of the classes in [`Heatmap::of`]; by similarity it is slow for hundreds of classes.
    ///
    /// Depends only on [`Lens::ordering`].
    pub fn arrangement(attribution: &Attribution, baseline: Option<&Attribution>, lens: &Lens) -> Arrangement {
        arrangement_of(attribution, attribution.comparable(baseline), lens)
    }

    /// As [`Heatmap::of`], with the arrangement of this lens.
    pub fn in_order(
        attribution: &Attribution,
        baseline: Option<&Attribution>,
        arrangement: Arrangement,
        lens: &Lens,
        theme: Theme,
    ) -> Self {
        let (file, names) = (&attribution.file, &attribution.file.class_names);
        // Only values of C are compared.
        let baseline = attribution.comparable(baseline).filter(|_| lens.cells.or_attribution(file) == Cells::Attribution);
        let matrix = &file.matrix;
        let compared = baseline.filter(|_| lens.show == Show::Difference);
        let difference = compared.and_then(|baseline| baseline.file.matrix.difference(matrix));
        match (baseline, difference) {
            (Some(baseline), Some(difference)) => {
                Heatmap::difference([baseline, attribution], &difference, &[&difference], arrangement, lens, theme)
            }
            (Some(baseline), None) if lens.show == Show::Split && !arrangement.collapsed => {
                let sides = [baseline, attribution];
                Heatmap::split(sides, &sides.map(|side| &side.file.matrix), arrangement, lens, theme)
            }
            _ => {
                let (matrix, content) = lens.cells.of(file).unwrap_or_else(|| (matrix.clone(), Content::Cosine));
                let map = arrangement.map(lens, &[&matrix], content);
                let traffic = lens.traffic.then(|| Relation::Traffic.of(file)).flatten().map(|traffic| arrangement.applied(&traffic));
                Heatmap { discs: traffic, ..Heatmap::arranged(&matrix, content, names, arrangement, map, lens, theme) }
            }
        }
    }

    /// The second attribution minus the first, on the scale of all differences of a page.
    pub(super) fn difference(
        [from, to]: [&Attribution; 2],
        difference: &Matrix,
        all: &[&Matrix],
        arrangement: Arrangement,
        lens: &Lens,
        theme: Theme,
    ) -> Self {
        let hatched = unresolved(from, to, &arrangement);
        let map = arrangement.map(lens, all, Content::Difference);
        Heatmap::arranged(difference, Content::Difference, &from.file.class_names, arrangement, map, lens, theme).hatched(hatched)
    }

    /// The first attribution above the diagonal and the second below it, on the scale of all matrices of a
    /// page.
    pub(super) fn split([above, below]: [&Attribution; 2], all: &[&Matrix], arrangement: Arrangement, lens: &Lens, theme: Theme) -> Self {
        let matrix = above.file.matrix.split(&below.file.matrix, &arrangement.order);
        let map = arrangement.map(lens, all, Content::Cosine);
        Heatmap::arranged(&matrix, Content::Cosine, &above.file.class_names, arrangement, map, lens, theme)
    }

    /// A matrix over the named classes. Panels can share the arrangement and the map.
    ///
    /// Region, threshold and selection come from the lens.
    pub fn arranged(
        matrix: &Matrix,
        content: Content,
        class_names: &[String],
        arrangement: Arrangement,
        map: ColorMap,
        lens: &Lens,
        theme: Theme,
    ) -> Self {
        let matrix = arrangement.applied(matrix);
        let threshold = f64::from(lens.threshold) / 100.0;
        Heatmap {
            hidden: map.hidden(&matrix, threshold),
            labels: arrangement.labels(class_names),
            // The region and the selected pair are of classes and do not apply to groups.
            selected: lens.cell.filter(|_| !arrangement.collapsed),
            region: lens.region.filter(|_| !arrangement.collapsed).and_then(|region| {
                let (row, column, span) = region.classes();
                Region::within(row, column, span, matrix.classes())
            }),
            matrix,
            content,
            arrangement,
            map,
            threshold,
            hatched: Vec::new(),
            discs: None,
            title: None,
            show_legend: true,
            show_values: true,
            theme,
        }
    }

    /// A matrix in its given order with a legend, without selection.
    pub fn plain(matrix: &Matrix, content: Content, labels: &[String], map: ColorMap, theme: Theme) -> Self {
        let arrangement = Arrangement::given(matrix.classes());
        Heatmap::arranged(matrix, content, labels, arrangement, map, &Lens::default(), theme)
    }

    /// Only the colored cells.
    pub fn bare(self) -> Self {
        Heatmap { labels: Vec::new(), discs: None, title: None, show_legend: false, show_values: false, ..self }
    }

    /// Adds hatching, by index in the matrix.
    pub fn hatched(self, hatched: Vec<Vec<bool>>) -> Self {
        Heatmap { hatched, ..self }
    }

    pub fn titled(self, title: impl Into<String>) -> Self {
        Heatmap { title: Some(title.into()), ..self }
    }

    /// Numbers of cells that are not visible.
    pub fn hidden(&self) -> Hidden {
        self.hidden
    }

    /// Name of a row or column, by index in the matrix.
    pub fn name(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The cells as an image of one pixel each, in displayed order: RGBA, row by row.
    pub fn pixels(&self) -> Vec<u8> {
        let colors = self.map.colors(self.theme);
        let order = &self.arrangement.order;
        let mut pixels = Vec::with_capacity(order.len() * order.len());
        for i in order {
            let row = self.matrix.row(*i);
            for j in order {
                let RGBColor(red, green, blue) = self.color((*i, *j), row[*j], colors, true);
                pixels.push([red, green, blue, u8::MAX]);
            }
        }
        pixels.into_flattened()
    }

    /// The data that a [`HeatmapFrame`] needs in this layout. It contains no values if none are written, so
    /// that the frame can stay while only values change.
    pub fn without_cells(&self, layout: &HeatmapLayout) -> Self {
        let hatches = layout.cell >= SMALLEST_HATCHED_CELL && !self.hatched.is_empty();
        let numbers = self.show_values && Numbers::fitting(layout.cell) != Numbers::None;
        let discs = layout.cell >= SMALLEST_HATCHED_CELL && self.discs.is_some();
        if hatches || numbers || discs {
            return self.clone();
        }
        Heatmap {
            matrix: Matrix::default(),
            content: self.content,
            labels: self.labels.clone(),
            arrangement: self.arrangement.clone(),
            map: self.map,
            threshold: self.threshold,
            // The frame leaves room for a note, so it depends on whether there is one.
            hatched: if self.hatched.is_empty() { Vec::new() } else { vec![Vec::new()] },
            discs: self.discs.clone(),
            region: self.region,
            selected: self.selected,
            title: self.title.clone(),
            show_legend: self.show_legend,
            // Keep this false if the canvas grows later: the values are not there.
            show_values: false,
            theme: self.theme,
            hidden: Hidden { small: self.hidden.count().min(1), ..Hidden::default() },
        }
    }

    /// Whether the value of a cell is fixed by definition.
    fn is_diagonal(&self, (i, j): (usize, usize)) -> bool {
        i == j && !self.arrangement.collapsed
    }

    fn is_hatched(&self, (i, j): (usize, usize)) -> bool {
        i != j && self.hatched.get(i).and_then(|row| row.get(j)).copied().unwrap_or(false)
    }

    /// Color of a cell. `small`: hatched cells are faded, because there is no room for lines.
    fn color(&self, cell: (usize, usize), value: f64, colors: MapColors, small: bool) -> RGBColor {
        match () {
            () if self.is_diagonal(cell) => self.theme.palette().diagonal,
            () if value.abs() < self.threshold => self.theme.palette().surface,
            () if small && self.is_hatched(cell) => colors.faded(value),
            () => colors.of(value),
        }
    }

    /// A note about hidden or hatched cells, if there are any.
    fn note(&self) -> Option<String> {
        let hatched = (!self.hatched.is_empty()).then(|| "hatched: within the 95 % intervals".to_owned());
        let discs = self.largest_disc().map(|largest| format!("discs: taken for the other class, at most {}", format::percent(largest)));
        let notes: Vec<String> = self.hidden.note().into_iter().chain(hatched).chain(discs).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// The largest fraction that a disc shows, if there are discs.
    fn largest_disc(&self) -> Option<f64> {
        self.discs.as_ref().map(|discs| discs.off_diagonal_range().1)
    }

    /// The discs in sight: position in the displayed order as row and column, and radius as a part of the cell.
    pub fn discs(&self) -> Vec<((usize, usize), f64)> {
        let (Some(discs), Some(largest)) = (&self.discs, self.largest_disc().filter(|largest| *largest > 0.0)) else { return Vec::new() };
        let order = &self.arrangement.order;
        let places = (0..order.len()).flat_map(|row| (0..order.len()).map(move |column| (row, column)));
        let radius = |(row, column): (usize, usize)| match (order[row], order[column]) {
            (i, j) if i == j => 0.0,
            // The area of a disc shows its fraction.
            (i, j) => LARGEST_DISC * (discs.get(i, j) / largest).sqrt(),
        };
        places.map(|place| (place, radius(place))).filter(|(_, radius)| *radius > 0.0).collect()
    }

    fn paint_discs<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        if layout.cell < SMALLEST_HATCHED_CELL {
            return Ok(());
        }
        let colors = self.map.colors(self.theme);
        for ((row, column), radius) in self.discs() {
            let (Some(y), Some(x)) = (layout.middle(row, Side::Row), layout.middle(column, Side::Column)) else { continue };
            let cell = layout.classes(row, column);
            let ground = self.color(cell, self.matrix.get(cell.0, cell.1), colors, false);
            pen.disc((x, y), radius * layout.cell, mixed(ground, text_on(ground, self.theme), HATCH_CONTRAST))?;
        }
        Ok(())
    }

    fn paint_cells<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        let colors = self.map.colors(self.theme);
        let small = layout.cell < SMALLEST_HATCHED_CELL;
        for row in layout.in_sight(Side::Row) {
            for column in layout.in_sight(Side::Column) {
                let rect = layout.visible(row, column);
                // Extend each cell under the next, so that no gap is visible if an edge lies between pixels.
                let on = |edge: f64, end: f64| if edge + 0.5 < end { 0.5 } else { 0.0 };
                let (width, height) =
                    (rect.width + on(rect.right(), layout.cells.right()), rect.height + on(rect.bottom(), layout.cells.bottom()));
                let (i, j) = layout.classes(row, column);
                let color = self.color((i, j), self.matrix.get(i, j), colors, small);
                pen.fill(Rect { width, height, ..rect }, color)?;
            }
        }
        Ok(())
    }

    /// Draws the lines between cells and groups, and the hatching.
    fn paint_lines<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        if layout.cell >= SMALLEST_HATCHED_CELL && !self.hatched.is_empty() {
            self.paint_hatching(pen, layout)?;
        }
        let Rect { left, top, width, height } = layout.cells;
        let line = |position: usize, thickness: f64, color| -> Result<(), ChartError> {
            let (x, y) = (layout.cell_rect(0, position).left, layout.cell_rect(position, 0).top);
            let back = thickness / 2.0;
            if x - back > left && x < layout.cells.right() {
                pen.fill(Rect::new(x - back.ceil(), top, thickness, height), color)?;
            }
            if y - back > top && y < layout.cells.bottom() {
                pen.fill(Rect::new(left, y - back.ceil(), width, thickness), color)?;
            }
            Ok(())
        };
        if layout.cell >= SMALLEST_GAPPED_CELL {
            (1..self.arrangement.order.len()).try_for_each(|position| line(position, 1.0, palette.surface))?;
        }
        self.arrangement.boundaries().into_iter().try_for_each(|position| line(position, 1.0, palette.text_muted))
    }

    fn paint_hatching<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        let colors = self.map.colors(self.theme);
        for row in layout.in_sight(Side::Row) {
            for column in layout.in_sight(Side::Column) {
                let cell = layout.classes(row, column);
                if !self.is_hatched(cell) {
                    continue;
                }
                let ground = self.color(cell, self.matrix.get(cell.0, cell.1), colors, false);
                let color = mixed(ground, text_on(ground, self.theme), HATCH_CONTRAST);
                let Rect { left, top, width, height } = layout.visible(row, column);
                // Three lines from bottom left to top right, at 1/4, 1/2 and 3/4 of the diagonal of the
                // visible part of the cell.
                for part in [0.5, 1.0, 1.5] {
                    let (x, y) = ((width * part).min(width), (height * part).min(height));
                    let (from_x, from_y) = ((width * part - width).max(0.0), (height * part - height).max(0.0));
                    pen.path(&[(left + from_x, top + y), (left + x, top + from_y)], 1.0, color)?;
                }
            }
        }
        Ok(())
    }

    fn paint_numbers<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        // Numbers on discs are hard to read.
        let numbers = if self.show_values && self.discs.is_none() { Numbers::fitting(layout.cell) } else { Numbers::None };
        let (Numbers::Short { size } | Numbers::Full { size }) = numbers else { return Ok(()) };
        let colors = self.map.colors(self.theme);
        for row in layout.in_sight(Side::Row) {
            for column in layout.in_sight(Side::Column) {
                let (Some(y), Some(x)) = (layout.middle(row, Side::Row), layout.middle(column, Side::Column)) else { continue };
                let cell = layout.classes(row, column);
                let value = self.matrix.get(cell.0, cell.1);
                let text = match numbers {
                    _ if self.is_diagonal(cell) && matches!(self.content, Content::Difference | Content::Fraction) => continue,
                    _ if self.is_diagonal(cell) && self.content == Content::Cosine => "1".to_owned(),
                    _ if value.abs() < self.threshold => continue,
                    Numbers::Full { .. } => cell_number(value),
                    Numbers::Short { .. } | Numbers::None => cell_number(value).replacen("0.", ".", 1),
                };
                let color = match self.is_diagonal(cell) {
                    true => self.theme.palette().text_muted,
                    false => text_on(self.color(cell, value, colors, false), self.theme),
                };
                pen.text(&text, (x, y), Align::Middle, Font::new(size, color))?;
            }
        }
        Ok(())
    }

    fn paint_labels<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let font = Font::new(layout.labels.size, self.theme.palette().text_muted);
        for side in [Side::Row, Side::Column] {
            for position in layout.in_sight(side).filter(|position| position.is_multiple_of(layout.labels.every)) {
                self.paint_label(pen, layout, position, side, font)?;
            }
        }
        Ok(())
    }

    fn paint_label<DB: DrawingBackend>(
        &self,
        pen: &Pen<'_, DB>,
        layout: &HeatmapLayout,
        position: usize,
        side: Side,
        font: Font,
    ) -> Result<(), ChartError> {
        let Some((text, point)) = layout.label(&self.name(self.arrangement.order[position]), position, side) else { return Ok(()) };
        let (align, upward) = match side {
            Side::Row => (Align::End, false),
            Side::Column if layout.labels.upward => (Align::Start, true),
            Side::Column => (Align::Middle, false),
        };
        pen.text(&text, point, align, Font { upward, ..font })
    }

    /// Draws the clustering beside the rows. The distance of a merge from the rows shows its merge distance.
    fn paint_tree<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout, rect: Rect) -> Result<(), ChartError> {
        let Some(tree) = &self.arrangement.tree else { return Ok(()) };
        let brackets = tree.brackets();
        let farthest = brackets.iter().map(|bracket| bracket.distance).fold(f64::MIN_POSITIVE, f64::max);
        let x = |distance: f64| rect.left + distance.max(0.0) / farthest * (rect.width - 1.0);
        let y = |place: f64| rect.top + (place + 0.5 - layout.row) * layout.cell;
        let inside = |y: f64| y >= rect.top && y <= rect.bottom();
        let color = self.theme.palette().axis;
        for bracket in brackets {
            let ends = bracket.places.map(y);
            for (end, from) in ends.into_iter().zip(bracket.from).filter(|(end, _)| inside(*end)) {
                pen.horizontal(x(from), x(bracket.distance) + 1.0, end, color)?;
            }
            let (top, bottom) = (ends[0].max(rect.top), ends[1].min(rect.bottom()));
            if top < bottom {
                pen.vertical(x(bracket.distance), top, bottom, 0.0, color)?;
            }
        }
        Ok(())
    }

    fn paint_legend<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, bar: Rect) -> Result<(), ChartError> {
        let palette = self.theme.palette();
        let colors = self.map.colors(self.theme);
        let (low, high) = self.map.range();
        let slices = (bar.width / 2.0).floor().clamp(1.0, 256.0);
        let width = bar.width / slices;
        for slice in 0..slices as usize {
            let value = low + (high - low) * (slice as f64 + 0.5) / slices;
            // Extend each slice under the next, so that no gap is visible if an edge lies between pixels.
            let left = bar.left + slice as f64 * width;
            let color = if value.abs() < self.threshold { palette.surface } else { colors.of(value) };
            pen.fill(Rect { left, width: (width + 1.0).min(bar.right() - left), ..bar }, color)?;
        }
        pen.frame(bar, 1.0, palette.border)?;
        let font = Font::new(11.0, palette.text_muted);
        let y = bar.bottom() + 11.0;
        pen.text(&legend_number(low), (bar.left, y), Align::Start, font)?;
        pen.text(&legend_number((low + high) / 2.0), (bar.center().0, y), Align::Middle, font)?;
        pen.text(&legend_number(high), (bar.right(), y), Align::End, font)
    }

    fn paint_note<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        let (Some(bar), Some(note)) = (layout.legend, self.note()) else { return Ok(()) };
        let text = fitted(&note, 11.0, bar.width.max(pen.width() - bar.left));
        let place = (bar.left, bar.bottom() + 11.0 + NOTE_HEIGHT);
        pen.text(&text, place, Align::Start, Font::new(11.0, self.theme.palette().text_muted))
    }

    fn paint_over<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        if let Some(title) = &self.title {
            let text = fitted(title, 14.0, pen.width() - layout.cells.left);
            pen.text(&text, (layout.cells.left, 9.0), Align::Start, Font::new(14.0, self.theme.palette().text).bold())?;
        }
        self.paint_lines(pen, layout)?;
        self.paint_labels(pen, layout)?;
        self.paint_discs(pen, layout)?;
        self.paint_numbers(pen, layout)?;
        if let Some(rect) = layout.tree {
            self.paint_tree(pen, layout, rect)?;
        }
        layout.legend.map_or(Ok(()), |bar| self.paint_legend(pen, bar))
    }
}

/// Unresolved cells of a difference. Empty if an attribution has no intervals, or if cells are block means.
pub fn unresolved(a: &Attribution, b: &Attribution, arrangement: &Arrangement) -> Vec<Vec<bool>> {
    let intervals = a.file.bootstrap.as_ref().zip(b.file.bootstrap.as_ref()).filter(|_| !arrangement.collapsed);
    intervals.and_then(|(a, b)| a.unresolved(b)).unwrap_or_default()
}

impl Chart for Heatmap {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        let layout = self.layout(pen.width(), pen.height());
        pen.fill(pen.bounds(), self.theme.palette().surface)?;
        self.paint_cells(pen, &layout)?;
        self.paint_over(pen, &layout)?;
        self.paint_note(pen, &layout)?;
        match self.selected {
            Some(cell) => CellMark { heatmap: self, cell }.paint_on(pen, &layout),
            None => Ok(()),
        }
    }

    fn describe(&self) -> String {
        let classes = self.matrix.classes();
        let value = |(i, j): (usize, usize)| self.matrix.get(i, j);
        let title = self.title.as_ref().map(|title| format!("{title}. ")).unwrap_or_default();
        let kind = match self.content {
            Content::Cosine => "Class-wise attribution matrix",
            Content::Difference => "Difference of two class-wise attribution matrices",
            Content::Fraction => "Images taken for another class",
            Content::Logit => "Mean logits",
        };
        let what = if self.arrangement.collapsed { "superclasses" } else { "classes" };
        let strongest = match self.content {
            Content::Cosine | Content::Fraction | Content::Logit => self.matrix.strongest(|value| value),
            Content::Difference => self.matrix.strongest(f64::abs),
        };
        let Some((i, j)) = strongest else { return format!("{title}{kind} of fewer than two {what}.") };
        let (first, second) = (self.name(i), self.name(j));
        match self.content {
            Content::Cosine if self.arrangement.collapsed => format!(
                "{title}{kind}, means over {classes} {what}: most alike are {first} and {second}, {}.",
                format::decimal(value((i, j)), 2)
            ),
            Content::Cosine => format!(
                "{title}{kind} of {classes} {what}: class attribution similarity {} of {}; most alike are {first} and {second}, {}.",
                format::decimal(self.matrix.cas(), 2),
                classes * (classes - 1),
                format::decimal(value((i, j)), 2),
            ),
            Content::Fraction => {
                format!("{title}{kind}, of {classes} {what}: most often {first} and {second}, {}.", format::percent(value((i, j))))
            }
            Content::Logit => {
                let (least, most) = self.matrix.off_diagonal_range();
                format!(
                    "{title}{kind} of {classes} {what}: those of other classes lie between {} and {}.",
                    format::decimal(least, 2),
                    format::decimal(most, 2)
                )
            }
            Content::Difference => {
                format!("{title}{kind} of {classes} {what}: {first} and {second} changed most, by {}.", format::signed(value((i, j)), 2))
            }
        }
    }
}

impl Chart for HeatmapFrame<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.0.paint_over(pen, &self.0.layout(pen.width(), pen.height()))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

impl Chart for HeatmapNote<'_> {
    fn paint<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>) -> Result<(), ChartError> {
        self.0.paint_note(pen, &self.0.layout(pen.width(), pen.height()))
    }

    fn describe(&self) -> String {
        self.0.note().unwrap_or_default()
    }
}

impl CellMark<'_> {
    fn paint_on<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, layout: &HeatmapLayout) -> Result<(), ChartError> {
        let Some((row, column)) = layout.position(self.cell) else { return Ok(()) };
        let palette = self.heatmap.theme.palette();
        let inner = layout.visible(row, column);
        if inner.width > 0.0 && inner.height > 0.0 {
            // A dark frame around a light one: one of them is visible on any color of the map.
            pen.frame(inner.grown(MARK), MARK - 1.0, palette.text)?;
            pen.frame(inner.grown(1.0), 1.0, palette.surface)?;
        }
        if self.heatmap.labels.is_empty() {
            return Ok(());
        }
        for (position, side) in [(row, Side::Row), (column, Side::Column)] {
            let name = self.heatmap.name(self.heatmap.arrangement.order[position]);
            let Some((text, (x, y))) = layout.label(&name, position, side) else { continue };
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
            Content::Cosine | Content::Logit => format::decimal(value, 3),
            Content::Difference => format::signed(value, 3),
            Content::Fraction => format::percent(value),
        };
        format!("{} and {}: {value}", self.heatmap.name(i), self.heatmap.name(j))
    }
}

impl Hidden {
    /// A note about hidden cells, if there are any.
    pub fn note(self) -> Option<String> {
        let Hidden { negative, clipped, small } = self;
        let cells = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
        let parts = [(negative, "below 0 not shown"), (clipped, "beyond the scale"), (small, "below the threshold")];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", cells(count))).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Total number of hidden cells.
    pub fn count(self) -> usize {
        self.negative + self.clipped + self.small
    }
}

fn cell_number(value: f64) -> String {
    // Adding 0.0 avoids −0.00 for −0.001.
    format::decimal((value * 100.0).round() / 100.0 + 0.0, 2)
}

fn legend_number(value: f64) -> String {
    let text = cell_number(value);
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::view::Lens;

    fn matrix(classes: usize, value: impl Fn(usize, usize) -> f64) -> Matrix {
        let row = |i| (0..classes).map(|j| if i == j { 1.0 } else { value(i, j) }).collect();
        Matrix::try_from((0..classes).map(row).collect::<Vec<Vec<f64>>>()).unwrap()
    }

    pub fn heatmap(classes: usize) -> Heatmap {
        let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        let matrix = matrix(classes, |i, j| ((i + j) % 7) as f64 / 10.0 - 0.3);
        let map = ColorMap::for_lens(&Lens::default(), &[&matrix], Content::Cosine);
        let arrangement = Arrangement { order: (0..classes).rev().collect(), ..Arrangement::default() };
        Heatmap { arrangement, ..Heatmap::plain(&matrix, Content::Cosine, &labels, map, Theme::Light) }
    }

    #[test]
    fn numbers_are_typeset() {
        assert_eq!(cell_number(-0.42), "−0.42");
        assert_eq!(cell_number(-0.001), "0.00");
        assert_eq!([legend_number(1.0), legend_number(0.5), legend_number(0.0), legend_number(-0.61)], ["1", "0.5", "0", "−0.61"]);
    }

    #[test]
    fn the_image_has_a_pixel_for_each_cell_as_it_is_ordered() {
        let heatmap = Heatmap { threshold: 0.15, ..heatmap(12) };
        let pixels = heatmap.pixels();
        assert_eq!(pixels.len(), 12 * 12 * 4);
        let at = |row: usize, column: usize| &pixels[(row * 12 + column) * 4..][..4];
        let rgba = |color: plotters::style::RGBColor| [color.0, color.1, color.2, 255];
        let palette = Theme::Light.palette();
        assert_eq!(at(4, 4), rgba(palette.diagonal));
        // The order is reversed: row 0 shows class 11, column 5 class 6.
        assert!(heatmap.matrix.get(11, 6).abs() < 0.15);
        assert_eq!(at(0, 5), rgba(palette.surface), "below the threshold");
        assert_eq!(at(11, 10), rgba(heatmap.map.colors(Theme::Light).of(heatmap.matrix.get(0, 1))));
    }

    #[test]
    fn cells_that_are_not_told_apart_fade_where_there_is_no_room_for_lines() {
        let plain = heatmap(12);
        let hatched = Heatmap { hatched: vec![vec![true; 12]; 12], ..plain.clone() };
        let (before, after) = (plain.pixels(), hatched.pixels());
        assert_eq!(before[..4], after[..4], "the diagonal stays");
        assert_ne!(before[4..8], after[4..8]);
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
    mod drawn {
        use super::*;
        use crate::chart::svg;
        use crate::view::{Order, Scale};

        fn count(svg: &str, part: &str) -> usize {
            svg.matches(part).count()
        }

        #[test]
        fn each_cell_is_one_rectangle_with_lines_between_and_the_mark_four_more_inside_four() {
            let bare = heatmap(12).bare();
            let plain = svg(300, 300, &bare).unwrap();
            assert_eq!(count(&plain, "<rect"), 1 + 12 * 12 + 2 * 11);
            assert_eq!(count(&plain, "<text"), 0);
            let marked = svg(300, 300, &Heatmap { selected: Some((3, 5)), ..bare.clone() }).unwrap();
            assert_eq!(count(&marked, "<rect"), 1 + 12 * 12 + 2 * 11 + 8);
            let overlay = svg(300, 300, &HeatmapFrame(&bare)).unwrap();
            assert_eq!(count(&overlay, "<rect"), 2 * 11, "the cells come as an image");
            let mark = svg(300, 300, &CellMark { heatmap: &bare, cell: (3, 5) }).unwrap();
            assert_eq!(count(&mark, "<rect"), 8, "the mark alone has no ground");
            let nowhere = svg(300, 300, &Heatmap { selected: Some((3, 99)), ..bare }).unwrap();
            assert_eq!(nowhere, plain);
        }

        #[test]
        fn what_lies_above_the_cells_stays_while_only_values_change_that_it_does_not_show() {
            let (before, after) = (heatmap(12), Heatmap { matrix: matrix(12, |i, j| ((i * j) % 5) as f64 / 10.0), ..heatmap(12) });
            let above = |heatmap: &Heatmap, side: u32| heatmap.without_cells(&heatmap.layout(f64::from(side), f64::from(side)));
            // Skip the first line, which has the description.
            let drawn =
                |heatmap: &Heatmap, side: u32| svg(side, side, &HeatmapFrame(heatmap)).unwrap().split_once('\n').unwrap().1.to_owned();
            let after = Heatmap { hidden: Hidden { clipped: 7, ..before.hidden }, ..after };
            let before = Heatmap { hidden: Hidden { clipped: 3, ..before.hidden }, ..before };
            for (side, stays) in [(200, true), (800, false)] {
                assert_eq!(above(&before, side) == above(&after, side), stays, "{side} px");
                for heatmap in [&before, &after, &before.clone().hatched(vec![vec![true; 12]; 12])] {
                    assert!(drawn(&above(heatmap, side), side) == drawn(heatmap, side), "{side} px: something is missing");
                }
            }
        }

        #[test]
        fn discs_show_the_traffic_by_their_area_and_take_the_place_of_numbers() {
            let traffic = Matrix::try_from(
                (0..12).map(|i| (0..12).map(|j| f64::from(u8::from(i + j == 5)) * 0.08).collect()).collect::<Vec<Vec<f64>>>(),
            );
            let shown = Heatmap { discs: Some(traffic.unwrap()), ..heatmap(12) };
            let drawn = svg(900, 900, &shown).unwrap();
            assert_eq!(count(&drawn, "<circle"), 6, "a disc for each pair and direction");
            assert!(drawn.contains("at most 8.0 %") && count(&drawn, ">\n.") + count(&drawn, ">\n0.") < 12, "{drawn}");
            assert_eq!(count(&svg(90, 90, &shown).unwrap(), "<circle"), 0, "no room");
            let [largest, half] = [0.08, 0.04].map(|least| {
                let value = |i: usize, j: usize| if i + j == 1 { 0.08 } else { least };
                Heatmap { discs: Some(matrix(12, value)), ..heatmap(12) }.discs().iter().map(|disc| disc.1).fold(1.0, f64::min)
            });
            assert!((half * 2f64.sqrt() - largest).abs() < 1e-12, "{half} {largest}");
        }

        #[test]
        fn what_is_zoomed_into_is_all_that_is_drawn() {
            let region = Region::within(2.0, 5.0, 4.0, 12);
            let zoomed = svg(300, 300, &Heatmap { region, ..heatmap(12).bare() }).unwrap();
            assert_eq!(count(&zoomed, "<rect"), 1 + 4 * 4 + 2 * 3);
            let labeled = svg(500, 560, &Heatmap { region, ..heatmap(12) }).unwrap();
            // The order is reversed.
            for (class, times) in [(9, 1), (6, 2), (3, 1), (10, 0), (2, 0)] {
                assert_eq!(count(&labeled, &format!(">\nclass {class}\n")), times, "class {class}");
            }
        }

        #[test]
        fn hatching_is_three_lines_a_cell_and_is_explained() {
            let mut hatched = vec![vec![false; 12]; 12];
            hatched[3][5] = true;
            hatched[5][3] = true;
            hatched[4][4] = true;
            let drawn = svg(600, 660, &Heatmap { hatched, ..heatmap(12) }).unwrap();
            assert_eq!(count(&drawn, "<polyline"), 2 * 3, "the diagonal is never hatched");
            assert!(drawn.contains("hatched: within the 95 % intervals"));
        }

        #[test]
        fn a_clustering_is_drawn_beside_its_rows() {
            let lens = Lens { order: Order::Similarity, ..Lens::default() };
            let matrix = heatmap(12).matrix;
            let arrangement = Arrangement::of(&matrix, None, &[], &lens);
            let with_tree = Heatmap { arrangement, ..heatmap(12) };
            let layout = with_tree.layout(600.0, 660.0);
            let tree = layout.tree.unwrap();
            assert!(tree.left > layout.cells.right() && tree.right() <= 600.0);
            let slices = (layout.cells.width / 2.0) as usize;
            let (ground, cells, lines, frame) = (1, 12 * 12, 2 * 11, 4);
            // Each of the eleven merges has two arms and a cross line.
            assert_eq!(count(&svg(600, 660, &with_tree).unwrap(), "<rect"), ground + cells + lines + slices + frame + 3 * 11);
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
            let map = ColorMap::for_lens(&Lens { scale: Scale::Paper, ..Lens::default() }, &[&matrix], Content::Cosine);
            let heatmap = Heatmap::plain(&matrix, Content::Cosine, &[], map, Theme::Light);
            assert!(svg(300, 300, &heatmap).unwrap().contains("6 cells below 0 not shown"));
        }

        #[test]
        fn labels_without_cells_draw_in_a_layout_that_has_room_for_values() {
            let hatched = vec![vec![true; 4]; 4];
            let heatmap = heatmap(4).hatched(hatched);
            let small = heatmap.layout(40.0, 40.0);
            let drawn = svg(600, 600, &HeatmapFrame(&heatmap.without_cells(&small))).unwrap();
            assert!(drawn.contains("class 3") && !drawn.contains("0.10"));
        }

        #[test]
        fn degenerate_matrices_and_boxes_draw_finite_numbers() {
            for classes in [0, 1, 2] {
                for scale in [Scale::Locked, Scale::Fitted, Scale::Paper] {
                    for theme in [Theme::Light, Theme::Dark] {
                        let matrix = matrix(classes, |_, _| 0.0);
                        let map = ColorMap::for_lens(&Lens { scale, ..Lens::default() }, &[&matrix], Content::Difference);
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
