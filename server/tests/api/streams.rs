//! Following a run by server-sent events.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use shared::api::{Run, RunState};
use shared::record::{Phase, Progress, Record};
use tokio::time::timeout;

use crate::events::{Event, Events};
use crate::support::{LINES, TestServer, request};

/// The line numbers and names of events.
fn outline(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.clone().unwrap_or_else(|| event.name.clone())).collect()
}

#[tokio::test]
async fn a_stream_follows_a_run_to_its_end() {
    let server = TestServer::start().await;
    let run = server.submit("gated").await;
    let mut events = Events::open(&server, &format!("/api/runs/{}/events", run.id), None).await;
    let mut seen = Vec::new();
    while seen.iter().filter(|event: &&Event| event.id.is_some()).count() < 3 {
        seen.push(events.next().await.unwrap());
    }
    let first: Run = serde_json::from_str(&seen[0].data).unwrap();
    assert_eq!((seen[0].name.as_str(), first.id), ("run", run.id.clone()));
    assert_eq!(serde_json::from_str::<Value>(&seen.last().unwrap().data).unwrap()["type"], "checkpoint");

    std::fs::write(server.run_dir(&run.id).join("go"), "").unwrap();
    let rest = events.rest().await;
    let records: Vec<u64> = rest.iter().filter_map(|event| event.id.as_ref()?.parse().ok()).collect();
    assert_eq!(records, [4, 5, 6, 7, 8]);
    let end = rest.last().unwrap();
    assert_eq!(end.name, "end");
    let ended: Run = serde_json::from_str(&end.data).unwrap();
    assert_eq!((ended.state, ended.summary.last.unwrap().epoch), (RunState::Succeeded, 2));
}

#[tokio::test]
async fn a_resumed_stream_starts_after_the_last_seen_line() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}/events", run.id);
    let check = async |uri: &str, last_seen: Option<&str>, expected: &[&str]| {
        let events = Events::open(&server, uri, last_seen).await.rest().await;
        assert_eq!(outline(&events), expected, "{uri} {last_seen:?}");
    };
    check(&uri, None, &["run", "1", "2", "3", "4", "5", "6", "7", "8", "end"]).await;
    check(&uri, Some("6"), &["run", "7", "8", "end"]).await;
    check(&format!("{uri}?after=7"), None, &["run", "8", "end"]).await;
    check(&format!("{uri}?after=2"), Some("8"), &["run", "end"]).await;
    check(&uri, Some(""), &["run", "1", "2", "3", "4", "5", "6", "7", "8", "end"]).await;
    server.get(&format!("{uri}?after=x")).await.assert_problem(400, "invalid-query", Some("after"));
    let bad = request(Method::GET, &uri).header("Last-Event-ID", "x").body(Body::empty()).unwrap();
    server.send(bad).await.assert_problem(400, "invalid-query", Some("Last-Event-ID"));
}

