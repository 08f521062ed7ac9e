//! The frame of every page, and which page an address opens.

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::hooks::use_location;
use leptos_router::path;

use crate::browser;
use crate::pages::{AttributionPage, ComparePage, DataPage, NewPage, NotFoundPage, RunPage, RunsPage, SharedPage, SweepPage};
use crate::place;
use crate::theme::{ThemeSelect, provide_theme};

#[component]
pub fn App() -> impl IntoView {
    provide_theme();
    let prefix = place::prefix(&browser::base_uri());
    let main = NodeRef::<html::Main>::new();
    // A link to `#main` would be relative to the page's base, not to the page.
    let skip = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        if let Some(main) = main.get() {
            // Fails only where there is no window to focus.
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
                    <Route path=path!("/sweeps/:id") view=SweepPage/>
                    <Route path=path!("/attributions/:id") view=AttributionPage/>
                    <Route path=path!("/compare") view=ComparePage/>
                    <Route path=path!("/data") view=DataPage/>
                    <Route path=path!("/s/:token") view=SharedPage/>
                </FlatRoutes>
            </main>
        </Router>
    }
}

/// The name, the way to the main pages, and the theme. Who reads a shared view has no other pages.
#[component]
fn Header(prefix: String) -> impl IntoView {
    let path = use_location().pathname;
    let inside = Memo::new(move |_| path.with(|path| path.strip_prefix(prefix.as_str()).unwrap_or(path).to_owned()));
    let shared = move || inside.with(|path| path.starts_with("/s/"));
    let current = move |pages: &'static [&'static str]| {
        move || {
            let here = inside.with(|path| pages.iter().any(|page| if *page == "/" { path == "/" } else { path.starts_with(page) }));
            here.then_some("page")
        }
    };
    view! {
        <header class="top">
            <div class="top-inner">
                <Show when=move || !shared() fallback=|| view! { <span class="brand"><Brand/></span> }>
                    <a class="brand" href="."><Brand/></a>
                    <nav class="nav" aria-label="Main">
                        <a href="." aria-current=current(&["/", "/runs/", "/sweeps/", "/attributions/", "/compare"])>"Runs"</a>
                        <a href="new" aria-current=current(&["/new"])>"New"</a>
                        <a href="data" aria-current=current(&["/data"])>"Data"</a>
                    </nav>
                </Show>
                <ThemeSelect/>
            </div>
        </header>
    }
}

#[component]
fn Brand() -> impl IntoView {
    view! {
        <img class="brand-mark" src="favicon.svg" alt="" width="24" height="24"/>
        <span>"CrossLens"</span>
    }
}
