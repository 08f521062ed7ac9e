//! Presets, measurements, sweeps and resuming.

use anyhow::{Context, Result};
use shared::api::RunState;
use shared::config::RunKind;
use tests::{App, Browser, small_run, until};

#[tokio::test]
async fn a_preset_s_small_form_is_chosen_and_runs() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new")).await?;
    browser.click("Label smoothing, small form").await?;
    browser.reaches("form=small").await?;
    browser.sees("in minutes of two CPU cores").await?;
    browser.click_on("//summary[contains(., 'Checkpoints and attribution')]").await?;
    for (label, value) in [
        ("Training images", "40"),
        ("Test images", "20"),
        ("Width", "4"),
        ("Epochs", "2"),
        ("Milestones", "1"),
        ("Also keep every … epochs", "1"),
    ] {
        browser.fill(label, value).await?;
    }
    browser.is_quiet().await?;
    browser.click("Start run").await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    let run = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    let config = run.config.as_train().context("it trains")?;
    assert_eq!((config.training.label_smoothing, config.training.epochs), (0.1, 2));
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_is_evaluated_from_its_row() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let trained = app.succeeded(&small_run(2)).await?;
    browser.goto(&app.url(&format!("/runs/{}", trained.id))).await?;
    browser.click("Measure epoch 2").await?;
    browser.click("AutoAttack").await?;
    browser.reaches("kind=evaluate").await?;
    // The form names the checkpoint that the measurement is for.
    browser.sees(&format!("\"checkpoint\": \"{}.", trained.id)).await?;
    browser.fill("Images", "20").await?;
    browser.fill("Queries of Square", "10").await?;
    browser.sees("Square (10 queries)").await?;
    browser.click("Start run").await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    browser.sees("Accuracy by class").await?;
    browser.sees("Square").await?;
    browser.is_quiet().await?;
    let run = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    assert_eq!(run.config.kind(), RunKind::Evaluate);
    let weakest = run.summary.evaluation.last().context("every attack has its step")?;
    assert_eq!((run.summary.evaluation.len(), weakest.attack.as_str()), (5, "Square, 10 queries"));
    Ok(())
}

#[tokio::test]
async fn a_form_that_nobody_has_filled_in_has_no_errors_until_it_is_sent() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=attribute")).await?;
    browser.find("#field-checkpoint").await?;
    let text = browser.text().await?;
    assert!(!text.contains("names no checkpoint") && !text.contains("needs another value"), "{text}");
    browser.click("Start run").await?;
    browser.sees("One field needs another value").await?;
    browser.sees("names no checkpoint").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_field_is_varied_and_its_runs_are_one_page() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let first = app.succeeded(&small_run(2)).await?;
    browser.goto(&app.url(&format!("/new?from={}", first.id))).await?;
    browser.click("Vary a field").await?;
    browser.fill("Field to vary", "seed").await?;
    browser.fill("Values of Seed", "1, 1").await?;
    browser.sees("holds a value twice").await?;
    browser.fill("Values of Seed", "1, 2").await?;
    browser.click("Start 2 runs").await?;
    browser.reaches("/sweeps/").await?;
    browser.sees("2 of 2 runs are finished").await?;
    browser.sees("mean ± deviation of 2 seeds").await?;
    browser.find("[role=img][aria-label^='Robust accuracy over Seed: Best']").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_run_forks_from_a_checkpoint_of_another() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let parent = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/runs/{}", parent.id))).await?;
    browser.click_on("input[aria-label='Epoch 2']").await?;
    browser.click("Fork from epoch 2").await?;
    browser.sees("Goes on from epoch 2 of Small run.").await?;
    browser.fill("Epochs", "5").await?;
    browser.click("Start run").await?;
    browser.reaches("/runs/at-").await?;
    browser.sees(&format!("A fork of {}.e2", parent.id)).await?;
    browser.sees("Succeeded").await?;
    browser.find("[role=slider][aria-label*='Up to epoch 2, the curves are those of the run that it starts from']").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_canceled_run_goes_on_where_it_was() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let id = app.submit(&small_run(10_000)).await?.id;
    browser.goto(&app.url(&format!("/runs/{id}"))).await?;
    until("an epoch is done", async || Ok((app.run(&id).await?.summary.epoch > 0).then_some(()))).await?;
    browser.click("Cancel").await?;
    browser.sees("Canceled").await?;
    let before = app.run(&id).await?.summary.epoch;

    browser.click("Resume").await?;
    browser.sees(&format!("Resumed after epoch {before}")).await?;
    until("it has gone on", async || Ok((app.run(&id).await?.summary.epoch > before).then_some(()))).await?;
    browser.click("Cancel").await?;
    until("it is canceled again", async || Ok((app.run(&id).await?.state == RunState::Canceled).then_some(()))).await?;
    Ok(())
}
