//! The page of all runs: a table that updates itself. Its filter and order are in the URL.

mod choice;
mod columns;
mod order;
mod row;
mod table;
mod unreadable;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use shared::api::{Run, RunState, path};
use shared::problem::Problem;
use shared::query::{FIELDS, Field, Query};
use shared::{format, preset};

pub use self::columns::best_to_last_address;
use self::order::{Shown, arranged, switched};
use self::table::RunTable;
use self::unreadable::Unreadable;
use crate::browser::{use_open, use_title};
use crate::components::health::WorkerBanner;
use crate::components::run_actions::{Report, ReportLine, use_carried_report};
use crate::load::{Failure, Load, Placeholder, Skeleton};
use crate::rows::{Rows, use_rows};
use crate::url_state::{UrlState, url_state};
use crate::{api, names, urls};

#[component]
pub fn RunsPage() -> impl IntoView {
    use_title(|| "Runs".to_owned());
    let rows = use_rows();
    rows.keep_fresh();
    let shown = url_state(|query| Shown::from_parameters(|name| query.get(name)), Shown::address);
    let some = Memo::new(move |_| rows.table.with(|table| !table.is_empty()));
    // Here and not in the table, which goes with the last run.
    let report = use_carried_report().taken();
    view! {
        <header class="page-header">
            <h1>"Runs"</h1>
            <div class="actions">
                <a class="button button-quiet" href="trash">"Trash"</a>
                <a class="button button-primary" href="new">"New run"</a>
            </div>
        </header>
        <WorkerBanner/>
        <ReportLine report undone=move || rows.refresh()/>
        {move || rows.lost.get().map(|problem| view! {
            <p class="notice notice-warning" role="status">{format!("Not up to date: {}. Trying again.", problem.detail)}</p>
        })}
        <Unreadable rows/>
        {move || match rows.phase.get() {
            Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
            Load::Failed(problem) => view! { <Failure problem retry=move || rows.refresh()/> }.into_any(),
            Load::Ready(()) => view! {
                <Show when=move || some.get() fallback=|| view! { <NoRuns/> }>
                    <KnownRuns rows shown report/>
                </Show>
            }
            .into_any(),
        }}
    }
}

#[component]
fn KnownRuns(rows: Rows, shown: UrlState<Shown>, report: RwSignal<Option<Report>>) -> impl IntoView {
    let parsed = Memo::new(move |_| shown.get().text);
    let problems = Memo::new(move |_| parsed.with(|text| Query::parse(text).1));
    let ids = Memo::new(move |_| {
        let Shown { text, by, direction } = shown.get();
        rows.table.with(|table| arranged(table, &Query::parse(&text).0, by, direction))
    });
    view! {
        <FilterBar rows shown/>
        <div class="filter-problems" id="filter-problems" aria-live="polite">
            {move || problems
                .get()
                .into_iter()
                .map(|problem| view! { <p class="field-error">{problem.to_string()}</p> })
                .collect_view()}
        </div>
        <RunTable rows ids shown report/>
    }
}

/// What to do first if there are no runs.
#[component]
fn NoRuns() -> impl IntoView {
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let navigate = use_open();
    let start = move |_| {
        let navigate = navigate.clone();
        busy.set(true);
        spawn_local(async move {
            match api::post::<Run>(&path::runs(), &preset::demo().config).await {
                Ok(run) => navigate(&urls::run(&run.id), NavigateOptions::default()),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                    let _ = busy.try_set(false);
                }
            }
        });
    };
    view! {
        <section class="empty">
            <h2>"See robust overfitting in about 90 seconds"</h2>
            <p>
                "The demo trains a small network on 200 handwritten digits under attack, watches which features its classes share, "
                "and compares the best checkpoint with the last. It needs no downloads and no GPU."
            </p>
            <p class="actions">
                <button class="button button-primary" type="button" disabled=move || busy.get() on:click=start>"Start the demo"</button>
                <a class="button" href="new">"Set up a run"</a>
            </p>
            {move || problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
        </section>
    }
}

/// The filter: a query, buttons for the states, which edit the query, and help on the query language.
#[component]
fn FilterBar(rows: Rows, shown: UrlState<Shown>) -> impl IntoView {
    let wrong = move || (!Query::parse(&shown.get().text).1.is_empty()).then_some("true");
    let counts = Memo::new(move |_| {
        rows.table.with(|table| RunState::ALL.map(|state| table.values().filter(|entry| entry.run.state == state).count()))
    });
    let toggle = move |term: &str| shown.update(|shown| shown.text = switched(&shown.text, term));
    let switch = move |index: usize| {
        let state = RunState::ALL[index];
        let term = format!("state:{}", state.id());
        let pressed = {
            let term = term.clone();
            move || shown.get().text.split_whitespace().any(|known| known == term).to_string()
        };
        let count = move || counts.with(|counts| counts[index]);
        view! {
            <Show when=move || { count() > 0 }>
                <button class="state-switch" type="button" aria-pressed=pressed.clone() on:click={let term = term.clone(); move |_| toggle(&term)}>
                    {names::state(state)}" "<span class="state-count">{move || format::count(count() as u64)}</span>
                </button>
            </Show>
        }
    };
    let field = move |field: &'static Field| {
        view! {
            <div>
                <dt><button class="link" type="button" on:click=move |_| toggle(field.example)><code>{field.example}</code></button></dt>
                <dd>{field.what()}</dd>
            </div>
        }
    };
    view! {
        <form class="filter-bar" role="search" aria-label="Runs" on:submit=|event| event.prevent_default()>
            <div class="field">
                <label class="field-label" for="filter-text">"Filter"</label>
                <input
                    class="input"
                    id="filter-text"
                    type="search"
                    autocomplete="off"
                    spellcheck="false"
                    placeholder="Words, or fields such as eps:8 best>45 tag:paper"
                    aria-invalid=wrong
                    aria-describedby="filter-problems"
                    prop:value=move || shown.get().text
                    on:input=move |event| shown.update(|shown| shown.text = event_target_value(&event))
                />
            </div>
            <div class="state-switches" role="group" aria-label="States">{(0..RunState::ALL.len()).map(switch).collect_view()}</div>
        </form>
        <details class="disclosure filter-help">
            <summary>"What the filter understands"</summary>
            <p class="muted">
                "Words are looked for in titles, names, sweeps, tags and notes. Everything has to hold; a minus in front turns it around, as in "
                <code>"-tag:old"</code>", and quotation marks keep words together. Numbers take "<code>":"</code>", "<code>"<"</code>", "<code>"<="</code>", "
                <code>">"</code>" and "<code>">="</code>"."
            </p>
            <dl class="filter-fields">{FIELDS.iter().map(field).collect_view()}</dl>
        </details>
    }
}
