//! The section for a sweep: the varied fields and their values.

use leptos::prelude::*;
use shared::sweep::{FIELDS, field_name};

use super::section::Section;
use crate::components::field::use_form;
use crate::sweep_form::{self, Row};

#[component]
pub fn SweepSection(
    rows: RwSignal<Vec<Row>>,
    /// How many of its runs may run at once, as typed.
    at_once: RwSignal<String>,
) -> impl IntoView {
    let form = use_form();
    let about = move |path: &'static str| Memo::new(move |_| form.errors.with(|errors| crate::form::messages(errors, path)));
    let (messages, at_once_messages) = (about("axes"), about("at_once"));
    let change = move |change: &dyn Fn(&mut Vec<Row>)| {
        rows.update(change);
        form.edited.run(());
    };
    let indices = Memo::new(move |_| (0..rows.with(Vec::len)).collect::<Vec<_>>());
    let made = Memo::new(move |_| rows.with(|rows| sweep_form::count(&sweep_form::axes(rows))));
    let row = move |index: usize| {
        let with =
            move |part: fn(&Row) -> &String| move || rows.with(|rows| rows.get(index).map(|row| part(row).clone()).unwrap_or_default());
        let (field_id, values_id) = (format!("vary-field-{index}"), format!("vary-values-{index}"));
        let name = move || field_name(&with(|row| &row.field)()).to_owned();
        view! {
            <div class="vary-row field-wide">
                <div class="field">
                    <label class="field-label" for=field_id.clone()>"Field to vary"</label>
                    <input
                        class="input" type="text" list="vary-fields" autocomplete="off" spellcheck="false" id=field_id
                        prop:value=with(|row| &row.field)
                        on:input=move |event| change(&|rows| rows[index].field = event_target_value(&event))
                    />
                </div>
                <div class="field">
                    <label class="field-label" for=values_id.clone()>{move || format!("Values of {}", name())}</label>
                    <input
                        class="input" type="text" autocomplete="off" spellcheck="false" id=values_id
                        placeholder="with commas between; lists in brackets"
                        prop:value=with(|row| &row.values)
                        on:input=move |event| change(&|rows| rows[index].values = event_target_value(&event))
                    />
                </div>
                <button
                    class="button" type="button" aria-label=move || format!("Remove {}", name())
                    on:click=move |_| change(&|rows| { rows.remove(index); })
                >"Remove"</button>
            </div>
        }
    };
    view! {
        <Section title="Sweep" text="The same run for several values of a field, and every combination where there are several fields.">
            <datalist id="vary-fields">
                {FIELDS.map(|(path, name)| view! { <option value=path>{name}</option> }).collect_view()}
            </datalist>
            <For each=move || indices.get() key=ToString::to_string children=row/>
            <div class="field-wide">
                <p class="actions" id="field-axes" tabindex="-1">
                    <button class="button" type="button" on:click=move |_| change(&|rows| rows.push(Row::default()))>
                        {move || if indices.with(Vec::is_empty) { "Vary a field" } else { "Vary another field" }}
                    </button>
                    <span class="muted" aria-live="polite">
                        {move || (!indices.with(Vec::is_empty)).then(|| match made.get() {
                            1 => "Makes 1 run.".to_owned(),
                            count => format!("Makes {count} runs, as many at once as their lane takes."),
                        })}
                    </span>
                </p>
                <Show when=move || !indices.with(Vec::is_empty)>
                    <div class="field">
                        <label class="field-label" for="field-at_once">"Runs at once, at most"</label>
                        <input
                            class="input input-number" type="text" inputmode="numeric" id="field-at_once" placeholder="any number"
                            prop:value=move || at_once.get()
                            on:input=move |event| { at_once.set(event_target_value(&event)); form.edited.run(()); }
                        />
                        <div class="field-error">
                            {move || at_once_messages.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
                        </div>
                    </div>
                </Show>
                <div class="field-error">
                    {move || messages.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
                </div>
            </div>
        </Section>
    }
}
