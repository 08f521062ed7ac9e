//! Banners for problems of the server: no run can train here, or something else needs attention.

use std::time::Duration;

use leptos::prelude::*;
use shared::api::{Health, WorkerStatus, path};

use crate::load::{fetched, told};

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A banner if the worker does not start, and one per problem that the server reports; empty otherwise.
#[component]
pub fn WorkerBanner() -> impl IntoView {
    let health = fetched::<Health>(|| Some(path::health()));
    Effect::new(move || {
        // The server tries a worker that does not start again.
        if health.ready().is_some_and(|health| !matches!(health.worker, WorkerStatus::Ready(_))) {
            set_timeout(move || health.reload(), ASK_AGAIN_AFTER);
        }
    });
    let broken = move || match health.ready()?.worker {
        WorkerStatus::Broken { message } => Some(view! {
            <div class="notice notice-error" role="alert">
                <h2 class="notice-title">"No run can train here"</h2>
                <p>{message}</p>
            </div>
        }),
        WorkerStatus::Starting | WorkerStatus::Ready(_) => None,
    };
    let problems = Signal::derive(move || health.ready().map(|health| health.problems).unwrap_or_default());
    view! { <ServerProblems problems/>{move || broken()} }
}

/// Problems that the server reports for people to fix: a full disk, a database that cannot be written.
#[component]
pub fn ServerProblems(#[prop(into)] problems: Signal<Vec<String>>) -> impl IntoView {
    move || {
        problems
            .get()
            .into_iter()
            .map(|problem| view! { <div class="notice notice-error" role="alert"><p>{told(&problem)}</p></div> })
            .collect_view()
    }
}
