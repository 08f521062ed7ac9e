//! The sections of an import, and the upload of its files.

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

/// Files that are inspected and then imported: one, or the checkpoints of a training. They are sent only once
/// for both.
#[derive(Clone, Copy)]
pub struct Upload {
    files: RwSignal<Vec<File>, LocalStorage>,
    /// Number of choices so far.
    pub picked: RwSignal<u32>,
    /// The choice for which matrices of every checkpoint were proposed.
    proposed: StoredValue<Option<(u32, String)>>,
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
            files: RwSignal::new_local(Vec::new()),
            picked: RwSignal::new(0),
            proposed: StoredValue::new(None),
            kept: RwSignal::new(None),
            sent: RwSignal::new(None),
            looked: RwSignal::new(Looked::NotYet),
            found: RwSignal::new(None),
        }
    }

    pub fn chosen(self) -> Vec<File> {
        self.files.get_untracked()
    }

    pub fn file_names(self) -> Vec<String> {
        self.files.with(|files| files.iter().map(File::name).collect())
    }

    /// Switches the matrices of every checkpoint on, once for each choice of several checkpoints: their course
    /// is what a series is imported for.
    pub fn propose_matrices(self, form: Form, checkpoints: usize) {
        let choice = Some((self.picked.get_untracked(), form.config.with_untracked(|config| form::text_of(form::at(config, "source")))));
        if checkpoints < 2 || self.proposed.with_value(|proposed| *proposed == choice) {
            return;
        }
        self.proposed.set_value(choice);
        if form.config.with_untracked(|config| form::at(config, INPUTS).and_then(Value::as_array).is_none_or(Vec::is_empty)) {
            form.set(INPUTS, Some(json!([Inputs::Adversarial, Inputs::Clean])));
        }
    }

    /// The configuration to send with the files. `kind` and `source` are left out, because the server sets
    /// them.
    pub fn part(config: &Value) -> Value {
        let mut part = config.clone();
        form::set_at(&mut part, "kind", None);
        form::set_at(&mut part, "source", None);
        part
    }

    pub async fn send(self, config: &Value) -> Result<Run, Problem> {
        self.post(&path::checkpoints(), &Upload::part(config), &self.chosen()).await
    }

    /// Inspects the chosen files, or what is on the server.
    pub async fn inspect(self, config: &Value) -> Result<Inspected, Problem> {
        let files = self.chosen();
        let part = if files.is_empty() { config.clone() } else { Upload::part(config) };
        let answer: Result<Inspected, Problem> = self.post(&path::checkpoint_inspection(), &part, &files).await;
        if let Ok(Inspected { upload: Some(kept), .. }) = &answer
            && self.files.try_get_untracked().as_ref() == Some(&files)
        {
            let _ = self.kept.try_set(Some(kept.clone()));
        }
        answer
    }

    /// Posts with the upload that the server keeps. Sends the files themselves if the server does not have them
    /// or no longer does.
    async fn post<T: DeserializeOwned>(self, path: &str, config: &Value, files: &[File]) -> Result<T, Problem> {
        let config = config.to_string();
        let kept = self.kept.get_untracked();
        if let Some(kept) = kept.filter(|_| !files.is_empty()) {
            let answer = api::upload(path, &config, api::Sent::Kept(&kept), |_| {}).await;
            let gone = |problem: &Problem| problem.errors.iter().any(|error| error.field == "upload");
            if !answer.as_ref().err().is_some_and(gone) {
                return answer;
            }
        }
        if files.is_empty() {
            return api::upload(path, &config, api::Sent::Files(&[]), |_| {}).await;
        }
        self.sent.set(Some(0.0));
        let progress = move |fraction| {
            let _ = self.sent.try_set(Some(fraction));
        };
        let answer = api::upload(path, &config, api::Sent::Files(files), progress).await;
        let _ = self.sent.try_set(None);
        answer
    }
}

const INPUTS: &str = "attribution.inputs";

