//! Who may send requests: tokens, the sessions of browsers, and the allowed host names.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::base_path;
use crate::problem::{ApiError, Kind};
use crate::proxy::{forwarded_host, host, is_https, is_inside, without_port};
use crate::routes::session;
use crate::sessions::{LASTS_SECS, Role, role_of_token};
use crate::state::{AppState, Settings};

const COOKIE: &str = "crosslens_session";
/// In the cookie of this name, earlier versions kept the token itself.
const FORMER_COOKIE: &str = "crosslens_token";

/// What a request says about its sender.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// It carries a token or a session of the server, or the server has no token.
    Right(Role),
    Missing,
    Wrong {
        secret: &'a str,
        in_cookie: bool,
    },
}

/// Passes requests that carry a token or a session of the server; passes all if the server has no token.
pub async fn require_token(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let reads = is_read(request.method());
    let detail = match credentials(request.headers(), &state) {
        Credentials::Right(Role::Reader) if !reads => {
            let detail = "this token permits reading only; a change needs the token of the owner";
            return ApiError::new(Kind::ReadOnly, detail).into_response();
        }
        Credentials::Right(_) => return next.run(request).await,
        Credentials::Missing => {
            "this server wants its token: open the link that it printed at its start, or send `Authorization: Bearer TOKEN`"
        }
        Credentials::Wrong { secret, in_cookie } => {
            if !(in_cookie && state.wrong_tokens.is_known(secret))
                && let Err(refused) = wrong_token(&state, secret).await
            {
                return refused.into_response();
            }
            "the token is not the token of this server: it may be of an earlier start; sign in again, or send the new one"
        }
    };
    if request.method() == Method::GET && wants_page(request.headers()) {
        return session::sign_in_page(&state.settings, request.uri(), None);
    }
    ApiError::new(Kind::Unauthorized, detail).into_response()
}

/// Waits as long as a wrong token has to wait.
pub async fn wrong_token(state: &AppState, token: &str) -> Result<(), ApiError> {
    state.wrong_tokens.wait(token).await.map_err(|_| ApiError::new(Kind::TooManyAttempts, "too many wrong tokens; try again in a moment"))
}

pub fn credentials<'a>(headers: &'a HeaderMap, state: &AppState) -> Credentials<'a> {
    if state.settings.token.is_none() {
        return Credentials::Right(Role::Owner);
    }
    let mut wrong = Credentials::Missing;
    let bearer = bearer(headers).map(|token| (token, false, role_of_token(token, &state.settings)));
    let sessions = cookies_named(headers, COOKIE).map(|name| (name, true, state.sessions.role(name)));
    for (secret, in_cookie, role) in bearer.into_iter().chain(sessions) {
        if let Some(role) = role {
            return Credentials::Right(role);
        }
        if wrong == Credentials::Missing {
            wrong = Credentials::Wrong { secret, in_cookie };
        }
    }
    wrong
}

/// The token after `Authorization: Bearer`; the scheme may be in upper or lower case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start())
}

/// The values of cookies of one name: a browser sends one for each spelling of the base path, and old ones.
fn cookies_named<'a>(headers: &'a HeaderMap, wanted: &str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    cookies.filter_map(|pair| pair.trim().split_once('=')).filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The sessions that the browser has. Without one, a proxy may send the token, and there is nothing to sign
/// out from.
pub fn sessions_of<'a>(headers: &'a HeaderMap, state: &AppState) -> Vec<(&'a str, Role)> {
    cookies_named(headers, COOKIE).filter_map(|name| Some((name, state.sessions.role(name)?))).collect()
}

/// The token that an earlier version left in the browser, if it is still right.
pub fn former_token<'a>(headers: &'a HeaderMap, settings: &Settings) -> Option<(&'a str, Role)> {
    cookies_named(headers, FORMER_COOKIE).find_map(|token| Some((token, role_of_token(token, settings)?)))
}

/// Whether the sender is a browser that opens a page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

