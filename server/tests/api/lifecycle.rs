//! How runs end: by themselves, by a cancel, with their worker, with the server.

use axum::http::{Method, StatusCode};
use shared::api::{Run, RunPage, RunState};
use std::time::Duration;

use crate::support::{TestServer, config};

/// Runs a fake worker to its end.
async fn check(name: &str, state: RunState, failure: Option<&str>) {
    let server = TestServer::start().await;
    let run = server.finish(name).await;
    assert_eq!((run.state, run.failure.as_deref()), (state, failure));
}

#[tokio::test]
async fn a_worker_that_fails_gives_its_last_words() {
    check("failed", RunState::Failed, Some("no memory left for the model")).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_is_said_to_be() {
    let server = TestServer::start().await;
    let run = server.finish("killed").await;
    let words = "the worker was killed by signal 9 (SIGKILL), often a sign of too little memory";
    let failure = run.failure.unwrap();
    assert_eq!(run.state, RunState::Failed);
    assert!(failure.starts_with(words) && failure.ends_with("; it has died at the same step before"), "{failure}");
    let log = server.get(&format!("/api/runs/{}/log", run.id)).await.text();
    assert_eq!(log.lines().filter(|line| *line == "worker begins").count(), 2, "it was tried again once: {log}");
}

#[tokio::test]
async fn a_run_whose_worker_died_is_tried_again_and_says_why() {
    let server = TestServer::start().await;
    let run = server.finish("unlucky").await;
    assert_eq!((run.state, run.failure), (RunState::Succeeded, None));
    let log = server.get(&format!("/api/runs/{}/log", run.id)).await.text();
    assert!(log.contains("again: The worker was killed by signal 9 (SIGKILL)") && log.contains("(1 of 3)."), "{log}");
}

#[tokio::test]
async fn a_worker_that_has_saved_is_started_again_unless_the_run_is_paused() {
    check("preempted", RunState::Succeeded, None).await;
    check("paused", RunState::Canceled, Some("it was paused; resume it to go on")).await;
}

#[tokio::test]
async fn a_queued_run_is_canceled_at_once() {
    let server = TestServer::start().await;
    let first = server.submit("hung").await;
    server.until_running(&first.id).await;
    let second = server.submit("done").await;
    let canceled: Run = server.call(Method::POST, &format!("/api/runs/{}/cancel", second.id)).await.json();
    assert_eq!((canceled.state, canceled.canceling), (RunState::Canceled, false));
}

#[tokio::test]
async fn a_running_run_is_canceling_until_its_worker_has_saved() {
    let server = TestServer::start().await;
    let run = server.submit("late").await;
    server.until_running(&run.id).await;
    let cancel = format!("/api/runs/{}/cancel", run.id);
    let canceling: Run = server.call(Method::POST, &cancel).await.json();
    assert_eq!((canceling.state, canceling.canceling), (RunState::Running, true));
    assert_eq!(server.call(Method::POST, &cancel).await.status, StatusCode::OK, "asking twice does no harm");

    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.canceling, run.failure.as_deref()), (RunState::Canceled, false, None));
    assert_eq!(run.summary.epoch, 2, "what the worker saved last is summed up");
    server.call(Method::POST, &cancel).await.assert_problem(409, "run-finished", Some("id"));
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_ended() {
    let server = TestServer::start_with(|settings| settings.stop_grace = Duration::from_millis(100)).await;
    let run = server.submit("stubborn").await;
    server.until_running(&run.id).await;
    server.call(Method::POST, &format!("/api/runs/{}/cancel", run.id)).await;
    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!(run.state, RunState::Canceled);
    assert!(run.failure.unwrap().contains("did not stop in time"));
}

#[tokio::test]
async fn a_running_run_cannot_be_deleted() {
    let server = TestServer::start().await;
    let run = server.submit("hung").await;
    server.until_running(&run.id).await;
    let uri = format!("/api/runs/{}", run.id);
    server.call(Method::DELETE, &uri).await.assert_problem(409, "run-active", Some("id"));
    assert!(server.run_dir(&run.id).exists());
}

