//! Who is signed in, and the way out.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::{api, browser};

/// A button that ends the session, and whether it permits reading only; empty without a session.
#[component]
pub fn SignOut() -> impl IntoView {
    let sign_out = move |_| {
        spawn_local(async move {
            // If the server does not answer, the reloaded page shows that.
            let _ = api::post_empty("sign-out").await;
            browser::reload();
        });
    };
    let button = browser::is_signed_in()
        .then(|| view! { <button class="button button-small sign-out" type="button" on:click=sign_out>"Sign out"</button> });
    let read_only = browser::is_read_only().then(|| view! { <p class="muted">"You can read everything and change nothing."</p> });
    view! {
        {read_only}
        {button}
    }
}
