//! A new run: start from a preset or another run, change it, see what it means, submit it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_query_map;
use serde_json::Value;
use shared::api::{DatasetStatus, Device, Health, Run, WorkerStatus};
use shared::config::{Architecture, Method, Norm, RunConfig};
use shared::dataset::{Dataset, Source};
use shared::format;
use shared::preset::Preset;
use shared::problem::{FieldError, Problem};

use crate::browser::{base_uri, focus, use_open, use_title};
use crate::components::copy::CopyButton;
use crate::components::field::{CheckField, EntryField, Form, SelectField, SizeField, TextField, field_id, use_form};
use crate::components::health::WorkerBanner;
use crate::form::{self, Kind};
use crate::load::{Failure, Load, Placeholder, Skeleton, fetched, shown};
use crate::{api, place};

const FIRST_PRESET: &str = "demo";

/// Where the form's first values come from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Preset(String),
    Run(String),
}

#[component]
pub fn NewPage() -> impl IntoView {
    use_title(|| "New run".to_owned());
    let query = use_query_map();
    let origin = Memo::new(move |_| {
        query.with(|query| match (query.get("from"), query.get("preset")) {
            (Some(run), _) => Origin::Run(run),
            (None, preset) => Origin::Preset(preset.unwrap_or_else(|| FIRST_PRESET.to_owned())),
        })
    });
    let presets = fetched::<Vec<Preset>>(|| Some("api/presets".to_owned()));
    view! {
        <header class="page-header"><h1>"New run"</h1></header>
        <WorkerBanner/>
        {shown(presets, Placeholder::Rows, move |presets| view! { <Start presets origin/> })}
    }
}

/// The presets, and the form for the chosen origin.
#[component]
fn Start(presets: Vec<Preset>, origin: Memo<Origin>) -> impl IntoView {
    let from = fetched::<Run>(move || match origin.get() {
        Origin::Run(run) => Some(format!("api/runs/{run}")),
        Origin::Preset(_) => None,
    });
    let cards = presets
        .iter()
        .map(|preset| {
            let id = preset.id.clone();
            let current = move || origin.with(|origin| matches!(origin, Origin::Preset(chosen) if *chosen == id)).then_some("true");
            view! {
                <li>
                    <a class="preset" href=format!("new?preset={}", preset.id) data-noscroll="" aria-current=current>
                        <span class="preset-title">{preset.title.clone()}</span>
                        <span class="preset-text">{preset.description.clone()}</span>
                        <span class="preset-source">{preset.source.clone()}</span>
                    </a>
                </li>
            }
        })
        .collect_view();
    let content = move || match origin.get() {
        Origin::Preset(id) => match presets.iter().find(|preset| preset.id == id) {
            Some(preset) => view! { <RunForm config=preset.config.clone()/> }.into_any(),
            None => {
                view! { <p class="notice notice-error" role="alert">{format!("There is no preset `{id}`: choose one of those above.")}</p> }
                    .into_any()
            }
        },
        Origin::Run(id) => match from.state.get() {
            Load::Ready(run) if run.id == id => view! {
                <p class="origin">"A copy of "<a href=place::href(&place::run(&id))>{run.title}</a>"."</p>
                <RunForm config=run.config/>
            }
            .into_any(),
            Load::Failed(problem) => view! { <Failure problem retry=move || from.reload()/> }.into_any(),
            Load::Ready(_) | Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
        },
    };
    view! {
        <nav aria-label="Presets"><ul class="presets">{cards}</ul></nav>
        {content}
    }
}

