//! The main numbers of a page in large type.

use leptos::prelude::*;

/// A number with a label and a smaller note.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub label: &'static str,
    pub value: String,
    pub note: String,
}

impl Figure {
    pub fn new(label: &'static str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Figure { label, value: value.into(), note: note.into() }
    }
}

#[component]
pub fn KeyFigures(#[prop(into)] figures: Signal<Vec<Figure>>) -> impl IntoView {
    let figure = |figure: Figure| {
        view! {
            <div class="figure">
                <dt>{figure.label}</dt>
                <dd class="figure-value">{figure.value}</dd>
                <dd class="figure-note">{figure.note}</dd>
            </div>
        }
    };
    view! { <dl class="figures">{move || figures.get().into_iter().map(figure).collect_view()}</dl> }
}
