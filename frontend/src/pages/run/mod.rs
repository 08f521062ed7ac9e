//! The page of one run of any kind, kept up to date: its measurements, actions, log and configuration.

mod checkpoints;
mod connection;
mod disk_space;
mod eps_curve;
mod evaluation;
mod log;
mod matrices;
mod measured_checkpoints;
mod notices;
mod pair;
mod saliency;
mod scrubber;
mod selected_checkpoint;
mod training;
mod transfer;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use shared::api::{Attribution, Run, RunAction, RunState, RunSummary, path};
use shared::chart::EpsCurveFigure;
use shared::config::{Inputs, RunKind};
use shared::export::Exported;
use shared::id::{AttributionId, RunId};
use shared::problem::Problem;
use shared::record::Metrics;
use shared::rundir::StopReason;
use shared::view::{Lens, View};
use strum::IntoEnumIterator;

use self::connection::ConnectionNotice;
use self::disk_space::DiskSpace;
use self::eps_curve::EpsCurveView;
use self::evaluation::EvaluationView;
use self::log::{ConfigText, LogTail};
use self::matrices::MatricesView;
use self::notices::Notices;
use self::pair::PairView;
use self::saliency::SaliencyView;
use self::training::TrainingView;
use self::transfer::TransferView;
use super::NotFoundPage;
use super::runs::best_to_last_address;
use crate::baseline::adopt_pinned;
use crate::browser::{use_open, use_title};
use crate::cache::Cache;
use crate::components::badge::{KindBadge, Progress, StateBadge};
use crate::components::exports::{Export, Exports, course, export};
use crate::components::job::JobLine;
use crate::components::labels::LabelsOfRun;
use crate::components::run_actions::{ConcernedRun, Question, Report, ReportLine, RunActionsDialog, use_carried_report};
use crate::components::share::ShareButton;
use crate::debounce::{REST, debounced};
use crate::live::{Live, follow};
use crate::load::{Placeholder, fetched, refusal, shown, told};
use crate::url_state::{UrlState, url_state, use_id};
use crate::{api, names, urls};

/// What the page of a run shows: checkpoint, inputs and lens.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The best checkpoint if `None`.
    pub epoch: Option<u32>,
    pub inputs: Inputs,
    pub lens: Lens,
}

impl Selection {
    /// The selection of a view of a run. Other views only give their lens.
    pub fn of(view: View) -> Self {
        match view {
            View::Run { epoch, inputs, lens, .. } => Selection { epoch, inputs, lens },
            View::Attribution { lens, .. } | View::Compare { lens, .. } => Selection { epoch: None, inputs: Inputs::Adversarial, lens },
        }
    }

    fn view(&self, run: &RunId) -> View {
        let Selection { epoch, inputs, lens } = self.clone();
        View::Run { run: run.clone(), epoch, inputs, lens }
    }

    /// The kept epoch that the selection stands for: its own, or else the best, or else the last.
    fn resolved(&self, metrics: &Metrics) -> Option<u32> {
        let kept = |epoch: &u32| metrics.checkpoints.iter().any(|checkpoint| checkpoint.epoch == *epoch);
        let best = metrics.best().map(|epoch| epoch.epoch);
        self.epoch.filter(kept).or_else(|| best.filter(kept)).or_else(|| metrics.checkpoints.last().map(|checkpoint| checkpoint.epoch))
    }
}

#[component]
pub fn RunPage() -> impl IntoView {
    let id = use_id::<RunId>("id");
    move || {
        let Some(id) = id.get() else { return view! { <NotFoundPage/> }.into_any() };
        let address = path::run(&id);
        let fetched = fetched::<Run>(move || Some(address.clone()));
        use_title(move || fetched.ready().map_or_else(|| id.to_string(), |run| run.title));
        shown(fetched, Placeholder::RunPage, move |run| view! { <OwnRun run resumed=Callback::new(move |()| fetched.reload())/> })
    }
}

