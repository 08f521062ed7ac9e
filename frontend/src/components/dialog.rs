//! A modal dialog, based on the native element: it traps the focus, closes on Escape and restores the focus.

use std::sync::atomic::{AtomicU32, Ordering};

use leptos::html;
use leptos::prelude::*;

/// A reference to a dialog element that is shown while `open`.
pub fn modal(open: Signal<bool>) -> NodeRef<html::Dialog> {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move || {
        let Some(dialog) = dialog.get() else { return };
        if open.get() && !dialog.open() {
            // Fails only if the dialog is not in the page.
            let _ = dialog.show_modal();
        } else if !open.get() && dialog.open() {
            dialog.close();
        }
    });
    dialog
}

#[component]
pub fn Dialog(
    #[prop(into)] open: Signal<bool>,
    /// Called when the person closes the dialog.
    #[prop(into)]
    close: Callback<()>,
    #[prop(into)] title: Signal<String>,
    children: ChildrenFn,
) -> impl IntoView {
    static NEXT_ID: AtomicU32 = AtomicU32::new(0);
    let dialog = modal(open);
    let title_id = format!("dialog-title-{}", NEXT_ID.fetch_add(1, Ordering::Relaxed));
    let heading_id = title_id.clone();
    view! {
        <dialog class="dialog" node_ref=dialog aria-labelledby=title_id on:close=move |_| close.run(())>
            <Show when=move || open.get()>
                <header class="dialog-header">
                    <h2 id=heading_id.clone()>{move || title.get()}</h2>
                    <button class="button button-quiet button-small" type="button" aria-label="Close" on:click=move |_| close.run(())>
                        "✕"
                    </button>
                </header>
                {children()}
            </Show>
        </dialog>
    }
}
