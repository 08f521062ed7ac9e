//! The table of runs. Only the visible rows are in the page, so any number of runs is possible.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use leptos::prelude::*;
use leptos::{ev, html};
use shared::format;
use shared::id::RunId;
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::choice::{Choice, ChoiceBar, set, toggled};
use super::columns::{Column, Content};
use super::order::Shown;
use super::row::Row;
use crate::components::run_actions::Report;
use crate::components::sort_head::SortHead;
use crate::latest::latest;
use crate::rows::{Rows, positions};
use crate::table_history::use_table_history;
use crate::url_state::UrlState;
use crate::visible_rows::{Piece, in_sight, pieces};

/// Assumed height of a row in pixels, until a row can be measured.
const ROW_HEIGHT: f64 = 64.0;

/// A part of the table, as a key that stays the same when the table changes.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Number of the gap, counted from the top.
    Gap(usize),
    Row(RunId),
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
pub fn RunTable(
    rows: Rows,
    ids: Memo<Vec<RunId>>,
    shown: UrlState<Shown>,
    /// The result of the last action.
    report: RwSignal<Option<Report>>,
) -> impl IntoView {
    let history = use_table_history();
    let returned = history.returned(&shown.get_untracked().address());
    let chosen = returned.iter().flat_map(|state| &state.chosen).filter_map(|id| id.parse().ok()).collect();
    let choice: Choice = RwSignal::new(chosen);
    let (frame, body) = (NodeRef::<html::Div>::new(), NodeRef::<html::Tbody>::new());
    let row_height = RwSignal::new(ROW_HEIGHT);
    let range = RwSignal::new(in_sight(0.0, 900.0, ROW_HEIGHT, ids.with_untracked(Vec::len)));
    let focused = RwSignal::new(None::<RunId>);

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
        // On a wide screen the box scrolls, on a narrow one the page. A row is visible if it is inside both.
        let top = frame.top().max(0.0);
        let bottom = frame.bottom().min(window_height);
        let new = in_sight(top - list.top(), (bottom - top).max(0.0), row_height.get_untracked(), ids.with_untracked(Vec::len));
        if range.get_untracked() != new {
            range.set(new);
        }
    };
    let scrolled = move || {
        let box_top = frame.get_untracked().map(|frame| frame.scroll_top()).unwrap_or_default();
        let page_top = window().scroll_y().unwrap_or_default();
        history.update(|state| (state.box_top, state.page_top) = (box_top, page_top));
        measure();
    };
    let handles = [window_event_listener(ev::scroll, move |_| scrolled()), window_event_listener(ev::resize, move |_| measure())];
    on_cleanup(move || {
        handles.into_iter().for_each(|handle| handle.remove());
        history.leave();
    });
    Effect::new(move || {
        let (address, chosen) = (shown.get().address(), choice.with(|choice| choice.iter().map(|id| id.to_string()).collect()));
        history.update(|state| (state.address, state.chosen) = (address, chosen));
    });
    if let Some(state) = returned {
        // The heights of the rows are correct only after some were measured, so scroll one frame later.
        request_animation_frame(move || {
            measure();
            request_animation_frame(move || {
                if let Some(frame) = frame.get_untracked() {
                    frame.set_scroll_top(state.box_top);
                    window().scroll_to_with_x_and_y(0.0, state.page_top);
                }
            });
        });
    }
    Effect::new(move || {
        ids.with(Vec::len);
        // Measure after the rows of the new list are in the page.
        request_animation_frame(measure);
    });
    // A new order or query starts at the top.
    Effect::new(move |former: Option<Shown>| {
        let now = shown.get();
        if former.is_some_and(|former| former != now)
            && let Some(frame) = frame.get_untracked()
        {
            frame.set_scroll_top(0);
        }
        now
    });

    let layout = Memo::new(move |_| {
        let (Range { start, end }, focused) = (range.get(), focused.get());
        ids.with(|ids| {
            let focused = focused.and_then(|id| ids.iter().position(|known| *known == id));
            pieces(start.min(ids.len())..end.min(ids.len()), focused, ids.len())
        })
    });
    // For each part: the position of the row, or the number of rows in the gap.
    let parts = Memo::new(move |_| {
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
    let number_of =
        move |part: Part| latest(0, move || parts.with(|parts| parts.iter().find(|(known, _)| *known == part).map(|(_, number)| *number)));
    let waiting: Memo<BTreeMap<RunId, u32>> = Memo::new(move |_| rows.table.with(positions));
    // The run at which a range selection starts.
    let anchor = StoredValue::new(None::<RunId>);
    let toggle = Callback::new(move |(id, range): (RunId, bool)| {
        let anchored = anchor.get_value();
        choice.update(|choice| *choice = ids.with_untracked(|ids| toggled(choice, ids, anchored.as_ref(), &id, range)));
        anchor.set_value(Some(id));
    });
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
                    Memo::new(move |_| waiting.with(|waiting| waiting.get(&id).copied()))
                };
                view! { <Row id rows position=number.into() queue_position=queue_position.into() choice toggle/> }.into_any()
            }
        }
    };
    let row_of = |event: &web_sys::Event| {
        let element = event.target()?.dyn_into::<Element>().ok()?;
        element.closest("tr[data-id]").ok()??.get_attribute("data-id")?.parse::<RunId>().ok()
    };
    // Arrow keys move between checkboxes; with Shift they also choose the runs in between.
    let press = move |event: web_sys::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowDown" => 1,
            "ArrowUp" => -1,
            _ => return,
        };
        let is_box = |element: &Element| element.matches(".run-choice input").unwrap_or_default();
        let on_box = event.target().and_then(|target| target.dyn_into::<Element>().ok()).is_some_and(|element| is_box(&element));
        let Some(id) = row_of(&event).filter(|_| on_box) else { return };
        let next = ids.with_untracked(|ids| {
            let at = ids.iter().position(|known| *known == id)?;
            ids.get(at.checked_add_signed(step)?).cloned()
        });
        event.prevent_default();
        let Some(next) = next else { return };
        if event.shift_key() {
            choice.update(|choice| *choice = set(choice, &[id, next.clone()], true));
            anchor.set_value(Some(next.clone()));
        }
        let selector = format!("tr[data-id='{next}'] .run-choice input");
        let found = body.get_untracked().and_then(|body| body.query_selector(&selector).ok().flatten());
        if let Some(found) = found {
            // Fails only if there is no window to focus.
            let _ = found.unchecked_into::<web_sys::HtmlElement>().focus();
        }
    };
    // Number of chosen runs among those that the filter shows.
    let chosen_here = Memo::new(move |_| {
        choice.with(|choice| {
            let known: BTreeSet<&RunId> = choice.iter().collect();
            ids.with(|ids| ids.iter().filter(|id| known.contains(id)).count())
        })
    });
    let all = Memo::new(move |_| ids.with(|ids| !ids.is_empty() && chosen_here.get() == ids.len()));
    let choose_all = move |_| {
        let chosen = !all.get_untracked();
        choice.update(|choice| *choice = ids.with_untracked(|ids| set(choice, ids, chosen)));
    };
    let head = move |column: Column| {
        let sorted = Memo::new(move |_| {
            let Shown { by, direction, .. } = shown.get();
            (by == column).then_some(direction)
        });
        let facts = column.facts();
        let number = matches!(facts.content, Content::Number { .. });
        let class = format!("column-{}", facts.id);
        view! { <SortHead label=facts.label number class sorted press=move || shown.update(|shown| shown.sort_by(column))/> }
    };
    view! {
        <ChoiceBar rows ids choice report/>
        <div class="table-box runs-box" role="region" aria-label="Runs" tabindex="0" node_ref=frame on:scroll=move |_| scrolled()>
            <table class="table runs-table" aria-rowcount=move || (ids.with(Vec::len) + 1).to_string()>
                <thead>
                    <tr aria-rowindex="1">
                        <td class="column-choice">
                            <input
                                type="checkbox" id="choose-all" prop:checked=move || all.get()
                                prop:indeterminate=move || { chosen_here.get() > 0 && !all.get() }
                                aria-label=move || format!("Choose all {} that are shown", format::count(ids.with(Vec::len) as u64))
                                on:click=choose_all
                            />
                            <label for="choose-all" aria-hidden="true">"All"</label>
                        </td>
                        {Column::ALL.map(head).collect_view()}
                        <th scope="col" class="column-curve">"Curve"</th>
                    </tr>
                </thead>
                <tbody
                    node_ref=body
                    on:focusin=move |event: web_sys::FocusEvent| focused.set(row_of(&event))
                    on:focusout=move |_| focused.set(None)
                    on:keydown=press
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
