//! Curves that can be zoomed, hidden and shown, and numbers that are copied.

use anyhow::{Context, Result};
use serde_json::json;
use tests::{App, Browser, small_run, until};
use thirtyfour::Key;

/// Drags over a plot, between two fractions of its width.
fn drag(plot: &str, from: f64, to: f64) -> String {
    format!(
        "const plot = document.querySelector('{plot}');
        plot.scrollIntoView({{ block: 'center' }});
        const {{ left, top, width, height }} = plot.getBoundingClientRect();
        const fire = (type, part, buttons) => plot.dispatchEvent(new PointerEvent(type, {{
            bubbles: true, isPrimary: true, pointerId: 1, button: 0, buttons, clientX: left + part * width, clientY: top + height / 3,
        }}));
        fire('pointerdown', {from}, 1);
        fire('pointermove', ({from} + {to}) / 2, 1);
        fire('pointermove', {to}, 1);
        fire('pointerup', {to}, 0);"
    )
}

/// Copies an element and returns what the page puts on the clipboard, as text and as HTML.
fn copied(element: &str) -> String {
    format!(
        "const range = document.createRange();
        range.selectNodeContents(document.querySelector('{element}'));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        const data = new DataTransfer();
        document.querySelector('{element}').dispatchEvent(new ClipboardEvent('copy', {{ bubbles: true, cancelable: true, clipboardData: data }}));
        return [data.getData('text/plain'), data.getData('text/html')];"
    )
}

const PICTURE: &str = "return document.querySelector('.curves-plot canvas').toDataURL()";

