//! What goes wrong on a cluster.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use shared::api::{JobStanding, Lanes, Run, RunState};
use tests::{App, kill, until};

use crate::lanes::LANES;
use crate::slurm::{Site, Slurm};
use crate::{app, assert_whole, job, trained, training, waits};

async fn preempted(site: Site) -> Result<Run> {
    let slurm = Slurm::start(site).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    trained(&app, &run, 1).await?;
    slurm.take_node(3).await?;
    job(&app, &run, "it made room", |job| job.interruptions == 1).await?;
    assert_whole(&app, &run).await
}

#[tokio::test]
async fn a_pre_empted_run_goes_on_and_that_does_not_count_against_it() -> Result<()> {
    let job = preempted(Site::PLAIN).await?.job.context("no job")?;
    ensure!((job.resubmissions, job.interruptions) == (0, 1), "{job:?}");
    Ok(())
}

#[tokio::test]
async fn a_site_that_requeues_exit_85_goes_on_with_the_same_job() -> Result<()> {
    let slurm = Slurm::start(Site { helps: true, ..Site::PLAIN }).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    let number = trained(&app, &run, 1).await?.job.and_then(|job| job.id).context("no number")?;
    slurm.take_node(3).await?;
    let waiting = job(&app, &run, "Slurm has requeued it", |job| job.interruptions == 1 && waits(job).is_some()).await?;
    ensure!(waiting.id.as_ref() == Some(&number), "{waiting:?}");
    // Slurm waits two minutes, which tests do not.
    let job = format!("jobid={number}");
    let release = async || slurm.call("scontrol", &["update", &job, "starttime=now"]).await;
    until("Slurm starts it again", async || Ok(release().await.is_ok().then_some(()))).await?;
    let run = assert_whole(&app, &run).await?;
    ensure!(run.job.is_some_and(|job| job.id == Some(number) && job.resubmissions == 0));
    Ok(())
}

#[tokio::test]
async fn a_job_that_somebody_cancels_by_hand_is_a_canceled_run_that_can_go_on() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    let number = trained(&app, &run, 2).await?.job.and_then(|job| job.id).context("no number")?;
    slurm.call("scancel", &[&number]).await?;
    let canceled = app.finished(&run.id).await?;
    ensure!(canceled.state == RunState::Canceled, "{canceled:?}");
    ensure!(canceled.failure.is_some_and(|why| why.contains("canceled in the engine")));
    app.ask(&format!("/api/runs/{}/resume", run.id), &json!(null)).await?;
    until("it is queued again", async || Ok((!app.run(&run.id).await?.state.is_finished()).then_some(()))).await?;
    assert_whole(&app, &run).await.map(drop)
}

#[tokio::test]
async fn a_node_that_fails_costs_no_run() -> Result<()> {
    let mut slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    trained(&app, &run, 2).await?;
    slurm.kill_node().await?;
    job(&app, &run, "Slurm misses the node", |job| job.interruptions == 1 || waits(job).is_some()).await?;
    slurm.start_node().await?;
    until("Slurm starts the job again", async || {
        let run = app.run(&run.id).await?;
        let Some(number) = run.job.and_then(|job| job.id).filter(|_| !run.state.is_finished()) else { return Ok(Some(())) };
        // By itself Slurm waits two minutes. It refuses while it clears the failed job away.
        let _ = slurm.call("scontrol", &["update", &format!("jobid={number}"), "starttime=now"]).await;
        let state = slurm.call("squeue", &["--noheader", "--format=%T", &format!("--jobs={number}")]).await?;
        Ok((state == "RUNNING").then_some(()))
    })
    .await?;
    assert_whole(&app, &run).await.map(drop)
}

#[tokio::test]
async fn a_controller_that_is_down_is_a_notice_and_no_failure() -> Result<()> {
    let mut slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    trained(&app, &run, 2).await?;
    slurm.stop_controller().await?;
    let trouble = async || -> Result<Option<String>> {
        let lanes: Lanes = app.get("/api/lanes").await?;
        Ok(lanes.lanes.into_iter().find(|lane| lane.name == "low").and_then(|lane| lane.trouble))
    };
    let why = until("it is told", &trouble).await?;
    ensure!(why.contains("contact"), "{why}");
    // One more can be submitted meanwhile, and waits.
    let later = app.submit(&training("low")).await?;
    assert_whole(&app, &run).await?;
    slurm.start_controller()?;
    until("Slurm answers again", async || Ok(trouble().await?.is_none().then_some(()))).await?;
    assert_whole(&app, &later).await.map(drop)
}

