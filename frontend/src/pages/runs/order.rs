//! Order and filter of the table of runs.

use std::sync::Arc;

use shared::api::{EpochSummary, RunRow};
use shared::query::{self, Query};

use crate::components::sort_head::Direction;
use crate::rows::Table;
use crate::urls;

/// The column that the table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

/// The state of the table in the URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub text: String,
    pub by: Column,
    pub direction: Direction,
}

impl Column {
    pub const ALL: [Column; 10] = [
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
    ];

    pub fn label(self) -> &'static str {
        match self {
            Column::Title => "Run",
            Column::Created => "Created",
            Column::State => "State",
            Column::Best => "Best robust",
            Column::Last => "Last robust",
            Column::Gap => "Gap",
            Column::CasBest => "CAS, best",
            Column::CasLast => "CAS, last",
            Column::DeltaCas => "ΔCAS",
            Column::CasNormalized => "CAS/K(K−1)",
        }
    }

    pub fn id(self) -> &'static str {
        match self {
            Column::Title => "title",
            Column::Created => "created",
            Column::State => "state",
            Column::Best => "best",
            Column::Last => "last",
            Column::Gap => "gap",
            Column::CasBest => "cas",
            Column::CasLast => "lastcas",
            Column::DeltaCas => "deltacas",
            Column::CasNormalized => "normcas",
        }
    }

    pub fn is_number(self) -> bool {
        !matches!(self, Column::Title | Column::Created | Column::State)
    }

    /// The direction after the first click: text ascending, everything else newest or highest first. The gap
    /// and ΔCAS start with the largest decrease.
    pub fn first_direction(self) -> Direction {
        match self {
            Column::Title | Column::State | Column::Gap | Column::DeltaCas => Direction::Ascending,
            Column::Created | Column::Best | Column::Last | Column::CasBest | Column::CasLast | Column::CasNormalized => {
                Direction::Descending
            }
        }
    }

    fn number(self, run: &RunRow) -> Option<f64> {
        let of = |epoch: &Option<EpochSummary>, value: fn(&EpochSummary) -> Option<f64>| epoch.as_ref().and_then(value);
        match self {
            Column::Title | Column::Created | Column::State => None,
            Column::Best => of(&run.best, |epoch| epoch.robust_accuracy),
            Column::Last => of(&run.last, |epoch| epoch.robust_accuracy),
            Column::Gap => run.gap(),
            Column::CasBest => query::cas(run),
            Column::CasLast => of(&run.last, |epoch| epoch.cas),
            Column::DeltaCas => run.delta_cas(),
            Column::CasNormalized => run.cas_normalized(),
        }
    }
}

impl Default for Shown {
    fn default() -> Self {
        let by = Column::default();
        Shown { text: String::new(), by, direction: by.first_direction() }
    }
}

impl Shown {
    pub fn from_parameters(get: impl Fn(&str) -> Option<String>) -> Self {
        let by = get("sort").and_then(|id| Column::ALL.into_iter().find(|column| column.id() == id)).unwrap_or_default();
        let direction = match get("order").as_deref() {
            Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            _ => by.first_direction(),
        };
        Shown { text: get("q").unwrap_or_default(), by, direction }
    }

    pub fn address(&self) -> String {
        let text = (!self.text.is_empty()).then(|| format!("q={}", urls::encoded(&self.text)));
        let sort = (self.by != Column::default()).then(|| format!("sort={}", self.by.id()));
        let order = (self.direction != self.by.first_direction()).then(|| format!("order={}", self.direction.id()));
        let query: Vec<String> = text.into_iter().chain(sort).chain(order).collect();
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }

    /// Sorts by a column, or reverses the direction if already sorted by it.
    pub fn sort_by(&mut self, column: Column) {
        self.direction = if self.by == column { self.direction.reversed() } else { column.first_direction() };
        self.by = column;
    }
}

