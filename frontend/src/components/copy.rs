//! A button that copies a text to the clipboard and confirms it.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser;

const SHOWN_FOR: Duration = Duration::from_secs(2);

#[component]
pub fn CopyButton(
    /// Returns the text to copy. Called on click.
    #[prop(into)]
    text: Callback<(), String>,
    #[prop(into)] label: String,
) -> impl IntoView {
    let outcome = RwSignal::new(None::<bool>);
    let copy = move |_| {
        let text = text.run(());
        spawn_local(async move {
            let copied = browser::copy(&text).await;
            let _ = outcome.try_set(Some(copied));
            set_timeout(
                move || {
                    let _ = outcome.try_set(None);
                },
                SHOWN_FOR,
            );
        });
    };
    let said = move || match outcome.get() {
        None => "",
        Some(true) => "Copied",
        Some(false) => "Could not copy: select the text instead",
    };
    view! {
        <span class="copy">
            <button class="button button-small" type="button" on:click=copy>{label}</button>
            <span class="copy-outcome" role="status">{move || said()}</span>
        </span>
    }
}
