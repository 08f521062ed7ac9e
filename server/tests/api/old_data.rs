//! Data of an earlier version opens, and is answered as it was then.
//!
//! `fixtures/2026-11-30.tar.gz` holds the data folder of a server of that day, with a run of every kind and a
//! share of every page, and in `answers.json` what that server answered.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use flate2::read::GzDecoder;
use serde_json::Value;
use shared::api::{NewLink, Share};
use shared::provenance::Provenance;
use tar::Archive;

use crate::matrices::assert_png;
use crate::support::{TestServer, settings, write_fixture};

const FIXTURE: &[u8] = include_bytes!("../fixtures/2026-11-30.tar.gz");

/// A server on the old data, and the old answers by address.
async fn opened() -> (TestServer, BTreeMap<String, Value>) {
    let dir = tempfile::tempdir().unwrap();
    Archive::new(GzDecoder::new(FIXTURE)).unpack(dir.path()).unwrap();
    write_fixture(dir.path());
    let answers = serde_json::from_slice(&std::fs::read(dir.path().join("answers.json")).unwrap()).unwrap();
    let settings = settings(dir.path());
    (TestServer::open(dir, settings).await, answers)
}

/// Asserts that `new` has everything that `old` has. It may have more.
#[track_caller]
fn assert_has(new: &Value, old: &Value, place: &str) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            // Replaced by `stopping`, which says what for.
            old.iter()
                .filter(|(key, _)| *key != "canceling")
                .for_each(|(key, old)| assert_has(new.get(key).unwrap_or(&Value::Null), old, &format!("{place}.{key}")));
        }
        (Value::Array(new), Value::Array(old)) => {
            assert_eq!(new.len(), old.len(), "{place}");
            (0..).zip(new.iter().zip(old)).for_each(|(index, (new, old)): (u32, _)| assert_has(new, old, &format!("{place}[{index}]")));
        }
        _ => assert_eq!(new, old, "{place}"),
    }
}

/// Removes what that version told everyone: the secret parts of share links, and the tags of shared runs.
fn without_secrets(answer: &mut Value) {
    if let Some(run) = answer.pointer_mut("/content/run/run").and_then(Value::as_object_mut) {
        run.remove("tags");
    }
    let shares = match answer {
        Value::Array(shares) => shares.iter_mut().collect(),
        Value::Object(shared) => shared.get_mut("share").into_iter().collect(),
        _ => Vec::new(),
    };
    for share in shares.into_iter().filter_map(Value::as_object_mut) {
        share.remove("token");
        share.remove("path");
    }
}

/// Old shares with the ids that such have now.
fn with_ids(shares: &Value) -> Value {
    let with_id = |(id, share): (usize, &Value)| {
        let mut share = share.clone();
        share["id"] = id.into();
        share
    };
    shares.as_array().unwrap().iter().enumerate().map(with_id).collect()
}

#[tokio::test]
async fn runs_curves_matrices_and_shares_are_answered_as_before() {
    let (server, answers) = opened().await;
    assert!(answers.len() > 30);
    for (address, mut old) in answers {
        if address.starts_with("/api/shares") {
            without_secrets(&mut old);
        }
        let answer = server.get(&address).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.text());
        let new = if old.is_string() { Value::from(answer.text()) } else { answer.json() };
        assert_has(&new, &old, &address);
    }
}

#[tokio::test]
async fn figures_of_old_links_are_of_the_same_pages() {
    let (server, answers) = opened().await;
    let shares: Vec<Share> = server.get("/api/shares").await.json();
    assert_eq!(shares.len(), 3);
    let old: Vec<NewLink> = serde_json::from_value(with_ids(&answers["/api/shares"])).unwrap();
    for NewLink { share: Share { view, .. }, token, .. } in old {
        let (path, query) = view.split_once('?').unwrap();
        let address = match path.strip_prefix("/attributions/") {
            Some(id) => format!("/api/attributions/{id}.svg?{query}"),
            None if path == "/compare" => format!("/api/comparisons?{query}&format=svg"),
            None => format!("/api{path}/curves?{query}&format=svg"),
        };
        let figure = server.get(&address).await;
        assert_eq!(figure.status, StatusCode::OK, "{address}: {}", figure.text());
        assert_eq!(Provenance::read(&figure.body).unwrap().view.to_string(), view);

        let page = server.get(&format!("/s/{token}")).await;
        assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (StatusCode::OK, "text/html; charset=utf-8"));
        assert_png(&server.get(&format!("/api/shares/{token}/preview.png")).await.body, Some((1200, 630)));
    }
}
