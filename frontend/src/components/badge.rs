//! The state of a run: a word, a color and, while it runs, how far it is.

use leptos::prelude::*;
use shared::api::{Run, RunState, RunSummary};
use shared::config::RunKind;
use shared::format;

use crate::words;

/// A run that is being canceled says so: the worker still saves.
#[component]
pub fn StateBadge(#[prop(into)] run: Signal<Run>) -> impl IntoView {
    let canceling = |run: &Run| run.canceling && !run.state.is_finished();
    let class = move || run.with(|run| format!("badge badge-{}", if canceling(run) { "canceling" } else { run.state.id() }));
    let text = move || run.with(|run| if canceling(run) { "Canceling" } else { words::state(run.state) });
    view! { <span class=class>{text}</span> }
}

/// What kind of run it is.
#[component]
pub fn KindBadge(kind: RunKind) -> impl IntoView {
    view! { <span class="badge badge-kind">{kind.label()}</span> }
}

/// A bar with epochs and time left; for a queued run its place.
#[component]
pub fn Progress(#[prop(into)] run: Signal<Run>) -> impl IntoView {
    move || {
        run.with(|run| {
            let summary = &run.summary;
            match run.state {
                RunState::Queued => view! { <span class="progress-text">{queued(run.queue_position)}</span> }.into_any(),
                RunState::Running => view! {
                    <div class="progress">
                        <progress max="1" value=summary.fraction_done.to_string() aria-label="Progress"></progress>
                        <span class="progress-text">{running(run)}</span>
                    </div>
                }
                .into_any(),
                RunState::Succeeded | RunState::Failed | RunState::Canceled => {
                    view! { <span class="progress-text">{done(run)}</span> }.into_any()
                }
            }
        })
    }
}

fn queued(position: Option<u32>) -> String {
    match position {
        None | Some(0) => "next in line".to_owned(),
        Some(1) => "after one other run".to_owned(),
        Some(others) => format!("after {others} other runs"),
    }
}

fn running(run: &Run) -> String {
    let summary = &run.summary;
    match summary.seconds_left {
        Some(seconds) if !run.canceling => format!("{} · {} left", done(run), format::duration(seconds)),
        _ => done(run),
    }
}

/// Epochs where there are some, else a share of the whole; nothing once the whole is done.
fn done(run: &Run) -> String {
    let RunSummary { epoch, epochs, fraction_done, .. } = run.summary;
    match run.config.kind() {
        RunKind::Train => format!("{epoch} of {epochs} epochs"),
        _ if run.state == RunState::Succeeded => String::new(),
        _ => format!("{} done", format::percent(fraction_done)),
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
