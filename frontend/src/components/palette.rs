//! The command palette: a search field over pages, actions and all runs, for use by keyboard.
//!
//! A combobox by the ARIA Authoring Practices: the focus stays in the field, and `aria-activedescendant`
//! marks the active option.

use std::cmp::{Ordering, Reverse};

use leptos::ev;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use shared::api::{SweepSummary, path};
use shared::builtin::lowercase;
use shared::preset::Preset;
use strum::IntoEnumIterator;

use crate::app::PAGES;
use crate::browser::use_open;
use crate::components::dialog::modal;
use crate::fuzzy;
use crate::keys::{KeysDialog, is_typing};
use crate::load::fetched;
use crate::rows::{Entry, Table, use_rows};
use crate::theme::{Choice, use_theme_choice};
use crate::urls;

/// About as many as can be read at a glance.
const MOST_SHOWN: usize = 10;
/// Number of newest runs that are offered before anything is typed.
const NEWEST_RUNS: usize = 4;

/// An entry of the palette.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    kind: &'static str,
    label: String,
    note: String,
    act: Act,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    /// Opens a path inside the application.
    Open(String),
    Theme(Choice),
    ShowKeys,
}

/// The palette with its button, the dialog of shortcuts, and the keys that open both.
#[component]
pub fn Commands() -> impl IntoView {
    let (palette, keys) = (RwSignal::new(false), RwSignal::new(false));
    let listener = window_event_listener(ev::keydown, move |event| {
        let other_dialog = || document().query_selector("dialog[open]").ok().flatten().is_some();
        if event.key().eq_ignore_ascii_case("k") && (event.ctrl_key() || event.meta_key()) && !event.shift_key() && !event.alt_key() {
            // This shortcut types nothing, so it also works in text fields.
            event.prevent_default();
            if palette.get_untracked() {
                palette.set(false);
            } else if !other_dialog() {
                palette.set(true);
            }
        } else if event.key() == "?" && !event.ctrl_key() && !event.meta_key() && !is_typing(&event) && !other_dialog() {
            event.prevent_default();
            keys.set(true);
        }
    });
    on_cleanup(move || listener.remove());
    view! {
        <button class="palette-button" type="button" aria-haspopup="dialog" aria-keyshortcuts="Control+K Meta+K" on:click=move |_| palette.set(true)>
            <span class="palette-button-text">"Search"</span>
            <kbd aria-hidden="true">"Ctrl K"</kbd>
        </button>
        <Palette open=palette keys/>
        <KeysDialog open=keys/>
    }
}

#[component]
fn Palette(open: RwSignal<bool>, keys: RwSignal<bool>) -> impl IntoView {
    let dialog = modal(open.into());
    // A click on the backdrop has the dialog itself as its target.
    let outside = move |event: ev::MouseEvent| {
        if event.target() == dialog.get_untracked().map(Into::into) {
            open.set(false);
        }
    };
    view! {
        <dialog class="dialog palette" node_ref=dialog aria-label="Command palette" on:close=move |_| open.set(false) on:click=outside>
            <Show when=move || open.get()><Search open keys/></Show>
        </dialog>
    }
}

