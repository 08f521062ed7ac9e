//! The page of all sweeps: varied fields, number of runs and progress.

use leptos::prelude::*;
use shared::api::{RunState, SweepAxis, SweepSummary, path};
use shared::builtin::lowercase;
use shared::format;
use shared::sweep::{field_name, text};

use crate::browser::use_title;
use crate::components::run_actions::{ReportLine, use_carried_report};
use crate::components::sort_head::{SortHead, SortKey, Sorting};
use crate::load::{Placeholder, fetched, shown};
use crate::url_state::url_state;
use crate::{dates, names, urls};

/// The largest number of values listed in a row.
const MOST_VALUES: usize = 6;

#[component]
pub fn SweepsPage() -> impl IntoView {
    use_title(|| "Sweeps".to_owned());
    let sweeps = fetched::<Vec<SweepSummary>>(|| Some(path::sweeps()));
    let report = use_carried_report().taken();
    view! {
        <header class="page-header">
            <div>
                <h1>"Sweeps"</h1>
                <p class="subline">"Runs that differ in a few fields, looked at together."</p>
            </div>
            <div class="actions"><a class="button button-primary" href="new">"New sweep"</a></div>
        </header>
        <ReportLine report undone=move || sweeps.reload()/>
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

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Title,
    Created,
    Over,
    Runs,
    State,
    Best,
    CasNormalized,
}

impl Column {
    const ALL: [Column; 7] =
        [Column::Title, Column::Created, Column::Over, Column::Runs, Column::State, Column::Best, Column::CasNormalized];

    fn id(self) -> &'static str {
        match self {
            Column::Title => "title",
            Column::Created => "created",
            Column::Over => "over",
            Column::Runs => "runs",
            Column::State => "state",
            Column::Best => "best",
            Column::CasNormalized => "normcas",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Column::Title => "Sweep",
            Column::Created => "Created",
            Column::Over => "Over",
            Column::Runs => "Runs",
            Column::State => "State",
            Column::Best => "Best robust",
            Column::CasNormalized => "CAS/K(K−1)",
        }
    }

    fn key(self, sweep: &SweepSummary) -> SortKey {
        match self {
            Column::Title => SortKey::Text(lowercase(&sweep.title)),
            Column::Created => SortKey::Text(sweep.created_at.clone()),
            Column::Over => SortKey::Text(sweep.axes.iter().map(|axis| field_name(&axis.field)).collect::<Vec<_>>().join(" ")),
            Column::Runs => SortKey::Number(Some(sweep.runs.into())),
            Column::State => SortKey::Number(Some(f64::from(finished(sweep)) / f64::from(sweep.runs.max(1)))),
            Column::Best => SortKey::Number(sweep.best_robust_accuracy),
            Column::CasNormalized => SortKey::Number(sweep.best_cas_normalized),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Column::Runs | Column::Best | Column::CasNormalized)
    }
}

fn finished(sweep: &SweepSummary) -> u32 {
    sweep.succeeded + sweep.failed + sweep.canceled
}

/// The sweeps in the chosen order. By default the order of the server: newest first.
fn arranged(mut sweeps: Vec<SweepSummary>, sorting: &Sorting) -> Vec<SweepSummary> {
    let by = sorting.0.as_ref().and_then(|(id, direction)| Some((Column::ALL.into_iter().find(|column| column.id() == id)?, *direction)));
    let Some((column, direction)) = by else { return sweeps };
    sweeps.sort_by(|a, b| column.key(a).compare(&column.key(b), direction));
    sweeps
}

