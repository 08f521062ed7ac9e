//! Links that open a view for somebody else.

use anyhow::Result;
use tests::{App, Browser, small_run};

#[tokio::test]
async fn a_share_link_opens_the_view_read_only_where_nobody_has_been_before() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?;
    browser.goto(&app.url(&format!("/compare?a={0}.e2.adversarial&b={0}.e4.adversarial&scale=fitted&cell=3,5", run.id))).await?;
    browser.click("Share").await?;
    browser.fill("Title (optional)", "Look at <3> and 5").await?;
    browser.click("Make a link").await?;
    let link = browser
        .find("//label[starts-with(normalize-space(), 'Link:')]/following-sibling::input")
        .await?
        .prop("value")
        .await?
        .unwrap_or_default();
    assert!(link.contains("/s/"), "{link}");

    let page = reqwest::get(&link).await?.text().await?;
    assert!(page.contains("Look at &lt;3&gt; and 5"), "the title is in the page's head, escaped: {page}");
    let picture = page.split("og:image\" content=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
    let picture = reqwest::get(&picture).await?.error_for_status()?.bytes().await?;
    assert!(picture.starts_with(b"\x89PNG"), "the preview is a PNG picture");

    let reader = Browser::open().await?;
    reader.goto(&link).await?;
    reader.sees("Look at <3> and 5").await?;
    reader.sees("ΔCAS").await?;
    reader.sees("3 · 5").await?;
    let text = reader.text().await?;
    for action in ["Delete", "Cancel", "Duplicate"] {
        assert!(!text.contains(action), "a reader is not offered `{action}`");
    }
    reader.is_quiet().await?;

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
