//! Stepping through the checkpoints of a run, and comparing them with the pinned baseline.

use anyhow::{Context, Result};
use tests::{App, Browser, small_run};
use thirtyfour::Key;

#[tokio::test]
async fn the_scrubber_takes_matrix_and_address_along_and_a_reload_finds_them_again() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(6)).await?;
    browser.goto(&app.url(&format!("/runs/{}?epoch=2", run.id))).await?;
    browser.find("//p[@class='caption'][starts-with(., 'Epoch 2')]").await?;

    let scrubber = browser.find("input[type=range][aria-label=Checkpoint]").await?;
    scrubber.focus().await?;
    browser.press(Key::Right).await?;
    browser.find("//p[@class='caption'][starts-with(., 'Epoch 4')]").await?;
    let said = scrubber.attr("aria-valuetext").await?.context("the scrubber says where it stands")?;
    assert!(said.starts_with("Epoch 4") && said.contains("CAS"), "{said}");
    browser.press(Key::End).await?;
    browser.find("//p[@class='caption'][starts-with(., 'Epoch 6')]").await?;
    let url = browser.reaches("epoch=6").await?;

    let other = Browser::open().await?;
    other.goto(&url).await?;
    other.find("//p[@class='caption'][starts-with(., 'Epoch 6')]").await?;

    // Playing from the end starts at the beginning, and stops at the end.
    other.click("Play the checkpoints").await?;
    other.find("//p[@class='caption'][starts-with(., 'Epoch 4')]").await?;
    other.find("//button[@aria-label='Play the checkpoints']").await?;
    other.find("//p[@class='caption'][starts-with(., 'Epoch 6')]").await?;
    browser.is_quiet().await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_pinned_is_the_baseline_of_other_pages_and_of_a_copied_address() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/attributions/{}.e2.adversarial", run.id))).await?;
    browser.click("Pin as baseline").await?;
    browser.reaches(&format!("base={}.e2.adversarial", run.id)).await?;
    browser.find(".baseline-chip").await?;

    browser.goto(&app.url(&format!("/attributions/{}.e4.adversarial", run.id))).await?;
    browser.sees("against the baseline").await?;
    let url = browser.reaches("base=").await?;
    let other = Browser::open().await?;
    other.goto(&url).await?;
    other.sees("against the baseline").await?;

    browser.click("Unpin the baseline").await?;
    browser.sees("mean over ordered pairs").await?;
    browser.is_quiet().await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_share_of_a_run_opens_where_the_scrubber_stood() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(6)).await?;
    browser.goto(&app.url(&format!("/runs/{}?epoch=4", run.id))).await?;
    browser.find("//p[@class='caption'][starts-with(., 'Epoch 4')]").await?;
    browser.click("Share").await?;
    browser.click("Make a link").await?;
    let input = "//label[starts-with(normalize-space(), 'Link:')]/following-sibling::input";
    let link = browser.find(input).await?.prop("value").await?.context("the link is in the input")?;

    let reader = Browser::open().await?;
    reader.goto(&link).await?;
    reader.find("//p[@class='caption'][starts-with(., 'Epoch 4')]").await?;
    let scrubber = reader.find("input[type=range][aria-label=Checkpoint]").await?;
    scrubber.focus().await?;
    // The page says what the share does not contain, and shows again what it contains.
    reader.press(Key::Home).await?;
    reader.find("//h2[.='Epoch 2']").await?;
    reader.press(Key::Right).await?;
    reader.find("//p[@class='caption'][starts-with(., 'Epoch 4')]").await?;
    reader.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn three_checkpoints_are_compared_split_by_address_and_another_is_made_the_baseline() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(6)).await?;
    let side = |side: &str, epoch: u32| format!("{side}={}.e{epoch}.adversarial", run.id);
    let query = [side("a", 2), side("b", 4), side("c", 6)].join("&");
    browser.goto(&app.url(&format!("/compare?{query}&show=split"))).await?;
    browser.find("//h2[.='A above, B below the diagonal']").await?;
    browser.find("//h2[.='A above, C below the diagonal']").await?;

    browser.click("Difference").await?;
    browser.reaches("show=difference").await?;
    browser.find("//h2[.='C − A']").await?;
    browser.click("Make the baseline: C").await?;
    browser.reaches(&side("a", 6)).await?;
    browser.click("Remove C").await?;
    browser.sees("ΔCAS").await?;
    browser.click("Flicker").await?;
    browser.reaches("show=flicker").await?;
    browser.click("Pause").await?;
    browser.is_quiet().await?;
    Ok(())
}
