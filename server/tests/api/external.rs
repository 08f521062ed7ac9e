//! Runs that other programs write into the folder of runs.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use axum::http::Method;
use lease::{Held, Watch};
use serde_json::{Value, json};
use shared::api::{Run, RunState};
use shared::record::{Finished, Record};

use crate::support::{TestServer, until};

/// A program that writes a run.
struct Program {
    directory: PathBuf,
    lease: Option<Held>,
}

impl Program {
    /// Begins a run, or goes on with it.
    fn start(server: &TestServer, id: &str) -> Self {
        let directory = server.run_dir(id);
        fs::create_dir_all(&directory).unwrap();
        let lease = Held::take(&mut Watch::new(&directory), None, || {}).unwrap();
        assert!(lease.is_some());
        fs::write(directory.join("config.json"), config().to_string()).unwrap();
        Program { directory, lease }
    }

    fn write(&self, record: &Record) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.directory.join("metrics.jsonl")).unwrap();
        writeln!(file, "{}", serde_json::to_string(record).unwrap()).unwrap();
    }

    /// Ends as a process that is killed: its lease stays.
    fn die(mut self) {
        let path = self.directory.join("lease.json");
        let mut lease: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        lease["started"] = json!(1);
        fs::write(path, lease.to_string()).unwrap();
        // It leaves a lease that is not its own.
        drop(self.lease.take());
    }
}

fn config() -> Value {
    json!({
        "kind": "external", "name": "Mine", "classes": ["a", "b"], "epochs": 9,
        "attack": {"norm": "linf", "eps": "8/255"}, "settings": {"optimizer": "SGD", "eps": 1}
    })
}

fn epoch(number: u32) -> Record {
    let robust = f64::from(number) / 10.0;
    serde_json::from_value(json!({
        "type": "epoch", "epoch": number, "learning_rate": 0.1, "test_robust_accuracy": robust, "seconds": 1.0, "elapsed_secs": 1.0
    }))
    .unwrap()
}

fn finished() -> Record {
    Record::Finished(Finished { best_epoch: 2, last_epoch: 2, elapsed_secs: 2.0 })
}

async fn until_shown(server: &TestServer, id: &str) {
    until(async || server.get(&format!("/api/runs/{id}")).await.status == 200).await;
}

async fn until_state(server: &TestServer, id: &str, state: RunState) -> Run {
    until_shown(server, id).await;
    server.until(id, |run| run.state == state).await
}

#[tokio::test]
async fn a_run_is_shown_while_its_program_writes_it() {
    let server = TestServer::start().await;
    let program = Program::start(&server, "mine");
    let run = until_state(&server, "mine", RunState::Running).await;
    assert_eq!((run.title.as_str(), run.summary.epochs), ("Mine", 9));
    program.write(&epoch(1));
    server.until("mine", |run| run.summary.epoch == 1).await;
    program.write(&epoch(2));
    program.write(&finished());
    drop(program);
    let run = until_state(&server, "mine", RunState::Succeeded).await;
    assert_eq!(run.summary.best.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_run_whose_program_is_gone_is_lost_until_it_goes_on() {
    let server = TestServer::start().await;
    let program = Program::start(&server, "mine");
    program.write(&epoch(1));
    until_state(&server, "mine", RunState::Running).await;
    program.die();
    let run = until_state(&server, "mine", RunState::Failed).await;
    assert_eq!(run.failure.as_deref(), Some("the program that writes it shows no sign of life; started again, it can go on"));
    assert_eq!(run.summary.epoch, 1);
    server.call(Method::POST, "/api/runs/mine/resume").await.assert_problem(409, "run-not-resumable", Some("id"));

    let program = Program::start(&server, "mine");
    let run = until_state(&server, "mine", RunState::Running).await;
    assert_eq!((run.failure, run.finished_at), (None, None));
    drop(program);
    let run = until_state(&server, "mine", RunState::Failed).await;
    assert_eq!(run.failure.as_deref(), Some("the program that writes it has ended before the run did; started again, it can go on"));
}

#[tokio::test]
async fn a_program_is_told_that_its_run_is_canceled() {
    let server = TestServer::start().await;
    let program = Program::start(&server, "mine");
    until_state(&server, "mine", RunState::Running).await;
    server.call(Method::DELETE, "/api/runs/mine").await.assert_problem(409, "run-active", Some("id"));
    assert!(server.call(Method::POST, "/api/runs/mine/cancel").await.json::<Run>().stopping.is_some());
    assert_eq!(fs::read_to_string(program.directory.join("stop")).unwrap(), "cancel\n");
    let directory = program.directory.clone();
    drop(program);
    until_state(&server, "mine", RunState::Canceled).await;
    assert_eq!(server.call(Method::DELETE, "/api/runs/mine?for_good=true").await.status, 204);
    assert!(!directory.exists());
    // Its name can be used again.
    let _program = Program::start(&server, "mine");
    until_state(&server, "mine", RunState::Running).await;
}

#[tokio::test]
async fn runs_go_on_while_the_server_is_away() {
    let server = TestServer::start().await;
    let [stays, ends, dies, vanishes] = ["stays", "ends", "dies", "vanishes"].map(|id| Program::start(&server, id));
    for id in ["stays", "ends", "dies", "vanishes"] {
        until_state(&server, id, RunState::Running).await;
    }
    let server = server
        .restart(|_| {
            ends.write(&finished());
            drop(ends);
            dies.die();
            fs::remove_dir_all(&vanishes.directory).unwrap();
            drop(vanishes);
        })
        .await;
    until_state(&server, "ends", RunState::Succeeded).await;
    until_state(&server, "dies", RunState::Failed).await;
    assert_eq!(until_state(&server, "vanishes", RunState::Failed).await.failure.as_deref(), Some("its directory is gone"));
    assert_eq!(server.run("stays").await.state, RunState::Running);
    drop(stays);
    until_state(&server, "stays", RunState::Failed).await;
}

#[tokio::test]
async fn a_directory_that_is_copied_here_is_shown_as_it_ended() {
    let server = TestServer::start().await;
    let directory = server.run_dir("copied");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("metrics.jsonl"), format!("{}\n", serde_json::to_string(&finished()).unwrap())).unwrap();
    fs::write(directory.join("config.json"), config().to_string()).unwrap();
    until_state(&server, "copied", RunState::Succeeded).await;
}

#[tokio::test]
async fn it_is_neither_submitted_nor_measured() {
    let server = TestServer::start().await;
    server.post("/api/runs", &config()).await.assert_problem(422, "invalid-run", Some("kind"));
    let _program = Program::start(&server, "mine");
    until_state(&server, "mine", RunState::Running).await;
    let measurement = json!({"kind": "attribute", "checkpoint": "mine.best"});
    let problem = server.post("/api/runs", &measurement).await.assert_problem(422, "invalid-run", Some("checkpoint"));
    assert!(problem.detail.contains("only the program that trains it knows"), "{problem:?}");
}
