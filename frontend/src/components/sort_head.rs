//! A column head that sorts a table, and the resulting order.

use std::cmp::Ordering;

use leptos::prelude::*;

use crate::urls;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    pub fn reversed(self) -> Self {
        match self {
            Direction::Ascending => Direction::Descending,
            Direction::Descending => Direction::Ascending,
        }
    }

    pub fn applied(self, order: Ordering) -> Ordering {
        match self {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        }
    }

    /// The spelling in the URL.
    pub fn id(self) -> &'static str {
        match self {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
        }
    }

    fn aria(self) -> &'static str {
        match self {
            Direction::Ascending => "ascending",
            Direction::Descending => "descending",
        }
    }
}

#[component]
pub fn SortHead(
    #[prop(into)] label: String,
    /// Whether the column has numbers, which are right-aligned.
    number: bool,
    #[prop(optional, into)] class: String,
    /// The direction, if the table is sorted by this column.
    #[prop(into)]
    sorted: Signal<Option<Direction>>,
    press: impl Fn() + 'static,
) -> impl IntoView {
    let mark = move || match sorted.get() {
        None => "",
        Some(Direction::Ascending) => "▲",
        Some(Direction::Descending) => "▼",
    };
    view! {
        <th scope="col" class=class class:number=number aria-sort=move || sorted.get().map_or("none", Direction::aria)>
            <button class="sort" type="button" on:click=move |_| press()>
                {label}<span class="sort-mark" aria-hidden="true">{move || mark()}</span>
            </button>
        </th>
    }
}

/// The column (by name) and direction that a table is sorted by; `None` keeps the order of the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sorting(pub Option<(String, Direction)>);

/// The sort key of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum SortKey {
    Text(String),
    /// `None` comes last in both directions.
    Number(Option<f64>),
}

impl SortKey {
    /// The direction after the first click: text ascending, numbers descending.
    fn first_direction(&self) -> Direction {
        match self {
            SortKey::Text(_) => Direction::Ascending,
            SortKey::Number(_) => Direction::Descending,
        }
    }

    pub fn compare(&self, other: &SortKey, direction: Direction) -> Ordering {
        match (self, other) {
            (SortKey::Text(a), SortKey::Text(b)) => direction.applied(a.cmp(b)),
            (SortKey::Number(Some(a)), SortKey::Number(Some(b))) => direction.applied(a.total_cmp(b)),
            (SortKey::Number(a), SortKey::Number(b)) => b.is_some().cmp(&a.is_some()),
            (SortKey::Number(_), SortKey::Text(_)) => Ordering::Less,
            (SortKey::Text(_), SortKey::Number(_)) => Ordering::Greater,
        }
    }
}

impl Sorting {
    /// Reads the URL parameters. `get` returns the value of a parameter.
    pub fn from_parameters(get: impl Fn(&str) -> Option<String>) -> Self {
        let direction = if get("order").as_deref() == Some("desc") { Direction::Descending } else { Direction::Ascending };
        Sorting(get("sort").map(|by| (by, direction)))
    }

    /// The URL parameters.
    pub fn parameters(&self) -> Option<String> {
        self.0.as_ref().map(|(by, direction)| format!("sort={}&order={}", urls::encoded(by), direction.id()))
    }

    pub fn of(&self, column: &str) -> Option<Direction> {
        self.0.as_ref().filter(|(by, _)| by == column).map(|(_, direction)| *direction)
    }

    /// Sorts by a column, or reverses the direction if already sorted by it. `example` is the key of any row.
    pub fn turn(&mut self, column: &str, example: &SortKey) {
        let direction = self.of(column).map_or_else(|| example.first_direction(), Direction::reversed);
        self.0 = Some((column.to_owned(), direction));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_number_come_last_in_either_direction() {
        let keys = || vec![SortKey::Number(None), SortKey::Number(Some(2.0)), SortKey::Number(Some(3.0))];
        let by = |direction| {
            let mut keys = keys();
            keys.sort_by(|a, b| a.compare(b, direction));
            keys
        };
        assert_eq!(by(Direction::Ascending), [keys()[1].clone(), keys()[2].clone(), keys()[0].clone()]);
        assert_eq!(by(Direction::Descending), [keys()[2].clone(), keys()[1].clone(), keys()[0].clone()]);
    }

    #[test]
    fn an_order_is_turned_around_and_is_in_the_address() {
        let mut sorting = Sorting::default();
        assert_eq!(sorting.parameters(), None);
        sorting.turn("cas", &SortKey::Number(None));
        assert_eq!(sorting.of("cas"), Some(Direction::Descending));
        sorting.turn("cas", &SortKey::Number(None));
        assert_eq!(sorting.parameters().as_deref(), Some("sort=cas&order=asc"));
        sorting.turn("title", &SortKey::Text(String::new()));
        assert_eq!((sorting.of("cas"), sorting.of("title")), (None, Some(Direction::Ascending)));
        let read = Sorting::from_parameters(|name| Some(if name == "sort" { "attack.eps" } else { "desc" }.to_owned()));
        assert_eq!(read, Sorting(Some(("attack.eps".to_owned(), Direction::Descending))));
    }
}
