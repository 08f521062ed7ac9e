//! The CrossLens browser application: pages over the HTTP API. Figures are drawn by the same code as on the
//! server.
//!
//! Components are functions of signals; their logic is in plain, tested functions. No absolute paths: every
//! address is relative to the page's base.

use wasm_bindgen::prelude::wasm_bindgen;

mod api;
mod app;
mod baseline;
mod browser;
mod cache;
mod changes;
mod clipboard;
mod components;
mod cost;
mod dates;
mod debounce;
mod draft;
mod findings;
mod form;
mod fuzzy;
mod keys;
mod latest;
mod live;
mod load;
mod names;
mod pages;
mod rows;
mod sweep_form;
mod table_history;
mod theme;
mod url_state;
mod urls;
mod viewer;
mod visible_rows;

/// Starts the application in the page.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        browser::say_broken();
    }));
    if let Some(boot) = leptos::prelude::document().get_element_by_id("boot") {
        boot.remove();
    }
    browser::respell_address();
    leptos::mount::mount_to_body(app::App);
}
