//! What one may do with the runs that are chosen in the table.

use std::sync::Arc;

use leptos::task::spawn_local;
use shared::api::RunRow;
use shared::format;
use shared::view::{Lens, View};

use super::delete::{DeleteRunsDialog, RunName};
use crate::components::labels::{Labels, LabelsDialog};
use crate::prelude::*;
use crate::reactive::{derived, memo};
use crate::rows::{Entry, Rows};
use crate::{api, place};

/// As many matrices as a comparison shows.
const MOST_COMPARED: usize = 6;

/// The runs that are chosen, by name, in the order in which they were.
pub type Choice = RwSignal<Vec<Arc<str>>>;

/// How many runs there are, or what to do with those that are chosen.
#[component]
pub fn ChoiceBar(rows: Rows, ids: Memo<Vec<Arc<str>>>, choice: Choice) -> impl IntoView {
    let chosen = derived(move || rows.table.with(|table| chosen(choice.get().iter().filter_map(|id| table.get(id)))));
    // What the buttons are depends on little of the runs: they are not made anew with every epoch.
    let comparison = memo(move || chosen.with(|runs| comparison(runs)));
    let (unfinished, all) = (
        memo(move || chosen.with(|runs| runs.iter().any(|run| !run.run.state.is_finished()))),
        memo(move || chosen.with(|runs| !runs.is_empty() && runs.iter().all(|run| run.run.state.is_finished()))),
    );
    let only = memo(move || chosen.with(|runs| if let [run] = runs.as_slice() { Some(run.run.id.clone()) } else { None }));
    let editing = RwSignal::new(None::<Labels>);
    let deleting = RwSignal::new(Vec::new());
    let edit = move |_| editing.set(chosen.with_untracked(|runs| runs.first().map(|run| Labels::from(&run.run))));
    let delete = move |_| {
        let name = |run: &Arc<Entry>| RunName { id: run.run.id.clone(), title: run.run.title.clone() };
        deleting.set(chosen.with_untracked(|runs| runs.iter().map(name).collect()));
    };
    let cancel = move |_| {
        for run in chosen.get_untracked().iter().filter(|run| !run.run.state.is_finished()) {
            let address = format!("api/runs/{}/cancel", run.run.id);
            spawn_local(async move {
                // A run that has ended meanwhile refuses; the table then says that it has.
                let _ = api::post_empty(&address).await;
                rows.refresh();
            });
        }
    };
    let deleted = move || {
        choice.set(Vec::new());
        rows.refresh();
    };
    let counted = move || {
        let (all, found) = (rows.table.with(|table| table.len()), ids.with(Vec::len));
        match chosen.with(Vec::len) {
            0 if found == all => format!("{} {}", format::count(all as u64), if all == 1 { "run" } else { "runs" }),
            0 => format!("{} of {} runs", format::count(found as u64), format::count(all as u64)),
            chosen => format!("{} chosen", format::count(chosen as u64)),
        }
    };
    let buttons = move || {
        view! {
            {move || match comparison.get() {
                Ok(address) => view! { <a class="button button-small button-primary" href=place::href(&address)>"Compare"</a> }.into_any(),
                Err(why) => view! { <span class="choice-hint">{why}</span> }.into_any(),
            }}
            {move || only.get().map(|id| view! {
                <button class="button button-small" type="button" aria-haspopup="dialog" on:click=edit>"Edit"</button>
                <a class="button button-small" href=place::href(&place::new_from(&id))>"Duplicate"</a>
            })}
            <Show when=move || unfinished.get()>
                <button class="button button-small button-danger" type="button" on:click=cancel>"Cancel"</button>
            </Show>
            <Show when=move || all.get()>
                <button class="button button-small button-danger" type="button" aria-haspopup="dialog" on:click=delete>"Delete"</button>
            </Show>
            <button class="button button-small button-quiet" type="button" on:click=move |_| choice.set(Vec::new())>"Choose none"</button>
        }
    };
    view! {
        <div class="choice-bar" role="group" aria-label="Chosen runs">
            <span class="choice-count" role="status">{move || counted()}</span>
            <Show when=move || chosen.with(|runs| !runs.is_empty()) fallback=|| view! { <span class="choice-hint">"Choose two to six to compare them"</span> }>
                {buttons()}
            </Show>
        </div>
        <LabelsDialog of=editing done=move || rows.refresh()/>
        <DeleteRunsDialog runs=deleting done=deleted/>
    }
}

fn chosen<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> Vec<Arc<Entry>> {
    entries.cloned().collect()
}

/// The address that compares the best checkpoints of the runs, or why there is none.
fn comparison(runs: &[Arc<Entry>]) -> Result<String, String> {
    if runs.len() < 2 {
        return Err("Choose another to compare".to_owned());
    }
    if runs.len() > MOST_COMPARED {
        return Err(format!("At most {MOST_COMPARED} can be compared"));
    }
    let id = |run: &RunRow| {
        let epoch = run.best.as_ref().filter(|best| best.cas.is_some())?.epoch;
        Some(place::attribution_id(&run.id, epoch, shared::config::Inputs::Adversarial))
    };
    if let Some(without) = runs.iter().find(|run| id(&run.run).is_none()) {
        return Err(format!("{} has no matrix of its best checkpoint", without.run.id));
    }
    let first = runs.first().and_then(|run| run.run.dataset);
    if let Some(other) = runs.iter().find(|run| run.run.dataset != first) {
        return Err(format!("{} is of another data set", other.run.id));
    }
    let ids = runs.iter().filter_map(|run| id(&run.run)).collect();
    Ok(View::Compare { ids, of: 1, lens: Lens::default() }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::row;
    use shared::api::EpochSummary;
    use shared::dataset::Dataset;

    fn entry(run: RunRow) -> Arc<Entry> {
        Arc::new(Entry { run, words: String::new() })
    }

    fn measured(id: &str, epoch: u32) -> Arc<Entry> {
        let best = Some(EpochSummary { epoch, clean_accuracy: None, robust_accuracy: None, cas: Some(9.0) });
        entry(RunRow { best, ..row(id) })
    }

    #[test]
    fn the_best_checkpoints_of_two_to_six_runs_are_compared() {
        let runs: Vec<_> = (1..=7).map(|number| measured(&format!("r-{number}"), number)).collect();
        assert_eq!(comparison(&runs[..2]).unwrap(), "/compare?a=r-1.e1.adversarial&b=r-2.e2.adversarial");
        assert!(comparison(&runs[..6]).unwrap().ends_with("&f=r-6.e6.adversarial"));
        assert_eq!(comparison(&runs).unwrap_err(), "At most 6 can be compared");
        assert_eq!(comparison(&runs[..1]).unwrap_err(), "Choose another to compare");
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let found = comparison(&[measured("r-1", 1), entry(row("r-2"))]);
        assert_eq!(found.unwrap_err(), "r-2 has no matrix of its best checkpoint");
        let other = measured("r-3", 1);
        let other = entry(RunRow { dataset: Some(Dataset::Cifar100), ..other.run.clone() });
        assert_eq!(comparison(&[measured("r-1", 1), other]).unwrap_err(), "r-3 is of another data set");
    }
}
