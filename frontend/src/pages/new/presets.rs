//! The presets in groups, and a description of the chosen one.

use leptos::prelude::*;
use shared::preset::{Preset, PresetGroup};

use super::Origin;

const GROUPS: [(PresetGroup, &str); 3] =
    [(PresetGroup::Start, "To start with"), (PresetGroup::Paper, "Experiments of the paper"), (PresetGroup::Beyond, "Beyond the paper")];

/// All presets in groups; collapsed once one is chosen.
#[component]
pub fn Presets(presets: StoredValue<Vec<Preset>>, origin: Memo<Origin>, open: Memo<bool>) -> impl IntoView {
    let card = move |preset: &Preset| {
        let (id, small) = (preset.id.clone(), preset.small.is_some());
        let href = format!("new?preset={id}");
        let small_href = format!("{href}&form=small");
        let label = format!("{}, small form", preset.title);
        let current = move || origin.with(|origin| matches!(origin, Origin::Preset { id: chosen, .. } if *chosen == id)).then_some("true");
        view! {
            <li class="preset">
                <a class="preset-link" href=href aria-current=current>
                    <span class="preset-title">{preset.title.clone()}</span>
                    <span class="preset-text">{preset.description.clone()}</span>
                </a>
                {small.then(|| view! { <a class="preset-small" href=small_href aria-label=label>"Small form"</a> })}
            </li>
        }
    };
    let group = move |(group, title): (PresetGroup, &'static str)| {
        let cards = presets.with_value(|presets| presets.iter().filter(|preset| preset.group == group).map(card).collect_view());
        view! {
            <section class="preset-group">
                <h2>{title}</h2>
                <ul class="presets">{cards}</ul>
            </section>
        }
    };
    view! {
        <details class="disclosure" prop:open=move || open.get()>
            <summary>"Presets"</summary>
            <nav class="preset-groups" aria-label="Presets">{GROUPS.map(group).collect_view()}</nav>
        </details>
    }
}

/// Describes the chosen preset, with links to its full and small form.
#[component]
pub fn Chosen(preset: Preset, small: bool) -> impl IntoView {
    let Preset { id, title, description, source, small: other, .. } = preset;
    let tab = |form: &'static str, text: &'static str, current: bool| {
        let href = format!("new?preset={id}{form}");
        view! { <a class="tab" href=href aria-current=current.then_some("true")>{text}</a> }
    };
    let forms = other.is_some().then(|| {
        view! {
            <nav class="tabs" aria-label="Forms of this preset">{tab("", "Full", !small)}{tab("&form=small", "Small form", small)}</nav>
        }
    });
    view! {
        <section class="chosen" aria-label="Chosen preset">
            <div class="panel-header"><h2>{title}</h2>{forms}</div>
            <p>{description}</p>
            {small.then(|| view! { <p>"The small form runs the same experiment on generated images, in minutes of two CPU cores."</p> })}
            <p class="muted">"Source: "{source}</p>
        </section>
    }
}
