//! Share links: the dialog that makes a link to a view, and the actions on each link.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{NewShare, Share, path};
use shared::problem::Problem;
use shared::view::View;

use super::copy::CopyButton;
use super::dialog::Dialog;
use crate::load::{Failure, Load, fetched};
use crate::{api, browser, dates};

const TITLE_LIMIT: &str = "120";
const NOTE_LIMIT: &str = "2000";

/// How long a link works: days and label.
const TERMS: [(&str, &str); 5] = [("", "Until I withdraw it"), ("1", "1 day"), ("7", "1 week"), ("30", "1 month"), ("365", "1 year")];

#[component]
pub fn ShareButton(
    /// Returns the view to share. Called when the dialog opens.
    #[prop(into)]
    view: Callback<(), View>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <button class="button" type="button" aria-haspopup="dialog" on:click=move |_| open.set(true)>"Share"</button>
        <Dialog open close=move || open.set(false) title="Share this view">
            // The dialog is modal, so the view cannot change meanwhile.
            <ShareForm view=view.run(()).to_string()/>
        </Dialog>
    }
}

/// The existing links to a view, and a form for a new one.
#[component]
fn ShareForm(view: String) -> impl IntoView {
    let [title, note, term] = [(); 3].map(|()| RwSignal::new(String::new()));
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let shares = fetched::<Vec<Share>>(|| Some(path::shares()));
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
        let body = NewShare {
            view: view.clone(),
            title: title.get_untracked(),
            note: note.get_untracked(),
            expires_in_days: term.get_untracked().parse().ok(),
        };
        spawn_local(async move {
            match api::post::<Share>(&path::shares(), &body).await {
                Ok(_) => shares.reload(),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
            let _ = busy.try_set(false);
        });
    };
    let terms = TERMS.map(|(days, name)| view! { <option value=days>{name}</option> });
    view! {
        <form class="share-form" on:submit=submit>
            <p>"Whoever has the link sees this view as it is now, read-only and without an account."</p>
            <div class="field">
                <label class="field-label" for="share-title">"Title (optional)"</label>
                <input
                    class="input" id="share-title" type="text" maxlength=TITLE_LIMIT
                    prop:value=move || title.get() on:input=move |event| title.set(event_target_value(&event))
                />
            </div>
            <div class="field">
                <label class="field-label" for="share-note">"Note (optional)"</label>
                <textarea
                    class="input" id="share-note" rows="3" maxlength=NOTE_LIMIT aria-describedby="share-note-hint"
                    prop:value=move || note.get() on:input=move |event| note.set(event_target_value(&event))
                ></textarea>
                <p class="field-hint" id="share-note-hint">"What to look at; the reader sees it above the view."</p>
            </div>
            <div class="share-last">
                <div class="field">
                    <label class="field-label" for="share-term">"Works for"</label>
                    <select class="input" id="share-term" on:change=move |event| term.set(event_target_value(&event))>{terms}</select>
                </div>
                <button class="button button-primary" type="submit" disabled=move || busy.get()>"Make a link"</button>
            </div>
            {move || problem.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
        </form>
        <div class="share-links" aria-live="polite">
            {move || match shares.state.get() {
                Load::Failed(problem) => Some(view! { <Failure problem retry=move || shares.reload()/> }),
                Load::Loading | Load::Ready(_) => None,
            }}
            <For each=move || links.get() key=|share| format!("{} {}", share.token, share.expired) let:share>
                <Link share withdrawn=Callback::new(move |()| shares.reload()) problem/>
            </For>
        </div>
        <p class="field-hint"><a href="shares">"All links that were shared"</a></p>
    }
}

/// A link, with buttons to copy and withdraw it and a preview of its card.
#[component]
fn Link(share: Share, withdrawn: Callback<()>, problem: RwSignal<Option<Problem>>) -> impl IntoView {
    let address = link(&share);
    let picture = (!share.expired).then(|| path::share_preview(&share.token));
    let input_id = format!("share-link-{}", share.token);
    let made = format!("Made {} UTC. {}.", dates::minute(&share.created_at), dates::until(&share));
    view! {
        <section class="share-link">
            <div class="field">
                <label class="field-label" for=input_id.clone()>{format!("Link: {}", share.title)}</label>
                <input class="input" id=input_id type="text" readonly prop:value=address/>
                <p class="field-hint">{made}</p>
            </div>
            <LinkActions share withdrawn problem/>
            {picture.map(|picture| view! {
                <img class="share-preview" src=picture alt="Preview of the shared view" width="1200" height="630"/>
            })}
        </section>
    }
}

/// Buttons that copy or withdraw a link.
#[component]
pub fn LinkActions(share: Share, withdrawn: Callback<()>, problem: RwSignal<Option<Problem>>) -> impl IntoView {
    let text = link(&share);
    let address = path::share(&share.token);
    let withdraw = move |_| {
        let address = address.clone();
        spawn_local(async move {
            match api::delete(&address).await {
                Ok(()) => withdrawn.run(()),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    view! {
        <p class="actions">
            {(!share.expired).then(|| view! { <CopyButton text=move || text.clone() label="Copy link"/> })}
            <button class="button button-small button-danger" type="button" on:click=withdraw>
                {if share.expired { "Remove" } else { "Withdraw" }}
            </button>
        </p>
    }
}

/// The full address of a share.
fn link(share: &Share) -> String {
    format!("{}{}", browser::base_uri(), share.path)
}
