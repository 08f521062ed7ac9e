//! Lanes beyond this machine, by commands that start workers of this machine.

use std::fs;

use axum::http::{Method, StatusCode};
use serde_json::json;
use shared::api::{JobStanding, LaneKind, LaneTrial, Lanes, Queue, Run, RunState, Sweep};
use shared::id::RunId;

use crate::support::{TestServer, config};

/// Jobs are processes, and the queue is the list of all processes.
const COMMANDS: &str = r#"
poll_secs = 1
[[lane]]
name = "box"
kind = "command"
submit = 'cat > "$JOB_DIR/job.sh"; (setsid bash "$JOB_DIR/job.sh" < /dev/null > /dev/null 2>&1 & echo submitted $!)'
stop = 'kill -TERM -- "-$JOB_ID"'
list = "ps -eo pid=,stat= | awk '$2 !~ /Z/ { print $1, \"running\", \"on this machine\" }'"
try = "bash"
throttle = 2
auto = false
"#;

async fn start(lanes: &str) -> TestServer {
    let lanes = lanes.to_owned();
    TestServer::start_with(move |settings| {
        fs::create_dir_all(&settings.data_dir).unwrap();
        fs::write(settings.data_dir.join("lanes.toml"), lanes).unwrap();
    })
    .await
}

impl TestServer {
    async fn submit_to(&self, name: &str, lane: &str) -> Run {
        let mut config = config(name);
        config["device"] = json!(lane);
        let answer = self.post("/api/runs", &config).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()
    }

