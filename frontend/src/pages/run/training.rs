//! The view of a run with epochs, trained or imported: figures, curves, checkpoints and configuration.

use leptos::prelude::*;
use shared::api::{Attribution, EpochSummary, Run, RunState, RunSummary};
use shared::chart::curves::Curves;
use shared::format;
use shared::id::AttributionId;
use shared::record::{Metrics, Started};

use super::Selection;
use super::checkpoints::{CheckpointTable, nearest_checkpoint};
use super::scrubber::Scrubber;
use super::selected_checkpoint::SelectedCheckpointView;
use crate::cache::Cache;
use crate::components::curves::{CurvesView, EpochTable};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::findings;
use crate::names;
use crate::theme::use_theme;
use crate::url_state::UrlState;

#[component]
pub fn TrainingView(
    run: Memo<Run>,
    metrics: Memo<Metrics>,
    selection: UrlState<Selection>,
    matrices: Cache<AttributionId, Attribution>,
) -> impl IntoView {
    let config = run.with_untracked(|run| run.config.clone());
    // Number of classes by the data set, used until the records report the real number.
    let of_dataset = config.data().and_then(|data| data.dataset.info().classes).map(|classes| classes as usize);
    let classes =
        Memo::new(move |_| metrics.with(|metrics| metrics.started.as_ref().map(|started| started.class_names.len()).or(of_dataset)));
    let ended = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let figures = Memo::new(move |_| run.with(|run| figures(&run.summary, classes.get(), run.state.is_finished())));
    let setup = Memo::new(move |_| metrics.with(|metrics| metrics.started.as_ref().map(facts)));
    // No sentence while the run goes on, because best and last may still change.
    let sentence = Memo::new(move |_| run.with(|run| run.state.is_finished().then(|| findings::best_to_last(&run.summary)).flatten()));
    let selected = Memo::new(move |_| metrics.with(|metrics| selection.get().resolved(metrics)));
    let choose = move |epoch: u32| {
        if let Some(nearest) = metrics.with_untracked(|metrics| nearest_checkpoint(metrics, epoch)) {
            selection.update(|selection| selection.epoch = Some(nearest));
        }
    };
    // An imported checkpoint has weights but may have no curves.
    let trains = config.as_train().is_some();
    let has_curves = Memo::new(move |_| trains || metrics.with(|metrics| !metrics.epochs.is_empty()));
    let by_holdout = config.data().is_some_and(|data| data.holdout_samples > 0);
    let theme = use_theme();
    let lens = selection.part(|selection| selection.lens.clone(), |selection, lens| selection.lens = lens);
    let curves = Memo::new(move |_| {
        let seen = |curves: Curves| Curves { show_legend: false, ended: ended.get(), ..curves.seen(&lens.get().curves) };
        metrics.with(|metrics| seen(Curves::of(metrics, &config, theme.get())))
    });
    let axes = RwSignal::new(None);
    view! {
        <Show when=move || has_curves.get()><KeyFigures figures/></Show>
        {move || sentence.get().map(|sentence| view! { <p class="finding">{sentence}</p> })}
        <div class="run-columns">
        <Show when=move || has_curves.get()>
        <section class="panel" aria-labelledby="curves-title">
            <div class="panel-header">
                <h2 id="curves-title">"Training"</h2>
                <Phase run metrics/>
            </div>
            <CurvesView curves lens axes selected on_choose=choose/>
            <Scrubber metrics curves axes=axes.into() selected selection/>
            <p class="muted">
                {if by_holdout {
                    "Best: highest robust accuracy on held-out training images."
                } else {
                    "Best: highest robust accuracy on the test set, as in the paper."
                }}
            </p>
            <EpochTable metrics/>
        </section>
        </Show>
        <SelectedCheckpointView run metrics selection selected matrices/>
        <div class="stack">
        <section class="panel" aria-labelledby="checkpoints-title">
            <h2 id="checkpoints-title">"Checkpoints"</h2>
            <Show
                when=move || metrics.with(|metrics| !metrics.checkpoints.is_empty())
                fallback=move || view! {
                    <p class="muted">
                        {move || if ended.get() { "None was kept." } else { "None is kept yet: the first comes with the first evaluated epoch." }}
                    </p>
                }
            >
                <CheckpointTable run metrics selection selected/>
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
        </div>
        </div>
    }
}

