//! Restores the position in the table of runs after Back, Forward or a reload.
//!
//! A link to the table opens it at the top with nothing chosen; only Back, Forward and a reload restore the
//! position.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

const STORAGE_KEY: &str = "crosslens-runs";
/// Longer selections are not stored: browsers limit storage to a few megabytes.
const MOST_STORED: usize = 1000;

/// State of the table of runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// The address with filter and order; the position is valid only for this address.
    pub address: String,
    pub chosen: Vec<String>,
    /// Scroll position of the table's own box in pixels, on a wide screen.
    pub box_top: i32,
    /// Scroll position of the page in pixels, on a narrow screen.
    pub page_top: f64,
}

/// The last known state of the table; shared by all pages.
#[derive(Clone, Copy)]
pub struct TableHistory {
    table: StoredValue<TableState>,
    /// The address that Back, Forward or a reload opened.
    returned_to: StoredValue<Option<String>>,
}

/// Listens to the browser's history. Must be called before the router is created, so that pages know how they
/// were opened.
pub fn provide_table_history() {
    let storage = || window().session_storage().ok().flatten();
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let table = stored.and_then(|stored| serde_json::from_str(&stored).ok()).unwrap_or_default();
    let history = TableHistory { table: StoredValue::new(table), returned_to: StoredValue::new(href().filter(|_| was_loaded_again())) };
    // Both listeners stay as long as the application lives.
    let _ = window_event_listener_untyped("popstate", move |_| history.returned_to.set_value(href()));
    let _ = window_event_listener_untyped("pagehide", move |_| {
        let state = history.table.get_value();
        if let (Some(storage), true) = (storage(), state.chosen.len() <= MOST_STORED) {
            // If storage is full or forbidden, the position is lost when the page is closed.
            let _ = storage.set_item(STORAGE_KEY, &json!(state).to_string());
        }
    });
    provide_context(history);
}

pub fn use_table_history() -> TableHistory {
    expect_context()
}

impl TableHistory {
    /// The state to restore at an address of the table; `None` if a link opened it.
    pub fn returned(self, address: &str) -> Option<TableState> {
        let came_back = self.returned_to.with_value(|returned_to| returned_to.is_some() && *returned_to == href());
        Some(self.table.get_value()).filter(|state| came_back && state.address == address)
    }

    pub fn update(self, change: impl FnOnce(&mut TableState)) {
        self.table.update_value(change);
    }

    /// Forgets the return when the table is left, so that the next link opens it at the top.
    pub fn leave(self) {
        self.returned_to.set_value(None);
    }
}

fn href() -> Option<String> {
    window().location().href().ok()
}

/// Whether the page was loaded by a reload, or by Back or Forward from another site.
fn was_loaded_again() -> bool {
    use web_sys::PerformanceNavigation as Navigation;
    let kind = window().performance().map(|performance| performance.navigation().type_());
    matches!(kind, Some(Navigation::TYPE_RELOAD | Navigation::TYPE_BACK_FORWARD))
}
