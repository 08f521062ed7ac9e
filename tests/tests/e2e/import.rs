//! Importing networks from files in the browser.

use std::path::Path;

use anyhow::{Context, Result};
use shared::api::RunState;
use shared::config::{RunConfig, RunKind};
use tests::{App, Browser};

/// Narrow networks written by PyTorch.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/fixtures/import");

/// Chooses a file in the form.
async fn choose(browser: &Browser, name: &str) -> Result<()> {
    let file = Path::new(FIXTURES).join(name).canonicalize()?;
    let chooser = browser.find("main input[type=file]").await?;
    Ok(chooser.send_keys(file.to_str().context("the path of the fixture is UTF-8")?).await?)
}

/// Clicks the button that submits. The choice of the kind of run has the same name.
async fn import(browser: &Browser) -> Result<()> {
    Ok(browser.find("//main//button[normalize-space()='Import']").await?.click().await?)
}

#[tokio::test]
async fn a_file_that_can_be_read_in_two_ways_is_asked_about_before_it_is_imported() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    choose(&browser, "hostile.pth").await?;
    browser.sees("no network known here").await?;
    choose(&browser, "best_and_last.pth").await?;
    browser.sees("The file holds 2 networks.").await?;
    browser.is_accessible().await?;
    import(&browser).await?;
    browser.sees("is to be decided: choose how the file is to be read").await?;
    browser.find("//label[contains(., 'under last')]").await?.click().await?;
    browser.sees("Left out: the network under best.").await?;
    import(&browser).await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    browser.sees("Left out: the network under best.").await?;
    browser.is_quiet().await?;
    let run = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    let RunConfig::Import(config) = &run.config else { panic!("{run:?}") };
    assert_eq!(config.network.as_deref(), Some("last"));
    Ok(())
}

#[tokio::test]
async fn a_file_of_pytorch_is_chosen_imported_and_its_matrix_shown() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    choose(&browser, "preact_resnet18.pth").await?;
    browser.sees("\"source\": \"preact_resnet18.pth\"").await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='synthetic']").await?.click().await?;
    browser.fill("Training images", "40").await?;
    browser.fill("Test images", "20").await?;
    browser.click_on("//label[normalize-space()='Attribution of adversarial inputs']").await?;
    browser.is_quiet().await?;
    browser.sees("that of Shared features, 32×32 is assumed").await?;
    import(&browser).await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    browser.sees("PreActResNet-18").await?;
    let heatmap = browser.find("[role=application]").await?;
    let name = heatmap.attr("aria-label").await?.context("the heatmap has a name")?;
    assert!(name.contains("class attribution similarity"), "{name}");
    browser.is_quiet().await?;

    let run = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    assert_eq!((run.state, run.config.kind()), (RunState::Succeeded, RunKind::Import));
    assert!(run.summary.cas.is_some(), "the checkpoint was measured");
    Ok(())
}