#[tokio::test]
async fn a_line_that_is_no_record_is_not_sent_but_counts() {
    let server = TestServer::start().await;
    let run = server.finish("torn").await;
    let events = Events::open(&server, &format!("/api/runs/{}/events", run.id), None).await.rest().await;
    let records: Vec<u64> = events.iter().filter_map(|event| event.id.as_ref()?.parse().ok()).collect();
    assert_eq!(records, [1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(records.len(), LINES);
}

#[tokio::test]
async fn a_change_of_state_is_told_and_a_stopping_server_ends_the_stream() {
    let server = TestServer::start().await;
    let first = server.submit("hung").await;
    server.until_running(&first.id).await;
    let second = server.submit("done").await;
    let mut events = Events::open(&server, &format!("/api/runs/{}/events", second.id), None).await;
    let state = |event: Event| serde_json::from_str::<Run>(&event.data).unwrap().state;
    assert_eq!(state(events.next().await.unwrap()), RunState::Queued);
    server.call(Method::POST, &format!("/api/runs/{}/cancel", second.id)).await;
    assert_eq!(state(events.next().await.unwrap()), RunState::Canceled);
    assert_eq!(events.next().await.unwrap().name, "end");
    assert!(events.next().await.is_none());

    let following = Events::open(&server, &format!("/api/runs/{}/events", first.id), None).await;
    server.state.stop().await.unwrap();
    let events = timeout(Duration::from_secs(2), following.rest()).await.expect("the stream ends");
    assert!(events.iter().all(|event| event.name != "end"), "the run goes on with the next server: {events:?}");
}

#[tokio::test]
async fn the_stream_of_a_deleted_run_ends() {
    let server = TestServer::start().await;
    let first = server.submit("hung").await;
    server.until_running(&first.id).await;
    let second = server.submit("done").await;
    let mut events = Events::open(&server, &format!("/api/runs/{}/events", second.id), None).await;
    events.next().await.unwrap();
    server.call(Method::DELETE, &format!("/api/runs/{}", second.id)).await;
    assert!(events.next().await.is_none());
}

/// Opens the stream of a run and reads up to its third record.
async fn three_records(server: &TestServer, run: &Run) -> Events {
    let mut events = Events::open(server, &format!("/api/runs/{}/events", run.id), None).await;
    while next_record(&mut events).await != "3" {}
    events
}

/// The line number of the next record.
async fn next_record(events: &mut Events) -> String {
    loop {
        if let Some(line) = events.next().await.unwrap().id {
            return line;
        }
    }
}

/// Appends a record of a run, as its worker would.
fn append(server: &TestServer, run: &Run) {
    let line =
        serde_json::to_string(&Record::Progress(Progress { phase: Phase::Training, epoch: 2, step: 1, steps: 9, elapsed_secs: 1.0 }))
            .unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(server.run_dir(&run.id).join("metrics.jsonl")).unwrap();
    writeln!(file, "{line}").unwrap();
}

#[tokio::test]
async fn every_listener_is_sent_every_line_once_whenever_it_came() {
    let server = TestServer::start().await;
    let run = server.submit("gated").await;
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners.push(three_records(&server, &run).await);
    }
    append(&server, &run);
    for events in &mut listeners[..10] {
        assert_eq!(next_record(events).await, "4");
    }
    listeners.push(Events::open(&server, &format!("/api/runs/{}/events?after=3", run.id), None).await);
    std::fs::write(server.run_dir(&run.id).join("go"), "").unwrap();
    for (index, events) in listeners.into_iter().enumerate() {
        let rest = outline(&events.rest().await);
        let records: Vec<&str> = rest.iter().map(String::as_str).filter(|event| !matches!(*event, "run" | "end")).collect();
        let expected = if index < 10 { &["5", "6", "7", "8", "9"][..] } else { &["4", "5", "6", "7", "8", "9"] };
        assert_eq!((records.as_slice(), rest.last().map(String::as_str)), (expected, Some("end")), "listener {index}");
    }
}

#[tokio::test]
async fn a_listener_that_does_not_keep_up_still_gets_every_line() {
    // More than wait for a slow listener.
    const LINES: u64 = 20;
    let server = TestServer::start().await;
    let run = server.submit("hung").await;
    let slow = three_records(&server, &run).await;
    let mut fast = three_records(&server, &run).await;
    for line in 4..4 + LINES {
        append(&server, &run);
        // One after the other, so that each is news of its own.
        assert_eq!(next_record(&mut fast).await, line.to_string());
    }
    server.call(Method::POST, &format!("/api/runs/{}/cancel", run.id)).await;
    let records = |events: &[Event]| -> Vec<u64> { events.iter().filter_map(|event| event.id.as_ref()?.parse().ok()).collect() };
    let slow = slow.rest().await;
    assert_eq!(records(&slow), (4..4 + LINES).collect::<Vec<_>>());
    assert_eq!(slow.last().unwrap().name, "end");
    let states: Vec<RunState> =
        slow.iter().filter(|event| event.name == "run").map(|event| serde_json::from_str::<Run>(&event.data).unwrap().state).collect();
    assert_eq!(states.last(), Some(&RunState::Canceled), "{states:?}");
}
