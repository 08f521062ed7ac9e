//! Hearing of changes, and reading the records of a run bit by bit.

use axum::http::Method;
use shared::api::{RunChanges, RunRecords, RunState};

use crate::events::{Event, Events};
use crate::support::{DEADLINE, LINES, TestServer};

struct Heard(Events);

impl Heard {
    async fn open(server: &TestServer, uri: &str, last_seen: Option<&str>) -> Self {
        Heard(Events::open(server, uri, last_seen).await)
    }

    /// The next event with its cursor; none when the server has ended the stream.
    async fn next(&mut self) -> Option<(String, RunChanges)> {
        let Event { id, data, .. } = self.0.next().await?;
        Some((id.unwrap_or_default(), serde_json::from_str(&data).unwrap()))
    }

    /// Waits for an event that says what is asked for.
    async fn until(&mut self, said: impl Fn(&RunChanges) -> bool) -> String {
        loop {
            let (cursor, changes) = self.next().await.unwrap();
            if said(&changes) {
                return cursor;
            }
        }
    }
}

#[tokio::test]
async fn one_stream_tells_of_every_run() {
    let server = TestServer::start().await;
    let mut heard = Heard::open(&server, "/api/changes", None).await;
    let (start, first) = heard.next().await.unwrap();
    assert_eq!(first, RunChanges { complete: true, runs: Vec::new(), deleted: Vec::new() });

    let one = server.finish("done").await.id;
    heard.until(|changes| changes.runs.contains(&one)).await;
    let two = server.submit("hung").await.id;
    heard.until(|changes| changes.runs.contains(&two)).await;
    server.until_running(&two).await;
    let waiting = server.submit("done").await.id;
    heard.until(|changes| changes.runs.contains(&waiting)).await;
    server.call(Method::POST, &format!("/api/runs/{two}/cancel")).await;
    heard.until(|changes| changes.runs.contains(&two)).await;
    server.until(&waiting, |run| run.state == RunState::Succeeded).await;
    server.call(Method::DELETE, &format!("/api/runs/{one}")).await;
    heard.until(|changes| changes.deleted.contains(&one)).await;

    // Whoever comes later hears what was missed.
    for (uri, last_seen) in [("/api/changes".to_owned(), Some(start.as_str())), (format!("/api/changes?since={start}"), None)] {
        let (cursor, missed) = Heard::open(&server, &uri, last_seen).await.next().await.unwrap();
        assert!(missed.complete && missed.runs.contains(&two) && missed.deleted == [one.clone()], "{missed:?}");
        let (_, nothing) = Heard::open(&server, "/api/changes", Some(&cursor)).await.next().await.unwrap();
        assert_eq!(nothing, RunChanges { complete: true, runs: Vec::new(), deleted: Vec::new() });
    }
    let (_, unknown) = Heard::open(&server, "/api/changes", Some("elsewhere.7")).await.next().await.unwrap();
    assert!(!unknown.complete, "a cursor of another database says nothing");

    let mut last = Heard::open(&server, "/api/changes", None).await;
    last.next().await.unwrap();
    server.state.stop().await.unwrap();
    while last.next().await.is_some() {}
}

#[tokio::test]
async fn records_come_bit_by_bit_without_a_gap_and_without_a_double() {
    let server = TestServer::start().await;
    let run = server.submit("gated").await;
    server.until_running(&run.id).await;
    let read = async |after: Option<&str>| -> RunRecords {
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        server.get(&format!("/api/runs/{}/records{query}", run.id)).await.json()
    };
    let start = std::time::Instant::now();
    while read(None).await.records.len() < 3 {
        assert!(start.elapsed() < DEADLINE, "the worker writes its first lines");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let first = read(None).await;
    assert_eq!((first.run.state, first.records.len(), first.more), (RunState::Running, 3, false));
    let nothing = read(Some(&first.next)).await;
    assert_eq!((nothing.records.len(), nothing.next.as_str()), (0, first.next.as_str()));

    // Half a line is not there yet.
    let file = server.run_dir(&run.id).join("metrics.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.clone() + "{\"type\":\"ep").unwrap();
    assert_eq!(read(Some(&first.next)).await.next, first.next);
    std::fs::write(&file, whole).unwrap();

    std::fs::write(server.run_dir(&run.id).join("go"), "").unwrap();
    server.until(&run.id, |run| run.state.is_finished()).await;
    let rest = read(Some(&first.next)).await;
    let all = [first.records, rest.records].concat();
    assert_eq!(all, read(None).await.records);
    assert_eq!((all.len(), rest.run.state), (LINES, RunState::Succeeded));
    assert_eq!(read(Some(&rest.next)).await.records.len(), 0);
    assert_eq!(read(Some("9.999999")).await.records.len(), LINES, "a place past the end is of another file");

    let uri = format!("/api/runs/{}/records", run.id);
    for bad in ["x", "3", "-1.5", "3.x"] {
        server.get(&format!("{uri}?after={bad}")).await.assert_problem(400, "invalid-query", Some("after"));
    }
    server.get("/api/runs/none/records").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn a_line_that_is_no_record_is_left_out_and_those_after_it_come() {
    let server = TestServer::start().await;
    let run = server.finish("torn").await;
    let records: RunRecords = server.get(&format!("/api/runs/{}/records", run.id)).await.json();
    assert_eq!((records.records.len(), records.left_out), (LINES, 1));
}
