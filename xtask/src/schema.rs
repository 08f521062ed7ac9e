//! Sends a server requests that are made from its own description, valid ones and wrong ones, and checks that each answer is
//! as described and none is an error of the server. With Schemathesis, <https://schemathesis.io>.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::api::Api;
use crate::layout::{Layout, remove_dir};
use crate::libtorch::Libtorch;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::python;

const STEP: &str = "requests";
const VERSION: &str = "4.32.5";
const TOKEN: &str = "known-to-schemathesis";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
     response_headers_conformance";
/// Streams without an end, and downloads from elsewhere.
const LEFT_OUT: &str = "events|changes|download";
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// Starts the built server with a finished run and a share, and sends it the requests. The same ones every time.
pub fn check(layout: &Layout, progress: &Progress, libtorch: &Libtorch) -> Result<()> {
    let environment = python::environment(layout, progress, "schemathesis", &[format!("schemathesis=={VERSION}")], "Schemathesis")?;
    let folder = layout.target.join("requests");
    remove_dir(&folder)?;
    fs::create_dir_all(&folder)?;
    let server = Server::start(layout, libtorch, &folder.join("data"))?;
    let api = Api::new(&server.base, Some(TOKEN));
    let description = folder.join("openapi.json");
    fs::write(&description, api.get("/api/openapi.json")?.to_string())?;
    let names = names_of_what_exists(&api, &folder)?;

    progress.say(STEP, "sending some about what exists, then some about anything");
    let schemathesis = |config: Option<&Path>| {
        let mut command = environment.python()?;
        command.args(["-m", "schemathesis.cli"]);
        if let Some(config) = config {
            command.arg("--config-file").arg(config);
        }
        command.arg("run").arg(&description).args(["--url", &server.base, "--header", &format!("Authorization: Bearer {TOKEN}")]);
        command.args(["--checks", CHECKS, "--exclude-path-regex", LEFT_OUT, "--seed", "1", "--max-examples", "100"]);
        command.args(["--warnings", "off", "--no-color"]).current_dir(&folder);
        Ok::<_, anyhow::Error>(command)
    };
    let mut known = schemathesis(Some(&names))?;
    known.args(["--phases", "coverage,fuzzing", "--exclude-method", "DELETE"]);
    let mut anything = schemathesis(None)?;
    anything.args(["--phases", "fuzzing"]);
    for command in [&mut known, &mut anything] {
        run_shown(command).context("an answer of the server is not as it is described")?;
    }
    Ok(())
}

/// Makes a run with a matrix, and a share of it; returns a file that tells Schemathesis their names.
fn names_of_what_exists(api: &Api<'_>, folder: &Path) -> Result<PathBuf> {
    let config = json!({
        "kind": "train",
        "data": { "dataset": "digits", "train_samples": 100, "test_samples": 50 },
        "model": { "architecture": "preact_resnet_small", "width": 4 },
        "training": { "method": "pgd_at", "epochs": 2, "batch_size": 50, "milestones": [] },
        "attack": { "norm": "linf", "eps": "32/255", "steps": 1 },
        "evaluation": { "every": 1, "steps": 1 },
        "checkpoints": { "every": 1 },
        "attribution": { "inputs": ["adversarial"], "bootstrap": 0 }
    });
    let run = api.post("/api/runs", &config)?;
    let id = text(&run, "id")?;
    let begun = Instant::now();
    loop {
        let run = api.get(&format!("/api/runs/{id}"))?;
        match run["state"].as_str() {
            Some("succeeded") => break,
            Some("failed") => bail!("the run for the requests failed: {}", run["failure"]),
            _ if begun.elapsed() > RUN_LIMIT => bail!("the run for the requests takes more than {} s", RUN_LIMIT.as_secs()),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
    let share = api.post("/api/shares", &json!({ "view": format!("/runs/{id}") }))?;
    let token = text(&share, "token")?;
    let path = folder.join("names.toml");
    let names = [
        ("^/api/runs/", "id", id.to_owned()),
        ("^/api/checkpoints/.*/file", "id", format!("{id}.e1")),
        ("^/api/attributions/", "id", format!("{id}.e1.adversarial")),
        ("^/api/shares/", "share", token.to_owned()),
    ];
    let section = |(path, parameter, name): (&str, &str, String)| {
        format!("[[operations]]\ninclude-path-regex = \"{path}\"\nparameters = {{ \"path.{parameter}\" = \"{name}\" }}\n")
    };
    fs::write(&path, names.map(section).join("\n"))?;
    Ok(path)
}

fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str> {
    answer[field].as_str().with_context(|| format!("the server did not tell `{field}`"))
}

/// The built server on a free port, stopped with its runs when dropped.
struct Server {
    child: Child,
    base: String,
}

impl Server {
    fn start(layout: &Layout, libtorch: &Libtorch, data: &Path) -> Result<Self> {
        let mut command = Command::new(layout.server());
        command.args(["--addr", "127.0.0.1:0", "--data-dir"]).arg(data).arg("--worker").arg(layout.worker()).arg("--stop-runs");
        command.env("CROSSLENS_TOKEN", TOKEN).env("RUST_LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped());
        libtorch.apply(&mut command)?;
        let mut child = command.spawn().context("cannot start the server")?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let server = |base| Server { child, base };
        match said.split_once("http://").and_then(|(_, rest)| rest.split_once('/')) {
            Some((address, _)) => Ok(server(format!("http://{address}"))),
            None => {
                drop(server(String::new()));
                bail!("the server did not start: see its messages above")
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
