//! A CrossLens server for one test, on a free port and with an empty data folder.

use std::fmt::Display;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use lease::{Standing, Watch};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::api::{Run, RunState};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{from_env, until};

/// A running server. It is stopped when the value is dropped, with its workers.
#[derive(Debug)]
pub struct App {
    server: Child,
    port: u16,
    data: TempDir,
    setup: Setup,
    http: reqwest::Client,
}

/// What a server gets in addition to what every server gets.
#[derive(Debug, Default)]
pub struct Setup {
    pub arguments: Vec<String>,
    /// Variables of its environment, which its workers inherit.
    pub environment: Vec<(&'static str, String)>,
    /// Headers of all requests of the test.
    pub headers: HeaderMap,
}

impl App {
    pub async fn start() -> Result<Self> {
        Self::start_with(|_| Ok(())).await
    }

    /// Starts on a data folder that `prepare` has filled.
    pub async fn start_with(prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        Self::open(prepare, Setup::default()).await
    }

    /// Starts with a token, which all requests of the test send.
    pub async fn start_with_token(token: &str) -> Result<Self> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))?)]);
        Self::open(|_| Ok(()), Setup { arguments: vec!["--token".into(), token.into()], headers, ..Setup::default() }).await
    }

    /// Starts under a base path.
    pub async fn start_under(base_path: &str) -> Result<Self> {
        Self::open(|_| Ok(()), Setup { arguments: vec!["--base-path".into(), base_path.into()], ..Setup::default() }).await
    }

    /// Starts on a data folder that `prepare` has filled.
    pub async fn open(prepare: impl FnOnce(&Path) -> Result<()>, setup: Setup) -> Result<Self> {
        let data = TempDir::with_prefix("crosslens-test-")?;
        prepare(data.path())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let http = reqwest::Client::builder().default_headers(setup.headers.clone()).build()?;
        let app = App { server: spawn(data.path(), port, &setup)?, port, data, setup, http };
        app.wait_until_healthy().await?;
        Ok(app)
    }

    /// Kills the server. Its workers go on.
    pub async fn stop(&mut self) -> Result<()> {
        Ok(self.server.kill().await?)
    }

    pub fn server_pid(&self) -> Result<u32> {
        self.server.id().context("the server is not running")
    }

    /// Starts the server again on the same data. `arguments` replace the former ones unless empty.
    pub fn start_again(&mut self, arguments: &[&str]) -> Result<()> {
        if !arguments.is_empty() {
            self.setup.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        }
        self.server = spawn(self.data.path(), self.port, &self.setup)?;
        Ok(())
    }

    /// Changes something, and returns it.
    pub async fn change<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        Ok(self.http.patch(self.url(path)).json(body).send().await?.error_for_status()?.json().await?)
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        Ok(self.http.get(self.url(path)).send().await?.error_for_status()?.json().await?)
    }

    /// Posts a body that is refused, and returns the problem.
    pub async fn refused(&self, path: &str, body: &Value) -> Result<shared::problem::Problem> {
        let response = self.http.post(self.url(path)).json(body).send().await?;
        anyhow::ensure!(!response.status().is_success(), "POST {path} was not refused");
        Ok(response.json().await?)
    }

    /// Sends a request without a body, and returns the status of the response.
    pub async fn send(&self, method: Method, path: &str) -> Result<u16> {
        Ok(self.http.request(method, self.url(path)).send().await?.status().as_u16())
    }

    /// Stops the server in order, and starts it again on the same data. Its workers go on meanwhile.
    pub async fn restart(&mut self) -> Result<()> {
        kill(self.server_pid()?, libc::SIGTERM);
        self.server.wait().await?;
        self.start_again(&[])?;
        until("the server answers", async || Ok(self.http.get(self.url("/api/health/live")).send().await.ok())).await?;
        Ok(())
    }

    pub async fn wait_until_healthy(&self) -> Result<()> {
        until("the worker is ready", async || {
            let Ok(response) = self.http.get(self.url("/api/health")).send().await else { return Ok(None) };
            let health: Value = response.json().await?;
            anyhow::ensure!(health["worker"]["status"] != "broken", "the worker is broken: {health}");
            Ok((health["worker"]["status"] == "ready").then_some(()))
        })
        .await
    }

    /// The processes of the workers that write to run directories.
    pub fn workers(&self) -> Vec<(String, u32)> {
        workers(&self.data.path().join("runs"))
    }

    /// The full address of a path such as `/runs/x`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn run_dir(&self, id: &(impl Display + ?Sized)) -> PathBuf {
        self.data.path().join("runs").join(id.to_string())
    }

    pub async fn submit(&self, config: &Value) -> Result<Run> {
        self.create("/api/runs", config).await
    }

    /// Posts a body to a path of the API that creates something, and returns the result.
    pub async fn create<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let response = self.http.post(self.url(path)).json(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(status == 201, "POST {path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Posts a body to a path of the API that performs an action, and returns the response.
    pub async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.http.post(self.url(path)).json(body).send().await?.error_for_status()?.json().await?)
    }

    pub async fn run(&self, id: &(impl Display + ?Sized)) -> Result<Run> {
        Ok(self.http.get(self.url(&format!("/api/runs/{id}"))).send().await?.error_for_status()?.json().await?)
    }

    /// Waits until the run has finished, in whatever state.
    pub async fn finished(&self, id: &(impl Display + ?Sized)) -> Result<Run> {
        until("the run finishes", async || Ok(Some(self.run(id).await?).filter(|run| run.state.is_finished()))).await
    }

    /// Submits a configuration and waits until the run has succeeded.
    pub async fn succeeded(&self, config: &Value) -> Result<Run> {
        let run = self.submit(config).await?;
        let run = self.finished(&run.id).await?;
        let log = std::fs::read_to_string(self.run_dir(&run.id).join("log.txt")).unwrap_or_default();
        anyhow::ensure!(run.state == RunState::Succeeded, "the run ended {:?}: {:?}\n{log}", run.state, run.failure);
        Ok(run)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // First the server, which would start others.
        let _ = self.server.start_kill();
        for (_, pid) in self.workers() {
            kill(pid, libc::SIGKILL);
        }
    }
}

