//! A database that takes nothing for a while, as on a full disk or behind another program's lock.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::api::{Run, RunPage, RunRecords, RunRows, RunState, Sweep};
use std::fs;

use crate::support::{TestServer, config};

const REFUSE_CHANGES: &str = "CREATE TRIGGER refuse BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
const TAKE_CHANGES: &str = "DROP TRIGGER refuse";

async fn problems(server: &TestServer) -> Vec<String> {
    let health: Value = server.get("/api/health").await.json();
    let problems: Vec<String> = serde_json::from_value(health["problems"].clone()).unwrap();
    // The disk of the machine that runs the tests may be nearly full.
    problems.into_iter().filter(|problem| problem.contains("database")).collect()
}

async fn until_well(server: &TestServer) {
    let start = std::time::Instant::now();
    while !problems(server).await.is_empty() {
        assert!(start.elapsed() < crate::support::DEADLINE, "{:?}", problems(server).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_end_of_a_run_is_told_at_once_and_written_when_that_works() {
    let server = TestServer::start().await;
    let run = server.submit("gated").await;
    server.until_running(&run.id).await;
    let rows: RunRows = server.get("/api/run-rows").await.json();
    let queued = server.submit("done").await;
    server.sql(REFUSE_CHANGES).await;
    fs::write(server.run_dir(&run.id).join("go"), "").unwrap();

    let ended = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((ended.state, ended.summary.epoch), (RunState::Succeeded, 2));
    let said = problems(&server).await;
    assert!(said.len() == 1 && said[0].contains("database or disk is full") && said[0].contains("one run"), "{said:?}");
    let records: RunRecords = server.get(&format!("/api/runs/{}/records", run.id)).await.json();
    assert!(records.problems.contains(&said[0]), "the page of the run says it: {:?}", records.problems);
    let system: Value = server.get("/api/system").await.json();
    assert!(system["problems"].as_array().unwrap().iter().any(|problem| problem == &said[0]), "{system}");
    let rows: RunRows = server.get(&format!("/api/run-rows?since={}", rows.cursor)).await.json();
    assert!(rows.rows.iter().any(|row| row.id == run.id && row.state == RunState::Succeeded), "tables hear of it: {rows:?}");
    assert_eq!(server.run(&queued.id).await.state, RunState::Queued, "what cannot be written does not start");

    server.sql(TAKE_CHANGES).await;
    until_well(&server).await;
    server.until(&queued.id, |run| run.state == RunState::Succeeded).await;
    let server = server.restart(|_| {}).await;
    let after = server.run(&run.id).await;
    assert_eq!((after.state, after.finished_at), (RunState::Succeeded, ended.finished_at), "it is written as it was told");
}

#[tokio::test]
async fn a_cancel_reaches_the_worker_whether_it_can_be_written_or_not() {
    let server = TestServer::start().await;
    let run = server.submit("late").await;
    server.until_running(&run.id).await;
    let queued = server.submit("done").await;
    server.sql(REFUSE_CHANGES).await;
    let canceling: Run = server.call(Method::POST, &format!("/api/runs/{}/cancel", run.id)).await.json();
    assert!(canceling.stopping.is_some(), "{canceling:?}");
    let canceled: Run = server.call(Method::POST, &format!("/api/runs/{}/cancel", queued.id)).await.json();
    assert_eq!(canceled.state, RunState::Canceled);
    let ended = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((ended.state, ended.stopping, ended.summary.epoch), (RunState::Canceled, None, 2));
    // What was canceled before it started does not start.
    assert!(!server.run_dir(&queued.id).join("log.txt").exists());

    // It goes on only from what is written.
    let resume = format!("/api/runs/{}/resume", run.id);
    server.call(Method::POST, &resume).await.assert_problem(500, "internal", None);
    server.sql(TAKE_CHANGES).await;
    let resumed: Run = server.call(Method::POST, &resume).await.json();
    assert!(matches!(resumed.state, RunState::Queued | RunState::Running), "{resumed:?}");
    until_well(&server).await;
    assert_eq!(server.run(&queued.id).await.state, RunState::Canceled);
}

#[tokio::test]
async fn a_run_that_has_ended_unwritten_can_be_deleted() {
    let server = TestServer::start().await;
    let run = server.submit("gated").await;
    server.until_running(&run.id).await;
    server.sql(REFUSE_CHANGES).await;
    fs::write(server.run_dir(&run.id).join("go"), "").unwrap();
    server.until(&run.id, |run| run.state.is_finished()).await;
    let uri = format!("/api/runs/{}", run.id);
    assert_eq!(server.call(Method::DELETE, &format!("{uri}?for_good=true")).await.status, StatusCode::NO_CONTENT);
    server.get(&uri).await.assert_problem(404, "run-not-found", Some("id"));
    server.sql(TAKE_CHANGES).await;
    until_well(&server).await;
    let server = server.restart(|_| {}).await;
    server.get(&uri).await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn a_sweep_is_queued_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let sweep = json!({"config": config("done"), "axes": [{"field": "seed", "values": [1, 2, 3]}]});
    server
        .sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON runs WHEN (SELECT count(*) FROM runs) = 2 \
             BEGIN SELECT RAISE(ABORT, 'locked away'); END",
        )
        .await;
    server.post("/api/sweeps", &sweep).await.assert_problem(500, "internal", None);
    let page: RunPage = server.get("/api/runs").await.json();
    assert_eq!(page.total, 0, "{page:?}");
    let left: Vec<_> = fs::read_dir(server.dir.path().join("data/runs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    server.sql(TAKE_CHANGES).await;
    let queued: Sweep = server.post("/api/sweeps", &sweep).await.json();
    assert_eq!(queued.runs.len(), 3);
}

#[tokio::test]
async fn a_run_is_deleted_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}", run.id);
    server.sql("CREATE TRIGGER refuse BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'locked away'); END").await;
    assert_eq!(server.call(Method::DELETE, &format!("{uri}?for_good=true")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(server.run(&run.id).await, run);
    assert!(server.run_dir(&run.id).join("checkpoints/e1.safetensors").exists());
    server.sql(TAKE_CHANGES).await;
    assert_eq!(server.call(Method::DELETE, &format!("{uri}?for_good=true")).await.status, StatusCode::NO_CONTENT);
    let left: Vec<_> = fs::read_dir(server.run_dir(&run.id).parent().unwrap()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_run_whose_deletion_a_crash_cut_short_is_deleted_at_the_next_start() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let server = server
        .restart(|dir| {
            let runs = dir.join("data/runs");
            fs::rename(runs.join(run.id.as_str()), runs.join(format!(".deleted-{}", run.id))).unwrap();
        })
        .await;
    // The queue's task looks at the directories before it answers anything.
    server.finish("done").await;
    server.get(&format!("/api/runs/{}", run.id)).await.assert_problem(404, "run-not-found", Some("id"));
    assert!(!server.run_dir(&format!(".deleted-{}", run.id)).exists());
}
