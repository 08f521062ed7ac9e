//! What the tables of runs need: rows in short and what has changed, labels, the order of the queue, and the system.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::api::{EstimateBasis, Queue, Run, RunRows, RunState, SharedContent, SharedView, System};
use shared::id::RunId;

use crate::support::{Answer, TestServer};

impl TestServer {
    async fn rows(&self, since: Option<&str>) -> RunRows {
        let query = since.map(|since| format!("?since={since}")).unwrap_or_default();
        self.get(&format!("/api/run-rows{query}")).await.json()
    }

    async fn change(&self, id: &RunId, body: &Value) -> Answer {
        self.patch(&format!("/api/runs/{id}"), body).await
    }

    /// The names of the runs that wait, in their order.
    async fn waiting(&self) -> Vec<RunId> {
        let queue: Queue = self.get("/api/queue").await.json();
        let runs = queue.devices.into_iter().flat_map(|device| device.runs);
        runs.filter(|run| run.run.state == RunState::Queued).map(|run| run.run.id).collect()
    }
}

#[tokio::test]
async fn rows_have_what_tables_show_and_no_configuration() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let answer = server.get("/api/run-rows").await;
    assert!(!answer.text().contains("\"config\""), "{}", answer.text());
    let rows: RunRows = answer.json();
    assert!(rows.complete && rows.deleted.is_empty(), "{rows:?}");
    let [row] = rows.rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(
        (row.id.as_str(), row.title.as_str(), row.state, row.device.as_str()),
        (run.id.as_str(), "done", RunState::Succeeded, "cpu")
    );
    assert_eq!((row.gap(), row.delta_cas(), row.spark.as_slice()), (Some(-0.25), Some(-4.0), [500, 250].as_slice()));
}

#[tokio::test]
async fn only_what_has_changed_comes_the_next_time() {
    let server = TestServer::start().await;
    let first = server.finish("done").await;
    let start = server.rows(None).await;
    let unchanged = server.rows(Some(&start.cursor)).await;
    assert_eq!(
        unchanged,
        RunRows { cursor: start.cursor.clone(), complete: false, rows: Vec::new(), unreadable: Vec::new(), deleted: Vec::new() }
    );

    let second = server.finish("done").await;
    let news = server.rows(Some(&start.cursor)).await;
    assert_eq!(news.rows.iter().map(|row| &row.id).collect::<Vec<_>>(), [&second.id]);
    server.change(&first.id, &json!({"tags": ["paper"]})).await;
    let news = server.rows(Some(&news.cursor)).await;
    assert_eq!(news.rows.iter().map(|row| (&row.id, row.tags.len())).collect::<Vec<_>>(), [(&first.id, 1)]);
    server.call(Method::DELETE, &format!("/api/runs/{}", first.id)).await;
    let news = server.rows(Some(&news.cursor)).await;
    assert_eq!((news.rows.len(), news.deleted), (0, vec![first.id]));
}

#[tokio::test]
async fn a_cursor_that_says_nothing_gets_everything() {
    let server = TestServer::start().await;
    server.finish("done").await;
    let RunRows { cursor, .. } = server.rows(None).await;
    let (lineage, revision) = cursor.split_once('.').unwrap();
    let later = revision.parse::<u64>().unwrap() + 1000;
    for cursor in ["", "1", "other.1", &format!("{lineage}.-1"), &format!("{lineage}.{later}"), &format!("{lineage}.x")] {
        let rows = server.rows(Some(cursor)).await;
        assert!(rows.complete && rows.rows.len() == 1, "{cursor}: {rows:?}");
    }
}

