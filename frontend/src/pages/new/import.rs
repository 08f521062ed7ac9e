//! The sections of an import, and the upload of its file.

use leptos::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::api::{Health, Run, path};
use shared::config::{Architecture, Inputs, ModelConfig, PROGRAM_RIGHTS};
use shared::format;
use shared::inspection::{Inspected, Inspection};
use shared::problem::Problem;
use wasm_bindgen::JsCast;
use web_sys::{File, HtmlInputElement};

use super::data::DataSection;
use super::inspection::{ANSWERS, FoundSection, Looked};
use super::section::{PgdFields, RunSection, Section};
use super::train::ModelFields;
use crate::api;
use crate::components::field::{BlockField, CheckField, EntryField, Field, Form, TextField, use_form};
use crate::components::lens_bar::Segments;
use crate::form::{self, Kind};
use crate::load::fetched;

/// A file that is inspected and then imported. It is sent only once for both.
#[derive(Clone, Copy)]
pub struct Upload {
    file: RwSignal<Option<File>, LocalStorage>,
    /// Number of files chosen so far.
    pub picked: RwSignal<u32>,
    /// Identifier of the upload that the server keeps.
    kept: RwSignal<Option<String>>,
    /// Fraction sent, in `[0, 1]`; `None` if nothing is being sent.
    sent: RwSignal<Option<f64>>,
    pub looked: RwSignal<Looked>,
    /// The result of the last inspection.
    pub found: RwSignal<Option<Inspection>>,
}

impl Upload {
    pub fn new() -> Self {
        Upload {
            file: RwSignal::new_local(None),
            picked: RwSignal::new(0),
            kept: RwSignal::new(None),
            sent: RwSignal::new(None),
            looked: RwSignal::new(Looked::NotYet),
            found: RwSignal::new(None),
        }
    }

    pub fn chosen(self) -> Option<File> {
        self.file.get_untracked()
    }

    pub fn file_name(self) -> Option<String> {
        self.file.with(|file| file.as_ref().map(File::name))
    }

    /// The configuration to send with the file. `kind` and `source` are left out, because the server sets
    /// them.
    pub fn part(config: &Value) -> Value {
        let mut part = config.clone();
        form::set_at(&mut part, "kind", None);
        form::set_at(&mut part, "source", None);
        part
    }

    pub async fn send(self, config: &Value, file: &File) -> Result<Run, Problem> {
        self.post(&path::checkpoints(), &Upload::part(config), Some(file)).await
    }

    /// Inspects the chosen file, or a file on the server.
    pub async fn inspect(self, config: &Value) -> Result<Inspected, Problem> {
        let file = self.chosen();
        let part = if file.is_some() { Upload::part(config) } else { config.clone() };
        let answer: Result<Inspected, Problem> = self.post(&path::checkpoint_inspection(), &part, file.as_ref()).await;
        if let Ok(Inspected { upload: Some(kept), .. }) = &answer
            && self.file.try_get_untracked().flatten() == file
        {
            let _ = self.kept.try_set(Some(kept.clone()));
        }
        answer
    }

    /// Posts with the upload that the server keeps. Sends the file itself if the server does not have it or
    /// no longer does.
    async fn post<T: DeserializeOwned>(self, path: &str, config: &Value, file: Option<&File>) -> Result<T, Problem> {
        let config = config.to_string();
        let kept = self.kept.get_untracked();
        if let Some(kept) = kept.filter(|_| file.is_some()) {
            let answer = api::upload(path, &config, api::Sent::Kept(&kept), |_| {}).await;
            let gone = |problem: &Problem| problem.errors.iter().any(|error| error.field == "upload");
            if !answer.as_ref().err().is_some_and(gone) {
                return answer;
            }
        }
        let Some(file) = file else { return api::upload(path, &config, api::Sent::Nothing, |_| {}).await };
        self.sent.set(Some(0.0));
        let progress = move |fraction| {
            let _ = self.sent.try_set(Some(fraction));
        };
        let answer = api::upload(path, &config, api::Sent::File(file), progress).await;
        let _ = self.sent.try_set(None);
        answer
    }
}

