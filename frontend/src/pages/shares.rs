//! The page of all share links, where they can be withdrawn.

use leptos::prelude::*;
use shared::api::{NewLink, Share, path};
use shared::problem::Problem;
use shared::view::View;

use crate::browser::use_title;
use crate::components::share::LinkActions;
use crate::load::{Placeholder, fetched, refusal, shown};
use crate::{dates, urls};

#[component]
pub fn SharesPage() -> impl IntoView {
    use_title(|| "Shared links".to_owned());
    let shares = fetched::<Vec<Share>>(|| Some(path::shares()));
    let problem = RwSignal::new(None::<Problem>);
    let made = RwSignal::new(Vec::<NewLink>::new());
    let withdrawn = Callback::new(move |()| shares.reload());
    view! {
        <header class="page-header">
            <div>
                <h1>"Shared links"</h1>
                <p class="subline">
                    "Whoever has one of these sees its view, read-only and without an account. "
                    "The server keeps no addresses of links, so it cannot show them again: New link makes another to the same view, "
                    "and the former one stops working."
                </p>
            </div>
        </header>
        {refusal(problem)}
        {shown(shares, Placeholder::Rows, move |shares| {
            if shares.is_empty() {
                return view! {
                    <div class="empty">
                        <h2>"Nothing is shared"</h2>
                        <p>"Open a run, a matrix or a comparison and press Share: the link opens exactly what you see there."</p>
                        <p class="actions"><a class="button" href=".">"All runs"</a></p>
                    </div>
                }
                .into_any();
            }
            let rows = shares.into_iter().map(|share| view! { <Row share made withdrawn problem/> }).collect_view();
            view! {
                <div class="table-box" role="region" aria-label="Shared links" tabindex="0">
                    <table class="table card-table">
                        <thead>
                            <tr>
                                <th scope="col">"Title"</th>
                                <th scope="col">"Shows"</th>
                                <th scope="col">"Made"</th>
                                <th scope="col">"Works until"</th>
                                <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            }
            .into_any()
        })}
    }
}

#[component]
fn Row(share: Share, made: RwSignal<Vec<NewLink>>, withdrawn: Callback<()>, problem: RwSignal<Option<Problem>>) -> impl IntoView {
    let until = match &share.expires_at {
        Some(end) if !share.expired => format!("{} UTC", dates::minute(end)).into_any(),
        Some(_) => view! { <span class="badge badge-canceled">"Expired"</span> }.into_any(),
        None => "No end".into_any(),
    };
    view! {
        <tr>
            <th scope="row" class="row-title">
                <a href=urls::href(&share.view)>{share.title.clone()}</a>
                {(!share.note.is_empty()).then(|| view! { <p class="muted share-note">{share.note.clone()}</p> })}
            </th>
            <td data-label="Shows">{kind(&share.view)}</td>
            <td data-label="Made">{format!("{} UTC", dates::minute(&share.created_at))}</td>
            <td data-label="Works until">{until}</td>
            <td><LinkActions share made withdrawn problem/></td>
        </tr>
    }
}

/// What a shared view is.
fn kind(view: &str) -> &'static str {
    match view.parse() {
        Ok(View::Run { .. }) => "Run",
        Ok(View::Attribution { .. }) => "Matrix",
        Ok(View::Compare { .. }) => "Comparison",
        Err(_) => "A page of another version",
    }
}
