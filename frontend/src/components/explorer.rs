//! The state that all matrices of a page share: the lens and the cell under the pointer. Also how keys and
//! pointers change it.

use leptos::prelude::*;
use shared::builtin::lowercase;
use shared::chart::heatmap::{Heatmap, HeatmapLayout};
use shared::view::{Lens, Order, Region, Scale, Show};

use crate::url_state::UrlState;

/// Classes `(i, j)` of a cell, as indices in the given order.
pub type Cell = (usize, usize);

/// Factor of the visible classes per zoom step, by key or button.
pub const ZOOM_STEP: f64 = 0.7;
/// Fraction of the visible classes by which a pan step moves.
const PAN_STEP: f64 = 0.25;

#[derive(Clone, Copy)]
pub struct Explorer {
    pub lens: UrlState<Lens>,
    /// The cell under the pointer, in any of the matrices.
    pub hovered: RwSignal<Option<Cell>>,
}

impl Explorer {
    pub fn new(lens: UrlState<Lens>) -> Self {
        Explorer { lens, hovered: RwSignal::new(None) }
    }

    pub fn selected(self) -> Option<Cell> {
        self.lens.get().cell
    }

    pub fn select(self, cell: Option<Cell>) {
        self.lens.update(|lens| lens.cell = cell);
    }

    /// The cell to describe: the one under the pointer, otherwise the selected one.
    pub fn current(self) -> Option<Cell> {
        self.hovered.get().or_else(|| self.selected())
    }

    pub fn show_region(self, region: Option<Region>) {
        if self.lens.get_untracked().region != region {
            self.lens.update(|lens| lens.region = region);
        }
    }

    /// Expands collapsed superclasses: shows the block of two superclasses and selects its first pair.
    pub fn expand(self, heatmap: &Heatmap, (a, b): Cell) {
        let arrangement = &heatmap.arrangement;
        let (Some(first), Some(second)) = (arrangement.groups.get(a), arrangement.groups.get(b)) else { return };
        let pairs = first.classes.iter().flat_map(|i| second.classes.iter().map(|j| (*i as usize, *j as usize)));
        let pair = pairs.into_iter().find(|(i, j)| i != j);
        let start = |group: usize| arrangement.rows_of_group(group).0 as f64;
        let classes = arrangement.groups.iter().map(|group| group.classes.len()).sum();
        // Some neighbors are shown too, so that people can see where the block is.
        let (margin, span) = (2.0, first.classes.len().max(second.classes.len()) as f64 + 4.0);
        self.lens.update(|lens| {
            lens.blocks = false;
            lens.region = Region::within(start(a) - margin, start(b) - margin, span, classes);
            lens.cell = pair;
        });
    }
}

/// The visible square of rows and columns, in classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    pub row: f64,
    pub column: f64,
    pub span: f64,
    /// Classes per side of the whole matrix.
    pub classes: usize,
}

impl Viewport {
    pub fn of(layout: &HeatmapLayout, classes: usize) -> Self {
        Viewport { row: layout.row, column: layout.column, span: layout.span(), classes }
    }

    fn center(self) -> (f64, f64) {
        (self.row + self.span / 2.0, self.column + self.span / 2.0)
    }

    /// Zooms so that `factor` times as many classes are visible. `point` (row, column) stays in place; the
    /// center by default.
    pub fn zoomed(self, point: Option<(f64, f64)>, factor: f64) -> Option<Region> {
        let (row, column) = point.unwrap_or_else(|| self.center());
        let span = (self.span * factor).max(2.0);
        let along = |point: f64, start: f64| point - (point - start) / self.span * span;
        Region::within(along(row, self.row), along(column, self.column), span, self.classes)
    }

    /// Moves by a number of rows and columns.
    pub fn moved(self, rows: f64, columns: f64) -> Option<Region> {
        Region::within(self.row + rows, self.column + columns, self.span, self.classes)
    }

