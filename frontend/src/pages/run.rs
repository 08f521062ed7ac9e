//! One run, as it happens: figures, curves, checkpoints with their matrices, log and configuration.

use std::time::Duration;

use leptos::html;
use leptos::leptos_dom::helpers::set_interval_with_handle;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_params_map;
use shared::api::{Attribution, EpochSummary, Run, RunState, RunSummary};
use shared::chart::colors::Theme;
use shared::chart::heatmap::Heatmap;
use shared::config::Inputs;
use shared::format;
use shared::problem::Problem;
use shared::record::{Metrics, Started};
use shared::view::{Lens, View};

use super::runs::{DeleteRunDialog, best_to_last_address};
use crate::addressed::{Addressed, addressed};
use crate::browser::{use_open, use_title};
use crate::components::badge::{Progress, StateBadge};
use crate::components::copy::CopyButton;
use crate::components::curves::{CurvesView, EpochTable};
use crate::components::explorer::Explorer;
use crate::components::heatmap::{HeatmapView, is_open};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::Segments;
use crate::components::share::ShareButton;
use crate::live::{Connection, Live, follow};
use crate::load::{Placeholder, fetched, shown};
use crate::theme::use_theme;
use crate::{api, form, place, words};

const LOG_REFRESH: Duration = Duration::from_secs(3);
/// The end of a log is what one comes for; the file has the rest.
const LOG_LINES: u32 = 300;

/// The checkpoint whose matrix is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// None: the best.
    pub epoch: Option<u32>,
    pub inputs: Inputs,
}

impl Default for Selection {
    fn default() -> Self {
        Selection { epoch: None, inputs: Inputs::Adversarial }
    }
}

impl Selection {
    fn address(&self, run: &str) -> String {
        let epoch = self.epoch.map(|epoch| format!("epoch={epoch}"));
        let inputs = (self.inputs != Inputs::Adversarial).then(|| format!("inputs={}", self.inputs.id()));
        let query: Vec<String> = epoch.into_iter().chain(inputs).collect();
        if query.is_empty() { place::run(run) } else { format!("{}?{}", place::run(run), query.join("&")) }
    }

    /// The epoch it stands for among the kept ones: its own, else the best, else the last.
    fn resolved(&self, metrics: &Metrics) -> Option<u32> {
        let kept = |epoch: &u32| metrics.checkpoints.iter().any(|checkpoint| checkpoint.epoch == *epoch);
        let best = metrics.best().map(|epoch| epoch.epoch);
        self.epoch.filter(kept).or_else(|| best.filter(kept)).or_else(|| metrics.checkpoints.last().map(|checkpoint| checkpoint.epoch))
    }
}

#[component]
pub fn RunPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    move || {
        let id = id.get();
        let address = format!("api/runs/{id}");
        let run = fetched::<Run>(move || Some(address.clone()));
        use_title(move || run.ready().map_or_else(|| id.clone(), |run| run.title));
        shown(run, Placeholder::Chart, |run| view! { <OwnRun run/> })
    }
}

/// A run of one's own: live, and with everything one may do to it.
#[component]
fn OwnRun(run: Run) -> impl IntoView {
    let id = run.id.clone();
    let Live { run, metrics, connection } = follow(run);
    let asked_to_cancel = RwSignal::new(false);
    let run: Signal<Run> = Signal::from(Memo::new(move |_| {
        let run = run.get();
        // Records come sooner than the states that sum them up.
        let summary = metrics.with(|metrics| summary(&run, metrics));
        Run { canceling: run.canceling || asked_to_cancel.get(), summary, ..run }
    }));
    let selection = addressed(
        |query| Selection {
            epoch: query.get("epoch").and_then(|epoch| epoch.parse().ok()),
            inputs: if query.get_str("inputs") == Some(Inputs::Clean.id()) { Inputs::Clean } else { Inputs::Adversarial },
        },
        move |selection: &Selection| selection.address(&id),
    );
    let failed = Memo::new(move |_| run.with(|run| run.state == RunState::Failed));
    view! {
        <RunHeader run asked_to_cancel/>
        {move || (connection.get() == Connection::Lost).then(|| view! {
            <p class="notice notice-warning" role="status">"The connection is lost; trying again. What is below is as of then."</p>
        })}
        {move || failed.get().then(|| view! {
            <div class="notice notice-error" role="alert">
                <h2 class="notice-title">"This run failed"</h2>
                <p>{run.with_untracked(|run| run.failure.clone().unwrap_or_else(|| "The worker ended without a reason.".to_owned()))}</p>
                <LogTail run open=true class="disclosure"/>
            </div>
        })}
        <RunView run metrics=metrics.into() selection own=true/>
        <Show when=move || !failed.get()><LogTail run open=false class="disclosure panel"/></Show>
        <ConfigText run/>
    }
}