#[tokio::test]
async fn what_slurm_refuses_is_refused_in_its_own_words() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let lanes = format!("{LANES}\n[[lane]]\nname = \"nope\"\nkind = \"slurm\"\npartition = \"nope\"\n");
    let app = app(&lanes, slurm.environment()).await?;
    let problem = app.refused("/api/runs", &training("nope")).await?;
    let error = problem.errors.first().context("no field is named")?;
    ensure!(error.field == "device" && error.message.contains("invalid partition specified: nope"), "{problem:?}");
    let problem = app.refused("/api/runs", &training("nowhere")).await?;
    ensure!(problem.errors.iter().any(|error| error.message.contains("`nowhere` is neither")), "{problem:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_may_be_away_for_the_whole_length_of_a_run() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let mut app = app(LANES, slurm.environment()).await?;
    slurm.take_node(3).await?;
    let run = app.submit(&training("low")).await?;
    job(&app, &run, "it is handed over", |job| job.id.is_some()).await?;
    app.stop().await?;
    let code = app.run_dir(&run.id).join("exit_code");
    until("the worker has ended", async || Ok(code.exists().then_some(()))).await?;
    app.start_again(&[])?;
    app.wait_until_healthy().await?;
    assert_whole(&app, &run).await.map(drop)
}

#[tokio::test]
async fn an_answer_of_sbatch_that_is_lost_costs_nothing() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    // Submits, and then answers as Slurm does when the controller is too slow.
    let lost = "#!/bin/sh\ncase \"$*\" in *--test-only*) exec /usr/bin/sbatch \"$@\" ;; esac\n/usr/bin/sbatch \"$@\" > /dev/null\n\
                echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2\nexit 1\n";
    let app = app(LANES, slurm.with_program("sbatch", lost)?).await?;
    let run = app.submit(&training("low")).await?;
    job(&app, &run, "its number is found", |job| job.id.is_some()).await?;
    let run = assert_whole(&app, &run).await?;
    let log = fs::read_to_string(app.run_dir(&run.id).join("log.txt"))?;
    ensure!(!log.contains("another worker"), "it was submitted twice: {log}");
    let submitted = slurm.call("squeue", &["--noheader", "--states=all"]).await?;
    ensure!(submitted.lines().count() == 1, "{submitted}");
    Ok(())
}

#[tokio::test]
async fn other_servers_and_jobs_with_the_same_name_are_not_taken_for_a_run() -> Result<()> {
    let slurm = Slurm::start(Site { helps: false, cpus: 4 }).await?;
    let one = app(LANES, slurm.environment()).await?;
    let other = app(LANES, slurm.environment()).await?;
    let (first, second) = (one.submit(&training("low")).await?, other.submit(&training("low")).await?);
    let name = job(&one, &first, "it is handed over", |job| job.id.is_some()).await?.name;
    let batch = name.rsplit_once('.').context("no position")?.0;
    let name = format!("--job-name={batch}.0");
    let theirs = slurm.call("sbatch", &["--parsable", &name, "--array=0", "--output=/dev/null", "--wrap=sleep 600"]).await?;
    assert_whole(&one, &first).await?;
    assert_whole(&other, &second).await?;
    let state = slurm.call("squeue", &["--noheader", "--format=%T", &format!("--jobs={theirs}")]).await?;
    ensure!(state == "RUNNING", "the user's own job goes on: {state}");
    Ok(())
}

