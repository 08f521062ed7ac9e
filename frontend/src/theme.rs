//! Light and dark theme: follows the system or the person's choice, in `<html data-theme>` and the browser's
//! storage.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// Must be the same as in `theme.js`, which applies the choice before the first paint.
const STORAGE_KEY: &str = "crosslens-theme";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    System,
    Light,
    Dark,
}

impl Choice {
    pub const ALL: [Choice; 3] = [Choice::System, Choice::Light, Choice::Dark];

    pub fn id(self) -> &'static str {
        match self {
            Choice::System => "system",
            Choice::Light => "light",
            Choice::Dark => "dark",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Choice::System => "System",
            Choice::Light => "Light",
            Choice::Dark => "Dark",
        }
    }

    pub fn from_id(id: &str) -> Choice {
        Choice::ALL.into_iter().find(|choice| choice.id() == id).unwrap_or(Choice::System)
    }
}

/// The chosen theme, and whether the page is dark.
#[derive(Clone, Copy)]
pub struct ThemeState {
    pub choice: RwSignal<Choice>,
    pub dark: Signal<bool>,
}

/// Loads the stored choice, follows the system's theme, and provides both as context.
pub fn provide_theme() {
    let storage = || window().local_storage().ok().flatten();
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let choice = RwSignal::new(Choice::from_id(stored.as_deref().unwrap_or_default()));
    let system_is_dark = media("(prefers-color-scheme: dark)");
    // Paper is white, so charts are drawn in light colors for printing, as the style sheet does for the rest.
    let prints = media("print");
    for (event, printing) in [("beforeprint", true), ("afterprint", false)] {
        // Stays as long as the page lives.
        let _ = window_event_listener_untyped(event, move |_| prints.set(printing));
    }
    let dark = Signal::derive(move || {
        !prints.get()
            && match choice.get() {
                Choice::System => system_is_dark.get(),
                Choice::Light => false,
                Choice::Dark => true,
            }
    });
    Effect::new(move |former: Option<Choice>| {
        let choice = choice.get();
        if former.is_some_and(|former| former != choice)
            && let Some(storage) = storage()
        {
            // If storage is full or forbidden, the choice lasts only until the page is closed.
            let _ = storage.set_item(STORAGE_KEY, choice.id());
        }
        if let Some(root) = document().document_element() {
            let _ = match choice {
                Choice::System => root.remove_attribute("data-theme"),
                Choice::Light | Choice::Dark => root.set_attribute("data-theme", choice.id()),
            };
        }
        choice
    });
    provide_context(ThemeState { choice, dark });
}

pub fn use_theme() -> ThemeState {
    expect_context()
}

/// A signal that tells whether a media query matches.
fn media(query: &str) -> RwSignal<bool> {
    let query = window().match_media(query).ok().flatten();
    let holds = RwSignal::new(query.as_ref().is_some_and(web_sys::MediaQueryList::matches));
    if let Some(query) = query {
        let listener = Closure::<dyn Fn(web_sys::MediaQueryListEvent)>::new(move |event: web_sys::MediaQueryListEvent| {
            holds.set(event.matches());
        });
        query.set_onchange(Some(listener.as_ref().unchecked_ref()));
        // The application lives as long as the page.
        listener.forget();
        std::mem::forget(query);
    }
    holds
}

#[component]
pub fn ThemeSelect() -> impl IntoView {
    let ThemeState { choice, .. } = use_theme();
    view! {
        <label class="theme-select">
            <span class="visually-hidden">"Color theme"</span>
            <select
                prop:value=move || choice.get().id()
                on:change=move |event| choice.set(Choice::from_id(&event_target_value(&event)))
            >
                {Choice::ALL
                    .map(|option| view! { <option value=option.id() selected=move || choice.get() == option>{option.label()}</option> })
                    .collect_view()}
            </select>
        </label>
    }
}
