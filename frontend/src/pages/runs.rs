//! All runs in a table that keeps itself up to date and stays as it is looked at.

use std::time::Duration;

use leptos::leptos_dom::helpers::set_interval_with_handle;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use shared::api::{EpochSummary, Run, RunPage, RunState};
use shared::config::RunKind;
use shared::problem::Problem;
use shared::record::EvaluationStep;
use shared::{format, preset};

use crate::addressed::{Addressed, addressed};
use crate::browser::{use_open, use_title};
use crate::components::badge::{KindBadge, Progress, StateBadge};
use crate::components::dialog::Dialog;
use crate::components::health::WorkerBanner;
use crate::components::spark::Spark;
use crate::load::{Failure, Load, Placeholder, Skeleton};
use crate::{api, place, words};

const REFRESH: Duration = Duration::from_secs(2);
/// Refreshes while nothing runs: others may submit a run.
const IDLE_TICKS: u32 = 5;
/// More than this is what the filter of the server is for.
const RUNS_ADDRESS: &str = "api/runs?limit=500";

/// Which runs of the table are in sight.
#[derive(Clone, Debug, Default, PartialEq)]
struct Filter {
    text: String,
    state: Option<RunState>,
    kind: Option<RunKind>,
}

impl Filter {
    /// By title, name or data set, whatever the case.
    fn shows(&self, run: &Run) -> bool {
        let text = self.text.trim().to_lowercase();
        let found = |hay: &str| hay.to_lowercase().contains(&text);
        let sweep = run.config.as_train().and_then(|config| config.sweep.as_deref());
        self.state.is_none_or(|state| state == run.state)
            && self.kind.is_none_or(|kind| kind == run.config.kind())
            && (found(&run.title) || found(&run.id) || sweep.is_some_and(found))
    }

    fn address(&self) -> String {
        let text = (!self.text.is_empty()).then(|| format!("q={}", place::encoded(&self.text)));
        let state = self.state.map(|state| format!("state={}", state.id()));
        let kind = self.kind.map(|kind| format!("kind={}", kind.id()));
        let query: Vec<String> = text.into_iter().chain(state).chain(kind).collect();
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }
}

fn state_of(id: &str) -> Option<RunState> {
    RunState::ALL.into_iter().find(|state| state.id() == id)
}

fn kind_of(id: &str) -> Option<RunKind> {
    RunKind::ALL.into_iter().find(|kind| kind.id() == id)
}

#[component]
pub fn RunsPage() -> impl IntoView {
    use_title(|| "Runs".to_owned());
    let runs = RwSignal::new(Load::<Vec<Run>>::Loading);
    let lost = RwSignal::new(None::<Problem>);
    let refresh = move || {
        spawn_local(async move {
            match api::get::<RunPage>(RUNS_ADDRESS).await {
                Ok(page) => {
                    let _ = lost.try_set(None);
                    let _ = runs.try_set(Load::Ready(page.runs));
                }
                // What is in sight stays in sight.
                Err(problem) if runs.try_with_untracked(|runs| matches!(runs, Load::Ready(_))) == Some(true) => {
                    let _ = lost.try_set(Some(problem));
                }
                Err(problem) => {
                    let _ = runs.try_set(Load::Failed(problem));
                }
            }
        });
    };
    refresh();
    let ticks = StoredValue::new(0_u32);
    let tick = move || {
        ticks.update_value(|ticks| *ticks += 1);
        let active = runs.with_untracked(|runs| matches!(runs, Load::Ready(runs) if runs.iter().any(|run| !run.state.is_finished())));
        if !document().hidden() && (active || ticks.get_value().is_multiple_of(IDLE_TICKS)) {
            refresh();
        }
    };
    if let Ok(timer) = set_interval_with_handle(tick, REFRESH) {
        on_cleanup(move || timer.clear());
    }

    let filter = addressed(
        |query| Filter {
            text: query.get("q").unwrap_or_default(),
            state: query.get("state").and_then(|id| state_of(&id)),
            kind: query.get("kind").and_then(|id| kind_of(&id)),
        },
        Filter::address,
    );
    let some = Memo::new(move |_| runs.with(|runs| matches!(runs, Load::Ready(runs) if !runs.is_empty())));
    let phase = Memo::new(move |_| {
        runs.with(|runs| match runs {
            Load::Loading => Load::Loading,
            Load::Failed(problem) => Load::Failed(problem.clone()),
            Load::Ready(_) => Load::Ready(()),
        })
    });
    let list = Signal::derive(move || runs.with(|runs| if let Load::Ready(runs) = runs { runs.clone() } else { Vec::new() }));
    view! {
        <header class="page-header">
            <h1>"Runs"</h1>
            <div class="actions"><a class="button button-primary" href="new">"New run"</a></div>
        </header>
        <WorkerBanner/>
        {move || lost.get().map(|problem| view! {
            <p class="notice notice-warning" role="status">{format!("Not up to date: {}. Trying again.", problem.detail)}</p>
        })}
        {move || match phase.get() {
            Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
            Load::Failed(problem) => view! { <Failure problem retry=refresh/> }.into_any(),
            Load::Ready(()) => view! {
                <Show when=move || some.get() fallback=|| view! { <NoRuns/> }>
                    <FilterBar filter/>
                    <RunTable runs=list filter refresh/>
                </Show>
            }
            .into_any(),
        }}
    }
}

