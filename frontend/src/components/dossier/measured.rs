//! The measured part of a dossier. Finds the run that has measured the pair, follows it while it runs, or
//! offers to start one.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{PairFile, Run, RunState, RunSummary, path};
use shared::config::{PairConfig, RunConfig};
use shared::id::{CheckpointId, CheckpointRef};
use shared::problem::Problem;

use super::parts::Parts;
use crate::components::badge::{Progress, StateBadge};
use crate::live::{Live, follow};
use crate::load::{Fetched, Placeholder, fetched, refusal, shown};
use crate::{api, urls};

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub pair: [u32; 2],
    pub subject: CheckpointId,
    /// A second checkpoint to measure.
    pub other: Option<CheckpointId>,
    /// The pairs that changed most; empty without a baseline.
    pub changed: Vec<[u32; 2]>,
}

impl Wanted {
    /// The configuration that measures these pairs. The other checkpoint comes first, as in a comparison.
    fn config(&self, pairs: Vec<[u32; 2]>) -> RunConfig {
        let checkpoints = self.other.iter().chain([&self.subject]).map(|checkpoint| checkpoint.clone().into()).collect();
        RunConfig::Pair(Box::new(PairConfig::of(checkpoints, pairs)))
    }
}

/// Chooses the run to show: finished before queued or running before failed; then one that also measures
/// `other`; then the newest.
fn chosen(runs: &[Run], other: Option<&CheckpointId>) -> Option<Run> {
    let other = other.cloned().map(CheckpointRef::from);
    let holds = |run: &Run| {
        let RunConfig::Pair(config) = &run.config else { return false };
        other.as_ref().is_none_or(|other| config.checkpoints.contains(other))
    };
    let rank = |run: &Run| {
        let state = match run.state {
            RunState::Succeeded => 0,
            RunState::Running | RunState::Queued => 1,
            RunState::Paused | RunState::Failed | RunState::Canceled => 2,
        };
        (state, !holds(run))
    };
    // `min_by_key` returns the first of equals, and the newest run comes first.
    runs.iter().min_by_key(|run| rank(run)).cloned()
}

#[component]
pub fn Measured(wanted: Wanted) -> impl IntoView {
    let [i, j] = wanted.pair;
    let address = format!("{}?checkpoint={}&i={i}&j={j}", path::pairs(), wanted.subject);
    let runs = fetched::<Vec<Run>>(move || Some(address.clone()));
    let wanted = StoredValue::new(wanted);
    shown(runs, Placeholder::Rows, move |found| {
        let wanted = wanted.get_value();
        match chosen(&found, wanted.other.as_ref()) {
            None => view! { <Ask wanted again=false runs/> }.into_any(),
            Some(run) => match run.state {
                RunState::Succeeded => view! { <Done run wanted runs/> }.into_any(),
                RunState::Queued | RunState::Running => view! { <Following run runs/> }.into_any(),
                RunState::Paused | RunState::Failed | RunState::Canceled => view! { <Ended run/><Ask wanted again=true runs/> }.into_any(),
            },
        }
    })
}

/// The buttons that start a measurement.
#[component]
fn Ask(wanted: Wanted, again: bool, runs: Fetched<Vec<Run>>) -> impl IntoView {
    let busy = RwSignal::new(false);
    let refused = RwSignal::new(None::<Problem>);
    let submit = move |config: RunConfig| {
        busy.set(true);
        refused.set(None);
        spawn_local(async move {
            match api::post::<Run>(&path::runs(), &config).await {
                Ok(_) => runs.reload(),
                Err(problem) => {
                    let _ = busy.try_set(false);
                    let _ = refused.try_set(Some(problem));
                }
            }
        });
    };
    let text = if again { "Measure again" } else { "Measure this pair" };
    let one = (wanted.config(vec![wanted.pair]), text.to_owned(), "button button-primary");
    let count = wanted.changed.len();
    let many = (count > 1).then(|| {
        let text = format!("Measure the {count} pairs that changed most");
        (wanted.config(wanted.changed.clone()), text, "button")
    });
    let button = move |(config, text, class): (RunConfig, String, &'static str)| {
        view! {
            <button class=class type="button" disabled=move || busy.get() on:click=move |_| submit(config.clone())>{text}</button>
        }
    };
    let beside = wanted.other.as_ref().map(|other| format!(" and at {other}")).unwrap_or_default();
    view! {
        <p class="muted">
            {format!(
                "A run attacks the images of both classes at {}{beside}: which dimensions carry the overlap, which images drive them, where the \
                 network looks, and what leaving the dimensions out does.",
                wanted.subject
            )}
        </p>
        <p class="actions">{[Some(one), many].into_iter().flatten().map(button).collect_view()}</p>
        {refusal(refused)}
    }
    .into_any()
}

