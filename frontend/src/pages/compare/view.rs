//! The view of a comparison. Readers of a share see the same.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Attribution, Comparison};
use shared::chart::comparison::{LETTERS, Panel, arrangement, panels, side_name};
use shared::chart::figure::checkpoint_name;
use shared::config::{Inputs, RunKind};
use shared::format;
use shared::id::{CheckpointId, CheckpointRef, Which};
use shared::signs::{Sign, of_attribution};
use shared::view::{Lens, Show};

use super::flicker::Flicker;
use super::interference::InterferenceCompared;
use super::pairs::{ChangedPairs, SelectedPair};
use super::scatter::ScatterPanel;
use crate::components::dossier::Dossier;
use crate::components::explorer::Explorer;
use crate::components::heatmap::{HeatmapView, MatrixTable};
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::{LensBar, Segments, hidden_cells};
use crate::components::measure_button::{MeasureButton, Measurement};
use crate::components::signs::Signs;
use crate::latest::latest;
use crate::theme::use_theme;
use crate::url_state::UrlState;
use crate::viewer::use_is_owner;
use crate::{findings, urls};

const SHOWS: [(Show, &str); 4] =
    [(Show::Values, "Side by side"), (Show::Difference, "Difference"), (Show::Split, "Split"), (Show::Flicker, "Flicker")];

#[component]
pub fn ComparisonView(
    comparison: Memo<Arc<Comparison>>,
    explorer: Explorer,
    /// Index of the side whose cosines are plotted against A.
    of: UrlState<usize>,
) -> impl IntoView {
    let theme = use_theme();
    let plain_lens = Memo::new(move |_| Lens { cell: None, ..explorer.lens.get() });
    let ordering = Memo::new(move |_| explorer.lens.get().ordering());
    // Clustering is slow. This memo keeps it from running with every step of a zoom or a slider.
    let arrangement = Memo::new(move |_| comparison.with(|comparison| arrangement(comparison, &ordering.get())));
    let shown = Memo::new(move |_| {
        comparison.with(|comparison| arrangement.with(|arrangement| panels(comparison, arrangement, &plain_lens.get(), theme.get())))
    });
    let show = Memo::new(move |_| plain_lens.get().show);
    let count = Memo::new(move |_| shown.with(Vec::len));
    let grid = move || {
        if show.get() == Show::Flicker {
            return view! { <Flicker panels=shown explorer/> }.into_any();
        }
        let class = format!("compare-grid compare-grid-{}", count.get().min(3));
        let panel = move |index: usize| view! { <PanelView panels=shown index explorer/> };
        view! { <div class=class>{(0..count.get()).map(panel).collect_view()}</div> }.into_any()
    };
    let pair = Memo::new(move |_| comparison.with(|comparison| comparison.attributions.len() == 2));
    let names = Memo::new(move |_| comparison.with(|comparison| comparison.baseline().file.class_names.clone()));
    // The dossier is about the first side after the baseline.
    let subject = Memo::new(move |_| comparison.with(|comparison| Arc::new(comparison.attributions[1].clone())));
    let baseline = Memo::new(move |_| comparison.with(|comparison| Some(Arc::new(comparison.baseline().clone()))));
    let figures = Signal::derive(move || comparison.with(|comparison| figures(comparison)));
    let sentence = move || comparison.with(|comparison| finding(comparison));
    view! {
        {move || if pair.get() { view! { <KeyFigures figures/> }.into_any() } else { view! { <Summary comparison/> }.into_any() }}
        {move || sentence().map(|sentence| view! { <p class="finding">{sentence}</p> })}
        <Signs signs=Signal::derive(move || comparison.with(|comparison| signs(comparison)))/>
        <div class="lens-row">
            <Segments
                legend="Show" name="show" options=SHOWS.to_vec() value=show.into()
                set=move |show| explorer.lens.update(|lens| lens.show = show)
            />
            <LensBar explorer names hidden=Signal::derive(move || shown.with(|shown| shown.iter().map(|panel| hidden_cells(&panel.heatmap)).sum()))/>
        </div>
        {move || grid()}
        <SelectedPair comparison explorer/>
        <Intervals comparison/>
        <MeasureButton measurement=Measurement::Reported checkpoints=Signal::derive(move || comparison.with(|comparison| vec![compared(comparison)]))/>
        <div class="pair-of-panels">
            <ScatterPanel comparison explorer theme of/>
            <ChangedPairs comparison explorer/>
        </div>
        <InterferenceCompared comparison theme/>
        <ClassTable comparison/>
        <Dossier subject baseline explorer/>
    }
}

/// Signs that a robust accuracy of a side is broken, with the side.
fn signs(comparison: &Comparison) -> Vec<Sign> {
    let of_side = |(index, attribution): (usize, &Attribution)| {
        let side = format!("{}, {}", LETTERS[index], side_name(comparison, index));
        of_attribution(attribution).into_iter().map(move |sign| sign.at(&side))
    };
    comparison.attributions.iter().enumerate().flat_map(of_side).collect()
}

