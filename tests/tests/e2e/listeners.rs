//! Programs that follow a run, many at once, while the server comes and goes.

use std::fs;

use anyhow::{Context, Result, ensure};
use shared::rundir;
use tests::campaign::results;
use tests::{App, DEADLINE, POLL, small_run, until};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_listeners_get_every_line_once_and_in_order_also_across_a_restart() -> Result<()> {
    const LISTENERS: usize = 1000;
    allow_open_files(2 * LISTENERS as u64)?;
    let mut app = App::start().await?;
    let run = app.submit(&small_run(40)).await?.id;
    let address = app.url(&format!("/api/runs/{run}/events"));
    let client = reqwest::Client::new();
    let mut listeners = JoinSet::new();
    for _ in 0..LISTENERS {
        listeners.spawn(timeout(DEADLINE, lines_heard(client.clone(), address.clone())));
    }
    until("some epochs are done", async || Ok((app.run(&run).await?.summary.epoch >= 5).then_some(()))).await?;
    app.restart().await?;
    let run = app.finished(&run).await?;

    let written = fs::read_to_string(app.run_dir(&run.id).join(rundir::METRICS))?.lines().count() as u64;
    let expected: Vec<u64> = (1..=written).collect();
    ensure!(written > 80, "{written} lines are too few to tell");
    while let Some(heard) = listeners.join_next().await {
        assert_eq!(heard?.context("a listener waits in vain")??, expected);
    }
    Ok(())
}

#[tokio::test]
async fn restarting_the_server_ten_times_changes_nothing_in_a_run() -> Result<()> {
    let mut app = App::start().await?;
    let undisturbed = app.succeeded(&small_run(30)).await?.id;
    let run = app.submit(&small_run(30)).await?.id;
    let worker = async |app: &App| until("the worker runs", async || Ok(app.workers().pop())).await;
    let first = worker(&app).await?;
    for _ in 0..10 {
        app.restart().await?;
    }
    ensure!(!app.run(&run).await?.state.is_finished(), "the run was too short to be there at every restart");
    assert_eq!(worker(&app).await?, first, "it is the same process");
    app.finished(&run).await?;
    assert_eq!(results(&app.run_dir(&run))?, results(&app.run_dir(&undisturbed))?);
    Ok(())
}

/// Follows a run to its end, and again after the last line whenever the server has gone. Returns the numbers of the
/// lines that came.
async fn lines_heard(client: reqwest::Client, address: String) -> Result<Vec<u64>> {
    let mut heard = Vec::new();
    loop {
        let mut request = client.get(&address);
        if let Some(last) = heard.last() {
            request = request.header("last-event-id", *last);
        }
        // The server is away for a moment, in which it refuses and breaks off.
        if let Ok(mut answer) = request.send().await {
            let mut text = String::new();
            while let Ok(Some(chunk)) = answer.chunk().await {
                text += std::str::from_utf8(&chunk)?;
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                    if let Some(id) = field("id: ") {
                        heard.push(id.parse()?);
                    }
                    if field("event: ") == Some("end") {
                        return Ok(heard);
                    }
                    text = rest.to_owned();
                }
            }
        }
        sleep(POLL).await;
    }
}

/// Lets this process open that many files and connections.
fn allow_open_files(count: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a limit, which they read or fill.
    unsafe {
        ensure!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0, "the limit of open files is unknown");
        limit.rlim_cur = limit.rlim_max.min(count.max(limit.rlim_cur));
        ensure!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0, "the limit of open files cannot be raised");
    }
    Ok(())
}
