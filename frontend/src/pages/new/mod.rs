//! A new run: start from a preset or another run, change it, see what it means, submit it.

mod data;
mod run_form;
mod section;
mod train;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use shared::api::Run;
use shared::preset::Preset;

use self::run_form::RunForm;
use crate::browser::use_title;
use crate::components::health::WorkerBanner;
use crate::load::{Failure, Load, Placeholder, Skeleton, fetched, shown};
use crate::place;

const FIRST_PRESET: &str = "demo";

/// Where the form's first values come from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Preset(String),
    Run(String),
}

#[component]
pub fn NewPage() -> impl IntoView {
    use_title(|| "New run".to_owned());
    let query = use_query_map();
    let origin = Memo::new(move |_| {
        query.with(|query| match (query.get("from"), query.get("preset")) {
            (Some(run), _) => Origin::Run(run),
            (None, preset) => Origin::Preset(preset.unwrap_or_else(|| FIRST_PRESET.to_owned())),
        })
    });
    let presets = fetched::<Vec<Preset>>(|| Some("api/presets".to_owned()));
    view! {
        <header class="page-header"><h1>"New run"</h1></header>
        <WorkerBanner/>
        {shown(presets, Placeholder::Rows, move |presets| view! { <Start presets origin/> })}
    }
}

/// The presets, and the form for the chosen origin.
#[component]
fn Start(presets: Vec<Preset>, origin: Memo<Origin>) -> impl IntoView {
    let from = fetched::<Run>(move || match origin.get() {
        Origin::Run(run) => Some(format!("api/runs/{run}")),
        Origin::Preset(_) => None,
    });
    let cards = presets
        .iter()
        .map(|preset| {
            let id = preset.id.clone();
            let current = move || origin.with(|origin| matches!(origin, Origin::Preset(chosen) if *chosen == id)).then_some("true");
            view! {
                <li>
                    <a class="preset" href=format!("new?preset={}", preset.id) data-noscroll="" aria-current=current>
                        <span class="preset-title">{preset.title.clone()}</span>
                        <span class="preset-text">{preset.description.clone()}</span>
                        <span class="preset-source">{preset.source.clone()}</span>
                    </a>
                </li>
            }
        })
        .collect_view();
    let content = move || match origin.get() {
        Origin::Preset(id) => match presets.iter().find(|preset| preset.id == id) {
            Some(preset) => view! { <RunForm config=preset.config.clone()/> }.into_any(),
            None => {
                view! { <p class="notice notice-error" role="alert">{format!("There is no preset `{id}`: choose one of those above.")}</p> }
                    .into_any()
            }
        },
        Origin::Run(id) => match from.state.get() {
            Load::Ready(run) if run.id == id => view! {
                <p class="origin">"A copy of "<a href=place::href(&place::run(&id))>{run.title}</a>"."</p>
                <RunForm config=run.config/>
            }
            .into_any(),
            Load::Failed(problem) => view! { <Failure problem retry=move || from.reload()/> }.into_any(),
            Load::Ready(_) | Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
        },
    };
    view! {
        <nav aria-label="Presets"><ul class="presets">{cards}</ul></nav>
        {content}
    }
}
