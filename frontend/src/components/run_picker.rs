//! Chooses one run: a field that searches all runs by title and id, and a list of matches.
//!
//! A combobox by the ARIA Authoring Practices: the focus stays in the field, and `aria-activedescendant`
//! marks the active option.

use std::sync::Arc;

use leptos::prelude::*;
use leptos::{ev, html};
use shared::api::RunRow;
use shared::builtin::lowercase;
use shared::format;
use shared::id::RunId;
use wasm_bindgen::JsCast;

use super::palette::{first, name};
use crate::fuzzy;
use crate::load::{Load, sentence};
use crate::rows::{Entry, Rows, Table};

/// Nobody reads a longer list; typing more letters shortens it.
const MOST_SHOWN: usize = 50;

/// An option: a run or, if allowed, none.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    /// `None` for the option "none".
    id: Option<RunId>,
    label: String,
    note: String,
}

#[component]
pub fn RunPicker(
    id: String,
    #[prop(into)] label: String,
    /// Whether the label is only for screen readers.
    #[prop(optional)]
    label_hidden: bool,
    rows: Rows,
    /// The chosen run.
    #[prop(into)]
    value: Signal<Option<RunId>>,
    choose: Callback<(Option<RunId>,)>,
    /// Which runs can be chosen.
    offers: fn(&RunRow) -> bool,
    /// Label of the option "none"; if empty, a run must be chosen.
    #[prop(optional)]
    none: &'static str,
    invalid: Signal<Option<&'static str>>,
) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let open = RwSignal::new(false);
    // The text typed since the list was opened.
    let query = RwSignal::new(String::new());
    let active = RwSignal::new(0_usize);
    let found = Memo::new(move |_| match open.get() {
        true => rows.table.with(|table| choices(table, &query.get(), offers, none)),
        false => (Vec::new(), 0),
    });
    let current = Memo::new(move |_| {
        let Some(id) = value.get() else { return String::new() };
        rows.table.with(|table| table.get(&id).map_or_else(|| id.to_string(), |entry| entry.run.title.clone()))
    });
    let shown = Memo::new(move |_| if open.get() { query.get() } else { current.get() });
    let show = move || {
        if !open.get_untracked() {
            query.set(String::new());
            active.set(0);
            open.set(true);
        }
    };
    let pick = move |choice: &Choice| {
        open.set(false);
        if untrack(move || value.get()) != choice.id {
            choose.run((choice.id.clone(),));
        }
    };
    let option_id = {
        let id = id.clone();
        move |index: usize| format!("{id}-option-{index}")
    };
    let reveal = {
        let option_id = option_id.clone();
        move |index: usize| {
            active.set(index);
            if let Some(option) = document().get_element_by_id(&option_id(index)) {
                let options = web_sys::ScrollIntoViewOptions::new();
                options.set_block(web_sys::ScrollLogicalPosition::Nearest);
                option.scroll_into_view_with_scroll_into_view_options(&options);
            }
        }
    };
    let press = move |event: ev::KeyboardEvent| {
        let count = found.with_untracked(|found| found.0.len());
        let now = active.get_untracked();
        match (event.key().as_str(), open.get_untracked()) {
            ("ArrowDown" | "ArrowUp", false) => show(),
            ("ArrowDown", true) if count > 0 => reveal((now + 1) % count),
            ("ArrowUp", true) if count > 0 => reveal((now + count - 1) % count),
            ("Enter", true) => {
                if let Some(choice) = found.with_untracked(|found| found.0.get(now).cloned()) {
                    pick(&choice);
                }
            }
            ("Escape", true) => open.set(false),
            _ => return,
        }
        event.prevent_default();
    };
    let typed = move |event: ev::Event| {
        let text = event_target_value(&event);
        open.set(true);
        active.set(0);
        query.set(text);
    };
    // Select the text, so that typing replaces it.
    let entered = move |_| {
        if let Some(input) = input.get_untracked() {
            input.select();
        }
    };
    let left = move |event: ev::FocusEvent| {
        let inside = event.current_target().zip(event.related_target()).is_some_and(|(own, new)| {
            let (own, new) = (own.unchecked_into::<web_sys::Node>(), new.unchecked_into::<web_sys::Node>());
            own.contains(Some(&new))
        });
        if !inside {
            open.set(false);
        }
    };
    let option = {
        let option_id = option_id.clone();
        move |(index, choice): (usize, Choice)| {
            let Choice { label, note, .. } = choice.clone();
            view! {
                <li
                    role="option" id=option_id(index) aria-selected=move || (active.get() == index).to_string()
                    on:pointermove=move |_| if active.get_untracked() != index { active.set(index) }
                    // Keep the focus in the field.
                    on:pointerdown=|event| event.prevent_default()
                    on:click=move |_| pick(&choice)
                >
                    <span class="option-label">{label}</span>
                    <span class="option-note">{note}</span>
                </li>
            }
        }
    };
    let said = move || match rows.phase.get() {
        _ if !open.get() => String::new(),
        Load::Loading => "Asking for the runs …".to_owned(),
        Load::Failed(problem) => sentence(&problem.detail),
        Load::Ready(()) => found.with(|(shown, all)| counted(shown.len(), *all, query.with(String::is_empty))),
    };
    let list = format!("{id}-list");
    let list_id = list.clone();
    let label_class = if label_hidden { "visually-hidden" } else { "field-label" };
    let label_of_list = label.clone();
    view! {
        <div class="run-picker" on:focusout=left>
            <label class=label_class for=id.clone()>{label}</label>
            <input
                class="input" id=id type="text" role="combobox" autocomplete="off" spellcheck="false" node_ref=input
                placeholder=if none.is_empty() { "Choose a run" } else { none }
                title=move || current.get()
                aria-autocomplete="list" aria-controls=list aria-expanded=move || open.get().to_string()
                aria-activedescendant=move || found.with(|found| !found.0.is_empty()).then(|| option_id(active.get()))
                aria-invalid=move || invalid.get()
                prop:value=move || shown.get()
                on:focus=entered on:click=move |_| show() on:input=typed on:keydown=press
            />
            <div class="options-box" hidden=move || !open.get()>
                <ul class="options" id=list_id role="listbox" aria-label=label_of_list>
                    {move || found.with(|found| found.0.iter().cloned().enumerate().map(&option).collect_view())}
                </ul>
                <p class="options-said" role="status">{move || said()}</p>
            </div>
        </div>
    }
}

