//! Deleting, restoring, and deleting for good; and the disk space that runs take.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::api::{NewLink, Run, RunDisk, RunEstimate, RunPage, RunRows, RunState, Share, SharedView, Sweep, Trash};
use shared::config::RunKind;
use shared::id::RunId;

use crate::support::{TestServer, config, until};

impl TestServer {
    async fn delete(&self, id: &RunId) {
        let answer = self.call(Method::DELETE, &format!("/api/runs/{id}")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    }

    async fn restore(&self, id: &RunId) -> Run {
        self.call(Method::POST, &format!("/api/runs/{id}/restore")).await.json()
    }

    async fn trash(&self) -> Trash {
        self.get("/api/trash").await.json()
    }
}

#[tokio::test]
async fn a_deleted_run_is_in_the_trash_and_comes_back_as_it_was() {
    let server = TestServer::start().await;
    let (kept, run) = (server.finish("done").await, server.finish("done").await);
    let uri = format!("/api/runs/{}", run.id);
    let view = format!("/compare?a={}.e1.adversarial&b={}.e2.adversarial", kept.id, run.id);
    let share: NewLink = server.post("/api/shares", &json!({"view": view, "title": "Both"})).await.json();
    let shared = format!("/api/shares/{}", share.token);
    let before: RunRows = server.get("/api/run-rows").await.json();
    assert_eq!(run.summary.disk_bytes, Some(server.get(&format!("{uri}/disk")).await.json::<RunDisk>().used.total_bytes()));

    server.delete(&run.id).await;
    let Trash { days, runs } = server.trash().await;
    let [trashed] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((days, &trashed.id, trashed.title.as_str(), trashed.state), (7, &run.id, "done", RunState::Succeeded));
    assert_eq!(trashed.disk_bytes, run.summary.disk_bytes);
    assert!(trashed.deleted_at < trashed.gone_at, "{trashed:?}");
    assert!(server.run_dir(&run.id).join("checkpoints/e1.safetensors").exists(), "its files stay where they are");

    // It is nowhere else.
    let page: RunPage = server.get("/api/runs").await.json();
    assert_eq!((page.total, page.runs), (1, vec![kept.clone()]));
    let rows: RunRows = server.get("/api/run-rows").await.json();
    assert_eq!(rows.rows.iter().map(|row| &row.id).collect::<Vec<_>>(), [&kept.id]);
    let news: RunRows = server.get(&format!("/api/run-rows?since={}", before.cursor)).await.json();
    assert_eq!((news.rows.len(), &news.deleted), (0, &vec![run.id.clone()]));
    for address in [
        uri.clone(),
        format!("{uri}/metrics"),
        format!("{uri}/checkpoints"),
        format!("/api/checkpoints/{}.e1/file", run.id),
        format!("/api/attributions/{}.e1.adversarial", run.id),
        format!("/api{}", view.replace("/compare", "/comparisons")),
    ] {
        let problem = server.get(&address).await.assert_problem(410, "run-in-trash", None);
        assert!(problem.detail.contains("is in the trash"), "{address}: {problem:?}");
    }
    server.get(&shared).await.assert_problem(410, "share-deleted", Some("token"));
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>().len(), 1, "the link can still be withdrawn");
    let measuring = json!({"kind": "attribute", "checkpoint": format!("{}.best", run.id)});
    let problem = server.post("/api/runs", &measuring).await.assert_problem(422, "invalid-run", Some("checkpoint"));
    assert!(problem.detail.contains("in the trash"), "{problem:?}");
    for (method, action) in [(Method::POST, "/cancel"), (Method::POST, "/resume"), (Method::DELETE, "")] {
        server.call(method, &format!("{uri}{action}")).await.assert_problem(410, "run-in-trash", Some("id"));
    }
    server.call(Method::POST, &format!("/api/runs/{}/restore", kept.id)).await.assert_problem(409, "run-not-in-trash", Some("id"));
    server.call(Method::POST, "/api/runs/none/restore").await.assert_problem(404, "run-not-found", Some("id"));

    // It is still there after a restart, and comes back whole.
    let server = server.restart(|_| {}).await;
    assert_eq!(server.trash().await.runs, runs);
    let cursor = server.get("/api/run-rows").await.json::<RunRows>().cursor;
    assert_eq!(server.restore(&run.id).await, run);
    let news: RunRows = server.get(&format!("/api/run-rows?since={cursor}")).await.json();
    assert_eq!((news.rows.iter().map(|row| &row.id).collect::<Vec<_>>(), news.deleted.len()), (vec![&run.id], 0));
    assert_eq!(server.get(&shared).await.json::<SharedView>().share, share.share);
    assert_eq!(server.trash().await.runs.len(), 0);
}

