//! Export links: the current view as files for other programs.

use leptos::prelude::*;
use shared::api::path;
use shared::config::Inputs;
use shared::export::{Exported, Format};
use shared::id::RunId;
use shared::view::{Lens, View};

/// Something to export, and its formats: the name and the address of each.
pub type Export = (String, Vec<(&'static str, String)>);

/// An export in all its formats; `address` gives the address of each.
pub fn export(what: impl Into<String>, exported: Exported, address: impl Fn(Format) -> String) -> Export {
    (what.into(), Format::of(exported).map(|format| (format.label(), address(format))).collect())
}

/// The selected cell over the epochs of a run; `None` if no cell is selected.
pub fn course(run: &RunId, inputs: Inputs, lens: &Lens) -> Option<Export> {
    let (i, j) = lens.cell?;
    // The route takes the same query parameters as the page of the run.
    let view = View::Run { run: run.clone(), epoch: None, inputs, lens: lens.clone() }.to_string();
    let query = view.split_once('?').map_or("", |(_, query)| query);
    let address = |format| format!("{}?i={i}&j={j}&{query}&format={format}", path::run_cells(run));
    Some(export("Selected pair over epochs", Exported::Chart, address))
}

/// A row of links to the files of a figure.
pub fn links((what, formats): Export) -> impl IntoView {
    let link = |(name, address): (&str, String)| {
        let label = format!("{what} as {name}");
        view! { <a class="button button-small" rel="external" download="" href=address aria-label=label>{name.to_owned()}</a> }
    };
    let links: Vec<_> = formats.into_iter().map(link).collect();
    view! { <p class="actions"><span class="export-name">{what}</span>{links}</p> }
}

#[component]
pub fn Exports(#[prop(into)] exports: Signal<Vec<Export>>) -> impl IntoView {
    view! {
        <section class="exports" aria-label="Export">
            <h2>"Export"</h2>
            {move || exports.get().into_iter().map(links).collect_view()}
        </section>
    }
}
