//! Versions of files: `If-None-Match` saves sending a file that the client has, and `If-Range` sends a part of
//! a file only to a client that has the rest of the same file.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

/// Answers with the whole file if `If-Range` names another version of it, RFC 9110, 13.1.5.
pub async fn check_if_range(request: Request, next: Next) -> Response {
    let asked = request.headers();
    if !(asked.contains_key(header::IF_RANGE) && asked.contains_key(header::RANGE)) {
        return next.run(request).await;
    }
    // Only the answer tells the version of the file. The request can be sent twice, as it has no body.
    let (mut parts, body) = request.into_parts();
    let response = next.clone().run(Request::from_parts(parts.clone(), body)).await;
    let partial = matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE);
    if !partial || is_same(&parts.headers, response.headers()) {
        return response;
    }
    parts.headers.remove(header::RANGE);
    next.run(Request::from_parts(parts, Body::empty())).await
}

/// Whether `If-None-Match` names this version of a file, RFC 9110, 13.1.2.
pub fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|known| known.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes()))
}

/// Whether an answer is of the version that `If-Range` names, by strong ETag or time.
fn is_same(asked: &HeaderMap, answered: &HeaderMap) -> bool {
    let Some(wanted) = asked.get(header::IF_RANGE) else { return false };
    let tag = answered.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    tag == Some(wanted) || answered.get(header::LAST_MODIFIED) == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_or_the_time_names_the_same_file() {
        let check = |wanted: &'static str, same: bool, tag: &'static str| {
            let asked = HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static(wanted))]);
            let answered = [(header::ETAG, tag), (header::LAST_MODIFIED, "Sun, 29 Nov 2026 12:00:00 GMT")];
            let answered = answered.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
            assert_eq!(is_same(&asked, &answered), same, "{wanted} {tag}");
        };
        check("\"a\"", true, "\"a\"");
        check("\"b\"", false, "\"a\"");
        check("W/\"a\"", false, "W/\"a\"");
        check("W/\"a\"", false, "\"a\"");
        check("Sun, 29 Nov 2026 12:00:00 GMT", true, "\"a\"");
        check("Sun, 29 Nov 2026 11:00:00 GMT", false, "\"a\"");
    }
}
