//! The page for an address that does not exist.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use crate::browser::use_title;

#[component]
pub fn NotFoundPage() -> impl IntoView {
    use_title(|| "Page not found".to_owned());
    let path = use_location().pathname;
    view! {
        <div class="empty">
            <h1>"Page not found"</h1>
            <p>"There is no page at "<code>{move || path.get()}</code>"."</p>
            <p class="actions"><a class="button button-primary" href=".">"All runs"</a></p>
        </div>
    }
}