/// The cookies that store the name of a session, or delete it if there is none: one for each spelling of the
/// base path. Cookies of earlier versions are deleted.
pub fn cookies(settings: &Settings, headers: &HeaderMap, session: Option<&str>) -> HeaderMap {
    // Lax: a link in a message then opens the run and not the sign-in page. `check_origin` refuses changes
    // from other sites.
    let secure =
        if is_https(headers) || settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://")) { "; Secure" } else { "" };
    let kept = session.map_or((COOKIE, "", 0), |session| (COOKIE, session, LASTS_SECS));
    let former = cookies_named(headers, FORMER_COOKIE).next().map(|_| (FORMER_COOKIE, "", 0));
    let mut cookies = HeaderMap::new();
    for (name, value, age) in [Some(kept), former].into_iter().flatten() {
        for path in base_path::spellings(&settings.base_path) {
            let cookie = format!("{name}={value}; Path={path}/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
            let cookie = HeaderValue::from_str(&cookie).expect("the command line lets only plain paths pass");
            cookies.append(header::SET_COOKIE, cookie);
        }
    }
    cookies
}

/// Refuses unknown host names if no token protects the server. Prevents DNS rebinding: a page of another site
/// whose name was made to point to this machine.
pub async fn check_host(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let settings = &state.settings;
    match host(request.headers()).map(without_port) {
        Some(name) if settings.token.is_none() && !is_known(name, &settings.allowed_hosts) => {
            let detail = format!("this server is not known as `{name}`; start it with `--allowed-host {name}` to serve under that name");
            ApiError::on_field(Kind::UnknownHost, "Host", detail).into_response()
        }
        _ => next.run(request).await,
    }
}

/// IP addresses are always known: rebinding needs a name.
fn is_known(name: &str, allowed: &[String]) -> bool {
    is_inside(name) || is_allowed(name, allowed)
}

fn is_allowed(name: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

/// Whether requests of this method change nothing.
fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses changes that a page of another site requests in the browser of a user.
pub async fn check_origin(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if is_read(request.method()) || is_own(request.headers(), &state.settings.allowed_hosts) {
        return next.run(request).await;
    }
    let origin = text(request.headers(), header::ORIGIN.as_str()).unwrap_or_default();
    let name = origin.split_once("://").map(|(_, host)| without_port(host)).filter(|name| !name.is_empty());
    let detail = match name {
        Some(name) => format!(
            "another site asked for this change, so it was not made: it came from `{origin}`; if that is this application behind a proxy, start \
             the server with `--allowed-host {name}`"
        ),
        None => "another site asked for this change, so it was not made".to_owned(),
    };
    ApiError::new(Kind::CrossSite, detail).into_response()
}

/// Whether a change is requested by a page of this server or by a program other than a browser.
///
/// A page of another site can set neither `Sec-Fetch-Site` nor `Origin`, and no header of a proxy without
/// asking first, which nothing here answers. Browsers leave out `Sec-Fetch-Site` on pages that came without
/// TLS, and then `Origin` must be where the request went.
fn is_own(headers: &HeaderMap, allowed: &[String]) -> bool {
    let site = text(headers, "sec-fetch-site");
    if matches!(site, Some("same-origin" | "none")) {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return site.is_none() };
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    if is_allowed(without_port(authority), allowed) {
        return true;
    }
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let same = |host: &str| host.strip_suffix(usual).unwrap_or(host).eq_ignore_ascii_case(authority);
    site.is_none() && (host(headers).is_some_and(same) || forwarded_host(headers).is_some_and(|host| same(&host)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_host_is_known_by_address_as_localhost_or_when_allowed() {
        for (host, known) in [
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("[::1]", true),
            ("localhost:9000", true),
            ("LOCALHOST", true),
            ("lens.example.org", true),
            ("lens.example.org:443", true),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_known(without_port(host), &["lens.example.org".to_owned()]), known, "{host}");
        }
    }

    #[test]
    fn a_change_is_ours_when_its_origin_is_where_it_went_or_an_allowed_host_on_any_port() {
        let allowed = ["lens.lab".to_owned()];
        for (pairs, own) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin"), ("origin", "https://anything.example")], true),
            (vec![("host", "gpu:8000"), ("origin", "http://gpu:8000")], true),
            (vec![("host", "gpu:80"), ("origin", "http://gpu")], true),
            (vec![("host", "lens.lab"), ("origin", "http://lens.lab:8080")], true),
            (vec![("host", "127.0.0.1:8000"), ("origin", "http://LENS.lab:8080")], true),
            (vec![("host", "127.0.0.1:8000"), ("x-forwarded-host", "gpu:8080"), ("origin", "http://gpu:8080")], true),
            (vec![("host", "gpu"), ("origin", "http://gpu:8888")], false),
            (vec![("host", "gpu:8000"), ("origin", "http://evil.example")], false),
            (vec![("host", "lens.lab"), ("origin", "http://lens.lab.evil.example:8080")], false),
            (vec![("host", "lens.lab"), ("origin", "null")], false),
            (vec![("host", "gpu:8000"), ("sec-fetch-site", "cross-site"), ("origin", "http://gpu:8000")], false),
            (vec![("sec-fetch-site", "same-site")], false),
        ] {
            assert_eq!(is_own(&headers(&pairs), &allowed), own, "{pairs:?}");
        }
    }
}