/// The owner's page of a run: live, with all actions.
#[component]
fn OwnRun(
    run: Run,
    /// Called after a finished run was resumed, so that everything loads again.
    resumed: Callback<()>,
) -> impl IntoView {
    let id = run.id.clone();
    let live = follow(run);
    let Live { run, metrics, .. } = live;
    let run = Memo::new(move |_| {
        let run = run.get();
        // Records arrive earlier than the server's summary of them.
        let summary = metrics.with(|metrics| summary(&run, metrics));
        Run { summary, ..run }
    });
    let selection = url_state(
        |query| Selection {
            epoch: query.get("epoch").and_then(|epoch| epoch.parse().ok()),
            inputs: if query.get_str("inputs") == Some(Inputs::Clean.id()) { Inputs::Clean } else { Inputs::Adversarial },
            lens: Lens::from_parameters(|name| query.get_str(name)).unwrap_or_default(),
        },
        {
            let id = id.clone();
            move |selection: &Selection| selection.view(&id).to_string()
        },
    );
    adopt_pinned(selection.part(|selection| selection.lens.clone(), |selection, lens| selection.lens = lens));
    let view_of = Callback::new(move |()| selection.get_untracked().view(&id));
    let failed = Memo::new(move |_| run.with(|run| run.state == RunState::Failed));
    // Addresses of exports follow once the scrubber rests: a step changes them all.
    let rested = debounced(Memo::new(move |_| selection.get()), REST);
    view! {
        <RunHeader run live view_of resumed/>
        <ConnectionNotice live/>
        {move || failed.get().then(|| view! {
            <div class="notice notice-error" role="alert">
                <h2 class="notice-title">"This run failed"</h2>
                <p>{run.with_untracked(|run| told(run.failure.as_deref().unwrap_or("the worker ended without a reason")))}</p>
                <LogTail run open=true class="disclosure"/>
            </div>
        })}
        <RunView run metrics=Memo::new(move |_| metrics.get()) selection matrices=Cache::of_attributions()/>
        <Show when=move || !failed.get()><LogTail run open=false class="disclosure panel"/></Show>
        <DiskSpace run metrics=Memo::new(move |_| metrics.get())/>
        <ConfigText run/>
        <Exports exports=Signal::derive(move || run.with(|run| rested.with(|selection| exports_of(run, selection))))/>
    }
}

/// The measurements of a run. Readers of a share see the same.
#[component]
pub fn RunView(
    run: Memo<Run>,
    metrics: Memo<Metrics>,
    selection: UrlState<Selection>,
    matrices: Cache<AttributionId, Attribution>,
) -> impl IntoView {
    let kind = run.with_untracked(|run| run.config.kind());
    let measured = match kind {
        RunKind::Train | RunKind::Import | RunKind::External => view! { <TrainingView run metrics selection matrices/> }.into_any(),
        RunKind::Attribute => view! { <MatricesView run metrics/> }.into_any(),
        RunKind::Evaluate => view! { <EvaluationView run metrics/> }.into_any(),
        RunKind::EpsCurve => view! { <EpsCurveView run metrics/> }.into_any(),
        RunKind::Saliency => view! { <SaliencyView run metrics/> }.into_any(),
        RunKind::Pair => view! { <PairView run metrics/> }.into_any(),
        RunKind::Transfer => view! { <TransferView run metrics/> }.into_any(),
    };
    view! { <Notices metrics/>{measured} }
}

