//! Finding, labeling and choosing among many runs, the order of the queue, and keyboard use.

use anyhow::Result;
use serde_json::json;
use tests::{App, Browser, small_run, until, write_runs};
use thirtyfour::prelude::*;

/// Epochs of a training run that does not end during the test.
const ENDLESS: u32 = 10_000;

/// The titles of the first rows, in the displayed order.
async fn titles(browser: &Browser, count: usize) -> Result<Vec<String>> {
    let text = browser.text().await?;
    Ok(text.lines().filter(|line| line.starts_with("Made run ")).take(count).map(str::to_owned).collect())
}

async fn shows(browser: &Browser, expected: &[&str]) -> Result<()> {
    until(&format!("the rows are {expected:?}"), async || {
        let found = titles(browser, expected.len()).await?;
        Ok((found == expected).then_some(()))
    })
    .await
}

#[tokio::test]
async fn runs_are_tagged_found_sorted_and_compared() -> Result<()> {
    let app = App::start_with(|data| write_runs(data, 300)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/")).await?;
    browser.sees("300 runs").await?;

    browser.click("Best robust").await?;
    shows(&browser, &["Made run 299", "Made run 298"]).await?;
    browser.fill("Filter", "eps:4 method:trades").await?;
    shows(&browser, &["Made run 294", "Made run 273", "Made run 252"]).await?;
    browser.sees("15 of 300 runs").await?;
    // The URL has the order and the filter, shortly after typing has paused.
    let url = browser.reaches("q=eps%3A4%20method%3Atrades").await?;
    assert!(url.contains("sort=best"), "{url}");
    browser.fill("Filter", "eps:4 best>").await?;
    browser.sees("a value is missing, such as in `best>45`").await?;

    // Edit the labels of one run. The filter then finds it by them.
    browser.fill("Filter", "made-00007").await?;
    browser.sees("1 of 300 runs").await?;
    browser.find("[aria-label='Choose Made run 7']").await?.click().await?;
    browser.sees("Choose another to compare").await?;
    browser.click("Edit").await?;
    browser.fill("Tags", "paper, x,y, a tag that is much too long to be one").await?;
    browser.sees("characters; at most 32").await?;
    browser.fill("Tags", "paper, seeds").await?;
    browser.fill("Title", "The renamed run").await?;
    browser.click("Save").await?;
    browser.sees("The renamed run").await?;
    let run = app.run("made-00007").await?;
    assert_eq!((run.title.as_str(), run.tags), ("The renamed run", vec!["paper".to_owned(), "seeds".to_owned()]));
    browser.fill("Filter", "tag:paper").await?;
    browser.sees("1 chosen").await?;
    browser.sees("The renamed run").await?;

    // The choice stays while the filter changes.
    browser.fill("Filter", "made-00008").await?;
    browser.find("[aria-label='Choose Made run 8']").await?.click().await?;
    browser.sees("2 chosen").await?;
    let compare = browser.find("//a[normalize-space()='Compare']").await?.attr("href").await?;
    assert_eq!(compare.as_deref(), Some("compare?a=made-00007.e15.adversarial&b=made-00008.e15.adversarial"));
    browser.is_quiet().await?;

    // A copied address opens the same table.
    let other = Browser::open().await?;
    other.goto(&url).await?;
    shows(&other, &["Made run 294", "Made run 273", "Made run 252"]).await?;
    Ok(())
}

#[tokio::test]
async fn of_thousands_of_rows_those_in_sight_are_in_the_page_and_the_focus_stays() -> Result<()> {
    let app = App::start_with(|data| write_runs(data, 2000)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/?sort=title")).await?;
    browser.sees("2\u{2009}000 runs").await?;
    assert_eq!(browser.find(".runs-table").await?.attr("aria-rowcount").await?.as_deref(), Some("2001"));
    browser.find("[aria-label='Choose Made run 0']").await?.click().await?;
    browser.script("document.querySelector('.runs-box').scrollTop = 60000").await?;
    until("other rows are in sight", async || Ok((!browser.text().await?.contains("Made run 1000\n")).then_some(()))).await?;
    until("rows in the middle are in the page", async || {
        Ok((browser.script("return [...document.querySelectorAll('tr[data-id]')].some(row => row.ariaRowIndex > 900)").await?
            == json!(true))
        .then_some(()))
    })
    .await?;
    assert!(browser.script("return document.querySelectorAll('tr[data-id]').length").await?.as_u64().unwrap_or(u64::MAX) < 60);
    let focused = browser.script("return document.activeElement.ariaLabel").await?;
    assert_eq!(focused, json!("Choose Made run 0"), "what has the focus stays in the page");
    Ok(())
}

#[tokio::test]
async fn waiting_runs_are_put_in_another_order() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let submit = async |name: &str, epochs| {
        let mut config = small_run(epochs);
        config["name"] = json!(name);
        app.submit(&config).await
    };
    let running = submit("Endless", ENDLESS).await?;
    until("the first has begun", async || Ok((app.run(&running.id).await?.summary.epoch > 0).then_some(()))).await?;
    submit("First", 2).await?;
    submit("Second", 2).await?;
    let third = submit("Third", 2).await?;
    browser.goto(&app.url("/queue")).await?;
    browser.sees("1 running, 3 waiting").await?;
    browser.sees("by a short measurement of the device").await?;
    let order = async |expected: [&str; 3]| {
        until(&format!("the order is {expected:?}"), async || {
            let text = browser.text().await?;
            let waiting: Vec<&str> = text.lines().filter(|line| expected.contains(line)).collect();
            Ok((waiting == expected).then_some(()))
        })
        .await
    };
    order(["First", "Second", "Third"]).await?;
    browser.click("Move to the front: Third").await?;
    order(["Third", "First", "Second"]).await?;
    browser.click("Move down: First").await?;
    order(["Third", "Second", "First"]).await?;
    assert_eq!(app.run(&third.id).await?.queue_position, Some(0));
    browser.click("Cancel: Third").await?;
    browser.sees("1 running, 2 waiting").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn the_palette_goes_anywhere_from_the_keyboard() -> Result<()> {
    let app = App::start_with(|data| write_runs(data, 3)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/data")).await?;
    browser.sees("Handwritten digits").await?;
    browser.press(Key::Control + "k").await?;
    browser.find("[role=combobox]").await?;
    browser.press("made 2").await?;
    browser.sees("made-00002").await?;
    browser.press(Key::Enter + "").await?;
    browser.reaches("/runs/made-00002").await?;

    browser.press(Key::Control + "k").await?;
    browser.find("[role=combobox]").await?;
    browser.press("dark").await?;
    browser.sees("Theme: dark").await?;
    browser.press(Key::Enter + "").await?;
    browser.find("html[data-theme=dark]").await?;

    // A question mark in a field is text, not a shortcut.
    browser.goto(&app.url("/")).await?;
    browser.fill("Filter", "?").await?;
    assert!(!browser.text().await?.contains("Everywhere"));
    browser.fill("Filter", "made-00001").await?;
    browser.find("[aria-label='Choose Made run 1']").await?.click().await?;
    browser.press("?").await?;
    browser.sees("In a matrix").await?;
    browser.press(Key::Escape + "").await?;
    until("the dialog is closed", async || Ok((!browser.text().await?.contains("In a matrix")).then_some(()))).await?;
    Ok(())
}
