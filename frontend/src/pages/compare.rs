//! Two matrices side by side, what changed between them, and which pairs changed most.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_query_map;
use serde_json::Value;
use shared::api::{Attribution, CheckpointInfo, Comparison, Run, RunPage};
use shared::chart::colors::Theme;
use shared::chart::figure::checkpoint_name;
use shared::chart::heatmap::Heatmap;
use shared::config::Inputs;
use shared::format;
use shared::view::{AttributionId, Lens, View};

use crate::addressed::addressed;
use crate::browser::{use_open, use_title};
use crate::components::explorer::Explorer;
use crate::components::exports::{Export, Exports, export};
use crate::components::heatmap::{HeatmapView, MatrixTable};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::{LensBar, hidden_cells};
use crate::components::share::ShareButton;
use crate::load::{Failure, Fetched, Load, Placeholder, Skeleton, fetched};
use crate::theme::use_theme;
use crate::{form, place, words};

/// Pairs shown before one asks for all.
const FIRST_PAIRS: usize = 10;

#[component]
pub fn ComparePage() -> impl IntoView {
    let query = use_query_map();
    let side = move |name: &'static str| Memo::new(move |_| query.with(|query| query.get(name)).filter(|id| !id.is_empty()));
    let (a, b) = (side("a"), side("b"));
    let comparison = fetched::<Comparison>(move || {
        let (a, b) = a.get().zip(b.get())?;
        Some(format!("api/comparisons?a={}&b={}", place::encoded(&a), place::encoded(&b)))
    });
    use_title(move || comparison.ready().map_or_else(|| "Compare".to_owned(), |comparison| format!("Compare: {}", subject(&comparison))));
    let lens = addressed(
        |query| Lens::from_parameters(|name| query.get_str(name)).unwrap_or_default(),
        move |lens| address(a.get_untracked(), b.get_untracked(), lens),
    );
    let both = Memo::new(move |_| a.get().is_some() && b.get().is_some());
    let known = Memo::new(move |_| comparison.state.with(|state| matches!(state, Load::Ready(_))));
    let view_of = move || {
        let parsed = |id: Memo<Option<String>>| id.get_untracked().and_then(|id| id.parse::<AttributionId>().ok());
        let (a, b) = parsed(a).zip(parsed(b)).expect("the server knows no attribution by another kind of name");
        View::Compare { ids: vec![a, b], lens: lens.get_untracked() }
    };
    let lens_now = Signal::derive(move || lens.get());
    let content = move || {
        if !both.get() {
            return view! { <p class="empty">"Choose two matrices to compare."</p> }.into_any();
        }
        if known.get() {
            return view! { <Known comparison explorer=Explorer::new(lens) lens=lens_now/> }.into_any();
        }
        match comparison.state.get() {
            Load::Failed(problem) => view! { <Failure problem retry=move || comparison.reload()/> }.into_any(),
            Load::Loading | Load::Ready(_) => view! { <Skeleton placeholder=Placeholder::Matrix/> }.into_any(),
        }
    };
    view! {
        <header class="page-header">
            <h1>"Compare"</h1>
            <div class="actions">
                {move || known.get().then(|| view! { <ShareButton view=view_of/> })}
            </div>
        </header>
        <Pickers a b lens=lens_now/>
        {content}
    }
}

fn address(a: Option<String>, b: Option<String>, lens: &Lens) -> String {
    let parsed = |id: &Option<String>| id.as_deref().and_then(|id| id.parse::<AttributionId>().ok());
    if let Some((a, b)) = parsed(&a).zip(parsed(&b)) {
        return View::Compare { ids: vec![a, b], lens: lens.clone() }.to_string();
    }
    let one = |name: &str, id: Option<String>| id.map(|id| format!("{name}={}", place::encoded(&id)));
    let query: Vec<String> = one("a", a).into_iter().chain(one("b", b)).collect();
    format!("/compare?{}", query.join("&"))
}

