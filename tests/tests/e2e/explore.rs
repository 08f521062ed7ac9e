//! Reading a matrix and comparing two.

use anyhow::{Context, Result};
use tests::{App, Browser, small_run};
use thirtyfour::Key;

#[tokio::test]
async fn a_heatmap_is_read_by_keyboard_and_its_address_keeps_the_cell() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?;
    browser.goto(&app.url(&format!("/attributions/{}.e2.adversarial", run.id))).await?;
    let heatmap = browser.find("[role=application]").await?;
    let name = heatmap.attr("aria-label").await?.context("the heatmap has a name")?;
    assert!(name.contains("class attribution similarity"), "{name}");

    // From the first cell two down and one to the right: true class 2, other class 1.
    heatmap.focus().await?;
    for key in [Key::Down, Key::Down, Key::Down, Key::Right] {
        browser.press(key).await?;
    }
    let url = browser.reaches("cell=2,1").await?;

    // The same address shows the same cell in a browser that has never been here, ordered anew without losing it.
    let other = Browser::open().await?;
    other.goto(&url).await?;
    other.choose("Order", "By similarity").await?;
    let url = other.reaches("order=similarity").await?;
    assert!(url.contains("cell=2,1"), "{url}");
    other.click("As in the paper").await?;
    other.reaches("scale=paper").await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn best_and_last_are_compared_with_one_selection_in_all_matrices() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/compare?a={0}.e2.adversarial&b={0}.e4.adversarial", run.id))).await?;
    browser.sees("ΔCAS").await?;
    browser.sees("Pairs that changed most").await?;
    browser.click("Show all 45 pairs").await?;
    browser.click("3 · 5").await?;
    browser.reaches("cell=3,5").await?;
    browser.sees("rank").await?;
    browser.is_quiet().await?;
    Ok(())
}
