//! Cleans text copied from a page: spreadsheets read numbers as numbers and never take a name for a formula.

use leptos::ev;
use leptos::prelude::*;
use shared::spreadsheet::{plain_numbers, shown_cell};
use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, Element, HtmlElement};

/// Cleans every selection that is copied anywhere on the page.
pub fn use_plain_copies() {
    let handle = window_event_listener(ev::copy, |event: ClipboardEvent| {
        // Text in inputs and code is copied unchanged.
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        if target.is_some_and(|target| target.closest("input, textarea, pre, code").ok().flatten().is_some()) {
            return;
        }
        put_plain(&event);
    });
    on_cleanup(move || handle.remove());
}

/// Returns `None` if nothing is selected or something fails; the browser then copies as usual.
fn put_plain(event: &ClipboardEvent) -> Option<()> {
    let selection = window().get_selection().ok()??;
    if selection.is_collapsed() {
        return None;
    }
    let clipboard = event.clipboard_data()?;
    let text = String::from(selection.to_string());
    let markup: HtmlElement = document().create_element("div").ok()?.unchecked_into();
    for index in 0..selection.range_count() {
        let part = selection.get_range_at(index).ok()?.clone_contents().ok()?;
        markup.append_child(&part).ok()?;
    }
    let cells = markup.query_selector_all("td, th").ok()?;
    for index in 0..cells.length() {
        let Some(cell) = cells.item(index) else { continue };
        let shown = cell.text_content().unwrap_or_default();
        let plain = shown_cell(&shown);
        if plain != shown {
            cell.set_text_content(Some(&plain));
        }
    }
    clipboard.set_data("text/plain", &plain_table(&text)).ok()?;
    clipboard.set_data("text/html", &plain_numbers(&markup.inner_html())).ok()?;
    event.prevent_default();
    Some(())
}

/// Cleans the text of a selection. Cells are separated by tabs, rows by line breaks.
fn plain_table(text: &str) -> String {
    // A line without tabs is a sentence, not a row: only its numbers change.
    let line = |line: &str| match line.contains('\t') {
        true => line.split('\t').map(shown_cell).collect::<Vec<_>>().join("\t"),
        false => plain_numbers(line).into_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Rows of cells as text with tabs, for the clipboard.
pub fn table_text(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    rows.into_iter().map(|row| row.iter().map(|cell| shown_cell(cell)).collect::<Vec<_>>().join("\t") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_of_a_table_is_numbers() {
        assert_eq!(plain_table("cat\t−0.400\t71.6 %\ndog\t–\t1\u{2009}234"), "cat\t-0.400\t71.6%\ndog\t\t1234");
        assert_eq!(plain_table("CAS fell by −0.53 – a little"), "CAS fell by -0.53 – a little");
        assert_eq!(table_text([vec!["=1+1".to_owned(), "−1.000".to_owned()]]), "'=1+1\t-1.000\n");
    }
}