#[tokio::test]
async fn a_queued_run_does_not_start_while_it_is_in_the_trash() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    server.call(Method::DELETE, &format!("/api/runs/{}", running.id)).await.assert_problem(409, "run-active", Some("id"));
    let (first, second) = (server.submit("done").await, server.submit("done").await);
    server.delete(&first.id).await;
    assert_eq!(server.run(&second.id).await.queue_position, Some(0));
    assert_eq!(server.get("/api/health").await.json::<Value>()["queued"], json!(1));
    std::fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    server.until(&second.id, |run| run.state == RunState::Succeeded).await;
    assert!(!server.run_dir(&first.id).join("log.txt").exists());
    server.restore(&first.id).await;
    server.until(&first.id, |run| run.state == RunState::Succeeded).await;
}

#[tokio::test]
async fn what_was_in_the_trash_for_long_enough_is_deleted_for_good() {
    let server = TestServer::start().await;
    let (old, new, kept) = (server.finish("done").await, server.finish("done").await, server.finish("done").await);
    for id in [&old.id, &new.id] {
        server.delete(id).await;
    }
    // The first run of the database.
    server.sql("UPDATE runs SET deleted_at = '2026-01-01T00:00:00.000Z' WHERE seq = 1").await;
    let server = server.restart(|_| {}).await;
    until(async || server.trash().await.runs.len() == 1).await;
    assert_eq!(server.trash().await.runs[0].id, new.id);
    assert!(!server.run_dir(&old.id).exists() && server.run_dir(&new.id).exists());
    server.get(&format!("/api/runs/{}", old.id)).await.assert_problem(404, "run-not-found", Some("id"));

    // Nothing is kept.
    let server = server.restart_with(|settings| settings.trash_days = 0).await;
    until(async || server.trash().await.runs.is_empty()).await;
    server.delete(&kept.id).await;
    server.get(&format!("/api/runs/{}", kept.id)).await.assert_problem(404, "run-not-found", Some("id"));
    assert!(!server.run_dir(&kept.id).exists());
}

#[tokio::test]
async fn a_run_of_an_unknown_kind_hides_no_other_in_the_trash() {
    let server = TestServer::start().await;
    for _ in 0..2 {
        server.delete(&server.finish("done").await.id).await;
    }
    // As a newer version may have left it.
    server.sql("UPDATE runs SET config = json_set(config, '$.kind', 'dream') WHERE seq = 1").await;
    let kinds: Vec<_> = server.trash().await.runs.into_iter().map(|run| run.kind).collect();
    assert_eq!(kinds, [Some(RunKind::Train), None]);
}

#[tokio::test]
async fn a_run_in_the_trash_is_deleted_for_good_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    server.delete(&run.id).await;
    let for_good = format!("/api/runs/{}?for_good=true", run.id);
    server.sql("CREATE TRIGGER refuse BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'locked away'); END").await;
    assert_eq!(server.call(Method::DELETE, &for_good).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(server.run_dir(&run.id).join("checkpoints/e1.safetensors").exists());
    server.sql("DROP TRIGGER refuse").await;
    assert_eq!(server.restore(&run.id).await, run);
    server.delete(&run.id).await;
    assert_eq!(server.call(Method::DELETE, &for_good).await.status, StatusCode::NO_CONTENT);
    assert!(!server.run_dir(&run.id).exists() && server.trash().await.runs.is_empty());
}

#[tokio::test]
async fn a_whole_sweep_goes_to_the_trash_and_comes_back() {
    let server = TestServer::start().await;
    let axes = json!([{"field": "seed", "values": [1, 2]}]);
    let sweep: Sweep = server.post("/api/sweeps", &json!({"config": config("done"), "axes": axes})).await.json();
    let uri = format!("/api/sweeps/{}", sweep.id);
    let ids: Vec<&RunId> = sweep.runs.iter().map(|run| &run.id).collect();
    for id in &ids {
        server.until(id, |run| run.state.is_finished()).await;
    }
    server.post("/api/run-actions", &json!({"action": "delete", "ids": ids})).await;
    server.get(&uri).await.assert_problem(404, "sweep-not-found", Some("id"));
    assert!(server.trash().await.runs.iter().all(|run| run.sweep.as_ref() == Some(&sweep.id)));
    server.post("/api/run-actions", &json!({"action": "restore", "ids": ids})).await;
    assert_eq!(server.get(&uri).await.json::<Sweep>().runs.len(), 2);
}

