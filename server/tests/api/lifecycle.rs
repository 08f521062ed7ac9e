//! How runs end: by themselves, by a cancel, with their worker, with the server.

use axum::http::{Method, StatusCode};
use serde_json::json;
use shared::api::{Queue, Run, RunPage, RunState, RunSummary};
use shared::id::RunId;
use shared::rundir::StopReason;
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
    assert!(failure.starts_with(words) && failure.ends_with("; it has died before without getting any further"), "{failure}");
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
    // A server that starts now would take it for that of the new worker.
    assert!(!log.contains("the lease of another"), "{log}");
}

#[tokio::test]
async fn a_worker_that_has_saved_is_started_again_unless_the_run_is_paused() {
    check("preempted", RunState::Succeeded, None).await;
    // Whoever may have written into its stop file.
    let server = TestServer::start().await;
    let run = server.submit("paused").await;
    let run = server.until(&run.id, |run| run.state == RunState::Paused).await;
    assert_eq!((run.failure, run.finished_at), (None, None));
}

#[tokio::test]
async fn a_queued_run_is_canceled_at_once() {
    let server = TestServer::start().await;
    let first = server.submit("hung").await;
    server.until_running(&first.id).await;
    let second = server.submit("done").await;
    let canceled: Run = server.call(Method::POST, &format!("/api/runs/{}/cancel", second.id)).await.json();
    assert_eq!((canceled.state, canceled.stopping), (RunState::Canceled, None));
}

