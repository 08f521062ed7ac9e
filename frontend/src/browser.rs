//! Small services of the browser: title, clipboard, focus.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement};

use crate::urls;

/// Keeps the window's title equal to `title`, with the name of the application behind it.
pub fn use_title(title: impl Fn() -> String + 'static) {
    Effect::new(move || {
        let title = title();
        document().set_title(&if title.is_empty() { "CrossLens".to_owned() } else { format!("{title} · CrossLens") });
    });
}

/// Returns a function that opens a path inside the application.
///
/// The router alone would drop the slash from the address of the first page, and proxies that serve `/lab/` need not serve `/lab`.
pub fn use_open() -> impl Fn(&str, NavigateOptions) + Clone {
    let prefix = urls::prefix(&base_uri());
    let navigate = use_navigate();
    move |path: &str, options: NavigateOptions| navigate(&format!("{prefix}{path}"), NavigateOptions { resolve: false, ..options })
}

/// The page's base, with a slash at its end.
pub fn base_uri() -> String {
    document().base_uri().ok().flatten().unwrap_or_default()
}

/// Whether the page is a shared view. Who reads one has no other pages, so it stays what it is as long as the page lives.
pub fn is_shared_page() -> bool {
    let path = window().location().pathname().unwrap_or_default();
    path.strip_prefix(&urls::prefix(&base_uri())).unwrap_or(&path).starts_with("/s/")
}

/// Gives the address the spelling that the application knows itself by.
pub fn respell_address() {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    if let (Some(path), Ok(history)) = (urls::respelled(&path, &urls::prefix(&base_uri())), window().history()) {
        let rest = format!("{}{}", location.search().unwrap_or_default(), location.hash().unwrap_or_default());
        // Fails where a page may not change its address; the router then says that there is no such page.
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("{path}{rest}")));
    }
}

/// Says that the application has stopped, and how to go on. Relies on nothing that may have broken.
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
    // Nothing is left to be done where an element takes no attribute or no child.
    let _ = notice.set_attribute("role", "alert");
    let _ = link.set_attribute("href", &window().location().href().unwrap_or_default());
    let _ = link.set_attribute("rel", "external");
    let _ = notice.append_child(&link);
    let _ = body.prepend_with_node_1(&notice);
}

/// Opens the page anew.
pub fn reload() {
    // Fails only where there is no page to open.
    let _ = window().location().reload();
}

/// Whether the server has let the page in by a token, which one can sign out from.
pub fn is_signed_in() -> bool {
    document().query_selector("meta[name=crosslens-signed-in]").ok().flatten().is_some()
}

/// Whether the system was asked for less motion.
pub fn prefers_reduced_motion() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|query| query.matches())
}

/// Puts a text on the clipboard; whether that worked. Browsers refuse it outside secure contexts.
pub async fn copy(text: &str) -> bool {
    let clipboard = js_sys::Reflect::get(&window().navigator(), &"clipboard".into()).ok().filter(|value| !value.is_undefined());
    let Some(clipboard) = clipboard else { return copy_by_selection(text) };
    let clipboard: web_sys::Clipboard = clipboard.unchecked_into();
    wasm_bindgen_futures::JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// What works on a page served without TLS: select the text in an input, and let the browser copy the selection.
fn copy_by_selection(text: &str) -> bool {
    let Ok(area) = document().create_element("textarea").map(|element| element.unchecked_into::<web_sys::HtmlTextAreaElement>()) else {
        return false;
    };
    // A modal dialog makes everything outside it inert.
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

/// Moves the focus to an element and shows it.
pub fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        let element: HtmlElement = element.unchecked_into();
        element.scroll_into_view();
        // Fails only where there is no window to focus.
        let _ = element.focus();
    }
}
