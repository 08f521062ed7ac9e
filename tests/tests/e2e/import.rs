//! Networks from elsewhere, brought in from the browser.

use std::path::Path;

use anyhow::{Context, Result};
use shared::api::RunState;
use shared::config::RunKind;
use tests::{App, Browser};

/// Narrow networks that PyTorch has written.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/fixtures/import");

#[tokio::test]
async fn a_file_of_pytorch_is_chosen_imported_and_its_matrix_shown() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    let file = Path::new(FIXTURES).join("preact_resnet18.pth").canonicalize()?;
    let chooser = browser.find("main input[type=file]").await?;
    chooser.send_keys(file.to_str().context("the path of the fixture is UTF-8")?).await?;
    browser.sees("\"source\": \"preact_resnet18.pth\"").await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='synthetic']").await?.click().await?;
    browser.fill("Training images", "40").await?;
    browser.fill("Test images", "20").await?;
    browser.find("//label[normalize-space()='Attribution of adversarial inputs']").await?.click().await?;
    browser.is_quiet().await?;
    // The kind of run is called so too.
    browser.find("//main//button[normalize-space()='Import']").await?.click().await?;
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
