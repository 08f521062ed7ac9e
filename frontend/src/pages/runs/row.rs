//! One row of the table of runs.

use leptos::prelude::*;
use shared::api::RunRow;
use shared::id::RunId;

use super::choice::Choice;
use super::columns::cells;
use crate::components::spark::Spark;
use crate::latest::latest;
use crate::rows::Rows;

#[component]
pub fn Row(
    id: RunId,
    rows: Rows,
    /// Index of the row in the table.
    position: Signal<usize>,
    queue_position: Signal<Option<u32>>,
    choice: Choice,
    /// Toggles the choice of a run; with `true`, of all runs from the last toggled one to it.
    toggle: Callback<(RunId, bool)>,
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
            {move || entry.with(|entry| content(&entry.run, queue_position.get()))}
        </tr>
    };
    Some(row)
}

/// Drawn anew with every change of the run: the elements stay, and the focus with them.
fn content(run: &RunRow, queue_position: Option<u32>) -> impl IntoView + use<> {
    let spark = run.spark.iter().map(|value| f64::from(*value) / 1000.0).collect();
    let curve = match run.kind.has_epochs() {
        true => view! { <td class="run-curve"><Spark values=spark/></td> }.into_any(),
        false => view! { <td class="run-nothing"></td> }.into_any(),
    };
    view! { {cells(run, queue_position)} {curve} }
}
