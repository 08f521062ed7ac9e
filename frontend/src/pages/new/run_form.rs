//! The form of a run, with its errors, its cost, the configuration as text and the command that submits it.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use serde_json::{Value, json};
use shared::api::{EstimateRequest, Run, RunEstimate, Sweep, SweepAxis, path};
use shared::config::{RunConfig, RunKind};
use shared::problem::{FieldError, Problem};

use super::data::{Datasets, MissingData};
use super::import::{ImportSections, Upload};
use super::measure::{AttributeSections, EpsCurveSections, EvaluateSections, PairSections, SaliencySections, TransferSections};
use super::sweep::SweepSection;
use super::train::TrainSections;
use crate::browser::{base_uri, focus, use_open};
use crate::components::copy::CopyButton;
use crate::components::field::{Form, field_id, use_form};
use crate::debounce::debounced;
use crate::draft::Draft;
use crate::load::told;
use crate::pages::data::followed_datasets;
use crate::sweep_form::Row;
use crate::{api, cost, draft, form, sweep_form, urls};

/// The form with the saved draft, if there is one, or with its initial values.
#[component]
pub fn RunForm(
    /// Name of the starting point. Changes are saved under this name until they are submitted or discarded.
    name: String,
    config: Value,
    /// The initial rows of the sweep.
    rows: Vec<Row>,
    /// Address of the same form with generated images, if there is one.
    smaller: Option<String>,
) -> impl IntoView {
    let smaller = StoredValue::new(smaller);
    let discarded = Trigger::new();
    move || {
        discarded.track();
        let (name, first) = (name.clone(), Contents { config: config.clone(), rows: rows.clone() });
        let draft = draft::restored(&name).filter(|draft| draft.config != first.config || draft.rows != first.rows);
        let Some(Draft { edited_at, mut config, rows }) = draft else {
            return view! { <Fields name now=first.clone() first edited=false smaller/> }.into_any();
        };
        let lost = lost_file(&config);
        if lost.is_some() {
            form::set_at(&mut config, "source", Some("".into()));
        }
        let discard = {
            let name = name.clone();
            move |_| {
                draft::forget(&name);
                discarded.notify();
                request_animation_frame(|| focus(FORM));
            }
        };
        view! {
            <div class="notice draft" role="status">
                <p>
                    {format!("Restored your changes of {}.", draft::said(edited_at))}
                    {lost.map(|file| view! { " The file "<code>{file}</code>" has to be chosen again: browsers do not keep what was chosen." })}
                </p>
                <button class="button button-small" type="button" on:click=discard>"Discard"</button>
            </div>
            <Fields name now=Contents { config, rows } first edited=true smaller/>
        }
        .into_any()
    }
}

/// The content of a form.
#[derive(Clone, Debug, PartialEq)]
struct Contents {
    config: Value,
    rows: Vec<Row>,
}

/// The name of an upload's file. After a reload the browser no longer has the file, so it must be chosen
/// again.
fn lost_file(config: &Value) -> Option<String> {
    let source = form::at(config, "source").and_then(Value::as_str)?;
    let uploads =
        form::at(config, "kind").is_some_and(|kind| kind == RunKind::Import.id()) && !source.is_empty() && !source.starts_with('/');
    uploads.then(|| source.to_owned())
}

const FORM: &str = "run-form";
const SUMMARY: &str = "form-summary";
const CONFIG_TEXT: &str = "config-text";

/// Pause in typing after which time and disk space are estimated.
const ESTIMATED_AFTER: Duration = Duration::from_millis(400);

