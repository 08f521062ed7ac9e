//! Many runs canceled, resumed, deleted and tagged in one request.

use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::api::{Run, RunActionsAnswer, RunState};
use shared::id::RunId;

use crate::support::{TestServer, config};

impl TestServer {
    /// Does something to runs; gives the kind of the problem of each, empty where it was done.
    async fn act(&self, action: &str, ids: &[&str]) -> Vec<(String, String)> {
        self.act_with(&json!({"action": action, "ids": ids})).await
    }

    async fn act_with(&self, body: &Value) -> Vec<(String, String)> {
        let answer = self.post("/api/run-actions", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let RunActionsAnswer { outcomes } = answer.json();
        let kind = |kind: String| kind.trim_start_matches("/problems/").to_owned();
        outcomes.into_iter().map(|outcome| (outcome.id, outcome.problem.map(|problem| kind(problem.kind)).unwrap_or_default())).collect()
    }
}

fn outcomes<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.into_iter().map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect()
}

#[tokio::test]
async fn a_whole_queue_is_canceled_and_nothing_of_it_starts_meanwhile() {
    let server = TestServer::start().await;
    let running = server.submit("hung").await.id;
    server.until_running(&running).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(server.submit("hung").await.id);
    }
    // The running one first: its worker ends while the others are still being canceled.
    let ids: Vec<&str> = std::iter::once(&running).chain(&waiting).map(RunId::as_str).collect();
    let outcomes = server.act("cancel", &ids).await;
    assert_eq!(outcomes.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ids, "in the order of the request");
    assert!(outcomes.iter().all(|(_, problem)| problem.is_empty()), "{outcomes:?}");
    for id in &waiting {
        let run = server.run(id).await;
        assert_eq!((run.state, run.started_at), (RunState::Canceled, None), "{id} has never started");
    }
    assert_eq!(server.until(&running, |run| run.state.is_finished()).await.state, RunState::Canceled);

    let resumed = server.act("resume", &[waiting[0].as_str(), waiting[1].as_str()]).await;
    assert!(resumed.iter().all(|(_, problem)| problem.is_empty()), "{resumed:?}");
    server.until_running(&waiting[0]).await;
    assert_eq!(server.run(&waiting[1]).await.state, RunState::Queued);
}

#[tokio::test]
async fn runs_that_cannot_are_named_and_the_others_are_done() {
    let server = TestServer::start().await;
    let done = server.finish("done").await.id;
    let failed = server.finish("failed").await.id;
    let running = server.submit("hung").await.id;
    server.until_running(&running).await;
    let [done_id, failed_id, running_id] = [&done, &failed, &running].map(RunId::as_str);
    let ids = [done_id, "none", running_id, "Not A Name", failed_id, done_id];

    let found = server.act("resume", &ids).await;
    let unknown = [("none", "run-not-found"), ("Not A Name", "run-not-found")];
    let [none, no_name] = unknown;
    assert_eq!(
        found,
        outcomes([(done_id, "run-not-resumable"), none, (running_id, "run-not-resumable"), no_name, (failed_id, "")]),
        "each run once"
    );
    let found = server.act("cancel", &ids).await;
    assert_eq!(found, outcomes([(done_id, "run-finished"), none, (running_id, ""), no_name, (failed_id, "")]));
    server.until(&running, |run| run.state.is_finished()).await;

    let other = server.submit("hung").await.id;
    server.until_running(&other).await;
    let both = [other.as_str(), done_id, "none"];
    let found = server.act("delete", &both).await;
    assert_eq!(found, outcomes([(other.as_str(), "run-active"), (done_id, ""), none]));
    server.get(&format!("/api/runs/{done}")).await.assert_problem(410, "run-in-trash", None);
    assert_eq!(server.act("resume", &[done_id]).await, outcomes([(done_id, "run-in-trash")]));
    let found = server.act("restore", &both).await;
    assert_eq!(found, outcomes([(other.as_str(), "run-not-in-trash"), (done_id, ""), none]));
    assert_eq!(server.run(&done).await.state, RunState::Succeeded);
    let found = server.act("delete_for_good", &both).await;
    assert_eq!(found, outcomes([(other.as_str(), "run-active"), (done_id, ""), none]));
    assert!(!server.run_dir(&done).exists() && server.run_dir(&other).exists());
    server.get(&format!("/api/runs/{done}")).await.assert_problem(404, "run-not-found", None);
}

#[tokio::test]
async fn tags_are_added_and_removed_beside_those_a_run_has() {
    let server = TestServer::start().await;
    let (a, b) = (server.finish("done").await.id, server.finish("done").await.id);
    let tags = async |id: &RunId| server.run(id).await.tags;
    let many: Vec<String> = (0..12).map(|tag| format!("t{tag}")).collect();
    server.act_with(&json!({"action": "tag", "ids": [a], "add_tags": ["paper", " seeds "]})).await;
    server.act_with(&json!({"action": "tag", "ids": [b], "add_tags": many})).await;
    let found = server.act_with(&json!({"action": "tag", "ids": [a, b, "none"], "add_tags": ["Paper", "new"]})).await;
    assert_eq!(
        found,
        outcomes([(a.as_str(), ""), (b.as_str(), "invalid-change"), ("none", "run-not-found")]),
        "13 tags are too many for one of them"
    );
    assert_eq!((tags(&a).await, tags(&b).await), (vec!["paper".to_owned(), "seeds".to_owned(), "new".to_owned()], many));
    let found = server.act_with(&json!({"action": "tag", "ids": [a, b], "add_tags": ["x"], "remove_tags": ["PAPER", "t3"]})).await;
    assert_eq!(found, outcomes([(a.as_str(), ""), (b.as_str(), "")]), "one goes, one comes");
    assert_eq!(tags(&a).await, ["seeds", "new", "x"]);
    assert_eq!(server.run(&b).await.tags.len(), 12);
    let unchanged: Run = server.run(&a).await;
    assert_eq!(unchanged.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_request_that_says_nothing_or_too_much_is_refused_as_a_whole() {
    let server = TestServer::start().await;
    let run = server.post("/api/runs", &config("done")).await.json::<Run>().id;
    let check = async |body: Value, field: &str, part: &str| {
        let problem = server.post("/api/run-actions", &body).await.assert_problem(422, "invalid-actions", Some(field));
        assert!(problem.detail.contains(part), "{problem:?}");
    };
    check(json!({"action": "cancel", "ids": []}), "ids", "ids is empty").await;
    let many: Vec<String> = (0..1001).map(|number| format!("run-{number}")).collect();
    check(json!({"action": "delete", "ids": many}), "ids", "names 1001 runs; at most 1000").await;
    check(json!({"action": "tag", "ids": [run]}), "add_tags", "is empty").await;
    check(json!({"action": "tag", "ids": [run], "add_tags": ["a,b"]}), "add_tags", "`a,b` holds ','").await;
    check(json!({"action": "delete", "ids": [run], "add_tags": ["a"]}), "add_tags", "`tag` only").await;
    server.post("/api/run-actions", &json!({"action": "stop", "ids": [run]})).await.assert_problem(400, "invalid-json", Some("action"));
    assert_eq!(server.act("cancel", &many.iter().take(1000).map(String::as_str).collect::<Vec<_>>()).await.len(), 1000);
}
