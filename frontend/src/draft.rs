//! Saves edited but unsubmitted forms in the browser's storage, so that a reload or a visit to another page
//! does not lose them.
//!
//! There is one entry per starting point of a form. Old entries are removed, so that storage does not fill
//! up.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::browser::base_uri;
use crate::sweep_form::Row;
use crate::urls;

/// How many forms are kept: those edited last.
const MOST_KEPT: usize = 20;
const KEPT_FOR_MS: f64 = 30.0 * 24.0 * 3600.0 * 1000.0;
/// Longest text that is kept. A configuration has about 2 KB; anything far larger was pasted by mistake.
const LONGEST: usize = 100_000;

/// The content of an edited form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Milliseconds since 1970.
    pub edited_at: f64,
    pub config: Value,
    /// The fields that a sweep varies.
    pub rows: Vec<Row>,
}

/// Returns the saved draft of a form. Also removes drafts that are too old or too many.
pub fn restored(form: &str) -> Option<Draft> {
    let storage = storage()?;
    let keys = (0..storage.length().unwrap_or_default()).filter_map(|index| storage.key(index).ok().flatten());
    let own = prefix();
    let entry = |key: String| {
        let text = storage.get_item(&key).ok().flatten().filter(|_| key.starts_with(&own))?;
        let edited_at = serde_json::from_str::<Draft>(&text).map_or(0.0, |draft| draft.edited_at);
        Some((key, edited_at))
    };
    for key in expired(keys.filter_map(entry).collect(), js_sys::Date::now()) {
        // Fails only if storage is forbidden.
        let _ = storage.remove_item(&key);
    }
    let text = storage.get_item(&key(form)).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

/// Saves the content of a form.
pub fn keep(form: &str, config: Value, rows: Vec<Row>) {
    let Some(storage) = storage() else { return };
    let text = json!(Draft { edited_at: js_sys::Date::now(), config, rows }).to_string();
    if text.len() <= LONGEST {
        // If storage is full or forbidden, the draft lasts only until the page is closed.
        let _ = storage.set_item(&key(form), &text);
    }
}

/// Removes the draft of a form, because the form was submitted or is unchanged.
pub fn forget(form: &str) {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(&key(form));
    }
}

/// Formats the time of an edit in local time: `10:42`, or `2026-11-22 10:42` if it was not today.
pub fn said(edited_at: f64) -> String {
    let parts = |milliseconds: f64| {
        let date = js_sys::Date::new(&milliseconds.into());
        let day = format!("{}-{:02}-{:02}", date.get_full_year(), date.get_month() + 1, date.get_date());
        (day, format!("{:02}:{:02}", date.get_hours(), date.get_minutes()))
    };
    let ((day, time), (today, _)) = (parts(edited_at), parts(js_sys::Date::now()));
    if day == today { time } else { format!("{day} {time}") }
}

/// The keys of the entries to remove.
fn expired(mut entries: Vec<(String, f64)>, now: f64) -> Vec<String> {
    // Newest first.
    entries.sort_by(|a, b| b.1.total_cmp(&a.1));
    let gone = |(index, (_, edited_at)): &(usize, (String, f64))| *index >= MOST_KEPT || now - edited_at > KEPT_FOR_MS;
    entries.into_iter().enumerate().filter(gone).map(|(_, (key, _))| key).collect()
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// The application's prefix is part of the key: other installations on the same host share the storage.
fn prefix() -> String {
    format!("crosslens-draft {} ", urls::prefix(&base_uri()))
}

fn key(form: &str) -> String {
    prefix() + form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_and_all_but_the_newest_are_cleared_away() {
        let entries = |count: usize| (0..count).map(|index| (format!("f{index}"), 1e12 + index as f64)).collect::<Vec<_>>();
        assert_eq!(expired(entries(20), 1e12), Vec::<String>::new());
        assert_eq!(expired(entries(22), 1e12), ["f1", "f0"]);
        assert_eq!(expired(vec![("a".into(), 1e12), ("b".into(), 0.0)], 1e12 + 5.0), ["b"]);
        assert_eq!(expired(vec![("a".into(), 1e12)], 1e12 + KEPT_FOR_MS + 1.0), ["a"]);
    }
}