#[tokio::test]
async fn the_disk_space_of_a_run_is_told_by_kind() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    let disk = |id: &RunId| format!("/api/runs/{id}/disk");
    let before: RunDisk = server.get(&disk(&running.id)).await.json();
    assert_eq!((before.used.checkpoints_bytes, before.used.state_bytes), (0, 0));
    assert!(before.estimate.is_some() && before.free_bytes > 0);
    std::fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    let run = server.until(&running.id, |run| run.state.is_finished()).await;
    let after: RunDisk = server.get(&disk(&run.id)).await.json();
    assert_eq!(after.used.checkpoints_bytes, 2 * "weights of epoch 1".len() as u64);
    assert_eq!((run.summary.disk_bytes, after.estimate), (Some(after.used.total_bytes()), None));
    let rows: RunRows = server.get("/api/run-rows").await.json();
    assert_eq!(rows.rows[0].disk_bytes, run.summary.disk_bytes);
    server.get("/api/runs/none/disk").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn runs_of_earlier_versions_are_measured_at_the_start() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    server.sql("UPDATE runs SET summary = json_remove(summary, '$.disk_bytes')").await;
    assert_eq!(server.run(&run.id).await.summary.disk_bytes, None);
    let server = server.restart(|_| {}).await;
    server.until(&run.id, |now| now.summary.disk_bytes == run.summary.disk_bytes).await;
}

#[tokio::test]
async fn what_runs_will_take_is_estimated_before_they_are_submitted() {
    let server = TestServer::start().await;
    let estimate = async |body: Value| -> RunEstimate { server.post("/api/estimate", &body).await.json() };
    let one = estimate(json!({"config": config("done")})).await;
    let disk = one.disk.unwrap();
    assert_eq!((one.runs, one.expected_bytes, disk.checkpoints), (1, 0, 2));
    assert!(disk.most_bytes > disk.leaves.total_bytes());
    let axes = json!([{"field": "seed", "values": [1, 2, 3]}]);
    let three = estimate(json!({"config": config("done"), "axes": axes})).await;
    let all = three.disk.unwrap();
    assert_eq!((three.runs, all.leaves.total_bytes()), (3, 3 * disk.leaves.total_bytes()));
    assert_eq!(all.most_bytes - all.leaves.total_bytes(), disk.most_bytes - disk.leaves.total_bytes(), "only one runs at a time");
    let measuring = estimate(json!({"config": {"kind": "attribute", "checkpoint": "r-1.best"}})).await;
    assert_eq!((measuring.disk, measuring.warning), (None, None));
    let wrong = json!({"config": {"kind": "train"}});
    server.post("/api/estimate", &wrong).await.assert_problem(422, "invalid-run", Some("config.data"));

    // What waits or runs is counted.
    let running = server.submit("hung").await;
    server.until_running(&running.id).await;
    let waiting = server.submit("done").await;
    let expected = estimate(json!({"config": config("done")})).await.expected_bytes;
    assert!(expected > disk.most_bytes && expected < 2 * disk.most_bytes, "{expected}, and one takes {}", disk.most_bytes);
    server.delete(&waiting.id).await;
    assert!(estimate(json!({"config": config("done")})).await.expected_bytes <= disk.most_bytes);
}

/// A network of 2048 channels that keeps every checkpoint: terabytes.
fn huge(epochs: u32) -> Value {
    let mut huge = config("done");
    huge["data"] = json!({"dataset": "synthetic"});
    huge["model"] = json!({"architecture": "wide_resnet34", "width": 2048});
    huge["training"]["epochs"] = json!(epochs);
    huge["checkpoints"]["every"] = json!(1);
    huge
}

#[tokio::test]
async fn a_run_that_the_disk_may_not_hold_is_warned_of_and_one_that_it_never_can_is_refused() {
    let server = TestServer::start().await;
    let one: RunEstimate = server.post("/api/estimate", &json!({"config": huge(10_000)})).await.json();
    let warning = one.warning.unwrap();
    assert!(warning.contains("this will write about") && warning.contains("keep fewer checkpoints"), "{warning}");
    let problem = server.post("/api/runs", &huge(10_000)).await.assert_problem(422, "invalid-run", Some("checkpoints"));
    assert!(problem.detail.contains("the whole disk has"), "{problem:?}");
}
