//! Drafts of forms: kept across reloads and other pages until they are submitted or discarded.

use std::path::Path;

use anyhow::{Context, Result};
use tests::{App, Browser, small_run, until};

async fn value(browser: &Browser, label: &str) -> Result<String> {
    let input = browser.find(&format!("//*[@id=//label[normalize-space()='{label}']/@for]")).await?;
    Ok(input.prop("value").await?.unwrap_or_default())
}

async fn holds(browser: &Browser, label: &str, expected: &str) -> Result<()> {
    until(&format!("{label} is {expected}"), async || Ok((value(browser, label).await? == expected).then_some(()))).await
}

#[tokio::test]
async fn what_was_typed_is_there_again_until_it_is_discarded() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?preset=demo")).await?;
    let first = value(&browser, "Epochs").await?;
    browser.fill("Epochs", "7").await?;
    browser.fill("Radius eps", "wide").await?;
    browser.click("Vary a field").await?;
    browser.fill("Field to vary", "seed").await?;

    browser.reload().await?;
    browser.sees("Restored your changes of").await?;
    holds(&browser, "Epochs", "7").await?;
    holds(&browser, "Radius eps", "wide").await?;
    holds(&browser, "Field to vary", "seed").await?;
    browser.sees("`wide` is not a size").await?;
    browser.is_accessible().await?;

    // Leave the page and return. The form of another preset has no draft.
    browser.click("Data").await?;
    browser.sees("Handwritten digits").await?;
    browser.goto(&app.url("/new?preset=cifar10")).await?;
    browser.sees("Start run").await?;
    assert!(!browser.text().await?.contains("Restored your changes"));
    browser.goto(&app.url("/new?preset=demo")).await?;
    browser.sees("Restored your changes of").await?;
    holds(&browser, "Epochs", "7").await?;

    browser.click("Discard").await?;
    holds(&browser, "Epochs", &first).await?;
    let focus = browser.script("return document.activeElement.id").await?;
    assert_eq!(focus, "run-form", "the focus stays in the form");
    browser.reload().await?;
    holds(&browser, "Epochs", &first).await?;
    assert!(!browser.text().await?.contains("Restored your changes"));
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_form_says_what_is_missing_how_long_it_takes_and_what_was_changed() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?preset=cifar10")).await?;
    browser.sees("CIFAR-10 is not on this server yet").await?;
    browser.find("//section[@aria-label='Data that is missing']//button[starts-with(., 'Download')]").await?;
    // On any processor, days or months.
    browser.find("//*[@class='form-bar-needs'][starts-with(., 'about ') and contains(., ' on cpu, ')]").await?;
    browser.is_accessible().await?;
    browser.click("small form").await?;
    browser.reaches("form=small").await?;
    browser.sees("in minutes of two CPU cores").await?;
    assert!(!browser.text().await?.contains("not on this server"), "its images are generated");

    // What is wrong in a folded section opens it.
    let evaluation = "//summary[contains(., 'Evaluation')]";
    let open = async || browser.script("return document.querySelectorAll('.form-folded[open]').length").await;
    assert_eq!(open().await?, 0);
    browser.click("Edit").await?;
    let text = browser.find("textarea[aria-label=Configuration]").await?;
    let written = text.prop("value").await?.context("it holds the configuration")?;
    let mut config: serde_json::Value = serde_json::from_str(&written)?;
    config["evaluation"]["every"] = 0.into();
    text.send_keys("x").await?;
    browser.sees("This is not JSON yet").await?;
    text.clear().await?;
    text.send_keys(config.to_string()).await?;
    browser.find(&format!("{evaluation}[contains(., '1 changed')]")).await?;
    until("the section is open", async || Ok((open().await? == 1).then_some(()))).await?;
    browser.sees("One field needs another value").await?;
    browser.is_accessible().await?;

    browser.click("Done").await?;
    browser.fill("Every … epochs", "1").await?;
    browser.sees("\"every\": 1").await?;
    browser.is_quiet().await
}

#[tokio::test]
async fn a_form_that_was_submitted_begins_anew() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?;
    let form = app.url(&format!("/new?from={}", run.id));
    browser.goto(&form).await?;
    browser.fill("Seed", "7").await?;
    browser.click("Start run").await?;
    browser.reaches("/runs/").await?;
    browser.goto(&form).await?;
    browser.sees("A copy of").await?;
    holds(&browser, "Seed", "0").await?;
    assert!(!browser.text().await?.contains("Restored your changes"));
    // A form whose changes were undone has no draft.
    browser.fill("Seed", "8").await?;
    browser.fill("Seed", "0").await?;
    browser.reload().await?;
    holds(&browser, "Seed", "0").await?;
    assert!(!browser.text().await?.contains("Restored your changes"));
    Ok(())
}

#[tokio::test]
async fn a_file_that_was_chosen_is_named_and_has_to_be_chosen_again() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    browser.find("main input[type=file]").await?.send_keys(file.to_str().context("the path is UTF-8")?).await?;
    browser.fill("Epoch", "12").await?;
    browser.sees("\"source\": \"Cargo.toml\"").await?;
    browser.reload().await?;
    browser.sees("The file Cargo.toml has to be chosen again").await?;
    holds(&browser, "Epoch", "12").await?;
    browser.sees("\"source\": \"\"").await?;
    browser.is_quiet().await?;
    Ok(())
}
