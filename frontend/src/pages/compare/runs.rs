//! Compares the runs of the matrices: their curves in one chart, and the fields in which their configurations
//! differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::prelude::*;
use serde_json::Value;
use shared::api::{Comparison, Run, path};
use shared::chart::Chart;
use shared::chart::curves::{CAS, SeriesKind};
use shared::chart::overlaid_curves::{Compared, OverlaidCurves, OverlaidRun, run_colors};
use shared::format;
use shared::record::Metrics;
use shared::view::Lens;

use crate::cache::Cache;
use crate::components::canvas::{Area, Canvas, Surface};
use crate::components::curves_bar::{CurvesBar, RangeDrag, Switch};
use crate::components::heatmap::is_open;
use crate::form;
use crate::theme::use_theme;
use crate::url_state::UrlState;

#[component]
pub fn RunsCompared(comparison: Memo<Arc<Comparison>>, lens: UrlState<Lens>) -> impl IntoView {
    let compared = Memo::new(move |_| comparison.with(|comparison| Compared::all(comparison)));
    view! {
        <CurvesCompared compared lens/>
        {move || (compared.with(Vec::len) > 1).then(|| view! { <ConfigDifferences compared/> })}
    }
}

#[component]
fn CurvesCompared(compared: Memo<Vec<Compared>>, lens: UrlState<Lens>) -> impl IntoView {
    let theme = use_theme();
    let cache = Cache::<_, Metrics>::new();
    Effect::new(move || compared.with(|compared| compared.iter().for_each(|compared| cache.ask(&path::run_metrics(&compared.run)))));
    let overlay = Memo::new(move |_| {
        let compared = compared.get();
        let colors = run_colors(&compared.iter().map(|compared| compared.run.as_str()).collect::<Vec<_>>());
        let run = |(compared, color): (Compared, usize)| {
            let metrics = cache.ready(&path::run_metrics(&compared.run))?;
            Some(OverlaidRun::of(&compared.name(), color, &metrics, compared.marks))
        };
        let overlay = OverlaidCurves::of(compared.into_iter().zip(colors).filter_map(run).collect(), theme.get()).seen(&lens.get().curves);
        OverlaidCurves { show_legend: false, ..overlay }
    });
    let surface = RwSignal::new(Surface::default());
    let draw = move |area: &Area, surface: Surface| overlay.with(|overlay| overlay.draw(area, surface.scale));
    let axes = Memo::new(move |_| {
        let Surface { width, height, .. } = surface.get();
        Some(overlay.with(|overlay| overlay.axes(width, height)))
    });
    let loss_is_log = Memo::new(move |_| axes.with(|axes| axes.as_ref()?.loss.as_ref().map(|loss| loss.is_log)));
    let drag = RangeDrag::new(axes.into(), lens);
    view! {
        <section class="panel" aria-labelledby="courses-title">
            <h2 id="courses-title">"Training"</h2>
            <CurvesBar
                lens switches=Memo::new(move |_| overlay.with(switches)) loss_is_log
                epochs_shown=Memo::new(move |_| overlay.with(OverlaidCurves::sight)) epochs=Memo::new(move |_| overlay.with(|overlay| overlay.epochs))
            />
            <div
                class="courses" class:with-losses=move || loss_is_log.get().is_some() role="img" aria-label=move || overlay.with(Chart::describe)
                on:pointerdown=move |event| drag.down(&event)
                on:pointermove=move |event| { drag.moved(&event); }
                on:pointerup=move |_| drag.up()
                on:pointercancel=move |_| drag.cancel()
                on:dblclick=move |_| drag.reset()
            >
                <Canvas surface least_scale=2.0 draw/>
                {drag.view()}
            </div>
            <CoursesTable overlay/>
        </section>
    }
}

/// A switch for each run, and for each quantity that they have.
fn switches(overlay: &OverlaidCurves) -> Vec<Switch> {
    let run = |run: &OverlaidRun| Switch { id: run.id(), name: run.title.clone(), color: Some(overlay.color(run)), dashed: false };
    let kind = |kind: SeriesKind, dashed| Switch { id: kind.id(), name: kind.name().to_owned(), color: None, dashed };
    let mut switches: Vec<Switch> = overlay.runs.iter().map(run).collect();
    switches.push(kind(SeriesKind::TestRobust, false));
    if overlay.has_cas() {
        switches.push(Switch { id: CAS, name: "CAS (right axis)".to_owned(), color: None, dashed: true });
    }
    let has = |points: fn(&OverlaidRun) -> &[(u32, f64)]| overlay.runs.iter().any(|run| !points(run).is_empty());
    switches.extend(has(|run| &run.train_loss).then(|| kind(SeriesKind::TrainLoss, false)));
    switches.extend(has(|run| &run.test_loss).then(|| kind(SeriesKind::TestLoss, true)));
    switches
}