/// Export links of the run.
fn exports_of(run: &Run, selection: &Selection) -> Vec<Export> {
    let mut exports = Vec::new();
    if run.config.kind().has_epochs() {
        let page = selection.view(&run.id).to_string();
        let query = page.split_once('?').map(|(_, query)| format!("&{query}")).unwrap_or_default();
        exports.push(export("Curves", Exported::Chart, |format| format!("{}?format={format}{query}", path::run_curves(&run.id))));
        exports.extend(course(&run.id, selection.inputs, &selection.lens));
        exports.push(export("Metrics", Exported::Metrics, |format| format!("{}.{format}", path::run_metrics(&run.id))));
    }
    if run.config.kind() == RunKind::EpsCurve {
        let address = path::run_eps_curve(&run.id);
        let of = |figure: EpsCurveFigure| {
            let address = address.clone();
            export(figure.label(), Exported::Chart, move |format| format!("{address}?chart={figure}&format={format}"))
        };
        exports.extend(EpsCurveFigure::iter().map(of));
    }
    if run.config.kind() == RunKind::Transfer {
        exports.push(export("Matrix", Exported::Matrices, |format| format!("{}?format={format}", path::run_transfer(&run.id))));
    }
    exports.push(export("Configuration", Exported::Configuration, |_| path::run_config_toml(&run.id)));
    exports
}

/// The summary of the records, or the server's summary if there are no records yet.
fn summary(run: &Run, metrics: &Metrics) -> RunSummary {
    if metrics.epochs.is_empty() { run.summary.clone() } else { RunSummary::of(metrics, run.summary.epochs) }
}

/// What can be asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Pause,
    Cancel,
    Resume,
}

impl Ask {
    fn address(self, id: &RunId) -> String {
        match self {
            Ask::Pause => path::run_pause(id),
            Ask::Cancel => path::run_cancel(id),
            Ask::Resume => path::run_resume(id),
        }
    }
}

