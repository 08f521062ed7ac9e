//! Whether classes that share features are those that the attack confuses.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Attribution, EpochCell, path};
use shared::chart::AttributionFigure;
use shared::chart::course::CourseOf;
use shared::chart::scatter::Scatter;
use shared::config::Inputs;
use shared::export::Exported;
use shared::format;
use shared::interference::{Association, Interference, Relation};
use strum::IntoEnumIterator;

use super::dossier::CourseView;
use super::explorer::Explorer;
use super::exports::{export, links};
use super::heatmap::is_open;
use super::scatter::ScatterView;
use crate::latest::latest;
use crate::load::{Placeholder, fetched, shown as loaded};
use crate::theme::use_theme;
use crate::viewer::use_is_owner;

/// Folded away at first, because its random orders take half a second for 200 classes.
#[component]
pub fn InterferencePanel(attribution: Memo<Arc<Attribution>>, explorer: Explorer) -> impl IntoView {
    let open = RwSignal::new(false);
    let chosen = RwSignal::new([Relation::Attribution, Relation::Traffic]);
    let has_some = Memo::new(move |_| attribution.with(|attribution| figures(attribution).next().is_some()));
    // The chosen relations, or the first that the file has.
    let shown = Memo::new(move |_| {
        attribution.with(|attribution| {
            let known: Vec<[Relation; 2]> = figures(attribution).collect();
            known.iter().find(|relations| **relations == chosen.get()).or(known.first()).copied()
        })
    });
    let found = Memo::new(move |_| open.get().then(|| attribution.with(|attribution| Interference::of(&attribution.file))));
    let scatter = move || {
        let relations = shown.get().filter(|_| open.get())?;
        Some(view! { <RelationScatter attribution relations explorer/> })
    };
    let is_owner = use_is_owner();
    let course = move || {
        let relations = shown.get().filter(|_| open.get())?;
        Some(view! { <RelationCourse attribution relations/> })
    };
    let row = move |association: Association| {
        let Association { x, y, rank_correlation, p } = association;
        let name = format!("{} and {}", x.short(), y.short());
        view! {
            <tr>
                <th scope="row">
                    <button
                        class="button button-small button-quiet" type="button" aria-pressed=move || (shown.get() == Some([x, y])).to_string()
                        on:click=move |_| chosen.set([x, y])
                    >{name}</button>
                </th>
                <td class="number">{format::signed(rank_correlation, 2)}</td>
                <td class="number">{format::decimal(p, 3)}</td>
            </tr>
        }
    };
    let rows = move || found.get().map(|found| found.associations.into_iter().map(row).collect_view());
    let text = move || attribution.with(|attribution| explanation(attribution.file.inputs));
    let content = move || {
        view! {
            <details class="disclosure panel" on:toggle=move |event| open.set(is_open(&event))>
                <summary>"Interference: do shared features carry the confusion?"</summary>
                <p class="muted">{text}</p>
                <div class="split interference">
                    <div class="table-box" role="region" aria-label="Rank correlations" tabindex="0">
                        <table class="table table-dense">
                            <thead><tr><th scope="col">"Relations"</th><th scope="col" class="number">"Spearman ρ"</th><th scope="col" class="number">"Mantel p"</th></tr></thead>
                            <tbody>{rows}</tbody>
                        </table>
                    </div>
                    <div>{scatter}</div>
                </div>
                {is_owner.then(|| view! { <div class="dossier-course"><h3>"Over the epochs"</h3>{course}</div> })}
            </details>
        }
    };
    move || has_some.get().then(content)
}

/// One relation against another.
#[component]
fn RelationScatter(attribution: Memo<Arc<Attribution>>, relations: [Relation; 2], explorer: Explorer) -> impl IntoView {
    let theme = use_theme();
    let drawn = move || attribution.with(|attribution| Scatter::relations(&attribution.file, relations, theme.get()));
    let scatter = latest(untrack(drawn)?, drawn);
    Some(view! { <ScatterView scatter explorer otherwise="Each point is a pair of classes."/> })
}

/// The rank correlation of two relations in every matrix of the run.
#[component]
fn RelationCourse(attribution: Memo<Arc<Attribution>>, relations: [Relation; 2]) -> impl IntoView {
    let [x, y] = relations;
    let run = Memo::new(move |_| attribution.with(|attribution| (attribution.context.run.clone(), attribution.file.inputs)));
    let address = move || {
        let (run, inputs) = run.get();
        format!("{}?x={x}&y={y}&inputs={}", path::run_interference(&run), inputs.id())
    };
    let cells = fetched::<Vec<EpochCell>>(move || Some(address()));
    let files = move || {
        export(format!("{} and {} over epochs", x.short(), y.short()), Exported::Chart, |format| format!("{}&format={format}", address()))
    };
    let course = move |cells: Vec<EpochCell>| match cells.len() {
        0 | 1 => view! { <p class="muted">"The run holds no other matrix of these inputs with both relations."</p> }.into_any(),
        _ => {
            let marks = vec![(attribution.with(|attribution| attribution.file.epoch), "this")];
            view! {
                <CourseView of=CourseOf::RankCorrelation cells marks/>
                {links(files())}
            }
            .into_any()
        }
    };
    loaded(cells, Placeholder::Rows, course)
}

/// The pairs of relations that the file of an attribution has.
fn figures(attribution: &Attribution) -> impl Iterator<Item = [Relation; 2]> {
    AttributionFigure::iter().filter(|figure| figure.suits(&attribution.file)).filter_map(AttributionFigure::relations)
}

fn explanation(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Adversarial => {
            "Traffic is the fraction of the images of two classes that the attack moves to the other one. If the attack uses the features that \
             two classes share, pairs with a high cosine have much of it. p is from 999 random orders of the classes, because pairs that share \
             a class are not independent."
        }
        Inputs::Clean => {
            "These are clean images: traffic is the fraction of the images of two classes that is taken for the other one without an attack. p \
             is from 999 random orders of the classes, because pairs that share a class are not independent."
        }
    }
}
