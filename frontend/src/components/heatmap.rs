//! An interactive matrix, for mouse, touch and keyboard.
//!
//! It has three layers: the cells as one image; labels, numbers and lines; and marks with the note. So moving a
//! mark costs the same for any number of cells, and zooming only moves the image.

use leptos::html;
use leptos::prelude::*;
use shared::builtin;
use shared::chart::Chart;
use shared::chart::color_map::Content;
use shared::chart::heatmap::{CellMark, Heatmap, HeatmapFrame, HeatmapNote};
use shared::format;
use wasm_bindgen::JsCast;

use crate::clipboard::table_text;

use super::canvas::{Canvas, Pixels, Placement, Raster, Surface, position};
use super::copy::CopyButton;
use super::explorer::{Cell, Explorer, Viewport, moved, turned};

/// Element id of the class finder.
pub const FINDER: &str = "find-class";
/// A pointer that moved less than this has clicked, not dragged.
const CLICK_PIXELS: f64 = 4.0;
/// Zoom exponent per pixel of the wheel: a notch of 100 pixels changes the visible classes by about a
/// seventh.
const WHEEL_SPEED: f64 = 0.0015;
const PIXELS_PER_LINE: f64 = 16.0;

/// A pointer that is down: its current and its first position.
#[derive(Clone, Copy)]
struct Down {
    id: i32,
    at: (f64, f64),
    from: (f64, f64),
}

