//! Chooses the compared matrices and the baseline among them.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use shared::api::{RunRow, path};
use shared::chart::comparison::LETTERS;
use shared::config::Inputs;
use shared::id::{AttributionId, RunId};
use shared::record::Metrics;
use shared::view::SIDES;

use super::{Shown, Sides, address};
use crate::browser::use_open;
use crate::components::run_picker::RunPicker;
use crate::load::fetched;
use crate::rows::{Rows, use_rows};
use crate::urls;

#[component]
pub fn Pickers(sides: Memo<Sides>, shown: Memo<Shown>) -> impl IntoView {
    let rows = use_rows();
    rows.keep_fresh();
    // An added side is in the URL only after its matrix is chosen.
    let adding = RwSignal::new(false);
    let navigate = StoredValue::new_local(use_open());
    let change = Callback::new(move |(change,): (Change,)| {
        adding.set(false);
        let sides = changed(&sides.get_untracked(), change);
        let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
        navigate.with_value(|navigate| navigate(&address(&sides, &shown.get_untracked()), options));
    });
    let count = Memo::new(move |_| sides.with(Vec::len) + usize::from(adding.get()));
    let picker = move |index: usize| {
        let id = Memo::new(move |_| sides.with(|sides| sides.get(index).cloned().flatten()));
        let removable = Signal::derive(move || count.get() > 2);
        let remove = move || {
            // A side that was only added is not in the URL yet.
            if index >= sides.with_untracked(Vec::len) {
                adding.set(false);
            } else {
                change.run((Change::Remove(index),));
            }
        };
        view! { <Picker index rows id removable change remove=Callback::new(move |()| remove())/> }
    };
    let complete = Memo::new(move |_| sides.with(|sides| sides.iter().all(Option::is_some)));
    view! {
        <form class="pickers" aria-label="What is compared" on:submit=|event| event.prevent_default()>
            <For each=move || 0..count.get() key=ToString::to_string children=picker/>
            <Show when=move || complete.get() && count.get() < SIDES.len() && !adding.get()>
                <button class="button picker-add" type="button" on:click=move |_| adding.set(true)>"Add a checkpoint"</button>
            </Show>
        </form>
    }
}

/// A change of the sides.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Choose(usize, AttributionId),
    Remove(usize),
    /// Makes this side the baseline; the former baseline takes its place.
    Baseline(usize),
}

fn changed(sides: &[Option<AttributionId>], change: Change) -> Sides {
    let mut sides = sides.to_vec();
    match change {
        Change::Choose(index, id) if index < sides.len() => sides[index] = Some(id),
        Change::Choose(_, id) => sides.push(Some(id)),
        Change::Remove(index) => {
            sides.remove(index);
        }
        Change::Baseline(index) => sides.swap(0, index),
    }
    sides
}

/// Which checkpoint of a run is suggested first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Best,
    Last,
}

/// A matrix of a run that can be chosen.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    id: AttributionId,
    inputs: Inputs,
    is_best: bool,
    is_last: bool,
    name: String,
}

impl Choice {
    /// The matrices of a run, sorted by epoch.
    fn all(run: &RunId, metrics: &Metrics) -> Vec<Self> {
        let (best, last) = (metrics.best().map(|epoch| epoch.epoch), metrics.last().map(|epoch| epoch.epoch));
        let choice = |entry: &shared::record::AttributionEntry| {
            let (is_best, is_last) = (best == Some(entry.epoch), last == Some(entry.epoch));
            let tag = match (is_best, is_last) {
                (true, true) => ", best and last",
                (true, false) => ", best",
                (false, true) => ", last",
                (false, false) => "",
            };
            Choice {
                id: urls::attribution_id(run, entry.epoch, entry.inputs),
                inputs: entry.inputs,
                is_best,
                is_last,
                name: format!("Epoch {}{tag} · {}", entry.epoch, entry.inputs.id()),
            }
        };
        metrics.attributions.iter().map(choice).collect()
    }
}

impl First {
    fn of(self, choices: &[Choice], inputs: Inputs) -> Option<AttributionId> {
        let alike = || choices.iter().filter(|choice| choice.inputs == inputs);
        let wanted = |choice: &&Choice| match self {
            First::Best => choice.is_best,
            First::Last => choice.is_last,
        };
        let found = alike().find(wanted).or_else(|| alike().next_back()).or_else(|| choices.last());
        found.map(|choice| choice.id.clone())
    }
}

fn has_matrices(run: &RunRow) -> bool {
    run.best.is_some() || run.cas.is_some()
}

