//! The runs of a sweep on one page: best and last against what was varied, curves over epochs, and the runs themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use leptos::leptos_dom::helpers::set_interval_with_handle;
use leptos::task::spawn_local;
use leptos_router::hooks::use_params_map;
use shared::api::{Run, Sweep};
use shared::chart::colors::Theme;
use shared::chart::sweep::{Cell, SEED, SweepChart, Unit, cells, fields};
use shared::format;
use shared::record::Metrics;
use shared::sweep::{Spread, field_name, text, value_of};

use crate::addressed::addressed;
use crate::browser::use_title;
use crate::components::badge::{Progress, StateBadge};
use crate::components::exports::{Export, Exports, FIGURE, export};
use crate::components::heatmap::is_open;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::plot::Plot;
use crate::load::{Failure, Load, Placeholder, Skeleton};
use crate::prelude::*;
use crate::reactive::{derived, memo};
use crate::theme::use_theme;
use crate::{api, place};

const REFRESH: Duration = Duration::from_secs(4);
/// Curves are asked for run by run; more lines than this nobody tells apart.
const MOST_CURVES: usize = 60;

#[component]
pub fn SweepPage() -> impl IntoView {
    let params = use_params_map();
    let id = memo(move || params.with(|params| params.get("id").unwrap_or_default()));
    use_title(move || format!("Sweep {}", id.get()));
    move || view! { <One id=id.get()/> }
}

/// Kept up to date while one of its runs goes on.
#[component]
fn One(id: String) -> impl IntoView {
    let state = RwSignal::new(Load::<Sweep>::Loading);
    let address = format!("api/sweeps/{id}");
    let load = move || {
        let address = address.clone();
        spawn_local(async move {
            let answer = api::get::<Sweep>(&address).await;
            let _ = state.try_update(|state| match answer {
                Ok(sweep) => *state = Load::Ready(sweep),
                // What is in sight stays in sight; the next refresh may bring it up to date.
                Err(_) if matches!(state, Load::Ready(_)) => {}
                Err(problem) => *state = Load::Failed(problem),
            });
        });
    };
    load();
    let refresh = load.clone();
    let tick = move || {
        let active =
            state.with_untracked(|state| matches!(state, Load::Ready(sweep) if sweep.runs.iter().any(|run| !run.state.is_finished())));
        if active && !document().hidden() {
            refresh();
        }
    };
    if let Ok(timer) = set_interval_with_handle(tick, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    let sweep = memo(move || state.with(|state| if let Load::Ready(sweep) = state { Some(sweep.clone()) } else { None }));
    let there = memo(move || sweep.with(Option::is_some));
    move || {
        if there.get() {
            let id = id.clone();
            let sweep = memo(move || sweep.get().expect("a sweep that was there stays"));
            return view! { <Known id sweep/> }.into_any();
        }
        let load = load.clone();
        match state.get() {
            Load::Failed(problem) => view! { <Failure problem page=true retry=load/> }.into_any(),
            Load::Loading | Load::Ready(_) => view! { <Skeleton placeholder=Placeholder::SweepPage/> }.into_any(),
        }
    }
}

#[component]
fn Known(id: String, sweep: Memo<Sweep>) -> impl IntoView {
    let known = memo(move || sweep.with(fields));
    let asked = addressed(|query| query.get("over"), {
        let id = id.clone();
        move |field: &Option<String>| match field {
            Some(field) => format!("{}?over={}", place::sweep(&id), place::encoded(field)),
            None => place::sweep(&id),
        }
    });
    // A sweep of one run differs in nothing.
    let field = memo(move || {
        known.with(|known| {
            asked.get().filter(|field| known.contains(field)).or_else(|| known.first().cloned()).unwrap_or_else(|| SEED.to_owned())
        })
    });
    let theme = use_theme();
    let shade = move || if theme.dark.get() { Theme::Dark } else { Theme::Light };
    let chart = move |unit: Unit| {
        memo(move || {
            let field = field.get();
            sweep.with(|sweep| SweepChart::best_and_last(sweep, &field, field_name(&field), unit, shade()))
        })
    };
    let metrics = curves(sweep);
    let over_epochs = memo(move || {
        let field = field.get();
        sweep.with(|sweep| metrics.with(|metrics| SweepChart::over_epochs(sweep, &field, metrics, shade())))
    });
    let only_seeds = memo(move || known.with(|known| known.iter().all(|field| field == SEED)));
    let figures = derived(move || sweep.with(|sweep| summary(&sweep.runs)));
    let title = move || {
        let names: Vec<String> = known.get().iter().map(|field| field_name(field).to_ascii_lowercase()).collect();
        if names.is_empty() { format!("Sweep {id}") } else { format!("Sweep over {}", names.join(" and ")) }
    };
    let state = move || {
        sweep.with(|sweep| {
            let done = sweep.runs.iter().filter(|run| run.state.is_finished()).count();
            format!("{done} of {} runs are finished", sweep.runs.len())
        })
    };
    let several = memo(move || known.with(|known| known.len() > 1));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href="sweeps">"Sweeps"</a>
                    <span aria-hidden="true">"/"</span>
                    <span>{move || sweep.with(|sweep| sweep.id.clone())}</span>
                </nav>
                <h1>{move || title()}</h1>
                <p class="subline" aria-live="polite">{move || state()}</p>
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
            <Plot title="Robust accuracy" chart=chart(Unit::Accuracy)/>
            <Plot title="CAS" chart=chart(Unit::Cas)/>
        </div>
        <Spreads sweep field/>
        <Plot title="Robust accuracy over epochs" chart=over_epochs/>
        <Exports exports=derived(move || sweep.with(|sweep| exports_of(&sweep.id, &field.get())))/>
        <Runs sweep known/>
    }
}

