//! What a run on Slurm is like when nothing goes wrong, and what ends its time there.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use shared::api::{Job, JobStanding, LaneTrial, Lanes, Queue, RunState, Sweep};
use tests::{kill, until};

use crate::slurm::{Site, Slurm};
use crate::{app, assert_whole, job, trained, training, waits};

/// Lanes of the partitions `low` and `high`.
pub const LANES: &str = r#"
poll_secs = 1
[[lane]]
name = "low"
kind = "slurm"
partition = "low"
cpus = 1
time = "0:30:00"
setup = ["export CROSSLENS_SAVE_SECS=0.1"]
[[lane]]
name = "minute"
kind = "slurm"
partition = "low"
cpus = 1
time = "1"
auto = false
setup = ["export CROSSLENS_SAVE_SECS=0.1"]
"#;

#[tokio::test]
async fn a_run_goes_to_slurm_and_ends_in_the_bytes_of_one_that_stayed_here() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let lanes: Lanes = app.get("/api/lanes").await?;
    let names: Vec<&str> = lanes.lanes.iter().map(|lane| lane.name.as_str()).collect();
    ensure!(names == ["cpu", "low", "minute"], "{lanes:?}");
    let trial: LaneTrial = serde_json::from_value(app.ask("/api/lanes/low/try", &json!(null)).await?)?;
    ensure!(trial.probe.devices.iter().any(|device| device.id == "cpu"), "{trial:?}");

    slurm.take_node(4).await?;
    let run = app.submit(&training("low")).await?;
    let reason = |job: &Job| waits(job).is_some_and(|reason| reason.contains("resources") || reason.contains("priority"));
    job(&app, &run, "Slurm says why the run waits", reason).await?;
    ensure!(app.run(&run.id).await?.state == RunState::Queued);
    let running = trained(&app, &run, 1).await?;
    let Some(JobStanding::Running { node: Some(_), ends_at: Some(_) }) = running.job.map(|job| job.standing) else {
        anyhow::bail!("its node and the end of its time are not told")
    };
    let run = assert_whole(&app, &run).await?;
    ensure!(run.job.is_some_and(|job| job.resubmissions + job.interruptions == 0 && job.standing == JobStanding::Over));
    Ok(())
}

#[tokio::test]
async fn a_run_whose_time_is_up_in_the_middle_of_an_epoch_is_submitted_again() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("minute")).await?;
    trained(&app, &run, 2).await?;
    // Slurm signals a job of a minute within its first half; the worker must not be done before.
    let (_, worker) = app.workers().into_iter().next().context("no worker")?;
    kill(worker, libc::SIGSTOP);
    until("Slurm has signaled the worker", async || {
        // Slurm lets it go on as well, and then it may have saved and ended by now.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{worker}/status")) else { return Ok(Some(())) };
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).context("no pending signals")?;
        let pending = u64::from_str_radix(pending.trim(), 16)?;
        Ok((pending & (1 << (libc::SIGUSR1 - 1)) != 0).then_some(()))
    })
    .await?;
    kill(worker, libc::SIGCONT);
    let run = assert_whole(&app, &run).await?;
    let job = run.job.context("no job")?;
    ensure!(job.resubmissions > 0 && job.interruptions == 0, "{job:?}");
    Ok(())
}

#[tokio::test]
async fn a_sweep_is_one_array_whose_throttle_can_be_changed_while_it_runs() -> Result<()> {
    let slurm = Slurm::start(Site { helps: false, cpus: 4 }).await?;
    let app = app(LANES, slurm.environment()).await?;
    let mut config = training("low");
    config["training"]["epochs"] = json!(40);
    config["training"]["milestones"] = json!([]);
    let new = json!({"config": config, "axes": [{"field": "seed", "values": [1, 2, 3, 4, 5, 6]}], "at_once": 1});
    let sweep: Sweep = app.create("/api/sweeps", &new).await?;
    ensure!(sweep.at_once == Some(1));
    let running = async || -> Result<usize> {
        Ok(slurm.call("squeue", &["--noheader", "--array", "--states=RUNNING", "--format=%i"]).await?.lines().count())
    };
    until("one runs", async || Ok((running().await? == 1).then_some(()))).await?;
    for run in &sweep.runs {
        job(&app, run, "all are handed over", |job| job.id.is_some()).await?;
    }
    let arrays = slurm.call("squeue", &["--noheader", "--array", "--format=%F"]).await?;
    let mut arrays: Vec<&str> = arrays.lines().collect();
    ensure!(arrays.len() == 6, "{arrays:?}");
    arrays.dedup();
    ensure!(arrays.len() == 1, "all are of one array: {arrays:?}");
    let waits_for_others = |job: &Job| waits(job).is_some_and(|reason| reason.contains("of its sweep"));
    job(&app, &sweep.runs[5], "the last waits for the others", waits_for_others).await?;

    let sweep: Sweep = app.change(&format!("/api/sweeps/{}", sweep.id), &json!({ "at_once": 3 })).await?;
    ensure!(sweep.at_once == Some(3));
    until("three run", async || Ok((running().await? == 3).then_some(()))).await?;
    let queue: Queue = app.get("/api/queue").await?;
    ensure!(queue.devices.iter().any(|lane| lane.device == "low" && lane.runs.len() == 6), "{queue:?}");
    for run in &sweep.runs {
        app.ask(&format!("/api/runs/{}/cancel", run.id), &json!(null)).await?;
    }
    for run in &sweep.runs {
        ensure!(app.finished(&run.id).await?.state == RunState::Canceled);
    }
    until("no job is left", async || Ok(slurm.call("squeue", &["--noheader"]).await?.is_empty().then_some(()))).await
}

#[tokio::test]
async fn a_run_that_waits_in_slurm_is_canceled_paused_and_moved_like_any_other() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    slurm.take_node(300).await?;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = app.submit(&training("low")).await?;
        job(&app, &run, "it waits in Slurm", |job| waits(job).is_some()).await?;
        runs.push(run);
    }
    app.ask(&format!("/api/runs/{}/cancel", runs[0].id), &json!(null)).await?;
    ensure!(app.finished(&runs[0].id).await?.state == RunState::Canceled);
    app.ask(&format!("/api/runs/{}/pause", runs[1].id), &json!(null)).await?;
    until("it is paused", async || Ok((app.run(&runs[1].id).await?.state == RunState::Paused).then_some(()))).await?;
    app.ask(&format!("/api/runs/{}/move", runs[2].id), &json!({ "lane": "cpu" })).await?;
    assert_whole(&app, &runs[2]).await?;
    let left = slurm.call("squeue", &["--noheader", "--array", "--partition=low"]).await?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}