#[tokio::test]
async fn a_node_whose_clock_is_five_minutes_off_costs_no_run() -> Result<()> {
    let slurm = Slurm::start(Site { helps: false, cpus: 4 }).await?;
    let clock = slurm.clock()?;
    for offset in [-300, 300] {
        let wrong = format!("setup = [\"export LD_PRELOAD={} CLOCK_OFFSET_SECS={offset}\", ", clock.display());
        let app = app(&LANES.replace("setup = [", &wrong), slurm.environment()).await?;
        let [first, second] = [app.submit(&training("low")).await?, app.submit(&training("low")).await?];
        trained(&app, &first, 2).await?;
        // Whoever looks at it believes that it runs, and that its time is not up.
        let run = app.run(&first.id).await?;
        let standing = run.job.map(|job| job.standing);
        ensure!(run.state == RunState::Running && matches!(standing, Some(JobStanding::Running { .. })), "{offset}: {standing:?}");
        let (_, worker) = app.workers().into_iter().find(|(id, _)| *id == first.id.to_string()).context("its lease is not seen")?;
        let environment = fs::read(format!("/proc/{worker}/environ"))?;
        ensure!(String::from_utf8_lossy(&environment).contains("CLOCK_OFFSET_SECS="), "the clock of the worker is right");
        for run in [&first, &second] {
            let run = assert_whole(&app, run).await?;
            let job = run.job.context("no job")?;
            ensure!((job.resubmissions, job.interruptions) == (0, 0), "{offset}: {job:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_system_that_is_away_for_a_while_costs_no_run() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    trained(&app, &run, 2).await?;
    // The worker hangs, as on NFS, and the server sees nothing.
    let workers = app.workers();
    let stop = |signal: i32| workers.iter().for_each(|(_, pid)| kill(*pid, signal));
    let (runs, aside) = (app.run_dir("x").with_file_name(""), app.run_dir("x").with_file_name("").with_file_name("aside"));
    stop(libc::SIGSTOP);
    fs::rename(&runs, &aside)?;
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    let state = app.run(&run.id).await?.state;
    ensure!(state == RunState::Running, "{state:?}");
    fs::rename(&aside, &runs)?;
    stop(libc::SIGCONT);
    assert_whole(&app, &run).await.map(drop)
}

#[tokio::test]
async fn runs_wait_for_a_lane_that_is_taken_out_of_the_file() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let file = app.run_dir("x").with_file_name("").with_file_name("lanes.toml");
    let lanes = fs::read_to_string(&file)?;
    app.change::<Value>("/api/queue", &json!({ "paused": true })).await?;
    let (moved, back) = (app.submit(&training("low")).await?, app.submit(&training("low")).await?);
    let read = async |app: &App| app.send(Method::POST, "/api/lanes/read").await;
    fs::write(&file, "poll_secs = 1\n")?;
    ensure!(read(&app).await? == 200);
    app.change::<Value>("/api/queue", &json!({ "paused": false })).await?;
    ensure!(app.run(&moved.id).await?.state == RunState::Queued);
    app.ask(&format!("/api/runs/{}/move", moved.id), &json!({ "lane": "cpu" })).await?;
    assert_whole(&app, &moved).await?;
    ensure!(app.run(&back.id).await?.state == RunState::Queued);

    fs::write(&file, "[[lane]]\nname = 3\n")?;
    let problem = app.refused("/api/lanes/read", &json!(null)).await?;
    ensure!(problem.detail.contains("lane[0].name: `3` is not a text"), "{problem:?}");
    fs::write(&file, lanes)?;
    ensure!(read(&app).await? == 200);
    assert_whole(&app, &back).await.map(drop)
}

#[tokio::test]
async fn a_folder_that_becomes_read_only_fails_its_run_in_words_and_loses_nothing() -> Result<()> {
    let slurm = Slurm::start(Site::PLAIN).await?;
    let app = app(LANES, slurm.environment()).await?;
    let run = app.submit(&training("low")).await?;
    trained(&app, &run, 2).await?;
    let folder = app.run_dir(&run.id);
    // Root may write whatever the mode says, but not here.
    let immutable = |sign: &str| -> Result<()> {
        let status = Command::new("chattr").arg(format!("{sign}i")).arg(&folder).status()?;
        ensure!(status.success(), "chattr {sign}i {}: {status}", folder.display());
        Ok(())
    };
    immutable("+")?;
    let failed = app.finished(&run.id).await;
    immutable("-")?;
    let failed = failed?;
    let said = failed.failure.clone().unwrap_or_default();
    ensure!(failed.state == RunState::Failed && said.contains("cannot be written"), "{failed:?}");
    ensure!(failed.summary.epoch >= 2, "{failed:?}");
    app.ask(&format!("/api/runs/{}/resume", run.id), &json!(null)).await?;
    assert_whole(&app, &run).await.map(drop)
}