fn subject(comparison: &Comparison) -> String {
    let Comparison { a, b, .. } = comparison;
    let name = |attribution: &Attribution| checkpoint_name(attribution);
    if a.run == b.run {
        format!("{}, {} → {}", a.run_title, name(a), name(b))
    } else {
        format!("{}, {} → {}, {}", a.run_title, name(a), b.run_title, name(b))
    }
}

/// What is compared: the matrices of any run.
#[component]
fn Pickers(a: Memo<Option<String>>, b: Memo<Option<String>>, lens: Signal<Lens>) -> impl IntoView {
    let runs = fetched::<RunPage>(|| Some("api/runs?limit=500".to_owned()));
    let navigate = StoredValue::new_local(use_open());
    let go = Callback::new(move |(a, b): (Option<String>, Option<String>)| {
        let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
        navigate.with_value(|navigate| navigate(&address(a, b, &lens.get_untracked()), options));
    });
    let swap = move |_| go.run((b.get_untracked(), a.get_untracked()));
    view! {
        <form class="pickers" aria-label="What is compared" on:submit=|event| event.prevent_default()>
            <Picker side="A" runs id=a first=First::Best choose=Callback::new(move |(id,): (String,)| go.run((Some(id), b.get_untracked())))/>
            <button class="button button-small" type="button" aria-label="Swap A and B" on:click=swap>"⇄"</button>
            <Picker side="B" runs id=b first=First::Last choose=Callback::new(move |(id,): (String,)| go.run((a.get_untracked(), Some(id))))/>
        </form>
    }
}

/// Which checkpoint of a run comes first to mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Best,
    Last,
}

impl First {
    fn of(self, checkpoints: &[CheckpointInfo], inputs: Inputs) -> Option<String> {
        let wanted = |checkpoint: &&CheckpointInfo| match self {
            First::Best => checkpoint.is_best,
            First::Last => checkpoint.is_last,
        };
        let matrix =
            |checkpoint: &CheckpointInfo| checkpoint.attributions.iter().find(|entry| entry.inputs == inputs).map(|entry| entry.id.clone());
        checkpoints.iter().find(wanted).and_then(matrix).or_else(|| checkpoints.iter().rev().find_map(matrix))
    }
}

/// A run, and one of its matrices.
#[component]
fn Picker(
    side: &'static str,
    runs: Fetched<RunPage>,
    id: Memo<Option<String>>,
    first: First,
    choose: Callback<(String,)>,
) -> impl IntoView {
    let parsed = Memo::new(move |_| id.get().and_then(|id| id.parse::<AttributionId>().ok()));
    let run = RwSignal::new(None::<String>);
    Effect::new(move || run.set(parsed.get().map(|id| id.run)));
    let checkpoints = fetched::<Vec<CheckpointInfo>>(move || run.get().map(|run| format!("api/runs/{run}/checkpoints")));
    // A run that was just chosen has no matrix chosen yet.
    Effect::new(move || {
        let (Some(run), Some(checkpoints)) = (run.get(), checkpoints.ready()) else { return };
        let of_run = checkpoints.first().is_some_and(|checkpoint| checkpoint.run == run);
        let chosen = parsed.get_untracked();
        if of_run && chosen.as_ref().is_none_or(|id| id.run != run) {
            let inputs = chosen.map_or(Inputs::Adversarial, |id| id.inputs);
            if let Some(id) = first.of(&checkpoints, inputs) {
                choose.run((id,));
            }
        }
    });
    let with_matrices = |run: &&Run| run.summary.best.is_some();
    let run_options = move || {
        let page = runs.ready().map(|page| page.runs).unwrap_or_default();
        page.iter()
            .filter(with_matrices)
            .map(|entry| {
                let id = entry.id.clone();
                let selected = {
                    let id = id.clone();
                    move || run.with(|run| run.as_ref() == Some(&id))
                };
                view! { <option value=id prop:selected=selected>{entry.title.clone()}" ("{entry.id.clone()}")"</option> }
            })
            .collect_view()
    };
    let matrix_options = move || {
        let checkpoints = checkpoints.ready().unwrap_or_default();
        checkpoints
            .iter()
            .flat_map(|checkpoint| checkpoint.attributions.iter().map(move |entry| (checkpoint, entry)))
            .map(|(checkpoint, entry)| {
                let value = entry.id.clone();
                let selected = {
                    let value = value.clone();
                    move || id.with(|id| id.as_ref() == Some(&value))
                };
                view! { <option value=value prop:selected=selected>{matrix_name(checkpoint, entry.inputs)}</option> }
            })
            .collect_view()
    };
    let (run_id, matrix_id) = (format!("pick-run-{side}"), format!("pick-matrix-{side}"));
    view! {
        <fieldset class="picker">
            <legend>{side}</legend>
            <div class="field">
                <label class="field-label" for=run_id.clone()>{format!("Run {side}")}</label>
                <select class="input" id=run_id on:change=move |event| run.set(Some(event_target_value(&event)))>
                    <option value="" disabled prop:selected=move || run.with(Option::is_none)>"Choose a run"</option>
                    {run_options}
                </select>
            </div>
            <div class="field">
                <label class="field-label" for=matrix_id.clone()>{format!("Checkpoint {side}")}</label>
                <select class="input" id=matrix_id disabled=move || run.with(Option::is_none) on:change=move |event| choose.run((event_target_value(&event),))>
                    {matrix_options}
                </select>
            </div>
        </fieldset>
    }
}

