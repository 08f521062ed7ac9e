//! Fields of the form for a new run. Each edits one path of the configuration and shows the messages about
//! it.

use leptos::prelude::*;
use serde_json::Value;
use shared::config::RunConfig;
use shared::problem::FieldError;

use crate::form::{self, Kind};

/// State shared by all fields of a form.
#[derive(Clone, Copy)]
pub struct Form {
    pub config: RwSignal<Value>,
    /// What the validation says of the configuration.
    pub parsed: Memo<Result<RunConfig, Vec<FieldError>>>,
    /// The configuration that the form began with.
    pub first: StoredValue<Value>,
    /// Errors of the validation here and, after a refused submission, of the server.
    pub errors: Memo<Vec<FieldError>>,
    /// Called after a field was edited.
    pub edited: Callback<()>,
}

impl Form {
    pub fn set(self, path: &str, value: Option<Value>) {
        self.config.update(|config| form::set_at(config, path, value));
        self.edited.run(());
    }

    pub fn update(self, change: impl FnOnce(&mut Value)) {
        self.config.update(change);
        self.edited.run(());
    }

    pub fn text(self, path: &str) -> String {
        self.config.with(|config| form::text_of(form::at(config, path)))
    }

    fn messages(self, path: &'static str) -> Memo<Vec<String>> {
        Memo::new(move |_| self.errors.with(|errors| form::messages(errors, path)))
    }
}

