//! Building blocks for the sections of the form.

use leptos::html;
use leptos::prelude::*;
use serde_json::json;
use shared::api::{Lane, LaneKind, Lanes, path};
use shared::config::Norm;

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
    let lanes = fetched::<Lanes>(|| Some(path::lanes()));
    let devices = Signal::derive(move || match lanes.ready().map(|lanes| lanes.lanes) {
        Some(lanes) if !lanes.is_empty() => format!("auto, or one of: {}.", lanes.iter().map(lane_text).collect::<Vec<_>>().join(", ")),
        _ => "auto takes CUDA where there is a device, else the CPU.".to_owned(),
    });
    let title = Signal::derive(move || match form.parsed.get() {
        Ok(config) => format!("Empty: named after what it does. Now: {}", config.title()),
        Err(_) => "Empty: named after what it does.".to_owned(),
    });
    view! {
        <Section title="Run">
            <div class="field-wide"><TextField path="name" label="Name" kind=Kind::Text hint=title/></div>
            <TextField path="seed" label="Seed" kind=Kind::Number/>
            <TextField path="device" label="Device or lane" kind=Kind::Text hint=devices/>
        </Section>
    }
}

/// A lane as the hint of its field names it: `a100 (Slurm: partition gpu, 1 GPU)`.
fn lane_text(lane: &Lane) -> String {
    let Lane { name, kind, text, trouble, .. } = lane;
    let down = if trouble.is_some() { ", down" } else { "" };
    match kind {
        LaneKind::Local => format!("{name} ({text})"),
        kind => format!("{name} ({}: {text}{down})", kind.label()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_named_with_what_it_is() {
        let lane = |kind, trouble: Option<&str>| Lane {
            name: "a100".into(),
            kind,
            text: "partition gpu".into(),
            at_once: None,
            auto: true,
            multiply_adds_per_sec: None,
            trouble: trouble.map(str::to_owned),
        };
        assert_eq!(lane_text(&lane(LaneKind::Local, None)), "a100 (partition gpu)");
        assert_eq!(lane_text(&lane(LaneKind::Slurm, Some("no"))), "a100 (Slurm: partition gpu, down)");
    }
}