fn table(sweeps: Vec<SweepSummary>) -> impl IntoView {
    let sorting = url_state(
        |query| Sorting::from_parameters(|name| query.get(name)),
        |sorting: &Sorting| sorting.parameters().map_or_else(|| "/sweeps".to_owned(), |parameters| format!("/sweeps?{parameters}")),
    );
    let row = |sweep: SweepSummary| {
        let state = state(&sweep);
        let axis = |axis: &SweepAxis| view! { <li>{field_name(&axis.field).to_owned()}": "<span class="muted">{values(axis)}</span></li> };
        let (day, time) = dates::day_and_minute(&sweep.created_at);
        view! {
            <tr>
                <th scope="row" class="sweep-name">
                    <a class="run-title" href=urls::href(&urls::sweep(&sweep.id)) title=sweep.title.clone()>{sweep.title.clone()}</a>
                    <span class="run-id">{sweep.id.to_string()}</span>
                </th>
                <td class="when" data-label="Created"><time datetime=sweep.created_at.clone()>{day}" "{time}" UTC"</time></td>
                <td data-label="Over"><ul class="sweep-axes">{sweep.axes.iter().map(axis).collect_view()}</ul></td>
                <td class="number" data-label="Runs">{format::count(sweep.runs.into())}</td>
                <td data-label="State">
                    <div class="progress">
                        <progress max=sweep.runs.to_string() value=finished(&sweep).to_string() aria-label="Finished runs"></progress>
                        <span class="progress-text">{state}</span>
                    </div>
                </td>
                <td class="number" data-label="Best robust">{format::percent(sweep.best_robust_accuracy)}</td>
                <td class="number" data-label="CAS/K(K−1)">{format::decimal(sweep.best_cas_normalized, 3)}</td>
            </tr>
        }
    };
    let example = sweeps.first().cloned();
    let sweeps = StoredValue::new(sweeps);
    let head = move |column: Column| {
        let example = example.as_ref().map_or(SortKey::Number(None), |sweep| column.key(sweep));
        let turn = move || sorting.update(|sorting| sorting.turn(column.id(), &example));
        view! { <SortHead label=column.label() number=column.is_number() sorted=Signal::derive(move || sorting.get().of(column.id())) press=turn/> }
    };
    view! {
        <div class="table-box" role="region" aria-label="Sweeps" tabindex="0">
            <table class="table card-table sort-table">
                <thead><tr>{Column::ALL.into_iter().map(head).collect_view()}</tr></thead>
                <tbody>{move || arranged(sweeps.get_value(), &sorting.get()).into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

/// The values of a field on one line; if there are many, only the first and the last.
fn values(axis: &SweepAxis) -> String {
    let texts: Vec<String> = axis.values.iter().map(text).collect();
    match texts.as_slice() {
        [first, .., last] if texts.len() > MOST_VALUES => format!("{first} … {last} ({} values)", texts.len()),
        _ => texts.join(", "),
    }
}

/// How many runs are in each state, on one line.
fn state(sweep: &SweepSummary) -> String {
    let SweepSummary { queued, running, paused, succeeded, failed, canceled, .. } = *sweep;
    let counts = [
        (running, RunState::Running),
        (queued, RunState::Queued),
        (paused, RunState::Paused),
        (succeeded, RunState::Succeeded),
        (failed, RunState::Failed),
        (canceled, RunState::Canceled),
    ];
    let said: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", names::state(*state).to_ascii_lowercase()))
        .collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::sort_head::Direction;

    #[test]
    fn many_values_are_the_first_and_the_last() {
        let axis = |count: u32| SweepAxis { field: "seed".into(), values: (0..count).map(Into::into).collect() };
        assert_eq!(values(&axis(3)), "0, 1, 2");
        assert_eq!(values(&axis(7)), "0 … 6 (7 values)");
    }

    fn sweep() -> SweepSummary {
        SweepSummary {
            id: "seeds-7f3a".parse().unwrap(),
            title: String::new(),
            created_at: String::new(),
            axes: Vec::new(),
            runs: 4,
            queued: 0,
            running: 1,
            paused: 0,
            succeeded: 2,
            failed: 1,
            canceled: 0,
            best_robust_accuracy: None,
            best_cas_normalized: None,
        }
    }

    #[test]
    fn only_states_that_occur_are_named() {
        assert_eq!(state(&sweep()), "1 running, 2 succeeded, 1 failed");
    }

    #[test]
    fn sweeps_of_any_number_of_classes_are_sorted_together() {
        let of = |title: &str, cas| SweepSummary { title: title.into(), best_cas_normalized: cas, ..sweep() };
        let sweeps = vec![of("B", Some(0.1)), of("c", None), of("a", Some(0.3))];
        let check = |by: &str, direction, expected: &str| {
            let found = arranged(sweeps.clone(), &Sorting(Some((by.to_owned(), direction))));
            assert_eq!(found.iter().map(|sweep| sweep.title.as_str()).collect::<String>(), expected, "{by}");
        };
        check("normcas", Direction::Descending, "aBc");
        check("normcas", Direction::Ascending, "Bac");
        check("title", Direction::Ascending, "aBc");
        check("nothing", Direction::Ascending, "Bca");
    }
}
