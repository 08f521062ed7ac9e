//! The log and the configuration of a run, as in its directory.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Run, path};
use shared::problem::Problem;

use crate::browser::every;
use crate::components::copy::CopyButton;
use crate::components::heatmap::is_open;
use crate::load::told;
use crate::{api, form};

const LOG_REFRESH: Duration = Duration::from_secs(3);
/// Number of lines loaded at first, from the end of the log.
const FIRST_LINES: u32 = 300;
/// Number of lines added by each request for earlier lines.
const EARLIER_LINES: u32 = 2000;
/// Names of the headers with the byte range of a part of the log.
const PLACES: [&str; 2] = ["log-start", "log-end"];

/// The loaded part of the log.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    text: String,
    start: u64,
    end: u64,
}

/// The end of the worker's log, followed while it grows. Earlier lines load on request.
#[component]
pub fn LogTail(run: Memo<Run>, open: bool, class: &'static str) -> impl IntoView {
    let opened = RwSignal::new(open);
    let shown = RwSignal::new(None::<Shown>);
    let problem = RwSignal::new(None::<Problem>);
    let id = run.with_untracked(|run| run.id.clone());
    let whole = path::run_log(&id);
    // One request at a time; otherwise the parts could be joined in the wrong order.
    let asking = StoredValue::new(false);
    let ask = {
        let whole = whole.clone();
        move |query: String, put: fn(&mut Shown, Shown)| {
            if asking.try_update_value(|asking| std::mem::replace(asking, true)) != Some(false) {
                return;
            }
            let address = format!("{whole}?{query}");
            spawn_local(async move {
                let answer = api::get_part(&address, PLACES).await;
                let _ = asking.try_update_value(|asking| *asking = false);
                match answer {
                    Ok((text, [start, end])) => {
                        let _ = shown.try_update(|shown| put(shown.get_or_insert_default(), Shown { text, start, end }));
                        let _ = problem.try_set(None);
                    }
                    Err(error) => {
                        let _ = problem.try_set(Some(error));
                    }
                }
            });
        }
    };
    let load = {
        let ask = ask.clone();
        move || {
            if document().hidden() {
                return;
            }
            match shown.with_untracked(|shown| shown.as_ref().map(|shown| shown.end)) {
                None => ask(format!("tail={FIRST_LINES}"), |shown, part| *shown = part),
                Some(end) => ask(format!("after={end}"), append),
            }
        }
    };
    let finished = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    Effect::new(move || {
        // Runs once more when the run ends, because the last lines tell how it ended.
        let finished = finished.get();
        if !opened.get() {
            return;
        }
        load();
        if !finished {
            every(LOG_REFRESH, load.clone());
        }
    });
    // Scrolls to the end, unless the person has scrolled up to read.
    let pre = NodeRef::<html::Pre>::new();
    let from_end = StoredValue::new(0);
    Effect::new(move || {
        shown.track();
        if let Some(pre) = pre.get() {
            let from_end = from_end.get_value();
            request_animation_frame(move || pre.set_scroll_top(pre.scroll_height() - from_end));
        }
    });
    let earlier = move |_| {
        let start = shown.with_untracked(|shown| shown.as_ref().map_or(0, |shown| shown.start));
        if let Some(pre) = pre.get_untracked() {
            // The visible lines stay in place while earlier lines are added above.
            from_end.set_value(pre.scroll_height() - pre.scroll_top());
        }
        ask(format!("tail={EARLIER_LINES}&before={start}"), prepend);
    };
    let on_scroll = move |_| {
        if let Some(pre) = pre.get_untracked() {
            let at_end = pre.scroll_height() - pre.scroll_top() - pre.client_height() < 4;
            from_end.set_value(if at_end { 0 } else { pre.scroll_height() - pre.scroll_top() });
        }
    };
    let text = Memo::new(move |_| shown.with(|shown| shown.as_ref().map(|shown| shown.text.clone()).unwrap_or_default()));
    let has_earlier = Memo::new(move |_| shown.with(|shown| shown.as_ref().is_some_and(|shown| shown.start > 0)));
    let state = Memo::new(move |_| match (shown.get(), problem.get()) {
        (None, None) => LogState::Loading,
        (None, Some(problem)) => LogState::Failed(problem.detail),
        (Some(shown), _) if shown.text.is_empty() => LogState::Empty,
        (Some(_), _) => LogState::Shown,
    });
    let content = move || {
        match state.get() {
        LogState::Loading => view! { <p class="muted">"Loading …"</p> }.into_any(),
        LogState::Empty => view! { <p class="muted">"The log is empty."</p> }.into_any(),
        LogState::Shown => view! {
            <pre class="code code-log" tabindex="0" aria-label="Log" node_ref=pre on:scroll=on_scroll><code>{move || text.get()}</code></pre>
        }
        .into_any(),
        LogState::Failed(detail) => view! { <p class="field-error">{told(&detail)}</p> }.into_any(),
    }
    };
    let file = format!("{id}.log.txt");
    view! {
        <details class=class open=open on:toggle=move |event| opened.set(is_open(&event))>
            <summary>"Log"</summary>
            <p class="actions log-actions">
                <Show when=move || has_earlier.get()>
                    <button class="button button-small" type="button" on:click=earlier.clone()>"Load earlier lines"</button>
                </Show>
                <a class="button button-small" href=whole download=file>"Download the whole log"</a>
            </p>
            {move || content()}
        </details>
    }
}

/// Appends newer lines. If `part` does not follow, because the file was written again, it replaces
/// everything.
fn append(shown: &mut Shown, part: Shown) {
    if part.start == shown.end {
        shown.text.push_str(&part.text);
        shown.end = part.end;
    } else {
        *shown = part;
    }
}

/// Adds earlier lines.
fn prepend(shown: &mut Shown, part: Shown) {
    if part.end == shown.start {
        shown.text.insert_str(0, &part.text);
        shown.start = part.start;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_log_are_put_together_without_a_gap() {
        let part = |text: &str, start| Shown { text: text.into(), start, end: start + text.len() as u64 };
        let mut shown = part("three\n", 8);
        append(&mut shown, part("four", 14));
        prepend(&mut shown, part("one\ntwo\n", 0));
        assert_eq!(shown, part("one\ntwo\nthree\nfour", 0));
        prepend(&mut shown, part("other", 3));
        assert_eq!(shown.start, 0, "what does not end where this begins is left out");
        append(&mut shown, part("new", 2));
        assert_eq!(shown, part("new", 2));
    }
}
