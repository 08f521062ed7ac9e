//! The view of a run with epochs, trained or imported: figures, curves, checkpoints and configuration.

use leptos::prelude::*;
use shared::api::{Attribution, EpochSummary, Run, RunState, RunSummary};
use shared::chart::curves::Curves;
use shared::format;
use shared::id::AttributionId;
use shared::record::{Metrics, Started};
use shared::signs::of_training;

use super::Selection;
use super::checkpoints::{CheckpointTable, nearest_checkpoint};
use super::measured_checkpoints::CheckpointName;
use super::scrubber::Scrubber;
use super::selected_checkpoint::SelectedCheckpointView;
use crate::cache::Cache;
use crate::components::curves::{CurvesView, EpochTable};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::signs::Signs;
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
    let summary = Memo::new(move |_| run.with(|run| run.summary.clone()));
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
        <Signs signs=Signal::derive(move || metrics.with(of_training))/>
        {move || sentence.get().map(|sentence| view! { <p class="finding">{sentence}</p> })}
        <div class="run-columns">
        <Show when=move || has_curves.get()>
        <section class="panel" aria-labelledby="curves-title">
            <div class="panel-header">
                <h2 id="curves-title">"Training"</h2>
                <Phase run metrics/>
            </div>
            <ForkLine run/>
            <LeftOutLine run/>
            <CurvesView curves lens axes selected on_choose=choose/>
            <Scrubber metrics curves axes=axes.into() selected selection/>
            <p class="muted">
                {if by_holdout {
                    "Best: highest robust accuracy on held-out training images."
                } else {
                    "Best: highest robust accuracy on the test set, as in the paper."
                }}
            </p>
            <ChoicesOfBest summary/>
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

/// Names the checkpoint that a run started from, with a link.
#[component]
fn ForkLine(run: Memo<Run>) -> impl IntoView {
    let start = run.with_untracked(|run| run.config.as_train().and_then(|config| config.start_from.clone()));
    start.map(|checkpoint| {
        view! { <p class="muted">"A fork of "<CheckpointName checkpoint/>": paler curves up to there are those of that run."</p> }
    })
}

/// Names the features that a run does without.
#[component]
fn LeftOutLine(run: Memo<Run>) -> impl IntoView {
    let left_out = run.with_untracked(|run| run.config.as_train().map(|config| config.training.left_out_features.clone()));
    left_out.filter(|features| !features.is_empty()).map(|features| {
        let (noun, named) = match features.as_slice() {
            [feature] => ("feature", feature.to_string()),
            features => ("features", features.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
        };
        view! { <p class="muted">{format!("Trained without the {noun} {named}: no logit depends on them.")}</p> }
    })
}

/// What the choice of the best epoch by held-out images costs, and what a choice by the test images would claim.
#[component]
fn ChoicesOfBest(summary: Memo<RunSummary>) -> impl IntoView {
    let row = |Choice { by, numbers }: Choice| {
        let cells = numbers.map(|number| view! { <td class="number">{number}</td> }).collect_view();
        view! { <tr><th scope="row">{by}</th>{cells}</tr> }
    };
    let table = move |choices: [Choice; 3]| {
        view! {
            <div class="table-box" role="region" aria-label="Choice of the best epoch" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Best by"</th>
                            {CHOICE_HEADS.map(|head| view! { <th scope="col" class="number">{head}</th> }).collect_view()}
                        </tr>
                    </thead>
                    <tbody>{choices.map(row).collect_view()}</tbody>
                </table>
            </div>
        }
    };
    move || summary.with(choices).map(table)
}

const CHOICE_HEADS: [&str; 5] = ["Epoch", "Robust", "Clean", "CAS", "CAS to last"];

/// A way to choose the best epoch, and what it leads to; or the difference of two.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    by: &'static str,
    /// In the order of [`CHOICE_HEADS`].
    numbers: [String; 5],
}

/// Both choices and the second less the first; `None` where no images are held out.
fn choices(summary: &RunSummary) -> Option<[Choice; 3]> {
    let (held_out, test, last) = (summary.best.as_ref()?, summary.best_by_test.as_ref()?, summary.last.as_ref()?);
    let change = |from: Option<f64>, to: Option<f64>| Some(to? - from?);
    let of = |by: &'static str, best: &EpochSummary| {
        let numbers = [
            best.epoch.to_string(),
            format::percent(best.robust_accuracy),
            format::percent(best.clean_accuracy),
            format::decimal(best.cas, 2),
            format::signed(change(best.cas, last.cas), 2),
        ];
        Choice { by, numbers }
    };
    let difference = Choice {
        by: "Difference",
        numbers: [
            format::signed(f64::from(test.epoch) - f64::from(held_out.epoch), 0),
            format::points(change(held_out.robust_accuracy, test.robust_accuracy)),
            format::points(change(held_out.clean_accuracy, test.clean_accuracy)),
            format::signed(change(held_out.cas, test.cas), 2),
            format::signed(change(test.cas, held_out.cas), 2),
        ],
    };
    Some([of("Held-out images", held_out), of("Test images", test), difference])
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
    fn the_best_by_test_images_is_set_beside_that_by_held_out_ones() {
        let epoch = |epoch, robust, cas| {
            Some(EpochSummary { epoch, clean_accuracy: Some(0.8), robust_accuracy: Some(robust), cas: Some(cas), signs: Vec::new() })
        };
        let mut summary = RunSummary { best: epoch(12, 0.48, 9.0), last: epoch(20, 0.4, 7.0), ..RunSummary::default() };
        assert_eq!(choices(&summary), None);
        summary.best_by_test = epoch(10, 0.5, 9.5);
        let [held_out, test, difference] = choices(&summary).unwrap();
        assert_eq!(held_out.numbers, ["12", "48.0 %", "80.0 %", "9.00", "−2.00"]);
        assert_eq!(test.numbers, ["10", "50.0 %", "80.0 %", "9.50", "−2.50"]);
        assert_eq!(difference.numbers, ["−2", "+2.0 pp", "+0.0 pp", "+0.50", "−0.50"]);
    }

    #[test]
    fn a_cas_is_set_against_the_classes_there_are_and_only_what_is_missing_is_called_so() {
        let epoch = |cas| Some(EpochSummary { epoch: 3, clean_accuracy: None, robust_accuracy: Some(0.5), cas, signs: Vec::new() });
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