/// The summary of the records where there are some, else the server's.
fn summary(run: &Run, metrics: &Metrics) -> RunSummary {
    if metrics.epochs.is_empty() { run.summary.clone() } else { RunSummary::of(metrics, run.summary.epochs) }
}

#[component]
fn RunHeader(run: Signal<Run>, asked_to_cancel: RwSignal<bool>) -> impl IntoView {
    let problem = RwSignal::new(None::<Problem>);
    let deleting = RwSignal::new(None::<Run>);
    let id = move || run.with(|run| run.id.clone());
    let cancel = move |_| {
        asked_to_cancel.set(true);
        problem.set(None);
        let address = format!("api/runs/{}/cancel", run.with_untracked(|run| run.id.clone()));
        spawn_local(async move {
            if let Err(error) = api::post_empty(&address).await {
                let _ = asked_to_cancel.try_set(false);
                let _ = problem.try_set(Some(error));
            }
        });
    };
    let navigate = StoredValue::new_local(use_open());
    let deleted = move || navigate.with_value(|navigate| navigate("/", NavigateOptions::default()));
    let finished = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let compare = Memo::new(move |_| run.with(best_to_last_address));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb"><a href=".">"Runs"</a><span aria-hidden="true">"/"</span><span>{id}</span></nav>
                <h1>{move || run.with(|run| run.title.clone())}</h1>
                <div class="run-status"><StateBadge run/><Progress run/></div>
            </div>
            <div class="actions">
                {move || compare.get().map(|address| view! { <a class="button button-primary" href=place::href(&address)>"Compare best and last"</a> })}
                <ShareButton view=move || View::Run { run: run.with_untracked(|run| run.id.clone()) }/>
                <a class="button" href=move || place::href(&place::new_from(&id()))>"Duplicate and edit"</a>
                <Show
                    when=move || finished.get()
                    fallback=move || view! {
                        <button class="button button-danger" type="button" disabled=move || run.with(|run| run.canceling) on:click=cancel>
                            {move || if run.with(|run| run.canceling) { "Canceling …" } else { "Cancel" }}
                        </button>
                    }
                >
                    <button class="button button-danger" type="button" on:click=move |_| deleting.set(Some(run.get_untracked()))>"Delete"</button>
                </Show>
            </div>
        </header>
        {move || problem.get().map(|problem| view! { <p class="notice notice-error" role="alert">{problem.detail}</p> })}
        <DeleteRunDialog run=deleting done=deleted/>
    }
}