#[component]
fn Fields(
    name: String,
    now: Contents,
    /// The initial content of the form.
    first: Contents,
    /// Whether errors are shown from the start.
    edited: bool,
    smaller: StoredValue<Option<String>>,
) -> impl IntoView {
    let Contents { config, rows } = now;
    let kind = form::at(&config, "kind").and_then(Value::as_str).and_then(|id| id.parse::<RunKind>().ok());
    let kind = kind.unwrap_or(RunKind::Train);
    let config = RwSignal::new(config);
    let rows = RwSignal::new(rows);
    let at_once = RwSignal::new(String::new());
    let upload = Upload::new();
    let refused = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let parsed = Memo::new(move |_| config.with(RunConfig::parse));
    let axes = Memo::new(move |_| rows.with(|rows| sweep_form::axes(rows)));
    let errors = Memo::new(move |_| {
        let mut errors = parsed.with(|parsed| parsed.as_ref().err().cloned().unwrap_or_default());
        if errors.is_empty() {
            errors = config.with(|config| axes.with(|axes| sweep_form::errors(config, axes)));
        }
        errors.extend(upload.looked.with(|looked| config.with(|config| looked.errors(config))));
        // The server can find more errors, such as a missing folder.
        errors.extend(refused.get().into_iter().flat_map(|problem| problem.errors));
        errors
    });
    // A form that nobody has edited shows no errors.
    let touched = RwSignal::new(edited);
    let told = Memo::new(move |_| if touched.get() || refused.with(Option::is_some) { errors.get() } else { Vec::new() });
    let edited = Callback::new(move |()| {
        refused.set(None);
        touched.set(true);
    });
    provide_context(Form { config, parsed, first: StoredValue::new(first.config.clone()), errors: told, edited });
    provide_context(Datasets(followed_datasets()));
    let name = StoredValue::new(name);
    // The draft is saved from the first change on, and removed when the form is as it began.
    Effect::new(move |former: Option<()>| {
        let now = Contents { config: config.get(), rows: rows.get() };
        if former.is_some() {
            name.with_value(|name| if now == first { draft::forget(name) } else { draft::keep(name, now.config, now.rows) });
        }
    });

    let navigate = use_open();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        touched.set(true);
        if let Some(first) = errors.get_untracked().first() {
            focus(&field_id(&first.field));
            return;
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let navigate = navigate.clone();
        let (body, axes, at_once) = (config.get_untracked(), axes.get_untracked(), at_once.get_untracked());
        spawn_local(async move {
            let made = if !axes.is_empty() {
                api::post::<Sweep>(&path::sweeps(), &sweep_form::body(&body, axes, &at_once)).await.map(|sweep| urls::sweep(&sweep.id))
            } else if !upload.chosen().is_empty() {
                upload.send(&body).await.map(|run| urls::run(&run.id))
            } else {
                api::post::<Run>(&path::runs(), &body).await.map(|run| urls::run(&run.id))
            };
            match made {
                Ok(place) => {
                    let _ = name.try_with_value(|name| draft::forget(name));
                    navigate(&place, NavigateOptions::default());
                }
                Err(problem) => {
                    let _ = busy.try_set(false);
                    let _ = refused.try_set(Some(problem));
                    focus(SUMMARY);
                }
            }
        });
    };
    let sections = match kind {
        RunKind::Train => view! { <TrainSections/><SweepSection rows at_once/> }.into_any(),
        RunKind::Attribute => view! { <AttributeSections/> }.into_any(),
        RunKind::Evaluate => view! { <EvaluateSections/> }.into_any(),
        RunKind::EpsCurve => view! { <EpsCurveSections/> }.into_any(),
        RunKind::Saliency => view! { <SaliencySections/> }.into_any(),
        RunKind::Pair => view! { <PairSections/> }.into_any(),
        RunKind::Transfer => view! { <TransferSections/> }.into_any(),
        RunKind::Import => view! { <ImportSections upload/> }.into_any(),
        // It has no form: the server refuses it.
        RunKind::External => ().into_any(),
    };
    let runs = Memo::new(move |_| axes.with(|axes| if axes.is_empty() { None } else { Some(sweep_form::count(axes)) }));
    let estimate = estimated(config, axes, parsed);
    let wrong = Memo::new(move |_| told.with(Vec::len));
    view! {
        <MissingData small=smaller.get_value()/>
        <form class="run-form" id=FORM tabindex="-1" novalidate on:submit=submit>
            <div class="form-main">
                {sections}
                <div class="form-footer">
                    <ErrorSummary errors=told refused/>
                    <Cost parsed runs/>
                    <Needs estimate/>
                </div>
                <div class="form-bar">
                    <button class="button button-primary button-large" type="submit" disabled=move || busy.get()>
                        {move || match runs.get() {
                            None | Some(0) => if kind == RunKind::Import { "Import".to_owned() } else { "Start run".to_owned() },
                            Some(1) => "Start 1 run".to_owned(),
                            Some(count) => format!("Start {count} runs"),
                        }}
                    </button>
                    <span class="form-bar-needs">{move || estimate.with(|estimate| estimate.as_ref().map(cost::in_short))}</span>
                    {move || (wrong.get() > 0).then(|| view! {
                        <button class="link form-bar-wrong" type="button" on:click=move |_| focus(SUMMARY)>{fields_to_mend(wrong.get())}</button>
                    })}
                </div>
            </div>
            <ConfigText config axes at_once upload/>
        </form>
    }
}

