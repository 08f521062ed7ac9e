//! Tables of numbers in a dossier.

use leptos::prelude::*;

/// A row: its head, an optional bar for the size of its first number, and its numbers.
pub struct Row {
    pub head: String,
    /// Length of the bar as a fraction of the longest possible, in `[0, 1]`.
    pub bar: Option<f64>,
    pub cells: Vec<String>,
}

impl Row {
    pub fn new(head: String, cells: Vec<String>) -> Self {
        Row { head, bar: None, cells }
    }
}

/// Makes a table. `heads`: head of the first column, then one per number; `bars`: whether rows have bars.
pub fn table(label: String, heads: Vec<String>, bars: bool, rows: Vec<Row>) -> AnyView {
    let head = |(index, text): (usize, String)| {
        let class = if index == 0 { "" } else { "number" };
        let bar = (bars && index == 1).then(|| view! { <td></td> });
        view! { {bar}<th scope="col" class=class>{text}</th> }
    };
    let row = |Row { head, bar, cells }: Row| {
        view! {
            <tr>
                <th scope="row">{head}</th>
                {bar.map(|bar| view! {
                    <td class="bar-cell"><span class="bar" style:width=format!("{:.1}%", bar.clamp(0.0, 1.0) * 100.0)></span></td>
                })}
                {cells.into_iter().map(|cell| view! { <td class="number">{cell}</td> }).collect_view()}
            </tr>
        }
    };
    view! {
        <div class="table-box" role="region" aria-label=label tabindex="0">
            <table class="table table-dense">
                <thead><tr>{heads.into_iter().enumerate().map(head).collect_view()}</tr></thead>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}
