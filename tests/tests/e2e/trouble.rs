//! What goes wrong, and what people are told about it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use shared::api::RunState;
use tests::campaign::campaign;
use tests::{App, Browser, kill, small_run, until};

#[tokio::test]
async fn a_worker_that_is_killed_again_and_again_leaves_a_failed_run_with_its_reason_and_log() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let id = app.submit(&small_run(10_000)).await?.id;
    browser.goto(&app.url(&format!("/runs/{id}"))).await?;
    browser.sees("Running").await?;
    until("an epoch is done", async || Ok((app.run(&id).await?.summary.epoch > 0).then_some(()))).await?;
    let kill = || {
        for (_, pid) in app.workers() {
            kill(pid, libc::SIGKILL);
        }
    };
    kill();
    browser.sees("The run was tried again (1 of 3)").await?;
    let ended = async || {
        kill();
        Ok(app.run(&id).await?.state.is_finished().then_some(()))
    };
    until("the run is tried no more", ended).await?;

    browser.sees("This run failed").await?;
    browser.sees("SIGKILL").await?;
    let run = app.run(&id).await?;
    assert_eq!(run.state, RunState::Failed);
    let failure = run.failure.unwrap_or_default();
    assert!(failure.contains("without getting any further") || failure.contains("tried again 3 times"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn kills_of_workers_and_servers_change_no_byte() -> Result<()> {
    const KILLS: u32 = 6;
    let report = campaign(KILLS, 1, |_| {}).await?;
    assert_eq!(report.kills.values().sum::<u32>(), KILLS);
    assert!(report.differences.is_empty(), "{report}");
    Ok(())
}

/// Finds the process that has the directory as an argument.

#[tokio::test]
async fn the_cifar_10_preset_starts_on_a_folder_and_stops_cleanly() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let folder = tempfile::tempdir()?;
    browser.goto(&app.url("/new?preset=cifar10")).await?;
    browser.click("Start run").await?;
    browser.sees("this server has no folder of CIFAR-10 yet").await?;
    browser.fill("Folder on the server", "/nowhere/cifar").await?;
    browser.click("Start run").await?;
    browser.sees("/nowhere/cifar").await?;
    assert!(browser.url().await?.contains("/new"), "a folder that is not there is refused before a run is made");

    small_cifar10(folder.path())?;
    browser.fill("Folder on the server", folder.path().to_str().context("the folder's name is UTF-8")?).await?;
    browser.fill("Training images", "100").await?;
    browser.fill("Test images", "20").await?;
    browser.click("Start run").await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Training · epoch 1").await?;
    browser.click("Cancel").await?;
    browser.sees("Canceled").await?;
    let run = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    assert_eq!((run.state, run.failure), (RunState::Canceled, None));
    Ok(())
}

/// Writes files in CIFAR-10's binary layout with 50 images each: a label byte, then 3072 bytes of pixels.
fn small_cifar10(folder: &Path) -> Result<()> {
    let names = (1..=5).map(|batch| format!("data_batch_{batch}.bin")).chain(["test_batch.bin".to_owned()]);
    for name in names {
        let images = (0..50_u32).flat_map(|image| {
            let label = (image % 10) as u8;
            std::iter::once(label).chain((0..3072_u32).map(move |pixel| (image.wrapping_mul(31) ^ pixel.wrapping_mul(7)) as u8))
        });
        fs::write(folder.join(name), images.collect::<Vec<u8>>())?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/runs/at-digits-0000")).await?;
    browser.sees("at-digits-0000").await?;
    browser.sees("Try again").await?;
    browser.find("//h1[.='Not Found']").await?;
    browser.goto(&app.url("/nowhere")).await?;
    browser.sees("Page not found").await?;
    browser.goto(&app.url("/s/unknown")).await?;
    browser.sees("This link opens nothing").await?;
    Ok(())
}