fn matrix_name(checkpoint: &CheckpointInfo, inputs: Inputs) -> String {
    let tag = match (checkpoint.is_best, checkpoint.is_last) {
        (true, true) => ", best and last",
        (true, false) => ", best",
        (false, true) => ", last",
        (false, false) => "",
    };
    format!("Epoch {}{tag} · {}", checkpoint.epoch, inputs.id())
}

/// Stays while one goes from comparison to comparison.
#[component]
fn Known(comparison: Fetched<Comparison>, explorer: Explorer, lens: Signal<Lens>) -> impl IntoView {
    let known = Memo::new(move |former: Option<&Option<Comparison>>| comparison.ready().or_else(|| former.cloned().flatten()));
    let comparison = Signal::derive(move || known.get().expect("shown only once known"));
    let ids =
        Memo::new(move |_| known.with(|known| known.as_ref().map(|known| (known.a.id.clone(), known.b.id.clone()))).unwrap_or_default());
    let runs = Memo::new(move |_| {
        known
            .with(|known| known.as_ref().filter(|known| known.a.run != known.b.run).map(|known| (known.a.run.clone(), known.b.run.clone())))
    });
    view! {
        <ComparisonView comparison explorer/>
        {move || runs.get().map(|(a, b)| view! { <ConfigDifferences a b/> })}
        <Exports exports=Signal::derive(move || exports_of(ids.get(), &lens.get()))/>
    }
}