/// What a run has measured: also what the reader of a link sees.
#[component]
pub fn RunView(
    run: Signal<Run>,
    metrics: Signal<Metrics>,
    selection: Addressed<Selection>,
    /// Whether matrices and files can be asked for: the reader of a link cannot.
    own: bool,
) -> impl IntoView {
    let config = run.with_untracked(|run| run.config.clone());
    let classes = config.data().and_then(|data| data.dataset.info().classes).unwrap_or_default() as usize;
    let figures = Memo::new(move |_| run.with(|run| figures(&run.summary, classes)));
    let setup = Memo::new(move |_| metrics.with(|metrics| metrics.started.as_ref().map(facts)));
    // Best and last are provisional while the run goes on.
    let sentence = Memo::new(move |_| run.with(|run| run.state.is_finished().then(|| words::best_to_last(&run.summary)).flatten()));
    let selected = Memo::new(move |_| metrics.with(|metrics| selection.get().resolved(metrics)));
    let choose = move |epoch: u32| {
        if let Some(nearest) = metrics.with_untracked(|metrics| nearest_checkpoint(metrics, epoch)) {
            selection.update(|selection| selection.epoch = Some(nearest));
        }
    };
    let by_holdout = config.data().is_some_and(|data| data.holdout_samples > 0);
    view! {
        <KeyFigures figures/>
        {move || sentence.get().map(|sentence| view! { <p class="finding">{sentence}</p> })}
        <section class="panel" aria-labelledby="curves-title">
            <div class="panel-header">
                <h2 id="curves-title">"Training"</h2>
                <Phase run metrics/>
            </div>
            <CurvesView metrics config selected on_choose=choose/>
            <p class="muted">
                {if by_holdout {
                    "Best: highest robust accuracy on held-out training images."
                } else {
                    "Best: highest robust accuracy on the test set, as in the paper."
                }}
            </p>
            <EpochTable metrics/>
        </section>
        <section class="panel" aria-labelledby="checkpoints-title">
            <h2 id="checkpoints-title">"Checkpoints"</h2>
            <Show
                when=move || metrics.with(|metrics| !metrics.checkpoints.is_empty())
                fallback=|| view! { <p class="muted">"None is kept yet: the first comes with the first evaluated epoch."</p> }
            >
                <div class=if own { "split" } else { "" }>
                    <CheckpointTable run metrics selection selected own/>
                    {own.then(|| view! { <InlineHeatmap run metrics selection selected/> })}
                </div>
            </Show>
        </section>
        {move || setup.get().map(|facts| view! {
            <section class="panel" aria-labelledby="facts-title">
                <h2 id="facts-title">"Setup"</h2>
                <dl class="facts facts-wide">
                    {facts.into_iter().map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
                </dl>
            </section>
        })}
    }
}

fn figures(summary: &RunSummary, classes: usize) -> Vec<Figure> {
    let RunSummary { best, last, .. } = summary;
    let note = |epoch: &Option<EpochSummary>| {
        epoch.as_ref().map_or_else(
            || "not measured yet".to_owned(),
            |epoch| format!("epoch {} · clean {}", epoch.epoch, format::percent(epoch.clean_accuracy)),
        )
    };
    let robust = |epoch: &Option<EpochSummary>| format::percent(epoch.as_ref().and_then(|epoch| epoch.robust_accuracy));
    let cas = |epoch: &Option<EpochSummary>| epoch.as_ref().and_then(|epoch| epoch.cas);
    let pairs = classes * classes.saturating_sub(1);
    let normalized = |cas: Option<f64>| match cas {
        Some(cas) if pairs > 0 => format!("{} of the possible {pairs}", format::percent(cas / pairs as f64)),
        _ => "not measured yet".to_owned(),
    };
    vec![
        Figure::new("Best robust accuracy", robust(best), note(best)),
        Figure::new("Last robust accuracy", robust(last), note(last)),
        Figure::new("Gap", format::points(words::gap(summary)), "best to last"),
        Figure::new("CAS, best", format::decimal(cas(best), 2), normalized(cas(best))),
        Figure::new("CAS, last", format::decimal(cas(last), 2), normalized(cas(last))),
        Figure::new("ΔCAS", format::signed(words::delta_cas(summary), 2), "best to last"),
    ]
}

/// The kept epoch nearest to one.
fn nearest_checkpoint(metrics: &Metrics, epoch: u32) -> Option<u32> {
    metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).min_by_key(|kept| kept.abs_diff(epoch))
}

fn facts(started: &Started) -> Vec<(&'static str, String)> {
    let count = |value: u32| format::count(u64::from(value));
    vec![
        ("Device", format!("{} ({})", started.device, started.device_name)),
        ("Parameters", format::count(started.parameters)),
        ("Features", count(started.feature_dim)),
        ("Training images", count(started.train_samples)),
        ("Wrong labels", count(started.noisy_labels)),
        ("Held-out images", count(started.holdout_samples)),
        ("Test images", count(started.test_samples)),
        ("Engine", format!("{}, libtorch {}", started.engine, started.libtorch)),
    ]
}

/// Where the worker is inside an epoch.
#[component]
fn Phase(run: Signal<Run>, metrics: Signal<Metrics>) -> impl IntoView {
    move || {
        let running = run.with(|run| run.state == RunState::Running);
        let progress = metrics.with(|metrics| metrics.progress.clone()).filter(|_| running)?;
        let text = format!("{} · epoch {} · step {} of {}", words::phase(progress.phase), progress.epoch, progress.step, progress.steps);
        Some(view! { <p class="muted">{text}</p> })
    }
}

