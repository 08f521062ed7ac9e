//! All sweeps: over what, how many runs, and how far they are.

use shared::api::{RunState, SweepAxis, SweepSummary};
use shared::format;
use shared::sweep::{field_name, text};

use crate::browser::use_title;
use crate::load::{Placeholder, fetched, shown};
use crate::prelude::*;
use crate::{place, words};

/// Values that a line has room for.
const MOST_VALUES: usize = 6;

#[component]
pub fn SweepsPage() -> impl IntoView {
    use_title(|| "Sweeps".to_owned());
    let sweeps = fetched::<Vec<SweepSummary>>(|| Some("api/sweeps".to_owned()));
    view! {
        <header class="page-header">
            <div>
                <h1>"Sweeps"</h1>
                <p class="subline">"Runs that differ in a few fields, looked at together."</p>
            </div>
            <div class="actions"><a class="button button-primary" href="new">"New sweep"</a></div>
        </header>
        {shown(sweeps, Placeholder::Rows, |sweeps| if sweeps.is_empty() { no_sweeps().into_any() } else { table(sweeps).into_any() })}
    }
}

fn no_sweeps() -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"One question, several runs"</h2>
            <p>
                "A sweep gives some fields of a configuration several values: radii to see where cross-class features vanish, seeds to see "
                "what is chance. Set up a run and fill in “Several values”."
            </p>
            <p class="actions"><a class="button button-primary" href="new">"Set up a run"</a></p>
        </section>
    }
}

fn table(sweeps: Vec<SweepSummary>) -> impl IntoView {
    let row = |sweep: SweepSummary| {
        let state = state(&sweep);
        let axis = |axis: &SweepAxis| view! { <li>{field_name(&axis.field).to_owned()}": "<span class="muted">{values(axis)}</span></li> };
        let finished = sweep.succeeded + sweep.failed + sweep.canceled;
        view! {
            <tr>
                <th scope="row" class="sweep-name">
                    <a class="run-title" href=place::href(&place::sweep(&sweep.id))>{sweep.id.clone()}</a>
                    <span class="when">{format!("{} UTC", words::minute(&sweep.created_at))}</span>
                </th>
                <td data-label="Over"><ul class="sweep-axes">{sweep.axes.iter().map(axis).collect_view()}</ul></td>
                <td class="number" data-label="Runs">{format::count(sweep.runs.into())}</td>
                <td data-label="State">
                    <div class="progress">
                        <progress max=sweep.runs.to_string() value=finished.to_string() aria-label="Finished runs"></progress>
                        <span class="progress-text">{state}</span>
                    </div>
                </td>
                <td class="number" data-label="Best robust">{format::percent(sweep.best_robust_accuracy)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-box" role="region" aria-label="Sweeps" tabindex="0">
            <table class="table card-table">
                <thead>
                    <tr>
                        <th scope="col">"Sweep"</th>
                        <th scope="col">"Over"</th>
                        <th scope="col" class="number">"Runs"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="number">"Best robust"</th>
                    </tr>
                </thead>
                <tbody>{sweeps.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

/// The values of a field on one line: all of a few, the first and the last of many.
fn values(axis: &SweepAxis) -> String {
    let texts: Vec<String> = axis.values.iter().map(text).collect();
    match texts.as_slice() {
        [first, .., last] if texts.len() > MOST_VALUES => format!("{first} … {last} ({} values)", texts.len()),
        _ => texts.join(", "),
    }
}

/// How many runs are in which state, in a line.
fn state(sweep: &SweepSummary) -> String {
    let SweepSummary { queued, running, succeeded, failed, canceled, .. } = *sweep;
    let counts = [
        (running, RunState::Running),
        (queued, RunState::Queued),
        (succeeded, RunState::Succeeded),
        (failed, RunState::Failed),
        (canceled, RunState::Canceled),
    ];
    let said: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", words::state(*state).to_ascii_lowercase()))
        .collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_the_first_and_the_last() {
        let axis = |count: u32| SweepAxis { field: "seed".into(), values: (0..count).map(Into::into).collect() };
        assert_eq!(values(&axis(3)), "0, 1, 2");
        assert_eq!(values(&axis(7)), "0 … 6 (7 values)");
    }

    #[test]
    fn only_states_that_occur_are_named() {
        let sweep = SweepSummary {
            id: String::new(),
            created_at: String::new(),
            axes: Vec::new(),
            runs: 4,
            queued: 0,
            running: 1,
            succeeded: 2,
            failed: 1,
            canceled: 0,
            best_robust_accuracy: None,
        };
        assert_eq!(state(&sweep), "1 running, 2 succeeded, 1 failed");
    }
}
