//! What the sections of the form are made of.

use leptos::prelude::*;

use crate::form;

/// A group of fields with its name.
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

/// Values as a configuration writes them, with what they are called.
pub fn options<T: Copy + serde::Serialize>(values: &[T], label: fn(T) -> &'static str) -> Vec<(String, String)> {
    let id = |value: &T| form::text_of(serde_json::to_value(value).ok().as_ref());
    values.iter().map(|value| (id(value), label(*value).to_owned())).collect()
}
