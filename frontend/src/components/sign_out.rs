//! Signs out people who signed in with a token.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::{api, browser};

/// A button that makes the browser forget the token; empty if there is none.
#[component]
pub fn SignOut() -> impl IntoView {
    let sign_out = move |_| {
        spawn_local(async move {
            // If the server does not answer, the reloaded page shows that.
            let _ = api::post_empty("sign-out").await;
            browser::reload();
        });
    };
    browser::is_signed_in()
        .then(|| view! { <button class="button button-small sign-out" type="button" on:click=sign_out>"Sign out"</button> })
}