/// The best matches, best first, and the total number of matches. If nothing is typed: the newest runs.
fn choices(table: &Table, query: &str, offers: fn(&RunRow) -> bool, none: &'static str) -> (Vec<Choice>, usize) {
    let query = lowercase(query.trim());
    let offered = table.values().filter(|entry| offers(&entry.run));
    let fitting: Vec<(i32, &Arc<Entry>)> = offered.filter_map(|entry| Some((fuzzy::score(&query, name(&entry.words))?, entry))).collect();
    let all = fitting.len();
    let found = first(fitting, MOST_SHOWN, |(a, left), (b, right)| {
        // Without a query, the score would only depend on the length of the names.
        let better = if query.is_empty() { std::cmp::Ordering::Equal } else { b.cmp(a) };
        better.then_with(|| right.run.created_at.cmp(&left.run.created_at))
    });
    let nothing = (!none.is_empty() && query.is_empty()).then(|| Choice { id: None, label: none.to_owned(), note: String::new() });
    let run = |(_, entry): (i32, &Arc<Entry>)| {
        let RunRow { id, title, .. } = &entry.run;
        Choice { id: Some(id.clone()), label: title.clone(), note: id.to_string() }
    };
    (nothing.into_iter().chain(found.into_iter().map(run)).collect(), all)
}

fn counted(shown: usize, all: usize, newest: bool) -> String {
    let count = |count: usize| format::count(count as u64);
    match all {
        0 => "No run fits.".to_owned(),
        _ if shown >= all => format!("{} {}", count(all), if all == 1 { "run" } else { "runs" }),
        _ if newest => format!("The newest {} of {} runs: type a part of the name to find others.", count(shown), count(all)),
        _ => format!("The best {} of {} that fit.", count(shown), count(all)),
    }
}

#[cfg(test)]
mod tests {
    use shared::query;

    use super::*;
    use crate::pages::tests::row;

    fn table(count: usize) -> Table {
        let run = |index: usize| RunRow {
            title: format!("Run {index}"),
            created_at: format!("{index:05}"),
            epoch: (index % 2) as u32,
            ..row(&format!("at-{index}"))
        };
        (0..count).map(run).map(|run| (run.id.clone(), Arc::new(Entry { words: query::words(&run), run }))).collect()
    }

    #[track_caller]
    fn check(query: &str, first: &str, shown: usize, all: usize) {
        let (found, fitting) = choices(&table(2000), query, |run| run.epoch > 0, "");
        assert_eq!((found.first().map_or("", |choice| &choice.note), found.len(), fitting), (first, shown, all), "{query}");
    }

    #[test]
    fn every_run_can_be_found_and_the_newest_come_first() {
        check("", "at-1999", 50, 1000);
        // Among equal scores, the newest run comes first.
        check("run 7", "at-799", 50, 352);
        check("AT-777", "at-777", 2, 2);
        check("at-4", "at-499", 50, 190);
        check("zzz", "", 0, 0);
    }

    #[test]
    fn nothing_can_be_chosen_where_that_means_something() {
        let (found, all) = choices(&table(3), "", |_| true, "Train one first");
        assert_eq!((found[0].label.as_str(), &found[0].id, found.len(), all), ("Train one first", &None, 4, 3));
        assert_eq!(choices(&table(3), "run", |_| true, "Train one first").0.len(), 3);
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        assert_eq!(counted(1, 1, true), "1 run");
        assert_eq!(counted(50, 2000, true), "The newest 50 of 2\u{2009}000 runs: type a part of the name to find others.");
        assert_eq!(counted(50, 60, false), "The best 50 of 60 that fit.");
        assert_eq!(counted(0, 0, true), "No run fits.");
    }
}
