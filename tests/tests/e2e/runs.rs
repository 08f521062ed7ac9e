//! Setting up, watching, canceling and copying runs.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use shared::api::RunState;
use tests::{App, Browser, small_run, until};

/// Epochs of a training run that does not end during the test.
const ENDLESS: u32 = 10_000;

#[tokio::test]
async fn a_newcomer_sets_up_a_run_watches_it_and_compares_its_checkpoints() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/")).await?;
    browser.sees("Start the demo").await?;
    browser.click("Set up a run").await?;
    browser.reaches("/new").await?;

    // An invalid value is reported at its field, and nothing is submitted.
    browser.fill("Epochs", "0").await?;
    browser.sees("0 is out of range; 1 to 10000").await?;
    browser.click("Start run").await?;
    assert!(browser.url().await?.contains("/new"));
    browser.fill("Radius eps", "wide").await?;
    browser.sees("`wide` is not a size").await?;
    browser.click_on("//summary[contains(., 'Checkpoints and attribution')]").await?;

    for (label, value) in [
        ("Training images", "60"),
        ("Test images", "40"),
        ("Width", "4"),
        ("Epochs", "6"),
        ("Milestones", "4"),
        ("Radius eps", "16/255"),
        ("Also keep every … epochs", "2"),
    ] {
        browser.fill(label, value).await?;
    }
    browser.sees("16/255 (0.0627)").await?;
    browser.sees("\"epochs\": 6").await?;
    // Check the console before the run is live: a former best checkpoint may be removed while its matrix is
    // requested, which the console reports as an error.
    browser.is_quiet().await?;
    browser.click("Start run").await?;

    let url = browser.reaches("/runs/").await?;
    browser.sees("6 of 6 epochs").await?;
    browser.sees("Succeeded").await?;
    let id = url.rsplit('/').next().context("the address names the run")?;
    let run = app.run(id).await?;
    let config = run.config.as_train().context("it trains")?;
    assert_eq!((config.training.epochs, config.model.width(), config.attack.eps.to_string().as_str()), (6, 4, "16/255"));

    browser.click("Runs").await?;
    browser.sees("Demo: robust overfitting on digits").await?;
    Ok(())
}

#[tokio::test]
async fn a_running_run_is_canceled_from_its_page() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let id = app.submit(&small_run(ENDLESS)).await?.id;
    browser.goto(&app.url(&format!("/runs/{id}"))).await?;
    browser.sees("Running").await?;
    browser.sees("left").await?;
    browser.click("Cancel").await?;
    browser.sees("Canceled").await?;

    let run = app.run(&id).await?;
    assert_eq!(run.state, RunState::Canceled);
    assert!(run.summary.epoch >= 1, "{:?}", run.summary);
    let kept = app.run_dir(&id).join(format!("checkpoints/e{}.safetensors", run.summary.epoch));
    assert!(kept.exists(), "a canceled run keeps its last complete epoch: {kept:?}");
    Ok(())
}

#[tokio::test]
async fn a_run_and_the_queue_are_paused_and_go_on() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let id = app.submit(&small_run(ENDLESS)).await?.id;
    browser.goto(&app.url(&format!("/runs/{id}"))).await?;
    until("an epoch is done", async || Ok((app.run(&id).await?.summary.epoch > 0).then_some(()))).await?;
    browser.click("Pause").await?;
    browser.sees("Paused").await?;
    assert_eq!(app.run(&id).await?.state, RunState::Paused);
    browser.is_accessible().await?;

    browser.goto(&app.url("/queue")).await?;
    browser.sees("Nothing runs and nothing waits").await?;
    browser.click("Pause the queue").await?;
    browser.sees("The queue is paused").await?;
    browser.goto(&app.url(&format!("/runs/{id}"))).await?;
    browser.click("Resume").await?;
    browser.sees("Queued").await?;
    browser.goto(&app.url("/queue")).await?;
    browser.sees("0 running, 1 waiting").await?;
    browser.is_accessible().await?;
    let epoch = app.run(&id).await?.summary.epoch;
    browser.click("Let the queue go on").await?;
    browser.sees("1 running, 0 waiting").await?;
    let further = async || Ok((app.run(&id).await?.summary.epoch > epoch).then_some(()));
    until("it goes on from where it was", further).await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_run_is_duplicated_and_edited() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let first = app.succeeded(&small_run(2)).await?;
    browser.goto(&app.url(&format!("/runs/{}", first.id))).await?;
    browser.click("Duplicate and edit").await?;
    browser.reaches(&format!("from={}", first.id)).await?;
    browser.fill("Seed", "7").await?;
    browser.click("Start run").await?;
    let url = browser.reaches("/runs/").await?;
    let second = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    assert_ne!(second.id, first.id);
    let (Some(first), Some(mut second)) = (first.config.as_train().cloned(), second.config.as_train().cloned()) else {
        bail!("both train");
    };
    assert_eq!(second.seed, 7);
    second.seed = first.seed;
    assert_eq!(second, first, "nothing else has changed");
    Ok(())
}

#[tokio::test]
async fn a_page_that_stays_open_goes_on_after_the_server_was_restarted() -> Result<()> {
    let mut app = App::start().await?;
    let browser = Browser::open().await?;
    let done = app.succeeded(&small_run(2)).await?;
    let running = app.submit(&small_run(ENDLESS)).await?;
    let waiting = app.submit(&small_run(2)).await?;
    browser.goto(&app.url("/")).await?;
    until("the long run has begun", async || Ok((app.run(&running.id).await?.summary.epoch > 0).then_some(()))).await?;

    let workers = app.workers();
    app.restart().await?;
    assert_eq!(app.workers(), workers, "the worker has gone on meanwhile");
    assert_eq!(app.run(&done.id).await?, done, "a finished run never changes");
    let epoch = app.run(&running.id).await?.summary.epoch;
    let further = async || Ok((app.run(&running.id).await?.summary.epoch > epoch).then_some(()));
    until("the long run is followed again", further).await?;
    app.send(Method::POST, &format!("/api/runs/{}/cancel", running.id)).await?;
    assert_eq!(app.finished(&waiting.id).await?.state, RunState::Succeeded, "what was queued runs after the restart");
    browser.sees("Succeeded").await?;
    Ok(())
}
