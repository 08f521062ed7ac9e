//! Exploring a matrix, and comparing two.

use anyhow::{Context, Result};
use serde_json::Value;
use tests::{App, Browser, small_run, until};
use thirtyfour::Key;

/// Opens the table below each heatmap and returns the rows of all; the first row of each is its head.
const TABLES: &str = "
    for (const details of document.querySelectorAll('details:has(> [aria-label=Matrix])')) details.open = true;
    return [...document.querySelectorAll('[aria-label=Matrix] tr')].map(row => [...row.children].map(cell => cell.innerText));";
const CELLS_AS_PICTURE: &str = "return document.querySelector('.heatmap canvas').toDataURL()";
const CLASSES: usize = 10;

/// The rows of `count` matrices, in the order on the page.
async fn tables(browser: &Browser, count: usize) -> Result<Vec<Vec<String>>> {
    until("the tables are there", async || {
        let rows: Vec<Vec<String>> = serde_json::from_value(browser.script(TABLES).await?)?;
        Ok(Some(rows).filter(|rows| rows.len() == count * (CLASSES + 1)))
    })
    .await
}

#[tokio::test]
async fn a_heatmap_is_read_by_keyboard_and_its_address_keeps_the_cell() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?;
    browser.goto(&app.url(&format!("/attributions/{}.e2.adversarial", run.id))).await?;
    let heatmap = browser.find("[role=application]").await?;
    let name = heatmap.attr("aria-label").await?.context("the heatmap has a name")?;
    assert!(name.contains("class attribution similarity"), "{name}");

    // From the first cell, two down and one right: true class 2, other class 1.
    heatmap.focus().await?;
    for key in [Key::Down, Key::Down, Key::Down, Key::Right] {
        browser.press(key).await?;
    }
    let url = browser.reaches("cell=2,1").await?;

    // The same address shows the same cell in a fresh browser. Changing the order keeps the cell.
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
async fn an_order_and_a_scale_are_those_of_whoever_copied_the_address() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/attributions/{}.e4.adversarial", run.id))).await?;
    let given = tables(&browser, 1).await?;
    browser.choose("Order", "By similarity").await?;
    browser.reaches("order=similarity").await?;
    let ordered =
        until("the rows are in another order", async || Ok(Some(tables(&browser, 1).await?).filter(|rows| *rows != given))).await?;
    let sorted = |rows: &[Vec<String>]| {
        let mut heads = rows[0].clone();
        heads.sort();
        heads
    };
    assert_eq!(sorted(&ordered), sorted(&given), "the same classes");

    // With the fitted scale the cells have other colors; with the locked scale they have the former ones
    // again.
    let changed = async |browser: &Browser, from: &Value| {
        until("the cells have other colors", async || Ok(Some(browser.script(CELLS_AS_PICTURE).await?).filter(|now| now != from))).await
    };
    let locked = browser.script(CELLS_AS_PICTURE).await?;
    browser.click("Fitted").await?;
    let fitted = changed(&browser, &locked).await?;
    let url = browser.reaches("scale=fitted").await?;

    let other = Browser::open().await?;
    other.goto(&url).await?;
    assert_eq!(tables(&other, 1).await?, ordered);
    let shows = async |picture: &Value| {
        until("the cells have the same colors", async || Ok((other.script(CELLS_AS_PICTURE).await? == *picture).then_some(()))).await
    };
    shows(&fitted).await?;
    other.click("Locked").await?;
    shows(&locked).await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn what_the_cells_show_is_chosen_and_interference_is_followed_over_the_epochs() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let mut config = small_run(3);
    config["attribution"] = serde_json::json!({ "every": 1, "bootstrap": 0 });
    let run = app.succeeded(&config).await?;
    browser.goto(&app.url(&format!("/attributions/{}.e3.adversarial", run.id))).await?;
    let cosines = tables(&browser, 1).await?;
    browser.choose("Matrix", "Mean logits").await?;
    let url = browser.reaches("cells=logits").await?;
    browser.sees("mean logit of class j over the images of class i").await?;
    let logits = until("the cells are others", async || Ok(Some(tables(&browser, 1).await?).filter(|rows| *rows != cosines))).await?;
    assert_eq!(logits[0], cosines[0], "the same classes in the same order");
    let other = Browser::open().await?;
    other.goto(&url).await?;
    assert_eq!(tables(&other, 1).await?, logits);

    browser.click_on(".lens-bar .choice input").await?;
    browser.reaches("traffic=1").await?;
    browser.click_on("details.panel > summary").await?;
    browser.sees("Over the epochs").await?;
    browser.sees("C and traffic over epochs").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_split_square_has_the_baseline_above_its_diagonal_and_the_other_below() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    let address = format!("/compare?a={0}.e2.adversarial&b={0}.e4.adversarial", run.id);
    browser.goto(&app.url(&address)).await?;
    browser.find("//h2[.='B: epoch 4 (last)'] | //h2[.='B: epoch 4 (best and last)'] | //h2[.='B: epoch 4']").await?;
    browser.click("Split").await?;
    browser.find("//h2[.='A above, B below the diagonal']").await?;
    browser.reaches("show=split").await?;
    let split = tables(&browser, 1).await?;

    browser.click("Side by side").await?;
    browser.find("//h2[starts-with(., 'A: epoch 2')]").await?;
    let both = tables(&browser, 3).await?;
    let (a, b) = (&both[..=CLASSES], &both[CLASSES + 1..2 * (CLASSES + 1)]);
    for i in 1..=CLASSES {
        for j in 1..=CLASSES {
            let side = if i < j { a } else { b };
            if i != j {
                assert_eq!(split[i][j], side[i][j], "row {i}, column {j}");
            }
        }
    }
    browser.is_quiet().await?;
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
    browser.click_on("//summary[contains(., 'Interference')]").await?;
    browser.find("[role=img][aria-label^=\"Spearman's rank correlation of 6 pairs of relations\"]").await?;
    browser.sees("C and traffic").await?;
    browser.click("Show all 45 pairs").await?;
    browser.click("3 · 5").await?;
    browser.reaches("cell=3,5").await?;
    browser.sees("rank").await?;
    browser.is_quiet().await?;
    Ok(())
}