/// The charts as files.
fn exports_of(id: &str, field: &str) -> Vec<Export> {
    let over = place::encoded(field);
    let chart = |what: &'static str, chart: &str| {
        export(what, &FIGURE, |format| format!("api/sweeps/{id}/chart?chart={chart}&over={over}&format={format}"))
    };
    vec![chart("Robust accuracy", "accuracy"), chart("CAS", "cas"), chart("Over epochs", "epochs")]
}

/// The records of the runs, asked for again as they go on.
fn curves(sweep: Memo<Sweep>) -> RwSignal<BTreeMap<String, Metrics>> {
    let metrics = RwSignal::new(BTreeMap::new());
    let progress = memo(move || {
        sweep.with(|sweep| sweep.runs.iter().take(MOST_CURVES).map(|run| (run.id.clone(), run.summary.epoch)).collect::<Vec<_>>())
    });
    Effect::new(move |former: Option<BTreeMap<String, u32>>| {
        let former = former.unwrap_or_default();
        let now: BTreeMap<String, u32> = progress.get().into_iter().collect();
        for (id, epoch) in &now {
            if *epoch == 0 || former.get(id) == Some(epoch) {
                continue;
            }
            let id = id.clone();
            spawn_local(async move {
                // A curve that does not come is left out: the table below has the run.
                if let Ok(found) = api::get::<Metrics>(&format!("api/runs/{id}/metrics")).await {
                    let _ = metrics.try_update(|metrics| metrics.insert(id, found));
                }
            });
        }
        now
    });
    metrics
}

fn spread_of(runs: &[&Run], last: bool, unit: Unit) -> Option<Spread> {
    let of = |run: &&Run| if last { run.summary.last.as_ref() } else { run.summary.best.as_ref() }.and_then(|epoch| unit.value(epoch));
    Spread::of(&runs.iter().filter_map(of).collect::<Vec<_>>())
}

/// `47.8 % ± 0.3`, or the value alone where there is one.
fn with_deviation(spread: Option<Spread>, unit: Unit) -> String {
    let (factor, digits) = match unit {
        Unit::Accuracy => (100.0, 1),
        Unit::Cas => (1.0, 2),
    };
    let Some(Spread { mean, deviation, .. }) = spread else { return format::decimal(None, 1) };
    let value = format::decimal(mean * factor, digits);
    let percent = if unit == Unit::Accuracy { " %" } else { "" };
    match deviation {
        Some(deviation) => format!("{value} ± {}{percent}", format::decimal(deviation * factor, digits)),
        None => format!("{value}{percent}"),
    }
}

