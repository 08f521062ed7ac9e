//! Small wrappers of browser functions: title, address, clipboard, focus.

use std::time::Duration;

use leptos::leptos_dom::helpers::set_interval_with_handle;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement};

use crate::urls;

/// Keeps the window's title equal to `title`, followed by the name of the application.
pub fn use_title(title: impl Fn() -> String + 'static) {
    Effect::new(move || {
        let title = title();
        document().set_title(&if title.is_empty() { "CrossLens".to_owned() } else { format!("{title} · CrossLens") });
    });
}

/// Calls `tick` again and again while the page is in sight, until the component or effect around it ends.
pub fn every(pause: Duration, tick: impl Fn() + 'static) {
    let tick = move || {
        if !document().hidden() {
            tick();
        }
    };
    // Fails only if there is no window.
    if let Ok(timer) = set_interval_with_handle(tick, pause) {
        on_cleanup(move || timer.clear());
    }
}

/// Returns a function that navigates to a path inside the application.
///
/// The router itself would drop the slash at the end of the base (`/lab/`), and a proxy that serves `/lab/`
/// may not serve `/lab`.
pub fn use_open() -> impl Fn(&str, NavigateOptions) + Clone {
    let prefix = urls::prefix(&base_uri());
    let navigate = use_navigate();
    move |path: &str, options: NavigateOptions| navigate(&format!("{prefix}{path}"), NavigateOptions { resolve: false, ..options })
}

/// The page's base URI, which ends with a slash.
pub fn base_uri() -> String {
    document().base_uri().ok().flatten().unwrap_or_default()
}

/// Whether the page shows a share. A share has no links to other pages, so this never changes while the page
/// is open.
pub fn is_shared_page() -> bool {
    let path = window().location().pathname().unwrap_or_default();
    path.strip_prefix(&urls::prefix(&base_uri())).unwrap_or(&path).starts_with("/s/")
}

/// Replaces the address by the spelling that the router knows.
pub fn respell_address() {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    if let (Some(path), Ok(history)) = (urls::respelled(&path, &urls::prefix(&base_uri())), window().history()) {
        let rest = format!("{}{}", location.search().unwrap_or_default(), location.hash().unwrap_or_default());
        // Fails if the page may not change its address. The router then shows that the page does not exist.
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("{path}{rest}")));
    }
}

/// Shows that the application has crashed, and a link that reopens the page.
///
/// Uses only the DOM, because Leptos may be broken.
pub fn say_broken() {
    const ID: &str = "broken";
    let Some(body) = document().body().filter(|_| document().get_element_by_id(ID).is_none()) else { return };
    let made = |name: &str, text: &str| {
        let element = document().create_element(name).ok()?;
        element.set_text_content(Some(text));
        Some(element)
    };
    let said = "CrossLens has stopped on this page because of a mistake of its own. Runs go on. The browser's console says more. ";
    let (Some(notice), Some(link)) = (made("p", said), made("a", "Open the page anew")) else { return };
    notice.set_id(ID);
    notice.set_class_name("notice notice-error notice-broken");
    // If an attribute or a child cannot be set, nothing else can be tried.
    let _ = notice.set_attribute("role", "alert");
    let _ = link.set_attribute("href", &window().location().href().unwrap_or_default());
    let _ = link.set_attribute("rel", "external");
    let _ = notice.append_child(&link);
    let _ = body.prepend_with_node_1(&notice);
}

/// Reloads the page.
pub fn reload() {
    // Fails only if there is no page to reload.
    let _ = window().location().reload();
}

/// Whether the browser has a session with the server. If so, the person can sign out.
pub fn is_signed_in() -> bool {
    document().query_selector("meta[name=crosslens-signed-in]").ok().flatten().is_some()
}

/// Whether the server let the page in by a token that permits reading only.
pub fn is_read_only() -> bool {
    document().query_selector("meta[name=crosslens-read-only]").ok().flatten().is_some()
}

/// Whether the person asked the operating system for less motion.
pub fn prefers_reduced_motion() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|query| query.matches())
}

/// Copies a text to the clipboard and returns whether that worked. Browsers refuse it outside secure
/// contexts.
pub async fn copy(text: &str) -> bool {
    let clipboard = js_sys::Reflect::get(&window().navigator(), &"clipboard".into()).ok().filter(|value| !value.is_undefined());
    let Some(clipboard) = clipboard else { return copy_by_selection(text) };
    let clipboard: web_sys::Clipboard = clipboard.unchecked_into();
    wasm_bindgen_futures::JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// Copies by selecting the text in an input. This also works on a page served without TLS.
fn copy_by_selection(text: &str) -> bool {
    let Ok(area) = document().create_element("textarea").map(|element| element.unchecked_into::<web_sys::HtmlTextAreaElement>()) else {
        return false;
    };
    // The input must be inside an open modal dialog, which makes everything outside it inert.
    let dialog = document().query_selector("dialog[open]").ok().flatten();
    let Some(parent) = dialog.or_else(|| document().body().map(Element::from)) else { return false };
    area.set_value(text);
    area.set_class_name("visually-hidden");
    if parent.append_child(&area).is_err() {
        return false;
    }
    area.select();
    let copied = document().unchecked_into::<web_sys::HtmlDocument>().exec_command("copy").unwrap_or(false);
    area.remove();
    copied
}

/// Scrolls to the element with this `id` and focuses it. Opens what it is folded away in.
pub fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        if let Ok(Some(details)) = element.closest("details:not([open])") {
            // Fails only for an attribute's name that is none.
            let _ = details.set_attribute("open", "");
        }
        let element: HtmlElement = element.unchecked_into();
        element.scroll_into_view();
        // Fails only if there is no window to focus.
        let _ = element.focus();
    }
}