/// The ids of the runs that match a query, sorted. Runs without a number come last in both directions; among
/// equals the newest comes first.
pub fn arranged(table: &Table, query: &Query, by: Column, direction: Direction) -> Vec<Arc<str>> {
    let found = table.iter().filter(|(_, entry)| query.matches(&entry.run, &entry.words));
    let mut rows: Vec<(Option<f64>, &RunRow, &Arc<str>)> = found.map(|(id, entry)| (by.number(&entry.run), &entry.run, id)).collect();
    let title = |id: &Arc<str>| table.get(id).map_or("", |entry| entry.words.lines().next().unwrap_or_default());
    rows.sort_by(|(a_number, a, a_id), (b_number, b, b_id)| {
        let ordering = match by {
            Column::Title => direction.applied(title(a_id).cmp(title(b_id))),
            Column::Created => direction.applied(a.created_at.cmp(&b.created_at)),
            Column::State => direction.applied((a.state as u8).cmp(&(b.state as u8))),
            _ => match (a_number, b_number) {
                (Some(a), Some(b)) => direction.applied(a.total_cmp(b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        };
        ordering.then_with(|| b.created_at.cmp(&a.created_at))
    });
    rows.into_iter().map(|(_, _, id)| id.clone()).collect()
}

/// Replaces the terms of the same field in a query by `term`, or removes `term` if the query contains it.
pub fn switched(text: &str, term: &str) -> String {
    let field = term.find([':', '<', '>']).map_or(term, |end| &term[..=end]);
    let there = text.split_whitespace().any(|known| known == term);
    let mut terms: Vec<&str> = text.split_whitespace().filter(|known| !known.starts_with(field)).collect();
    if !there {
        terms.push(term);
    }
    terms.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::row;
    use crate::rows::Entry;

    fn table() -> Table {
        let epoch = |robust: f64, cas| Some(EpochSummary { epoch: 1, clean_accuracy: None, robust_accuracy: Some(robust), cas: Some(cas) });
        let run = |id: &str, title: &str, day: u32, best: Option<EpochSummary>, last: Option<EpochSummary>| RunRow {
            title: title.into(),
            created_at: format!("2026-11-{day:02}"),
            best,
            last,
            classes: Some(if id == "b" { 100 } else { 10 }),
            ..row(id)
        };
        let runs = [
            run("a", "beta", 1, epoch(0.5, 20.0), epoch(0.4, 10.0)),
            run("b", "Alpha", 2, epoch(0.6, 30.0), epoch(0.3, 25.0)),
            run("c", "gamma", 3, None, None),
        ];
        runs.into_iter().map(|run| (run.id.as_str().into(), Arc::new(Entry { words: query::words(&run), run }))).collect()
    }

    #[track_caller]
    fn check(text: &str, by: Column, direction: Direction, expected: &str) {
        let found = arranged(&table(), &Query::parse(text).0, by, direction);
        assert_eq!(found.iter().map(|id| &**id).collect::<String>(), expected, "{text} {by:?} {direction:?}");
    }

    #[test]
    fn each_column_sorts_both_ways_and_what_has_no_number_comes_last() {
        use Direction::{Ascending, Descending};
        check("", Column::Created, Descending, "cba");
        check("", Column::Created, Ascending, "abc");
        check("", Column::Title, Ascending, "bac");
        check("", Column::Best, Descending, "bac");
        check("", Column::Best, Ascending, "abc");
        check("", Column::Gap, Ascending, "bac");
        check("", Column::DeltaCas, Ascending, "abc");
        check("", Column::CasBest, Descending, "bac");
        check("", Column::CasNormalized, Descending, "abc");
        check("", Column::CasLast, Descending, "bac");
        check("", Column::State, Ascending, "cba");
        check("best>45 -beta", Column::Best, Descending, "b");
        check("nothing", Column::Best, Descending, "");
    }

    #[test]
    fn a_second_click_turns_the_order_around() {
        let mut shown = Shown::default();
        shown.sort_by(Column::Best);
        assert_eq!(shown.direction, Direction::Descending);
        shown.sort_by(Column::Best);
        assert_eq!(shown.direction, Direction::Ascending);
        shown.sort_by(Column::Gap);
        assert_eq!((shown.by, shown.direction), (Column::Gap, Direction::Ascending));
    }

    #[test]
    fn what_is_shown_is_in_the_address() {
        let check = |shown: Shown, address: &str| {
            assert_eq!(shown.address(), address);
            let query = address.split_once('?').map_or("", |(_, query)| query);
            let get = |name: &str| {
                let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                value.map(|value| value.replace("%20", " ").replace("%3A", ":"))
            };
            assert_eq!(Shown::from_parameters(get), shown);
        };
        check(Shown::default(), "/");
        check(Shown { text: "eps:8 b".into(), ..Shown::default() }, "/?q=eps%3A8%20b");
        check(Shown { by: Column::Gap, direction: Direction::Ascending, ..Shown::default() }, "/?sort=gap");
        check(Shown { by: Column::CasBest, direction: Direction::Ascending, ..Shown::default() }, "/?sort=cas&order=asc");
    }

    #[test]
    fn a_term_is_added_exchanged_or_taken_away() {
        assert_eq!(switched("", "state:failed"), "state:failed");
        assert_eq!(switched("eps:8  state:failed b", "state:failed"), "eps:8 b");
        assert_eq!(switched("state:queued b", "state:failed"), "b state:failed");
        assert_eq!(switched("best<50", "best>45"), "best<50 best>45");
    }
}