    /// Moves by the least distance that makes a row and a column visible.
    pub fn revealing(self, row: usize, column: usize) -> Option<Region> {
        let along = |position: usize, start: f64| start.clamp((position as f64 + 1.0 - self.span).max(0.0), position as f64);
        Region::within(along(row, self.row), along(column, self.column), self.span, self.classes)
    }

    /// The region after a key press; `None` for other keys.
    pub fn by_key(self, key: &str, shift: bool, selected: Option<(usize, usize)>) -> Option<Option<Region>> {
        let step = self.span * PAN_STEP;
        let around = selected.map(|(row, column)| (row as f64 + 0.5, column as f64 + 0.5));
        Some(match key {
            "+" | "=" => self.zoomed(around, ZOOM_STEP),
            "-" => self.zoomed(around, 1.0 / ZOOM_STEP),
            "0" => None,
            "ArrowLeft" if shift => self.moved(0.0, -step),
            "ArrowRight" if shift => self.moved(0.0, step),
            "ArrowUp" if shift => self.moved(-step, 0.0),
            "ArrowDown" if shift => self.moved(step, 0.0),
            _ => return None,
        })
    }
}

/// The lens after a letter key; `None` for other keys.
pub fn turned(lens: &Lens, key: &str, has_superclasses: bool) -> Option<Lens> {
    let mut lens = lens.clone();
    match key {
        "o" => {
            lens.order = match lens.order {
                Order::Given => Order::Similarity,
                Order::Similarity if has_superclasses => Order::Superclass,
                Order::Similarity | Order::Superclass => lens.cell.map_or(Order::Given, |(i, _)| Order::Closeness(i)),
                Order::Closeness(_) | Order::Change => Order::Given,
            }
        }
        "s" => {
            lens.scale = match lens.scale {
                Scale::Locked => Scale::Fitted,
                Scale::Fitted => Scale::Paper,
                Scale::Paper => Scale::Locked,
            }
        }
        "d" => lens.show = if lens.show == Show::Difference { Show::Values } else { Show::Difference },
        _ => return None,
    }
    Some(lens)
}

/// The cell that a key moves to, for classes in the order of the page; `None` for other keys.
pub fn moved(cell: Option<Cell>, key: &str, order: &[usize]) -> Option<Cell> {
    let last = order.len().checked_sub(1)?;
    let place = |class: usize| order.iter().position(|other| *other == class).unwrap_or(0);
    let Some((row, column)) = cell.map(|(i, j)| (place(i), place(j))) else {
        let starts = matches!(key, "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown" | "Home" | "End" | "Enter" | " ");
        return starts.then(|| (order[0], order[0]));
    };
    let (row, column) = match key {
        "ArrowLeft" => (row, column.saturating_sub(1)),
        "ArrowRight" => (row, (column + 1).min(last)),
        "ArrowUp" => (row.saturating_sub(1), column),
        "ArrowDown" => ((row + 1).min(last), column),
        "Home" => (row, 0),
        "End" => (row, last),
        "PageUp" => (0, column),
        "PageDown" => (last, column),
        _ => return None,
    };
    Some((order[row], order[column]))
}

