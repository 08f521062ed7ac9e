//! All runs in short form, for tables and the command palette. Loaded once, then only changes are requested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{RunRow, RunRows, RunState, UnreadableRun, path};
use shared::id::RunId;
use shared::problem::Problem;
use shared::query;

use crate::api;
use crate::browser::every;
use crate::load::Load;

const REFRESH: Duration = Duration::from_secs(2);
/// Ticks per refresh while no run is queued or running: somebody else may submit one.
const IDLE_TICKS: u32 = 5;

/// A run and the words that searches match.
#[derive(Debug, PartialEq)]
pub struct Entry {
    pub run: RunRow,
    pub words: String,
}

/// The runs by id.
pub type Table = BTreeMap<RunId, Arc<Entry>>;

/// All runs that the application knows; shared by all pages.
#[derive(Clone, Copy)]
pub struct Rows {
    pub table: RwSignal<Table>,
    /// Runs that the server cannot read.
    pub unreadable: RwSignal<Vec<UnreadableRun>>,
    /// Whether the runs are loaded.
    pub phase: RwSignal<Load<()>>,
    /// Why the runs are out of date, if they are.
    pub lost: RwSignal<Option<Problem>>,
    cursor: StoredValue<Option<String>>,
    asking: StoredValue<bool>,
}

/// Provides the runs as context. Requests nothing yet.
pub fn provide_rows() {
    provide_context(Rows {
        table: RwSignal::new(Table::new()),
        unreadable: RwSignal::new(Vec::new()),
        phase: RwSignal::new(Load::Loading),
        lost: RwSignal::new(None),
        cursor: StoredValue::new(None),
        asking: StoredValue::new(false),
    });
}

pub fn use_rows() -> Rows {
    expect_context()
}

impl Rows {
    /// Requests what has changed.
    pub fn refresh(self) {
        if self.asking.get_value() {
            return;
        }
        self.asking.set_value(true);
        let address = match self.cursor.get_value() {
            Some(cursor) => format!("{}?since={cursor}", path::run_rows()),
            None => path::run_rows(),
        };
        spawn_local(async move {
            let answer = api::get::<RunRows>(&address).await;
            self.asking.set_value(false);
            match answer {
                Ok(rows) => {
                    self.cursor.set_value(Some(rows.cursor.clone()));
                    let left = self.unreadable.with_untracked(|known| still_unreadable(known, &rows));
                    if self.unreadable.with_untracked(|known| *known != left) {
                        self.unreadable.set(left);
                    }
                    if rows.complete || !rows.rows.is_empty() || !rows.deleted.is_empty() {
                        self.table.update(|table| apply(table, rows));
                    }
                    if self.lost.with_untracked(Option::is_some) {
                        self.lost.set(None);
                    }
                    if self.phase.get_untracked() != Load::Ready(()) {
                        self.phase.set(Load::Ready(()));
                    }
                }
                // Rows that are shown stay visible.
                Err(problem) if self.phase.get_untracked() == Load::Ready(()) => self.lost.set(Some(problem)),
                Err(problem) => self.phase.set(Load::Failed(problem)),
            }
        });
    }

    /// Refreshes regularly while the current component exists and the page is visible.
    pub fn keep_fresh(self) {
        self.refresh();
        let ticks = StoredValue::new(0_u32);
        every(REFRESH, move || {
            ticks.update_value(|ticks| *ticks += 1);
            let active = || self.table.with_untracked(|table| table.values().any(|entry| entry.run.state.is_active()));
            if ticks.get_value().is_multiple_of(IDLE_TICKS) || active() {
                self.refresh();
            }
        });
    }
}

/// Applies a response of the server to the table.
fn apply(table: &mut Table, rows: RunRows) {
    if rows.complete {
        table.clear();
    }
    for id in &rows.deleted {
        table.remove(id);
    }
    for run in rows.rows {
        let words = query::words(&run);
        table.insert(run.id.clone(), Arc::new(Entry { run, words }));
    }
}

/// The runs that the server cannot read, after a response.
fn still_unreadable(known: &[UnreadableRun], rows: &RunRows) -> Vec<UnreadableRun> {
    let gone = |run: &UnreadableRun| {
        rows.complete
            || rows.deleted.contains(&run.id)
            || rows.rows.iter().any(|row| row.id == run.id)
            || rows.unreadable.iter().any(|other| other.id == run.id)
    };
    known.iter().filter(|run| !gone(run)).chain(&rows.unreadable).cloned().collect()
}

/// For each queued run: how many runs wait before it for the same device.
pub fn positions(table: &Table) -> BTreeMap<RunId, u32> {
    let mut waiting: Vec<(&str, i64, &RunId)> = table
        .iter()
        .filter(|(_, entry)| entry.run.state == RunState::Queued)
        .map(|(id, entry)| (entry.run.device.as_str(), entry.run.place, id))
        .collect();
    waiting.sort();
    let mut positions = BTreeMap::new();
    let mut before = ("", 0);
    for (device, _, id) in waiting {
        before = if before.0 == device { (device, before.1 + 1) } else { (device, 0) };
        positions.insert(id.clone(), before.1);
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::row;

    fn answer(complete: bool, ids: &[&str], deleted: &[&str]) -> RunRows {
        RunRows {
            cursor: String::new(),
            complete,
            rows: ids.iter().map(|id| row(id)).collect(),
            unreadable: Vec::new(),
            deleted: deleted.iter().map(|id| id.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn changes_are_taken_in_and_a_complete_answer_replaces_everything() {
        let mut table = Table::new();
        let mut check = |answer, expected: &[&str]| {
            apply(&mut table, answer);
            assert_eq!(table.keys().map(RunId::as_str).collect::<Vec<_>>(), expected);
        };
        check(answer(true, &["b", "a"], &[]), &["a", "b"]);
        check(answer(false, &["c"], &["a"]), &["b", "c"]);
        check(answer(false, &["b"], &["b"]), &["b", "c"]);
        check(answer(true, &["d"], &[]), &["d"]);
    }

    #[test]
    fn a_run_that_cannot_be_read_is_named_until_it_is_deleted_or_can_be_read() {
        let unreadable = |id: &str| UnreadableRun { id: id.parse().unwrap(), title: id.into(), message: "its config".into() };
        let known = [unreadable("a"), unreadable("b")];
        let check = |rows: RunRows, expected: &[&str]| {
            let left = still_unreadable(&known, &rows);
            assert_eq!(left.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), expected);
        };
        check(answer(false, &["c"], &["a"]), &["b"]);
        check(answer(false, &["b"], &[]), &["a"]);
        check(RunRows { unreadable: vec![unreadable("a"), unreadable("c")], ..answer(false, &[], &[]) }, &["b", "a", "c"]);
        check(answer(true, &[], &[]), &[]);
    }

    #[test]
    fn runs_wait_for_those_of_their_device_only() {
        let mut table = Table::new();
        let queued = |id: &str, device: &str, place| RunRow { state: RunState::Queued, device: device.into(), place, ..row(id) };
        let rows = vec![queued("a", "cpu", 9), queued("b", "cpu", 3), queued("c", "cuda:0", 5), row("done")];
        apply(&mut table, RunRows { rows, ..answer(true, &[], &[]) });
        let positions = positions(&table);
        let found: Vec<(&str, u32)> = positions.iter().map(|(id, before)| (id.as_str(), *before)).collect();
        assert_eq!(found, [("a", 1), ("b", 0), ("c", 0)]);
    }
}