/// The kept checkpoints; arrow keys walk through them and take the matrix along.
#[component]
fn CheckpointTable(
    run: Signal<Run>,
    metrics: Signal<Metrics>,
    selection: Addressed<Selection>,
    selected: Memo<Option<u32>>,
    own: bool,
) -> impl IntoView {
    let epochs =
        Memo::new(move |_| metrics.with(|metrics| metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>()));
    let row = move |epoch: u32| {
        let row = Memo::new(move |_| metrics.with(|metrics| CheckpointRow::of(metrics, epoch)));
        let id = run.with_untracked(|run| run.id.clone());
        let choose = move |_| selection.update(|selection| selection.epoch = Some(epoch));
        let name = format!("Epoch {epoch}");
        let links = own.then(|| {
            let link = {
                let id = id.clone();
                move |inputs: Inputs, text: &'static str, there: bool| {
                    let label = format!("Heatmap of epoch {epoch}, {} inputs", inputs.id());
                    there.then(|| view! { <a href=place::href(&place::attribution(&id, epoch, inputs)) aria-label=label>{text}</a> })
                }
            };
            view! {
                <td>
                    <div class="row-links">
                        {move || row.with(|row| link(Inputs::Adversarial, "Adversarial", row.adversarial))}
                        {
                            let id = id.clone();
                            move || row.with(|row| row.clean).then(|| view! {
                                <a href=place::href(&place::attribution(&id, epoch, Inputs::Clean)) aria-label=format!("Heatmap of epoch {epoch}, clean inputs")>"Clean"</a>
                            })
                        }
                    </div>
                </td>
                <td>
                    <a rel="external" download="" href=place::checkpoint_file(&id, epoch) aria-label=format!("Download epoch {epoch} as safetensors")>
                        {move || row.with(|row| format::bytes(row.size_bytes))}
                    </a>
                </td>
            }
        });
        view! {
            <tr class:selected=move || selected.get() == Some(epoch)>
                <th scope="row">
                    <label class="choice">
                        <input type="radio" name="checkpoint" aria-label=name prop:checked=move || selected.get() == Some(epoch) on:change=choose/>
                        <span>{epoch}</span>
                        {move || row.with(|row| row.is_best).then(|| view! { <span class="tag">"best"</span> })}
                        {move || row.with(|row| row.is_last).then(|| view! { <span class="tag">"last"</span> })}
                    </label>
                </th>
                <td class="number">{move || row.with(|row| format::percent(row.clean_accuracy))}</td>
                <td class="number">{move || row.with(|row| format::percent(row.robust_accuracy))}</td>
                <td class="number">{move || row.with(|row| format::decimal(row.cas, 2))}</td>
                {links}
            </tr>
        }
    };
    view! {
        <div class="table-box table-box-tall" role="region" aria-label="Checkpoints" tabindex="0">
            <table class="table table-dense">
                <thead>
                    <tr>
                        <th scope="col">"Epoch"</th>
                        <th scope="col" class="number">"Clean"</th>
                        <th scope="col" class="number">"Robust"</th>
                        <th scope="col" class="number">"CAS"</th>
                        {own.then(|| view! { <th scope="col">"Heatmap"</th><th scope="col">"Weights"</th> })}
                    </tr>
                </thead>
                <tbody><For each=move || epochs.get() key=|epoch| *epoch children=row/></tbody>
            </table>
        </div>
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct CheckpointRow {
    is_best: bool,
    is_last: bool,
    clean_accuracy: Option<f64>,
    robust_accuracy: Option<f64>,
    /// Of adversarial inputs.
    cas: Option<f64>,
    adversarial: bool,
    clean: bool,
    size_bytes: u64,
}

impl CheckpointRow {
    fn of(metrics: &Metrics, epoch: u32) -> Self {
        let measured = metrics.epochs.iter().find(|entry| entry.epoch == epoch);
        let has = |inputs: Inputs| metrics.cas(epoch, inputs).is_some();
        let size = metrics.checkpoints.iter().find(|checkpoint| checkpoint.epoch == epoch).map(|checkpoint| checkpoint.size_bytes);
        CheckpointRow {
            is_best: metrics.best().is_some_and(|best| best.epoch == epoch),
            is_last: metrics.last().is_some_and(|last| last.epoch == epoch),
            clean_accuracy: measured.and_then(|entry| entry.test_clean_accuracy),
            robust_accuracy: measured.and_then(|entry| entry.test_robust_accuracy),
            cas: metrics.cas(epoch, Inputs::Adversarial),
            adversarial: has(Inputs::Adversarial),
            clean: has(Inputs::Clean),
            size_bytes: size.unwrap_or_default(),
        }
    }
}

/// The matrix of the selected checkpoint.
#[component]
fn InlineHeatmap(
    run: Signal<Run>,
    metrics: Signal<Metrics>,
    selection: Addressed<Selection>,
    selected: Memo<Option<u32>>,
) -> impl IntoView {
    let id = run.with_untracked(|run| run.id.clone());
    let inputs = Signal::derive(move || selection.get().inputs);
    // Asked for only once it is there.
    let wanted = Memo::new(move |_| {
        let (epoch, inputs) = (selected.get()?, inputs.get());
        metrics.with(|metrics| metrics.cas(epoch, inputs)).map(|_| place::attribution_id(&id, epoch, inputs).to_string())
    });
    let attribution = fetched::<Attribution>(move || wanted.get().map(|id| format!("api/attributions/{id}")));
    let choose = move |inputs: Inputs| selection.update(|selection| selection.inputs = inputs);
    let present = Memo::new(move |_| wanted.get().is_some());
    let explorer = Explorer::new(Addressed::local(Lens::default()));
    let heatmap = move || {
        if !present.get() {
            return view! { <p class="muted">"This checkpoint has no matrix of these inputs, or not yet."</p> }.into_any();
        }
        view! { <Loaded attribution explorer/> }.into_any()
    };
    view! {
        <div class="inline-heatmap">
            <Segments
                legend="Inputs" name="inputs" value=inputs set=choose
                options=vec![(Inputs::Adversarial, "Adversarial"), (Inputs::Clean, "Clean")]
            />
            {heatmap}
        </div>
    }
}

/// Keeps its canvas while one walks from checkpoint to checkpoint.
#[component]
fn Loaded(attribution: crate::load::Fetched<Attribution>, explorer: Explorer) -> impl IntoView {
    let theme = use_theme();
    let known = Memo::new(move |former: Option<&Option<Attribution>>| attribution.ready().or_else(|| former.cloned().flatten()));
    let there = Memo::new(move |_| known.with(Option::is_some));
    let with = move |text: fn(&Attribution) -> String| move || known.with(|known| known.as_ref().map(text).unwrap_or_default());
    let caption = with(|attribution| {
        let inputs = super::attribution::inputs_text(attribution.file.inputs).to_lowercase();
        format!("Epoch {}, {inputs}: CAS {}", attribution.file.epoch, format::decimal(attribution.file.cas, 2))
    });
    let link = with(|attribution| place::href(&format!("/attributions/{}", attribution.id)));
    let view = move || {
        let heatmap = Memo::new(move |_| {
            let theme = if theme.dark.get() { Theme::Dark } else { Theme::Light };
            known.with(|known| Heatmap::of(known.as_ref().expect("shown only once known"), &Lens::default(), theme))
        });
        view! {
            <p class="caption" aria-live="polite">{caption}" "<a href=link>"Open"</a></p>
            <HeatmapView name=Signal::derive(caption) heatmap explorer/>
        }
    };
    move || if there.get() { view().into_any() } else { shown(attribution, Placeholder::Matrix, |_| ()).into_any() }
}

/// The end of the worker's log, followed while it grows.
#[component]
fn LogTail(run: Signal<Run>, open: bool, class: &'static str) -> impl IntoView {
    let shown = RwSignal::new(open);
    let text = RwSignal::new(None::<Result<String, Problem>>);
    let address = format!("api/runs/{}/log?tail={LOG_LINES}", run.with_untracked(|run| run.id.clone()));
    let load = move || {
        let address = address.clone();
        spawn_local(async move {
            let answer = api::get_text(&address).await;
            let _ = text.try_set(Some(answer));
        });
    };
    let finished = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    Effect::new({
        let load = load.clone();
        move || {
            // Also once when the run ends: the last lines say how.
            let finished = finished.get();
            if !shown.get() {
                return;
            }
            load();
            if !finished && let Ok(timer) = set_interval_with_handle(load.clone(), LOG_REFRESH) {
                on_cleanup(move || timer.clear());
            }
        }
    });
    // The end is what one looks for; whoever has scrolled up to read is left there.
    let pre = NodeRef::<html::Pre>::new();
    let at_end = StoredValue::new(true);
    Effect::new(move || {
        text.track();
        if let Some(pre) = pre.get().filter(|_| at_end.get_value()) {
            request_animation_frame(move || pre.set_scroll_top(pre.scroll_height()));
        }
    });
    let on_scroll = move |_| {
        if let Some(pre) = pre.get_untracked() {
            at_end.set_value(pre.scroll_height() - pre.scroll_top() - pre.client_height() < 4);
        }
    };
    let log = Memo::new(move |_| text.get().and_then(Result::ok).unwrap_or_default());
    let state = Memo::new(move |_| match text.get() {
        None => LogState::Loading,
        Some(Ok(log)) if log.is_empty() => LogState::Empty,
        Some(Ok(_)) => LogState::Shown,
        Some(Err(problem)) => LogState::Failed(problem.detail),
    });
    let content = move || match state.get() {
        LogState::Loading => view! { <p class="muted">"Loading …"</p> }.into_any(),
        LogState::Empty => view! { <p class="muted">"The log is empty."</p> }.into_any(),
        LogState::Shown => view! {
            <pre class="code code-log" tabindex="0" aria-label="Log" node_ref=pre on:scroll=on_scroll><code>{move || log.get()}</code></pre>
        }
        .into_any(),
        LogState::Failed(detail) => view! { <p class="field-error">{detail}</p> }.into_any(),
    };
    view! {
        <details class=class open=open on:toggle=move |event| shown.set(is_open(&event))>
            <summary>"Log"</summary>
            {content}
        </details>
    }
}

#[derive(Clone, Debug, PartialEq)]
enum LogState {
    Loading,
    Empty,
    Shown,
    Failed(String),
}

#[component]
fn ConfigText(run: Signal<Run>) -> impl IntoView {
    let text = run.with_untracked(|run| form::config_text(&run.config.to_json()));
    let copied = text.clone();
    view! {
        <details class="disclosure panel">
            <summary>"Configuration"</summary>
            <div class="code-header"><span>"As in config.json"</span><CopyButton text=move || copied.clone() label="Copy"/></div>
            <pre class="code" tabindex="0" aria-label="Configuration"><code>{text}</code></pre>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::record::{AttributionEntry, Checkpoint, Epoch, Record};

    fn metrics() -> Metrics {
        let epoch = |epoch: u32, robust: f64| {
            Record::Epoch(Epoch {
                epoch,
                learning_rate: 0.1,
                train_loss: Some(1.0),
                train_clean_accuracy: None,
                train_robust_accuracy: None,
                test_clean_accuracy: Some(0.9),
                test_robust_accuracy: Some(robust),
                test_loss: None,
                holdout_robust_accuracy: None,
                seconds: 1.0,
                elapsed_secs: f64::from(epoch),
            })
        };
        let checkpoint = |epoch| Record::Checkpoint(Checkpoint { epoch, file: String::new(), size_bytes: 7, sha256: String::new() });
        let entry = AttributionEntry { epoch: 2, inputs: Inputs::Adversarial, file: String::new(), cas: 20.0, cas_normalized: 0.2 };
        Metrics::from_records([epoch(1, 0.3), epoch(2, 0.6), epoch(3, 0.5), checkpoint(2), checkpoint(3), Record::Attribution(entry)])
    }

    #[test]
    fn the_selection_is_the_best_checkpoint_unless_it_says_otherwise() {
        let metrics = metrics();
        let selection = |epoch| Selection { epoch, ..Selection::default() };
        assert_eq!(selection(None).resolved(&metrics), Some(2));
        assert_eq!(selection(Some(3)).resolved(&metrics), Some(3));
        assert_eq!(selection(Some(1)).resolved(&metrics), Some(2), "epoch 1 is not kept");
        assert_eq!(selection(None).resolved(&Metrics::default()), None);
    }

    #[test]
    fn the_selection_is_in_the_address() {
        assert_eq!(Selection::default().address("at-1"), "/runs/at-1");
        assert_eq!(Selection { epoch: Some(12), inputs: Inputs::Clean }.address("at-1"), "/runs/at-1?epoch=12&inputs=clean");
    }

    #[test]
    fn a_point_of_the_curves_leads_to_the_nearest_checkpoint() {
        assert_eq!(nearest_checkpoint(&metrics(), 1), Some(2));
        assert_eq!(nearest_checkpoint(&metrics(), 9), Some(3));
        assert_eq!(nearest_checkpoint(&Metrics::default(), 9), None);
    }

    #[test]
    fn a_row_has_what_was_measured_of_its_epoch() {
        let row = CheckpointRow::of(&metrics(), 2);
        assert!(row.is_best && !row.is_last && row.adversarial && !row.clean);
        assert_eq!((row.robust_accuracy, row.cas, row.size_bytes), (Some(0.6), Some(20.0), 7));
    }
}
