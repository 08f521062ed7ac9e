//! The path under which a proxy serves the application, in any spelling.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that are not escaped. JupyterHub writes the names of its users like this: `%20`, but `@`.
const SPELLED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');
/// As `SPELLED`, with `@` escaped too.
const ENCODED: &AsciiSet = &SPELLED.add(b'@');

/// Reads a path in any spelling and returns it in normal form, without a slash at its end: `/user/ada%40lab`
/// as `/user/ada@lab`.
pub fn parse(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let wrong = |why: &str| Err(format!("{why}; write a path such as `/crosslens`"));
    let Some(inside) = path.strip_prefix('/') else { return wrong("it does not begin with a slash") };
    let mut parsed = String::new();
    for segment in inside.split('/') {
        if let Some(letter) = segment.chars().find(|letter| letter.is_ascii_control() || "\"#<>?\\^`{|}".contains(*letter)) {
            return wrong(&format!("`{}` cannot be in a path", letter.escape_default()));
        }
        let Some(name) = decoded(segment) else {
            return wrong(&format!("`{segment}` has a `%` without two hexadecimal digits, or is no UTF-8"));
        };
        if name.is_empty() || name == "." || name == ".." || name.chars().any(char::is_control) {
            return wrong(&format!("`{segment}` cannot be a part of it"));
        }
        parsed.push('/');
        parsed.extend(utf8_percent_encode(&name, SPELLED));
    }
    Ok(parsed)
}

/// A segment of a path without `%XX`; `None` if it is not UTF-8.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    let complete =
        segment.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())));
    percent_decode_str(segment).decode_utf8().ok().filter(|_| complete)
}

/// The distinct spellings of a base path in the address of a browser, which stores cookies by spelling.
pub fn spellings(base: &str) -> Vec<String> {
    let encoded: Vec<String> =
        base.split('/').map(|part| utf8_percent_encode(&decoded(part).unwrap_or_default(), ENCODED).to_string()).collect();
    let encoded = encoded.join("/");
    if encoded == base { vec![encoded] } else { vec![base.to_owned(), encoded] }
}

/// Removes a base path from the address of a request. Leaves other addresses as they are: a proxy may have
/// removed it already.
pub fn strip(base: &str, mut request: Request) -> Request {
    let rest = strip_path(base, request.uri().path()).map(|rest| match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    });
    if let Some(uri) = rest.and_then(|rest| rest.parse::<Uri>().ok()) {
        *request.uri_mut() = uri;
    }
    request
}

fn strip_path<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let mut rest = path;
    for part in base.split('/').skip(1) {
        let inside = rest.strip_prefix('/')?;
        let end = inside.find('/').unwrap_or(inside.len());
        if decoded(&inside[..end])? != decoded(part)? {
            return None;
        }
        rest = &inside[end..];
    }
    Some(if rest.is_empty() { "/" } else { rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_base_path_is_one_path() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("/lab/crosslens/", "/lab/crosslens"),
            ("/user/ada@lab.org/crosslens", "/user/ada@lab.org/crosslens"),
            ("/user/ada%40lab.org/crosslens", "/user/ada@lab.org/crosslens"),
            ("/user/j%c3%bcrgen", "/user/j%C3%BCrgen"),
            ("/user/jürgen", "/user/j%C3%BCrgen"),
            ("/user/a b+c(d)", "/user/a%20b%2Bc%28d%29"),
            ("/user/a%2Fb", "/user/a%2Fb"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in
            ["crosslens", "//evil.example", "/a\"b", "/{id}", "/a/../b", "/%2e%2e", "/a%4", "/a%zz", "/a%00b", "/a?b", "/%ff", "/a\nb"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_path_is_taken_off_in_any_spelling() {
        let base = "/user/ada@lab/lens";
        for (path, expected) in [
            ("/user/ada@lab/lens/api/runs", Some("/api/runs")),
            ("/user/ada%40lab/lens/runs/x", Some("/runs/x")),
            ("/user/%61da%40lab/lens", Some("/")),
            ("/user/ada@lab/lens/", Some("/")),
            ("/user/ada@lab/lensing", None),
            ("/user/eve@lab/lens/api", None),
            ("/api/runs", None),
        ] {
            assert_eq!(strip_path(base, path), expected, "{path}");
        }
        assert_eq!(strip_path("", "/api/runs"), Some("/api/runs"));
    }

    #[test]
    fn a_cookie_needs_every_spelling_that_a_browser_may_have() {
        assert_eq!(spellings("/lab"), ["/lab"]);
        assert_eq!(spellings("/user/ada@lab"), ["/user/ada@lab", "/user/ada%40lab"]);
        assert_eq!(spellings(""), [""]);
    }
}
