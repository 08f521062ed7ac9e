//! Says when no run can train here, and why, and what else a person should see to.

use std::time::Duration;

use leptos::prelude::*;
use shared::api::{Health, WorkerStatus};

use crate::load::{fetched, told};

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A banner for a worker that does not start and for a full disk; nothing while all is well.
#[component]
pub fn WorkerBanner() -> impl IntoView {
    let health = fetched::<Health>(|| Some("api/health".to_owned()));
    Effect::new(move || {
        if health.ready().is_some_and(|health| health.worker == WorkerStatus::Starting) {
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

/// What a person should see to, as the server says: a full disk, a database that takes no changes.
#[component]
pub fn ServerProblems(#[prop(into)] problems: Signal<Vec<String>>) -> impl IntoView {
    move || {
        problems.get().into_iter().map(|problem| view! { <p class="notice notice-error" role="alert">{told(&problem)}</p> }).collect_view()
    }
}
