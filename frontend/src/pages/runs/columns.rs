//! The columns of the table of runs: head, order and cell of each in one table.

use std::cmp::Ordering;

use leptos::prelude::*;
use shared::api::{EpochSummary, RunRow};
use shared::config::RunKind;
use shared::id::RunId;
use shared::{format, query};
use strum::EnumCount;

use crate::components::badge::{Standing, progress, state_badge};
use crate::components::labels::tag_chips;
use crate::components::sort_head::Direction;
use crate::rows::Entry;
use crate::{dates, urls};

/// A column that the table can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount)]
pub enum Column {
    Title,
    #[default]
    Created,
    State,
    Best,
    Last,
    Gap,
    CasBest,
    CasLast,
    DeltaCas,
    CasNormalized,
    Disk,
}

/// Everything fixed about a column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnFacts {
    /// As addresses and class names write it.
    pub id: &'static str,
    pub label: &'static str,
    /// The direction that a first click sorts in: texts from A, numbers from the highest, differences from the largest fall.
    pub first: Direction,
    pub content: Content,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    Text {
        compare: fn(&Entry, &Entry) -> Ordering,
        /// The whole cell; the number is the run's position in the queue.
        cell: fn(&RunRow, Option<u32>) -> AnyView,
    },
    Number {
        value: fn(&RunRow) -> Option<f64>,
        text: fn(Option<f64>) -> String,
        /// An address that the number leads to.
        link: fn(&RunRow) -> Option<String>,
        /// Whether runs that only measure a checkpoint have the number too.
        measured: bool,
    },
}

impl Column {
    pub const ALL: [Column; Column::COUNT] = [
        Column::Title,
        Column::Created,
        Column::State,
        Column::Best,
        Column::Last,
        Column::Gap,
        Column::CasBest,
        Column::CasLast,
        Column::DeltaCas,
        Column::CasNormalized,
        Column::Disk,
    ];

    pub fn facts(self) -> ColumnFacts {
        use Direction::{Ascending, Descending};
        let (id, label, first, content) = match self {
            Column::Title => ("title", "Run", Ascending, Content::Text { compare: |a, b| first_line(a).cmp(first_line(b)), cell: title }),
            Column::Created => {
                let compare = |a: &Entry, b: &Entry| a.run.created_at.cmp(&b.run.created_at);
                ("created", "Created", Descending, Content::Text { compare, cell: created })
            }
            Column::State => {
                let compare = |a: &Entry, b: &Entry| (a.run.state as u8).cmp(&(b.run.state as u8));
                ("state", "State", Ascending, Content::Text { compare, cell: state })
            }
            Column::Best => ("best", "Best robust", Descending, number(|run| robust(&run.best), format::percent)),
            Column::Last => ("last", "Last robust", Descending, number(|run| robust(&run.last), format::percent)),
            Column::Gap => ("gap", "Gap", Ascending, number(RunRow::gap, format::points)),
            Column::CasBest => {
                let content = Content::Number { value: query::cas, text: cas, link: |_| None, measured: true };
                ("cas", "CAS, best", Descending, content)
            }
            Column::CasLast => ("lastcas", "CAS, last", Descending, number(|run| run.last.as_ref().and_then(|epoch| epoch.cas), cas)),
            Column::DeltaCas => {
                let text = |delta| format::signed(delta, 1);
                let content = Content::Number { value: RunRow::delta_cas, text, link: best_to_last, measured: false };
                ("deltacas", "ΔCAS", Ascending, content)
            }
            Column::CasNormalized => {
                let text = |cas| format::decimal(cas, 3);
                let content = Content::Number { value: RunRow::cas_normalized, text, link: |_| None, measured: true };
                ("normcas", "CAS/K(K−1)", Descending, content)
            }
            Column::Disk => {
                let value = |run: &RunRow| run.disk_bytes.map(|bytes| bytes as f64);
                let text = |bytes: Option<f64>| bytes.map_or_else(|| "–".to_owned(), |bytes| format::bytes(bytes as u64));
                ("disk", "Disk", Descending, Content::Number { value, text, link: |_| None, measured: true })
            }
        };
        ColumnFacts { id, label, first, content }
    }
}

