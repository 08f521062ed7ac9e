//! Building blocks for the sections of the form.

use leptos::html;
use leptos::prelude::*;
use serde_json::json;
use shared::api::{Device, Health, WorkerStatus, path};
use shared::config::{Norm, RunConfig};

use crate::components::field::{CheckField, FoldedPaths, SelectField, SizeField, TextField, use_form};
use crate::form::{self, Kind};
use crate::load::fetched;

/// A group of fields with a heading.
#[component]
pub fn Section(title: &'static str, #[prop(optional)] text: &'static str, children: Children) -> impl IntoView {
    view! {
        <fieldset class="form-section">
            <legend>{title}</legend>
            {(!text.is_empty()).then(|| view! { <p class="form-section-text">{text}</p> })}
            <div class="form-grid">{children()}</div>
        </fieldset>
    }
}

/// A group of fields that most people never touch. Folded away, it says what is set in it and how many fields were
/// changed.
#[component]
pub fn FoldedSection(
    title: &'static str,
    #[prop(optional)] text: &'static str,
    /// What is set in it, in a few words.
    #[prop(into)]
    set: Signal<String>,
    children: Children,
) -> impl IntoView {
    let form = use_form();
    let paths = RwSignal::new(Vec::new());
    provide_context(FoldedPaths(paths));
    let open = RwSignal::new(false);
    let details = NodeRef::<html::Details>::new();
    let changed = Memo::new(move |_| {
        form.config.with(|config| form.first.with_value(|first| paths.with(|paths| form::changed(config, first, paths))))
    });
    let wrong = Memo::new(move |_| {
        form.errors.with(|errors| paths.with(|paths| paths.iter().any(|path| !form::messages(errors, path).is_empty())))
    });
    // A message that nobody sees helps nobody.
    Effect::new(move || {
        if wrong.get() {
            open.set(true);
        }
    });
    let toggled = move |_| {
        if let Some(details) = details.get_untracked() {
            open.set(details.open());
        }
    };
    view! {
        <details class="form-section form-folded" node_ref=details prop:open=move || open.get() on:toggle=toggled>
            <summary>
                <span class="form-folded-title">{title}</span>
                <span class="form-folded-set">{move || set.get()}</span>
                {move || (changed.get() > 0).then(|| view! { <span class="badge">{format!("{} changed", changed.get())}</span> })}
            </summary>
            <fieldset class="form-folded-fields">
                <legend class="visually-hidden">{title}</legend>
                {(!text.is_empty()).then(|| view! { <p class="form-section-text">{text}</p> })}
                <div class="form-grid">{children()}</div>
            </fieldset>
        </details>
    }
}

/// Options of a choice: each value as it is in the configuration, and its label.
pub fn options<T: Copy + serde::Serialize>(values: &[T], label: fn(T) -> &'static str) -> Vec<(String, String)> {
    let id = |value: &T| form::text_of(Some(&json!(value)));
    values.iter().map(|value| (id(value), label(*value).to_owned())).collect()
}

/// The fields of a measuring attack with its threat model, at `attack`.
#[component]
pub fn PgdFields() -> impl IntoView {
    let rule = Signal::stored("Empty: eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.".to_owned());
    view! {
        <SelectField path="attack.norm" label="Norm" options=options(&[Norm::Linf, Norm::L2], Norm::symbol)/>
        <SizeField path="attack.eps" label="Radius eps"/>
        <SizeField path="attack.step_size" label="Step size" otherwise=rule/>
        <TextField path="attack.steps" label="Steps" kind=Kind::Number/>
        <CheckField path="attack.random_start" label="Random start"/>
    }
}

/// The fields that every run has: name, seed and device.
#[component]
pub fn RunSection() -> impl IntoView {
    let form = use_form();
    let health = fetched::<Health>(|| Some(path::health()));
    let devices = Signal::derive(move || match health.ready().map(|health| health.worker) {
        Some(WorkerStatus::Ready(probe)) => {
            let names: Vec<String> = probe.devices.iter().map(|Device { id, name, .. }| format!("{id} ({name})")).collect();
            format!("auto, or one of: {}.", names.join(", "))
        }
        _ => "auto takes CUDA where there is a device, else the CPU.".to_owned(),
    });
    let title = Signal::derive(move || match form.config.with(RunConfig::parse) {
        Ok(config) => format!("Empty: named after what it does. Now: {}", config.title()),
        Err(_) => "Empty: named after what it does.".to_owned(),
    });
    view! {
        <Section title="Run">
            <div class="field-wide"><TextField path="name" label="Name" kind=Kind::Text hint=title/></div>
            <TextField path="seed" label="Seed" kind=Kind::Number/>
            <TextField path="device" label="Device" kind=Kind::Text hint=devices/>
        </Section>
    }
}