/// What to do first.
#[component]
fn NoRuns() -> impl IntoView {
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let navigate = use_open();
    let start = move |_| {
        let navigate = navigate.clone();
        busy.set(true);
        spawn_local(async move {
            match api::post::<Run>("api/runs", &preset::demo().config).await {
                Ok(run) => navigate(&place::run(&run.id), NavigateOptions::default()),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                    let _ = busy.try_set(false);
                }
            }
        });
    };
    view! {
        <section class="empty">
            <h2>"See robust overfitting in about a minute"</h2>
            <p>
                "The demo trains a small network on 300 handwritten digits under attack, watches which features its classes share, "
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

#[component]
fn FilterBar(filter: Addressed<Filter>) -> impl IntoView {
    view! {
        <form class="filter-bar" role="search" aria-label="Runs" on:submit=|event| event.prevent_default()>
            <div class="field">
                <label class="field-label" for="filter-text">"Filter"</label>
                <input
                    class="input"
                    id="filter-text"
                    type="search"
                    placeholder="Title, id or sweep"
                    prop:value=move || filter.get().text
                    on:input=move |event| filter.update(|filter| filter.text = event_target_value(&event))
                />
            </div>
            <div class="field">
                <label class="field-label" for="filter-state">"State"</label>
                <select class="input" id="filter-state" on:change=move |event| filter.update(|filter| filter.state = state_of(&event_target_value(&event)))>
                    <option value="" prop:selected=move || filter.get().state.is_none()>"All"</option>
                    {RunState::ALL
                        .map(|state| view! {
                            <option value=state.id() prop:selected=move || filter.get().state == Some(state)>{words::state(state)}</option>
                        })
                        .collect_view()}
                </select>
            </div>
            <div class="field">
                <label class="field-label" for="filter-kind">"Kind"</label>
                <select class="input" id="filter-kind" on:change=move |event| filter.update(|filter| filter.kind = kind_of(&event_target_value(&event)))>
                    <option value="" prop:selected=move || filter.get().kind.is_none()>"All"</option>
                    {RunKind::ALL
                        .map(|kind| view! {
                            <option value=kind.id() prop:selected=move || filter.get().kind == Some(kind)>{kind.label()}</option>
                        })
                        .collect_view()}
                </select>
            </div>
        </form>
    }
}

#[component]
fn RunTable(runs: Signal<Vec<Run>>, filter: Addressed<Filter>, refresh: impl Fn() + Copy + Send + Sync + 'static) -> impl IntoView {
    let ids = Memo::new(move |_| {
        let filter = filter.get();
        runs.with(|runs| runs.iter().filter(|run| filter.shows(run)).map(|run| run.id.clone()).collect::<Vec<_>>())
    });
    let deleting = RwSignal::new(None::<Run>);
    let none = move || ids.with(Vec::is_empty);
    view! {
        <div class="table-box" role="region" aria-label="Runs" tabindex="0">
            <table class="table runs-table">
                <thead>
                    <tr>
                        <th scope="col">"Run"</th>
                        <th scope="col">"Kind"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="number">"Best robust"</th>
                        <th scope="col" class="number">"Last robust"</th>
                        <th scope="col" class="number">"Gap"</th>
                        <th scope="col" class="number">"CAS best → last"</th>
                        <th scope="col">"Curve"</th>
                        <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || ids.get() key=Clone::clone let:id>
                        <Row id runs deleting refresh/>
                    </For>
                </tbody>
            </table>
            <Show when=none>
                <p class="table-empty">"No run matches the filter."</p>
            </Show>
        </div>
        <DeleteRunDialog run=deleting done=refresh/>
    }
}

#[component]
fn Row(
    id: String,
    runs: Signal<Vec<Run>>,
    deleting: RwSignal<Option<Run>>,
    refresh: impl Fn() + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let canceling = RwSignal::new(false);
    // A row that has just left the list is still asked once: it then shows what it showed.
    let run = Memo::new(move |former: Option<&Option<Run>>| {
        let found = runs.with(|runs| runs.iter().find(|run| run.id == id).cloned());
        found.map(|run| Run { canceling: run.canceling || canceling.get(), ..run }).or_else(|| former.cloned().flatten())
    });
    let there = Memo::new(move |_| run.with(Option::is_some));
    move || {
        there
            .get()
            .then(|| view! { <RowCells run=Signal::derive(move || run.get().expect("a row keeps its run")) canceling deleting refresh/> })
    }
}

#[component]
fn RowCells(
    run: Signal<Run>,
    canceling: RwSignal<bool>,
    deleting: RwSignal<Option<Run>>,
    refresh: impl Fn() + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let cancel = move |_| {
        canceling.set(true);
        let address = format!("api/runs/{}/cancel", run.with_untracked(|run| run.id.clone()));
        spawn_local(async move {
            if api::post_empty(&address).await.is_err() {
                let _ = canceling.try_set(false);
            }
            refresh();
        });
    };
    let (kind, sweep) = run.with_untracked(|run| (run.config.kind(), run.config.as_train().and_then(|config| config.sweep.clone())));
    let best = move |value: fn(&EpochSummary) -> Option<f64>| run.with(|run| run.summary.best.as_ref().and_then(value));
    let last = move |value: fn(&EpochSummary) -> Option<f64>| run.with(|run| run.summary.last.as_ref().and_then(value));
    let cas = move || match (best(|epoch| epoch.cas), last(|epoch| epoch.cas)) {
        (None, None) => format::decimal(None, 1),
        (best, last) => format!("{} → {}", format::decimal(best, 1), format::decimal(last, 1)),
    };
    let compare = Memo::new(move |_| run.with(best_to_last_address));
    let finished = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let spark = Memo::new(move |_| run.with(|run| run.summary.spark.clone()));
    let (id, created) = run.with_untracked(|run| (run.id.clone(), run.created_at.clone()));
    let numbers = match kind {
        RunKind::Train | RunKind::Import => view! {
            <td class="number" data-label="Best robust">{move || format::percent(best(|epoch| epoch.robust_accuracy))}</td>
            <td class="number" data-label="Last robust">{move || format::percent(last(|epoch| epoch.robust_accuracy))}</td>
            <td class="number" data-label="Gap">{move || run.with(|run| format::points(words::gap(&run.summary)))}</td>
            <td class="number" data-label="CAS best → last">{cas}</td>
            <td>{move || view! { <Spark values=spark.get()/> }}</td>
        }
        .into_any(),
        RunKind::Attribute | RunKind::Evaluate | RunKind::Saliency | RunKind::Pair => view! {
            <td class="number" colspan="3" data-label="Measured">{move || run.with(|run| measured(&run.summary.evaluation))}</td>
            <td class="number" data-label="CAS">{move || format::decimal(run.with(|run| run.summary.cas), 1)}</td>
            <td></td>
        }
        .into_any(),
    };
    view! {
        <tr>
            <th scope="row" class="run-name">
                <a href=place::href(&place::run(&id))>{move || run.with(|run| run.title.clone())}</a>
                <span class="run-id">{id.clone()}</span>
                <time class="when" datetime=created.clone()>{words::minute(&created)}" UTC"</time>
                {sweep.map(|sweep| view! { <a class="run-sweep" href=place::href(&place::sweep(&sweep))>{format!("Sweep {sweep}")}</a> })}
            </th>
            <td><KindBadge kind/></td>
            <td><div class="run-state"><StateBadge run/><Progress run/></div></td>
            {numbers}
            <td>
                <div class="row-actions">
                    {move || compare.get().map(|address| view! { <a href=place::href(&address)>"Compare"</a> })}
                    <a href=place::href(&place::new_from(&id))>"Duplicate"</a>
                    <Show
                        when=move || finished.get()
                        fallback=move || view! {
                            <button class="link" type="button" disabled=move || run.with(|run| run.canceling) on:click=cancel>"Cancel"</button>
                        }
                    >
                        <button class="link link-danger" type="button" on:click=move |_| deleting.set(Some(run.get_untracked()))>"Delete"</button>
                    </Show>
                </div>
            </td>
        </tr>
    }
}

/// What an evaluation says in a row: its weakest number so far, and what it is of.
fn measured(steps: &[EvaluationStep]) -> String {
    match steps {
        [] => format::decimal(None, 1),
        [clean] => format!("clean {}", format::percent(clean.accuracy)),
        [clean, .., last] => format!("{} robust · clean {}", format::percent(last.accuracy), format::percent(clean.accuracy)),
    }
}

/// The comparison of best and last, once they are two and both have their matrices.
pub fn best_to_last_address(run: &Run) -> Option<String> {
    let (best, last) = (run.summary.best.as_ref()?, run.summary.last.as_ref()?);
    (best.epoch != last.epoch && best.cas.is_some() && last.cas.is_some()).then(|| place::compare(&run.id, best.epoch, last.epoch))
}

/// Asks before a run is gone.
#[component]
pub fn DeleteRunDialog(
    /// The run to ask about; none while nobody asks.
    run: RwSignal<Option<Run>>,
    done: impl Fn() + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let problem = RwSignal::new(None::<Problem>);
    let close = move || {
        problem.set(None);
        run.set(None);
    };
    let delete = move |_| {
        let Some(address) = run.with_untracked(|run| run.as_ref().map(|run| format!("api/runs/{}", run.id))) else { return };
        spawn_local(async move {
            match api::delete(&address).await {
                Ok(()) => {
                    close();
                    done();
                }
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    view! {
        <Dialog open=Signal::derive(move || run.with(Option::is_some)) close title="Delete run">
            <p>{move || run.get().map(|run| format!("“{}” with its checkpoints, matrices and links will be gone for good.", run.title))}</p>
            {move || problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
            <p class="actions">
                <button class="button button-danger" type="button" on:click=delete>"Delete"</button>
                <button class="button" type="button" on:click=move |_| close()>"Keep"</button>
            </p>
        </Dialog>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::RunSummary;

    fn run(title: &str, state: RunState) -> Run {
        Run {
            id: "at-digits-7f3a".into(),
            title: title.into(),
            state,
            config: preset::demo().config,
            created_at: String::new(),
            started_at: None,
            finished_at: None,
            queue_position: None,
            failure: None,
            canceling: false,
            tags: Vec::new(),
            notes: String::new(),
            summary: RunSummary::default(),
        }
    }

    #[test]
    fn the_filter_looks_at_title_id_state_and_kind() {
        let shown = |text: &str, state| Filter { text: text.into(), state, kind: None }.shows(&run("Demo on Digits", RunState::Failed));
        assert!(shown("", None));
        assert!(shown(" digits", Some(RunState::Failed)));
        assert!(shown("7F3A", None));
        assert!(!shown("cifar", None));
        assert!(!shown("", Some(RunState::Running)));
        let of_kind = |kind| Filter { kind: Some(kind), ..Filter::default() }.shows(&run("Demo", RunState::Failed));
        assert!(of_kind(RunKind::Train) && !of_kind(RunKind::Evaluate));
    }

    #[test]
    fn the_filter_is_in_the_address() {
        assert_eq!(Filter::default().address(), "/");
        assert_eq!(
            Filter { text: "a b".into(), state: Some(RunState::Queued), kind: Some(RunKind::Import) }.address(),
            "/?q=a%20b&state=queued&kind=import"
        );
    }

    #[test]
    fn an_evaluation_shows_its_weakest_number() {
        let step = |attack: &str, accuracy| EvaluationStep { attack: attack.into(), attacked: 10, broken: 1, accuracy, seconds: 1.0 };
        assert_eq!(measured(&[]), "–");
        assert_eq!(measured(&[step("clean", 0.9)]), "clean 90.0 %");
        assert_eq!(measured(&[step("clean", 0.9), step("APGD-CE", 0.5), step("Square", 0.45)]), "45.0 % robust · clean 90.0 %");
    }

    #[test]
    fn best_and_last_can_be_compared_once_both_have_a_matrix() {
        let summary = |epoch, cas| Some(EpochSummary { epoch, clean_accuracy: None, robust_accuracy: None, cas });
        let mut run = run("", RunState::Running);
        run.summary = RunSummary { best: summary(3, Some(1.0)), last: summary(9, None), ..RunSummary::default() };
        assert_eq!(best_to_last_address(&run), None);
        run.summary.last = summary(3, Some(1.0));
        assert_eq!(best_to_last_address(&run), None, "there is one checkpoint only");
        run.summary.last = summary(9, Some(2.0));
        assert_eq!(best_to_last_address(&run).unwrap(), "/compare?a=at-digits-7f3a.e3.adversarial&b=at-digits-7f3a.e9.adversarial");
    }
}
