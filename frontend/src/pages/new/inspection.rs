//! Inspects the file of an import: shows what it contains, and asks what must be decided before anything is
//! measured.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::{Value, json};
use shared::config::{ImportConfig, Normalization, RunConfig};
use shared::dataset::Dataset;
use shared::format;
use shared::inspection::{Answer, Inspected, Inspection, Question};
use shared::problem::{FieldError, Problem};

use super::import::Upload;
use super::section::Section;
use super::series::{self, SeriesTable};
use crate::components::field::{TextField, field_id, use_form};
use crate::debounce::debounced;
use crate::form::{self, Kind};
use crate::load::told;

/// The fields that answer questions about a file. They are removed when another file is chosen.
pub const ANSWERS: [&str; 6] = ["network", "head", "activation", "normalization", "strict", "checkpoints"];
/// Pause between the last change of the form and the inspection.
const PAUSE: Duration = Duration::from_millis(600);

/// State of the inspection.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Looked {
    #[default]
    NotYet,
    Looking,
    Found(Box<Inspection>),
    Refused(String),
}

impl Looked {
    /// The errors that prevent the import.
    pub fn errors(&self, config: &Value) -> Vec<FieldError> {
        match self {
            Looked::NotYet => Vec::new(),
            Looked::Looking => vec![FieldError::new("source", "the file is still being looked at; wait a moment")],
            Looked::Refused(_) => vec![FieldError::new("source", "cannot be imported so; what it is stands under \"What the file holds\"")],
            Looked::Found(inspection) => {
                let open = inspection.questions.iter().filter(|question| question.answer.is_none());
                let open = open.map(|question| FieldError::new(&question.field, "is to be decided: choose how the file is to be read"));
                open.chain(series::errors(&inspection.checkpoints, config)).collect()
            }
        }
    }
}

impl From<Result<Inspected, Problem>> for Looked {
    fn from(answer: Result<Inspected, Problem>) -> Self {
        match answer {
            Ok(Inspected { inspection: Some(inspection), .. }) => Looked::Found(Box::new(inspection)),
            Ok(Inspected { problem, .. }) => Looked::Refused(problem.unwrap_or_default()),
            Err(problem) => Looked::Refused(problem.detail),
        }
    }
}

/// The part of the configuration that an inspection depends on: file, data and answers; `None` if invalid.
fn about(config: &Value) -> Option<Value> {
    let RunConfig::Import(config) = RunConfig::parse(config).ok()? else { return None };
    // A copy of another import names its upload, which is no longer available for inspection.
    if config.source.contains('/') && !config.source.starts_with('/') {
        return None;
    }
    let ImportConfig { source, checkpoints, data, program, model, network, head, activation, normalization, strict, .. } = *config;
    let of = ImportConfig::of(source, data);
    Some(json!(ImportConfig { checkpoints, program, model, network, head, activation, normalization, strict, ..of }))
}

