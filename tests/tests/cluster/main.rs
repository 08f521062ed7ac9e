//! Runs on a real Slurm cluster of one node and on a real host behind ssh, both on loopback: whatever goes wrong, a run
//! ends in the bytes of one that nobody has disturbed.
//!
//! `cargo xtask test --cluster` installs what is missing. The tests must run as root: each starts its own daemons.

mod lanes;
mod many;
mod slurm;
mod ssh;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::api::{Job, JobStanding, Run, RunState};
use shared::rundir;
use tempfile::TempDir;
use tests::campaign::{self, results};
use tests::{App, Setup, until};
use tokio::sync::OnceCell;

/// Some seconds of training on one thread.
pub fn training(lane: &str) -> Value {
    let mut config = campaign::training();
    config["name"] = json!("Cluster");
    config["device"] = json!(lane);
    // Longer than Slurm takes to clear a node, also on a fast machine.
    config["training"]["epochs"] = json!(30);
    config
}

/// A server whose lanes are described by `lanes`.
pub async fn app(lanes: &str, mut environment: Vec<(&'static str, String)>) -> Result<App> {
    environment.push(("OMP_NUM_THREADS", "1".to_owned()));
    // The file is in the data folder, where the server looks for it.
    let prepare = |data: &Path| Ok(fs::write(data.join("lanes.toml"), lanes)?);
    App::open(prepare, Setup { environment, ..Setup::default() }).await
}

/// The results of a run that nobody has disturbed.
async fn whole() -> Result<&'static BTreeMap<PathBuf, Vec<u8>>> {
    static WHOLE: OnceCell<BTreeMap<PathBuf, Vec<u8>>> = OnceCell::const_new();
    WHOLE
        .get_or_try_init(async || {
            let app = app("", Vec::new()).await?;
            let run = app.succeeded(&training("cpu")).await?;
            results_of(&app, &run)
        })
        .await
}

fn results_of(app: &App, run: &Run) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut results = results(&app.run_dir(&run.id))?;
    // It names the lane.
    results.remove(Path::new(rundir::CONFIG));
    Ok(results)
}

/// Waits until a run has succeeded, and compares what it has written with an undisturbed one.
pub async fn assert_whole(app: &App, run: &Run) -> Result<Run> {
    let run = app.finished(&run.id).await?;
    let log = fs::read_to_string(app.run_dir(&run.id).join("log.txt")).unwrap_or_default();
    ensure!(run.state == RunState::Succeeded, "{} ended {:?}: {:?}\n{log}", run.id, run.state, run.failure);
    let (found, expected) = (results_of(app, &run)?, whole().await?);
    let names: Vec<&PathBuf> = found.keys().chain(expected.keys()).collect();
    let different: Vec<_> = names.into_iter().filter(|name| found.get(*name) != expected.get(*name)).collect();
    ensure!(different.is_empty(), "{} differs in {different:?}\n{log}", run.id);
    Ok(run)
}

/// Waits until a run has trained some epochs.
pub async fn trained(app: &App, run: &Run, epochs: u32) -> Result<Run> {
    let what = format!("{} has trained {epochs} epochs", run.id);
    until(&what, async || {
        let run = app.run(&run.id).await?;
        ensure!(!run.state.is_finished(), "{} ended {:?}: {:?}", run.id, run.state, run.failure);
        Ok(Some(run).filter(|run| run.summary.epoch >= epochs))
    })
    .await
}

/// Waits until the job of a run is as it should be.
pub async fn job(app: &App, run: &Run, what: &str, condition: impl Fn(&Job) -> bool) -> Result<Job> {
    until(what, async || {
        let Run { state, failure, job, .. } = app.run(&run.id).await?;
        let job = job.filter(|job| condition(job));
        ensure!(job.is_some() || !state.is_finished(), "{} ended {state:?}: {failure:?}", run.id);
        Ok(job)
    })
    .await
}

pub fn waits(job: &Job) -> Option<&str> {
    match &job.standing {
        JobStanding::Waiting { reason, .. } => reason.as_deref(),
        _ => None,
    }
}

/// A folder for the daemons of a test.
fn folder() -> Result<TempDir> {
    TempDir::with_prefix("crosslens-cluster-").context("no folder for daemons")
}

/// Time between two looks at what daemons do.
const DAEMON_POLL: Duration = Duration::from_millis(100);
