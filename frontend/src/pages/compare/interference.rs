//! How relations between classes go together, in the compared matrices beside each other.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::Comparison;
use shared::chart::ComparisonFigure;
use shared::chart::colors::Theme;
use shared::chart::interference::{InterferenceChart, relations_name};
use shared::format;
use shared::interference::{Association, Relation};

use crate::components::heatmap::is_open;
use crate::components::plot::ChartImage;

/// Folded away at first, because the random orders of each matrix take half a second for 200 classes.
#[component]
pub fn InterferenceCompared(comparison: Memo<Arc<Comparison>>, theme: Memo<Theme>) -> impl IntoView {
    let open = RwSignal::new(false);
    let has_some = Memo::new(move |_| comparison.with(|comparison| ComparisonFigure::Interference.suits(comparison)));
    let content = move || {
        view! {
            <details class="disclosure panel" on:toggle=move |event| open.set(is_open(&event))>
                <summary>"Interference: do shared features carry the confusion in each of them?"</summary>
                {move || open.get().then(|| view! { <Correlations comparison theme/> })}
            </details>
        }
    };
    move || has_some.get().then(content)
}

#[component]
fn Correlations(comparison: Memo<Arc<Comparison>>, theme: Memo<Theme>) -> impl IntoView {
    let chart = Memo::new(move |_| comparison.with(|comparison| InterferenceChart::of(comparison, theme.get())));
    let heads = move || {
        chart.with(|chart| chart.sides.iter().map(|side| view! { <th scope="col" class="number">{side.name.clone()}</th> }).collect_view())
    };
    let rows = move || {
        chart.with(|chart| {
            let row = |relations: [Relation; 2]| {
                let cell = |found: Option<&Association>| view! { <td class="number">{correlation(found)}</td> };
                let cells = chart.sides.iter().map(|side| cell(side.found(relations))).collect_view();
                view! { <tr><th scope="row">{relations_name(relations)}</th>{cells}</tr> }
            };
            chart.relations().into_iter().map(row).collect_view()
        })
    };
    view! {
        <p class="muted">
            "Spearman's rank correlation of two relations between classes over all pairs, and Mantel's p from 999 random orders of the classes. Where C \
             and the traffic go together, the attack moves images between classes that share features."
        </p>
        <ChartImage class="sweep-plot" chart/>
        <div class="table-box" role="region" aria-label="Rank correlations" tabindex="0">
            <table class="table table-dense">
                <thead><tr><th scope="col">"Relations"</th>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

/// For example `+0.62, p 0.001`; a dash if the file lacks a relation.
fn correlation(found: Option<&Association>) -> String {
    match found {
        Some(Association { rank_correlation, p, .. }) => {
            format!("{}, p {}", format::signed(*rank_correlation, 2), format::decimal(*p, 3))
        }
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_is_told_with_its_p() {
        let found = Association { x: Relation::Attribution, y: Relation::Traffic, rank_correlation: 0.618, p: 0.001 };
        assert_eq!((correlation(Some(&found)).as_str(), correlation(None).as_str()), ("+0.62, p 0.001", "–"));
    }
}
