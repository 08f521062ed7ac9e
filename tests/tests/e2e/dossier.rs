//! The dossier of a pair.

use anyhow::{Context, Result};
use serde_json::json;
use shared::api::RunState;
use shared::config::{RunConfig, RunKind};
use tests::{App, Browser, small_run, until};
use thirtyfour::Key;

#[tokio::test]
async fn a_dossier_is_opened_walked_and_measured_by_keyboard() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/attributions/{0}.e4.adversarial?base={0}.e2.adversarial", run.id))).await?;
    browser.sees("walk from pair to pair").await?;
    browser.find("[role=application]").await?.focus().await?;
    for key in [Key::Down, Key::Right, Key::Right, Key::Right] {
        browser.press(key).await?;
    }
    // True class 0, other class 3.
    browser.sees("0 and 3").await?;
    browser.sees("of 45 by change").await?;
    browser.find("[role=img][aria-label^='Cosine over epochs: from']").await?;

    // The link leads from the heatmap to the dossier without the elements in between.
    browser.find("//button[.='Go to the dossier']").await?.focus().await?;
    browser.press(Key::Enter).await?;
    let focused = browser.script("return document.activeElement.id").await?;
    anyhow::ensure!(focused == "dossier", "{focused} has the focus");

    // The keys step to the neighbor of the pair in the ranking by change, and back.
    let place = browser.find("//section[contains(@class, 'dossier')]//*[@role='status']").await?.text().await?;
    let place: usize = place.split(' ').next().context("the place is a number")?.parse()?;
    let (there, back, next) = if place < 45 { ("]", "[", place + 1) } else { ("[", "]", place - 1) };
    browser.press(there).await?;
    browser.sees(&format!("{next} of 45 by change")).await?;
    until("the address has the other pair", async || Ok(Some(browser.url().await?).filter(|url| !url.contains("cell=0,3")))).await?;
    browser.press(back).await?;
    browser.sees(&format!("{place} of 45 by change")).await?;

    browser.find("//button[normalize-space()='Measure this pair']").await?.focus().await?;
    browser.press(Key::Enter).await?;
    browser.sees("dimensions add up to").await?;
    browser.sees("The images that drive these dimensions").await?;
    browser.find("img[alt='0, attacked']").await?;
    browser.find("[role=region][aria-label^='Accuracy without shared dimensions, Epoch 4']").await?;
    browser.sees("0, without others").await?;
    browser.sees("8 other dimensions, the mean of 3 drawings").await?;
    browser.is_quiet().await?;

    // The measurement is found again when the page is reopened, and it has a page of its own.
    browser.goto(&app.url(&format!("/attributions/{}.e4.adversarial?cell=3,0", run.id))).await?;
    browser.sees("dimensions add up to").await?;
    let link = browser.find("//p[contains(., 'Measured by')]/a").await?;
    link.click().await?;
    let url = browser.reaches("/runs/pair-").await?;
    browser.sees("What classes share").await?;
    browser.sees("dimensions add up to").await?;
    browser.is_quiet().await?;
    let measured = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    assert_eq!((measured.state, measured.config.kind()), (RunState::Succeeded, RunKind::Pair));
    let RunConfig::Pair(config) = &measured.config else { anyhow::bail!("{measured:?}") };
    assert_eq!((config.pairs.clone(), config.checkpoints.len()), (vec![[0, 3]], 2));
    Ok(())
}

#[tokio::test]
async fn a_run_trains_on_without_what_two_classes_share() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let parent = app.succeeded(&small_run(4)).await?;
    let pair = json!({"kind": "pair", "device": "cpu", "checkpoints": [format!("{}.e2", parent.id)], "pairs": [[0, 3]]});
    let pair = app.succeeded(&pair).await?;
    browser.goto(&app.url(&format!("/runs/{}", pair.id))).await?;
    browser.click("Train on without these 8 features").await?;
    browser.sees("Goes on without 8 features from epoch 2 of Small run.").await?;
    browser.sees("8 features left out").await?;
    browser.click("Start run").await?;
    let url = browser.reaches("/runs/at-").await?;
    browser.sees("Trained without the features").await?;
    browser.sees("Succeeded").await?;
    browser.is_quiet().await?;
    let child = app.run(url.rsplit('/').next().context("the address names the run")?).await?;
    let config = child.config.as_train().context("it trains")?;
    assert_eq!(config.start_from.as_ref().map(ToString::to_string), Some(format!("{}.e2", parent.id)));
    assert_eq!(config.training.left_out_features.len(), 8);
    Ok(())
}
