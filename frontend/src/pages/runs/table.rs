//! The table of runs: any number of them, with those in sight in the page.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use leptos::{ev, html};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::choice::{Choice, ChoiceBar};
use super::order::{Column, Direction, Shown};
use super::row::Row;
use crate::addressed::Addressed;
use crate::prelude::*;
use crate::reactive::{effect, memo};
use crate::rows::{Rows, positions};
use crate::sight::{Piece, in_sight, pieces};

/// Of a row, until one is there to be measured.
const ROW_HEIGHT: f64 = 64.0;

/// A part of the table as it is told from others while it changes.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// The gaps, counted from the top.
    Gap(usize),
    Row(Arc<str>),
}

impl Part {
    fn key(&self) -> String {
        match self {
            Part::Gap(gap) => format!("gap {gap}"),
            Part::Row(id) => id.to_string(),
        }
    }
}

#[component]
pub fn RunTable(rows: Rows, ids: Memo<Vec<Arc<str>>>, shown: Addressed<Shown>) -> impl IntoView {
    let choice: Choice = RwSignal::new(Vec::new());
    let (frame, body) = (NodeRef::<html::Div>::new(), NodeRef::<html::Tbody>::new());
    let row_height = RwSignal::new(ROW_HEIGHT);
    let range = RwSignal::new(in_sight(0.0, 900.0, ROW_HEIGHT, ids.with_untracked(Vec::len)));
    let focused = RwSignal::new(None::<Arc<str>>);

    let measure = move || {
        let (Some(frame), Some(body)) = (frame.get_untracked(), body.get_untracked()) else { return };
        if let Some(row) = body.query_selector("tr[data-id]").ok().flatten() {
            let height = row.get_bounding_client_rect().height();
            if (height - row_height.get_untracked()).abs() > 0.5 {
                row_height.set(height);
            }
        }
        let (frame, list) = (frame.get_bounding_client_rect(), body.get_bounding_client_rect());
        let window_height = window().inner_height().ok().and_then(|height| height.as_f64()).unwrap_or_default();
        // The box scrolls on a wide screen, the page on a narrow one: what is in sight is inside both.
        let top = frame.top().max(0.0);
        let bottom = frame.bottom().min(window_height);
        let new = in_sight(top - list.top(), (bottom - top).max(0.0), row_height.get_untracked(), ids.with_untracked(Vec::len));
        if range.get_untracked() != new {
            range.set(new);
        }
    };
    let handles = [window_event_listener(ev::scroll, move |_| measure()), window_event_listener(ev::resize, move |_| measure())];
    on_cleanup(move || handles.into_iter().for_each(|handle| handle.remove()));
    effect(move || {
        ids.with(Vec::len);
        // Once the rows of the new list are in the page.
        request_animation_frame(measure);
    });
    // Another order or another query begins at the top.
    Effect::new(move |former: Option<Shown>| {
        let now = shown.get();
        if former.is_some_and(|former| former != now)
            && let Some(frame) = frame.get_untracked()
        {
            frame.set_scroll_top(0);
        }
        now
    });

    let layout = memo(move || {
        let (Range { start, end }, focused) = (range.get(), focused.get());
        ids.with(|ids| {
            let focused = focused.and_then(|id| ids.iter().position(|known| *known == id));
            pieces(start.min(ids.len())..end.min(ids.len()), focused, ids.len())
        })
    });
    // Where each part is, or how many rows it stands for.
    let parts = memo(move || {
        let mut gaps = 0;
        ids.with(|ids| {
            let part = |piece: &Piece| match *piece {
                Piece::Gap(rows) => {
                    gaps += 1;
                    (Part::Gap(gaps), rows)
                }
                Piece::Row(position) => (Part::Row(ids[position].clone()), position),
            };
            layout.with(|layout| layout.iter().map(part).collect::<Vec<_>>())
        })
    });
    let number_of = move |part: Part| {
        Memo::new(move |former: Option<&usize>| {
            let found = parts.with(|parts| parts.iter().find(|(known, _)| *known == part).map(|(_, number)| *number));
            found.or_else(|| former.copied()).unwrap_or_default()
        })
    };
    let waiting: Memo<BTreeMap<Arc<str>, u32>> = memo(move || rows.table.with(positions));
    let part = move |part: Part| {
        let number = number_of(part.clone());
        match part {
            Part::Gap(_) => {
                let height = move || format!("{}px", number.get() as f64 * row_height.get());
                view! { <tr class="rows-gap" aria-hidden="true"><td style:height=height></td></tr> }.into_any()
            }
            Part::Row(id) => {
                let queue_position = {
                    let id = id.clone();
                    memo(move || waiting.with(|waiting| waiting.get(&id).copied()))
                };
                view! { <Row id rows position=number.into() queue_position=queue_position.into() choice/> }.into_any()
            }
        }
    };
    let row_of = |event: &web_sys::FocusEvent| {
        let element = event.target()?.dyn_into::<Element>().ok()?;
        Some(Arc::<str>::from(element.closest("tr[data-id]").ok()??.get_attribute("data-id")?))
    };
    let head = move |column: Column| {
        let sorted = move || {
            let Shown { by, direction, .. } = shown.get();
            if by == column { direction.aria() } else { "none" }
        };
        let mark = move || {
            let Shown { by, direction, .. } = shown.get();
            match (by == column, direction) {
                (false, _) => "",
                (true, Direction::Ascending) => "▲",
                (true, Direction::Descending) => "▼",
            }
        };
        view! {
            <th scope="col" class=format!("column-{}", column.id()) class:number=column.is_number() aria-sort=sorted>
                <button class="sort" type="button" on:click=move |_| shown.update(|shown| shown.sort_by(column))>
                    {column.label()}<span class="sort-mark" aria-hidden="true">{move || mark()}</span>
                </button>
            </th>
        }
    };
    view! {
        <ChoiceBar rows ids choice/>
        <div class="table-box runs-box" role="region" aria-label="Runs" tabindex="0" node_ref=frame on:scroll=move |_| measure()>
            <table class="table runs-table" aria-rowcount=move || (ids.with(Vec::len) + 1).to_string()>
                <thead>
                    <tr aria-rowindex="1">
                        <td class="column-choice"></td>
                        {Column::ALL.map(head).collect_view()}
                        <th scope="col" class="column-curve">"Curve"</th>
                    </tr>
                </thead>
                <tbody
                    node_ref=body
                    on:focusin=move |event| focused.set(row_of(&event))
                    on:focusout=move |_| focused.set(None)
                >
                    <For each=move || parts.get() key=|(part, _)| part.key() children=move |(key, _)| part(key)/>
                </tbody>
            </table>
            <Show when=move || ids.with(Vec::is_empty)>
                <div class="table-empty">
                    <p>"No run matches the filter."</p>
                    <button class="button button-small" type="button" on:click=move |_| shown.update(|shown| shown.text.clear())>"Show all runs"</button>
                </div>
            </Show>
        </div>
    }
}
