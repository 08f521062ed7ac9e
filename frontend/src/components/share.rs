//! Share links: the dialog that makes a link to a view, and the actions on each link.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{NewLink, NewShare, Share, path};
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
    let made = RwSignal::new(Vec::<NewLink>::new());
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
            match api::post::<NewLink>(&path::shares(), &body).await {
                Ok(link) => {
                    let _ = made.try_update(|made| made.push(link));
                    shares.reload();
                }
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
            <For each=move || links.get() key=|share| format!("{} {}", share.id, share.expired) let:share>
                <Link share made withdrawn=Callback::new(move |()| shares.reload()) problem/>
            </For>
        </div>
        <p class="field-hint">
            "The address of a link is shown once, when it is made. "<a href="shares">"All links that were shared"</a>
        </p>
    }
}

/// A link to the view, with its actions, and a preview of its card while its address is known.
#[component]
fn Link(share: Share, made: RwSignal<Vec<NewLink>>, withdrawn: Callback<()>, problem: RwSignal<Option<Problem>>) -> impl IntoView {
    let link = known(&share, made);
    let told = format!("Made {} UTC. {}.", dates::minute(&share.created_at), dates::until(&share));
    let title = share.title.clone();
    view! {
        <section class="share-link">
            <p><strong>{title}</strong>" "<span class="muted">{told}</span></p>
            <LinkActions share made withdrawn problem/>
            {move || link.get().map(|link| view! {
                <img
                    class="share-preview" src=path::share_preview(&link.token) alt="Preview of the shared view"
                    width="1200" height="630"
                />
            })}
        </section>
    }
}

/// The address of a link where it is known, and buttons that copy it, replace it by another, or withdraw it.
#[component]
pub fn LinkActions(
    share: Share,
    /// Links that were made on this page: nothing else knows their addresses.
    made: RwSignal<Vec<NewLink>>,
    withdrawn: Callback<()>,
    problem: RwSignal<Option<Problem>>,
) -> impl IntoView {
    let link = known(&share, made);
    let (id, title) = (share.id, share.title.clone());
    let withdraw = move |_| {
        spawn_local(async move {
            match api::delete(&path::own_share(id)).await {
                Ok(()) => withdrawn.run(()),
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    let renew = move |_| {
        spawn_local(async move {
            match api::post::<NewLink>(&path::share_link(id), &()).await {
                Ok(link) => {
                    let _ = made.try_update(|made| made.push(link));
                }
                Err(error) => {
                    let _ = problem.try_set(Some(error));
                }
            }
        });
    };
    let input_id = format!("share-link-{id}");
    view! {
        {move || link.get().map(|link| view! {
            <div class="field">
                <label class="field-label" for=input_id.clone()>{format!("Link: {title}")}</label>
                <input class="input" id=input_id.clone() type="text" readonly prop:value=address(&link)/>
                <p class="field-hint">"Copy it now: it is not shown again."</p>
            </div>
        })}
        <p class="actions">
            {move || link.get().map(|link| view! { <CopyButton text=move || address(&link) label="Copy link"/> })}
            {(!share.expired).then(|| view! {
                <button
                    class="button button-small" type="button" title="Makes another link to the same view; the former one stops working"
                    on:click=renew
                >
                    "New link"
                </button>
            })}
            <button class="button button-small button-danger" type="button" on:click=withdraw>
                {if share.expired { "Remove" } else { "Withdraw" }}
            </button>
        </p>
    }
}

/// The newest link of a share among those that were made on this page.
fn known(share: &Share, made: RwSignal<Vec<NewLink>>) -> Memo<Option<NewLink>> {
    let id = share.id;
    Memo::new(move |_| made.with(|made| made.iter().rfind(|link| link.share.id == id).cloned()))
}

/// The full address of a link.
fn address(link: &NewLink) -> String {
    format!("{}{}", browser::base_uri(), link.path)
}