#[component]
pub fn HeatmapView(
    /// Name of the matrix, such as `A: epoch 12 (best)`.
    #[prop(into)]
    name: Signal<String>,
    /// The heatmap without a selection; marks are taken from `explorer`.
    heatmap: Memo<Heatmap>,
    explorer: Explorer,
) -> impl IntoView {
    let element = NodeRef::<html::Div>::new();
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
    let viewport = move || layout.with_untracked(|layout| Viewport::of(layout, heatmap.with_untracked(|heatmap| heatmap.matrix.classes())));
    let collapsed = Memo::new(move |_| heatmap.with(|heatmap| heatmap.arrangement.collapsed));
    // When collapsed, cells stand for superclasses, so the pointed cell is not shared with the other
    // matrices.
    let group = RwSignal::new(None::<Cell>);
    let hovered = move || if collapsed.get() { group.get() } else { explorer.hovered.get() };
    let hover = move |cell: Option<Cell>| {
        let signal = if collapsed.get_untracked() { group } else { explorer.hovered };
        if signal.get_untracked() != cell {
            signal.set(cell);
        }
    };
    // The URL may name a cell that this matrix does not have.
    let known = move |cell: Option<Cell>| cell.filter(|(i, j)| i.max(j) < &classes());
    let selected = move || if collapsed.get() { None } else { known(explorer.selected()) };

    let choose = move |cell: Cell| {
        if collapsed.get_untracked() {
            group.set(None);
            heatmap.with_untracked(|heatmap| explorer.expand(heatmap, cell));
        } else {
            explorer.select(Some(cell));
        }
    };
    let cell_under =
        move |(x, y): (f64, f64)| layout.with_untracked(|layout| layout.cell_at(x, y).map(|(row, column)| layout.classes(row, column)));

    let downs = StoredValue::new(Vec::<Down>::new());
    let dragged = StoredValue::new(false);
    let on_down = move |event: web_sys::PointerEvent| {
        let Some(at) = position(&event) else { return };
        downs.update_value(|downs| {
            downs.retain(|down| down.id != event.pointer_id());
            downs.push(Down { id: event.pointer_id(), at, from: at });
        });
        dragged.set_value(downs.with_value(Vec::len) > 1);
    };
    let on_move = move |event: web_sys::PointerEvent| {
        let Some(at) = position(&event) else { return };
        let before = downs.get_value();
        downs.update_value(|downs| downs.iter_mut().filter(|down| down.id == event.pointer_id()).for_each(|down| down.at = at));
        match (before.as_slice(), downs.get_value().as_slice()) {
            ([before], [now]) => {
                let far = (now.at.0 - now.from.0).hypot(now.at.1 - now.from.1) >= CLICK_PIXELS;
                let zoomed = explorer.lens.get_untracked().region.is_some() && !collapsed.get_untracked();
                if zoomed && (far || dragged.get_value()) {
                    dragged.set_value(true);
                    if let Some(element) = element.get_untracked() {
                        // Fails if the pointer has just left. The drag then ends at the edge of the matrix.
                        let _ = element.set_pointer_capture(event.pointer_id());
                    }
                    let cell = layout.with_untracked(|layout| layout.cell);
                    explorer.show_region(viewport().moved((before.at.1 - now.at.1) / cell, (before.at.0 - now.at.0) / cell));
                    return;
                }
            }
            ([a, b], [c, d]) if !collapsed.get_untracked() => {
                let apart = |a: &Down, b: &Down| (a.at.0 - b.at.0).hypot(a.at.1 - b.at.1).max(1.0);
                let middle = ((c.at.0 + d.at.0) / 2.0, (c.at.1 + d.at.1) / 2.0);
                let point = layout.with_untracked(|layout| layout.point_at(middle.0, middle.1));
                explorer.show_region(viewport().zoomed(Some(point), apart(a, b) / apart(c, d)));
                return;
            }
            _ => {}
        }
        hover(cell_under(at));
    };
    let on_up = move |event: web_sys::PointerEvent| downs.update_value(|downs| downs.retain(|down| down.id != event.pointer_id()));
    let on_click = move |event: web_sys::MouseEvent| {
        // The click at the end of a drag selects nothing.
        if dragged.get_value() {
            dragged.set_value(false);
            return;
        }
        if let Some(cell) = position(&event).and_then(cell_under) {
            choose(cell);
        }
    };
    let on_wheel = move |event: web_sys::WheelEvent| {
        let pinched = event.ctrl_key() || event.meta_key();
        let focused = element.get_untracked().is_some_and(|element| document().active_element().as_ref() == Some(element.unchecked_ref()));
        let zoomed = explorer.lens.get_untracked().region.is_some();
        // Scrolling through a page must not stop at every matrix, so the wheel zooms only after a click into
        // the matrix.
        if collapsed.get_untracked() || !(pinched || focused) || (!pinched && !zoomed && event.delta_y() > 0.0) {
            return;
        }
        event.prevent_default();
        let pixels = if event.delta_mode() == web_sys::WheelEvent::DOM_DELTA_LINE { PIXELS_PER_LINE } else { 1.0 };
        let [across, along] = [event.delta_x(), event.delta_y()].map(|delta| delta * pixels);
        if event.shift_key() {
            let cell = layout.with_untracked(|layout| layout.cell);
            return explorer.show_region(viewport().moved(0.0, (across + along) / cell));
        }
        // A pinch on a touchpad arrives in steps ten times smaller.
        let speed = if pinched { 10.0 * WHEEL_SPEED } else { WHEEL_SPEED };
        let point = position(&event).map(|(x, y)| layout.with_untracked(|layout| layout.point_at(x, y)));
        explorer.show_region(viewport().zoomed(point, builtin::exp((along * speed).clamp(-1.0, 1.0))));
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let key = event.key();
        let collapsed = collapsed.get_untracked();
        let at = if collapsed { group.get_untracked() } else { known(explorer.lens.get_untracked().cell) };
        let place = at.and_then(|cell| layout.with_untracked(|layout| layout.position(cell)));
        let region = if collapsed { None } else { viewport().by_key(&key, event.shift_key(), place) };
        let has_superclasses = || heatmap.with_untracked(|heatmap| shared::dataset::superclasses_of(&heatmap.labels).is_some());
        if let Some(region) = region {
            explorer.show_region(region);
        } else if key == "Escape" && at.is_some() {
            if collapsed { group.set(None) } else { explorer.select(None) }
        } else if key == "Escape" && explorer.lens.get_untracked().region.is_some() {
            explorer.show_region(None);
        } else if key == "/" {
            focus_finder();
        } else if let Some(cell) = at.filter(|_| collapsed && key == "Enter") {
            choose(cell);
        } else if let Some(cell) = heatmap.with_untracked(|heatmap| moved(at, &key, &heatmap.arrangement.order)) {
            if collapsed {
                group.set(Some(cell));
            } else {
                explorer.hovered.set(None);
                explorer.select(Some(cell));
                if let Some((row, column)) = layout.with_untracked(|layout| layout.position(cell)) {
                    explorer.show_region(viewport().revealing(row, column));
                }
            }
        } else if let Some(lens) = turned(&explorer.lens.get_untracked(), &key, collapsed || has_superclasses()) {
            explorer.lens.set(lens);
        } else {
            return;
        }
        event.prevent_default();
    };

    let pixels =
        Memo::new(move |_| heatmap.with(|heatmap| Pixels { side: heatmap.arrangement.order.len() as u32, rgba: heatmap.pixels() }));
    let placement = Memo::new(move |_| {
        layout.with(|layout| Placement { row: layout.row, column: layout.column, span: layout.span(), target: layout.cells })
    });
    let over = Memo::new(move |_| heatmap.with(|heatmap| layout.with(|layout| heatmap.without_cells(layout))));
    let draw_over = move |area: &super::canvas::Area, surface: Surface| over.with(|over| HeatmapFrame(over).draw(area, surface.scale));
    let draw_marks = move |area: &super::canvas::Area, surface: Surface| {
        let (selected, hovered) = (selected(), known(hovered()));
        let mut cells = selected.into_iter().chain(hovered.filter(|cell| Some(*cell) != selected));
        heatmap.with(|heatmap| {
            HeatmapNote(heatmap).draw(area, surface.scale)?;
            cells.try_for_each(|cell| CellMark { heatmap, cell }.draw(area, surface.scale))
        })
    };

    let tip = move || {
        let (i, j) = known(hovered())?;
        let rect = layout.with(|layout| layout.position((i, j)).map(|(row, column)| layout.cell_rect(row, column)))?;
        let text = heatmap.with(|heatmap| CellMark { heatmap, cell: (i, j) }.describe());
        let cells = layout.with(|layout| layout.cells);
        let (x, top) = (rect.center().0.clamp(cells.left, cells.right()), rect.top.max(cells.top));
        Some(view! { <div class="tooltip" style:left=format!("{x:.0}px") style:top=format!("{top:.0}px")>{text}</div> })
    };
    let label = move || {
        let what = if collapsed.get() { "Enter opens a block." } else { "Plus and minus zoom." };
        heatmap.with(|heatmap| format!("{}. {} Arrow keys move from cell to cell. {what}", name.get(), heatmap.describe()))
    };
    let said = move || selected().or_else(|| known(hovered())).map(|cell| heatmap.with(|heatmap| CellMark { heatmap, cell }.describe()));
    let zoomed = Memo::new(move |_| heatmap.with(|heatmap| heatmap.region.is_some()));
    view! {
        <div
            class="heatmap"
            class:zoomed=move || zoomed.get()
            role="application"
            aria-roledescription="heatmap"
            aria-label=label
            tabindex="0"
            node_ref=element
            style:height=move || format!("{:.0}px", natural_height.get())
            on:pointerdown=on_down
            on:pointermove=on_move
            on:pointerup=on_up
            on:pointercancel=on_up
            on:pointerleave=move |_| hover(None)
            on:click=on_click
            on:wheel=on_wheel
            on:keydown=on_key
        >
            <Raster surface pixels placement/>
            <Canvas draw=draw_over/>
            <Canvas draw=draw_marks/>
            {move || zoomed.get().then(|| view! { <Minimap pixels placement explorer/> })}
            {move || tip()}
            <span class="visually-hidden" aria-live="polite">{move || said()}</span>
        </div>
    }
}