/// Inspects the file whenever the file or the answers change, and shows the result.
#[component]
pub fn FoundSection(upload: Upload) -> impl IntoView {
    let form = use_form();
    let wanted = Memo::new(move |_| {
        let picked = upload.picked.get();
        form.config.with(about).map(|config| (picked, config))
    });
    let asked = debounced(wanted, PAUSE);
    // Only one inspection at a time, so that the file is not sent twice. Changes made meanwhile are inspected
    // next.
    let asking = StoredValue::new(false);
    Effect::new(move || {
        if asked.get().is_none() {
            // While a number is being typed, the configuration may be invalid. The fields stay, because one
            // of them has the focus.
            if untrack(|| form.text("source")).is_empty() {
                upload.looked.set(Looked::NotYet);
            }
            return;
        }
        upload.looked.set(Looked::Looking);
        if asking.get_value() {
            return;
        }
        asking.set_value(true);
        spawn_local(async move {
            while let Some(Some((picked, config))) = asked.try_get_untracked() {
                let answer = upload.inspect(&config).await;
                if asked.try_get_untracked() == Some(Some((picked, config))) {
                    let _ = upload.looked.try_set(answer.into());
                    break;
                }
            }
            let _ = asking.try_set_value(false);
        });
    });
    // The former result stays visible, and the focus in it, while a new choice is inspected.
    Effect::new(move || match upload.looked.get() {
        Looked::Found(inspection) => {
            upload.propose_matrices(form, inspection.checkpoints.len());
            upload.found.set(Some(*inspection));
        }
        Looked::Refused(_) | Looked::NotYet => upload.found.set(None),
        Looked::Looking => {}
    });
    let found = Memo::new(move |_| upload.found.get());
    let said = move || match upload.looked.get() {
        Looked::NotYet | Looked::Found(_) => ().into_any(),
        Looked::Looking => view! { <p class="field-wide field-hint" role="status">"The file is being looked at …"</p> }.into_any(),
        Looked::Refused(problem) => view! {
            <div class="field-wide notice notice-error" role="alert"><p class="notice-text">{told(&problem)}</p></div>
        }
        .into_any(),
    };
    let facts = move || {
        let facts = found.get().map(|inspection| inspection.facts).filter(|facts| !facts.is_empty())?;
        Some(view! { <ul class="field-wide facts">{facts.iter().map(|fact| view! { <li>{told(fact)}</li> }).collect_view()}</ul> })
    };
    let questions = move || found.get().map(|inspection| inspection.questions).unwrap_or_default();
    let key = |question: &Question| json!(Question { answer: None, ..question.clone() }).to_string();
    let own = Signal::derive(move || form.config.with(|config| form::at(config, "normalization").is_some_and(Value::is_object)));
    view! {
        <Show when=move || upload.looked.get() != Looked::NotYet>
            <Section title="What the file holds">
                {facts}
                <SeriesTable found/>
                <For each=questions key=key children=move |question| view! { <Ask question found/> }/>
                <Show when=move || own.get()>
                    <TextField path="normalization.mean" label="Mean" kind=Kind::Numbers hint="Of each channel, for pixels in [0, 1]."/>
                    <TextField path="normalization.std" label="Deviation" kind=Kind::Numbers/>
                </Show>
                {said}
            </Section>
        </Show>
    }
}

/// A question with its possible answers, and the clean accuracy under each.
#[component]
fn Ask(
    question: Question,
    /// The inspection, which has the answer in use.
    found: Memo<Option<Inspection>>,
) -> impl IntoView {
    let form = use_form();
    let Question { field, message, options, answer: _ } = question;
    let path = StoredValue::new(field.clone());
    let answer = Memo::new(move |_| {
        let chosen = path.with_value(|path| form.config.with(|config| form::at(config, path).cloned()));
        // `strict: true` is the default and not an answer.
        chosen.filter(|chosen| *chosen != Value::Bool(true)).or_else(|| {
            let questions = found.get().map(|inspection| inspection.questions).unwrap_or_default();
            questions.into_iter().find(|question| path.with_value(|path| question.field == *path)).and_then(|question| question.answer)
        })
    });
    let accuracies = || options.iter().filter_map(|option| option.clean_accuracy);
    let (highest, measured) = (accuracies().fold(f64::NEG_INFINITY, f64::max), accuracies().count());
    let group = field_id(&field);
    let values: Vec<Value> = options.iter().map(|option| option.value.clone()).collect();
    let own = (field == "normalization").then(|| view! { <OwnNumbers group=group.clone() values answer/> });
    let choice = |Answer { value, label, clean_accuracy }: Answer| {
        let accuracy = clean_accuracy.map(|accuracy| {
            let mark = if measured > 1 && accuracy >= highest { ", the highest" } else { "" };
            format!("Clean accuracy {}{mark}.", format::percent(accuracy))
        });
        let chosen = {
            let value = value.clone();
            move || answer.with(|answer| answer.as_ref() == Some(&value))
        };
        let choose = move |_| path.with_value(|path| form.set(path, Some(value.clone())));
        view! {
            <label class="reading">
                <input type="radio" name=group.clone() prop:checked=chosen on:change=choose/>
                <span>{told(&label)}" "<span class="reading-number">{accuracy}</span></span>
            </label>
        }
    };
    let choices = options.iter().cloned().map(choice).collect_view();
    let sample = move || {
        let images = found.get().and_then(|inspection| inspection.test_images).filter(|_| measured > 0);
        images.map(|images| format!("Measured on {} test images.", format::count(images.into())))
    };
    let messages = move || path.with_value(|path| form.errors.with(|errors| form::messages(errors, path)));
    view! {
        <fieldset class="field-wide readings" class:readings-open=move || answer.with(Option::is_none) id=field_id(&field) tabindex="-1">
            <legend>{told(&message)}</legend>
            {choices}
            {own}
            <p class="field-hint">{sample}</p>
            <div class="field-error">{move || messages().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}</div>
        </fieldset>
    }
}

