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
    let figures = Memo::new(move |_| figures.get());
    let count = Memo::new(move |_| figures.with(Vec::len));
    // Each text follows by itself, because a step of the scrubber changes some numbers and no element.
    let figure = move |index: usize| {
        let text =
            move |part: fn(&Figure) -> &str| move || figures.with(|figures| figures.get(index).map(|figure| part(figure).to_owned()));
        view! {
            <div class="figure">
                <dt>{text(|figure| figure.label)}</dt>
                <dd class="figure-value">{text(|figure| &figure.value)}</dd>
                <dd class="figure-note">{text(|figure| &figure.note)}</dd>
            </div>
        }
    };
    view! { <dl class="figures">{move || (0..count.get()).map(figure).collect_view()}</dl> }
}