/// The compared checkpoints, each once.
fn compared(comparison: &Comparison) -> Vec<CheckpointRef> {
    let mut checkpoints: Vec<CheckpointRef> = Vec::new();
    for attribution in &comparison.attributions {
        let CheckpointId { run, epoch } = attribution.file.checkpoint_id(&attribution.context.run);
        let checkpoint = CheckpointRef { run, which: Which::Epoch(epoch) };
        if !checkpoints.contains(&checkpoint) {
            checkpoints.push(checkpoint);
        }
    }
    checkpoints
}

/// One of the matrices shown.
#[component]
fn PanelView(panels: Memo<Vec<Panel>>, index: usize, explorer: Explorer) -> impl IntoView {
    // When there are fewer panels, the removed ones still exist for a moment.
    let at_index = move || panels.with(|panels| panels.get(index).cloned());
    let panel = latest(untrack(at_index)?, at_index);
    let name = Signal::derive(move || panel.with(|panel| panel.name.clone()));
    let heatmap = Memo::new(move |_| panel.with(|panel| panel.heatmap.clone()));
    let view = view! {
        <section class="panel compare-panel" aria-label=move || name.get()>
            <h2>{move || name.get()}</h2>
            <HeatmapView name heatmap explorer/>
            <MatrixTable heatmap/>
        </section>
    };
    Some(view)
}

fn figures(comparison: &Comparison) -> Vec<Figure> {
    let Some((b, difference)) = comparison.others().next() else { return Vec::new() };
    let a = comparison.baseline();
    let change = |from: Option<f64>, to: Option<f64>| format::points(from.zip(to).map(|(from, to)| to - from));
    let arrow = |from: String, to: String| format!("{from} → {to}");
    vec![
        Figure::new("ΔCAS", format::signed(difference.delta_cas, 2), arrow(format::decimal(a.file.cas, 2), format::decimal(b.file.cas, 2))),
        Figure::new(
            "Δ CAS / K(K−1)",
            format::signed(b.file.cas_normalized - a.file.cas_normalized, 4),
            arrow(format::decimal(a.file.cas_normalized, 4), format::decimal(b.file.cas_normalized, 4)),
        ),
        Figure::new(
            "Robust accuracy",
            change(a.context.robust_accuracy, b.context.robust_accuracy),
            arrow(format::percent(a.context.robust_accuracy), format::percent(b.context.robust_accuracy)),
        ),
        Figure::new(
            "Clean accuracy",
            change(a.context.clean_accuracy, b.context.clean_accuracy),
            arrow(format::percent(a.context.clean_accuracy), format::percent(b.context.clean_accuracy)),
        ),
    ]
}

/// A table for more than two sides: the numbers of each, with the change from the baseline.
#[component]
fn Summary(comparison: Memo<Arc<Comparison>>) -> impl IntoView {
    let rows = move || {
        comparison.with(|comparison| {
            let baseline = comparison.baseline();
            let row = |index: usize| {
                let attribution = &comparison.attributions[index];
                let number = |value: String, change: Option<String>| {
                    view! { <td class="number">{value}{change.filter(|_| index > 0).map(|change| view! { " " <span class="muted">{change}</span> })}</td> }
                };
                let points = |of: fn(&Attribution) -> Option<f64>| {
                    let change = of(attribution).zip(of(baseline)).map(|(now, then)| format::points(now - then));
                    number(format::percent(of(attribution)), change)
                };
                let file = &attribution.file;
                view! {
                    <tr>
                        <th scope="row">{LETTERS[index]}": "{side_name(comparison, index)}</th>
                        {number(format::decimal(file.cas, 2), Some(format::signed(file.cas - baseline.file.cas, 2)))}
                        {number(format::decimal(file.cas_normalized, 4), Some(format::signed(file.cas_normalized - baseline.file.cas_normalized, 4)))}
                        {points(|attribution| attribution.context.robust_accuracy)}
                        {points(|attribution| attribution.context.clean_accuracy)}
                    </tr>
                }
            };
            (0..comparison.attributions.len()).map(row).collect_view()
        })
    };
    view! {
        <div class="table-box" role="region" aria-label="Summary" tabindex="0">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"Checkpoint"</th>
                        <th scope="col" class="number">"CAS"</th>
                        <th scope="col" class="number">"CAS / K(K−1)"</th>
                        <th scope="col" class="number">"Robust accuracy"</th>
                        <th scope="col" class="number">"Clean accuracy"</th>
                    </tr>
                </thead>
                <tbody>{move || rows()}</tbody>
            </table>
        </div>
    }
}

/// A sentence on the change from A to B; `None` for more than two sides, where the table is clearer. Adds the
/// paper's finding if best and last of one run are compared and CAS did not fall.
fn finding(comparison: &Comparison) -> Option<String> {
    let [a, b] = comparison.attributions.as_slice() else { return None };
    let measured = |side: &str, attribution: &Attribution| findings::Measured {
        name: format!("{side}, {}", checkpoint_name(attribution)),
        robust_accuracy: attribution.context.robust_accuracy,
        cas: Some(attribution.file.cas),
    };
    let sentence = findings::change(&measured("A", a), &measured("B", b))?;
    let as_in_paper = a.context.run == b.context.run
        && a.context.is_best
        && b.context.is_last
        && !b.context.is_best
        && b.file.inputs == Inputs::Adversarial;
    Some(if as_in_paper { findings::with_paper(sentence, Some(a.file.cas), Some(b.file.cas)) } else { sentence })
}

