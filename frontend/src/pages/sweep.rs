//! The page of a sweep: best and last over the varied field, curves over epochs, and the runs.

use std::collections::BTreeMap;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use shared::api::{Run, RunAction, Sweep, SweepChange, path, per_pair};
use shared::builtin::lowercase;
use shared::chart::SweepFigure;
use shared::chart::sweep::{Cell, READINGS, Reading, SEED, SweepChart, Unit, cells, fields};
use shared::export::Exported;
use shared::format;
use shared::id::{CheckpointRef, RunId, SweepId};
use shared::problem::Problem;
use shared::record::Metrics;
use shared::sweep::{Spread, field_name, number, text, value_of};
use strum::IntoEnumIterator;

use super::NotFoundPage;
use crate::browser::{every, use_open, use_title};
use crate::components::badge::{Progress, StateBadge};
use crate::components::exports::{Export, Exports, export};
use crate::components::heatmap::is_open;
use crate::components::job::JobLine;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::measure_button::{MeasureButton, Measurement};
use crate::components::plot::Plot;
use crate::components::run_actions::{
    ConcernedRun, Question, Report, ReportLine, RunActionsDialog, can, is_danger, use_carried_report, verb,
};
use crate::components::sort_head::{SortHead, SortKey, Sorting};
use crate::latest::{ShowLatest, latest};
use crate::load::{Failure, Load, Placeholder, Skeleton, refusal};
use crate::theme::use_theme;
use crate::url_state::{UrlState, url_state, use_id};
use crate::{api, urls};

const REFRESH: Duration = Duration::from_secs(4);
/// Each curve needs a request, and more lines than this cannot be told apart.
const MOST_CURVES: usize = 60;

#[component]
pub fn SweepPage() -> impl IntoView {
    let id = use_id::<SweepId>("id");
    move || match id.get() {
        Some(id) => view! { <LoadedSweep id/> }.into_any(),
        None => view! { <NotFoundPage/> }.into_any(),
    }
}

/// Loads the sweep, and refreshes it while one of its runs goes on.
#[component]
fn LoadedSweep(id: SweepId) -> impl IntoView {
    let state = RwSignal::new(Load::<Sweep>::Loading);
    let address = path::sweep(&id);
    use_title(move || format!("Sweep {id}"));
    let load = move || {
        let address = address.clone();
        spawn_local(async move {
            let answer = api::get::<Sweep>(&address).await;
            let _ = state.try_update(|state| match answer {
                Ok(sweep) => *state = Load::Ready(sweep),
                // The former content stays; the next refresh may succeed.
                Err(_) if matches!(state, Load::Ready(_)) => {}
                Err(problem) => *state = Load::Failed(problem),
            });
        });
    };
    load();
    let refresh = load.clone();
    every(REFRESH, move || {
        let active =
            state.with_untracked(|state| matches!(state, Load::Ready(sweep) if sweep.runs.iter().any(|run| !run.state.is_finished())));
        if active {
            refresh();
        }
    });
    let sweep = Memo::new(move |_| state.with(|state| if let Load::Ready(sweep) = state { Some(sweep.clone()) } else { None }));
    let reload = StoredValue::new_local(load.clone());
    let reload = Callback::new(move |()| reload.with_value(|load| load()));
    let missing = move || match state.get() {
        Load::Failed(problem) => view! { <Failure problem page=true retry=load.clone()/> }.into_any(),
        Load::Loading | Load::Ready(_) => view! { <Skeleton placeholder=Placeholder::SweepPage/> }.into_any(),
    };
    view! { <ShowLatest value=sweep fallback=missing let:sweep><SweepView sweep reload/></ShowLatest> }
}

/// The state of the page in the URL.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    /// The field on the x axis of the charts.
    over: Option<String>,
    /// Order of the table of runs.
    sorting: Sorting,
}

impl Shown {
    fn address(&self, id: &SweepId) -> String {
        let over = self.over.as_ref().map(|field| format!("over={}", urls::encoded(field)));
        let query: Vec<String> = over.into_iter().chain(self.sorting.parameters()).collect();
        if query.is_empty() { urls::sweep(id) } else { format!("{}?{}", urls::sweep(id), query.join("&")) }
    }
}

