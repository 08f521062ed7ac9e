//! The form of a run with what it means: its mistakes, its cost, its text and its command.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use serde_json::Value;
use shared::api::Run;
use shared::config::RunConfig;
use shared::format;
use shared::problem::{FieldError, Problem};

use super::train::TrainSections;
use crate::browser::{base_uri, focus, use_open};
use crate::components::copy::CopyButton;
use crate::components::field::{Form, field_id};
use crate::{api, form, place};

#[component]
pub fn RunForm(config: RunConfig) -> impl IntoView {
    let config = RwSignal::new(config.to_json());
    let refused = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let parsed = Memo::new(move |_| config.with(RunConfig::parse));
    let errors = Signal::derive(move || {
        let mut errors = parsed.with(|parsed| parsed.as_ref().err().cloned().unwrap_or_default());
        // The server knows more: whether a folder is there, say.
        errors.extend(refused.get().into_iter().flat_map(|problem| problem.errors));
        errors
    });
    provide_context(Form { config, errors, edited: Callback::new(move |()| refused.set(None)) });

    let navigate = use_open();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if let Some(first) = errors.get_untracked().first() {
            focus(&field_id(&first.field));
            return;
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let navigate = navigate.clone();
        let body = config.get_untracked();
        spawn_local(async move {
            match api::post::<Run>("api/runs", &body).await {
                Ok(run) => navigate(&place::run(&run.id), NavigateOptions::default()),
                Err(problem) => {
                    let _ = busy.try_set(false);
                    let _ = refused.try_set(Some(problem));
                    focus("form-summary");
                }
            }
        });
    };
    view! {
        <form class="run-form" novalidate on:submit=submit>
            <div class="form-main">
                <TrainSections/>
                <div class="form-footer">
                    <ErrorSummary errors refused/>
                    <Cost parsed/>
                    <p class="actions">
                        <button class="button button-primary button-large" type="submit" disabled=move || busy.get()>"Start run"</button>
                    </p>
                </div>
            </div>
            <ConfigText config/>
        </form>
    }
}

/// Everything that is wrong, each with a way to its field.
#[component]
fn ErrorSummary(errors: Signal<Vec<FieldError>>, refused: RwSignal<Option<Problem>>) -> impl IntoView {
    let lines = move || {
        errors
            .get()
            .into_iter()
            .map(|error| {
                let target = field_id(&error.field);
                let go = move |_| focus(&target);
                let name = if error.field.is_empty() { "configuration".to_owned() } else { error.field };
                view! { <li><button class="link" type="button" on:click=go>{name}</button>" "{error.message}</li> }
            })
            .collect_view()
    };
    view! {
        <div id="form-summary" class="form-summary" tabindex="-1" aria-live="polite">
            {move || {
                let count = errors.with(Vec::len);
                let said = refused.get().map(|problem| problem.detail);
                (count > 0 || said.is_some()).then(|| view! {
                    <div class="notice notice-error">
                        <h2 class="notice-title">
                            {match count {
                                0 => "The run was not accepted".to_owned(),
                                1 => "One field needs another value".to_owned(),
                                _ => format!("{count} fields need other values"),
                            }}
                        </h2>
                        {said.map(|said| view! { <p>{said}</p> })}
                        <ul>{lines()}</ul>
                    </div>
                })
            }}
        </div>
    }
}

/// How much work the run is, counted rather than guessed.
#[component]
fn Cost(parsed: Memo<Result<RunConfig, Vec<FieldError>>>) -> impl IntoView {
    move || {
        parsed.with(|parsed| parsed.as_ref().ok().and_then(form::cost)).map(|cost| {
            view! {
                <p class="cost">
                    {format!(
                        "Puts {} images through the network to train and {} to evaluate, attack steps counted.",
                        format::count(cost.training),
                        format::count(cost.evaluation),
                    )}
                </p>
            }
        })
    }
}

/// The configuration and the command that submits it, as text.
#[component]
fn ConfigText(config: RwSignal<Value>) -> impl IntoView {
    let text = move || config.with(form::config_text);
    let command = move || config.with(|config| form::command_line(&base_uri(), config));
    view! {
        <aside class="config-text" aria-label="Configuration as text">
            <div class="code-header"><h2>"Configuration"</h2><CopyButton text label="Copy"/></div>
            <pre class="code" tabindex="0" aria-label="Configuration"><code>{text}</code></pre>
            <details class="disclosure">
                <summary>"The same from a command line"</summary>
                <div class="code-header"><span>"Works in any POSIX shell."</span><CopyButton text=command label="Copy command"/></div>
                <pre class="code" tabindex="0" aria-label="Command"><code>{command}</code></pre>
            </details>
        </aside>
    }
}
