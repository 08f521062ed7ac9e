//! The state of a run: a badge with a word and a color and, while it runs, its progress.

use leptos::prelude::*;
use shared::api::{Run, RunRow, RunState};
use shared::config::RunKind;
use shared::format;
use shared::rundir::StopReason;

use crate::names;

/// What badge and progress show of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    kind: RunKind,
    state: RunState,
    stopping: Option<StopReason>,
    queue_position: Option<u32>,
    epoch: u32,
    epochs: u32,
    fraction_done: f64,
    seconds_left: Option<f64>,
}

impl Standing {
    pub fn of(run: &Run) -> Self {
        let summary = &run.summary;
        Standing {
            kind: run.config.kind(),
            state: run.state,
            stopping: run.stopping,
            queue_position: run.queue_position,
            epoch: summary.epoch,
            epochs: summary.epochs,
            fraction_done: summary.fraction_done,
            seconds_left: summary.seconds_left,
        }
    }

    pub fn of_row(run: &RunRow, queue_position: Option<u32>) -> Self {
        let RunRow { kind, state, stopping, epoch, epochs, fraction_done, seconds_left, .. } = *run;
        Standing { kind, state, stopping, queue_position, epoch, epochs, fraction_done, seconds_left }
    }
}

#[component]
pub fn StateBadge(#[prop(into)] run: Memo<Run>) -> impl IntoView {
    move || state_badge(run.with(Standing::of))
}

/// Shows the kind of a run.
#[component]
pub fn KindBadge(kind: RunKind) -> impl IntoView {
    view! { <span class="badge badge-kind">{kind.label()}</span> }
}

#[component]
pub fn Progress(#[prop(into)] run: Memo<Run>) -> impl IntoView {
    move || progress(run.with(Standing::of))
}

/// Shows the state of a run. A run whose worker still saves is shown as stopping.
pub fn state_badge(run: Standing) -> impl IntoView {
    let stopping = run.stopping.filter(|_| run.state.is_active());
    let class = format!("badge badge-{}", if stopping.is_some() { "stopping" } else { run.state.id() });
    view! { <span class=class>{stopping.map_or(names::state(run.state), names::stopping)}</span> }
}

/// A progress bar with epochs and time left; for a queued run, its position in the queue.
pub fn progress(run: Standing) -> AnyView {
    match run.state {
        RunState::Queued => view! { <span class="progress-text">{queued(run.queue_position)}</span> }.into_any(),
        RunState::Running => view! {
            <div class="progress">
                <progress max="1" value=run.fraction_done.to_string() aria-label="Progress"></progress>
                <span class="progress-text">{running(run)}</span>
            </div>
        }
        .into_any(),
        RunState::Paused | RunState::Succeeded | RunState::Failed | RunState::Canceled => {
            view! { <span class="progress-text">{done(run)}</span> }.into_any()
        }
    }
}

fn queued(position: Option<u32>) -> String {
    match position {
        None | Some(0) => "next in line".to_owned(),
        Some(1) => "after one other run".to_owned(),
        Some(others) => format!("after {others} other runs"),
    }
}

fn running(run: Standing) -> String {
    match run.seconds_left {
        Some(seconds) if run.stopping.is_none() => format!("{} · {} left", done(run), format::duration(seconds)),
        _ => done(run),
    }
}

/// Epochs for a training run, otherwise the percentage done; empty once the run has succeeded.
fn done(run: Standing) -> String {
    match run.kind {
        RunKind::Train => format!("{} of {} epochs", run.epoch, run.epochs),
        _ if run.state == RunState::Succeeded => String::new(),
        _ => format!("{} done", format::percent(run.fraction_done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_run_says_what_is_before_it() {
        assert_eq!(queued(None), "next in line");
        assert_eq!(queued(Some(0)), "next in line");
        assert_eq!(queued(Some(1)), "after one other run");
        assert_eq!(queued(Some(3)), "after 3 other runs");
    }
}
