//! The result of a pair run: the measured part of a dossier for each pair.

use leptos::prelude::*;
use shared::api::{PairFile, Run, RunState, path};
use shared::config::RunConfig;
use shared::record::Metrics;

use super::measured_checkpoints::MeasuredCheckpoints;
use super::training::Phase;
use crate::components::dossier::Parts;
use crate::load::{Placeholder, fetched, shown};
use crate::viewer::use_is_owner;

#[component]
pub fn PairView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let is_owner = use_is_owner();
    let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
    let RunConfig::Pair(config) = config else { return ().into_any() };
    let complete = Memo::new(move |_| is_owner && run.with(|run| run.state == RunState::Succeeded));
    let file = fetched::<PairFile>(move || complete.get().then(|| path::run_pair(&id)));
    view! {
        <section class="panel dossier" aria-labelledby="pair-title">
            <div class="panel-header"><h2 id="pair-title">"What classes share"</h2><Phase run metrics/></div>
            <MeasuredCheckpoints checkpoints=config.checkpoints/>
            {move || match (complete.get(), is_owner) {
                (true, _) => shown(file, Placeholder::Matrix, |file| view! { <Pairs file/> }).into_any(),
                (false, true) => view! { <p class="muted">"The pairs are shown when the run is complete."</p> }.into_any(),
                (false, false) => view! { <p class="muted">"The pairs are not part of the link."</p> }.into_any(),
            }}
        </section>
    }
    .into_any()
}

/// The measured pairs as tabs.
#[component]
fn Pairs(file: PairFile) -> impl IntoView {
    let chosen = RwSignal::new(0);
    let name = |class: u32| file.class_names.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
    let tabs = file.pairs.iter().enumerate().map(|(index, pair)| {
        let text = format!("{} · {}", name(pair.i), name(pair.j));
        let current = move || if chosen.get() == index { "true" } else { "false" };
        view! { <button class="tab" type="button" aria-pressed=current on:click=move |_| chosen.set(index)>{text}</button> }
    });
    let tabs = (file.pairs.len() > 1).then(|| view! { <div class="tabs" role="group" aria-label="Pair">{tabs.collect_view()}</div> });
    let file = StoredValue::new(file);
    view! {
        {tabs}
        {move || view! { <Parts file=file.get_value() index=chosen.get()/> }}
    }
    .into_any()
}