/// Shows the progress of a run until it ends.
#[component]
fn Following(run: Run, runs: Fetched<Vec<Run>>) -> impl IntoView {
    let id = run.id.clone();
    let Live { run, metrics, .. } = follow(run);
    let run = Memo::new(move |_| {
        let run = run.get();
        let (fraction_done, seconds_left) = metrics.with(|metrics| (metrics.fraction_done(), metrics.seconds_left()));
        Run { summary: RunSummary { fraction_done, seconds_left, ..run.summary }, ..run }
    });
    let over = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    Effect::new(move || {
        if over.get() {
            runs.reload();
        }
    });
    view! {
        <div class="run-status" role="status">
            <StateBadge run/>
            <Progress run/>
            <a href=urls::href(&urls::run(&id))>"The run that measures"</a>
        </div>
    }
    .into_any()
}

/// Shows that a run has ended without a result.
#[component]
fn Ended(run: Run) -> impl IntoView {
    let reason = match (run.state, &run.failure) {
        (RunState::Paused, _) => "The run that measures this pair is paused.".to_owned(),
        (RunState::Canceled, _) => "The run that measured this pair was canceled.".to_owned(),
        (_, Some(failure)) => format!("The run that measured this pair failed: {failure}"),
        (_, None) => "The run that measured this pair failed.".to_owned(),
    };
    view! { <div class="notice notice-warning"><p>{reason}" "<a href=urls::href(&urls::run(&run.id))>"Its log"</a></p></div> }.into_any()
}

/// Shows the result of a run. If it lacks the other checkpoint, also offers to measure that.
#[component]
fn Done(run: Run, wanted: Wanted, runs: Fetched<Vec<Run>>) -> impl IntoView {
    let address = path::run_pair(&run.id);
    let file = fetched::<PairFile>(move || Some(address.clone()));
    let parts = move |file: PairFile| {
        let missing = wanted.other.as_ref().is_some_and(|other| !file.checkpoints.contains(other));
        let ask = missing.then(|| view! { <Ask wanted=wanted.clone() again=false runs/> });
        match file.pairs.iter().position(|pair| [pair.i, pair.j] == wanted.pair) {
            Some(index) => view! { {ask}<Parts file index/> }.into_any(),
            None => view! { <p class="muted">"The run holds nothing of this pair."</p> }.into_any(),
        }
    };
    view! {
        {shown(file, Placeholder::Rows, parts)}
        <p class="muted">"Measured by "<a href=urls::href(&urls::run(&run.id))>{run.title.clone()}</a>"."</p>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::fixtures;

    fn run(id: &str, state: RunState, checkpoints: &[&str]) -> Run {
        let checkpoints = checkpoints.iter().map(|name| name.parse().unwrap()).collect();
        Run { state, config: RunConfig::Pair(Box::new(PairConfig::of(checkpoints, vec![[3, 5]]))), ..fixtures::run(id) }
    }

    #[test]
    fn what_is_done_is_shown_before_what_is_under_way_and_both_checkpoints_before_one() {
        let runs = [
            run("failed", RunState::Failed, &["r.e4", "r.e9"]),
            run("running", RunState::Running, &["r.e4", "r.e9"]),
            run("alone", RunState::Succeeded, &["r.e9"]),
            run("both", RunState::Succeeded, &["r.e4", "r.e9"]),
        ];
        let best = Some("r.e4");
        let check = |runs: &[Run], other: Option<&str>, expected: Option<&str>| {
            let other = other.map(|other| other.parse().unwrap());
            assert_eq!(chosen(runs, other.as_ref()).map(|run| run.id.to_string()).as_deref(), expected);
        };
        check(&runs, best, Some("both"));
        check(&runs, None, Some("alone"));
        check(&runs[..3], best, Some("alone"));
        check(&runs[..2], best, Some("running"));
        check(&runs[..1], best, Some("failed"));
        check(&[], None, None);
    }

    #[test]
    fn a_measurement_names_the_other_checkpoint_first() {
        let (subject, other) = ("r.e9".parse().unwrap(), Some("r.e4".parse().unwrap()));
        let wanted = Wanted { pair: [3, 5], subject, other, changed: Vec::new() };
        let config = wanted.config(vec![[3, 5]]);
        assert_eq!(config.title(), "Classes 3 and 5 at r.e4, r.e9");
        assert!(config.validate().is_empty());
    }
}