/// The comparison itself: also what the reader of a link sees.
#[component]
pub fn ComparisonView(#[prop(into)] comparison: Signal<Comparison>, explorer: Explorer) -> impl IntoView {
    let theme = use_theme();
    let plain_lens = Memo::new(move |_| Lens { cell: None, ..explorer.lens.get() });
    let heatmaps = Memo::new(move |_| {
        let theme = if theme.dark.get() { Theme::Dark } else { Theme::Light };
        comparison.with(|comparison| Heatmap::of_comparison(comparison, &plain_lens.get(), theme))
    });
    let [a, b, difference] = [0, 1, 2].map(|index| Memo::new(move |_| heatmaps.with(|heatmaps| heatmaps[index].clone())));
    let name = move |side: &'static str, of: fn(&Comparison) -> &Attribution| {
        Signal::derive(move || {
            comparison.with(|comparison| {
                let attribution = of(comparison);
                let inputs = match attribution.file.inputs {
                    Inputs::Adversarial => "",
                    Inputs::Clean => ", clean inputs",
                };
                let run = if comparison.a.run == comparison.b.run { String::new() } else { format!("{}, ", attribution.run_title) };
                format!("{side}: {run}{}{inputs}", checkpoint_name(attribution))
            })
        })
    };
    let panel = move |name: Signal<String>, heatmap: Memo<Heatmap>| {
        view! {
            <section class="panel compare-panel" aria-label=move || name.get()>
                <h2>{move || name.get()}</h2>
                <HeatmapView name heatmap explorer/>
            </section>
        }
    };
    let figures = Signal::derive(move || comparison.with(figures));
    let sentence = move || comparison.with(finding);
    view! {
        <KeyFigures figures/>
        {move || sentence().map(|sentence| view! { <p class="finding">{sentence}</p> })}
        <LensBar explorer hidden=Signal::derive(move || heatmaps.with(|heatmaps| heatmaps.iter().map(hidden_cells).sum()))/>
        <SelectedPair comparison explorer/>
        <div class="compare-grid">
            {panel(name("A", |comparison| &comparison.a), a)}
            {panel(name("B", |comparison| &comparison.b), b)}
            {panel(Signal::stored("B − A".to_owned()), difference)}
        </div>
        <ChangedPairs comparison explorer/>
        <section class="panel" aria-labelledby="difference-title">
            <h2 id="difference-title">"B − A, cell by cell"</h2>
            <MatrixTable heatmap=difference/>
        </section>
    }
}

fn figures(comparison: &Comparison) -> Vec<Figure> {
    let Comparison { a, b, delta_cas, .. } = comparison;
    let change = |from: Option<f64>, to: Option<f64>| format::points(from.zip(to).map(|(from, to)| to - from));
    let arrow = |from: String, to: String| format!("{from} → {to}");
    vec![
        Figure::new("ΔCAS", format::signed(*delta_cas, 2), arrow(format::decimal(a.file.cas, 2), format::decimal(b.file.cas, 2))),
        Figure::new(
            "Δ CAS / K(K−1)",
            format::signed(b.file.cas_normalized - a.file.cas_normalized, 4),
            arrow(format::decimal(a.file.cas_normalized, 4), format::decimal(b.file.cas_normalized, 4)),
        ),
        Figure::new(
            "Robust accuracy",
            change(a.robust_accuracy, b.robust_accuracy),
            arrow(format::percent(a.robust_accuracy), format::percent(b.robust_accuracy)),
        ),
        Figure::new(
            "Clean accuracy",
            change(a.clean_accuracy, b.clean_accuracy),
            arrow(format::percent(a.clean_accuracy), format::percent(b.clean_accuracy)),
        ),
    ]
}

/// What was measured, in a sentence; with the paper's finding where best and last of one run are compared and CAS did not fall.
fn finding(comparison: &Comparison) -> Option<String> {
    let Comparison { a, b, .. } = comparison;
    let measured = |side: &str, attribution: &Attribution| words::Measured {
        name: format!("{side}, {}", checkpoint_name(attribution)),
        robust_accuracy: attribution.robust_accuracy,
        cas: Some(attribution.file.cas),
    };
    let sentence = words::change(&measured("A", a), &measured("B", b))?;
    let as_in_paper = a.run == b.run && a.is_best && b.is_last && !b.is_best && b.file.inputs == Inputs::Adversarial;
    Some(if as_in_paper { words::with_paper(sentence, Some(a.file.cas), Some(b.file.cas)) } else { sentence })
}

