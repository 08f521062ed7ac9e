//! A scatter plot with a point per pair: its cosine in A against its cosine in another matrix.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::Comparison;
use shared::chart::colors::Theme;
use shared::chart::comparison::LETTERS;
use shared::chart::scatter::Scatter;

use crate::components::explorer::Explorer;
use crate::components::scatter::ScatterView;
use crate::url_state::UrlState;

#[component]
pub fn ScatterPanel(
    comparison: Memo<Arc<Comparison>>,
    explorer: Explorer,
    theme: Memo<Theme>,
    /// Index of the side that is plotted against A.
    of: UrlState<usize>,
) -> impl IntoView {
    let count = Memo::new(move |_| comparison.with(|comparison| comparison.attributions.len()));
    let scatter = Memo::new(move |_| {
        comparison.with(|comparison| {
            let index = of.get().min(comparison.attributions.len() - 1);
            Scatter::comparison(comparison, index, theme.get())
        })
    });
    let options = move || {
        (1..count.get())
            .map(|index| view! { <option value=index.to_string() prop:selected=move || of.get() == index>{format!("A against {}", LETTERS[index])}</option> })
            .collect_view()
    };
    view! {
        <section class="panel" aria-labelledby="scatter-title">
            <div class="panel-header">
                <h2 id="scatter-title">"Pair by pair"</h2>
                <Show when=move || count.get().gt(&2)>
                    <select class="input input-small" aria-label="Against" on:change=move |event| of.set(event_target_value(&event).parse().unwrap_or(1))>
                        {move || options()}
                    </select>
                </Show>
            </div>
            <ScatterView scatter explorer otherwise="Pairs above the dashed line are more alike than in A. The table of pairs has the numbers."/>
        </section>
    }
}
