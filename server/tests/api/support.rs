//! A server in a temporary folder with a fake worker, and requests to it.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{self, AsHeaderName};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use server::app;
use server::scheduler::Rules;
use server::state::{AppState, Settings};
use shared::api::{AttackUsed, AttributionFile, Run, RunState};
use shared::config::{Inputs, Norm, Precision};
use shared::eps::Eps;
use shared::fixtures;
use shared::matrix::Matrix;
use shared::preset;
use shared::record::{AttributionEntry, Checkpoint, Epoch, Finished, Record};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;
use tower::ServiceExt;

/// Long enough for a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Does what the name in config.json says, as a worker would.
const WORKER: &str = r#"#!/bin/sh
here=$(dirname "$0")
if [ "$1" = --probe ]; then
    if [ -f "$here/broken" ]; then
        echo "error: cannot load libtorch_cpu.so" >&2
        exit 1
    fi
    echo '{"engine":"0.1.0","libtorch":"2.11.0","devices":[{"id":"cpu","name":"2 CPU threads"}]}'
    exit 0
fi
if [ "$2" = --inspect ]; then
    source=$(sed -n 's/^ *"source": "\(.*\)",/\1/p' "$1/config.json")
    case $(cat "$source") in
        crash) kill -11 $$ ;;
        weights) echo "{\"format\":\"PyTorch\",\"networks\":[],\"facts\":[\"${source##*/} is small.\"],\"questions\":[],\"architecture\":\"resnet18\",\"width\":64,\"classes\":10,\"parameters\":1,\"normalization\":null}" ;;
        *) echo "error: checkpoint \"$source\" is an HTML page" >&2; exit 1 ;;
    esac
    exit 0
fi
cd "$1" || exit 1
echo "worker begins"
[ "$2" = --again ] && echo "again: $3"
[ -e lease.json ] && echo "there is the lease of another"
among="$(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/pid)"
started=$(cut -d ' ' -f 22 /proc/$$/stat)
echo "{\"host\":\"here\",\"pid\":$$,\"started\":$started,\"among\":\"$among\",\"ticket\":null,\"beat\":0}" > lease.json
trap 'code=$?; [ -d "$here" ] && echo $code > exit_code; rm -f lease.json' EXIT
mode=$(sed -n 's/^ *"name": "\([a-z]*\).*/\1/p' config.json)
head -n 3 "$here/metrics.jsonl" >> metrics.jsonl
# A test that ends takes the folder away.
alive() { [ -d "$here" ] || exit 1; }
files() { cp -r "$here/checkpoints" "$here/attributions" .; }
rest() { files; tail -n +4 "$here/metrics.jsonl" >> metrics.jsonl; }
case $mode in
    done) rest ;;
    gated)
        while [ ! -f go ]; do alive; sleep 0.02; done
        rest ;;
    torn)
        echo 'no JSON at all' >> metrics.jsonl
        rest
        printf '{"type":"epoch","epo' >> metrics.jsonl ;;
    failed)
        echo "error: no memory left for the model" >&2
        exit 1 ;;
    killed) kill -9 $$ ;;
    unlucky)
        # Dies once.
        [ "$2" = --again ] && rest || kill -9 $$ ;;
    hung)
        trap 'asked=1' TERM
        while [ ! -f stop ] && [ -z "$asked" ]; do alive; sleep 0.02; done
        echo "saved"
        [ "$(cat stop 2> /dev/null)" = cancel ] && exit 3
        exit 85 ;;
    preempted)
        # Is asked to end once, by whatever runs it.
        [ -f before ] && rest || { touch before; exit 85; } ;;
    unloaded)
        # As if libtorch was away for a moment.
        [ "$2" = --again ] && rest || {
            touch "$here/broken"
            echo "worker: error while loading shared libraries: libtorch_cpu.so" >&2
            exit 127
        } ;;
    paused)
        echo pause > stop
        exit 85 ;;
    late)
        while [ ! -f stop ]; do alive; sleep 0.02; done
        sleep 0.5
        files
        tail -n +4 "$here/metrics.jsonl" >> metrics.jsonl
        exit 3 ;;
    stubborn)
        trap '' TERM
        while true; do alive; sleep 0.02; done ;;
    *) echo "error: unknown mode $mode" >&2; exit 1 ;;
esac
"#;

pub const INDEX: &str = "<!DOCTYPE html><html><head><base href=\"/\"><title>CrossLens</title><!-- head --></head><body></body></html>";

/// Lines that the fake worker writes when nothing goes wrong.
pub const LINES: usize = 8;