/// All errors, each with a link to its field.
#[component]
fn ErrorSummary(errors: Memo<Vec<FieldError>>, refused: RwSignal<Option<Problem>>) -> impl IntoView {
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
        <div id=SUMMARY class="form-summary" tabindex="-1" aria-live="polite">
            {move || {
                let count = errors.with(Vec::len);
                // The lines below say the same.
                let said = refused.get().map(|problem| problem.detail).filter(|_| count == 0);
                (count > 0 || said.is_some()).then(|| view! {
                    <div class="notice notice-error">
                        <h2 class="notice-title">
                            {if count == 0 { "The run was not accepted".to_owned() } else { fields_to_mend(count) }}
                        </h2>
                        {said.map(|said| view! { <p>{said}</p> })}
                        <ul>{lines()}</ul>
                    </div>
                })
            }}
        </div>
    }
}

fn fields_to_mend(count: usize) -> String {
    match count {
        1 => "One field needs another value".to_owned(),
        _ => format!("{count} fields need other values"),
    }
}

/// What the run will do, shown before it starts.
#[component]
fn Cost(parsed: Memo<Result<RunConfig, Vec<FieldError>>>, runs: Memo<Option<usize>>) -> impl IntoView {
    let sentences = move || parsed.with(|parsed| parsed.as_ref().map(cost::sentences).unwrap_or_default());
    view! {
        <div class="cost">
            {move || runs.get().map(|count| view! { <p>{format!("Each of the {count} runs:")}</p> })}
            {move || sentences().into_iter().map(|sentence| view! { <p>{sentence}</p> }).collect_view()}
        </div>
    }
}

/// Time and disk space that the runs will need, as the server estimates them; `None` for runs that do not train and while
/// a field is wrong.
fn estimated(
    config: RwSignal<Value>,
    axes: Memo<Vec<SweepAxis>>,
    parsed: Memo<Result<RunConfig, Vec<FieldError>>>,
) -> RwSignal<Option<RunEstimate>> {
    // The text of the request.
    let wanted = Memo::new(move |_| {
        let trains = parsed.with(|parsed| parsed.as_ref().is_ok_and(|config| config.as_train().is_some()));
        let valid = trains && config.with(|config| axes.with(|axes| sweep_form::errors(config, axes).is_empty()));
        valid.then(|| json!(EstimateRequest { config: config.get(), axes: axes.get() }).to_string())
    });
    let settled = debounced(wanted, ESTIMATED_AFTER);
    let estimate = RwSignal::new(None::<RunEstimate>);
    Effect::new(move || {
        let Some(asked) = settled.get() else { return estimate.set(None) };
        spawn_local(async move {
            let answer = match serde_json::from_str::<Value>(&asked) {
                Ok(body) => api::post::<RunEstimate>(&path::estimate(), &body).await.ok(),
                Err(_) => None,
            };
            // Only the answer to the latest request counts.
            if settled.try_get_untracked().flatten() == Some(asked) {
                let _ = estimate.try_set(answer);
            }
        });
    });
    estimate
}

