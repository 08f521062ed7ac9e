//! Links that open a view for somebody else.

use anyhow::{Context, Result};
use shared::api::Share;
use tests::{App, Browser, small_run};

/// Drops the file at an address onto the page.
const DROP: &str = "
    fetch('ADDRESS').then(answer => answer.blob()).then(blob => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([blob], 'figure.svg', { type: blob.type }));
        for (const kind of ['dragover', 'drop'])
            document.querySelector('h1').dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
    });";

#[tokio::test]
async fn a_share_link_opens_the_view_read_only_where_nobody_has_been_before() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/compare?a={0}.e2.adversarial&b={0}.e4.adversarial&scale=fitted&cell=3,5", run.id))).await?;
    browser.click("Share").await?;
    browser.fill("Title (optional)", "Look at <3> and 5").await?;
    browser.fill("Note (optional)", "The brightest cell.").await?;
    browser.choose("Works for", "1 week").await?;
    browser.click("Make a link").await?;
    let link = browser
        .find("//label[starts-with(normalize-space(), 'Link:')]/following-sibling::input")
        .await?
        .prop("value")
        .await?
        .unwrap_or_default();
    assert!(link.contains("/s/"), "{link}");

    let shares: Vec<Share> = reqwest::get(app.url("/api/shares")).await?.json().await?;
    let days = async |text: &str| browser.script(&format!("return Date.parse('{text}') / 864e5")).await;
    let (made, end) = (&shares[0].created_at, shares[0].expires_at.as_ref().context("the link has an end")?);
    let term = days(end).await?.as_f64().zip(days(made).await?.as_f64()).map(|(end, made)| end - made);
    assert_eq!(term, Some(7.0), "{made} to {end}");

    let page = reqwest::get(&link).await?.text().await?;
    assert!(page.contains("Look at &lt;3&gt; and 5"), "the title is in the page's head, escaped: {page}");
    let picture = page.split("og:image\" content=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
    let picture = reqwest::get(&picture).await?.error_for_status()?.bytes().await?;
    assert!(picture.starts_with(b"\x89PNG"), "the preview is a PNG picture");

    let reader = Browser::open().await?;
    reader.goto(&link).await?;
    reader.sees("Look at <3> and 5").await?;
    reader.sees("The brightest cell.").await?;
    reader.sees("Works until 20").await?;
    reader.sees("ΔCAS").await?;
    reader.sees("3 · 5").await?;
    let text = reader.text().await?;
    for action in ["Delete", "Cancel", "Duplicate"] {
        assert!(!text.contains(action), "a reader is not offered `{action}`");
    }
    reader.is_quiet().await?;

    // The page of all links cannot show it again, but can replace it.
    browser.goto(&app.url("/shares")).await?;
    browser.sees("Look at <3> and 5").await?;
    browser.sees("Comparison").await?;
    let shown = browser.script("return document.querySelectorAll('input[id^=share-link-]').length").await?;
    assert_eq!(shown.as_u64(), Some(0), "its address is not kept");
    browser.click("New link").await?;
    let new = browser.find("input[id^='share-link-']").await?.prop("value").await?.unwrap_or_default();
    assert!(new.contains("/s/") && new != link, "{new}");
    reader.goto(&link).await?;
    reader.sees("This link opens nothing").await?;
    reader.goto(&new).await?;
    reader.sees("The brightest cell.").await?;
    let link = new;

    browser.click("Withdraw").await?;
    let token = link.rsplit('/').next().unwrap_or_default().to_owned();
    tests::until("the link is withdrawn", async || {
        let answer = reqwest::get(app.url(&format!("/api/shares/{token}"))).await?;
        Ok((answer.status() == 404).then_some(()))
    })
    .await?;
    reader.goto(&link).await?;
    reader.sees("This link opens nothing").await?;
    Ok(())
}

#[tokio::test]
async fn a_figure_that_was_exported_opens_its_view_again() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?;
    let files = tempfile::tempdir()?;
    let lens = "order=similarity&scale=fitted&cell=3,5";
    let view = format!("/attributions/{}.e2.adversarial?{lens}", run.id);
    let keep = async |format: &str| -> Result<std::path::PathBuf> {
        browser.goto(&app.url(&view)).await?;
        let link = browser.find(&format!("a[aria-label='Matrix as {}']", format.to_uppercase())).await?;
        let address = link.prop("href").await?.context("the link leads somewhere")?;
        let path = files.path().join(format!("figure.{format}"));
        std::fs::write(&path, reqwest::get(address).await?.error_for_status()?.bytes().await?)?;
        Ok(path)
    };
    let open = async |path: &std::path::Path| -> Result<()> {
        Ok(browser.find("#reopen-file").await?.send_keys(path.display().to_string()).await?)
    };
    for format in ["svg", "png"] {
        let figure = keep(format).await?;
        browser.goto(&app.url("/data")).await?;
        open(&figure).await?;
        browser.reaches(&view).await?;
        browser.sees("3 · 5").await?;
    }
    // A figure can also be dropped anywhere on the page.
    browser.goto(&app.url("/theory")).await?;
    browser.sees("Three classes, in theory").await?;
    let address = format!("api/attributions/{}.e2.adversarial.svg?{lens}", run.id);
    browser.script(&DROP.replace("ADDRESS", &address)).await?;
    browser.reaches(&view).await?;
    let other = files.path().join("other.svg");
    std::fs::write(&other, "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>")?;
    open(&other).await?;
    browser.sees("other.svg opens no view: CrossLens did not make it").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn the_theory_page_keeps_its_question_in_the_address_and_shows_where_the_theorem_ends() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/theory?eps=0.4")).await?;
    browser.sees("the surrogate gives cross-class features no weight").await?;
    browser.click("Cross-entropy").await?;
    browser.sees("there is no threshold").await?;
    let slider = browser.find("#theory-eps").await?;
    slider.focus().await?;
    browser.press(thirtyfour::Key::Left).await?;
    let url = browser.reaches("eps=0.395&loss=cross_entropy").await?;
    let other = Browser::open().await?;
    other.goto(&url).await?;
    other.sees("at ε = 0.395 w₂ is").await?;
    other.goto(&app.url("/theory?eps=0.35&label_smoothing=0.3")).await?;
    other.sees("smoothed labels keep the cross-class features that one-hot labels give up").await?;
    other.is_quiet().await?;
    Ok(())
}