#[tokio::test]
async fn rows_are_filtered_by_the_language_of_the_table() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    server.finish("failed").await;
    let found = server.get("/api/run-rows?q=state:succeeded%20-tag:old%20done").await.json::<RunRows>();
    assert_eq!((found.complete, found.rows.iter().map(|row| &row.id).collect::<Vec<_>>()), (true, vec![&run.id]));
    assert_eq!(server.get("/api/run-rows?q=done%20state:failed").await.json::<RunRows>().rows, []);
    let problem = server.get("/api/run-rows?q=best%3Emany%20state:none").await.assert_problem(400, "invalid-query", Some("q"));
    assert_eq!(problem.errors.len(), 2, "{problem:?}");
    let with_cursor = format!("/api/run-rows?q=done&since={}", found.cursor);
    server.get(&with_cursor).await.assert_problem(400, "invalid-query", Some("q"));
}

#[tokio::test]
async fn a_run_is_renamed_tagged_and_described_and_keeps_that() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let answer = server.change(&run.id, &json!({"title": " The paper's run ", "tags": ["paper", "Paper", " E1 "]})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let changed: Run = answer.json();
    assert_eq!((changed.title.as_str(), changed.tags.as_slice()), ("The paper's run", ["paper".to_owned(), "E1".to_owned()].as_slice()));
    server.change(&run.id, &json!({"notes": "best at 108"})).await;
    let server = server.restart(|_| {}).await;
    let found = server.run(&run.id).await;
    assert_eq!((found.notes.as_str(), &found.title, &found.tags), ("best at 108", &changed.title, &changed.tags));
    assert_eq!(found.config, run.config, "what was run stays what it was");
    assert_eq!(server.change(&run.id, &json!({"tags": [], "notes": ""})).await.json::<Run>().tags, [""; 0]);
}

#[tokio::test]
async fn labels_that_cannot_be_are_named() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let check = async |body: Value, field: &str, part: &str| {
        let problem = server.change(&run.id, &body).await.assert_problem(422, "invalid-change", Some(field));
        assert!(problem.detail.contains(part), "{problem:?}");
    };
    check(json!({"title": " "}), "title", "title is empty").await;
    check(json!({"title": "x".repeat(81)}), "title", "81 characters; at most 80").await;
    check(json!({"tags": ["a,b"]}), "tags", "`a,b`").await;
    check(json!({"tags": ["x".repeat(33)]}), "tags", "33 characters; at most 32").await;
    check(json!({"notes": "x".repeat(4001)}), "notes", "4001 characters; at most 4000").await;
    server.change(&run.id, &json!({"state": "queued"})).await.assert_problem(400, "invalid-json", Some("state"));
    server.change(&"none".parse().unwrap(), &json!({"title": "x"})).await.assert_problem(404, "run-not-found", Some("id"));
    assert_eq!(server.run(&run.id).await, run, "nothing of it was taken");
}

#[tokio::test]
async fn notes_and_tags_are_not_shown_to_the_readers_of_a_link() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    server.change(&run.id, &json!({"notes": "for my eyes", "tags": ["paper"]})).await;
    let share: Value = server.post("/api/shares", &json!({"view": format!("/runs/{}", run.id)})).await.json();
    let view: SharedView = server.get(&format!("/api/shares/{}", share["token"].as_str().unwrap())).await.json();
    let SharedContent::Run { run, .. } = view.content else { panic!("a run was shared") };
    assert_eq!((run.notes.as_str(), run.tags.len()), ("", 0));
}

#[tokio::test]
async fn queued_runs_are_moved_and_start_in_their_new_order() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.submit("done").await.id);
    }
    let [a, b, c] = [&ids[0], &ids[1], &ids[2]];
    let check = async |id: &RunId, to: &str, position: u32, expected: [&RunId; 3]| {
        let answer = server.post(&format!("/api/runs/{id}/move"), &json!({"to": to})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.json::<Run>().queue_position, Some(position));
        assert_eq!(server.waiting().await.iter().collect::<Vec<_>>(), expected, "{id} {to}");
    };
    check(c, "up", 1, [a, c, b]).await;
    check(c, "front", 0, [c, a, b]).await;
    check(c, "up", 0, [c, a, b]).await;
    check(a, "down", 2, [c, b, a]).await;
    check(a, "down", 2, [c, b, a]).await;

    std::fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    let last = server.until(a, |run| run.state.is_finished()).await;
    let [first, second] = [server.run(c).await, server.run(b).await];
    assert!(first.finished_at <= second.started_at && second.finished_at <= last.started_at);
    server.post(&format!("/api/runs/{a}/move"), &json!({"to": "front"})).await.assert_problem(409, "run-not-queued", Some("id"));
    server.post("/api/runs/none/move", &json!({"to": "front"})).await.assert_problem(404, "run-not-found", Some("id"));
    server.post(&format!("/api/runs/{a}/move"), &json!({"to": "back"})).await.assert_problem(400, "invalid-json", Some("to"));
}

