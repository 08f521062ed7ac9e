//! Many runs at once: choosing ranges, and canceling, resuming, tagging and deleting together. Also returning
//! to the former position in the table.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shared::api::{RunState, Sweep};
use shared::id::RunId;
use tests::{App, Browser, small_run, until, write_runs};
use thirtyfour::Key;

/// Epochs of a training run that does not end during the test.
const ENDLESS: u32 = 10_000;

async fn endless(app: &App, name: &str) -> Result<RunId> {
    let mut config = small_run(ENDLESS);
    config["name"] = json!(name);
    Ok(app.submit(&config).await?.id)
}

async fn focused(browser: &Browser) -> Result<Value> {
    browser.script("return document.activeElement.ariaLabel ?? document.activeElement.textContent").await
}

#[tokio::test]
async fn runs_are_chosen_in_ranges_by_mouse_and_keyboard() -> Result<()> {
    let app = App::start_with(|data| write_runs(data, 300)).await?;
    let browser = Browser::open().await?;
    // Sorted by best robust accuracy, the order is 299, 298, 297 and so on.
    browser.goto(&app.url("/?sort=best")).await?;
    browser.find("[aria-label='Choose Made run 299']").await?.click().await?;
    browser.sees("1 chosen").await?;
    browser.click_with_shift("[aria-label='Choose Made run 295']").await?;
    browser.sees("5 chosen").await?;
    // Shift+Space removes the range from 295 to 297.
    browser.press(Key::Up + "").await?;
    browser.press(Key::Up + "").await?;
    assert_eq!(focused(&browser).await?, "Choose Made run 297");
    browser.press_with_shift(" ").await?;
    browser.sees("2 chosen").await?;
    // Shift and an arrow add one run per step.
    browser.press(" ").await?;
    browser.sees("3 chosen").await?;
    browser.press_with_shift(Key::Down + "").await?;
    browser.sees("4 chosen").await?;
    assert_eq!(focused(&browser).await?, "Choose Made run 296");

    // Chooses all runs that the filter shows, in addition to those chosen before.
    browser.fill("Filter", "method:trades").await?;
    browser.sees("Choose none").await?;
    until("the filter holds", async || {
        Ok((browser.script("return document.querySelector('.runs-table').ariaRowCount").await? == json!("44")).then_some(()))
    })
    .await?;
    browser.find("[aria-label='Choose all 43 that are shown']").await?.click().await?;
    // None of the four chosen runs, 296 to 299, is a multiple of seven, so all 43 are new.
    browser.sees("47 chosen").await?;
    browser.find("[aria-label='Choose all 43 that are shown']").await?.click().await?;
    browser.sees("4 chosen").await?;

    browser.click("Tag").await?;
    browser.sees("4 runs keep their other tags.").await?;
    browser.fill("Add tags", "paper, x\"y").await?;
    browser.sees("holds '\"'").await?;
    browser.fill("Add tags", "paper, seeds").await?;
    browser.is_accessible().await?;
    browser.click("Tag 4 runs").await?;
    browser.sees("4 runs have their new tags.").await?;
    assert_eq!(app.run("made-00298").await?.tags, ["paper", "seeds"]);
    assert_eq!(focused(&browser).await?, "Tag", "the focus is where it was");

    browser.fill("Filter", "tag:paper").await?;
    browser.click("Delete").await?;
    browser.sees("4 runs go to the trash and can be restored for 7 days.").await?;
    browser.find("#delete-for-good").await?.click().await?;
    browser.sees("4 runs with their checkpoints, matrices and links will be gone for good.").await?;
    browser.is_accessible().await?;
    browser.click("Delete 4 runs for good").await?;
    browser.sees("4 runs are deleted for good.").await?;
    browser.sees("0 of 296 runs").await?;
    assert!(!app.run_dir("made-00298").exists() && app.run_dir("made-00295").exists());
    until("the focus is near", async || Ok((focused(&browser).await? == json!("Chosen runs")).then_some(()))).await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_refused_is_named_beside_what_was_done() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let running = endless(&app, "Running").await?;
    until("it runs", async || Ok((app.run(&running).await?.summary.epoch > 0).then_some(()))).await?;
    endless(&app, "Waiting").await?;
    browser.goto(&app.url("/")).await?;
    browser.find("[aria-label='Choose all 2 that are shown']").await?.click().await?;
    browser.sees("2 chosen").await?;
    browser.click("Delete").await?;
    browser.sees("1 run goes to the trash and can be restored for 7 days.").await?;
    browser.sees("1 is running and stays: cancel it first.").await?;
    // Meanwhile somebody else cancels the running run. The server decides what is still possible.
    browser.click("Keep").await?;
    browser.click("Cancel").await?;
    browser.sees("1 running run saves what it has and stops.").await?;
    browser.sees("1 waiting run leaves the queue.").await?;
    let ended = app.ask("/api/run-actions", &json!({"action": "cancel", "ids": [running]})).await?;
    assert!(ended["outcomes"][0]["problem"].is_null(), "{ended}");
    app.finished(&running).await?;
    browser.click("Cancel 2 runs").await?;
    browser.sees("1 run is canceled or stopping. 1 was refused:").await?;
    browser.sees("has finished (canceled) and cannot be stopped.").await?;
    browser.is_accessible().await?;
    assert_eq!(focused(&browser).await?, "Cancel", "the focus is where it was");
    browser.click("Put this message away").await?;

    until("both are canceled on the page", async || {
        let states = "[...document.querySelectorAll('tbody .badge')].filter(badge => badge.textContent.trim() == 'Canceled').length";
        Ok((browser.script(&format!("return {states}")).await? == json!(2)).then_some(()))
    })
    .await?;
    browser.click("Resume").await?;
    browser.sees("2 runs go back to the queue").await?;
    browser.click("Resume 2 runs").await?;
    browser.sees("2 runs are in the queue again.").await?;
    until("one of them runs", async || Ok((!app.run(&running).await?.state.is_finished()).then_some(()))).await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn the_whole_queue_is_called_off() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let mut ids = Vec::new();
    for name in ["First", "Second", "Third"] {
        ids.push(endless(&app, name).await?);
    }
    until("the first has begun", async || Ok((app.run(&ids[0]).await?.summary.epoch > 0).then_some(()))).await?;
    browser.goto(&app.url("/queue")).await?;
    browser.sees("1 running, 2 waiting").await?;
    browser.click("Cancel all").await?;
    browser.sees("1 running run saves what it has and stops.").await?;
    browser.sees("2 waiting runs leave the queue.").await?;
    browser.click("Cancel 3 runs").await?;
    browser.sees("3 runs are canceled or stopping.").await?;
    browser.sees("Nothing runs and nothing waits").await?;
    for id in &ids {
        assert_eq!(app.run(id).await?.state, RunState::Canceled);
    }
    assert_eq!(app.run(&ids[1]).await?.started_at, None, "the second was not started by the end of the first");
    assert_eq!(focused(&browser).await?, "Cancel all", "the focus is where it was");
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn the_runs_of_a_sweep_are_sorted_called_off_and_deleted_together() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let axes = json!([{"field": "seed", "values": [3, 1, 2]}]);
    let sweep: Sweep = app.create("/api/sweeps", &json!({"config": small_run(ENDLESS), "axes": axes})).await?;
    browser.goto(&app.url("/sweeps")).await?;
    browser.click("Small run").await?;
    browser.sees("Sweep over seed").await?;
    browser.sees("Small run · seed 3").await?;
    let order = async |expected: [&str; 3]| {
        until(&format!("the order is {expected:?}"), async || {
            let text = browser.text().await?;
            let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Small run · seed ")).collect();
            Ok((titles == expected).then_some(()))
        })
        .await
    };
    order(["3", "1", "2"]).await?;
    browser.find("//th//button[starts-with(normalize-space(), 'Seed')]").await?.click().await?;
    order(["3", "2", "1"]).await?;
    browser.find("//th//button[starts-with(normalize-space(), 'Seed')]").await?.click().await?;
    order(["1", "2", "3"]).await?;
    browser.reaches("sort=seed&order=asc").await?;

    browser.click("Cancel all").await?;
    browser.click("Cancel 3 runs").await?;
    browser.sees("3 of 3 runs are finished").await?;
    browser.click("Delete all").await?;
    browser.click("Delete 3 runs").await?;
    browser.sees("One question, several runs").await?;
    browser.sees("3 runs are in the trash.").await?;
    browser.click("Undo").await?;
    browser.sees("3 runs are restored.").await?;
    browser.sees("Small run").await?;
    assert_eq!(app.run(&sweep.runs[0].id).await?.state, RunState::Canceled);
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn back_leads_to_where_one_was_in_the_table() -> Result<()> {
    let app = App::start_with(|data| write_runs(data, 300)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/?sort=best")).await?;
    browser.sees("300 runs").await?;
    browser.script("document.querySelector('.runs-box').scrollTop = 6000").await?;
    let name = until("rows in the middle are in the page", async || {
        let found = browser.script("return document.elementFromPoint(600, 600)?.closest('tr[data-id]')?.dataset.id").await?;
        Ok(found.as_str().filter(|id| *id < "made-00260").map(str::to_owned))
    })
    .await?;
    let place = browser.script("return document.querySelector('.runs-box').scrollTop").await?;
    browser.find(&format!("tr[data-id='{name}'] .run-title")).await?.click().await?;
    browser.reaches(&format!("/runs/{name}")).await?;
    browser.find("h1").await?;
    browser.back().await?;
    let stands = async |expected: &Value| {
        until(&format!("the table is scrolled to {expected}"), async || {
            let found = browser.script("return document.querySelector('.runs-box')?.scrollTop ?? null").await?;
            Ok((found == *expected).then_some(()))
        })
        .await
    };
    stands(&place).await?;
    browser.find(&format!("tr[data-id='{name}']")).await?;

    // The choice survives a visit to a comparison, even with a reload there.
    browser.script("document.querySelector('.runs-box').scrollTop = 0").await?;
    browser.find("[aria-label='Choose Made run 299']").await?.click().await?;
    browser.find("[aria-label='Choose Made run 297']").await?.click().await?;
    browser.sees("2 chosen").await?;
    browser.click("Compare").await?;
    browser.reaches("/compare?a=made-00299").await?;
    browser.reload().await?;
    browser.find("h1").await?;
    browser.back().await?;
    browser.sees("2 chosen").await?;
    assert_eq!(browser.find("[aria-label='Choose Made run 297']").await?.prop("checked").await?.as_deref(), Some("true"));

    // A link opens the table at the top.
    browser.click("Data").await?;
    browser.sees("Handwritten digits").await?;
    browser.click("Runs").await?;
    browser.sees("300 runs").await?;
    stands(&json!(0)).await?;
    // On a phone the page scrolls, not the box.
    browser.is_as_wide_as(390).await?;
    browser.goto(&app.url("/?sort=best")).await?;
    browser.sees("300 runs").await?;
    browser.script("scrollTo(0, 9000)").await?;
    let name = until("cards in the middle are in the page", async || {
        let found = browser.script("return document.elementFromPoint(150, 500)?.closest('tr[data-id]')?.dataset.id").await?;
        Ok(found.as_str().filter(|id| *id < "made-00270").map(str::to_owned))
    })
    .await?;
    browser.find(&format!("tr[data-id='{name}'] .run-title")).await?.click().await?;
    browser.reaches(&format!("/runs/{name}")).await?;
    browser.find("h1").await?;
    browser.back().await?;
    until("the page is scrolled", async || Ok(browser.script("return scrollY").await?.as_f64().filter(|top| (top - 9000.0).abs() < 600.0)))
        .await?;
    Ok(())
}

#[tokio::test]
async fn every_run_can_be_found_for_a_comparison_and_a_measurement() -> Result<()> {
    // More runs than one response of the API lists.
    let app = App::start_with(|data| write_runs(data, 700)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/compare")).await?;
    browser.find("#pick-run-A").await?.click().await?;
    browser.sees("The newest 50 of 700 runs").await?;
    browser.press("made-00003").await?;
    browser.find("//li[@role='option'][contains(., 'made-00003')]").await?;
    browser.is_accessible().await?;
    browser.press(Key::Enter + "").await?;
    browser.reaches("a=made-00003.e15.adversarial").await?;
    browser.find("#pick-run-B").await?.click().await?;
    browser.press("made-00004").await?;
    browser.find("//li[@role='option'][contains(., 'made-00004')]").await?.click().await?;
    let url = browser.reaches("b=made-00004.e20.adversarial").await?;
    assert!(url.contains("a=made-00003"), "{url}");

    browser.goto(&app.url("/new?kind=evaluate")).await?;
    browser.find("#field-checkpoint").await?.click().await?;
    browser.press("made-00005").await?;
    browser.press(Key::Enter + "").await?;
    browser.sees("\"checkpoint\": \"made-00005.best\"").await?;
    assert_eq!(browser.find("#field-checkpoint").await?.prop("value").await?.as_deref(), Some("Made run 5"));
    // Escape keeps the former choice.
    browser.press("zzz").await?;
    browser.sees("No run fits.").await?;
    browser.press(Key::Escape + "").await?;
    assert_eq!(browser.find("#field-checkpoint").await?.prop("value").await?.context("it has a value")?, "Made run 5");
    Ok(())
}