#[component]
pub fn ImportSections(upload: Upload) -> impl IntoView {
    let form = use_form();
    let on_server = RwSignal::new(form.text("source").starts_with('/'));
    let choose = move |there: bool| {
        on_server.set(there);
        pick(upload, form, None);
    };
    view! {
        <Section
            title="Source"
            text="Weights as safetensors or of torch.save, under any name: state dicts, plain or nested, and whole modules. Nothing in such a file is ever executed."
        >
            <div class="field-wide">
                <Segments
                    legend="From" name="import-from" value=on_server.into() set=choose
                    options=vec![(false, "This computer"), (true, "A path on the server")]
                />
            </div>
            <div class="field-wide">
                <Show when=move || on_server.get() fallback=move || view! { <FileField upload/> }>
                    <TextField
                        path="source" label="File or folder on the server" kind=Kind::Text placeholder="/home/me/train_log/cifar10"
                        hint=Signal::stored("Also a whole train_log/NAME folder of the paper's public code: it becomes a run with curves.".to_owned())
                    />
                </Show>
            </div>
            <TextField path="epoch" label="Epoch" kind=Kind::Number hint="That a single file is kept under."/>
            <ProgramField/>
        </Section>
        <DataSection/>
        <FoundSection upload/>
        <Section title="Model">
            <BlockField
                path="model" label="Name the architecture" initial=model
                hint="Off: it is detected from the names and shapes of the tensors."
            >
                <ModelFields/>
            </BlockField>
        </Section>
        <Section title="Threat model" text="What the network was trained for, and the attack it is measured with.">
            <PgdFields/>
            <EntryField
                path="attribution.inputs" entry=Inputs::Adversarial.id() label="Attribution of adversarial inputs" order=vec!["adversarial", "clean"]
                hint="Of every checkpoint at once; any of them can be measured later."
            />
            <EntryField path="attribution.inputs" entry=Inputs::Clean.id() label="Attribution of clean inputs" order=vec!["adversarial", "clean"]/>
        </Section>
        <RunSection/>
    }
}

/// Whether the file is a program, with what that means and whether the server runs programs.
#[component]
fn ProgramField() -> impl IntoView {
    let health = fetched::<Health>(|| Some(path::health()));
    let state = move || match health.ready()?.allow_programs {
        true => Some("This server was started with --allow-programs and runs them."),
        false => Some("This server was started without --allow-programs and refuses them."),
    };
    view! {
        <CheckField
            path="program" label="The file is a program"
            hint="TorchScript, which crosslens.export of the Python package makes of any network; it can be evaluated and attributed."
        />
        <p class="field-wide field-hint">{PROGRAM_RIGHTS}" "{state}</p>
    }
}

fn model() -> Value {
    json!(ModelConfig::of(Architecture::PreactResnet18))
}

/// Chooses another file and removes the answers about the former one.
fn pick(upload: Upload, form: Form, file: Option<File>) {
    let name = file.as_ref().map(File::name).unwrap_or_default();
    upload.kept.set(None);
    upload.found.set(None);
    upload.file.set(file);
    upload.picked.update(|picked| *picked += 1);
    form.update(|config| {
        ANSWERS.iter().for_each(|field| form::set_at(config, field, None));
        form::set_at(config, "source", Some(name.into()));
    });
}

/// The file input, with the size of the file and the progress of its upload.
#[component]
fn FileField(upload: Upload) -> impl IntoView {
    let form = use_form();
    let on_change = move |event: leptos::ev::Event| {
        let input: Option<HtmlInputElement> = event.target().and_then(|target| target.dyn_into().ok());
        let file = input.and_then(|input| input.files()).and_then(|files| files.get(0));
        pick(upload, form, file);
    };
    let size = Signal::derive_local(move || upload.file.with(|file| file.as_ref().map(|file| format::bytes(file.size() as u64))));
    let hint = Signal::stored("It is sent at once, looked at, and imported when you say so.".to_owned());
    let input = move |id: String, described: Signal<Option<String>>, invalid: Signal<Option<&'static str>>| {
        view! {
            <input
                class="input" type="file" id=id
                aria-describedby=move || described.get() aria-invalid=move || invalid.get() on:change=on_change
            />
        }
        .into_any()
    };
    view! {
        <Field path="source" label="File" hint input/>
        {move || size.get().map(|size| view! { <p class="field-hint">{size}</p> })}
        {move || upload.sent.get().map(|sent| view! {
            <div class="progress" role="status">
                <progress max="1" value=sent.to_string() aria-label="Upload"></progress>
                <span class="progress-text">{format!("{} sent", format::percent(sent))}</span>
            </div>
        })}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_a_file_names_neither_its_kind_nor_its_place() {
        let config = json!({"kind": "import", "source": "model.pth", "epoch": 3});
        assert_eq!(Upload::part(&config), json!({"epoch": 3}));
    }
}