#[component]
fn RunHeader(run: Memo<Run>, live: Live, view_of: Callback<(), View>, resumed: Callback<()>) -> impl IntoView {
    let problem = RwSignal::new(None::<Problem>);
    let (question, report) = (RwSignal::new(None::<Question>), RwSignal::new(None::<Report>));
    let delete =
        move |_| question.set(Some(Question { action: RunAction::Delete, runs: vec![run.with_untracked(|run| ConcernedRun::from(run))] }));
    let id = move || run.with(|run| run.id.clone());
    // What is being asked for.
    let asking = RwSignal::new(None::<Ask>);
    let ask = move |action: Ask| {
        asking.set(Some(action));
        problem.set(None);
        let address = run.with_untracked(|run| action.address(&run.id));
        spawn_local(async move {
            match api::post_empty(&address).await {
                // The badge changes once the server confirms it.
                Ok(()) if action == Ask::Resume => resumed.run(()),
                Ok(()) => live.look(),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
            let _ = asking.try_set(None);
        });
    };
    let busy = move || asking.with(Option::is_some);
    // Cancels or pauses; says so while that is asked for and while the worker saves.
    let stop = move |action: Ask, reason: StopReason, class: &'static str, label: &'static str| {
        let going_on = Memo::new(move |_| asking.get() == Some(action) || run.with(|run| run.stopping == Some(reason)));
        // A run that is pausing can still be canceled.
        let off = move || going_on.get() || busy() || run.with(|run| run.stopping == Some(StopReason::Cancel));
        view! {
            <button class=class type="button" disabled=off on:click=move |_| ask(action)>
                {move || if going_on.get() { format!("{} …", names::stopping(reason)) } else { label.to_owned() }}
            </button>
        }
    };
    let state = Memo::new(move |_| run.with(|run| run.state));
    let (kind, sweep) = run.with_untracked(|run| (run.config.kind(), run.config.as_train().and_then(|config| config.sweep.clone())));
    let (navigate, carried) = (StoredValue::new_local(use_open()), use_carried_report());
    let deleted = move |refused: usize| {
        if refused == 0 {
            carried.set(report.get_untracked());
            navigate.with_value(|navigate| navigate("/", NavigateOptions::default()));
        }
    };
    let compare = Memo::new(move |_| run.with(|run| best_to_last_address(&run.id, run.summary.best.as_ref(), run.summary.last.as_ref())));
    view! {
        <header class="page-header">
            <div>
                <nav class="crumbs" aria-label="Breadcrumb">
                    <a href=".">"Runs"</a>
                    <span aria-hidden="true">"/"</span>
                    {sweep.map(|sweep| view! { <a href=urls::href(&urls::sweep(&sweep))>{sweep.to_string()}</a><span aria-hidden="true">"/"</span> })}
                    <span>{move || id().to_string()}</span>
                </nav>
                <h1>{move || run.with(|run| run.title.clone())}</h1>
                <div class="run-status"><KindBadge kind/><StateBadge run/><Progress run/></div>
                <JobLine run/>
                <LabelsOfRun run changed=resumed/>
            </div>
            <div class="actions">
                {move || compare.get().map(|address| view! { <a class="button button-primary" href=urls::href(&address)>"Compare best and last"</a> })}
                <ShareButton view=move || view_of.run(())/>
                <Show when=move || kind.is_submitted()>
                    <a class="button" href=move || urls::href(&urls::new_from(&id()))>"Duplicate and edit"</a>
                </Show>
                <Show when=move || kind.is_submitted() && state.get().is_resumable()>
                    <button class="button" type="button" disabled=busy on:click=move |_| ask(Ask::Resume)>
                        {move || if state.get() == RunState::Failed { "Try again" } else { "Resume" }}
                    </button>
                </Show>
                <Show
                    when=move || state.get().is_active()
                    fallback=move || view! { <button class="button button-danger" type="button" aria-haspopup="dialog" on:click=delete>"Delete"</button> }
                >
                    {kind.is_submitted().then(|| stop(Ask::Pause, StopReason::Pause, "button", "Pause"))}
                    {stop(Ask::Cancel, StopReason::Cancel, "button button-danger", "Cancel")}
                </Show>
            </div>
        </header>
        {refusal(problem)}
        <ReportLine report undone=resumed/>
        <RunActionsDialog question report done=deleted/>
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use shared::fixtures;
    use shared::record::{Checkpoint, Epoch, Record};

    pub fn metrics() -> Metrics {
        let epoch = |epoch, robust| {
            Record::Epoch(Epoch { test_clean_accuracy: Some(0.9), test_robust_accuracy: Some(robust), ..fixtures::epoch(epoch) })
        };
        let checkpoint = |epoch| Record::Checkpoint(Checkpoint { epoch, file: String::new(), size_bytes: 7, sha256: String::new() });
        let entry = Record::Attribution(fixtures::matrix_of(2, Inputs::Adversarial, 18.0));
        Metrics::from_records([epoch(1, 0.3), epoch(2, 0.6), epoch(3, 0.5), checkpoint(2), checkpoint(3), entry])
    }

    #[test]
    fn the_selection_is_the_best_checkpoint_unless_it_says_otherwise() {
        let metrics = metrics();
        let selection = |epoch| Selection { epoch, inputs: Inputs::Adversarial, lens: Lens::default() };
        assert_eq!(selection(None).resolved(&metrics), Some(2));
        assert_eq!(selection(Some(3)).resolved(&metrics), Some(3));
        assert_eq!(selection(Some(1)).resolved(&metrics), Some(2), "epoch 1 is not kept");
        assert_eq!(selection(None).resolved(&Metrics::default()), None);
    }

    #[test]
    fn the_selection_is_in_the_address() {
        let address = "/runs/at-1?epoch=12&inputs=clean&scale=fitted&base=at-2.e4.adversarial";
        let selection = Selection::of(address.parse().unwrap());
        assert_eq!((selection.epoch, selection.inputs), (Some(12), Inputs::Clean));
        let run = "at-1".parse().unwrap();
        assert_eq!(selection.view(&run).to_string(), address);
        assert_eq!(Selection::of("/runs/at-1".parse().unwrap()).view(&run).to_string(), "/runs/at-1");
    }
}