/// Shows which part of the matrix is visible; a click moves there. The heatmap itself has keys for the same.
#[component]
fn Minimap(pixels: Memo<Pixels>, placement: Memo<Placement>, explorer: Explorer) -> impl IntoView {
    let surface = RwSignal::new(Surface::default());
    let whole = Memo::new(move |_| {
        let (side, Surface { width, .. }) = (f64::from(pixels.with(|pixels| pixels.side)), surface.get());
        Placement { row: 0.0, column: 0.0, span: side, target: shared::chart::Rect::new(0.0, 0.0, width, width) }
    });
    let percent = move |classes: fn(&Placement) -> f64| {
        move || format!("{:.2}%", 100.0 * placement.with(classes) / f64::from(pixels.with(|pixels| pixels.side).max(1)))
    };
    let go = move |event: web_sys::PointerEvent| {
        event.stop_propagation();
        if event.buttons() == 0 {
            return;
        }
        let Some((x, y)) = position(&event) else { return };
        let side = pixels.with_untracked(|pixels| pixels.side);
        let Placement { row, column, span, .. } = placement.get_untracked();
        let viewport = Viewport { row, column, span, classes: side as usize };
        let at = |length: f64| length / surface.get_untracked().width.max(1.0) * f64::from(side) - span / 2.0;
        explorer.show_region(viewport.moved(at(y) - row, at(x) - column));
    };
    view! {
        <div
            class="minimap" aria-hidden="true"
            on:pointerdown=go on:pointermove=go on:pointerup=|event| event.stop_propagation() on:click=|event| event.stop_propagation()
        >
            <Raster surface pixels placement=whole/>
            <div
                class="minimap-sight"
                style:left=percent(|placement| placement.column) style:top=percent(|placement| placement.row)
                style:width=percent(|placement| placement.span) style:height=percent(|placement| placement.span)
            ></div>
        </div>
    }
}