#[component]
fn SweepView(
    sweep: Memo<Sweep>,
    /// Requests the sweep again.
    reload: Callback<()>,
) -> impl IntoView {
    let id = sweep.with_untracked(|sweep| sweep.id.clone());
    let known = Memo::new(move |_| sweep.with(fields));
    let shown = url_state(|query| Shown { over: query.get("over"), sorting: Sorting::from_parameters(|name| query.get(name)) }, {
        let id = id.clone();
        move |shown: &Shown| shown.address(&id)
    });
    let asked = shown.part(|shown| shown.over.clone(), |shown, over| shown.over = over);
    let sorting = shown.part(|shown| shown.sorting.clone(), |shown, sorting| shown.sorting = sorting);
    // A sweep of a single run has no varied field; it then uses the seed.
    let field = Memo::new(move |_| {
        known.with(|known| {
            asked.get().filter(|field| known.contains(field)).or_else(|| known.first().cloned()).unwrap_or_else(|| SEED.to_owned())
        })
    });
    let theme = use_theme();
    let chart = move |unit: Unit| {
        Memo::new(move |_| {
            let field = field.get();
            sweep.with(|sweep| SweepChart::over_values(sweep, &field, field_name(&field), unit, theme.get()))
        })
    };
    let metrics = curves(sweep);
    let over_epochs = move |unit: Unit| {
        Memo::new(move |_| {
            let field = field.get();
            sweep.with(|sweep| metrics.with(|metrics| SweepChart::over_epochs(sweep, &field, unit, metrics, theme.get())))
        })
    };
    let plot = move |figure: SweepFigure| match figure {
        SweepFigure::Accuracy => view! { <Plot title="Robust accuracy" chart=chart(Unit::Accuracy)/> },
        SweepFigure::Cas => view! { <Plot title="CAS" chart=chart(Unit::Cas)/> },
        SweepFigure::CasLost => view! { <Plot title="CAS, best − last" chart=chart(Unit::CasLost)/> },
        SweepFigure::Epochs => view! { <Plot title="Robust accuracy over epochs" chart=over_epochs(Unit::Accuracy)/> },
        SweepFigure::CasEpochs => view! { <Plot title="CAS over epochs" chart=over_epochs(Unit::Cas)/> },
    };
    let only_seeds = Memo::new(move |_| known.with(|known| known.iter().all(|field| field == SEED)));
    let figures = Signal::derive(move || sweep.with(|sweep| summary(&sweep.runs)));
    let over = move || {
        let names: Vec<String> = known.get().iter().map(|field| field_name(field).to_ascii_lowercase()).collect();
        if names.is_empty() { format!("Sweep {id}") } else { format!("Sweep over {}", names.join(" and ")) }
    };
    let title = Memo::new(move |_| sweep.with(|sweep| sweep.title.clone()));
    let state = move || {
        sweep.with(|sweep| {
            let done = sweep.runs.iter().filter(|run| run.state.is_finished()).count();
            format!("{done} of {} runs are finished", sweep.runs.len())
        })
    };
    let several = Memo::new(move |_| known.with(|known| known.len() > 1));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href="sweeps">"Sweeps"</a>
                    <span aria-hidden="true">"/"</span>
                    <span>{move || sweep.with(|sweep| sweep.id.to_string())}</span>
                </nav>
                <h1>{move || over()}</h1>
                <p class="subline">{move || title.get()}" · "<span aria-live="polite">{move || state()}</span></p>
                <AllRuns sweep reload/>
                <AtOnce sweep reload/>
            </div>
            <Show when=move || several.get()>
                <div class="field field-inline">
                    <label class="field-label" for="sweep-over">"Draw over"</label>
                    <select class="input" id="sweep-over" on:change=move |event| asked.set(Some(event_target_value(&event)))>
                        {move || known
                            .get()
                            .into_iter()
                            .map(|option| {
                                let (name, selected) = (field_name(&option).to_owned(), field.get() == option);
                                view! { <option value=option prop:selected=selected>{name}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
            </Show>
        </header>
        <Show when=move || only_seeds.get()><KeyFigures figures/></Show>
        <div class="pair-of-panels">
            {plot(SweepFigure::Accuracy)}
            {plot(SweepFigure::Cas)}
        </div>
        <Spreads sweep field/>
        <div class="pair-of-panels">
            {plot(SweepFigure::Epochs)}
            {plot(SweepFigure::CasEpochs)}
        </div>
        {plot(SweepFigure::CasLost)}
        <Exports exports=Signal::derive(move || sweep.with(|sweep| exports_of(&sweep.id, &field.get())))/>
        <Runs sweep known sorting/>
    }
}

/// Export links of the charts.
fn exports_of(id: &SweepId, field: &str) -> Vec<Export> {
    let over = urls::encoded(field);
    let figure = |figure: SweepFigure| {
        let address = |format| format!("{}?chart={figure}&over={over}&format={format}", path::sweep_chart(id));
        export(figure.label(), Exported::Chart, address)
    };
    SweepFigure::iter().map(figure).collect()
}

/// The metrics of the runs, requested again for each new epoch.
fn curves(sweep: Memo<Sweep>) -> RwSignal<BTreeMap<RunId, Metrics>> {
    let metrics = RwSignal::new(BTreeMap::new());
    let progress = Memo::new(move |_| {
        sweep.with(|sweep| sweep.runs.iter().take(MOST_CURVES).map(|run| (run.id.clone(), run.summary.epoch)).collect::<Vec<_>>())
    });
    Effect::new(move |former: Option<BTreeMap<RunId, u32>>| {
        let former = former.unwrap_or_default();
        let now: BTreeMap<RunId, u32> = progress.get().into_iter().collect();
        for (id, epoch) in &now {
            if *epoch == 0 || former.get(id) == Some(epoch) {
                continue;
            }
            let id = id.clone();
            spawn_local(async move {
                // A curve that fails to load is left out; the table below still has the run.
                if let Ok(found) = api::get::<Metrics>(&path::run_metrics(&id)).await {
                    let _ = metrics.try_update(|metrics| metrics.insert(id, found));
                }
            });
        }
        now
    });
    metrics
}

/// For example `47.8 % ± 0.3`; only the value if there is a single run.
fn with_deviation(spread: Option<Spread>, unit: Unit) -> String {
    let (factor, digits) = match unit {
        Unit::Accuracy => (100.0, 1),
        Unit::Cas | Unit::CasLost => (1.0, 2),
    };
    let Some(Spread { mean, deviation, .. }) = spread else { return format::decimal(None, 1) };
    let value = format::decimal(mean * factor, digits);
    let percent = if unit == Unit::Accuracy { " %" } else { "" };
    match deviation {
        Some(deviation) => format!("{value} ± {}{percent}", format::decimal(deviation * factor, digits)),
        None => format!("{value}{percent}"),
    }
}

/// Key figures over all runs, for sweeps over seeds.
fn summary(runs: &[Run]) -> Vec<Figure> {
    let runs: Vec<&Run> = runs.iter().collect();
    let figure = |reading: &Reading| {
        let spread = reading.spread(&runs);
        let note = match spread {
            Some(Spread { count: 1, .. }) => "one seed".to_owned(),
            Some(Spread { count, .. }) => format!("mean ± deviation of {count} seeds"),
            None => "not measured yet".to_owned(),
        };
        Figure::new(reading.label, with_deviation(spread, reading.unit), note)
    };
    READINGS.iter().map(figure).collect()
}

/// The numbers of the charts as a table.
#[component]
fn Spreads(sweep: Memo<Sweep>, field: Memo<String>) -> impl IntoView {
    let open = RwSignal::new(false);
    let row = |cell: &Cell<'_>| {
        let number = |reading: &Reading| {
            let text = with_deviation(reading.spread(&cell.runs), reading.unit);
            view! { <td class="number">{text}</td> }
        };
        let name = if cell.others.is_empty() { cell.x_label.clone() } else { format!("{}, {}", cell.x_label, cell.others) };
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td class="number">{cell.runs.len()}</td>
                {READINGS.iter().map(number).collect_view()}
            </tr>
        }
    };
    let rows = move || sweep.with(|sweep| cells(sweep, &field.get()).iter().map(row).collect_view());
    view! {
        <details class="disclosure panel" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box" role="region" aria-label="Best and last" tabindex="0">
                <table class="table table-dense">
                    <caption class="visually-hidden">"Mean and standard deviation over seeds"</caption>
                    <thead>
                        <tr>
                            <th scope="col">{move || field_name(&field.get()).to_owned()}</th>
                            <th scope="col" class="number">"Runs"</th>
                            {READINGS.iter().map(|reading| view! { <th scope="col" class="number">{reading.label}</th> }).collect_view()}
                        </tr>
                    </thead>
                    <tbody>{move || open.get().then(rows)}</tbody>
                </table>
            </div>
        </details>
    }
}

/// Actions on all runs of the sweep.
#[component]
fn AllRuns(sweep: Memo<Sweep>, reload: Callback<()>) -> impl IntoView {
    let (question, report) = (RwSignal::new(None::<Question>), RwSignal::new(None::<Report>));
    let (navigate, carried) = (StoredValue::new_local(use_open()), use_carried_report());
    // Whether the action deletes all runs.
    let empties = StoredValue::new(false);
    let ask = move |action: RunAction| {
        let runs: Vec<ConcernedRun> = sweep.with_untracked(|sweep| sweep.runs.iter().map(ConcernedRun::from).collect());
        empties.set_value(action == RunAction::Delete && runs.iter().all(|run| can(action, run)));
        question.set(Some(Question { action, runs }));
    };
    let done = move |refused: usize| {
        if refused == 0 && empties.get_value() {
            carried.set(report.get_untracked());
            navigate.with_value(|navigate| navigate("/sweeps", NavigateOptions::default()));
        } else {
            reload.run(());
        }
    };
    let button = move |action: RunAction| {
        // A button that no longer applies is not `disabled`, so that it keeps the focus.
        let off = Memo::new(move |_| sweep.with(|sweep| !sweep.runs.iter().any(|run| can(action, &run.into()))));
        let press = move |_| {
            if !off.get_untracked() {
                ask(action);
            }
        };
        let danger = is_danger(action);
        view! {
            <button
                class="button button-small" class:button-danger=danger class:button-off=move || off.get() type="button" aria-haspopup="dialog"
                aria-disabled=move || off.get().then_some("true") on:click=press
            >{format!("{} all", verb(action))}</button>
        }
    };
    let best_and_last = Signal::derive(move || {
        sweep.with(|sweep| {
            let of = |run: &Run| -> Vec<CheckpointRef> {
                run.summary.best_and_last().into_iter().map(|which| CheckpointRef { run: run.id.clone(), which }).collect()
            };
            sweep.runs.iter().filter(|run| run.state.is_finished()).map(of).filter(|both| !both.is_empty()).collect()
        })
    });
    let some = move || urls::href(&format!("/?q={}", urls::encoded(&format!("sweep:{}", sweep.with(|sweep| sweep.id.clone())))));
    view! {
        <div class="actions sweep-actions" role="group" aria-label="All runs of the sweep">
            {[RunAction::Pause, RunAction::Resume, RunAction::Tag, RunAction::Cancel, RunAction::Delete].map(button).collect_view()}
            <a class="button button-small button-quiet" href=some>"Choose some of them"</a>
        </div>
        <div class="actions measurements">
            <MeasureButton measurement=Measurement::Reported checkpoints=best_and_last/>
            <MeasureButton measurement=Measurement::EpsCurve checkpoints=best_and_last/>
        </div>
        <ReportLine report undone=reload/>
        <RunActionsDialog question report done/>
    }
}

/// How many runs of the sweep may run at once, while some of them wait or run.
#[component]
fn AtOnce(sweep: Memo<Sweep>, reload: Callback<()>) -> impl IntoView {
    let active = Memo::new(move |_| sweep.with(|sweep| sweep.runs.iter().any(|run| run.state.is_active())));
    let text = Memo::new(move |_| sweep.with(|sweep| sweep.at_once.map(|count| count.to_string()).unwrap_or_default()));
    let problem = RwSignal::new(None::<Problem>);
    let change = move |event| {
        let typed = event_target_value(&event);
        let address = sweep.with_untracked(|sweep| path::sweep(&sweep.id));
        spawn_local(async move {
            // What is no number is refused by the server, in words.
            let at_once = if typed.trim().is_empty() { None } else { Some(typed.trim().parse().unwrap_or(0)) };
            let _ = problem.try_set(api::patch::<Sweep>(&address, &SweepChange { at_once }).await.err());
            reload.run(());
        });
    };
    view! {
        <Show when=move || active.get()>
            <div class="field field-inline">
                <label class="field-label" for="sweep-at-once">"Runs at once, at most"</label>
                <input
                    class="input input-number" type="text" inputmode="numeric" id="sweep-at-once" placeholder="any number"
                    prop:value=move || text.get() on:change=change
                />
            </div>
        </Show>
        {refusal(problem)}
    }
}

/// The sort key of a run in a column. Any other column is a field of the configuration.
fn sort_key(run: &Run, column: &str) -> SortKey {
    SortKey::Number(match column {
        "title" => return SortKey::Text(lowercase(&run.title)),
        "state" => return SortKey::Number(Some(f64::from(run.state as u8) + run.summary.fraction_done.min(0.999))),
        "normcas" => normalized(run),
        name => match READINGS.iter().find(|reading| reading.slug == name) {
            Some(reading) => (reading.of)(&run.summary),
            None => {
                let value = value_of(&run.config, name);
                match number(&value) {
                    Some(number) => Some(number),
                    None => return SortKey::Text(text(&value)),
                }
            }
        },
    })
}

fn normalized(run: &Run) -> Option<f64> {
    per_pair(run.summary.best.as_ref()?.cas?, run.classes()?)
}

/// The ids of the runs in the chosen order; oldest first by default.
fn arranged(runs: &[Run], sorting: &Sorting) -> Vec<RunId> {
    let mut keyed: Vec<(SortKey, &RunId)> = Vec::with_capacity(runs.len());
    let Some((column, direction)) = &sorting.0 else { return runs.iter().map(|run| run.id.clone()).collect() };
    keyed.extend(runs.iter().map(|run| (sort_key(run, column), &run.id)));
    keyed.sort_by(|a, b| a.0.compare(&b.0, *direction));
    keyed.into_iter().map(|(_, id)| id.clone()).collect()
}

#[component]
fn Runs(sweep: Memo<Sweep>, known: Memo<Vec<String>>, sorting: UrlState<Sorting>) -> impl IntoView {
    let row = move |id: RunId| {
        let found = {
            let id = id.clone();
            move || sweep.with(|sweep| sweep.runs.iter().find(|run| run.id == id).cloned())
        };
        let first = untrack(&found)?;
        let config = first.config.clone();
        let run = latest(first, found);
        let values =
            move || known.get().iter().map(|field| view! { <td class="number">{text(&value_of(&config, field))}</td> }).collect_view();
        let number = move |reading: &'static Reading| {
            view! { <td class="number">{move || run.with(|run| with_deviation(reading.spread(&[run]), reading.unit))}</td> }
        };
        let title = Memo::new(move |_| run.with(|run| run.title.clone()));
        let row = view! {
            <tr>
                <th scope="row" class="sweep-name">
                    <a class="run-title" href=urls::href(&urls::run(&id)) title=move || title.get()>{move || title.get()}</a>
                    <span class="run-id">{id.to_string()}</span>
                </th>
                {values}
                <td><div class="run-state"><StateBadge run/><Progress run/></div><JobLine run/></td>
                {READINGS.iter().map(number).collect_view()}
                <td class="number">{move || format::decimal(run.with(normalized), 3)}</td>
            </tr>
        };
        Some(row)
    };
    let ids = Memo::new(move |_| sweep.with(|sweep| arranged(&sweep.runs, &sorting.get())));
    let head = move |column: String, label: String, number: bool| {
        let turn = {
            let column = column.clone();
            move || {
                let example = sweep.with_untracked(|sweep| sweep.runs.first().map(|run| sort_key(run, &column)));
                sorting.update(|sorting| sorting.turn(&column, &example.unwrap_or(SortKey::Number(None))));
            }
        };
        view! { <SortHead label number sorted=Signal::derive(move || sorting.get().of(&column)) press=turn/> }
    };
    let fixed = move |column: &str, label: &str, number: bool| head(column.to_owned(), label.to_owned(), number);
    let heads = move || known.get().into_iter().map(|field| head(field.clone(), field_name(&field).to_owned(), true)).collect_view();
    view! {
        <section class="panel">
            <h2>"Runs"</h2>
            <div class="table-box" role="region" aria-label="Runs of the sweep" tabindex="0">
                <table class="table table-dense sort-table">
                    <thead>
                        <tr>
                            {fixed("title", "Run", false)}
                            {heads}
                            {fixed("state", "State", false)}
                            {READINGS.iter().map(|reading| fixed(reading.slug, reading.label, true)).collect_view()}
                            {fixed("normcas", "CAS/K(K−1)", true)}
                        </tr>
                    </thead>
                    <tbody><For each=move || ids.get() key=Clone::clone children=row/></tbody>
                </table>
            </div>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::sort_head::Direction;
    use shared::api::EpochSummary;
    use shared::fixtures;

    #[test]
    fn runs_are_sorted_by_any_column_and_fields_as_numbers() {
        let run = |id: &str, eps: &str, robust: Option<f64>| {
            let mut run = fixtures::run(id);
            let mut config = run.config.to_json();
            config["attack"]["eps"] = eps.into();
            run.config = shared::config::RunConfig::parse(&config).unwrap();
            run.summary.best = Some(EpochSummary {
                epoch: 1,
                clean_accuracy: None,
                robust_accuracy: robust,
                cas: robust.map(|robust| robust * 90.0),
                signs: Vec::new(),
            });
            run
        };
        let runs = [run("a", "16/255", Some(0.3)), run("b", "4/255", None), run("c", "8/255", Some(0.5))];
        let check = |sorting: Sorting, expected: &str| {
            assert_eq!(arranged(&runs, &sorting).iter().map(RunId::as_str).collect::<String>(), expected, "{sorting:?}")
        };
        let by = |column: &str, direction| Sorting(Some((column.to_owned(), direction)));
        check(Sorting::default(), "abc");
        check(by("attack.eps", Direction::Ascending), "bca");
        check(by("best", Direction::Descending), "cab");
        check(by("normcas", Direction::Ascending), "acb");
        check(by("unknown", Direction::Ascending), "abc");
    }

    #[test]
    fn the_address_carries_field_and_order() {
        let id = "s-1".parse().unwrap();
        assert_eq!(Shown::default().address(&id), "/sweeps/s-1");
        let shown = Shown { over: Some("seed".into()), sorting: Sorting(Some(("cas".into(), Direction::Descending))) };
        assert_eq!(shown.address(&id), "/sweeps/s-1?over=seed&sort=cas&order=desc");
    }

    #[test]
    fn a_mean_carries_its_deviation_where_there_is_one() {
        assert_eq!(with_deviation(Spread::of(&[0.4, 0.5, 0.6]), Unit::Accuracy), "50.0 ± 10.0 %");
        assert_eq!(with_deviation(Spread::of(&[0.4]), Unit::Accuracy), "40.0 %");
        assert_eq!(with_deviation(Spread::of(&[9.0, 9.5]), Unit::Cas), "9.25 ± 0.35");
        assert_eq!(with_deviation(None, Unit::Cas), "–");
    }
}