/// The processes of the workers that write to the run directories of a folder.
pub fn workers(runs: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let held = entries.filter_map(|entry| match Watch::new(&entry.path()).look() {
        Ok(Standing::Held(Some(lease))) => Some((entry.file_name().into_string().ok()?, lease.process.pid)),
        _ => None,
    });
    held.collect()
}

/// Sends a signal to a process. Nothing happens if it has ended.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: kill takes no pointers.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

fn spawn(data: &Path, port: u16, setup: &Setup) -> Result<Child> {
    let server = from_env("CROSSLENS_SERVER")?;
    Command::new(&server)
        .args(["--addr", &format!("127.0.0.1:{port}")])
        .arg("--data-dir")
        .arg(data)
        .arg("--worker")
        .arg(from_env("CROSSLENS_WORKER")?)
        .arg("--web")
        .arg(from_env("CROSSLENS_WEB")?)
        .args(&setup.arguments)
        .envs(setup.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", server.display()))
}

/// Adversarial training that takes seconds: few digits, a narrow network.
pub fn small_run(epochs: u32) -> Value {
    json!({
        "kind": "train",
        "name": "Small run",
        "device": "cpu",
        "data": {"dataset": "digits", "train_samples": 60, "test_samples": 40},
        "model": {"architecture": "preact_resnet_small", "width": 4},
        "training": {"method": "pgd_at", "epochs": epochs, "batch_size": 20},
        "attack": {"norm": "linf", "eps": "16/255", "step_size": "4/255", "steps": 2},
        "evaluation": {"steps": 2},
        "checkpoints": {"every": 2}
    })
}
