//! The baseline: one attribution that differences refer to on every page.
//!
//! The pinned baseline is kept in the browser's storage. If the URL of a page names another one, that page
//! uses it; see [`page_baseline`].

use std::sync::Arc;

use leptos::prelude::*;
use shared::api::Attribution;
use shared::chart::figure::checkpoint_name;
use shared::id::AttributionId;
use shared::view::Lens;

use crate::load::{Fetched, fetched_attribution};
use crate::url_state::UrlState;
use crate::{browser, urls};

const STORAGE_KEY: &str = "crosslens-baseline";

/// The pinned attribution, and its content once loaded.
#[derive(Clone, Copy)]
pub struct Baseline {
    pub pinned: RwSignal<Option<AttributionId>>,
    pub attribution: Memo<Option<Arc<Attribution>>>,
    fetched: Fetched<Arc<Attribution>>,
}

/// Restores the pinned attribution from the browser's storage, saves changes there, and provides it as
/// context.
pub fn provide_baseline() {
    let storage = || window().local_storage().ok().flatten();
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let pinned = RwSignal::new(stored.and_then(|id| id.parse::<AttributionId>().ok()));
    Effect::new(move |former: Option<Option<AttributionId>>| {
        let pinned = pinned.get();
        if former.is_some_and(|former| former != pinned)
            && let Some(storage) = storage()
        {
            // If storage is full or forbidden, the pin lasts only until the page is closed.
            let _ = match &pinned {
                Some(id) => storage.set_item(STORAGE_KEY, &id.to_string()),
                None => storage.remove_item(STORAGE_KEY),
            };
        }
        pinned
    });
    // Readers of a share may request nothing else.
    let may_ask = !browser::is_shared_page();
    let fetched = fetched_attribution(move || pinned.get().filter(|_| may_ask));
    provide_context(Baseline { pinned, attribution: of(move || pinned.get(), fetched), fetched });
}

pub fn use_baseline() -> Baseline {
    expect_context()
}

/// Returns the baseline of a page: the attribution that its lens names, once loaded.
///
/// A lens that names no baseline takes the pinned one, so a copied URL contains it. Pinning and unpinning
/// change the lens of the open page.
pub fn page_baseline(lens: UrlState<Lens>) -> Memo<Option<Arc<Attribution>>> {
    let Baseline { pinned, attribution, .. } = use_baseline();
    adopt_pinned(lens);
    let named = Memo::new(move |_| lens.get().baseline);
    let of_page = Memo::new(move |_| named.get().filter(|named| pinned.with(|pinned| pinned.as_ref() != Some(named))));
    let fetched = fetched_attribution(move || of_page.get());
    let own = of(move || of_page.get(), fetched);
    Memo::new(move |_| match (named.get(), of_page.get()) {
        (None, _) => None,
        (Some(_), None) => attribution.get(),
        (Some(_), Some(_)) => own.get(),
    })
}

/// Writes the pinned attribution into a lens without a baseline, and into every lens when the pin changes.
pub fn adopt_pinned(lens: UrlState<Lens>) {
    let Baseline { pinned, .. } = use_baseline();
    Effect::new(move |former: Option<Option<AttributionId>>| {
        let pinned = pinned.get();
        let changed = former.is_some_and(|former| former != pinned);
        if changed || lens.get_untracked().baseline.is_none() {
            lens.update(|lens| lens.baseline = pinned.clone());
        }
        pinned
    });
}

/// Returns the response for `id`, and `None` while `fetched` still holds the response for an earlier one.
fn of(
    id: impl Fn() -> Option<AttributionId> + Send + Sync + 'static,
    fetched: Fetched<Arc<Attribution>>,
) -> Memo<Option<Arc<Attribution>>> {
    Memo::new(move |_| {
        let id = id()?;
        fetched.ready().filter(|attribution| attribution.context.id == id)
    })
}

/// Button that pins an attribution as baseline, or unpins it.
#[component]
pub fn PinButton(#[prop(into)] id: Signal<Option<AttributionId>>) -> impl IntoView {
    let Baseline { pinned, .. } = use_baseline();
    let is_pinned = move || id.with(|id| id.is_some() && pinned.with(|pinned| pinned == id));
    let toggle = move |_| pinned.set(if is_pinned() { None } else { id.get_untracked() });
    view! {
        <button
            class="button" type="button" aria-pressed=move || is_pinned().to_string() disabled=move || id.with(Option::is_none)
            title="Differences on every page refer to the baseline"
            on:click=toggle
        >
            {move || if is_pinned() { "Pinned as baseline" } else { "Pin as baseline" }}
        </button>
    }
}

/// Shows the pinned attribution, with a link to it and a button that unpins it.
#[component]
pub fn BaselineChip() -> impl IntoView {
    let Baseline { pinned, attribution, fetched } = use_baseline();
    let chip = move |id: AttributionId| {
        let address = urls::href(&format!("/attributions/{id}"));
        let name = move || attribution.with(|attribution| name(attribution.as_deref(), &id));
        let problem = move || fetched.problem().map(|problem| problem.detail);
        view! {
            <div class="baseline-chip" class:baseline-chip-failed=move || problem().is_some() title=problem>
                <span class="baseline-chip-label">"Baseline"</span>
                <a href=address>{move || name()}</a>
                <button class="baseline-chip-unpin" type="button" aria-label="Unpin the baseline" on:click=move |_| pinned.set(None)>"✕"</button>
            </div>
        }
    };
    let shared = browser::is_shared_page();
    move || pinned.get().filter(|_| !shared).map(chip)
}

/// For example `Demo: robust overfitting, epoch 16 (best)`; the checkpoint's name until the attribution is
/// loaded.
fn name(attribution: Option<&Attribution>, id: &AttributionId) -> String {
    match attribution {
        Some(attribution) => format!("{}, {}", attribution.context.run_title, checkpoint_name(attribution)),
        None => id.checkpoint().to_string(),
    }
}
