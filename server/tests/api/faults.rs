//! What breaks around a server: run directories, records, the database, the worker program, the clock. Each test breaks
//! one thing and asks for the message that says what to do, that nothing is lost, and that everything else goes on.
//! `docs/reliability.md` lists them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use server::state::AppState;
use shared::api::{Queue, Run, RunPage, RunRecords, RunRows, RunState, RunSummary};
use shared::record::{Metrics, NoticeKind};
use sqlx::{Connection, SqliteConnection};

use crate::process::{Program, command};
use crate::support::{TestServer, config, until, write_fixture};

/// Lets a program fail where its user has no right to, also if that user is root, who otherwise may do everything.
fn without_privileges(command: &mut Command) {
    /// Of `linux/capability.h`: to go past the permissions of files.
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    // SAFETY: prctl takes two numbers, and the child calls nothing else between fork and exec. Without root it fails,
    // and is not needed.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
            Ok(())
        });
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Why a server does not start on a data directory.
async fn refusal(settings: &server::state::Settings) -> String {
    format!("{:#}", AppState::open(settings.clone()).await.expect_err("it does not start"))
}

#[test]
fn a_run_directory_that_cannot_be_written_stops_only_its_run() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut program = command(dir.path(), &[]);
    without_privileges(&mut program);
    let program = Program::spawn(program);
    let (running, locked) = (program.submit("hung"), program.submit("done"));
    let folder = dir.path().join("data/runs").join(&locked);
    set_mode(&folder, 0o555);
    let after = program.submit("done");
    program.until(&running, |run| run.state == RunState::Running);
    program.cancel(&running);
    let failed = program.until(&locked, |run| run.state.is_finished());
    let said = failed.failure.unwrap();
    assert!(said.contains(&format!("{locked}` cannot be written")) && said.contains("let the user of the server write there"), "{said}");
    assert_eq!(program.until(&after, |run| run.state.is_finished()).state, RunState::Succeeded);

    set_mode(&folder, 0o755);
    assert_eq!(program.ask("POST", &format!("/api/runs/{locked}/resume"), "", "").0, 200);
    assert_eq!(program.until(&locked, |run| run.state.is_finished()).state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_directory_that_is_gone_is_not_blamed_on_the_worker() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    let waiting = server.submit("done").await;
    let after = server.submit("done").await;
    // Away before it starts, and away while it runs.
    let away = server.dir.path().join("away");
    fs::rename(server.run_dir(&waiting.id), &away).unwrap();
    let moved = server.dir.path().join("moved");
    fs::rename(server.run_dir(&running.id), &moved).unwrap();
    fs::write(moved.join("go"), "").unwrap();
    for run in [&running, &waiting] {
        let ended = server.until(&run.id, |run| run.state.is_finished()).await;
        let said = ended.failure.unwrap();
        assert_eq!(ended.state, RunState::Failed);
        assert!(said.contains("its directory") && said.contains("bring it back") && !said.contains("worker.sh"), "{said}");
    }
    assert_eq!(server.until(&after.id, |run| run.state.is_finished()).await.state, RunState::Succeeded);

    fs::rename(&away, server.run_dir(&waiting.id)).unwrap();
    server.call(Method::POST, &format!("/api/runs/{}/resume", waiting.id)).await;
    assert_eq!(server.until(&waiting.id, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    assert_eq!(server.call(Method::DELETE, &format!("/api/runs/{}", running.id)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn records_with_foreign_lines_are_read_without_them_and_say_so() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let file = server.run_dir(&run.id).join("metrics.jsonl");
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(b"\xff\xfe\0\x01 no text\n[1]\n");
    let epoch = r#"{"type":"epoch","epoch":1000000,"learning_rate":0.1,"test_robust_accuracy":1.0,"seconds":1.0,"elapsed_secs":1.0}"#;
    bytes.extend_from_slice(epoch.as_bytes());
    bytes.push(b'\n');
    fs::write(&file, bytes).unwrap();

    let metrics: Metrics = server.get(&format!("/api/runs/{}/metrics", run.id)).await.json();
    assert_eq!((metrics.epochs.len(), metrics.left_out, metrics.best().unwrap().epoch), (2, 3, 1));
    let notice = metrics.all_notices().into_iter().find(|notice| notice.kind == NoticeKind::LeftOut).unwrap();
    assert!(notice.message.contains("3 lines of its records"), "{notice:?}");
    // Who follows the run counts the same.
    let answer: RunRecords = server.get(&format!("/api/runs/{}/records", run.id)).await.json();
    let mut followed = Metrics::from_records(answer.records);
    followed.leave_out(answer.left_out);
    assert_eq!(followed, metrics);
    let figure = server.get(&format!("/api/runs/{}/curves?format=svg", run.id)).await;
    assert!(figure.status == StatusCode::OK && figure.body.len() < 1_000_000, "{} bytes", figure.body.len());
    let server = server.restart(|_| {}).await;
    assert_eq!(server.run(&run.id).await, run);
}

#[tokio::test]
async fn a_damaged_database_is_left_alone_and_a_new_one_takes_everything_in() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let labels = json!({"title": "Best so far", "tags": ["paper", "two words"], "notes": "Look at cat and dog.\nTwice."});
    let change = axum::http::Request::builder().method(Method::PATCH).uri(format!("/api/runs/{}", run.id)).header("host", "localhost:8000");
    let change = change.header("content-type", "application/json").body(axum::body::Body::from(labels.to_string())).unwrap();
    let labeled: Run = server.send(change).await.json();
    assert_eq!((labeled.title.as_str(), labeled.tags.len()), ("Best so far", 2));

    let (dir, settings) = server.stop().await;
    let database = dir.path().join("data/crosslens.db");
    let mut bytes = fs::read(&database).unwrap();
    // The first page tells that it is a database.
    const PAGE: usize = 4096;
    bytes[PAGE..].chunks_mut(PAGE).for_each(|page| page[..64].fill(0xa5));
    fs::write(&database, &bytes).unwrap();
    let said = refusal(&settings).await;
    assert!(said.contains("crosslens.db; it is damaged") && said.contains("restore a backup, or move the file away"), "{said}");
    assert_eq!(fs::read(&database).unwrap(), bytes, "nothing is written to it");
    fs::write(&database, "no database at all, but long enough to be looked at: ".repeat(20)).unwrap();
    let said = refusal(&settings).await;
    assert!(said.contains("not a database") && said.contains("move the file away"), "{said}");

    for entry in fs::read_dir(dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("crosslens.db") {
            fs::remove_file(path).unwrap();
        }
    }
    let server = TestServer::open(dir, settings).await;
    // The queue's task takes directories in before it answers anything.
    server.finish("done").await;
    let found = server.run(&run.id).await;
    assert_eq!((found.title, found.tags, found.notes), (labeled.title, labeled.tags, labeled.notes));
    // Its labels lie beside it now.
    let disk_bytes = found.summary.disk_bytes;
    assert_eq!((found.state, found.summary), (RunState::Succeeded, RunSummary { disk_bytes, ..run.summary }));
}

#[tokio::test]
async fn labels_that_an_earlier_version_kept_in_the_database_alone_are_written_beside_the_run() {
    let server = TestServer::start().await;
    let (named, plain) = (server.finish("done").await, server.finish("done").await);
    server.sql("UPDATE runs SET notes = 'Only here.' WHERE seq = 1").await;
    let server = server.restart(|_| {}).await;
    server.finish("done").await;
    let file = fs::read_to_string(server.run_dir(&named.id).join("labels.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), json!({"title": "done", "tags": [], "notes": "Only here."}));
    assert!(!server.run_dir(&plain.id).join("labels.json").exists());
}

#[tokio::test]
async fn labels_that_no_run_can_have_are_not_taken_in() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let server = server
        .restart(|dir| {
            let copy = dir.join("data/runs/copy");
            let from = dir.join("data/runs").join(run.id.as_str());
            assert!(Command::new("cp").arg("-r").arg(from).arg(&copy).status().unwrap().success());
            fs::write(copy.join("labels.json"), r#"{"title": "two\nlines", "tags": [], "notes": ""}"#).unwrap();
        })
        .await;
    server.finish("done").await;
    assert_eq!(server.run("copy").await.title, "done");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let server = TestServer::start().await;
    server
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of the future', true, x'00', 0)",
        )
        .await;
    let (_dir, settings) = server.stop().await;
    let said = refusal(&settings).await;
    assert!(said.contains("of a newer version of CrossLens") && said.contains("9999") && said.contains("restore a backup"), "{said}");
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_named() {
    let server = TestServer::start().await;
    let (dir, settings) = server.stop().await;
    let address = format!("sqlite://{}", dir.path().join("data/crosslens.db").display());
    let mut other = SqliteConnection::connect(&address).await.unwrap();
    sqlx::raw_sql("PRAGMA locking_mode = EXCLUSIVE; UPDATE changes SET revision = revision").execute(&mut other).await.unwrap();
    let said = refusal(&settings).await;
    assert!(said.contains("crosslens.db; another program holds it: close that program and start again"), "{said}");
    other.close().await.unwrap();
    TestServer::open(dir, settings).await;
}

#[test]
fn a_database_or_a_data_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    drop(Program::spawn(command(dir.path(), &[])));
    let refused = || {
        let mut program = command(dir.path(), &[]);
        without_privileges(&mut program);
        let output = program.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let database = dir.path().join("data/crosslens.db");
    set_mode(&database, 0o444);
    let said = refused();
    assert!(said.contains("crosslens.db; let this user write to the file and to its folder"), "{said}");
    set_mode(&database, 0o644);
    for name in ["server.lock", "runs"] {
        let path = dir.path().join("data").join(name);
        let before = fs::metadata(&path).unwrap().permissions().mode();
        set_mode(&path, before & 0o555);
        let said = refused();
        assert!(said.contains(&format!("data/{name}")) && said.contains("let this user write there"), "{name}: {said}");
        set_mode(&path, before);
    }
    drop(Program::spawn(command(dir.path(), &[])));
}

#[tokio::test]
async fn a_clock_that_was_set_back_changes_no_order_and_loses_nothing() {
    let server = TestServer::start().await;
    let before = server.finish("done").await;
    server.sql("UPDATE runs SET created_at = '2099-01-01T00:00:00.000Z', started_at = '2099-01-01T00:00:01.000Z'").await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    server.sql("UPDATE runs SET started_at = '2099-01-01T00:00:02.000Z' WHERE state = 'running'").await;
    let queue: Queue = server.get("/api/queue").await.json();
    assert_eq!(queue.devices[0].runs.len(), 1);
    fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    let after = server.until(&running.id, |run| run.state.is_finished()).await;
    assert_eq!(after.state, RunState::Succeeded);
    let page: RunPage = server.get("/api/runs").await.json();
    assert_eq!(page.runs.iter().map(|run| &run.id).collect::<Vec<_>>(), [&running.id, &before.id], "the newest submission comes first");
    // Neither is an example of how long runs take.
    let queued: Queue = server.get("/api/queue").await.json();
    assert!(queued.devices.iter().all(|device| device.runs.is_empty()));
    let server = server.restart(|_| {}).await;
    assert_eq!(server.run(&after.id).await, after);
    server.finish("done").await;
}

#[tokio::test]
async fn a_worker_program_that_is_away_for_a_moment_fails_no_run() {
    let server = TestServer::start().await;
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    let waiting = [server.submit("done").await, server.submit("done").await, server.submit("done").await];
    let (program, away) = (server.dir.path().join("worker.sh"), server.dir.path().join("being-built"));
    fs::rename(&program, &away).unwrap();
    fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    server.until(&running.id, |run| run.state.is_finished()).await;
    until(async || {
        let health: Value = server.get("/api/health").await.json();
        let said = health["worker"]["message"].as_str().unwrap_or_default();
        said.contains("cannot start the worker") && said.contains("queued runs wait")
    })
    .await;
    for run in &waiting {
        assert_eq!(server.run(&run.id).await.state, RunState::Queued);
    }
    fs::rename(&away, &program).unwrap();
    for run in &waiting {
        assert_eq!(server.until(&run.id, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn libraries_that_are_away_for_a_moment_fail_no_run() {
    let server = TestServer::start().await;
    let (run, waiting) = (server.submit("unloaded").await, server.submit("done").await);
    until(async || {
        let health: Value = server.get("/api/health").await.json();
        health["worker"]["message"].as_str().is_some_and(|said| said.contains("libtorch_cpu.so") && said.contains("queued runs wait"))
    })
    .await;
    for id in [&run.id, &waiting.id] {
        assert_eq!(server.run(id).await.state, RunState::Queued);
    }
    fs::remove_file(server.dir.path().join("broken")).unwrap();
    for id in [&run.id, &waiting.id] {
        assert_eq!(server.until(id, |run| run.state.is_finished()).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn a_first_probe_that_fails_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    fs::write(dir.path().join("broken"), "").unwrap();
    let settings = crate::support::settings(dir.path());
    let server = TestServer::open(dir, settings).await;
    server.post("/api/runs", &config("done")).await.assert_problem(503, "worker-not-ready", None);
    fs::remove_file(server.dir.path().join("broken")).unwrap();
    until(async || server.get("/api/health/ready").await.status == StatusCode::NO_CONTENT).await;
    assert_eq!(server.finish("done").await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_that_this_version_cannot_read_is_named_and_hides_no_other() {
    let server = TestServer::start().await;
    let known = server.finish("done").await;
    let odd = server.finish("done odd").await;
    let start: RunRows = server.get("/api/run-rows").await.json();
    server.sql("UPDATE runs SET config = json_set(config, '$.kind', 'dream'), notes = 'x' WHERE title = 'done odd'").await;

    let rows: RunRows = server.get("/api/run-rows").await.json();
    assert_eq!(rows.rows.iter().map(|row| &row.id).collect::<Vec<_>>(), [&known.id]);
    assert_eq!((rows.unreadable.len(), &rows.unreadable[0].id, rows.unreadable[0].title.as_str()), (1, &odd.id, "done odd"));
    assert!(rows.unreadable[0].message.contains("config") && rows.unreadable[0].message.contains("dream"), "{:?}", rows.unreadable);
    let changed: RunRows = server.get(&format!("/api/run-rows?since={}", start.cursor)).await.json();
    assert_eq!((changed.rows.len(), changed.unreadable), (0, rows.unreadable));
    let page: RunPage = server.get("/api/runs").await.json();
    assert_eq!(page.runs, [known]);
    for address in ["", "/records", "/events"] {
        let problem = server.get(&format!("/api/runs/{}{address}", odd.id)).await.assert_problem(409, "run-unreadable", Some("id"));
        assert!(problem.detail.contains("start the version that made it, or delete it"), "{problem:?}");
    }
    for address in ["/api/sweeps", "/api/queue", "/api/health"] {
        assert_eq!(server.get(address).await.status, StatusCode::OK, "{address}");
    }

    // A queued one waits for a version that can read it, and lets others pass.
    let running = server.submit("gated").await;
    server.until_running(&running.id).await;
    let queued = server.submit("done odd").await;
    let after = server.submit("done").await;
    server.sql("UPDATE runs SET config = json_set(config, '$.kind', 'dream') WHERE state = 'queued' AND title = 'done odd'").await;
    fs::write(server.run_dir(&running.id).join("go"), "").unwrap();
    server.until(&after.id, |run| run.state == RunState::Succeeded).await;
    let rows: RunRows = server.get("/api/run-rows").await.json();
    assert_eq!(rows.unreadable.len(), 2);
    assert!(!server.run_dir(&queued.id).join("log.txt").exists(), "it has not started");

    for id in [&odd.id, &queued.id] {
        assert_eq!(server.call(Method::DELETE, &format!("/api/runs/{id}")).await.status, StatusCode::NO_CONTENT);
        assert!(!server.run_dir(id).exists());
    }
    let rows: RunRows = server.get("/api/run-rows").await.json();
    assert!(rows.unreadable.is_empty(), "{rows:?}");
}
