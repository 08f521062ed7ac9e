//! What all matrices of a page share: the lens they are seen through and the cell one points at.

use leptos::prelude::*;
use shared::view::Lens;

use crate::addressed::Addressed;

/// Classes `(i, j)` of a cell, by index as given.
pub type Cell = (usize, usize);

#[derive(Clone, Copy)]
pub struct Explorer {
    pub lens: Addressed<Lens>,
    /// The cell under the pointer, in whichever of the matrices.
    pub hovered: RwSignal<Option<Cell>>,
}

impl Explorer {
    pub fn new(lens: Addressed<Lens>) -> Self {
        Explorer { lens, hovered: RwSignal::new(None) }
    }

    pub fn selected(self) -> Option<Cell> {
        self.lens.get().cell
    }

    pub fn select(self, cell: Option<Cell>) {
        self.lens.update(|lens| lens.cell = cell);
    }

    /// The cell to speak of: the one under the pointer, else the selected one.
    pub fn current(self) -> Option<Cell> {
        self.hovered.get().or_else(|| self.selected())
    }
}

/// The cell that a key moves to among the classes as they are ordered on the page; none where the key moves nothing.
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
}
