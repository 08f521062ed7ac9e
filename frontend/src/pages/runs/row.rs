//! One row of the table of runs.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{EpochSummary, RunRow};
use shared::config::RunKind;
use shared::{format, query};

use super::choice::Choice;
use super::order::Column;
use crate::components::badge::{Standing, progress, state_badge};
use crate::components::labels::tag_chips;
use crate::components::spark::Spark;
use crate::latest::latest;
use crate::rows::Rows;
use crate::{dates, urls};

#[component]
pub fn Row(
    id: Arc<str>,
    rows: Rows,
    /// Index of the row in the table.
    position: Signal<usize>,
    queue_position: Signal<Option<u32>>,
    choice: Choice,
    /// Toggles the choice of a run; with `true`, of all runs from the last toggled one to it.
    toggle: Callback<(Arc<str>, bool)>,
) -> impl IntoView {
    let found = {
        let id = id.clone();
        move || rows.table.with(|table| table.get(&id).cloned())
    };
    // A row that is being removed is still read once; it then keeps its last content.
    let entry = latest(untrack(&found)?, found);
    let chosen = {
        let id = id.clone();
        Memo::new(move |_| choice.with(|choice| choice.contains(&id)))
    };
    let choose = {
        let id = id.clone();
        move |event: leptos::ev::MouseEvent| toggle.run((id.clone(), event.shift_key()))
    };
    let label = move || entry.with(|entry| format!("Choose {}", entry.run.title));
    let row = view! {
        <tr data-id=id.to_string() class:selected=move || chosen.get() aria-rowindex=move || (position.get() + 2).to_string()>
            <td class="run-choice">
                <input type="checkbox" aria-label=label prop:checked=move || chosen.get() on:click=choose/>
            </td>
            {move || entry.with(|entry| cells(&entry.run, queue_position.get()))}
        </tr>
    };
    Some(row)
}

/// The cells of a row. Leptos updates them in place when the run changes, so they keep the focus.
fn cells(run: &RunRow, queue_position: Option<u32>) -> impl IntoView + use<> {
    let standing = Standing::of_row(run, queue_position);
    let (day, time) = dates::day_and_minute(&run.created_at);
    let sweep = run.sweep.as_ref().map(|sweep| view! { <a class="run-sweep" href=urls::href(&urls::sweep(sweep))>{sweep.clone()}</a> });
    let kind = (run.kind != RunKind::Train).then(|| view! { <span class="run-kind">{run.kind.label()}</span> });
    let broke_down = run.broke_down.map(|epoch| {
        let title = format!("Training broke down in epoch {epoch}");
        view! { <span class="run-alarm" title=title>"broke down"</span> }
    });
    view! {
        <th scope="row" class="run-name">
            <a class="run-title" href=urls::href(&urls::run(&run.id)) title=run.title.clone()>{run.title.clone()}</a>
            <div class="run-facts"><span class="run-id">{run.id.clone()}</span>{kind}{broke_down}{sweep}{tag_chips(&run.tags)}</div>
        </th>
        <td class="when"><time datetime=run.created_at.clone()><span>{day}</span>" "<span>{time}" UTC"</span></time></td>
        <td class="run-standing">{state_badge(standing)}{progress(standing)}</td>
        {numbers(run)}
    }
}

fn numbers(run: &RunRow) -> AnyView {
    let epoch = |epoch: &Option<EpochSummary>, value: fn(&EpochSummary) -> Option<f64>| epoch.as_ref().and_then(value);
    let number = |column: Column, text: String| view! { <td class="number" data-label=column.label()>{text}</td> };
    match run.kind {
        RunKind::Train | RunKind::Import => {
            let delta = format::signed(run.delta_cas(), 1);
            let delta = match best_to_last_address(&run.id, run.best.as_ref(), run.last.as_ref()) {
                Some(address) => view! { <a href=urls::href(&address) title="Compare best and last">{delta}</a> }.into_any(),
                None => delta.into_any(),
            };
            let spark = run.spark.iter().map(|value| f64::from(*value) / 1000.0).collect();
            view! {
                {number(Column::Best, format::percent(epoch(&run.best, |epoch| epoch.robust_accuracy)))}
                {number(Column::Last, format::percent(epoch(&run.last, |epoch| epoch.robust_accuracy)))}
                {number(Column::Gap, format::points(run.gap()))}
                {number(Column::CasBest, format::decimal(epoch(&run.best, |epoch| epoch.cas), 1))}
                {number(Column::CasLast, format::decimal(epoch(&run.last, |epoch| epoch.cas), 1))}
                <td class="number" data-label=Column::DeltaCas.label()>{delta}</td>
                {number(Column::CasNormalized, format::decimal(run.cas_normalized(), 3))}
                <td class="run-curve"><Spark values=spark/></td>
            }
            .into_any()
        }
        RunKind::Attribute | RunKind::Evaluate | RunKind::Saliency | RunKind::Pair => view! {
            <td class="number run-measured" colspan="3" data-label="Measured">{measured(&run.evaluation)}</td>
            {number(Column::CasBest, format::decimal(query::cas(run), 1))}
            <td class="run-nothing" colspan="2"></td>
            {number(Column::CasNormalized, format::decimal(run.cas_normalized(), 3))}
            <td class="run-nothing"></td>
        }
        .into_any(),
    }
}

/// The result of an evaluation in a row: robust accuracy so far, and clean accuracy.
fn measured(accuracies: &[f64]) -> String {
    match accuracies {
        [] => format::decimal(None, 1),
        [clean] => format!("clean {}", format::percent(*clean)),
        [clean, .., last] => format!("{} robust · clean {}", format::percent(*last), format::percent(*clean)),
    }
}

/// The address that compares best and last checkpoint; `None` if they are the same or a matrix is missing.
pub fn best_to_last_address(run: &str, best: Option<&EpochSummary>, last: Option<&EpochSummary>) -> Option<String> {
    let (best, last) = (best?, last?);
    (best.epoch != last.epoch && best.cas.is_some() && last.cas.is_some()).then(|| urls::compare(run, best.epoch, last.epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_shows_its_weakest_number() {
        assert_eq!(measured(&[]), "–");
        assert_eq!(measured(&[0.9]), "clean 90.0 %");
        assert_eq!(measured(&[0.9, 0.5, 0.45]), "45.0 % robust · clean 90.0 %");
    }

    #[test]
    fn best_and_last_can_be_compared_once_both_have_a_matrix() {
        let epoch = |epoch, cas| EpochSummary { epoch, clean_accuracy: None, robust_accuracy: None, cas };
        let check = |last: EpochSummary, expected: Option<&str>| {
            let best = epoch(3, Some(1.0));
            assert_eq!(best_to_last_address("at-digits-7f3a", Some(&best), Some(&last)).as_deref(), expected);
        };
        check(epoch(9, None), None);
        check(epoch(3, Some(1.0)), None);
        check(epoch(9, Some(2.0)), Some("/compare?a=at-digits-7f3a.e3.adversarial&b=at-digits-7f3a.e9.adversarial"));
    }
}