/// Time and disk space, and a warning if there may be too little of the latter.
#[component]
fn Needs(estimate: RwSignal<Option<RunEstimate>>) -> impl IntoView {
    let sentences = move || estimate.with(|estimate| estimate.as_ref().map(|estimate| [cost::time(estimate), cost::disk_space(estimate)]));
    let warning = Memo::new(move |_| estimate.with(|estimate| estimate.as_ref().and_then(|estimate| estimate.warning.clone())));
    view! {
        <div class="cost" aria-live="polite">
            {move || sentences().into_iter().flatten().flatten().map(|sentence| view! { <p>{sentence}</p> }).collect_view()}
        </div>
        {move || warning.get().map(|warning| view! { <div class="notice notice-warning" role="status"><p>{told(&warning)}</p></div> })}
    }
}

/// The configuration as text, which can be edited, and the command that submits it.
#[component]
fn ConfigText(config: RwSignal<Value>, axes: Memo<Vec<SweepAxis>>, at_once: RwSignal<String>, upload: Upload) -> impl IntoView {
    let form = use_form();
    let text = move || config.with(form::config_text);
    // What a person has written, while they edit.
    let written = RwSignal::new(None::<String>);
    let read =
        move || written.with(|written| written.as_ref().map(|text| config.with_untracked(|config| form::config_of_text(text, config))));
    let wrong = Memo::new(move |_| read().and_then(Result::err));
    let on_input = move |event| {
        written.set(Some(event_target_value(&event)));
        if let Some(Ok(read)) = untrack(read) {
            form.update(|config| *config = read);
        }
    };
    let editing = Memo::new(move |_| written.with(Option::is_some));
    let toggle = move |_| {
        written.set(if editing.get_untracked() { None } else { Some(untrack(text)) });
        if editing.get_untracked() {
            request_animation_frame(|| focus(CONFIG_TEXT));
        }
    };
    let shown = move || {
        if !editing.get() {
            return view! { <pre class="code" tabindex="0" aria-label="Configuration"><code>{move || text()}</code></pre> }.into_any();
        }
        // Set once: what is typed stays as it is.
        view! {
            <textarea
                class="code code-edited" id=CONFIG_TEXT aria-label="Configuration" spellcheck="false" rows=untrack(text).lines().count().to_string()
                aria-describedby="config-text-wrong" aria-invalid=move || wrong.with(Option::is_some).then_some("true")
                prop:value=untrack(|| written.get()).unwrap_or_default() on:input=on_input
            ></textarea>
            <p class="field-error" id="config-text-wrong" aria-live="polite">{move || wrong.get()}</p>
        }
        .into_any()
    };
    let command = move || {
        let base = base_uri();
        config.with(|config| {
            axes.with(|axes| match upload.file_names().as_slice() {
                files @ [_, ..] => {
                    form::upload_command(&format!("{base}{}", path::checkpoints()), &form::pretty(&Upload::part(config)), files)
                }
                [] if axes.is_empty() => form::command_line(&format!("{base}{}", path::runs()), &form::config_text(config)),
                [] => form::command_line(
                    &format!("{base}{}", path::sweeps()),
                    &form::pretty(&sweep_form::body(config, axes.clone(), &at_once.get())),
                ),
            })
        })
    };
    view! {
        <aside class="config-text" aria-label="Configuration as text">
            <div class="code-header">
                <h2>"Configuration"</h2>
                <div class="actions">
                    <button class="button button-small" type="button" aria-pressed=move || editing.get().to_string() on:click=toggle>
                        {move || if editing.get() { "Done" } else { "Edit" }}
                    </button>
                    <CopyButton text label="Copy"/>
                </div>
            </div>
            {shown}
            <details class="disclosure">
                <summary>"The same from a command line"</summary>
                <div class="code-header"><span>"Works in any POSIX shell."</span><CopyButton text=command label="Copy command"/></div>
                <pre class="code" tabindex="0" aria-label="Command"><code>{move || command()}</code></pre>
            </details>
        </aside>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_was_to_be_uploaded_is_lost() {
        let check = |config: Value, expected: Option<&str>| assert_eq!(lost_file(&config).as_deref(), expected, "{config}");
        check(json!({"kind": "import", "source": "model.pth"}), Some("model.pth"));
        check(json!({"kind": "import", "source": "/home/me/model.pth"}), None);
        check(json!({"kind": "import", "source": ""}), None);
        check(json!({"kind": "train", "seed": 1}), None);
    }
}
