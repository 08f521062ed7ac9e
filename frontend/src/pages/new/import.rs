//! The sections of an import, and the upload of its file.

use serde_json::{Value, json};
use shared::api::Run;
use shared::config::{Architecture, Inputs, ModelConfig};
use shared::format;
use shared::problem::Problem;
use wasm_bindgen::JsCast;
use web_sys::{File, HtmlInputElement};

use super::data::DataSection;
use super::section::{PgdFields, RunSection, Section};
use super::train::ModelFields;
use crate::api;
use crate::components::field::{BlockField, EntryField, Field, TextField, use_form};
use crate::components::lens_bar::Segments;
use crate::form::{self, Kind};
use crate::prelude::*;

/// A file that is sent with the configuration, and how much of it has been.
#[derive(Clone, Copy)]
pub struct Upload {
    file: leptos::prelude::RwSignal<Option<File>, LocalStorage>,
    /// In `[0, 1]`; none while nothing is sent.
    sent: RwSignal<Option<f64>>,
}

impl Upload {
    pub fn new() -> Self {
        Upload { file: leptos::prelude::RwSignal::new_local(None), sent: RwSignal::new(None) }
    }

    pub fn chosen(self) -> Option<File> {
        self.file.get_untracked()
    }

    pub fn file_name(self) -> Option<String> {
        self.file.with(|file| file.as_ref().map(File::name))
    }

    /// The configuration as it goes with the file: the server knows the kind, and gives the file its place.
    pub fn part(config: &Value) -> Value {
        let mut part = config.clone();
        form::set_at(&mut part, "kind", None);
        form::set_at(&mut part, "source", None);
        part
    }

    pub async fn send(self, config: &Value, file: &File) -> Result<Run, Problem> {
        self.sent.set(Some(0.0));
        let progress = move |fraction| {
            let _ = self.sent.try_set(Some(fraction));
        };
        let answer = api::upload("api/checkpoints", &Upload::part(config).to_string(), file, progress).await;
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
        upload.file.set(None);
        form.set("source", Some("".into()));
    };
    view! {
        <Section
            title="Source"
            text="Weights as .safetensors, .pth or .pt; state dicts, plain or nested, and whole modules. Nothing in a file is ever executed."
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
        </Section>
        <DataSection/>
        <Section title="Model">
            <BlockField
                path="model" label="Name the architecture" initial=model
                hint="Off: it is detected from the names and shapes of the tensors, and what was found is shown with the run."
            >
                <ModelFields/>
            </BlockField>
        </Section>
        <Section title="Threat model" text="What the network was trained for, and the attack it is measured with.">
            <PgdFields/>
            <EntryField
                path="attribution.inputs" entry=Inputs::Adversarial.id() label="Attribution of adversarial inputs" order=&["adversarial", "clean"]
                hint="Of every checkpoint at once; any of them can be measured later."
            />
            <EntryField path="attribution.inputs" entry=Inputs::Clean.id() label="Attribution of clean inputs" order=&["adversarial", "clean"]/>
        </Section>
        <RunSection/>
    }
}

fn model() -> Value {
    json!(ModelConfig::of(Architecture::PreactResnet18))
}

/// The file to upload, with its size and how far it is.
#[component]
fn FileField(upload: Upload) -> impl IntoView {
    let form = use_form();
    let on_change = move |event: leptos::ev::Event| {
        let input: Option<HtmlInputElement> = event.target().and_then(|target| target.dyn_into().ok());
        let file = input.and_then(|input| input.files()).and_then(|files| files.get(0));
        form.set("source", Some(file.as_ref().map(File::name).unwrap_or_default().into()));
        upload.file.set(file);
    };
    let size = Signal::derive_local(move || upload.file.with(|file| file.as_ref().map(|file| format::bytes(file.size() as u64))));
    let hint = Signal::stored("The file is sent when you import it.".to_owned());
    let input = move |id: String, described: Signal<Option<String>>, invalid: Signal<Option<&'static str>>| {
        view! {
            <input
                class="input" type="file" id=id accept=".safetensors,.pth,.pt,.bin"
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