#[tokio::test]
async fn curves_zoom_by_pointer_and_keys_and_their_address_keeps_it() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(6)).await?;
    browser.goto(&app.url(&format!("/runs/{}", run.id))).await?;
    let plot = browser.find(".curves-plot").await?;
    browser.sees("All epochs").await?;
    browser.script(&drag(".curves-plot", 0.3, 0.75)).await?;
    let url = browser.reaches("epochs=").await?;
    let epochs = url.split("epochs=").nth(1).and_then(|rest| rest.split('&').next()).context("the address has epochs")?.to_owned();
    let (first, last) = epochs.split_once('-').context("a first and a last epoch")?;
    assert!(0 < first.parse::<u32>()? && last.parse::<u32>()? < 6, "{epochs}");
    browser.sees(&format!("Epochs {first} to {last}")).await?;
    assert!(!url.contains("epoch="), "the end of a drag chooses no epoch: {url}");

    // The same address shows the same epochs in another browser, and the exports use them too.
    let other = Browser::open().await?;
    other.goto(&url).await?;
    other.sees(&format!("Epochs {first} to {last}")).await?;
    let export = other.find("a[aria-label='Curves as SVG']").await?.attr("href").await?.context("the export has an address")?;
    assert!(export.contains(&format!("epochs={epochs}")), "{export}");

    plot.focus().await?;
    browser.press("0").await?;
    browser.sees("All epochs").await?;
    until("the address is of all epochs", async || Ok((!browser.url().await?.contains("epochs=")).then_some(()))).await?;
    browser.press("+").await?;
    browser.reaches("epochs=").await?;
    browser.press(Key::Escape).await?;
    browser.sees("All epochs").await?;
    browser.script(&drag(".curves-plot", 0.3, 0.75)).await?;
    browser.reaches("epochs=").await?;
    browser.script("document.querySelector('.curves-plot').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))").await?;
    browser.sees("All epochs").await?;
    browser.click("Zoom in").await?;
    browser.click("Earlier epochs").await?;
    browser.reaches("epochs=0-3").await?;
    browser.click("Show all epochs").await?;
    browser.sees("All epochs").await?;
    browser.is_accessible().await?;
    browser.is_quiet().await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_curve_is_switched_off_and_losses_are_put_on_a_logarithmic_axis_by_address() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/runs/{}", run.id))).await?;
    let switch = browser.find("//button[normalize-space()='Train loss']").await?;
    assert_eq!(switch.attr("aria-pressed").await?.as_deref(), Some("true"));
    let changed = async |from: &serde_json::Value| {
        until("the curves have changed", async || Ok(Some(browser.script(PICTURE).await?).filter(|now| now != from))).await
    };
    let whole = until("the curves are drawn", async || {
        Ok(Some(browser.script(PICTURE).await?).filter(|now| now.as_str().is_some_and(|now| now.len() > 5000)))
    })
    .await?;
    browser.click("Log").await?;
    browser.reaches("losses=log").await?;
    let log = changed(&whole).await?;
    browser.click("Clean test").await?;
    browser.reaches("hide=test_clean").await?;
    let fewer = changed(&log).await?;

    // Without a visible loss curve there is no loss axis.
    browser.click("Train loss").await?;
    browser.click("Robust test loss").await?;
    let url = browser.reaches("hide=test_clean,train_loss,test_loss").await?;
    changed(&fewer).await?;
    until("the choice of the axis is gone", async || Ok((!browser.text().await?.contains("Loss axis")).then_some(()))).await?;

    let other = Browser::open().await?;
    other.goto(&url).await?;
    let switch = other.find("//button[normalize-space()='Train loss']").await?;
    assert_eq!(switch.attr("aria-pressed").await?.as_deref(), Some("false"));
    other.click("Train loss").await?;
    other.reaches("hide=test_clean,test_loss").await?;
    other.sees("Loss axis").await?;
    browser.is_quiet().await?;
    other.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn compared_curves_zoom_and_lose_a_run_by_address() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let (one, two) = (app.succeeded(&small_run(4)).await?, app.succeeded(&small_run(4)).await?);
    let address = format!("/compare?a={}.e2.adversarial&b={}.e4.adversarial", one.id, two.id);
    browser.goto(&app.url(&address)).await?;
    browser.find("//button[@class='curve-switch'][starts-with(normalize-space(), 'B:')]").await?.click().await?;
    browser.reaches("hide=b").await?;
    browser.find(".courses").await?;
    browser.script(&drag(".courses", 0.3, 0.8)).await?;
    let url = browser.reaches("epochs=").await?;
    assert!(url.contains("hide=b"), "{url}");
    let export = browser.find("a[aria-label='Curves as SVG']").await?.attr("href").await?.context("the export has an address")?;
    assert!(export.contains("epochs=") && export.contains("hide=b"), "{export}");
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn a_matrix_that_is_copied_is_numbers_in_ascii() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    // The page of differences has negative numbers.
    browser.goto(&app.url(&format!("/compare?a={0}.e2.adversarial&b={0}.e4.adversarial&show=difference", run.id))).await?;
    browser.find(".heatmap").await?;
    let open = "document.querySelector('details:has(> [aria-label=Matrix])').open = true; \
                return document.querySelector('[aria-label=Matrix] table')?.innerText.includes('−') ?? false";
    until("the table has a negative number", async || Ok((browser.script(open).await? == json!(true)).then_some(()))).await?;
    let copied = browser.script(&copied("[aria-label=Matrix] table")).await?;
    let (text, html) = (copied[0].as_str().unwrap_or_default(), copied[1].as_str().unwrap_or_default());
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 11, "{text}");
    for row in &rows[1..] {
        assert!(row.len() == 11 && row[1..].iter().all(|cell| cell.trim().parse::<f64>().is_ok()), "{row:?}");
    }
    assert!(text.is_ascii() && !html.contains('−') && html.contains("<td") && html.contains(">-0."), "{html}");

    // A sentence keeps its words.
    let sentence = browser.script(&self::copied(".finding")).await?;
    assert!(sentence[0].as_str().is_some_and(|text| text.contains("CAS")), "{sentence}");
    browser.is_quiet().await?;
    Ok(())
}
