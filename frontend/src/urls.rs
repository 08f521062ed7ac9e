//! The application's path prefix, and the addresses of its pages. Works on plain strings.

use shared::config::{Inputs, RunKind};
use shared::id::{AttributionId, CheckpointRef, RunId, SweepId, Which};

/// The path prefix of the application without a final slash: `/lab` for `https://host/lab/`, empty for the
/// root.
pub fn prefix(base_uri: &str) -> String {
    let after_scheme = base_uri.split_once("://").map_or(base_uri, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |start| &after_scheme[start..]);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = &path[..path.rfind('/').unwrap_or(0)];
    folder.trim_end_matches('/').to_owned()
}

/// Rewrites a path that starts with the prefix in another spelling, such as `%40` for `@`. `None` if there is
/// nothing to change. Proxies pass on both spellings, but the router accepts only one.
pub fn respelled(path: &str, prefix: &str) -> Option<String> {
    let mut rest = path;
    for part in prefix.split('/').skip(1) {
        let inside = rest.strip_prefix('/')?;
        let (found, after) = inside.split_at(inside.find('/').unwrap_or(inside.len()));
        if decoded(found) != decoded(part) {
            return None;
        }
        rest = after;
    }
    let respelled = format!("{prefix}{rest}");
    (respelled != path).then_some(respelled)
}

/// The bytes of a path segment, with `%XX` decoded.
fn decoded(part: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes.extend(rest.as_bytes());
    bytes
}

/// A path inside the application as a link's `href`: relative, so that the page's base adds the prefix.
pub fn href(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" => ".".to_owned(),
        relative => relative.to_owned(),
    }
}

pub fn run(id: &RunId) -> String {
    format!("/runs/{id}")
}

/// The page of a run, at a checkpoint if it is named by its epoch.
pub fn checkpoint(checkpoint: &CheckpointRef) -> String {
    let page = run(&checkpoint.run);
    match checkpoint.which {
        Which::Epoch(epoch) => format!("{page}?epoch={epoch}"),
        Which::Best | Which::Last => page,
    }
}

pub fn sweep(id: &SweepId) -> String {
    format!("/sweeps/{id}")
}

/// The form of a new run of a kind, for some checkpoints.
pub fn new_of(kind: RunKind, checkpoints: &[CheckpointRef]) -> String {
    let checkpoints: Vec<String> = checkpoints.iter().map(CheckpointRef::to_string).collect();
    format!("/new?kind={}&checkpoint={}", kind.id(), checkpoints.join(","))
}

pub fn new_from(run: &RunId) -> String {
    format!("/new?from={run}")
}

/// The form of a training run that starts from a checkpoint of `run`, with the configuration of that run.
pub fn fork(run: &RunId, epoch: u32) -> String {
    format!("/new?from={run}&fork={epoch}")
}

/// Like [`fork`], for a run that leaves out features.
pub fn fork_without(run: &RunId, epoch: u32, features: &[u32]) -> String {
    let features: Vec<String> = features.iter().map(u32::to_string).collect();
    format!("{}&without={}", fork(run, epoch), features.join(","))
}

pub fn attribution(run: &RunId, epoch: u32, inputs: Inputs) -> String {
    format!("/attributions/{}", attribution_id(run, epoch, inputs))
}

pub fn attribution_id(run: &RunId, epoch: u32, inputs: Inputs) -> AttributionId {
    AttributionId { run: run.clone(), epoch, inputs }
}

/// The comparison of two epochs of a run, with adversarial inputs.
pub fn compare(run: &RunId, a: u32, b: u32) -> String {
    let id = |epoch| attribution_id(run, epoch, Inputs::Adversarial);
    format!("/compare?a={}&b={}", id(a), id(b))
}

/// A value inside a query, with all but unreserved characters encoded as `%XX`.
pub fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte as char),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_the_folder_of_the_base() {
        for (base, expected) in [
            ("http://127.0.0.1:8000/", ""),
            ("http://127.0.0.1:8000", ""),
            ("https://lab.example/crosslens/", "/crosslens"),
            ("https://lab.example/a/b/?x=/c#/d", "/a/b"),
        ] {
            assert_eq!(prefix(base), expected, "{base}");
        }
    }

    #[test]
    fn an_address_in_another_spelling_is_the_application_s() {
        for (path, expected) in [
            ("/user/ada%40lab/lens/runs/x", Some("/user/ada@lab/lens/runs/x")),
            ("/user/%61da@lab/lens/", Some("/user/ada@lab/lens/")),
            ("/user/ada@lab/lens/runs/a%40b", None),
            ("/user/eve%40lab/lens/", None),
            ("/user", None),
        ] {
            assert_eq!(respelled(path, "/user/ada@lab/lens").as_deref(), expected, "{path}");
        }
        assert_eq!(respelled("/runs/x", ""), None);
        assert_eq!(respelled("/caf%c3%a9/100%/x", "/caf%C3%A9/100%25").as_deref(), Some("/caf%C3%A9/100%25/x"));
    }

    #[test]
    fn links_are_relative_to_the_base() {
        assert_eq!(href("/"), ".");
        assert_eq!(href("/runs/at-1"), "runs/at-1");
        let run = "at-1".parse().unwrap();
        assert_eq!(compare(&run, 12, 60), "/compare?a=at-1.e12.adversarial&b=at-1.e60.adversarial");
    }

    #[test]
    fn queries_carry_any_text() {
        assert_eq!(encoded("ℓ∞ a&b=c"), "%E2%84%93%E2%88%9E%20a%26b%3Dc");
    }
}
