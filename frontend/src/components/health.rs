//! Says when no run can train here, and why.

use std::time::Duration;

use shared::api::{Health, WorkerStatus};

use crate::load::fetched;
use crate::prelude::*;
use crate::reactive::effect;

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A banner for a worker that does not start; nothing while all is well.
#[component]
pub fn WorkerBanner() -> impl IntoView {
    let health = fetched::<Health>(|| Some("api/health".to_owned()));
    effect(move || {
        if health.ready().is_some_and(|health| health.worker == WorkerStatus::Starting) {
            set_timeout(move || health.reload(), ASK_AGAIN_AFTER);
        }
    });
    move || match health.ready()?.worker {
        WorkerStatus::Broken { message } => Some(view! {
            <div class="notice notice-error" role="alert">
                <h2 class="notice-title">"No run can train here"</h2>
                <p>{message}</p>
            </div>
        }),
        WorkerStatus::Starting | WorkerStatus::Ready(_) => None,
    }
}