#[tokio::test]
async fn a_running_run_is_stopping_until_its_worker_has_saved() {
    let server = TestServer::start().await;
    let run = server.submit("late").await;
    server.until_running(&run.id).await;
    let cancel = format!("/api/runs/{}/cancel", run.id);
    let canceling: Run = server.call(Method::POST, &cancel).await.json();
    assert_eq!((canceling.state, canceling.stopping), (RunState::Running, Some(StopReason::Cancel)));
    assert_eq!(server.call(Method::POST, &cancel).await.status, StatusCode::OK, "asking twice does no harm");

    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.stopping, run.failure.as_deref()), (RunState::Canceled, None, None));
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
async fn a_run_is_paused_and_goes_on_when_a_person_wants_it() {
    let server = TestServer::start().await;
    let running = server.submit("hung").await.id;
    server.until_running(&running).await;
    let queued = server.submit("done").await.id;
    let act = async |id: &RunId, action: &str| server.call(Method::POST, &format!("/api/runs/{id}/{action}")).await;

    let paused: Run = act(&queued, "pause").await.json();
    assert_eq!((paused.state, paused.queue_position), (RunState::Paused, None));
    let pausing: Run = act(&running, "pause").await.json();
    assert_eq!((pausing.state, pausing.stopping), (RunState::Running, Some(StopReason::Pause)));
    let paused = server.until(&running, |run| run.state == RunState::Paused).await;
    assert_eq!((paused.stopping, paused.failure, paused.finished_at), (None, None, None));
    assert_eq!(act(&running, "pause").await.status, StatusCode::OK, "asking twice does no harm");
    let queue: Queue = server.get("/api/queue").await.json();
    assert!(queue.devices[0].runs.is_empty(), "{queue:?}");

    // It survives a restart.
    let server = server.restart(|_| {}).await;
    let act = async |id: &RunId, action: &str| server.call(Method::POST, &format!("/api/runs/{id}/{action}")).await;
    assert_eq!(server.run(&running).await.state, RunState::Paused);
    assert_eq!(act(&queued, "resume").await.status, StatusCode::OK);
    assert_eq!(server.until(&queued, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    act(&queued, "pause").await.assert_problem(409, "run-finished", Some("id"));
    act(&running, "resume").await;
    server.until_running(&running).await;
    // Whoever does not want it at all cancels it, also while it is pausing.
    act(&running, "pause").await;
    act(&running, "cancel").await;
    assert_eq!(server.until(&running, |run| !run.state.is_active()).await.state, RunState::Canceled);
    let paused = server.submit("hung").await.id;
    server.until_running(&paused).await;
    act(&paused, "cancel").await;
    act(&paused, "pause").await.assert_problem(409, "run-finished", Some("id"));
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_even_after_a_restart() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await.id;
    server.until_running(&running).await;
    let queue: Queue = server.patch("/api/queue", &json!({ "paused": true })).await.json();
    assert!(queue.paused);
    let queued = server.submit("done").await.id;
    let server = server.restart(|_| {}).await;
    std::fs::write(server.run_dir(&running).join("go"), "").unwrap();
    assert_eq!(server.until(&running, |run| run.state.is_finished()).await.state, RunState::Succeeded, "what runs goes on");
    assert_eq!(server.run(&queued).await.state, RunState::Queued);
    let queue: Queue = server.get("/api/queue").await.json();
    assert_eq!((queue.paused, queue.devices[0].runs[0].finishes_in_secs), (true, None));
    server.patch("/api/queue", &json!({ "paused": false })).await;
    assert_eq!(server.until(&queued, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    server.patch("/api/queue", &json!({ "paused": "yes" })).await.assert_problem(400, "invalid-json", Some("paused"));
}

#[tokio::test]
async fn a_device_runs_as_many_runs_at_once_as_its_owner_says() {
    let server = TestServer::start_with(|settings| settings.rules.at_once = ["cpu=2".parse().unwrap()].into_iter().collect()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.submit("gated").await.id);
    }
    server.until_running(&ids[0]).await;
    server.until_running(&ids[1]).await;
    assert_eq!(server.run(&ids[2]).await.state, RunState::Queued);
    let queue: Queue = server.get("/api/queue").await.json();
    assert_eq!((queue.devices[0].at_once, queue.devices[0].runs.len()), (Some(2), 3));
    std::fs::write(server.run_dir(&ids[1]).join("go"), "").unwrap();
    server.until_running(&ids[2]).await;
    assert_eq!(server.run(&ids[0]).await.state, RunState::Running);
}

#[tokio::test]
async fn runs_go_on_while_the_server_is_away() {
    let server = TestServer::start().await;
    let done = server.finish("done").await;
    let running = server.submit("gated").await.id;
    server.until_running(&running).await;
    let meanwhile = server.submit("done").await.id;
    let mut server = server;
    for _ in 0..3 {
        server = server.restart(|_| {}).await;
        let run = server.until(&running, |run| run.state == RunState::Running).await;
        assert_eq!((run.failure, run.stopping), (None, None));
    }
    assert_eq!(server.run(&done.id).await, done, "a finished run never changes");
    assert_eq!(server.run(&meanwhile).await.state, RunState::Queued, "its device is not free");
    let go = server.run_dir(&running).join("go");
    // It ends while no server looks.
    let ended = server.run_dir(&running).join("exit_code");
    let server = server
        .restart(move |_| {
            std::fs::write(go, "").unwrap();
            while !ended.exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .await;
    let run = server.until(&running, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.failure, run.summary.epoch), (RunState::Succeeded, None, 2));
    let log = server.get(&format!("/api/runs/{running}/log")).await.text();
    assert_eq!(log, "worker begins\n", "one worker did it all");
    assert_eq!(server.until(&meanwhile, |run| run.state.is_finished()).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_worker_that_was_found_again_is_canceled_like_any_other() {
    let server = TestServer::start_with(|settings| settings.stop_grace = Duration::from_millis(500)).await;
    let cancel = async |server: &TestServer, id: &RunId| {
        server.call(Method::POST, &format!("/api/runs/{id}/cancel")).await;
    };
    let obeying = server.submit("hung").await.id;
    server.until_running(&obeying).await;
    let server = server.restart(|_| {}).await;
    cancel(&server, &obeying).await;
    let run = server.until(&obeying, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.failure), (RunState::Canceled, None));

    let stubborn = server.submit("stubborn").await.id;
    server.until_running(&stubborn).await;
    // The server ends before the worker does.
    cancel(&server, &stubborn).await;
    let server = server.restart(|_| {}).await;
    let run = server.until(&stubborn, |run| run.state.is_finished()).await;
    assert!(run.state == RunState::Canceled && run.failure.as_deref().unwrap().contains("did not stop in time"), "{run:?}");
}

#[tokio::test]
async fn a_server_that_is_to_stop_its_runs_saves_them_and_the_next_goes_on() {
    let server = TestServer::start_with(|settings| settings.rules.stop_runs = true).await;
    let running = server.submit("hung").await;
    server.until_running(&running.id).await;
    let queued = server.submit("done").await;
    let server = server.restart(|_| {}).await;
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
    let disk_bytes = copied.summary.disk_bytes;
    assert_eq!((copied.state, copied.summary), (RunState::Succeeded, RunSummary { disk_bytes, ..run.summary }));
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