/// Lets people enter a normalization other than those found.
#[component]
fn OwnNumbers(group: String, values: Vec<Value>, answer: Memo<Option<Value>>) -> impl IntoView {
    let form = use_form();
    let chosen = move || answer.with(|answer| answer.as_ref().is_some_and(|answer| answer.is_object() && !values.contains(answer)));
    let choose = move |_| {
        let info = form.config.with(|config| {
            let id = form::text_of(form::at(config, "data.dataset"));
            id.parse().ok().map(Dataset::info)
        });
        // Placeholder values: no data set has 0.5 everywhere, so it is clear that they must be replaced.
        let channels = info.map_or(3, |info| info.mean.len());
        form.set("normalization", Some(json!(Normalization { mean: vec![0.5; channels], std: vec![0.5; channels] })));
    };
    view! {
        <label class="reading">
            <input type="radio" name=group prop:checked=chosen on:change=choose/>
            <span>"Other numbers"</span>
        </label>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undecided_keeps_a_file_from_being_imported() {
        let question = |answer: Option<Value>| {
            let option = Answer { value: json!("dataset"), label: String::new(), clean_accuracy: None };
            Question { field: "normalization".into(), message: String::new(), options: vec![option], answer }
        };
        let found = |answer| {
            let value = json!({
                "format": "PyTorch", "networks": [], "facts": [], "questions": [question(answer)], "architecture": "resnet18", "width": 64,
                "classes": 10, "parameters": 1, "normalization": null
            });
            Looked::Found(Box::new(serde_json::from_value(value).unwrap()))
        };
        let fields = |looked: Looked| looked.errors(&json!({})).into_iter().map(|error| error.field).collect::<Vec<_>>();
        assert_eq!(fields(found(None)), ["normalization"]);
        assert_eq!(fields(found(Some(json!("dataset")))), [""; 0]);
        assert_eq!(fields(Looked::Looking), ["source"]);
        let refused = Inspected { upload: None, inspection: None, problem: Some("is an HTML page".into()) };
        assert_eq!(fields(Ok(refused).into()), ["source"]);
    }

    #[test]
    fn a_file_is_looked_at_again_only_for_what_it_is_read_with() {
        let config = |more: Value| {
            let mut config = json!({"kind": "import", "source": "net.pth", "data": {"dataset": "cifar10"}});
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            about(&config)
        };
        let plain = config(json!({}));
        assert!(plain.is_some());
        assert_eq!(config(json!({"epoch": 3, "attack": {"norm": "l2", "eps": "128/255"}, "name": "mine"})), plain);
        assert_ne!(config(json!({"normalization": "none"})), plain);
        assert_ne!(config(json!({"data": {"dataset": "cifar100"}})), plain);
        assert_eq!(config(json!({"source": ""})), None);
        assert_eq!(config(json!({"source": "upload/net.pth"})), None);
        assert!(config(json!({"source": "/home/me/net.pth"})).is_some());
    }
}
