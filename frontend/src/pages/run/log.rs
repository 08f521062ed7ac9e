//! The log and the configuration of a run, as they lie in its directory.

use std::time::Duration;

use leptos::html;
use leptos::leptos_dom::helpers::set_interval_with_handle;
use leptos::task::spawn_local;
use shared::api::Run;
use shared::problem::Problem;

use crate::components::copy::CopyButton;
use crate::components::heatmap::is_open;
use crate::prelude::*;
use crate::reactive::{effect, memo};
use crate::{api, form};

const LOG_REFRESH: Duration = Duration::from_secs(3);
/// The end of a log is what one comes for; the file has the rest.
const LOG_LINES: u32 = 300;

/// The end of the worker's log, followed while it grows.
#[component]
pub fn LogTail(run: Memo<Run>, open: bool, class: &'static str) -> impl IntoView {
    let shown = RwSignal::new(open);
    let text = RwSignal::new(None::<Result<String, Problem>>);
    let address = format!("api/runs/{}/log?tail={LOG_LINES}", run.with_untracked(|run| run.id.clone()));
    let load = move || {
        let address = address.clone();
        spawn_local(async move {
            let answer = api::get_text(&address).await;
            let _ = text.try_set(Some(answer));
        });
    };
    let finished = memo(move || run.with(|run| run.state.is_finished()));
    effect({
        let load = load.clone();
        move || {
            // Also once when the run ends: the last lines say how.
            let finished = finished.get();
            if !shown.get() {
                return;
            }
            load();
            if !finished && let Ok(timer) = set_interval_with_handle(load.clone(), LOG_REFRESH) {
                on_cleanup(move || timer.clear());
            }
        }
    });
    // The end is what one looks for; whoever has scrolled up to read is left there.
    let pre = NodeRef::<html::Pre>::new();
    let at_end = StoredValue::new(true);
    effect(move || {
        text.track();
        if let Some(pre) = pre.get().filter(|_| at_end.get_value()) {
            request_animation_frame(move || pre.set_scroll_top(pre.scroll_height()));
        }
    });
    let on_scroll = move |_| {
        if let Some(pre) = pre.get_untracked() {
            at_end.set_value(pre.scroll_height() - pre.scroll_top() - pre.client_height() < 4);
        }
    };
    let log = memo(move || text.get().and_then(Result::ok).unwrap_or_default());
    let state = memo(move || match text.get() {
        None => LogState::Loading,
        Some(Ok(log)) if log.is_empty() => LogState::Empty,
        Some(Ok(_)) => LogState::Shown,
        Some(Err(problem)) => LogState::Failed(problem.detail),
    });
    let content = move || match state.get() {
        LogState::Loading => view! { <p class="muted">"Loading …"</p> }.into_any(),
        LogState::Empty => view! { <p class="muted">"The log is empty."</p> }.into_any(),
        LogState::Shown => view! {
            <pre class="code code-log" tabindex="0" aria-label="Log" node_ref=pre on:scroll=on_scroll><code>{move || log.get()}</code></pre>
        }
        .into_any(),
        LogState::Failed(detail) => view! { <p class="field-error">{detail}</p> }.into_any(),
    };
    view! {
        <details class=class open=open on:toggle=move |event| shown.set(is_open(&event))>
            <summary>"Log"</summary>
            {move || content()}
        </details>
    }
}

#[derive(Clone, Debug, PartialEq)]
enum LogState {
    Loading,
    Empty,
    Shown,
    Failed(String),
}

#[component]
pub fn ConfigText(run: Memo<Run>) -> impl IntoView {
    let text = run.with_untracked(|run| form::config_text(&run.config.to_json()));
    let copied = text.clone();
    view! {
        <details class="disclosure panel">
            <summary>"Configuration"</summary>
            <div class="code-header"><span>"As in config.json"</span><CopyButton text=move || copied.clone() label="Copy"/></div>
            <pre class="code" tabindex="0" aria-label="Configuration"><code>{text}</code></pre>
        </details>
    }
}