#[component]
fn Search(open: RwSignal<bool>, keys: RwSignal<bool>) -> impl IntoView {
    let rows = use_rows();
    rows.refresh();
    let presets = fetched::<Vec<Preset>>(|| Some(path::presets()));
    let sweeps = fetched::<Vec<SweepSummary>>(|| Some(path::sweeps()));
    let others = Memo::new(move |_| others(&presets.ready().unwrap_or_default(), &sweeps.ready().unwrap_or_default()));
    let query = RwSignal::new(String::new());
    let found = Memo::new(move |_| others.with(|others| rows.table.with(|table| found(&query.get(), others, table))));
    let active = RwSignal::new(0_usize);
    let navigate = use_open();
    let theme = use_theme_choice();
    let run = move |item: &Item| {
        open.set(false);
        match &item.act {
            Act::Open(path) => navigate(path, NavigateOptions::default()),
            Act::Theme(choice) => theme.set(*choice),
            Act::ShowKeys => keys.set(true),
        }
    };
    let run = StoredValue::new_local(run);
    let press = move |event: ev::KeyboardEvent| {
        let count = found.with_untracked(Vec::len);
        let now = active.get_untracked();
        match event.key().as_str() {
            "ArrowDown" if count > 0 => active.set((now + 1) % count),
            "ArrowUp" if count > 0 => active.set((now + count - 1) % count),
            "Enter" => {
                if let Some(item) = found.with_untracked(|found| found.get(now).cloned()) {
                    run.with_value(|run| run(&item));
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    let option = move |(index, item): (usize, Item)| {
        let Item { kind, label, note, .. } = item.clone();
        view! {
            <li
                role="option"
                id=option_id(index)
                aria-selected=move || (active.get() == index).to_string()
                on:pointermove=move |_| if active.get_untracked() != index { active.set(index) }
                on:click=move |_| run.with_value(|run| run(&item))
            >
                <span class="palette-label">{label}</span>
                <span class="palette-note">{note}</span>
                <span class="palette-kind">{kind}</span>
            </li>
        }
    };
    let none = move || found.with(Vec::is_empty);
    view! {
        <input
            class="input palette-input"
            type="text"
            role="combobox"
            aria-label="Search pages, runs, sweeps, presets and actions"
            aria-expanded="true"
            aria-controls="palette-list"
            aria-autocomplete="list"
            aria-activedescendant=move || (!none()).then(|| option_id(active.get()))
            autocomplete="off"
            spellcheck="false"
            placeholder="Go to a page, a run, a sweep, a preset …"
            autofocus
            on:input=move |event| {
                active.set(0);
                query.set(event_target_value(&event));
            }
            on:keydown=press
        />
        <ul class="palette-list" id="palette-list" role="listbox" aria-label="What fits">
            {move || found.get().into_iter().enumerate().map(option).collect_view()}
        </ul>
        <p class="palette-none" role="status">{move || if none() { "Nothing fits." } else { "" }}</p>
    }
}

fn option_id(index: usize) -> String {
    format!("palette-option-{index}")
}

/// All entries except runs.
fn others(presets: &[Preset], sweeps: &[SweepSummary]) -> Vec<Item> {
    let open = |kind, label: &str, note: String, path: String| Item { kind, label: label.to_owned(), note, act: Act::Open(path) };
    let pages = PAGES.iter().map(|(label, path)| open("Page", label, String::new(), (*path).to_owned()));
    let themes = Choice::iter().map(|choice| Item {
        kind: "Action",
        label: format!("Theme: {}", choice.label().to_ascii_lowercase()),
        note: String::new(),
        act: Act::Theme(choice),
    });
    let keys = Item { kind: "Action", label: "Show the keys".to_owned(), note: "?".to_owned(), act: Act::ShowKeys };
    let sweeps = sweeps.iter().map(|sweep| open("Sweep", sweep.id.as_str(), format!("{} runs", sweep.runs), urls::sweep(&sweep.id)));
    let presets = presets.iter().map(|preset| open("Preset", &preset.title, preset.id.clone(), format!("/new?preset={}", preset.id)));
    pages.chain(themes).chain([keys]).chain(sweeps).chain(presets).collect()
}

/// The best matches, best first. If nothing is typed: pages and the newest runs.
fn found(query: &str, others: &[Item], table: &Table) -> Vec<Item> {
    let query = lowercase(query.trim());
    let run = |entry: &Entry| Item {
        kind: "Run",
        label: entry.run.title.clone(),
        note: entry.run.id.to_string(),
        act: Act::Open(urls::run(&entry.run.id)),
    };
    if query.is_empty() {
        let runs = first(table.values().map(|entry| &**entry).collect(), NEWEST_RUNS, |a, b| b.run.created_at.cmp(&a.run.created_at));
        let pages = others.iter().filter(|item| item.kind == "Page").cloned();
        return pages.chain(runs.into_iter().map(run)).collect();
    }
    let mut items: Vec<(i32, Item)> = others
        .iter()
        .filter_map(|item| Some((fuzzy::score(&query, &lowercase(&format!("{} {}", item.label, item.note)))?, item.clone())))
        .collect();
    let runs: Vec<(i32, &Entry)> = table.values().filter_map(|entry| Some((fuzzy::score(&query, name(&entry.words))?, &**entry))).collect();
    let runs = first(runs, MOST_SHOWN, |(a, left), (b, right)| b.cmp(a).then_with(|| right.run.created_at.cmp(&left.run.created_at)));
    items.extend(runs.into_iter().map(|(score, entry)| (score, run(entry))));
    // The sort is stable: among equal scores, pages come before runs.
    items.sort_by_key(|item| Reverse(item.0));
    items.into_iter().take(MOST_SHOWN).map(|(_, item)| item).collect()
}

/// The first `count` items in an order. Only these are sorted, because there may be thousands.
pub fn first<T>(mut items: Vec<T>, count: usize, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() > count {
        items.select_nth_unstable_by(count, &order);
        items.truncate(count);
    }
    items.sort_by(order);
    items
}

/// Title and id of a run in lower case: the first two lines of its words.
pub fn name(words: &str) -> &str {
    let end = words.match_indices('\n').nth(1).map_or(words.len(), |(end, _)| end);
    &words[..end]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::api::RunRow;
    use shared::{preset, query};

    use super::*;
    use crate::pages::tests::row;

    fn labels(text: &str) -> Vec<String> {
        let runs = ["Robust Overfitting", "Radius 8", "Queue test"].into_iter().enumerate().map(|(index, title)| {
            let run = RunRow { title: title.into(), notes: "sweeps".into(), created_at: index.to_string(), ..row(&format!("at-{index}")) };
            (run.id.clone(), Arc::new(Entry { words: query::words(&run), run }))
        });
        found(text, &others(&preset::all(), &[]), &runs.collect()).into_iter().map(|item| item.label).collect()
    }

    #[test]
    fn pages_and_the_newest_runs_are_offered_first() {
        let offered = labels(" ");
        assert_eq!(offered[..3], ["Runs", "Sweeps", "New"]);
        assert_eq!(offered[7..], ["Queue test", "Radius 8", "Robust Overfitting"]);
    }

    #[test]
    fn what_fits_best_comes_first() {
        assert_eq!(labels("queue")[..2], ["Queue", "Queue test"]);
        assert_eq!(labels("at-1")[0], "Radius 8");
        assert_eq!(labels("dark")[0], "Theme: dark");
        assert_eq!(labels("sweeps")[0], "Sweeps");
        assert!(!labels("sweeps").contains(&"Radius 8".to_owned()), "notes are for the filter");
        assert!(labels("trades").iter().any(|label| label.contains("TRADES")));
        assert!(labels("zzzz").is_empty());
    }
}
