//! Actions on the chosen runs of the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use shared::api::{RunAction, RunRow};
use shared::format;
use shared::id::RunId;
use shared::view::{Lens, View};

use crate::components::labels::{Labels, LabelsDialog};
use crate::components::run_actions::{ConcernedRun, Question, Report, RunActionsDialog, can, is_danger, verb};
use crate::rows::{Entry, Rows};
use crate::urls;

/// The largest number of sides in a comparison.
const MOST_COMPARED: usize = 6;

/// Ids of the chosen runs, in the order in which they were chosen.
pub type Choice = RwSignal<Vec<RunId>>;

/// What the bar shows of the chosen runs. The bar is redrawn only when this changes, not with every epoch.
#[derive(Clone, Debug, PartialEq)]
struct Tally {
    count: usize,
    comparison: Result<String, String>,
    /// The chosen run, if exactly one is chosen.
    only: Option<Only>,
    /// For each of [`ACTIONS`], the number of chosen runs that it applies to.
    able: [usize; ACTIONS.len()],
}

/// The one chosen run.
#[derive(Clone, Debug, PartialEq)]
struct Only {
    id: RunId,
    /// Whether its configuration is one that can be submitted again.
    duplicable: bool,
}

const ACTIONS: [RunAction; 4] = [RunAction::Pause, RunAction::Resume, RunAction::Cancel, RunAction::Delete];

impl Tally {
    fn of(runs: &[Arc<Entry>]) -> Self {
        let able = |action| runs.iter().filter(|run| can(action, &(&run.run).into())).count();
        let only = if let [run] = runs { Some(Only { id: run.run.id.clone(), duplicable: run.run.kind.is_submitted() }) } else { None };
        Tally { count: runs.len(), comparison: comparison(runs), only, able: ACTIONS.map(able) }
    }
}

/// Shows the number of runs, or the actions if runs are chosen.
#[component]
pub fn ChoiceBar(rows: Rows, ids: Memo<Vec<RunId>>, choice: Choice, report: RwSignal<Option<Report>>) -> impl IntoView {
    let chosen =
        move || choice.with(|choice| rows.table.with(|table| choice.iter().filter_map(|id| table.get(id).cloned()).collect::<Vec<_>>()));
    let tally = Memo::new(move |_| Tally::of(&chosen()));
    let some = Memo::new(move |_| tally.with(|tally| tally.count > 0));
    let comparison = Memo::new(move |_| tally.with(|tally| tally.comparison.clone()));
    let only = Memo::new(move |_| tally.with(|tally| tally.only.clone()));
    let editing = RwSignal::new(None::<Labels>);
    let question = RwSignal::new(None::<Question>);
    let edit = move |_| editing.set(untrack(chosen).first().map(|run| Labels::from(&run.run)));
    let ask = move |action: RunAction| {
        let runs = untrack(chosen).iter().map(|run| ConcernedRun::from(&run.run)).collect();
        question.set(Some(Question { action, runs }));
    };
    let bar = NodeRef::<html::Div>::new();
    let done = move |_: usize| {
        rows.refresh();
        // The pressed button may have disappeared together with its runs.
        request_animation_frame(move || keep_focus(bar));
    };
    // Deleted runs are no longer chosen.
    Effect::new(move || {
        rows.table.with(|table| {
            if choice.with_untracked(|choice| choice.iter().any(|id| !table.contains_key(id))) {
                choice.update(|choice| choice.retain(|id| table.contains_key(id)));
                request_animation_frame(move || keep_focus(bar));
            }
        });
    });
    let counted = move || {
        let (all, found) = (rows.table.with(|table| table.len()), ids.with(Vec::len));
        match tally.with(|tally| tally.count) {
            0 if found == all => format!("{} {}", format::count(all as u64), if all == 1 { "run" } else { "runs" }),
            0 => format!("{} of {} runs", format::count(found as u64), format::count(all as u64)),
            chosen => format!("{} chosen", format::count(chosen as u64)),
        }
    };
    let action = move |index: usize| {
        let action = ACTIONS[index];
        // A button that no longer applies is not `disabled`, so that it keeps the focus.
        let off = Memo::new(move |_| tally.with(|tally| tally.able[index] == 0));
        let press = move |_| {
            if !off.get_untracked() {
                ask(action);
            }
        };
        let class = if is_danger(action) { "button button-small button-danger" } else { "button button-small" };
        view! {
            <button
                class=class class:button-off=move || off.get() type="button" aria-haspopup="dialog"
                aria-disabled=move || off.get().then_some("true") on:click=press
            >{verb(action)}</button>
        }
    };
    let buttons = move || {
        view! {
            {move || match comparison.get() {
                Ok(address) => view! { <a class="button button-small button-primary" href=urls::href(&address)>"Compare"</a> }.into_any(),
                Err(why) => view! { <span class="choice-hint">{why}</span> }.into_any(),
            }}
            {move || match only.get() {
                Some(Only { id, duplicable }) => view! {
                    <button class="button button-small" type="button" aria-haspopup="dialog" on:click=edit>"Edit"</button>
                    {duplicable.then(|| view! { <a class="button button-small" href=urls::href(&urls::new_from(&id))>"Duplicate"</a> })}
                }
                .into_any(),
                None => view! {
                    <button class="button button-small" type="button" aria-haspopup="dialog" on:click=move |_| ask(RunAction::Tag)>"Tag"</button>
                }
                .into_any(),
            }}
            {(0..ACTIONS.len()).map(action).collect_view()}
            <button class="button button-small button-quiet" type="button" on:click=move |_| choice.set(Vec::new())>"Choose none"</button>
        }
    };
    view! {
        <div class="choice-bar" role="group" aria-label="Chosen runs" tabindex="-1" node_ref=bar>
            <span class="choice-count" role="status">{move || counted()}</span>
            <Show when=move || some.get() fallback=|| view! { <span class="choice-hint">"Choose two to six to compare them"</span> }>
                {buttons()}
            </Show>
        </div>
        <LabelsDialog of=editing done=move || rows.refresh()/>
        <RunActionsDialog question report done/>
    }
}

