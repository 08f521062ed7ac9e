//! Opens the page that a figure shows, from an SVG or PNG made by CrossLens. The file is dropped anywhere or
//! chosen in the footer.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use serde::de::IgnoredAny;
use shared::api::{Attribution, CheckpointInfo, path};
use shared::id::AttributionId;
use shared::problem::Problem;
use shared::provenance::{CheckpointHash, Page, Provenance};
use shared::view::View;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{DragEvent, File, HtmlInputElement};

use super::dialog::Dialog;
use super::sign_out::SignOut;
use crate::api;
use crate::browser::use_open;

/// About ten times the size of the largest matrix as SVG.
const LARGEST_BYTES: f64 = 64e6;

#[component]
pub fn Reopen() -> impl IntoView {
    let message = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let dragged = RwSignal::new(false);
    let navigate = StoredValue::new_local(use_open());
    let take = move |file: File| {
        busy.set(true);
        spawn_local(async move {
            let name = file.name();
            let said = match opened(&file).await {
                Ok((page, warning)) => {
                    navigate.with_value(|navigate| navigate(&page.to_string(), NavigateOptions::default()));
                    warning
                }
                Err(reason) => Some(format!("{name} opens no view: {reason}.")),
            };
            let _ = message.try_set(said);
            let _ = busy.try_set(false);
        });
    };
    let over = window_event_listener(leptos::ev::dragover, move |event| {
        if is_ours(&event) {
            // Without this, the browser would leave the application and open the file.
            event.prevent_default();
            dragged.set(true);
        }
    });
    let leave = window_event_listener(leptos::ev::dragleave, move |event| {
        if event.related_target().is_none() {
            dragged.set(false);
        }
    });
    let drop = window_event_listener(leptos::ev::drop, move |event| {
        dragged.set(false);
        if is_ours(&event) {
            event.prevent_default();
            if let Some(file) = event.data_transfer().and_then(|data| data.files()).and_then(|files| files.get(0)) {
                take(file);
            }
        }
    });
    on_cleanup(move || {
        over.remove();
        leave.remove();
        drop.remove();
    });
    let on_change = move |event: web_sys::Event| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            // Cleared, so that the same file can be chosen again.
            input.set_value("");
            take(file);
        }
    };
    view! {
        <footer class="bottom">
            <label for="reopen-file">"Open a figure from CrossLens (SVG or PNG), or drop it anywhere:"</label>
            <input id="reopen-file" type="file" accept=".svg,.png,image/svg+xml,image/png" on:change=on_change/>
            <span role="status">{move || busy.get().then_some("Opening …")}</span>
            <SignOut/>
        </footer>
        <Show when=move || dragged.get()><div class="drop-hint" aria-hidden="true"><p>"Drop the figure to open its view"</p></div></Show>
        <Dialog open=Signal::derive(move || message.with(Option::is_some)) close=move || message.set(None) title="About this figure">
            <p>{move || message.get()}</p>
        </Dialog>
    }
}

/// Whether a drag carries files and is not over a file input, which takes them itself.
fn is_ours(event: &DragEvent) -> bool {
    let brings_files = event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0));
    let target = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    brings_files && target.is_none_or(|input| input.type_() != "file")
}

/// Returns the page that a file shows and a warning, if there is one; or the reason why it cannot be opened.
async fn opened(file: &File) -> Result<(Page, Option<String>), String> {
    if file.size() > LARGEST_BYTES {
        return Err("it is too large for a figure".to_owned());
    }
    let bytes = JsFuture::from(file.array_buffer()).await.map_err(|_| "the browser cannot read it".to_owned())?;
    let provenance = Provenance::read(&js_sys::Uint8Array::new(&bytes).to_vec()).map_err(|error| error.to_string())?;
    let here = checkpoints_here(&provenance.view).await.map_err(|problem| match problem.status {
        404 => format!("{}; it was deleted, or the figure comes from another server", problem.detail),
        _ => problem.detail,
    })?;
    let warning = other_weights(&provenance.checkpoints, &here);
    Ok((provenance.view, warning))
}

/// Requests the data that a page shows, and returns the checkpoints behind it.
async fn checkpoints_here(page: &Page) -> Result<Vec<CheckpointHash>, Problem> {
    let (ids, lens) = match page {
        Page::Theory(_) => return Ok(Vec::new()),
        Page::Sweep(id, _) => return api::get::<IgnoredAny>(&path::sweep(id)).await.map(|_| Vec::new()),
        Page::View(View::Run { run, .. }) => {
            let checkpoints: Vec<CheckpointInfo> = api::get(&path::run_checkpoints(run)).await?;
            return Ok(checkpoints.into_iter().map(|checkpoint| CheckpointHash { id: checkpoint.id, sha256: checkpoint.sha256 }).collect());
        }
        Page::View(View::Attribution { id, lens }) => (vec![id.clone()], lens),
        Page::View(View::Compare { ids, lens, .. }) => (ids.clone(), lens),
    };
    let mut found = Vec::new();
    for id in ids.iter().chain(&lens.baseline) {
        found.push(checkpoint_of(id).await?);
    }
    Ok(found)
}

async fn checkpoint_of(id: &AttributionId) -> Result<CheckpointHash, Problem> {
    let Attribution { context, file } = api::get_attribution(id).await?;
    Ok(CheckpointHash { id: file.checkpoint_id(&context.run), sha256: file.checkpoint_sha256 })
}

/// A warning if a checkpoint of the same name has other weights here than in the figure.
fn other_weights(told: &[CheckpointHash], here: &[CheckpointHash]) -> Option<String> {
    let differs = |told: &&CheckpointHash| here.iter().any(|here| here.id == told.id && here.sha256 != told.sha256);
    let names: Vec<String> = told.iter().filter(differs).map(|checkpoint| checkpoint.id.to_string()).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(" and ");
        format!("The view is open, but {names} has other weights here than the figure was drawn from: it comes from another server, or from before a run was done again.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_with_other_weights_is_named() {
        let hash = |id: &str, sha256: &str| CheckpointHash { id: id.parse().unwrap(), sha256: sha256.into() };
        let here = [hash("r.e1", "aa"), hash("r.e2", "bb")];
        assert_eq!(other_weights(&[hash("r.e1", "aa")], &here), None);
        assert_eq!(other_weights(&[hash("r.e3", "cc")], &here), None, "nothing is known of it");
        assert!(other_weights(&[hash("r.e1", "aa"), hash("r.e2", "cc")], &here).unwrap().contains("but r.e2 has"));
    }
}
