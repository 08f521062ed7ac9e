//! The matrices of an attribution run.

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::{Attribution, Run};
use shared::chart::heatmap::Heatmap;
use shared::config::RunConfig;
use shared::format;
use shared::record::{AttributionEntry, Metrics};
use shared::view::Lens;

use super::measured_checkpoints::MeasuredCheckpoints;
use super::training::Phase;
use crate::components::explorer::Explorer;
use crate::components::heatmap::HeatmapView;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::load::{Fetched, Placeholder, fetched_attribution, shown};
use crate::theme::use_theme;
use crate::url_state::UrlState;
use crate::viewer::use_is_owner;
use crate::{findings, names, urls};

#[component]
pub fn MatricesView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let is_owner = use_is_owner();
    let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
    let RunConfig::Attribute(config) = config else { return ().into_any() };
    let entries = Memo::new(move |_| metrics.with(|metrics| metrics.attributions.clone()));
    let ended = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let figures = Signal::derive(move || entries.with(|entries| figures(entries, ended.get())));
    let how = format!("{} · {} · {}", names::split(config.split), config.aggregation.label(), config.subset.label());
    let explorer = Explorer::new(UrlState::local(Lens::default()));
    let matrix = move |entry: AttributionEntry| {
        let attribution_id = urls::attribution_id(&id, entry.epoch, entry.inputs);
        let attribution = fetched_attribution(move || is_owner.then(|| attribution_id.clone()));
        view! { <section class="panel" aria-label=format!("{} inputs", entry.inputs.id())><Loaded attribution explorer/></section> }
    };
    view! {
        <KeyFigures figures/>
        <section class="panel">
            <div class="panel-header"><h2>"Attribution"</h2><Phase run metrics/></div>
            <p>{how}</p>
            <MeasuredCheckpoints checkpoints=vec![config.checkpoint]/>
            {move || entries.with(Vec::is_empty).then(|| view! {
                <p class="muted">{move || if ended.get() { "The run ended before it had measured a matrix." } else { "No matrix is there yet." }}</p>
            })}
        </section>
        {is_owner.then(|| view! {
            <div class="pair-of-panels">
                <For each=move || entries.get() key=|entry| format!("{} {:?}", entry.epoch, entry.inputs) children=matrix/>
            </div>
        })}
    }
    .into_any()
}

/// A matrix, shown once it has loaded.
#[component]
fn Loaded(attribution: Fetched<Arc<Attribution>>, explorer: Explorer) -> impl IntoView {
    let theme = use_theme();
    let matrix = move |attribution: Arc<Attribution>| {
        let inputs = crate::pages::attribution::inputs_text(&attribution.file).to_ascii_lowercase();
        let caption = format!("Epoch {}, {inputs}: CAS {}", attribution.file.epoch, format::decimal(attribution.file.cas, 2));
        let link = urls::href(&format!("/attributions/{}", attribution.context.id));
        let heatmap = Memo::new(move |_| Heatmap::of(&attribution, None, &Lens::default(), theme.get()));
        view! {
            <p class="caption" aria-live="polite">{caption.clone()}" "<a href=link>"Open"</a></p>
            <HeatmapView name=Signal::stored(caption) heatmap explorer/>
        }
    };
    shown(attribution, Placeholder::Matrix, matrix)
}

fn figures(entries: &[AttributionEntry], ended: bool) -> Vec<Figure> {
    let figure = |entry: &AttributionEntry| {
        let label = match entry.inputs {
            shared::config::Inputs::Adversarial => "CAS, adversarial inputs",
            shared::config::Inputs::Clean => "CAS, clean inputs",
        };
        Figure::new(label, format::decimal(entry.cas, 2), format!("{} of the possible", format::percent(entry.cas_normalized)))
    };
    match entries {
        [] => vec![Figure::new("CAS", "–", findings::missing(ended))],
        entries => entries.iter().map(figure).collect(),
    }
}
