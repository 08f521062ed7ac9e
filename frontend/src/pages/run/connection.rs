//! Notices about the page's data: the server does not answer, the run was deleted, the disk is full.

use leptos::prelude::*;

use crate::browser;
use crate::components::health::ServerProblems;
use crate::live::{Connection, Live};
use crate::load::told;

#[component]
pub fn ConnectionNotice(live: Live) -> impl IntoView {
    let connection = move || {
        match live.connection.get() {
        Connection::Open => None,
        Connection::Lost(problem) => Some(
            view! {
                <div class="notice notice-warning" role="status">
                    <h2 class="notice-title">"The server cannot be reached"</h2>
                    <p>{told(&problem.detail)}" It is asked again by itself. What is below is as of the last answer."</p>
                    <p class="actions"><button class="button button-small" type="button" on:click=move |_| live.look()>"Try now"</button></p>
                </div>
            }
            .into_any(),
        ),
        Connection::SignedOut => Some(
            view! {
                <div class="notice notice-warning" role="alert">
                    <h2 class="notice-title">"You are signed out"</h2>
                    <p>"The server wants its token, which may have changed. What is below is as of the last answer."</p>
                    <p class="actions"><button class="button button-small" type="button" on:click=move |_| browser::reload()>"Sign in"</button></p>
                </div>
            }
            .into_any(),
        ),
        Connection::Deleted => Some(
            view! {
                <div class="notice notice-warning" role="alert">
                    <h2 class="notice-title">"This run was deleted"</h2>
                    <p>"What is below is what this page still knows. If the run is in the trash, it can be restored."</p>
                    <p class="actions">
                        <a class="button button-small" href="trash">"Open the trash"</a>
                        <a class="button button-small" href=".">"All runs"</a>
                    </p>
                </div>
            }
            .into_any(),
        ),
    }
    };
    view! { {move || connection()}<ServerProblems problems=live.problems/> }
}
