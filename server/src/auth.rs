//! Who may ask: the token on the API, the cookie that carries it for browsers, and the host names that a request may come under.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tower_http::csrf::{ConfigError, CsrfLayer, ProtectionError};

use crate::problem::{ApiError, Kind};
use crate::state::{AppState, Settings};

const COOKIE: &str = "crosslens_token";

/// Lets a request pass that carries the server's token, or any where the server has none.
pub async fn require_token(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match &state.settings.token {
        Some(token) if !carries(request.headers(), token) => {
            let detail = "this server wants its token: open the link that it printed at its start, or send `Authorization: Bearer TOKEN`";
            ApiError::new(Kind::Unauthorized, detail).into_response()
        }
        _ => next.run(request).await,
    }
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut cookie = cookies.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    bearer.is_some_and(|given| equal(given, token)) || cookie.any(|given| equal(given, token))
}

/// Compares in a time that does not tell how much is right.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Answers a page opened with `?token=…`: keeps the token in a cookie and drops it from the address. None for any other page.
pub fn sign_in(settings: &Settings, uri: &Uri) -> Option<Response> {
    let token = settings.token.as_ref()?;
    let mut given = None;
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query()?.as_bytes()) {
        if name == "token" {
            given = Some(value);
        } else {
            rest.append_pair(&name, &value);
        }
    }
    if !equal(&given?, token) {
        return Some(
            ApiError::on_field(Kind::Unauthorized, "token", "the token in this link is not the token of this server").into_response(),
        );
    }
    let rest = rest.finish();
    // One slash, or the browser would take what follows for another host.
    let path = uri.path().trim_start_matches('/');
    let target = format!("{}/{path}{}{rest}", settings.base_path, if rest.is_empty() { "" } else { "?" });
    let cookie = format!("{COOKIE}={token}; Path={}/; HttpOnly; SameSite=Strict; Max-Age=31536000", settings.base_path);
    let cookie = HeaderValue::from_str(&cookie).expect("the command line lets only plain tokens and paths pass");
    Some(([(header::SET_COOKIE, cookie)], Redirect::to(&target)).into_response())
}

/// Refuses names that this machine is not known by, where no token protects it: a page from elsewhere whose name was made to point here
/// (DNS rebinding) is refused with them.
pub async fn check_host(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let settings = &state.settings;
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    match host.map(without_port) {
        Some(name) if settings.token.is_none() && !is_known(name, &settings.allowed_hosts) => {
            let detail = format!("this server is not known as `{name}`; start it with `--allowed-host {name}` to serve under that name");
            ApiError::on_field(Kind::UnknownHost, "Host", detail).into_response()
        }
        _ => next.run(request).await,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

/// An address is always known: rebinding needs a name.
fn is_known(name: &str, allowed: &[String]) -> bool {
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let name = name.to_ascii_lowercase();
    is_address || name == "localhost" || name.ends_with(".localhost") || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

/// Builds the answer to a change that another site asked for.
type Rejection = fn(ProtectionError) -> Response;

/// Refuses changes that another site asks for in a browser of ours.
pub fn same_site(allowed_hosts: &[String]) -> Result<CsrfLayer<Rejection>, ConfigError> {
    let mut layer = CsrfLayer::new();
    for host in allowed_hosts {
        layer = layer.add_trusted_origin(format!("https://{host}"))?.add_trusted_origin(format!("http://{host}"))?;
    }
    let reject: Rejection = |_| ApiError::new(Kind::CrossSite, "another site asked for this change, so it was not made").into_response();
    Ok(layer.with_rejection_response(reject))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_token_travels_in_a_header_or_a_cookie() {
        let headers = |name: header::HeaderName, value: &str| HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
        let token = "0123456789abcdef";
        assert!(carries(&headers(header::AUTHORIZATION, "Bearer 0123456789abcdef"), token));
        assert!(carries(&headers(header::COOKIE, "a=b; crosslens_token=0123456789abcdef"), token));
        for bad in ["Bearer 0123456789abcdeF", "Bearer ", "0123456789abcdef"] {
            assert!(!carries(&headers(header::AUTHORIZATION, bad), token), "{bad}");
        }
        assert!(!carries(&headers(header::COOKIE, "crosslens_token="), token));
        assert!(!carries(&HeaderMap::new(), token));
    }
}