/// The class with the typed name; otherwise the first whose name starts with it; otherwise the first that
/// contains it.
pub fn found_class(names: &[String], typed: &str) -> Option<usize> {
    let typed = lowercase(typed.trim());
    if typed.is_empty() {
        return None;
    }
    let find = |fits: fn(&str, &str) -> bool| names.iter().position(|name| fits(&lowercase(name), &typed));
    find(|name, typed| name == typed)
        .or_else(|| find(|name, typed| name.starts_with(typed)))
        .or_else(|| find(|name, typed| name.contains(typed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_along_the_order_on_the_page() {
        let order = [2, 0, 1];
        for (from, key, to) in [
            (None, "ArrowDown", Some((2, 2))),
            (None, "a", None),
            (Some((2, 2)), "ArrowRight", Some((2, 0))),
            (Some((2, 0)), "ArrowDown", Some((0, 0))),
            (Some((1, 1)), "ArrowDown", Some((1, 1))),
            (Some((0, 1)), "Home", Some((0, 2))),
            (Some((0, 1)), "PageDown", Some((1, 1))),
            (Some((0, 1)), "x", None),
        ] {
            assert_eq!(moved(from, key, &order), to, "{from:?} {key}");
        }
        assert_eq!(moved(None, "ArrowDown", &[]), None);
    }

    const ALL: Viewport = Viewport { row: 0.0, column: 0.0, span: 100.0, classes: 100 };

    fn classes(region: Option<Region>) -> Option<(f64, f64, f64)> {
        region.map(Region::classes)
    }

    #[test]
    fn zooming_keeps_the_point_and_ends_at_all_and_at_two_classes() {
        let near = ALL.zoomed(Some((20.0, 80.0)), 0.5);
        assert_eq!(classes(near), Some((10.0, 40.0, 50.0)));
        let viewport = Viewport { row: 10.0, column: 40.0, span: 50.0, classes: 100 };
        assert_eq!(classes(viewport.zoomed(Some((20.0, 80.0)), 2.0)), None);
        assert_eq!(classes(ALL.zoomed(None, 0.0)).unwrap().2, 2.0);
    }

    #[test]
    fn keys_zoom_and_pan() {
        let viewport = Viewport { row: 10.0, column: 40.0, span: 20.0, classes: 100 };
        assert_eq!(viewport.by_key("ArrowRight", true, None).map(classes), Some(Some((10.0, 45.0, 20.0))));
        assert_eq!(viewport.by_key("ArrowUp", true, None).map(classes), Some(Some((5.0, 40.0, 20.0))));
        assert_eq!(viewport.by_key("0", false, None).map(classes), Some(None));
        let (row, column, span) = classes(viewport.by_key("+", false, Some((10, 40))).unwrap()).unwrap();
        assert!(span < 20.0 && row <= 10.5 && row + span > 10.5 && column <= 40.5 && column + span > 40.5);
        assert_eq!(viewport.by_key("ArrowRight", false, None), None, "without shift it moves the cell");
    }

    #[test]
    fn a_cell_comes_into_sight_by_the_shortest_way() {
        let viewport = Viewport { row: 10.0, column: 40.0, span: 20.0, classes: 100 };
        assert_eq!(classes(viewport.revealing(15, 45)), Some((10.0, 40.0, 20.0)));
        assert_eq!(classes(viewport.revealing(5, 60)), Some((5.0, 41.0, 20.0)));
        assert_eq!(ALL.revealing(99, 0), None);
    }

    #[test]
    fn letters_turn_the_lens() {
        let lens = Lens { cell: Some((4, 2)), ..Lens::default() };
        let orders = std::iter::successors(Some(lens), |lens| turned(lens, "o", true)).map(|lens| lens.order);
        assert_eq!(
            orders.take(5).collect::<Vec<_>>(),
            [Order::Given, Order::Similarity, Order::Superclass, Order::Closeness(4), Order::Given]
        );
        assert_eq!(turned(&Lens::default(), "s", false).unwrap().scale, Scale::Fitted);
        assert_eq!(turned(&Lens::default(), "d", false).unwrap().show, Show::Difference);
        assert_eq!(turned(&Lens::default(), "q", false), None);
    }

    #[test]
    fn a_class_is_found_by_what_is_typed_of_its_name() {
        let names = ["pickup truck", "truck", "Tractor", "cat"].map(str::to_owned);
        for (typed, class) in [("truck", Some(1)), ("TRA", Some(2)), ("tr", Some(1)), ("up", Some(0)), (" ", None), ("dog", None)] {
            assert_eq!(found_class(&names, typed), class, "{typed}");
        }
    }
}
