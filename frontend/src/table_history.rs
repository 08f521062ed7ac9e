//! Where one stood in the table of runs, to stand there again after going back or loading the page again.
//!
//! A link to the table opens it from the top with nothing chosen; only the browser's Back and Forward and a reload bring the place back.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

const STORAGE_KEY: &str = "crosslens-runs";
/// A longer choice is not kept over a reload: browsers give an origin a few megabytes.
const MOST_STORED: usize = 1000;

/// What the table of runs was like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// With its filter and its order; the place is of no use for another one.
    pub address: String,
    pub chosen: Vec<String>,
    /// In pixels, of the table's own box: on a wide screen.
    pub box_top: i32,
    /// In pixels, of the page: on a narrow screen.
    pub page_top: f64,
}

/// What is known of former places; one for all pages.
#[derive(Clone, Copy)]
pub struct TableHistory {
    table: StoredValue<TableState>,
    /// The address that Back, Forward or a reload has led to.
    returned_to: StoredValue<Option<String>>,
}

/// Listens to the browser's history; before the router does, so that a page knows how one came to it.
pub fn provide_table_history() {
    let storage = || window().session_storage().ok().flatten();
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let table = stored.and_then(|stored| serde_json::from_str(&stored).ok()).unwrap_or_default();
    let history = TableHistory { table: StoredValue::new(table), returned_to: StoredValue::new(href().filter(|_| was_loaded_again())) };
    // Both live as long as the application.
    let _ = window_event_listener_untyped("popstate", move |_| history.returned_to.set_value(href()));
    let _ = window_event_listener_untyped("pagehide", move |_| {
        let state = history.table.get_value();
        if let (Some(storage), true) = (storage(), state.chosen.len() <= MOST_STORED) {
            // Full or forbidden storage: the place is then lost with the page.
            let _ = storage.set_item(STORAGE_KEY, &json!(state).to_string());
        }
    });
    provide_context(history);
}

pub fn use_table_history() -> TableHistory {
    expect_context()
}

impl TableHistory {
    /// The place to go on from at an address of the table; none where a link has led to it.
    pub fn returned(self, address: &str) -> Option<TableState> {
        let came_back = self.returned_to.with_value(|returned_to| returned_to.is_some() && *returned_to == href());
        Some(self.table.get_value()).filter(|state| came_back && state.address == address)
    }

    pub fn update(self, change: impl FnOnce(&mut TableState)) {
        self.table.update_value(change);
    }

    /// The table is left: whoever comes to it by a link finds it as it always is.
    pub fn leave(self) {
        self.returned_to.set_value(None);
    }
}

fn href() -> Option<String> {
    window().location().href().ok()
}

/// Whether the page was loaded by a reload, or by Back from another site.
fn was_loaded_again() -> bool {
    use web_sys::PerformanceNavigation as Navigation;
    let kind = window().performance().map(|performance| performance.navigation().type_());
    matches!(kind, Some(Navigation::TYPE_RELOAD | Navigation::TYPE_BACK_FORWARD))
}