/// The key figures. `classes`: the number of classes, if known.
fn figures(summary: &RunSummary, classes: Option<usize>, finished: bool) -> Vec<Figure> {
    let RunSummary { best, last, .. } = summary;
    let missing = || findings::missing(finished).to_owned();
    let note = |epoch: &Option<EpochSummary>| {
        epoch.as_ref().map_or_else(missing, |epoch| format!("epoch {} · clean {}", epoch.epoch, format::percent(epoch.clean_accuracy)))
    };
    let robust = |epoch: &Option<EpochSummary>| format::percent(epoch.as_ref().and_then(|epoch| epoch.robust_accuracy));
    let cas = |epoch: &Option<EpochSummary>| epoch.as_ref().and_then(|epoch| epoch.cas);
    let pairs = classes.map(|classes| classes * classes.saturating_sub(1)).filter(|pairs| *pairs > 0);
    let normalized = |epoch: &Option<EpochSummary>| match (epoch, cas(epoch), pairs) {
        (_, Some(cas), Some(pairs)) => format!("{} of the possible {pairs}", format::percent(cas / pairs as f64)),
        (Some(epoch), Some(_), None) => format!("epoch {}", epoch.epoch),
        _ => missing(),
    };
    vec![
        Figure::new("Best robust accuracy", robust(best), note(best)),
        Figure::new("Last robust accuracy", robust(last), note(last)),
        Figure::new("Gap", format::points(findings::gap(summary)), "best to last"),
        Figure::new("CAS, best", format::decimal(cas(best), 2), normalized(best)),
        Figure::new("CAS, last", format::decimal(cas(last), 2), normalized(last)),
        Figure::new("ΔCAS", format::signed(summary.delta_cas(), 2), "best to last"),
    ]
}

pub fn facts(started: &Started) -> Vec<(&'static str, String)> {
    let count = |value: u32| format::count(u64::from(value));
    vec![
        ("Device", format!("{} ({})", started.device, started.device_name)),
        ("Precision", started.precision.label().to_owned()),
        ("Parameters", format::count(started.parameters)),
        ("Features", count(started.feature_dim)),
        ("Training images", count(started.train_samples)),
        ("Wrong labels", count(started.noisy_labels)),
        ("Held-out images", count(started.holdout_samples)),
        ("Test images", count(started.test_samples)),
        ("Engine", format!("{}, libtorch {}", started.engine, started.libtorch)),
    ]
}

/// The worker's position inside an epoch.
#[component]
pub fn Phase(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    move || {
        let running = run.with(|run| run.state == RunState::Running);
        let progress = metrics.with(|metrics| metrics.progress.clone()).filter(|_| running)?;
        let text = format!("{} · epoch {} · step {} of {}", names::phase(progress.phase), progress.epoch, progress.step, progress.steps);
        Some(view! { <p class="muted">{text}</p> })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cas_is_set_against_the_classes_there_are_and_only_what_is_missing_is_called_so() {
        let epoch = |cas| Some(EpochSummary { epoch: 3, clean_accuracy: None, robust_accuracy: Some(0.5), cas });
        let notes = |last, classes, finished| {
            let summary = RunSummary { best: epoch(Some(14.73)), last, ..RunSummary::default() };
            let figures = figures(&summary, classes, finished);
            [figures[3].note.clone(), figures[4].note.clone()]
        };
        // An image folder: five classes, and `None` before a worker has read it.
        assert_eq!(notes(epoch(Some(5.0)), Some(5), true), ["73.7 % of the possible 20", "25.0 % of the possible 20"]);
        assert_eq!(notes(epoch(Some(5.0)), None, true), ["epoch 3", "epoch 3"]);
        assert_eq!(notes(epoch(None), Some(5), false)[1], "not measured yet");
        assert_eq!(notes(None, None, true)[1], "not measured");
    }
}
