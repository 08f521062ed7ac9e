//! Order and filter of the table of runs.

use shared::id::RunId;
use shared::query::Query;

use super::columns::{Column, Content};
use crate::components::sort_head::Direction;
use crate::rows::{Entry, Table};
use crate::urls;

/// The state of the table in the URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub text: String,
    pub by: Column,
    pub direction: Direction,
}

impl Default for Shown {
    fn default() -> Self {
        let by = Column::default();
        Shown { text: String::new(), by, direction: by.facts().first }
    }
}

impl Shown {
    pub fn from_parameters(get: impl Fn(&str) -> Option<String>) -> Self {
        let by = get("sort").and_then(|id| Column::ALL.into_iter().find(|column| column.facts().id == id)).unwrap_or_default();
        let direction = match get("order").as_deref() {
            Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            _ => by.facts().first,
        };
        Shown { text: get("q").unwrap_or_default(), by, direction }
    }

    pub fn address(&self) -> String {
        let text = (!self.text.is_empty()).then(|| format!("q={}", urls::encoded(&self.text)));
        let sort = (self.by != Column::default()).then(|| format!("sort={}", self.by.facts().id));
        let order = (self.direction != self.by.facts().first).then(|| format!("order={}", self.direction.id()));
        let query: Vec<String> = text.into_iter().chain(sort).chain(order).collect();
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }

    /// Sorts by a column, or reverses the direction if already sorted by it.
    pub fn sort_by(&mut self, column: Column) {
        self.direction = if self.by == column { self.direction.reversed() } else { column.facts().first };
        self.by = column;
    }
}

/// The ids of the runs that match a query, sorted. Runs without a number come last in both directions; among
/// equals the newest comes first.
pub fn arranged(table: &Table, query: &Query, by: Column, direction: Direction) -> Vec<RunId> {
    let mut found: Vec<(&RunId, &Entry)> = table.iter().map(|(id, entry)| (id, &**entry)).collect();
    found.retain(|(_, entry)| query.matches(&entry.run, &entry.words));
    found.sort_by(|(_, a), (_, b)| {
        let ordering = match by.facts().content {
            Content::Text { compare, .. } => direction.applied(compare(a, b)),
            Content::Number { value, .. } => match (value(&a.run), value(&b.run)) {
                (Some(a), Some(b)) => direction.applied(a.total_cmp(&b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        };
        ordering.then_with(|| b.run.created_at.cmp(&a.run.created_at))
    });
    found.into_iter().map(|(id, _)| id.clone()).collect()
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
    use std::sync::Arc;

    use shared::api::{EpochSummary, RunRow};
    use shared::query;

    use super::*;
    use crate::pages::tests::row;

    fn table() -> Table {
        let epoch = |robust: f64, cas| {
            Some(EpochSummary { epoch: 1, clean_accuracy: None, robust_accuracy: Some(robust), cas: Some(cas), signs: Vec::new() })
        };
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
        runs.into_iter().map(|run| (run.id.clone(), Arc::new(Entry { words: query::words(&run), run }))).collect()
    }

    #[track_caller]
    fn check(text: &str, by: Column, direction: Direction, expected: &str) {
        let found = arranged(&table(), &Query::parse(text).0, by, direction);
        assert_eq!(found.iter().map(RunId::as_str).collect::<String>(), expected, "{text} {by:?} {direction:?}");
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