#[component]
pub fn ImportSections(upload: Upload) -> impl IntoView {
    let form = use_form();
    let on_server = RwSignal::new(form.text("source").starts_with('/'));
    let choose = move |there: bool| {
        on_server.set(there);
        pick(upload, form, Vec::new());
    };
    let is_file = move || upload.found.with(|found| found.as_ref().is_none_or(|found| found.checkpoints.is_empty()));
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
                        hint=Signal::stored("A folder with the checkpoints of a training, such as epoch_5.pth to epoch_200.pth or a train_log/NAME of the paper's public code, becomes a run with its course of CAS.".to_owned())
                    />
                </Show>
            </div>
            <Show when=is_file><TextField path="epoch" label="Epoch" kind=Kind::Number hint="That a single file is kept under."/></Show>
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
                path=INPUTS entry=Inputs::Adversarial.id() label="Attribution of adversarial inputs" order=vec!["adversarial", "clean"]
                hint="Of every checkpoint at once; any of them can be measured later."
            />
            <EntryField path=INPUTS entry=Inputs::Clean.id() label="Attribution of clean inputs" order=vec!["adversarial", "clean"]/>
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

/// Chooses other files and removes the answers about the former ones.
fn pick(upload: Upload, form: Form, files: Vec<File>) {
    let name = source_name(&files.iter().map(api::name_in_folder).collect::<Vec<_>>());
    upload.kept.set(None);
    upload.found.set(None);
    upload.files.set(files);
    upload.picked.update(|picked| *picked += 1);
    form.update(|config| {
        ANSWERS.iter().for_each(|field| form::set_at(config, field, None));
        form::set_at(config, "source", Some(name.into()));
    });
}

/// What stands for chosen files in the configuration: the name of the only one, or of their folder.
fn source_name(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.rsplit('/').next().unwrap_or_default().to_owned(),
        [name, ..] => name.split_once('/').map_or_else(|| format!("{} files", names.len()), |(folder, _)| folder.to_owned()),
    }
}

/// The inputs for files and for a folder, with the size of what was chosen and the progress of its upload.
#[component]
fn FileField(upload: Upload) -> impl IntoView {
    let form = use_form();
    let on_change = move |event: leptos::ev::Event| {
        let input: Option<HtmlInputElement> = event.target().and_then(|target| target.dyn_into().ok());
        let files = input.and_then(|input| input.files());
        let files = files.iter().flat_map(|files| (0..files.length()).filter_map(|index| files.get(index)));
        // Only what lies in the folder itself, as where it is on the server.
        pick(upload, form, files.filter(|file| api::name_in_folder(file).matches('/').count() < 2).collect());
    };
    let size = Signal::derive_local(move || {
        upload.files.with(|files| {
            let bytes = format::bytes(files.iter().map(|file| file.size() as u64).sum());
            match files.len() {
                0 => None,
                1 => Some(bytes),
                count => Some(format!("{count} files, {bytes}")),
            }
        })
    });
    let hint = Signal::stored(
        "Several files are the checkpoints of one training, with its log. They are sent at once, looked at, and imported when you say so."
            .to_owned(),
    );
    let input = move |id: String, described: Signal<Option<String>>, invalid: Signal<Option<&'static str>>| {
        view! {
            <input
                class="input" type="file" multiple id=id
                aria-describedby=move || described.get() aria-invalid=move || invalid.get() on:change=on_change
            />
        }
        .into_any()
    };
    view! {
        <Field path="source" label="Files" hint input/>
        <label class="field">
            <span class="field-label">"Or a folder of checkpoints"</span>
            <input class="input" type="file" prop:webkitdirectory=true on:change=on_change/>
        </label>
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
    fn several_files_are_named_after_their_folder() {
        let check = |names: &[&str], expected: &str| {
            assert_eq!(source_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()), expected);
        };
        check(&[], "");
        check(&["prn18/epoch_5.pth"], "epoch_5.pth");
        check(&["epoch_5.pth", "epoch_10.pth"], "2 files");
        check(&["prn18/epoch_5.pth", "prn18/epoch_10.pth"], "prn18");
    }

    #[test]
    fn what_goes_with_a_file_names_neither_its_kind_nor_its_place() {
        let config = json!({"kind": "import", "source": "model.pth", "epoch": 3});
        assert_eq!(Upload::part(&config), json!({"epoch": 3}));
    }
}
