//! Signing in and out, on a page that needs no JavaScript and no WebAssembly.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::auth::{Credentials, cookies, credentials, former_token, sessions_of, wants_page, wrong_token};
use crate::problem::{ApiError, Kind};
use crate::routes::pages::escape;
use crate::sessions::{Role, role_of_token};
use crate::state::{AppState, Settings};

/// The form is sent to this address.
pub const SIGN_IN: &str = "/sign-in";
pub const SIGN_OUT: &str = "/sign-out";

const PAGE: &str = include_str!("sign_in.html");

/// Why the sign-in page is shown although a token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    WrongToken,
    /// The token of a link, which may be old.
    WrongLink,
    /// The browser has a session that has ended.
    Expired,
    TooMany,
}

impl Trouble {
    fn told(self) -> &'static str {
        match self {
            Trouble::WrongToken => "This is not the token of this server. It is compared letter by letter.",
            Trouble::WrongLink => "The token in this link is not the token of this server. The link may be of an earlier start.",
            Trouble::Expired => "This browser is no longer signed in: the token of this server has changed, or a year has passed.",
            Trouble::TooMany => "Too many wrong tokens were tried. Wait a moment.",
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct SignIn {
    #[serde(default)]
    token: String,
    /// Path and query of the page to open afterwards.
    #[serde(default)]
    next: String,
}

/// Handles the form of the sign-in page.
pub async fn sign_in(State(state): State<AppState>, headers: HeaderMap, form: Form<SignIn>) -> Response {
    let Form(SignIn { token, next }) = form;
    // People also copy spaces and line ends.
    let token = token.trim();
    let next = next.parse::<Uri>().ok().filter(|next| next.path().starts_with('/')).unwrap_or_default();
    if state.settings.token.is_none() {
        return go_on(&state.settings, &next);
    }
    if let Some(role) = role_of_token(token, &state.settings) {
        return signed_in(&state, &headers, token, role, &next).await;
    }
    let trouble = match wrong_token(&state, token).await {
        Ok(()) => Trouble::WrongToken,
        Err(refused) if !wants_page(&headers) => return refused.into_response(),
        Err(_) => Trouble::TooMany,
    };
    if wants_page(&headers) {
        return sign_in_page(&state.settings, &next, Some(trouble));
    }
    ApiError::on_field(Kind::Unauthorized, "token", "this is not the token of this server").into_response()
}

/// Ends the session of the browser.
pub async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Response {
    for (name, _) in sessions_of(&headers, &state) {
        state.sessions.end(name).await;
    }
    (cookies(&state.settings, &headers, None), Redirect::to(&format!("{}/", state.settings.base_path))).into_response()
}

/// Answers a page that is opened with `?token=…` or by someone who is not signed in; `None` if the page may
/// be shown.
pub async fn answer_page(state: &AppState, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let settings = &state.settings;
    settings.token.as_ref()?;
    let known = credentials(headers, state);
    let (given, rest) = without_token(uri);
    let trouble = match given {
        Some(given) if let Some(role) = role_of_token(&given, settings) => {
            return Some(signed_in(state, headers, &given, role, &rest).await);
        }
        // Whoever is signed in already stays signed in after an old link.
        Some(_) if matches!(known, Credentials::Right(_)) => return Some(go_on(settings, &rest)),
        Some(given) => {
            let waited = wrong_token(state, &given).await;
            match waited {
                Err(refused) if !wants_page(headers) => return Some(refused.into_response()),
                Err(_) => Some(Trouble::TooMany),
                Ok(()) if wants_page(headers) => Some(Trouble::WrongLink),
                Ok(()) => {
                    let detail = "the token in this link is not the token of this server";
                    return Some(ApiError::on_field(Kind::Unauthorized, "token", detail).into_response());
                }
            }
        }
        None if !wants_page(headers) || *method != Method::GET => return None,
        None if uri.path() == SIGN_IN && matches!(known, Credentials::Right(_)) => return Some(go_on(settings, &Uri::default())),
        None if !matches!(known, Credentials::Right(_))
            && let Some((token, role)) = former_token(headers, settings) =>
        {
            return Some(signed_in(state, headers, token, role, &rest).await);
        }
        None => match known {
            Credentials::Right(_) => return None,
            Credentials::Missing => None,
            Credentials::Wrong { secret, in_cookie: true } if !secret.is_empty() => Some(Trouble::Expired),
            Credentials::Wrong { .. } => None,
        },
    };
    Some(sign_in_page(settings, &rest, trouble))
}

/// The token in the query of an address, and the address without it.
fn without_token(uri: &Uri) -> (Option<String>, Uri) {
    let mut given = None;
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name == "token" {
            given = Some(value.into_owned());
        } else {
            rest.append_pair(&name, &value);
        }
    }
    let rest = rest.finish();
    let address = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{rest}", uri.path()) };
    (given, address.parse().unwrap_or_default())
}

/// Begins a session of whoever sent a right token, and redirects to a page.
async fn signed_in(state: &AppState, headers: &HeaderMap, token: &str, role: Role, next: &Uri) -> Response {
    let session = state.sessions.begin(token, role).await;
    (cookies(&state.settings, headers, Some(&session)), go_on(&state.settings, next)).into_response()
}

fn go_on(settings: &Settings, next: &Uri) -> Response {
    Redirect::to(&format!("{}{}", settings.base_path, local(next))).into_response()
}

/// A path of the application with its query. It begins with one slash: after two, a browser would read the
/// name of a host.
fn local(next: &Uri) -> String {
    let path = next.path().trim_start_matches(['/', '\\']);
    let path = if path == SIGN_IN.trim_start_matches('/') { "" } else { path };
    match next.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }
}

/// The page that asks for the token and then opens `next`.
pub fn sign_in_page(settings: &Settings, next: &Uri, trouble: Option<Trouble>) -> Response {
    let told = trouble.map(|trouble| format!("<p class=\"notice notice-error\" id=\"trouble\" role=\"alert\">{}</p>", trouble.told()));
    let described = if trouble.is_some() { "trouble token-hint" } else { "token-hint" };
    let page = PAGE
        .replace("{base}", &escape(&settings.base_path))
        .replace("{trouble}", &told.unwrap_or_default())
        .replace("{described}", described)
        .replace("{invalid}", if trouble.is_some() { "true" } else { "false" })
        // Last, because others choose this text: it may contain the placeholders of the others.
        .replace("{next}", &escape(&local(next)));
    let status = if trouble == Some(Trouble::TooMany) { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
    let headers = [
        (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Accept, Cookie")),
    ];
    (status, headers, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_on_stays_inside_the_application() {
        for (next, expected) in [
            ("/runs/x?tab=log", "/runs/x?tab=log"),
            ("//evil.example/", "/evil.example/"),
            ("/\\evil.example", "/evil.example"),
            ("https://evil.example/runs", "/runs"),
            ("/sign-in", "/"),
            ("", "/"),
        ] {
            let next: Uri = next.parse().unwrap_or_default();
            assert_eq!(local(&next), expected, "{next}");
        }
    }

    #[test]
    fn the_token_leaves_the_address_and_the_rest_stays() {
        let uri: Uri = "/runs/x?a=1&token=abc&b=%26".parse().unwrap();
        assert_eq!(without_token(&uri), (Some("abc".to_owned()), "/runs/x?a=1&b=%26".parse().unwrap()));
        assert_eq!(without_token(&"/runs".parse().unwrap()), (None, "/runs".parse().unwrap()));
    }
}
