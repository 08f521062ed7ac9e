//! The root component: the frame around every page, and the routes.

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::hooks::use_location;
use leptos_router::path;

use crate::baseline::{BaselineChip, provide_baseline};
use crate::browser;
use crate::changes::provide_changes;
use crate::clipboard::use_plain_copies;
use crate::components::palette::Commands;
use crate::components::reopen::Reopen;
use crate::components::run_actions::provide_carried_report;
use crate::pages::{
    AttributionPage, ComparePage, DataPage, NewPage, NotFoundPage, QueuePage, RunPage, RunsPage, SharedPage, SharesPage, SweepPage,
    SweepsPage, SystemPage, TheoryPage, TrashPage,
};
use crate::rows::provide_rows;
use crate::table_history::provide_table_history;
use crate::theme::{ThemeSelect, provide_theme};
use crate::urls;
use crate::viewer::Viewer;

/// The pages in the menu and in the command palette: label and path.
pub const PAGES: [(&str, &str); 7] = [
    ("Runs", "/"),
    ("Sweeps", "/sweeps"),
    ("New", "/new"),
    ("Data", "/data"),
    ("Theory", "/theory"),
    ("Queue", "/queue"),
    ("System", "/system"),
];

#[component]
pub fn App() -> impl IntoView {
    provide_theme();
    provide_table_history();
    provide_rows();
    provide_changes();
    provide_carried_report();
    provide_baseline();
    provide_context(Viewer::Owner);
    use_plain_copies();
    let prefix = urls::prefix(&browser::base_uri());
    let main = NodeRef::<html::Main>::new();
    // The browser would resolve a link to `#main` against the page's base, not against the page.
    let skip = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        if let Some(main) = main.get() {
            // Fails only if there is no window to focus.
            let _ = main.focus();
        }
    };
    view! {
        <Router base=prefix.clone()>
            <a class="skip-link" href="#main" rel="external" on:click=skip>"Skip to content"</a>
            <Header prefix/>
            <main id="main" class="page" tabindex="-1" node_ref=main>
                <FlatRoutes fallback=NotFoundPage>
                    <Route path=path!("/") view=RunsPage/>
                    <Route path=path!("/new") view=NewPage/>
                    <Route path=path!("/runs/:id") view=RunPage/>
                    <Route path=path!("/sweeps") view=SweepsPage/>
                    <Route path=path!("/sweeps/:id") view=SweepPage/>
                    <Route path=path!("/trash") view=TrashPage/>
                    <Route path=path!("/queue") view=QueuePage/>
                    <Route path=path!("/system") view=SystemPage/>
                    <Route path=path!("/attributions/:id") view=AttributionPage/>
                    <Route path=path!("/compare") view=ComparePage/>
                    <Route path=path!("/data") view=DataPage/>
                    <Route path=path!("/theory") view=TheoryPage/>
                    <Route path=path!("/shares") view=SharesPage/>
                    <Route path=path!("/s/:token") view=SharedPage/>
                </FlatRoutes>
            </main>
            <Footer/>
        </Router>
    }
}

/// Header with brand, menu, command palette and theme. Readers of a share see no links to other pages.
#[component]
fn Header(prefix: String) -> impl IntoView {
    let path = use_location().pathname;
    let inside = Memo::new(move |_| path.with(|path| path.strip_prefix(prefix.as_str()).unwrap_or(path).to_owned()));
    let shared = Memo::new(move |_| inside.with(|path| path.starts_with("/s/")));
    let nav = NodeRef::<html::Nav>::new();
    // On a narrow screen the menu is a popover. On a wide screen there is nothing to close.
    let chosen = move |_| {
        if let Some(nav) = nav.get_untracked() {
            let _ = nav.hide_popover();
        }
    };
    let link = move |(label, address): (&'static str, &'static str)| {
        let current = move || inside.with(|path| is_page(address, path)).then_some("page");
        view! { <a href=urls::href(address) aria-current=current>{label}</a> }
    };
    view! {
        <header class="top">
            <div class="top-inner">
                <Show when=move || !shared.get() fallback=|| view! { <span class="brand"><Brand/></span> }>
                    <button class="menu-button" type="button" popovertarget="menu" aria-label="Menu"><span aria-hidden="true">"☰"</span></button>
                    <a class="brand" href="."><Brand/></a>
                    <nav class="nav" id="menu" popover="auto" aria-label="Main" node_ref=nav on:click=chosen>
                        {PAGES.map(link).collect_view()}
                    </nav>
                    <Commands/>
                </Show>
                <BaselineChip/>
                <ThemeSelect/>
            </div>
        </header>
    }
}

/// Whether a path belongs to a page of the menu.
fn is_page(page: &str, path: &str) -> bool {
    let below = |page: &str| path == page || path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/'));
    match page {
        "/" => path == "/" || ["/runs", "/attributions", "/compare", "/trash"].into_iter().any(below),
        page => below(page),
    }
}

/// Footer that reopens the view of an exported figure. Readers of a share do not get it: they see no other
/// pages.
#[component]
fn Footer() -> impl IntoView {
    let shared = use_is_shared();
    view! { <Show when=move || !shared.get()><Reopen/></Show> }
}

/// Whether the current page shows a share.
fn use_is_shared() -> Memo<bool> {
    let path = use_location().pathname;
    let prefix = urls::prefix(&browser::base_uri());
    Memo::new(move |_| path.with(|path| path.strip_prefix(prefix.as_str()).unwrap_or(path).starts_with("/s/")))
}

#[component]
fn Brand() -> impl IntoView {
    view! {
        <img class="brand-mark" src="favicon.svg" alt="" width="24" height="24"/>
        <span>"CrossLens"</span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_belongs_to_one_page_at_most() {
        for (path, expected) in [
            ("/", Some("Runs")),
            ("/runs/at-1", Some("Runs")),
            ("/compare", Some("Runs")),
            ("/trash", Some("Runs")),
            ("/sweeps", Some("Sweeps")),
            ("/sweeps/radius-1", Some("Sweeps")),
            ("/new", Some("New")),
            ("/news", None),
            ("/system", Some("System")),
        ] {
            let found: Vec<&str> = PAGES.iter().filter(|(_, page)| is_page(page, path)).map(|(label, _)| *label).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{path}");
        }
    }
}
