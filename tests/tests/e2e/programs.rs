//! Networks as programs, and architectures with a depth, in the forms.

use std::path::Path;

use anyhow::{Context, Result};
use tests::{App, Browser};

/// A program of `crosslens.export` for the digits.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/fixtures/import/program.pt");

#[tokio::test]
async fn a_program_is_refused_until_the_server_is_started_to_run_programs() -> Result<()> {
    let mut app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    browser.sees("A program can do whatever the server may do").await?;
    browser.sees("This server was started without --allow-programs and refuses them.").await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='digits']").await?.click().await?;
    let file = Path::new(PROGRAM).canonicalize()?;
    let file = file.to_str().context("the path of the fixture is UTF-8")?;
    browser.find("main input[type=file]").await?.send_keys(file).await?;
    browser.sees("set program to true to run it where programs are allowed").await?;
    browser.click_on("//label[normalize-space()='The file is a program']").await?;
    browser.sees("programs are not run here: start the server with --allow-programs").await?;
    browser.is_accessible().await?;

    app.stop().await?;
    app.start_again(&["--allow-programs"])?;
    app.wait_until_healthy().await?;
    browser.goto(&app.url("/new?kind=import")).await?;
    browser.sees("This server was started with --allow-programs and runs them.").await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='digits']").await?.click().await?;
    browser.find("main input[type=file]").await?.send_keys(file).await?;
    let checked = browser.find("//input[@id=//label[normalize-space()='The file is a program']/@for]").await?;
    if !checked.is_selected().await? {
        browser.click_on("//label[normalize-space()='The file is a program']").await?;
    }
    browser.sees("program.pt (TorchScript) is a program with").await?;
    browser.find("//main//button[normalize-space()='Import']").await?.click().await?;
    browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn depth_and_activation_are_asked_for_where_an_architecture_has_several() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new")).await?;
    browser.find("//option[@value='dm_wide_resnet']").await?.click().await?;
    browser.fill("Depth", "30").await?;
    browser.sees("30 is not 6n + 4, such as 28 or 34").await?;
    browser.fill("Depth", "16").await?;
    browser.choose("Activation", "ReLU").await?;
    browser.sees("\"depth\": 16").await?;
    browser.sees("\"activation\": \"relu\"").await?;
    browser.is_accessible().await?;
    browser.choose("Architecture", "ResNet-18").await?;
    browser.sees("\"architecture\": \"resnet18\"").await?;
    let text = browser.text().await?;
    assert!(!text.contains("\"depth\"") && !text.contains("\"activation\""), "{text}");
    browser.is_quiet().await?;
    Ok(())
}
