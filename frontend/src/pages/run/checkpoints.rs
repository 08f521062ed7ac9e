//! The kept checkpoints of a run, and what can be measured of them.

use leptos::prelude::*;
use shared::api::{Run, path};
use shared::config::{Inputs, RunKind};
use shared::format;
use shared::id::{CheckpointId, CheckpointRef, RunId, Which};
use shared::record::Metrics;

use super::Selection;
use crate::components::dialog::Dialog;
use crate::components::measure_button::{MeasureButton, Measurement};
use crate::url_state::UrlState;
use crate::urls;
use crate::viewer::use_is_owner;

/// The kept epoch that is nearest to `epoch`.
pub fn nearest_checkpoint(metrics: &Metrics, epoch: u32) -> Option<u32> {
    nearest(&metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>(), epoch)
}

pub fn nearest(kept: &[u32], epoch: u32) -> Option<u32> {
    kept.iter().copied().min_by_key(|kept| kept.abs_diff(epoch))
}

/// The table of kept checkpoints. Arrow keys select a checkpoint, and the matrices follow.
#[component]
pub fn CheckpointTable(
    run: Memo<Run>,
    metrics: Memo<Metrics>,
    selection: UrlState<Selection>,
    selected: Memo<Option<u32>>,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let forks = is_owner && run.with_untracked(|run| run.config.as_train().is_some());
    let epochs =
        Memo::new(move |_| metrics.with(|metrics| metrics.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>()));
    let measuring = RwSignal::new(None::<Which>);
    // What a running run has as its best or last changes with the next epoch.
    let both = Signal::derive(move || {
        run.with(|run| {
            let name = |which| CheckpointRef { run: run.id.clone(), which };
            let both: Vec<CheckpointRef> = run.summary.best_and_last().into_iter().map(name).collect();
            if run.state.is_finished() && !both.is_empty() { vec![both] } else { Vec::new() }
        })
    });
    let all = Signal::derive(move || {
        run.with(|run| {
            let kept = |epoch: u32| CheckpointRef { run: run.id.clone(), which: Which::Epoch(epoch) };
            let all: Vec<CheckpointRef> = epochs.get().into_iter().map(kept).collect();
            if run.state.is_finished() { vec![all] } else { Vec::new() }
        })
    });
    let run_id = run.with_untracked(|run| run.id.clone());
    let row = move |epoch: u32| {
        let row = Memo::new(move |_| metrics.with(|metrics| CheckpointRow::of(metrics, epoch)));
        let id = run.with_untracked(|run| run.id.clone());
        let choose = move |_| selection.update(|selection| selection.epoch = Some(epoch));
        let name = format!("Epoch {epoch}");
        let links = is_owner.then(|| {
            let link = {
                let id = id.clone();
                move |inputs: Inputs, text: &'static str, there: bool| {
                    let label = format!("Heatmap of epoch {epoch}, {} inputs", inputs.id());
                    there.then(|| view! { <a href=urls::href(&urls::attribution(&id, epoch, inputs)) aria-label=label>{text}</a> })
                }
            };
            view! {
                <td>
                    <div class="row-links">
                        {move || row.with(|row| link(Inputs::Adversarial, "Adversarial", row.adversarial))}
                        {
                            let id = id.clone();
                            move || row.with(|row| row.clean).then(|| view! {
                                <a href=urls::href(&urls::attribution(&id, epoch, Inputs::Clean)) aria-label=format!("Heatmap of epoch {epoch}, clean inputs")>"Clean"</a>
                            })
                        }
                    </div>
                </td>
                <td>
                    <a rel="external" download="" href=path::checkpoint_file(&CheckpointId { run: id.clone(), epoch }) aria-label=move || row.with(|row| format!("{}: download epoch {epoch} as safetensors", format::bytes(row.size_bytes)))>
                        {move || row.with(|row| format::bytes(row.size_bytes))}
                    </a>
                </td>
                <td>
                    <button
                        class="link" type="button" aria-haspopup="dialog" aria-label=format!("Measure epoch {epoch}")
                        on:click=move |_| measuring.set(Some(row.with(|row| row.which(epoch))))
                    >"Measure …"</button>
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
        <div class="table-box table-box-tall" role="region" aria-label="Table of checkpoints" tabindex="0">
            <table class="table table-dense">
                <thead>
                    <tr>
                        <th scope="col">"Epoch"</th>
                        <th scope="col" class="number">"Clean"</th>
                        <th scope="col" class="number">"Robust"</th>
                        <th scope="col" class="number">"CAS"</th>
                        {is_owner.then(|| view! {
                            <th scope="col">"Heatmap"</th>
                            <th scope="col">"Weights"</th>
                            <th scope="col"><span class="visually-hidden">"Measure"</span></th>
                        })}
                    </tr>
                </thead>
                <tbody><For each=move || epochs.get() key=ToString::to_string children=row/></tbody>
            </table>
        </div>
        <div class="actions measurements">
            <MeasureButton measurement=Measurement::Reported checkpoints=both/>
            <MeasureButton measurement=Measurement::EpsCurve checkpoints=both/>
            <MeasureButton measurement=Measurement::Transfer checkpoints=all/>
            {forks.then(|| view! { <ForkLink run=run_id.clone() selected/> })}
        </div>
        {is_owner.then(|| view! { <MeasureDialog run=run_id checkpoint=measuring/> })}
    }
}

/// The form of a run that starts from the selected checkpoint.
#[component]
fn ForkLink(run: RunId, selected: Memo<Option<u32>>) -> impl IntoView {
    let link = move |epoch: u32| {
        view! {
            <a class="button button-small" href=urls::href(&urls::fork(&run, epoch)) title="Train on from this checkpoint, with another loss for example">
                {format!("Fork from epoch {epoch}")}
            </a>
        }
    };
    move || selected.get().map(&link)
}

/// Links to the forms of all measurements of a checkpoint.
#[component]
fn MeasureDialog(
    run: RunId,
    /// `None` while the dialog is closed.
    checkpoint: RwSignal<Option<Which>>,
) -> impl IntoView {
    let links = move |which: Which| {
        let at = |which| CheckpointRef { run: run.clone(), which };
        // The best checkpoint is compared with the last; any other epoch with the best.
        let other = if which == Which::Best { Which::Last } else { Which::Best };
        let link = |kind: RunKind, checkpoints: &[CheckpointRef], title: &'static str, text: &'static str| {
            let href = urls::href(&urls::new_of(kind, checkpoints));
            view! { <li><a href=href>{title}</a><p class="muted">{text}</p></li> }
        };
        view! {
            <ul class="measures">
                {link(RunKind::Evaluate, &[at(which)], "AutoAttack", "The robust accuracy that papers report, or PGD with restarts.")}
                {link(RunKind::EpsCurve, &[at(which)], "Curve over eps", "Accuracy and CAS under PGD from radius 0 to twice the usual one.")}
                {link(RunKind::Attribute, &[at(which)], "Attribution", "The matrix on other images, inputs, samples or layers, with intervals.")}
                {link(RunKind::Saliency, &[at(which), at(other)], "Grad-CAM", "Where it looks, beside the best or the last checkpoint on the same images.")}
                {link(RunKind::Pair, &[at(which), at(other)], "Pairs of classes", "The dimensions they share, the images behind them, and both without these.")}
            </ul>
        }
    };
    view! {
        <Dialog open=Signal::derive(move || checkpoint.with(Option::is_some)) close=move || checkpoint.set(None) title="Measure a checkpoint">
            {
                let links = links.clone();
                move || checkpoint.get().map(&links)
            }
        </Dialog>
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct CheckpointRow {
    is_best: bool,
    is_last: bool,
    clean_accuracy: Option<f64>,
    robust_accuracy: Option<f64>,
    /// CAS on adversarial inputs.
    cas: Option<f64>,
    adversarial: bool,
    clean: bool,
    size_bytes: u64,
}

impl CheckpointRow {
    /// How a configuration selects the checkpoint.
    fn which(&self, epoch: u32) -> Which {
        match (self.is_best, self.is_last) {
            (true, _) => Which::Best,
            (false, true) => Which::Last,
            (false, false) => Which::Epoch(epoch),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::super::tests::metrics;
    use super::*;

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
        assert_eq!((row.robust_accuracy, row.cas, row.size_bytes), (Some(0.6), Some(18.0), 7));
    }
}