/// Focuses the class finder, if the page has one.
fn focus_finder() {
    if let Some(finder) = document().get_element_by_id(FINDER).and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
        // Fails only if there is no window to focus.
        let _ = finder.focus();
    }
}

/// The matrix as rows of text with class names, in the displayed order.
fn matrix_rows(heatmap: &Heatmap) -> Vec<Vec<String>> {
    let order = &heatmap.arrangement.order;
    let name = |class: &usize| heatmap.name(*class);
    let row = |i: &usize| [name(i)].into_iter().chain(order.iter().map(|j| heatmap.matrix.get(*i, *j).to_string())).collect();
    let head = [String::new()].into_iter().chain(order.iter().map(name)).collect();
    [head].into_iter().chain(order.iter().map(row)).collect()
}

/// The same numbers as a table, for reading and copying.
#[component]
pub fn MatrixTable(heatmap: Memo<Heatmap>) -> impl IntoView {
    let open = RwSignal::new(false);
    let text = move || heatmap.with(|heatmap| table_text(matrix_rows(heatmap)));
    let table = move || {
        heatmap.with(|heatmap| {
            let name = |class: &usize| heatmap.name(*class);
            let value = |i: usize, j: usize| match heatmap.content {
                Content::Cosine | Content::Fraction | Content::Logit => format::decimal(heatmap.matrix.get(i, j), 3),
                Content::Difference => format::signed(heatmap.matrix.get(i, j), 3),
            };
            let heads =
                heatmap.arrangement.order.iter().map(|class| view! { <th scope="col" class="number">{name(class)}</th> }).collect_view();
            let rows = heatmap
                .arrangement
                .order
                .iter()
                .map(|i| {
                    let cells = heatmap.arrangement.order.iter().map(|j| view! { <td class="number">{value(*i, *j)}</td> }).collect_view();
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
        // Also set, not only read: Leptos may reuse the open element for the next matrix.
        <details class="disclosure" prop:open=move || open.get() on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box" role="region" aria-label="Matrix" tabindex="0">{move || open.get().then(table)}</div>
            <p class="actions table-actions"><CopyButton text label="Copy for a spreadsheet"/></p>
        </details>
    }
}

/// Whether the `details` element of an event is open.
pub fn is_open(event: &web_sys::Event) -> bool {
    event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()).is_some_and(|details| details.has_attribute("open"))
}