/// All runs together: what several seeds of one configuration say.
fn summary(runs: &[Run]) -> Vec<Figure> {
    let runs: Vec<&Run> = runs.iter().collect();
    let figure = |label, last, unit| {
        let spread = spread_of(&runs, last, unit);
        let note = match spread {
            Some(Spread { count: 1, .. }) => "one seed".to_owned(),
            Some(Spread { count, .. }) => format!("mean ± deviation of {count} seeds"),
            None => "not measured yet".to_owned(),
        };
        Figure::new(label, with_deviation(spread, unit), note)
    };
    vec![
        figure("Best robust accuracy", false, Unit::Accuracy),
        figure("Last robust accuracy", true, Unit::Accuracy),
        figure("CAS, best", false, Unit::Cas),
        figure("CAS, last", true, Unit::Cas),
    ]
}

/// The numbers of the charts as a table.
#[component]
fn Spreads(sweep: Memo<Sweep>, field: Memo<String>) -> impl IntoView {
    let open = RwSignal::new(false);
    let row = |cell: &Cell<'_>| {
        let of = |last, unit| with_deviation(spread_of(&cell.runs, last, unit), unit);
        let name = if cell.others.is_empty() { cell.x_label.clone() } else { format!("{}, {}", cell.x_label, cell.others) };
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td class="number">{cell.runs.len()}</td>
                <td class="number">{of(false, Unit::Accuracy)}</td>
                <td class="number">{of(true, Unit::Accuracy)}</td>
                <td class="number">{of(false, Unit::Cas)}</td>
                <td class="number">{of(true, Unit::Cas)}</td>
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
                            <th scope="col" class="number">"Best robust"</th>
                            <th scope="col" class="number">"Last robust"</th>
                            <th scope="col" class="number">"CAS, best"</th>
                            <th scope="col" class="number">"CAS, last"</th>
                        </tr>
                    </thead>
                    <tbody>{move || open.get().then(rows)}</tbody>
                </table>
            </div>
        </details>
    }
}

#[component]
fn Runs(sweep: Memo<Sweep>, known: Memo<Vec<String>>) -> impl IntoView {
    let row = move |id: String| {
        let run = Memo::new(move |former: Option<&Option<Run>>| {
            sweep.with(|sweep| sweep.runs.iter().find(|run| run.id == id).cloned()).or_else(|| former.cloned().flatten())
        });
        let run = memo(move || run.get().expect("a row keeps its run"));
        let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
        let values =
            move || known.get().iter().map(|field| view! { <td class="number">{text(&value_of(&config, field))}</td> }).collect_view();
        let number = move |last: bool, unit: Unit| move || run.with(|run| with_deviation(spread_of(&[run], last, unit), unit));
        view! {
            <tr>
                <th scope="row"><a href=place::href(&place::run(&id))>{id.clone()}</a></th>
                {values}
                <td><div class="run-state"><StateBadge run/><Progress run/></div></td>
                <td class="number">{number(false, Unit::Accuracy)}</td>
                <td class="number">{number(true, Unit::Accuracy)}</td>
                <td class="number">{number(false, Unit::Cas)}</td>
                <td class="number">{number(true, Unit::Cas)}</td>
            </tr>
        }
    };
    let ids = memo(move || sweep.with(|sweep| sweep.runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>()));
    let heads =
        move || known.get().iter().map(|field| view! { <th scope="col" class="number">{field_name(field).to_owned()}</th> }).collect_view();
    view! {
        <section class="panel">
            <h2>"Runs"</h2>
            <div class="table-box" role="region" aria-label="Runs of the sweep" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Run"</th>
                            {heads}
                            <th scope="col">"State"</th>
                            <th scope="col" class="number">"Best robust"</th>
                            <th scope="col" class="number">"Last robust"</th>
                            <th scope="col" class="number">"CAS, best"</th>
                            <th scope="col" class="number">"CAS, last"</th>
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

    #[test]
    fn a_mean_carries_its_deviation_where_there_is_one() {
        assert_eq!(with_deviation(Spread::of(&[0.4, 0.5, 0.6]), Unit::Accuracy), "50.0 ± 10.0 %");
        assert_eq!(with_deviation(Spread::of(&[0.4]), Unit::Accuracy), "40.0 %");
        assert_eq!(with_deviation(Spread::of(&[9.0, 9.5]), Unit::Cas), "9.25 ± 0.35");
        assert_eq!(with_deviation(None, Unit::Cas), "–");
    }
}
