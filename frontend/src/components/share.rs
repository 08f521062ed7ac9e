//! The dialog that makes a link to a view.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{NewShare, Share};
use shared::problem::Problem;
use shared::view::View;

use super::copy::CopyButton;
use super::dialog::Dialog;
use crate::{api, browser};

const TITLE_LIMIT: &str = "120";

#[component]
pub fn ShareButton(
    /// What the link opens, asked for when it is made.
    view: impl Fn() -> View + Clone + Send + Sync + 'static,
) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <button class="button" type="button" aria-haspopup="dialog" on:click=move |_| open.set(true)>"Share"</button>
        <Dialog open close=move || open.set(false) title="Share this view">
            <ShareForm view=view.clone()/>
        </Dialog>
    }
}

#[component]
fn ShareForm(view: impl Fn() -> View + Send + Sync + 'static) -> impl IntoView {
    let title = RwSignal::new(String::new());
    let made = RwSignal::new(None::<Result<Share, Problem>>);
    let busy = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let body = NewShare { view: view().to_string(), title: title.get_untracked() };
        spawn_local(async move {
            let answer = api::post::<Share>("api/shares", &body).await;
            let _ = made.try_set(Some(answer));
            let _ = busy.try_set(false);
        });
    };
    view! {
        <form class="share-form" on:submit=submit>
            <p>"Whoever has the link sees this view as it is now, read-only and without an account. You can withdraw it."</p>
            <div class="field">
                <label class="field-label" for="share-title">"Title (optional)"</label>
                <input class="input" id="share-title" type="text" maxlength=TITLE_LIMIT prop:value=move || title.get() on:input=move |event| title.set(event_target_value(&event))/>
            </div>
            <p class="actions">
                <button class="button button-primary" type="submit" disabled=move || busy.get()>"Make a link"</button>
            </p>
        </form>
        <div aria-live="polite">
            {move || made.get().map(|answer| match answer {
                Ok(share) => view! { <Made share made/> }.into_any(),
                Err(problem) => view! { <p class="field-error">{problem.detail}</p> }.into_any(),
            })}
        </div>
    }
}

/// The link, a way to copy and to withdraw it, and what its reader sees first.
#[component]
fn Made(share: Share, made: RwSignal<Option<Result<Share, Problem>>>) -> impl IntoView {
    let link = format!("{}{}", browser::base_uri(), share.path);
    let picture = format!("{}.png", share.path);
    let address = format!("api/shares/{}", share.token);
    let withdraw = move |_| {
        let address = address.clone();
        spawn_local(async move {
            let answer = api::delete(&address).await;
            let _ = made.try_set(answer.err().map(Err));
        });
    };
    view! {
        <div class="share-made">
            <div class="field">
                <label class="field-label" for="share-link">"Link"</label>
                <input class="input" id="share-link" type="text" readonly prop:value=link.clone()/>
            </div>
            <p class="actions">
                <CopyButton text=move || link.clone() label="Copy link"/>
                <button class="button button-small button-danger" type="button" on:click=withdraw>"Withdraw"</button>
            </p>
            <img class="share-preview" src=picture alt="Preview of the shared view" width="1200" height="630"/>
        </div>
    }
}