/// Focuses the bar if the focused element has disappeared.
fn keep_focus(bar: NodeRef<html::Div>) {
    let lost = document().active_element().is_none_or(|element| element.tag_name() == "BODY");
    if let Some(bar) = bar.get_untracked().filter(|_| lost) {
        // Fails only if there is no window to focus.
        let _ = bar.focus();
    }
}

/// Returns the choice after a click on a run, which toggles it. With Shift, all runs from `anchor` to this
/// one are set to the same state.
pub fn toggled(choice: &[RunId], ids: &[RunId], anchor: Option<&RunId>, id: &RunId, range: bool) -> Vec<RunId> {
    let place = |wanted: &RunId| ids.iter().position(|known| known == wanted);
    let ends = anchor.filter(|_| range).and_then(place).zip(place(id));
    let span = match ends {
        // In the direction of the selection.
        Some((from, to)) if from <= to => ids[from..=to].to_vec(),
        Some((from, to)) => ids[to..=from].iter().rev().cloned().collect(),
        None => vec![id.clone()],
    };
    set(choice, &span, !choice.contains(id))
}

/// Adds all `runs` to the choice, or removes them all.
pub fn set(choice: &[RunId], runs: &[RunId], chosen: bool) -> Vec<RunId> {
    if chosen {
        let known: BTreeSet<&RunId> = choice.iter().collect();
        choice.iter().chain(runs.iter().filter(|id| !known.contains(id))).cloned().collect()
    } else {
        let runs: BTreeSet<&RunId> = runs.iter().collect();
        choice.iter().filter(|id| !runs.contains(id)).cloned().collect()
    }
}

/// The address that compares the best checkpoints of the runs, or why they cannot be compared.
fn comparison(runs: &[Arc<Entry>]) -> Result<String, String> {
    if runs.len() < 2 {
        return Err("Choose another to compare".to_owned());
    }
    if runs.len() > MOST_COMPARED {
        return Err(format!("At most {MOST_COMPARED} can be compared"));
    }
    let id = |run: &RunRow| {
        let epoch = run.best.as_ref().filter(|best| best.cas.is_some())?.epoch;
        Some(urls::attribution_id(&run.id, epoch, shared::config::Inputs::Adversarial))
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
        let best = Some(EpochSummary { epoch, clean_accuracy: None, robust_accuracy: None, cas: Some(9.0), signs: Vec::new() });
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

    fn names(text: &str) -> Vec<RunId> {
        text.chars().map(|id| id.to_string().parse().unwrap()).collect()
    }

    #[test]
    fn shift_makes_everything_up_to_the_last_click_like_this_one() {
        let check = |choice: &str, anchor: &str, id: &str, range: bool, expected: &str| {
            let (choice, anchor, id) = (names(choice), names(anchor), names(id));
            assert_eq!(toggled(&choice, &names("abcdef"), anchor.first(), &id[0], range), names(expected), "{choice:?} {anchor:?} {id:?}");
        };
        check("", "", "c", false, "c");
        check("ac", "c", "c", false, "a");
        check("b", "b", "e", true, "bcde");
        check("e", "e", "b", true, "edcb");
        check("fb", "b", "d", true, "fbcd");
        check("bcde", "e", "c", true, "b");
        check("", "", "c", true, "c");
        check("x", "x", "c", true, "xc");
    }

    #[test]
    fn all_that_are_shown_are_chosen_beside_what_was_chosen() {
        assert_eq!(set(&names("xb"), &names("abc"), true), names("xbac"));
        assert_eq!(set(&names("xbac"), &names("abc"), false), names("x"));
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
