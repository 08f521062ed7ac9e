//! The dialog that makes a link to a view.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{NewShare, Share};
use shared::problem::Problem;
use shared::view::View;

use super::copy::CopyButton;
use super::dialog::Dialog;
use crate::load::fetched;
use crate::{api, browser, words};

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

/// The links that lead to a view, and a form for another one.
#[component]
fn ShareForm(view: impl Fn() -> View + Send + Sync + 'static) -> impl IntoView {
    // The dialog is modal: the view stays what it is while one shares it.
    let view = view().to_string();
    let title = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let shares = fetched::<Vec<Share>>(|| Some("api/shares".to_owned()));
    let links = Memo::new({
        let view = view.clone();
        move |_| shares.ready().unwrap_or_default().into_iter().filter(|share| share.view == view).collect::<Vec<_>>()
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        problem.set(None);
        let body = NewShare { view: view.clone(), title: title.get_untracked() };
        spawn_local(async move {
            match api::post::<Share>("api/shares", &body).await {
                Ok(_) => shares.reload(),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
            let _ = busy.try_set(false);
        });
    };
    view! {
        <form class="share-form" on:submit=submit>
            <p>"Whoever has the link sees this view as it is now, read-only and without an account, until you withdraw it."</p>
            <div class="field">
                <label class="field-label" for="share-title">"Title (optional)"</label>
                <input
                    class="input"
                    id="share-title"
                    type="text"
                    maxlength=TITLE_LIMIT
                    prop:value=move || title.get()
                    on:input=move |event| title.set(event_target_value(&event))
                />
            </div>
            <p class="actions">
                <button class="button button-primary" type="submit" disabled=move || busy.get()>"Make a link"</button>
            </p>
            {move || problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
        </form>
        <div class="share-links" aria-live="polite">
            <For each=move || links.get() key=|share| share.token.clone() let:share>
                <Link share withdrawn=move || shares.reload() problem/>
            </For>
        </div>
    }
}

/// A link, ways to copy and to withdraw it, and what its reader sees first.
#[component]
fn Link(share: Share, withdrawn: impl Fn() + Copy + Send + Sync + 'static, problem: RwSignal<Option<Problem>>) -> impl IntoView {
    let Share { token, title, path, created_at, .. } = share;
    let link = format!("{}{path}", browser::base_uri());
    let picture = format!("api/shares/{token}/preview.png");
    let input_id = format!("share-link-{token}");
    let address = format!("api/shares/{token}");
    let withdraw = move |_| {
        let address = address.clone();
        spawn_local(async move {
            match api::delete(&address).await {
                Ok(()) => withdrawn(),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    view! {
        <section class="share-link">
            <div class="field">
                <label class="field-label" for=input_id.clone()>{format!("Link: {title}")}</label>
                <input class="input" id=input_id type="text" readonly prop:value=link.clone()/>
                <p class="field-hint">{format!("Made {} UTC", words::minute(&created_at))}</p>
            </div>
            <p class="actions">
                <CopyButton text=move || link.clone() label="Copy link"/>
                <button class="button button-small button-danger" type="button" on:click=withdraw>"Withdraw"</button>
            </p>
            <img class="share-preview" src=picture alt="Preview of the shared view" width="1200" height="630"/>
        </section>
    }
}