pub struct TestServer {
    pub dir: TempDir,
    pub state: AppState,
    router: Router,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_fixture(dir.path());
        let mut settings = settings(dir.path());
        change(&mut settings);
        Self::open(dir, settings).await
    }

    pub async fn open(dir: TempDir, settings: Settings) -> Self {
        let state = AppState::open(settings).await.unwrap();
        let router = app::router(state.clone()).unwrap();
        TestServer { dir, state, router }
    }

    /// Stops the server in order, lets `between` change things on disk, and starts it again on the same data.
    pub async fn restart(self, between: impl FnOnce(&Path)) -> Self {
        let folder = self.dir.path().to_owned();
        self.restart_with(|_| between(&folder)).await
    }

    /// Stops the server in order and starts it again on the same data with changed settings.
    pub async fn restart_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let (dir, mut settings) = self.stop().await;
        change(&mut settings);
        Self::open(dir, settings).await
    }

    /// Stops the server in order; returns its folder and its settings.
    pub async fn stop(self) -> (TempDir, Settings) {
        let TestServer { dir, state, router } = self;
        state.stop().await.unwrap();
        state.close().await;
        drop(router);
        let settings = state.settings.clone();
        drop(state);
        // The lock goes with the last task that holds the state.
        let lock = std::fs::File::open(settings.data_dir.join("server.lock")).unwrap();
        until(async || lock.try_lock().is_ok()).await;
        (dir, settings)
    }

    pub fn run_dir(&self, id: &(impl Display + ?Sized)) -> PathBuf {
        self.dir.path().join("data/runs").join(id.to_string())
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
    }

    /// The response with its body still to come.
    pub async fn open_stream(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.send(request(Method::GET, uri).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, uri: &str, body: &Value) -> Answer {
        let request = request(Method::POST, uri).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn patch(&self, uri: &str, body: &Value) -> Answer {
        let request = request(Method::PATCH, uri).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn call(&self, method: Method, uri: &str) -> Answer {
        self.send(request(method, uri).body(Body::empty()).unwrap()).await
    }

    pub async fn run(&self, id: &(impl Display + ?Sized)) -> Run {
        self.get(&format!("/api/runs/{id}")).await.json()
    }

    /// Runs an `INSERT` that selects from `numbers`, the numbers from 1 to `count`.
    pub async fn multiply(&self, count: u32, insert: &str) {
        let options = SqliteConnectOptions::new().filename(self.dir.path().join("data/crosslens.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let numbers =
            format!("WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count})");
        let (insert, select) = insert.split_once(" SELECT ").unwrap();
        sqlx::query(AssertSqlSafe(format!("{insert} {numbers} SELECT {select}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Changes the database behind the server's back.
    pub async fn sql(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.dir.path().join("data/crosslens.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Submits a run whose worker does what `name` says.
    pub async fn submit(&self, name: &str) -> Run {
        let answer = self.post("/api/runs", &config(name)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()
    }

    /// Submits a run and waits until it has finished.
    pub async fn finish(&self, name: &str) -> Run {
        let run = self.submit(name).await;
        self.until(&run.id, |run| run.state.is_finished()).await
    }

    pub async fn until(&self, id: &(impl Display + ?Sized), condition: impl Fn(&Run) -> bool) -> Run {
        let start = Instant::now();
        loop {
            let run = self.run(id).await;
            if condition(&run) {
                return run;
            }
            assert!(start.elapsed() < DEADLINE, "still {run:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_running(&self, id: &(impl Display + ?Sized)) -> Run {
        // With its first lines written, so that the worker listens.
        let file = self.run_dir(id).join("metrics.jsonl");
        self.until(id, |run| run.state == RunState::Running && file.exists()).await
    }
}

/// Waits until something is true.
pub async fn until(condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "it does not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Answer {
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{} {error}: {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: impl AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem of this status and kind, one of whose fields is `field` where there is one.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, kind: &str, field: Option<&str>) -> shared::problem::Problem {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{}", self.text());
        let problem: shared::problem::Problem = self.json();
        assert_eq!((problem.status, problem.kind.as_str()), (status, format!("/problems/{kind}").as_str()));
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
        if let Some(field) = field {
            assert!(problem.errors.iter().any(|error| error.field == field && !error.message.is_empty()), "{problem:?}");
        }
        problem
    }
}

pub fn request(method: Method, uri: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(uri).header(header::HOST, "localhost:8000")
}

/// A short digits run of this name.
pub fn config(name: &str) -> Value {
    let mut config = preset::demo().config.to_json();
    config["name"] = json!(name);
    config["training"]["epochs"] = json!(2);
    config["training"]["milestones"] = json!([]);
    config["evaluation"]["every"] = json!(1);
    config["checkpoints"]["every"] = json!(0);
    config
}

pub fn settings(dir: &Path) -> Settings {
    Settings {
        data_dir: dir.join("data"),
        datasets_dir: dir.join("data/datasets"),
        datasets_mirror: None,
        worker: dir.join("worker.sh"),
        lanes: None,
        stop_grace: Duration::from_secs(5),
        rules: Rules::default(),
        trash_days: 7,
        allow_programs: false,
        web: Some(dir.join("web")),
        base_path: String::new(),
        public_url: None,
        token: None,
        read_token: None,
        allowed_hosts: Vec::new(),
    }
}

/// The worker, what it writes, and a frontend.
pub fn write_fixture(dir: &Path) {
    let worker = dir.join("worker.sh");
    fs::write(&worker, WORKER).unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();

    fs::create_dir(dir.join("web")).unwrap();
    fs::write(dir.join("web/index.html"), INDEX).unwrap();
    fs::write(dir.join("web/app.js"), "export {}").unwrap();
    fs::create_dir(dir.join("web/app-0123")).unwrap();
    fs::write(dir.join("web/app-0123/frontend.js"), "export {}").unwrap();
    fs::write(dir.join("web/app.wasm"), b"\0asm").unwrap();
    fs::write(dir.join("web/app.wasm.gz"), b"a compressed module").unwrap();
    fs::write(dir.join("web/app.wasm.br"), b"a smaller one").unwrap();

    let lines: Vec<String> = records().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    assert_eq!(lines.len(), LINES);
    fs::write(dir.join("metrics.jsonl"), lines.join("\n") + "\n").unwrap();
    fs::create_dir(dir.join("checkpoints")).unwrap();
    fs::create_dir(dir.join("attributions")).unwrap();
    for epoch in [1, 2] {
        fs::write(dir.join(format!("checkpoints/e{epoch}.safetensors")), format!("weights of epoch {epoch}")).unwrap();
        let file = attribution(epoch);
        fs::write(dir.join(format!("attributions/e{epoch}.adversarial.json")), serde_json::to_string(&file).unwrap()).unwrap();
    }
}

/// A fake matrix over the digits: class pairs two apart share more in epoch 1 than in epoch 2.
pub fn attribution(epoch: u32) -> AttributionFile {
    let value = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 1.0,
        2 => 0.5 / f64::from(epoch),
        _ => -0.125,
    };
    let matrix = Matrix::try_from((0..10).map(|i| (0..10).map(|j| value(i, j)).collect()).collect::<Vec<Vec<f64>>>()).unwrap();
    AttributionFile {
        attack: Some(AttackUsed {
            norm: Norm::Linf,
            eps: Eps::of_255(25.5),
            step_size: Eps::of_255(6.375),
            steps: 20,
            random_start: true,
            precision: Precision::Float32,
        }),
        class_accuracy: vec![0.5; 10],
        accuracy: 0.5,
        checkpoint_sha256: format!("{epoch:064x}"),
        ..fixtures::attribution("r", epoch, matrix).file
    }
}

/// Two epochs, the first the better one.
fn records() -> Vec<Record> {
    let epoch = |epoch: u32, robust: f64| {
        Record::Epoch(Epoch {
            train_loss: Some(1.5),
            train_robust_accuracy: Some(0.5),
            test_clean_accuracy: Some(0.75),
            test_robust_accuracy: Some(robust),
            test_loss: Some(1.25),
            ..fixtures::epoch(epoch)
        })
    };
    let checkpoint = |epoch: u32| {
        let size_bytes = format!("weights of epoch {epoch}").len() as u64;
        Record::Checkpoint(Checkpoint {
            epoch,
            file: format!("checkpoints/e{epoch}.safetensors"),
            size_bytes,
            sha256: format!("{epoch:064x}"),
        })
    };
    let entry = |epoch: u32| {
        let AttributionFile { cas, cas_normalized, .. } = attribution(epoch);
        let file = format!("attributions/e{epoch}.adversarial.json");
        Record::Attribution(AttributionEntry {
            epoch,
            inputs: Inputs::Adversarial,
            file,
            cas,
            cas_normalized,
            cas_interval: None,
            non_target_mass: None,
        })
    };
    vec![
        Record::Started(fixtures::started(2)),
        epoch(1, 0.5),
        checkpoint(1),
        entry(1),
        epoch(2, 0.25),
        checkpoint(2),
        entry(2),
        Record::Finished(Finished { best_epoch: 1, last_epoch: 2, elapsed_secs: 2.5 }),
    ]
}