#[component]
fn SelectedPair(comparison: Signal<Comparison>, explorer: Explorer) -> impl IntoView {
    let content = move || {
        let (i, j) = explorer.current()?;
        comparison.with(|comparison| {
            let classes = comparison.difference.classes();
            (i.max(j) < classes).then(|| {
                let name = |class: usize| comparison.a.file.class_names[class].clone();
                let (a, b) = (comparison.a.file.matrix.get(i, j), comparison.b.file.matrix.get(i, j));
                let rank = comparison.changes.iter().position(|change| (change.i, change.j) == (i.min(j), i.max(j)));
                view! {
                    <p class="pair-name">{format!("{} · {}", name(i), name(j))}</p>
                    <dl class="facts facts-row">
                        <div><dt>"A"</dt><dd>{format::decimal(a, 3)}</dd></div>
                        <div><dt>"B"</dt><dd>{format::decimal(b, 3)}</dd></div>
                        <div><dt>"B − A"</dt><dd>{format::signed(b - a, 3)}</dd></div>
                        {rank.map(|rank| view! {
                            <div><dt>"Change"</dt><dd>{format!("rank {} of {}", rank + 1, comparison.changes.len())}</dd></div>
                        })}
                    </dl>
                }
            })
        })
    };
    view! {
        <section class="panel panel-pair panel-pair-row" aria-label="Selected pair">
            {move || content().map_or_else(
                || view! { <p class="muted">"Point at a cell of any matrix, click it to keep it, or use the arrow keys: the others follow."</p> }.into_any(),
                |pair| pair.into_any(),
            )}
        </section>
    }
}

/// The pairs by how much they changed; a click selects one in the matrices.
#[component]
fn ChangedPairs(comparison: Signal<Comparison>, explorer: Explorer) -> impl IntoView {
    let all = RwSignal::new(false);
    let total = move || comparison.with(|comparison| comparison.changes.len());
    let many = move || total() > FIRST_PAIRS;
    let rows = move || {
        comparison.with(|comparison| {
            let largest = comparison.changes.first().map_or(1.0, |change| change.difference.abs().max(1e-9));
            let name = |class: usize| comparison.a.file.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
            let shown = if all.get() { comparison.changes.len() } else { FIRST_PAIRS };
            comparison
                .changes
                .iter()
                .take(shown)
                .map(|change| {
                    let cell = (change.i, change.j);
                    let mirrored = (change.j, change.i);
                    let selected = move || explorer.selected().is_some_and(|selected| selected == cell || selected == mirrored);
                    let direction = if change.difference < 0.0 { "bar bar-decrease" } else { "bar bar-increase" };
                    view! {
                        <tr class:selected=selected>
                            <th scope="row">
                                <button class="link" type="button" aria-pressed=move || selected().to_string() on:click=move |_| explorer.select(Some(cell))>
                                    {format!("{} · {}", name(change.i), name(change.j))}
                                </button>
                            </th>
                            <td class="number">{format::decimal(change.a, 3)}</td>
                            <td class="number">{format::decimal(change.b, 3)}</td>
                            <td class="number">{format::signed(change.difference, 3)}</td>
                            <td class="bar-cell">
                                <span class=direction style:width=format!("{:.1}%", change.difference.abs() / largest * 100.0)></span>
                            </td>
                        </tr>
                    }
                })
                .collect_view()
        })
    };
    view! {
        <section class="panel" aria-labelledby="pairs-title">
            <h2 id="pairs-title">"Pairs that changed most"</h2>
            <div class="table-box table-box-tall" role="region" aria-label="Pairs that changed most" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Pair"</th>
                            <th scope="col" class="number">"A"</th>
                            <th scope="col" class="number">"B"</th>
                            <th scope="col" class="number">"B − A"</th>
                            <td></td>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <Show when=many>
                <p class="actions">
                    <button class="button button-small" type="button" on:click=move |_| all.update(|all| *all = !*all)>
                        {move || if all.get() { "Show the first only".to_owned() } else { format!("Show all {} pairs", total()) }}
                    </button>
                </p>
            </Show>
        </section>
    }
}