/// Chooses a run and one of its matrices.
#[component]
fn Picker(
    index: usize,
    rows: Rows,
    id: Memo<Option<AttributionId>>,
    removable: Signal<bool>,
    change: Callback<(Change,)>,
    remove: Callback<()>,
) -> impl IntoView {
    let side = LETTERS[index];
    let first = if index == 0 { First::Best } else { First::Last };
    let choose = move |id: AttributionId| change.run((Change::Choose(index, id),));
    let run = RwSignal::new(None::<RunId>);
    Effect::new(move || run.set(id.get().map(|id| id.run)));
    let metrics = fetched::<Metrics>(move || run.get().map(|run| path::run_metrics(&run)));
    let choices = Memo::new(move |_| match (run.get(), metrics.ready()) {
        (Some(run), Some(metrics)) => Choice::all(&run, &metrics),
        _ => Vec::new(),
    });
    // Whether the run was just chosen and its matrix is not chosen yet.
    let waiting = RwSignal::new(false);
    Effect::new(move || {
        let (Some(_), true) = (metrics.ready(), waiting.get()) else { return };
        waiting.set(false);
        let inputs = id.get_untracked().map_or(Inputs::Adversarial, |id| id.inputs);
        if let Some(id) = first.of(&choices.get_untracked(), inputs) {
            choose(id);
        }
    });
    let choose_run = Callback::new(move |(chosen,): (Option<RunId>,)| {
        metrics.state.set(crate::load::Load::Loading);
        waiting.set(true);
        run.set(chosen);
    });
    let matrix_options = move || {
        let option = |choice: Choice| {
            let value = choice.id.to_string();
            let selected = move || id.with(|id| id.as_ref() == Some(&choice.id));
            view! { <option value=value prop:selected=selected>{choice.name}</option> }
        };
        // An id from the URL is shown even if the run does not have it.
        let unknown = id.get().filter(|id| choices.with(|choices| choices.iter().all(|choice| choice.id != *id)));
        let unknown = unknown.map(|id| view! { <option selected=true value=id.to_string()>{id.to_string()}</option> });
        view! { {unknown}{choices.get().into_iter().map(option).collect_view()} }
    };
    let (run_id, matrix_id) = (format!("pick-run-{side}"), format!("pick-matrix-{side}"));
    view! {
        <fieldset class="picker">
            <legend>{if index == 0 { format!("{side}, the baseline") } else { side.to_owned() }}</legend>
            <RunPicker
                id=run_id label=format!("Run {side}") label_hidden=true rows value=run choose=choose_run offers=has_matrices
                invalid=Signal::stored(None)
            />
            <div>
                <label class="visually-hidden" for=matrix_id.clone()>{format!("Checkpoint {side}")}</label>
                <select class="input" id=matrix_id disabled=move || run.with(Option::is_none) on:change=move |event| event_target_value(&event).parse().into_iter().for_each(choose)>
                    <option value="" disabled prop:selected=move || id.with(Option::is_none)>"Choose a checkpoint"</option>
                    {move || matrix_options()}
                </select>
            </div>
            <p class="actions picker-actions">
                {(index > 0).then(|| view! {
                    <button
                        class="link" type="button" disabled=move || id.with(Option::is_none)
                        aria-label=format!("Make the baseline: {side}") on:click=move |_| change.run((Change::Baseline(index),))
                    >"Make the baseline"</button>
                })}
                <Show when=move || removable.get()>
                    <button class="link link-danger" type="button" aria-label=format!("Remove {side}") on:click=move |_| remove.run(())>"Remove"</button>
                </Show>
            </p>
        </fieldset>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::fixtures;
    use shared::record::{Epoch, Record};

    fn metrics() -> Metrics {
        let epoch = |epoch, robust| Record::Epoch(Epoch { test_robust_accuracy: Some(robust), ..fixtures::epoch(epoch) });
        let entry = |epoch, inputs| Record::Attribution(fixtures::matrix_of(epoch, inputs, 1.0));
        let (adversarial, clean) = (Inputs::Adversarial, Inputs::Clean);
        let entries = [entry(3, adversarial), entry(3, clean), entry(6, adversarial), entry(9, clean)];
        Metrics::from_records([epoch(3, 0.6), epoch(6, 0.5), epoch(9, 0.4)].into_iter().chain(entries))
    }

    #[test]
    fn a_run_starts_with_its_best_on_one_side_and_its_last_on_the_other() {
        let choices = Choice::all(&"r".parse().unwrap(), &metrics());
        assert_eq!(choices[0].name, "Epoch 3, best · adversarial");
        assert_eq!(First::Best.of(&choices, Inputs::Adversarial).unwrap().to_string(), "r.e3.adversarial");
        assert_eq!(First::Last.of(&choices, Inputs::Clean).unwrap().to_string(), "r.e9.clean");
        assert_eq!(First::Last.of(&choices, Inputs::Adversarial).unwrap().to_string(), "r.e6.adversarial", "the newest that has one");
        assert_eq!(First::Best.of(&[], Inputs::Clean), None);
    }

    #[test]
    fn sides_are_chosen_added_removed_and_made_the_baseline() {
        let id = |epoch: u32| urls::attribution_id(&"r".parse().unwrap(), epoch, Inputs::Clean);
        let sides = |epochs: &[u32]| -> Sides { epochs.iter().map(|epoch| Some(id(*epoch))).collect() };
        let from = sides(&[1, 2, 3]);
        assert_eq!(changed(&from, Change::Choose(1, id(4))), sides(&[1, 4, 3]));
        assert_eq!(changed(&from, Change::Choose(3, id(4))), sides(&[1, 2, 3, 4]));
        assert_eq!(changed(&from, Change::Remove(0)), sides(&[2, 3]));
        assert_eq!(changed(&from, Change::Baseline(2)), sides(&[3, 2, 1]));
    }
}