    async fn act_on(&self, id: &RunId, action: &str) {
        let answer = self.call(Method::POST, &format!("/api/runs/{id}/{action}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_run_goes_where_it_asks_to_and_ends_like_any_other() {
    let server = start(COMMANDS).await;
    // Before, the devices of this machine are not known.
    server.state.worker_status().await;
    let lanes: Lanes = server.get("/api/lanes").await.json();
    let found: Vec<(&str, LaneKind, Option<u32>)> = lanes.lanes.iter().map(|lane| (lane.name.as_str(), lane.kind, lane.at_once)).collect();
    assert_eq!(found, [("cpu", LaneKind::Local, Some(1)), ("box", LaneKind::Command, Some(2))]);
    assert!(lanes.file.is_some_and(|file| file.ends_with("lanes.toml")));

    let run = server.submit_to("gated", "box").await;
    let running = server.until_running(&run.id).await;
    assert!(running.started_at.is_some());
    let told = server.until(&run.id, |run| matches!(&run.job, Some(job) if job.id.is_some())).await.job.unwrap();
    assert!(told.name.starts_with("crosslens-"), "{told:?}");
    // It is heard of the engine after its directory.
    let node = |run: &Run| matches!(run.job.as_ref().map(|job| &job.standing), Some(JobStanding::Running { node: Some(_), .. }));
    server.until(&run.id, node).await;
    let queue: Queue = server.get("/api/queue").await.json();
    let lane = queue.devices.iter().find(|queue| queue.device == "box").unwrap();
    assert_eq!((lane.kind, lane.runs.len(), lane.trouble.as_deref()), (Some(LaneKind::Command), 1, None));
    fs::write(server.run_dir(&run.id).join("go"), "").unwrap();
    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.failure), (RunState::Succeeded, None));
    assert_eq!(run.job.unwrap().standing, JobStanding::Over);

    let trial: LaneTrial = server.call(Method::POST, "/api/lanes/box/try").await.json();
    assert_eq!(trial.probe.libtorch, "2.11.0");
    server.call(Method::POST, "/api/lanes/nowhere/try").await.assert_problem(404, "lane-not-found", Some("name"));
}

#[tokio::test]
async fn a_run_elsewhere_is_stopped_found_again_and_goes_on() {
    let server = start(COMMANDS).await;
    let canceled = server.submit_to("hung", "box").await.id;
    let paused = server.submit_to("hung", "box").await.id;
    server.until_running(&canceled).await;
    server.until_running(&paused).await;
    let waiting = server.submit_to("done", "box").await.id;
    assert_eq!(server.run(&waiting).await.state, RunState::Queued, "two run at once");
    let server = server.restart(|_| {}).await;
    assert_eq!(server.run(&canceled).await.state, RunState::Running);
    server.act_on(&canceled, "cancel").await;
    server.act_on(&paused, "pause").await;
    assert_eq!(server.until(&canceled, |run| run.state.is_finished()).await.state, RunState::Canceled);
    server.until(&paused, |run| run.state == RunState::Paused).await;
    assert_eq!(server.until(&waiting, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    // What saves by itself goes on, and that is counted.
    let run = server.submit_to("preempted", "box").await.id;
    let run = server.until(&run, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.job.unwrap().interruptions), (RunState::Succeeded, 1));
}

#[tokio::test]
async fn a_run_that_dies_elsewhere_without_a_word_fails_in_the_end() {
    let server = start(COMMANDS).await;
    let run = server.submit_to("killed", "box").await.id;
    let run = server.until(&run, |run| run.state.is_finished()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.failure.unwrap().contains("died before without getting any further"));
}

#[tokio::test]
async fn a_lane_that_refuses_is_down_and_its_runs_wait_or_are_moved() {
    let refusing = COMMANDS.replace("submit = 'cat", "submit = 'echo over quota >&2; exit 1; cat");
    let server = start(&refusing).await;
    let run = server.submit_to("done", "box").await.id;
    let trouble = async || {
        let lanes: Lanes = server.get("/api/lanes").await.json();
        lanes.lanes.into_iter().find_map(|lane| lane.trouble)
    };
    crate::support::until(async || trouble().await.is_some()).await;
    assert!(trouble().await.unwrap().contains("over quota"));
    let health: shared::api::Health = server.get("/api/health").await.json();
    assert!(health.problems.iter().any(|problem| problem.contains("`box` is down") && problem.contains("over quota")), "{health:?}");
    let waiting = server.until(&run, |run| run.state == RunState::Queued && run.job.is_none()).await;
    assert_eq!(waiting.failure, None);
    server.post(&format!("/api/runs/{run}/move"), &json!({ "lane": "nowhere" })).await.assert_problem(404, "lane-not-found", Some("lane"));
    server.post(&format!("/api/runs/{run}/move"), &json!({})).await.assert_problem(400, "invalid-json", Some("to"));
    assert_eq!(server.post(&format!("/api/runs/{run}/move"), &json!({ "lane": "cpu" })).await.status, StatusCode::OK);
    assert_eq!(server.until(&run, |run| run.state.is_finished()).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_file_of_lanes_that_is_wrong_is_refused_at_start_and_when_it_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    crate::support::write_fixture(dir.path());
    let mut settings = crate::support::settings(dir.path());
    let file = dir.path().join("lanes.toml");
    fs::write(&file, "[[lane]]\nname = \"a\"\nkind = \"slurm\"\ntime = \"4h\"\n").unwrap();
    settings.lanes = Some(file.clone());
    let error = server::state::AppState::open(settings.clone()).await.unwrap_err();
    assert!(format!("{error:#}").contains("lane[0].time: `4h` is not a time"), "{error:#}");
    fs::write(&file, "local = true\n").unwrap();
    let server = TestServer::open(dir, settings).await;
    fs::write(&file, "[[lane]]\nname = \"cpu\"\nkind = \"slurm\"\n").unwrap();
    let problem = server.call(Method::POST, "/api/lanes/read").await.assert_problem(422, "invalid-lanes", None);
    assert!(problem.detail.contains("lane[0].name: `cpu`"), "{problem:?}");
    let mut config = config("done");
    config["device"] = json!("a100");
    let problem = server.post("/api/runs", &config).await.assert_problem(422, "invalid-run", Some("device"));
    assert!(problem.detail.contains("`a100` is neither a device of this machine nor a lane; there is cpu"), "{problem:?}");
}

#[tokio::test]
async fn no_more_runs_of_a_sweep_run_at_once_than_may() {
    let server = TestServer::start_with(|settings| settings.rules.at_once = ["cpu=4".parse().unwrap()].into_iter().collect()).await;
    let new = json!({"config": config("gated"), "axes": [{"field": "seed", "values": [1, 2, 3, 4]}], "at_once": 1});
    let sweep: Sweep = server.post("/api/sweeps", &new).await.json();
    assert_eq!(sweep.at_once, Some(1));
    let ids: Vec<RunId> = sweep.runs.iter().map(|run| run.id.clone()).collect();
    server.until_running(&ids[0]).await;
    // A run outside the sweep may start meanwhile.
    server.finish("done").await;
    assert_eq!(server.run(&ids[1]).await.state, RunState::Queued);
    let address = format!("/api/sweeps/{}", sweep.id);
    server.patch(&address, &json!({ "at_once": 0 })).await.assert_problem(422, "invalid-change", Some("at_once"));
    let changed: Sweep = server.patch(&address, &json!({ "at_once": null })).await.json();
    assert_eq!(changed.at_once, None);
    for id in &ids {
        server.until_running(id).await;
    }
}