/// What was set differently in two runs.
#[component]
fn ConfigDifferences(a: String, b: String) -> impl IntoView {
    let [a, b] = [a, b].map(|run| fetched::<Run>(move || Some(format!("api/runs/{run}"))));
    let content = move || {
        let (a, b) = a.ready().zip(b.ready())?;
        let differences = differences(&a.config.to_json(), &b.config.to_json());
        if differences.is_empty() {
            return Some(view! { <p class="muted">"None: the runs were set up alike."</p> }.into_any());
        }
        let row =
            |(path, a, b): (String, String, String)| view! { <tr><th scope="row"><code>{path}</code></th><td>{a}</td><td>{b}</td></tr> };
        Some(
            view! {
                <div class="table-box" role="region" aria-label="Differences in configuration" tabindex="0">
                    <table class="table table-dense">
                        <thead><tr><th scope="col">"Field"</th><th scope="col">"A"</th><th scope="col">"B"</th></tr></thead>
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
            {content}
        </section>
    }
}

/// The fields whose values differ, with both values; a missing one as an en dash.
fn differences(a: &Value, b: &Value) -> Vec<(String, String, String)> {
    let mut paths = Vec::new();
    fields(a, "", &mut paths);
    fields(b, "", &mut paths);
    paths.sort();
    paths.dedup();
    let text = |config: &Value, path: &str| form::at(config, path).map_or_else(|| "–".to_owned(), |value| form::text_of(Some(value)));
    paths
        .into_iter()
        .filter(|path| form::at(a, path) != form::at(b, path))
        .map(|path| (path.clone(), text(a, &path), text(b, &path)))
        .collect()
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

fn exports_of((a, b): (String, String), lens: &Lens) -> Vec<Export> {
    let view = address(Some(a), Some(b), lens);
    let query = view.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
    let address = |format: &str| format!("api/comparisons?{query}&format={format}");
    vec![export("Changes", &["csv", "json"], address), export("Figure", &["svg", "png", "tex"], address)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::api::AttributionSummary;

    #[test]
    fn only_what_differs_is_listed() {
        let a = json!({"seed": 1, "data": {"dataset": "digits", "train_samples": 300}});
        let b = json!({"seed": 2, "data": {"dataset": "digits"}});
        let expected = [("data.train_samples", "300", "–"), ("seed", "1", "2")];
        assert_eq!(differences(&a, &b), expected.map(|(path, a, b)| (path.to_owned(), a.to_owned(), b.to_owned())));
        assert!(differences(&a, &a).is_empty());
    }

    fn checkpoint(epoch: u32, is_best: bool, is_last: bool, inputs: &[Inputs]) -> CheckpointInfo {
        let entry = |inputs: &Inputs| AttributionSummary {
            id: place::attribution_id("r", epoch, *inputs).to_string(),
            inputs: *inputs,
            cas: 0.0,
            cas_normalized: 0.0,
        };
        CheckpointInfo {
            id: format!("r.e{epoch}"),
            run: "r".into(),
            epoch,
            is_best,
            is_last,
            size_bytes: 0,
            sha256: String::new(),
            clean_accuracy: None,
            robust_accuracy: None,
            attributions: inputs.iter().map(entry).collect(),
        }
    }

    #[test]
    fn a_run_starts_with_its_best_on_one_side_and_its_last_on_the_other() {
        let both = [Inputs::Adversarial, Inputs::Clean];
        let list = [checkpoint(3, true, false, &both), checkpoint(6, false, false, &both), checkpoint(9, false, true, &[Inputs::Clean])];
        assert_eq!(First::Best.of(&list, Inputs::Adversarial).unwrap(), "r.e3.adversarial");
        assert_eq!(First::Last.of(&list, Inputs::Clean).unwrap(), "r.e9.clean");
        assert_eq!(First::Last.of(&list, Inputs::Adversarial).unwrap(), "r.e6.adversarial", "the newest that has one");
        assert_eq!(First::Best.of(&[], Inputs::Clean), None);
    }

    #[test]
    fn half_a_choice_has_an_address_too() {
        let lens = Lens::default();
        assert_eq!(address(Some("r.e1.clean".into()), Some("r.e2.clean".into()), &lens), "/compare?a=r.e1.clean&b=r.e2.clean");
        assert_eq!(address(None, Some("r.e2.clean".into()), &lens), "/compare?b=r.e2.clean");
    }
}