#[tokio::test]
async fn the_queue_says_when_runs_finish_where_earlier_ones_tell() {
    let server = TestServer::start().await;
    let running = server.submit("hung").await;
    server.until(&running.id, |run| run.summary.seconds_left.is_some()).await;
    let waiting = server.submit("done").await;
    let queue: Queue = server.get("/api/queue").await.json();
    let [device] = queue.devices.as_slice() else { panic!("{queue:?}") };
    assert_eq!((device.device.as_str(), device.name.as_deref()), ("cpu", Some("2 CPU threads")));
    assert_eq!(device.runs.iter().map(|run| run.run.id.as_str()).collect::<Vec<_>>(), [running.id.as_str(), waiting.id.as_str()]);
    // The running one has a pace of its own; nothing like it has ended yet.
    assert_eq!(device.runs[0].estimate.as_ref().unwrap().basis, EstimateBasis::Progress);
    assert_eq!((device.runs[1].estimate.as_ref(), device.runs[1].finishes_in_secs), (None, None));

    server.call(Method::POST, &format!("/api/runs/{}/cancel", running.id)).await;
    server.until(&waiting.id, |run| run.state == RunState::Succeeded).await;
    let gated = server.submit("gated").await;
    server.until_running(&gated.id).await;
    server.submit("done").await;
    let queue: Queue = server.get("/api/queue").await.json();
    let last = queue.devices[0].runs.last().unwrap();
    assert_eq!(last.estimate.as_ref().unwrap().basis, EstimateBasis::EarlierRuns);
    assert!(last.finishes_in_secs.unwrap() >= last.estimate.as_ref().unwrap().seconds, "{last:?}");
    std::fs::write(server.run_dir(&gated.id).join("go"), "").unwrap();
}

#[tokio::test]
async fn the_system_tells_its_worker_memory_and_disk() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let system: System = server.get("/api/system").await.json();
    assert_eq!(system.version, env!("CARGO_PKG_VERSION"));
    assert!(matches!(system.worker, shared::api::WorkerStatus::Ready(_)), "{system:?}");
    assert!(system.memory.total_bytes >= system.memory.available_bytes && system.memory.available_bytes > 0, "{system:?}");
    assert!(system.storage.total_bytes >= system.storage.free_bytes && system.storage.total_bytes > 0, "{system:?}");
    let size = |path: &str| std::fs::metadata(server.run_dir(&run.id).join(path)).unwrap().len();
    assert_eq!(system.storage.runs, 1);
    assert!(system.storage.runs_bytes >= size("config.json") + size("checkpoints/e1.safetensors"), "folders inside count too");
    assert!(system.storage.data_dir.ends_with("/data") && system.worker_program.ends_with("worker.sh"), "{system:?}");
}

#[tokio::test]
async fn ten_thousand_runs_are_listed_once_and_then_cost_nothing() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let insert = format!(
        "INSERT INTO runs (id, title, state, device, config, created_at, summary) \
         SELECT id || number, title, state, device, config, created_at, summary FROM runs, numbers WHERE id = '{}'",
        run.id
    );
    server.multiply(9_999, &insert).await;
    let rows = server.rows(None).await;
    assert_eq!(rows.rows.len(), 10_000);
    let next = server.get(&format!("/api/run-rows?since={}", rows.cursor)).await;
    assert!(next.body.len() < 200, "{}", next.text());
}