#[component]
fn RunForm(config: RunConfig) -> impl IntoView {
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
                <Sections/>
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

#[component]
fn Sections() -> impl IntoView {
    view! {
        <DataSection/>
        <ModelSection/>
        <TrainingSection/>
        <AttackSection/>
        <EvaluationSection/>
        <KeepSection/>
        <RunSection/>
    }
}

/// A group of fields with its name.
#[component]
fn Section(title: &'static str, #[prop(optional)] text: &'static str, children: Children) -> impl IntoView {
    view! {
        <fieldset class="form-section">
            <legend>{title}</legend>
            {(!text.is_empty()).then(|| view! { <p class="form-section-text">{text}</p> })}
            <div class="form-grid">{children()}</div>
        </fieldset>
    }
}

#[component]
fn DataSection() -> impl IntoView {
    let form = use_form();
    let datasets = fetched::<Vec<DatasetStatus>>(|| Some("api/datasets".to_owned()));
    let dataset = Memo::new(move |_| {
        let id = form.config.with(|config| form::text_of(form::at(config, "data.dataset")));
        Dataset::ALL.into_iter().find(|dataset| dataset.id() == id)
    });
    let info = move || dataset.get().map(Dataset::info);
    let about = Signal::derive(move || info().map(|info| info.description).unwrap_or_default());
    let choose = Callback::new(move |(id,): (String,)| {
        if let Some(dataset) = Dataset::ALL.into_iter().find(|dataset| dataset.id() == id) {
            form.config.update(|config| form::switch_dataset(config, dataset));
            form.edited.run(());
        }
    });
    let in_folder = move || dataset.get().is_some_and(|dataset| dataset.source() == Source::Folder);
    // What the server says comes first: it may know a folder that the browser does not.
    let how_to_get = Signal::derive(move || {
        let known = datasets.ready().and_then(|list| list.into_iter().find(|status| Some(status.info.id) == dataset.get()));
        known.and_then(|status| status.info.how_to_get).or_else(|| info()?.how_to_get).unwrap_or_default()
    });
    let all = |count: Option<u32>| count.map(|count| format!("Empty: all {}.", format::count(count.into()))).unwrap_or_default();
    let options = Dataset::ALL.map(|dataset| (dataset.id().to_owned(), dataset.info().title)).to_vec();
    view! {
        <Section title="Data">
            <div class="field-wide"><SelectField path="data.dataset" label="Data set" options hint=about choose/></div>
            <Show when=in_folder>
                <div class="field-wide">
                    <TextField path="data.path" label="Folder on the server" kind=Kind::Text hint=how_to_get placeholder="/data/cifar-10-batches-bin"/>
                </div>
            </Show>
            <TextField
                path="data.train_samples" label="Training images" kind=Kind::Number
                hint=Signal::derive(move || all(info().and_then(|info| info.train_samples)))
            />
            <TextField
                path="data.test_samples" label="Test images" kind=Kind::Number
                hint=Signal::derive(move || all(info().and_then(|info| info.test_samples)))
            />
            <TextField
                path="data.label_noise" label="Label noise" kind=Kind::Number
                hint="Fraction of training labels replaced by another class; a known cause of robust overfitting (Dong et al. 2022)."
            />
            <TextField
                path="data.holdout_samples" label="Held-out images" kind=Kind::Number
                hint="Training images to choose the best checkpoint by. 0 chooses on the test set, as the paper does."
            />
            <CheckField path="data.augment" label="Augment" hint="Random crop with a reflected border and, for photographs, horizontal flip."/>
        </Section>
    }
}

#[component]
fn ModelSection() -> impl IntoView {
    let architectures = Architecture::ALL;
    view! {
        <Section title="Model">
            <SelectField
                path="model.architecture" label="Architecture" options=options(&architectures, Architecture::label)
                hint="The small one is for images of 8×8 and 16×16."
            />
            <TextField path="model.width" label="Width" kind=Kind::Number hint="Channels of the first stage; 64 is the published network."/>
        </Section>
    }
}

#[component]
fn TrainingSection() -> impl IntoView {
    view! {
        <Section title="Training" text="Stochastic gradient descent with momentum.">
            <SelectField path="training.method" label="Method" options=options(&Method::ALL, Method::label)/>
            <TextField path="training.epochs" label="Epochs" kind=Kind::Number/>
            <TextField path="training.batch_size" label="Batch size" kind=Kind::Number/>
            <TextField path="training.learning_rate" label="Learning rate" kind=Kind::Number/>
            <TextField
                path="training.milestones" label="Milestones" kind=Kind::Numbers
                hint="Epochs after which the learning rate is multiplied by the decay factor, with commas between."
            />
            <TextField path="training.decay_factor" label="Decay factor" kind=Kind::Number/>
            <TextField path="training.momentum" label="Momentum" kind=Kind::Number/>
            <TextField path="training.weight_decay" label="Weight decay" kind=Kind::Number/>
        </Section>
    }
}

#[component]
fn AttackSection() -> impl IntoView {
    let batch_norm = vec![("train".to_owned(), "Train mode, as published".to_owned()), ("eval".to_owned(), "Eval mode".to_owned())];
    view! {
        <Section title="Threat model and attack" text="The ball that the adversary moves in, and the attack that training uses inside it.">
            <SelectField path="attack.norm" label="Norm" options=options(&[Norm::Linf, Norm::L2], Norm::symbol)/>
            <SizeField path="attack.eps" label="Radius eps"/>
            <SizeField path="attack.step_size" label="Step size"/>
            <TextField path="attack.steps" label="Steps" kind=Kind::Number/>
            <SelectField
                path="attack.batch_norm" label="Batch norm during the attack" options=batch_norm
                hint="In train mode every step of the attack also moves the running statistics."
            />
            <CheckField path="attack.random_start" label="Random start" hint="Begins at a random point of the ball."/>
        </Section>
    }
}

#[component]
fn EvaluationSection() -> impl IntoView {
    let form = use_form();
    let rule = Signal::derive(move || match form.config.with(RunConfig::parse) {
        Ok(RunConfig::Train(config)) => format!("Empty: {}, the paper's rule.", config.measuring_attack().step_size().long()),
        _ => "Empty: eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.".to_owned(),
    });
    view! {
        <Section title="Evaluation" text="The attack that robust accuracy and adversarial attributions are measured with, at the norm and eps above.">
            <TextField path="evaluation.every" label="Every … epochs" kind=Kind::Number/>
            <TextField path="evaluation.steps" label="Steps" kind=Kind::Number/>
            <SizeField path="evaluation.step_size" label="Step size" otherwise=rule/>
            <CheckField path="evaluation.random_start" label="Random start"/>
        </Section>
    }
}

#[component]
fn KeepSection() -> impl IntoView {
    view! {
        <Section title="Checkpoints and attribution" text="The best and the last checkpoint are always kept.">
            <TextField path="checkpoints.every" label="Also keep every … epochs" kind=Kind::Number hint="0 keeps none by count."/>
            <TextField path="checkpoints.epochs" label="Also keep epochs" kind=Kind::Numbers hint="With commas between."/>
            <EntryField path="attribution.inputs" entry="adversarial" label="Attribution of adversarial inputs" hint="Test images under the evaluation attack: what the paper shows."/>
            <EntryField path="attribution.inputs" entry="clean" label="Attribution of clean inputs"/>
        </Section>
    }
}

#[component]
fn RunSection() -> impl IntoView {
    let health = fetched::<Health>(|| Some("api/health".to_owned()));
    let devices = Signal::derive(move || match health.ready().map(|health| health.worker) {
        Some(WorkerStatus::Ready(probe)) => {
            let names: Vec<String> = probe.devices.iter().map(|Device { id, name }| format!("{id} ({name})")).collect();
            format!("auto, or one of: {}.", names.join(", "))
        }
        _ => "auto takes CUDA where there is a device, else the CPU.".to_owned(),
    });
    let title = Signal::derive(move || match use_form().config.with(RunConfig::parse) {
        Ok(config) => format!("Empty: named after data, method and eps. Now: {}", config.title()),
        Err(_) => "Empty: named after data, method and eps.".to_owned(),
    });
    view! {
        <Section title="Run">
            <div class="field-wide"><TextField path="name" label="Name" kind=Kind::Text hint=title/></div>
            <TextField path="seed" label="Seed" kind=Kind::Number/>
            <TextField path="device" label="Device" kind=Kind::Text hint=devices/>
        </Section>
    }
}

fn options<T: Copy + serde::Serialize>(values: &[T], label: fn(T) -> &'static str) -> Vec<(String, String)> {
    let id = |value: &T| form::text_of(serde_json::to_value(value).ok().as_ref());
    values.iter().map(|value| (id(value), label(*value).to_owned())).collect()
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
