//! Importing networks from files in the browser.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use shared::api::RunState;
use shared::config::{Inputs, RunConfig, RunKind};
use shared::record::Metrics;
use tempfile::TempDir;
use tests::{App, Browser, small_run};

/// Narrow networks written by PyTorch.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/fixtures/import");

/// Chooses a file in the form.
async fn choose(browser: &Browser, name: &str) -> Result<()> {
    let file = Path::new(FIXTURES).join(name).canonicalize()?;
    let chooser = browser.find("main input[type=file]").await?;
    // Otherwise the driver adds the file to those chosen before.
    chooser.clear().await?;
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

/// Trains twenty epochs, and puts their checkpoints into a folder as codes do.
async fn training(app: &App) -> Result<TempDir> {
    let mut config = small_run(20);
    config["checkpoints"] = json!({"every": 1});
    let run = app.succeeded(&config).await?;
    let folder = TempDir::with_prefix("prn-")?;
    for epoch in 1..=20 {
        let file = app.run_dir(&run.id).join(format!("checkpoints/e{epoch}.safetensors"));
        std::fs::copy(file, folder.path().join(format!("epoch_{epoch}.safetensors")))?;
    }
    Ok(folder)
}

/// The matrices of a run, by epoch.
async fn course(app: &App, url: &str) -> Result<Vec<u32>> {
    let id = url.rsplit('/').next().context("the address names the run")?;
    let metrics: Metrics = app.get(&format!("/api/runs/{id}/metrics")).await?;
    let adversarial = metrics.attributions.iter().filter(|entry| entry.inputs == Inputs::Adversarial);
    Ok(adversarial.map(|entry| entry.epoch).collect())
}

#[tokio::test]
async fn a_folder_of_checkpoints_is_put_in_order_and_its_course_of_cas_drawn() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let folder = training(&app).await?;
    std::fs::copy(folder.path().join("epoch_20.safetensors"), folder.path().join("weights.safetensors"))?;
    let log = (1..=20).map(|epoch| format!("{epoch},0.{}\n", 20 + epoch)).collect::<String>();
    std::fs::write(folder.path().join("log.csv"), format!("epoch,train acc\n{log}"))?;

    browser.goto(&app.url("/new?kind=import")).await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='digits']").await?.click().await?;
    let chooser = browser.find("main input[webkitdirectory]").await?;
    chooser.send_keys(folder.path().to_str().context("the folder is UTF-8")?).await?;
    browser.sees("weights.safetensors has no number in its name and no epoch stored in it").await?;
    browser.sees("22 files").await?;
    browser.is_accessible().await?;
    // An epoch that another file has, and one of its own.
    let epoch = browser.find("[aria-label='Epoch of weights.safetensors']").await?;
    epoch.send_keys("20").await?;
    browser.sees("20 is given to epoch_20.safetensors and to weights.safetensors").await?;
    epoch.send_keys("0").await?;
    browser.sees("21 of 21 files are imported").await?;
    browser.click_on("//label[contains(., 'weights.safetensors')]").await?;
    browser.sees("20 of 21 files are imported").await?;
    browser.click_on("//label[contains(., 'hat of ')]").await?;
    browser.sees("as this import says").await?;
    browser.sees("A series of 20 checkpoints, from epoch 1").await?;
    import(&browser).await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    browser.sees("Best robust accuracy").await?;
    let heatmap = browser.find("[role=application]").await?;
    let name = heatmap.attr("aria-label").await?.context("the heatmap has a name")?;
    assert!(name.contains("class attribution similarity"), "{name}");
    browser.is_quiet().await?;
    assert_eq!(course(&app, &url).await?, (1..=20).collect::<Vec<_>>());

    // The same by a path, with all that was found and nothing chosen.
    std::fs::remove_file(folder.path().join("weights.safetensors"))?;
    browser.goto(&app.url("/new?kind=import")).await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='digits']").await?.click().await?;
    browser.click("A path on the server").await?;
    browser.fill("File or folder on the server", folder.path().to_str().context("the folder is UTF-8")?).await?;
    browser.sees("20 of 20 files are imported").await?;
    browser.click_on("//label[contains(., 'hat of ')]").await?;
    browser.sees("as this import says").await?;
    import(&browser).await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    assert_eq!(course(&app, &url).await?, (1..=20).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn several_files_are_chosen_at_once() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let folder = TempDir::with_prefix("several-")?;
    let mut paths = Vec::new();
    for name in ["model_2.pth", "model_10.pth"] {
        let path = folder.path().join(name);
        std::fs::copy(Path::new(FIXTURES).join("plain.pth"), &path)?;
        paths.push(path.to_str().context("the path is UTF-8")?.to_owned());
    }
    browser.goto(&app.url("/new?kind=import")).await?;
    browser.find("//select[@id=//label[normalize-space()='Data set']/@for]/option[@value='synthetic']").await?.click().await?;
    browser.fill("Training images", "40").await?;
    browser.fill("Test images", "20").await?;
    browser.find("main input[type=file]").await?.send_keys(paths.join("\n")).await?;
    browser.sees("2 of 2 files are imported").await?;
    // Whatever accuracy says on so few images, this is a choice.
    browser.click_on("//label[contains(., 'pixels in [0, 1]')]").await?;
    browser.sees("as this import says").await?;
    browser.sees("from epoch 2 (model_2.pth) to epoch 10 (model_10.pth)").await?;
    import(&browser).await?;
    let url = browser.reaches("/runs/").await?;
    browser.sees("Succeeded").await?;
    assert_eq!(course(&app, &url).await?, [2, 10]);
    Ok(())
}