#[tokio::test]
async fn a_server_that_stops_saves_its_runs_and_finds_them_again() {
    let server = TestServer::start().await;
    let done = server.finish("done").await;
    let running = server.submit("hung").await;
    server.until_running(&running.id).await;
    let queued = server.submit("done").await;

    let server = server.restart(|_| {}).await;
    assert_eq!(server.run(&done.id).await, done, "a finished run never changes");
    let running = server.until(&running.id, |run| run.state == RunState::Running).await;
    assert_eq!(running.failure, None);
    let log = server.get(&format!("/api/runs/{}/log", running.id)).await.text();
    assert!(log.starts_with("worker begins\nsaved\n"), "the worker was let finish: {log}");
    server.call(Method::POST, &format!("/api/runs/{}/cancel", running.id)).await;
    assert_eq!(server.until(&running.id, |run| run.state.is_finished()).await.state, RunState::Canceled);
    let queued = server.until(&queued.id, |run| run.state.is_finished()).await;
    assert_eq!(queued.state, RunState::Succeeded, "a queued run starts with the next server");
}

#[tokio::test]
async fn a_directory_that_was_copied_here_is_taken_in() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let server = server
        .restart(|dir| {
            let runs = dir.join("data/runs");
            let copy = |name: &str| {
                let status = std::process::Command::new("cp").arg("-r").arg(runs.join(run.id.as_str())).arg(runs.join(name)).status();
                assert!(status.unwrap().success());
            };
            copy("from-a-colleague");
            copy("cut-off");
            std::fs::write(runs.join("cut-off/metrics.jsonl"), "").unwrap();
            copy("not-valid");
            std::fs::write(runs.join("not-valid/config.json"), "{}").unwrap();
            copy("Bad Name");
            copy("of-a-later-version");
            std::fs::write(runs.join("of-a-later-version/format"), "2\n").unwrap();
            // An earlier version wrote no such file.
            std::fs::remove_file(runs.join("from-a-colleague/format")).unwrap();
        })
        .await;
    // The queue's task looks at the directories before it answers anything.
    let own = server.finish("done").await.id;
    let page: RunPage = server.get("/api/runs").await.json();
    assert_eq!(page.total, 4, "{:?}", page.runs.iter().map(|run| &run.id).collect::<Vec<_>>());
    assert!(page.runs.iter().any(|run| run.id == own));
    let copied = server.run("from-a-colleague").await;
    assert_eq!((copied.state, copied.summary), (RunState::Succeeded, run.summary));
    assert_eq!(server.run("cut-off").await.state, RunState::Failed);
    let attribution = server.get("/api/attributions/from-a-colleague.e1.adversarial").await;
    assert_eq!(attribution.status, StatusCode::OK);
}

#[tokio::test]
async fn a_data_directory_serves_one_server() {
    let server = TestServer::start().await;
    let error = server::state::AppState::open(server.state.settings.clone()).await.unwrap_err();
    assert!(format!("{error:#}").contains("another server uses the data directory"), "{error:#}");
}

#[tokio::test]
async fn nothing_is_queued_where_the_worker_does_not_work() {
    let dir = tempfile::tempdir().unwrap();
    crate::support::write_fixture(dir.path());
    std::fs::write(dir.path().join("broken"), "").unwrap();
    let settings = crate::support::settings(dir.path());
    let server = TestServer::open(dir, settings).await;
    let problem = server.post("/api/runs", &config("done")).await.assert_problem(503, "worker-not-ready", None);
    assert!(problem.detail.contains("cannot load libtorch_cpu.so"), "{problem:?}");
    let health: serde_json::Value = server.get("/api/health").await.json();
    assert_eq!(health["worker"]["status"], "broken");
}