/// The same numbers as a table: robust accuracy, CAS and train loss of each run at every measured epoch.
#[component]
fn CoursesTable(overlay: Memo<OverlaidCurves>) -> impl IntoView {
    let open = RwSignal::new(false);
    let table = move || {
        overlay.with(|overlay| {
            let points = overlay.runs.iter().flat_map(|run| run.robust.iter().chain(&run.cas).chain(&run.train_loss));
            let epochs: BTreeSet<u32> = points.map(|point| point.0).collect();
            let at =
                |points: &[(u32, f64)], epoch: u32| points.binary_search_by_key(&epoch, |point| point.0).ok().map(|index| points[index].1);
            let row = |epoch: u32| {
                let cells = overlay.runs.iter().map(|run| {
                    view! {
                        <td class="number">{format::percent(at(&run.robust, epoch))}</td>
                        <td class="number">{format::decimal(at(&run.cas, epoch), 2)}</td>
                        <td class="number">{format::short(at(&run.train_loss, epoch))}</td>
                    }
                });
                view! { <tr><th scope="row" class="number">{epoch}</th>{cells.collect_view()}</tr> }
            };
            let heads = overlay.runs.iter().map(|run| {
                view! {
                    <th scope="col" class="number">{format!("{}, robust test", run.title)}</th>
                    <th scope="col" class="number">{format!("{}, CAS", run.title)}</th>
                    <th scope="col" class="number">{format!("{}, train loss", run.title)}</th>
                }
            });
            view! {
                <table class="table table-dense">
                    <thead><tr><th scope="col" class="number">"Epoch"</th>{heads.collect_view()}</tr></thead>
                    <tbody>{epochs.into_iter().map(row).collect_view()}</tbody>
                </table>
            }
        })
    };
    view! {
        <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box table-box-tall" role="region" aria-label="Training of the compared runs" tabindex="0">{move || open.get().then(table)}</div>
        </details>
    }
}

/// The fields in which the configurations differ.
#[component]
fn ConfigDifferences(compared: Memo<Vec<Compared>>) -> impl IntoView {
    let cache = Cache::<_, Run>::new();
    Effect::new(move || compared.with(|compared| compared.iter().for_each(|compared| cache.ask(&path::run(&compared.run)))));
    let content = move || {
        let compared = compared.get();
        let configs: Option<Vec<Value>> =
            compared.iter().map(|compared| cache.ready(&path::run(&compared.run)).map(|run| run.config.to_json())).collect();
        let differences = differences(&configs?);
        if differences.is_empty() {
            return Some(view! { <p class="muted">"None: the runs were set up alike."</p> }.into_any());
        }
        let heads = compared.iter().map(|compared| view! { <th scope="col">{compared.name()}</th> }).collect_view();
        let row = |(path, values): (String, Vec<String>)| {
            let cells = values.into_iter().map(|value| view! { <td>{value}</td> }).collect_view();
            view! { <tr><th scope="row"><code>{path}</code></th>{cells}</tr> }
        };
        Some(
            view! {
                <div class="table-box" role="region" aria-label="Differences in configuration" tabindex="0">
                    <table class="table table-dense">
                        <thead><tr><th scope="col">"Field"</th>{heads}</tr></thead>
                        <tbody>{differences.into_iter().map(row).collect_view()}</tbody>
                    </table>
                </div>
            }
            .into_any(),
        )
    };
    view! {
        <section class="panel" aria-labelledby="config-title">
            <h2 id="config-title">"Differences in configuration"</h2>
            {move || content()}
        </section>
    }
}

/// The fields whose values differ, with the value in each configuration; an en dash if missing.
fn differences(configs: &[Value]) -> Vec<(String, Vec<String>)> {
    let mut paths = Vec::new();
    configs.iter().for_each(|config| fields(config, "", &mut paths));
    paths.sort();
    paths.dedup();
    let text = |config: &Value, path: &str| form::at(config, path).map_or_else(|| "–".to_owned(), |value| form::text_of(Some(value)));
    let differs = |path: &String| configs.windows(2).any(|pair| form::at(&pair[0], path) != form::at(&pair[1], path));
    let row = |path: String| (path.clone(), configs.iter().map(|config| text(config, &path)).collect());
    paths.into_iter().filter(differs).map(row).collect()
}

fn fields(value: &Value, path: &str, into: &mut Vec<String>) {
    match value.as_object() {
        Some(object) => {
            for (name, value) in object {
                fields(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, into);
            }
        }
        None => into.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_listed() {
        let a = json!({"seed": 1, "data": {"dataset": "digits", "train_samples": 300}});
        let b = json!({"seed": 2, "data": {"dataset": "digits"}});
        let row = |path: &str, values: &[&str]| (path.to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        let found = differences(&[a.clone(), b, a.clone()]);
        assert_eq!(found, [row("data.train_samples", &["300", "–", "300"]), row("seed", &["1", "2", "1"])]);
        assert!(differences(&[a.clone(), a]).is_empty());
    }
}
