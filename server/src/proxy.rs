//! The public address of the application, from the headers of proxies; docs/proxies.md lists them.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use crate::state::Settings;

/// Whether the browser uses TLS.
pub fn is_https(headers: &HeaderMap) -> bool {
    let proto = first(headers, "x-forwarded-proto").map(str::to_owned).or_else(|| forwarded(headers, "proto"));
    proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// Host and port that the browser requested, if a proxy says so.
pub fn forwarded_host(headers: &HeaderMap) -> Option<String> {
    let host = first(headers, "x-forwarded-host").map(str::to_owned).or_else(|| forwarded(headers, "host")).filter(|host| is_host(host))?;
    let port = first(headers, "x-forwarded-port").filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let usual = if is_https(headers) { "443" } else { "80" };
    match port.filter(|port| *port != usual && without_port(&host) == host) {
        Some(port) => Some(format!("{host}:{port}")),
        None => Some(host),
    }
}

/// The address of the client of the nearest proxy: the last value, because earlier ones may be of the client's
/// own making.
pub fn client(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").into_iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// Host and port of the request itself.
pub fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|value| value.to_str().ok())
}

/// The public address of the application with its base path, without a slash at its end:
/// `https://lens.example.org/lab`.
pub fn public_address(headers: &HeaderMap, settings: &Settings) -> String {
    let base = &settings.base_path;
    if let Some(public) = &settings.public_url {
        // If it has a path, that is the base path.
        let has_path = public.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        return if has_path { public.clone() } else { format!("{public}{base}") };
    }
    let scheme = if is_https(headers) { "https" } else { "http" };
    let own = host(headers).filter(|host| is_host(host)).unwrap_or("localhost");
    // Without a header from the proxy, the host is that of the internal network.
    let allowed = settings.allowed_hosts.first().filter(|_| is_inside(without_port(own))).cloned();
    let host = forwarded_host(headers).or(allowed).unwrap_or_else(|| own.to_owned());
    format!("{scheme}://{host}{base}")
}

/// A host name or address without its port.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

/// Whether a host is an IP address or this machine.
pub fn is_inside(name: &str) -> bool {
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let name = name.to_ascii_lowercase();
    is_address || name == "localhost" || name.ends_with(".localhost")
}

/// Whether a text is a host with an optional port, and nothing more.
fn is_host(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// The first value of a header: each proxy adds one, and the first is from the proxy that the browser
/// reached.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

/// A parameter of the first element of `Forwarded`, RFC 7239.
fn forwarded(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = first(headers, "forwarded")?.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_matches('"').to_owned());
    values.next()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_proxy_that_the_browser_spoke_to_says_where_it_is() {
        for (pairs, host, https) in [
            (vec![], None, false),
            (vec![("x-forwarded-proto", "https, http"), ("x-forwarded-host", "lens.example.org, inner")], Some("lens.example.org"), true),
            (vec![("x-forwarded-host", "lens.lab"), ("x-forwarded-port", "8080")], Some("lens.lab:8080"), false),
            (vec![("x-forwarded-host", "lens.lab:8080"), ("x-forwarded-port", "80")], Some("lens.lab:8080"), false),
            (vec![("x-forwarded-proto", "https"), ("x-forwarded-host", "lens.lab"), ("x-forwarded-port", "443")], Some("lens.lab"), true),
            (vec![("forwarded", "for=10.0.0.1;proto=https;host=\"lens.lab:8443\", for=10.0.0.2")], Some("lens.lab:8443"), true),
            (vec![("x-forwarded-host", "a\"b")], None, false),
            (vec![("x-forwarded-host", "user@evil.example")], None, false),
        ] {
            let headers = headers(&pairs);
            assert_eq!((forwarded_host(&headers).as_deref(), is_https(&headers)), (host, https), "{pairs:?}");
        }
    }
}