/// How many differences are larger than the intervals, or how to measure intervals.
#[component]
fn Intervals(comparison: Memo<Arc<Comparison>>) -> impl IntoView {
    let is_owner = use_is_owner();
    let missing = |comparison: &Comparison| -> Vec<CheckpointId> {
        let without = comparison
            .attributions
            .iter()
            .filter(|attribution| attribution.file.bootstrap.as_ref().is_none_or(|bootstrap| bootstrap.cells().is_none()));
        let mut ids: Vec<CheckpointId> = without.map(|attribution| attribution.file.checkpoint_id(&attribution.context.run)).collect();
        ids.dedup();
        ids
    };
    move || {
        comparison.with(|comparison| {
            let missing = missing(comparison);
            if missing.is_empty() {
                let counts: Vec<(usize, usize)> =
                    comparison.others().filter_map(|(_, difference)| Some(unresolved_pairs(difference.unresolved.as_ref()?))).collect();
                return view! { <p class="muted">{resolution(&counts)}</p> }.into_any();
            }
            // A new measurement is a run of its own, whose matrix can be chosen above.
            let link = |id: &CheckpointId| {
                let href = urls::href(&urls::new_of(RunKind::Attribute, &[id.clone().into()]));
                is_owner.then(|| view! { " " <a href=href>{format!("Measure {id} with intervals")}</a> })
            };
            view! {
                <p class="muted">
                    "Which differences are larger than chance is not known: "
                    {if missing.len() == 1 { "one of the matrices has" } else { "some of the matrices have" }}
                    " no intervals."
                    {missing.iter().map(link).collect_view()}
                </p>
            }
            .into_any()
        })
    }
}

/// Describes how many pairs of each difference to A lie inside the intervals. `counts`: unresolved pairs and
/// all pairs.
fn resolution(counts: &[(usize, usize)]) -> String {
    let told: Vec<String> =
        counts.iter().zip(&LETTERS[1..]).map(|((inside, pairs), letter)| format!("{inside} of {pairs} pairs of {letter} − A")).collect();
    format!("Inside the 95 % intervals, so perhaps chance: {}.", told.join(", "))
}

/// The number of unresolved pairs, and of all pairs.
fn unresolved_pairs(unresolved: &[Vec<bool>]) -> (usize, usize) {
    let pairs = || unresolved.iter().enumerate().flat_map(|(i, row)| row.iter().skip(i + 1));
    (pairs().filter(|unresolved| **unresolved).count(), pairs().count())
}

/// Accuracies of each class side by side, on the inputs of each matrix.
#[component]
fn ClassTable(comparison: Memo<Arc<Comparison>>) -> impl IntoView {
    let heads = move || {
        let count = comparison.with(|comparison| comparison.attributions.len());
        LETTERS[..count].iter().map(|letter| view! { <th scope="col">{*letter}</th> }).collect_view()
    };
    let rows = move || {
        comparison.with(|comparison| {
            let cell = |class: usize, index: usize| {
                let accuracy = |index: usize| comparison.attributions[index].file.class_accuracy.get(class).copied();
                let change = accuracy(index).zip(accuracy(0)).map(|(now, then)| format::points(now - then)).filter(|_| index > 0);
                view! {
                    <td class="class-cell">
                        <span class="bar" style:width=format!("{:.1}%", accuracy(index).unwrap_or_default() * 100.0)></span>
                        <span class="class-numbers"><span>{format::percent(accuracy(index))}</span>{change.map(|change| view! { <span class="muted">{change}</span> })}</span>
                    </td>
                }
            };
            let row = |(class, name): (usize, &String)| {
                let cells = (0..comparison.attributions.len()).map(|index| cell(class, index)).collect_view();
                view! { <tr><th scope="row">{name.clone()}</th>{cells}</tr> }
            };
            comparison.baseline().file.class_names.iter().enumerate().map(row).collect_view()
        })
    };
    view! {
        <section class="panel" aria-labelledby="classes-title">
            <h2 id="classes-title">"Accuracy by class"</h2>
            <p class="muted">"On the inputs of each matrix; changes are to A."</p>
            <div class="table-box table-box-tall" role="region" aria-label="Accuracy by class" tabindex="0">
                <table class="table table-dense class-table">
                    <thead><tr><th scope="col">"Class"</th>{move || heads()}</tr></thead>
                    <tbody>{move || rows()}</tbody>
                </table>
            </div>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_once() {
        assert_eq!(
            resolution(&[(2, 45), (7, 45)]),
            "Inside the 95 % intervals, so perhaps chance: 2 of 45 pairs of B − A, 7 of 45 pairs of C − A."
        );
        assert_eq!(unresolved_pairs(&[vec![true, true, false], vec![true, true, false], vec![false, false, true]]), (1, 3));
    }
}