/// Every cell of a run, the curve aside. A run that only measures shows what it measured in place of the numbers that it does not have.
pub fn cells(run: &RunRow, queue_position: Option<u32>) -> Vec<AnyView> {
    let trains = run.kind.has_epochs();
    let mut cells = Vec::new();
    let mut absent = 0;
    let mut told = false;
    let mut close = |absent: &mut u32, cells: &mut Vec<AnyView>| {
        let span = std::mem::take(absent);
        if span > 0 {
            let measured = (!std::mem::replace(&mut told, true)).then(|| measured(&run.evaluation));
            cells.push(match measured {
                Some(text) => {
                    view! { <td class="number run-measured" colspan=span.to_string() data-label="Measured">{text}</td> }.into_any()
                }
                None => view! { <td class="run-nothing" colspan=span.to_string()></td> }.into_any(),
            });
        }
    };
    for facts in Column::ALL.map(Column::facts) {
        match facts.content {
            Content::Text { cell, .. } => cells.push(cell(run, queue_position)),
            Content::Number { measured: false, .. } if !trains => absent += 1,
            Content::Number { value, text, link, .. } => {
                close(&mut absent, &mut cells);
                let text = text(value(run));
                let content = match link(run) {
                    Some(address) => view! { <a href=urls::href(&address) title="Compare best and last">{text}</a> }.into_any(),
                    None => text.into_any(),
                };
                cells.push(view! { <td class="number" data-label=facts.label>{content}</td> }.into_any());
            }
        }
    }
    close(&mut absent, &mut cells);
    cells
}

/// A number of runs that train or bring in checkpoints.
const fn number(value: fn(&RunRow) -> Option<f64>, text: fn(Option<f64>) -> String) -> Content {
    Content::Number { value, text, link: |_| None, measured: false }
}

/// The title in lower case: the first line of the words that are searched.
fn first_line(entry: &Entry) -> &str {
    entry.words.lines().next().unwrap_or_default()
}

fn title(run: &RunRow, _: Option<u32>) -> AnyView {
    let sweep = run.sweep.as_ref().map(|sweep| view! { <a class="run-sweep" href=urls::href(&urls::sweep(sweep))>{sweep.to_string()}</a> });
    let kind = (run.kind != RunKind::Train).then(|| view! { <span class="run-kind">{run.kind.label()}</span> });
    let broke_down = run.broke_down.map(|epoch| {
        let title = format!("Training broke down in epoch {epoch}");
        view! { <span class="run-alarm" title=title>"broke down"</span> }
    });
    view! {
        <th scope="row" class="run-name">
            <a class="run-title" href=urls::href(&urls::run(&run.id)) title=run.title.clone()>{run.title.clone()}</a>
            <div class="run-facts"><span class="run-id">{run.id.to_string()}</span>{kind}{broke_down}{sweep}{tag_chips(&run.tags)}</div>
        </th>
    }
    .into_any()
}

fn created(run: &RunRow, _: Option<u32>) -> AnyView {
    let (day, time) = dates::day_and_minute(&run.created_at);
    view! { <td class="when"><time datetime=run.created_at.clone()><span>{day}</span>" "<span>{time}" UTC"</span></time></td> }.into_any()
}

fn state(run: &RunRow, queue_position: Option<u32>) -> AnyView {
    let standing = Standing::of_row(run, queue_position);
    view! { <td class="run-standing">{state_badge(standing)}{progress(standing)}</td> }.into_any()
}

fn robust(epoch: &Option<EpochSummary>) -> Option<f64> {
    epoch.as_ref()?.robust_accuracy
}

fn cas(cas: Option<f64>) -> String {
    format::decimal(cas, 1)
}

fn best_to_last(run: &RunRow) -> Option<String> {
    best_to_last_address(&run.id, run.best.as_ref(), run.last.as_ref())
}

/// What an evaluation says in a row: its weakest number so far, and what it is of.
fn measured(accuracies: &[f64]) -> String {
    match accuracies {
        [] => format::decimal(None, 1),
        [clean] => format!("clean {}", format::percent(*clean)),
        [clean, .., last] => format!("{} robust · clean {}", format::percent(*last), format::percent(*clean)),
    }
}

/// The comparison of best and last, once they are two and both have their matrices.
pub fn best_to_last_address(run: &RunId, best: Option<&EpochSummary>, last: Option<&EpochSummary>) -> Option<String> {
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
        let epoch = |epoch, cas| EpochSummary { epoch, clean_accuracy: None, robust_accuracy: None, cas, signs: Vec::new() };
        let check = |last: EpochSummary, expected: Option<&str>| {
            let (run, best) = ("at-digits-7f3a".parse().unwrap(), epoch(3, Some(1.0)));
            assert_eq!(best_to_last_address(&run, Some(&best), Some(&last)).as_deref(), expected);
        };
        check(epoch(9, None), None);
        check(epoch(3, Some(1.0)), None);
        check(epoch(9, Some(2.0)), Some("/compare?a=at-digits-7f3a.e3.adversarial&b=at-digits-7f3a.e9.adversarial"));
    }
}