/// The paths of the fields in a section that can be folded away.
#[derive(Clone, Copy)]
pub struct FoldedPaths(pub RwSignal<Vec<&'static str>>);

/// Tells the section around a field, if it can be folded away, that it holds the field.
fn belongs_to_section(path: &'static str) {
    if let Some(FoldedPaths(paths)) = use_context() {
        paths.update(|paths| paths.push(path));
    }
}

/// The element id of the input for a path.
pub fn field_id(path: &str) -> String {
    let own = path.split(['[', ']']).next().unwrap_or(path);
    format!("field-{}", own.replace('.', "-"))
}

/// A field with label, hint and messages. `input` makes the input from its id, `aria-describedby` and
/// `aria-invalid`.
#[component]
pub fn Field(
    path: &'static str,
    label: &'static str,
    #[prop(into)] hint: Signal<String>,
    input: impl FnOnce(String, Signal<Option<String>>, Signal<Option<&'static str>>) -> AnyView,
) -> impl IntoView {
    belongs_to_section(path);
    let messages = use_form().messages(path);
    let id = field_id(path);
    let (hint_id, error_id) = (format!("{id}-hint"), format!("{id}-error"));
    let described = Signal::derive({
        let (hint_id, error_id) = (hint_id.clone(), error_id.clone());
        move || {
            let with_hint = hint.with(|hint| !hint.is_empty()).then_some(hint_id.as_str());
            let with_error = messages.with(|messages| !messages.is_empty()).then_some(error_id.as_str());
            let ids: Vec<&str> = with_error.into_iter().chain(with_hint).collect();
            (!ids.is_empty()).then(|| ids.join(" "))
        }
    });
    let invalid = Signal::derive(move || messages.with(|messages| !messages.is_empty()).then_some("true"));
    let input = input(id.clone(), described, invalid);
    view! {
        <div class="field">
            <label class="field-label" for=id>{label}</label>
            {input}
            <p class="field-hint" id=hint_id>{move || hint.get()}</p>
            <div class="field-error" id=error_id>
                {move || messages.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
            </div>
        </div>
    }
}

/// A text input for a value of some kind.
///
/// The input keeps the text as typed. It shows the value of the configuration once that differs from the
/// typed text.
#[component]
pub fn TextField(
    path: &'static str,
    label: &'static str,
    kind: Kind,
    #[prop(into, optional)] hint: Signal<String>,
    #[prop(optional)] placeholder: &'static str,
) -> impl IntoView {
    let form = use_form();
    let text_now = move || form.text(path);
    let typed = RwSignal::new(untrack(text_now));
    let shown = Memo::new(move |_| {
        let same = typed.with(|typed| form.config.with(|config| form::parse_text(kind, typed).as_ref() == form::at(config, path)));
        if same { typed.get() } else { text_now() }
    });
    let on_input = move |event| {
        let text = event_target_value(&event);
        let value = form::parse_text(kind, &text);
        typed.set(text);
        form.set(path, value);
    };
    let input_mode = match kind {
        Kind::Number => "decimal",
        Kind::Text | Kind::Path | Kind::Numbers | Kind::Pairs | Kind::Size | Kind::Sizes => "text",
    };
    let class = match kind {
        Kind::Text | Kind::Path => "input",
        Kind::Number | Kind::Numbers | Kind::Pairs | Kind::Size | Kind::Sizes => "input input-number",
    };
    let input = move |id: String, described: Signal<Option<String>>, invalid: Signal<Option<&'static str>>| {
        view! {
            <input
                class=class
                type="text"
                id=id
                inputmode=input_mode
                autocomplete="off"
                spellcheck="false"
                placeholder=placeholder
                prop:value=move || shown.get()
                aria-describedby=move || described.get()
                aria-invalid=move || invalid.get()
                on:input=on_input
            />
        }
        .into_any()
    };
    view! { <Field path label hint input/> }
}

/// An input for a perturbation size. The hint shows how the size is understood.
#[component]
pub fn SizeField(
    path: &'static str,
    label: &'static str,
    /// Hint shown while the field is empty.
    #[prop(into, optional)]
    otherwise: Signal<String>,
    #[prop(optional)] placeholder: &'static str,
) -> impl IntoView {
    let form = use_form();
    let hint = Signal::derive(move || {
        let text = form.text(path);
        if text.is_empty() { otherwise.get() } else { form.config.with(|config| form::size_hint(config, path)).unwrap_or_default() }
    });
    view! { <TextField path label kind=Kind::Size hint placeholder/> }
}

/// A choice of a few values.
#[component]
pub fn SelectField(
    path: &'static str,
    label: &'static str,
    /// Values and their labels. An empty value removes the field.
    options: Vec<(String, String)>,
    #[prop(into, optional)] hint: Signal<String>,
    /// Called with the chosen value instead of setting the field.
    #[prop(optional, into)]
    choose: Option<Callback<(String,)>>,
) -> impl IntoView {
    let form = use_form();
    let current = Memo::new(move |_| form.text(path));
    let on_change = move |event| {
        let chosen: String = event_target_value(&event);
        match choose {
            Some(choose) => choose.run((chosen,)),
            None => form.set(path, (!chosen.is_empty()).then(|| chosen.into())),
        }
    };
    let input = move |id: String, described: Signal<Option<String>>, invalid: Signal<Option<&'static str>>| {
        let options = options
            .into_iter()
            .map(|(value, label)| {
                let is_current = {
                    let value = value.clone();
                    move || current.with(|current| *current == value)
                };
                view! { <option value=value prop:selected=is_current>{label}</option> }
            })
            .collect_view();
        view! {
            <select
                class="input"
                id=id
                aria-describedby=move || described.get()
                aria-invalid=move || invalid.get()
                on:change=on_change
            >
                {options}
            </select>
        }
        .into_any()
    };
    view! { <Field path label hint input/> }
}

/// A checkbox for a boolean.
#[component]
pub fn CheckField(path: &'static str, label: &'static str, #[prop(optional)] hint: &'static str) -> impl IntoView {
    belongs_to_section(path);
    let form = use_form();
    let checked = move || form.config.with(|config| form::at(config, path).and_then(Value::as_bool).unwrap_or_default());
    let on_change = move |event| form.set(path, Some(event_target_checked(&event).into()));
    view! { <Check id=field_id(path) label hint checked=Signal::derive(checked) on_change/> }
}

/// A checkbox for one entry of a list.
#[component]
pub fn EntryField(
    path: &'static str,
    entry: &'static str,
    label: &'static str,
    #[prop(optional)] hint: &'static str,
    /// All possible entries in their order, if the order matters.
    #[prop(optional)]
    order: Vec<&'static str>,
) -> impl IntoView {
    belongs_to_section(path);
    let form = use_form();
    let checked = move || form.config.with(|config| form::contains(config, path, entry));
    let on_change = move |event| {
        let on = event_target_checked(&event);
        form.update(|config| form::toggle(config, path, entry, on, &order));
    };
    view! { <Check id=format!("{}-{entry}", field_id(path)) label hint checked=Signal::derive(checked) on_change/> }
}

/// A checkbox for an optional part of the configuration, with its fields while it is on.
#[component]
pub fn BlockField(
    path: &'static str,
    label: &'static str,
    #[prop(optional)] hint: &'static str,
    /// The value when the part is switched on.
    initial: fn() -> Value,
    children: ChildrenFn,
) -> impl IntoView {
    belongs_to_section(path);
    let form = use_form();
    let on = Memo::new(move |_| form.config.with(|config| form::at(config, path).is_some_and(|value| !value.is_null())));
    let on_change = move |event| form.set(path, event_target_checked(&event).then(initial));
    // Only the messages about the part itself; its fields show their own.
    let own = move || {
        form.errors.with(|errors| errors.iter().filter(|error| error.field == path).map(|error| error.message.clone()).collect::<Vec<_>>())
    };
    view! {
        <div class="field-wide form-block">
            <Check id=field_id(path) label hint checked=Signal::derive(move || on.get()) on_change/>
            {move || own().into_iter().map(|message| view! { <p class="field-error">{message}</p> }).collect_view()}
            <Show when=move || on.get()><div class="form-grid form-block-fields">{children()}</div></Show>
        </div>
    }
}

#[component]
fn Check(
    id: String,
    label: &'static str,
    hint: &'static str,
    checked: Signal<bool>,
    on_change: impl FnMut(leptos::ev::Event) + 'static,
) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    view! {
        <div class="field field-check">
            <input type="checkbox" id=id.clone() prop:checked=move || checked.get() aria-describedby=hint_id.clone() on:change=on_change/>
            <label class="field-label" for=id>{label}</label>
            <p class="field-hint" id=hint_id>{hint}</p>
        </div>
    }
}

pub fn use_form() -> Form {
    expect_context()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_an_entry_leads_to_its_field() {
        assert_eq!(field_id("attack.eps"), "field-attack-eps");
        assert_eq!(field_id("training.milestones[1]"), "field-training-milestones");
    }
}
