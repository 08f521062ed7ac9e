//! Light and dark theme: follows the system or the person's choice, in `<html data-theme>` and the browser's
//! storage.

use leptos::prelude::*;
use shared::chart::colors::Theme;
use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// Must be the same as in `theme.js`, which applies the choice before the first paint.
const STORAGE_KEY: &str = "crosslens-theme";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Choice {
    #[default]
    System,
    Light,
    Dark,
}

impl Choice {
    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Choice::System => "System",
            Choice::Light => "Light",
            Choice::Dark => "Dark",
        }
    }
}

/// The chosen theme, and the one that the page has.
#[derive(Clone, Copy)]
struct ThemeState {
    choice: RwSignal<Choice>,
    shown: Memo<Theme>,
}

/// Loads the stored choice, follows the system's theme, and provides both as context.
pub fn provide_theme() {
    let storage = || window().local_storage().ok().flatten();
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let choice = RwSignal::new(stored.and_then(|stored| stored.parse().ok()).unwrap_or_default());
    let system_is_dark = media("(prefers-color-scheme: dark)");
    // Paper is white, so charts are drawn in light colors for printing, as the style sheet does for the rest.
    let prints = media("print");
    for (event, printing) in [("beforeprint", true), ("afterprint", false)] {
        // Stays as long as the page lives.
        let _ = window_event_listener_untyped(event, move |_| prints.set(printing));
    }
    let shown = Memo::new(move |_| match choice.get() {
        _ if prints.get() => Theme::Light,
        Choice::System if system_is_dark.get() => Theme::Dark,
        Choice::System | Choice::Light => Theme::Light,
        Choice::Dark => Theme::Dark,
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
    provide_context(ThemeState { choice, shown });
}

pub fn use_theme_choice() -> RwSignal<Choice> {
    expect_context::<ThemeState>().choice
}

/// The theme that the page has.
pub fn use_theme() -> Memo<Theme> {
    expect_context::<ThemeState>().shown
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
    let choice = use_theme_choice();
    view! {
        <label class="theme-select">
            <span class="visually-hidden">"Color theme"</span>
            <select
                prop:value=move || choice.get().id()
                on:change=move |event| choice.set(event_target_value(&event).parse().unwrap_or_default())
            >
                {Choice::iter()
                    .map(|option| view! { <option value=option.id() selected=move || choice.get() == option>{option.label()}</option> })
                    .collect_view()}
            </select>
        </label>
    }
}
