//! A matrix to point at: by mouse, touch or arrow keys.
//!
//! The cells are drawn once. Marks are drawn on a second canvas above, so that moving them does not depend on how many cells
//! there are.

use leptos::prelude::*;
use shared::chart::Chart;
use shared::chart::color_map::Content;
use shared::chart::heatmap::{CellMark, Heatmap};
use shared::format;

use super::canvas::{Canvas, Surface, position};
use super::explorer::{Cell, Explorer, moved};

#[component]
pub fn HeatmapView(
    /// What it is called, `A: epoch 12 (best)`.
    #[prop(into)]
    name: Signal<String>,
    /// With nothing selected: the marks are the explorer's.
    heatmap: Memo<Heatmap>,
    explorer: Explorer,
) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let layout = Memo::new(move |_| {
        let Surface { width, height, .. } = surface.get();
        heatmap.with(|heatmap| heatmap.layout(width, height))
    });
    let natural_height = Memo::new(move |_| {
        let width = surface.get().width;
        heatmap.with(|heatmap| heatmap.natural_height(width))
    });
    let classes = move || heatmap.with(|heatmap| heatmap.matrix.classes());
    // An address may name a cell of another matrix.
    let known = move |cell: Option<Cell>| cell.filter(|(i, j)| i.max(j) < &classes());

    let cell_under = move |event: &web_sys::MouseEvent| {
        let (x, y) = position(event)?;
        layout.with_untracked(|layout| layout.cell_at(x, y).map(|(row, column)| layout.classes(row, column)))
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let cell = cell_under(&event);
        if explorer.hovered.get_untracked() != cell {
            explorer.hovered.set(cell);
        }
    };
    let on_click = move |event: web_sys::MouseEvent| {
        if let Some(cell) = cell_under(&event) {
            explorer.select(Some(cell));
        }
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let selected = known(explorer.lens.get_untracked().cell);
        if event.key() == "Escape" && selected.is_some() {
            explorer.select(None);
        } else if let Some(cell) = heatmap.with_untracked(|heatmap| moved(selected, &event.key(), &heatmap.order)) {
            explorer.hovered.set(None);
            explorer.select(Some(cell));
        } else {
            return;
        }
        event.prevent_default();
    };

    let draw_cells = move |area: &super::canvas::Area, surface: Surface| {
        heatmap.with(|heatmap| shown(heatmap.draw(area, surface.scale)));
    };
    let draw_marks = move |area: &super::canvas::Area, surface: Surface| {
        let (selected, hovered) = (known(explorer.selected()), known(explorer.hovered.get()));
        heatmap.with(|heatmap| {
            for cell in selected.into_iter().chain(hovered.filter(|cell| Some(*cell) != selected)) {
                shown(CellMark { heatmap, cell }.draw(area, surface.scale));
            }
        });
    };

    let tip = move || {
        let (i, j) = known(explorer.hovered.get())?;
        let rect = layout.with(|layout| layout.position((i, j)).map(|(row, column)| layout.cell_rect(row, column)))?;
        let text = heatmap.with(|heatmap| CellMark { heatmap, cell: (i, j) }.describe());
        let (x, _) = rect.center();
        Some(view! { <div class="tooltip" style:left=format!("{x:.0}px") style:top=format!("{:.0}px", rect.top)>{text}</div> })
    };
    let label = move || heatmap.with(|heatmap| format!("{}. {} Arrow keys move from cell to cell.", name.get(), heatmap.describe()));
    let said = move || known(explorer.selected()).map(|cell| heatmap.with(|heatmap| CellMark { heatmap, cell }.describe()));
    view! {
        <div
            class="heatmap"
            role="application"
            aria-roledescription="heatmap"
            aria-label=label
            tabindex="0"
            style:height=move || format!("{:.0}px", natural_height.get())
            on:pointermove=on_move
            on:pointerleave=move |_| explorer.hovered.set(None)
            on:click=on_click
            on:keydown=on_key
        >
            <Canvas surface draw=draw_cells/>
            <Canvas surface=RwSignal::new(Surface::default()) draw=draw_marks/>
            {tip}
            <span class="visually-hidden" aria-live="polite">{said}</span>
        </div>
    }
}

/// A canvas takes what it is given; should one refuse, the table below has the same numbers.
fn shown(drawn: Result<(), shared::chart::ChartError>) {
    if let Err(error) = drawn {
        leptos::logging::error!("{error}");
    }
}

/// The same numbers as a table, for reading and copying.
#[component]
pub fn MatrixTable(heatmap: Memo<Heatmap>) -> impl IntoView {
    let open = RwSignal::new(false);
    let table = move || {
        heatmap.with(|heatmap| {
            let name = |class: &usize| heatmap.labels.get(*class).cloned().unwrap_or_else(|| class.to_string());
            let value = |i: usize, j: usize| match heatmap.content {
                Content::Cosine => format::decimal(heatmap.matrix.get(i, j), 3),
                Content::Difference => format::signed(heatmap.matrix.get(i, j), 3),
            };
            let heads = heatmap.order.iter().map(|class| view! { <th scope="col" class="number">{name(class)}</th> }).collect_view();
            let rows = heatmap
                .order
                .iter()
                .map(|i| {
                    let cells = heatmap.order.iter().map(|j| view! { <td class="number">{value(*i, *j)}</td> }).collect_view();
                    view! { <tr><th scope="row">{name(i)}</th>{cells}</tr> }
                })
                .collect_view();
            view! {
                <table class="table table-dense">
                    <thead><tr><td></td>{heads}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            }
        })
    };
    view! {
        <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box" role="region" aria-label="Matrix" tabindex="0">{move || open.get().then(table)}</div>
        </details>
    }
}

/// Whether the `details` that an event comes from is open.
pub fn is_open(event: &web_sys::Event) -> bool {
    use wasm_bindgen::JsCast;
    event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()).is_some_and(|details| details.has_attribute("open"))
}
