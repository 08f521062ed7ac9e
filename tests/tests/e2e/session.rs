//! Signing in and out, and a token that changes while pages are open.

use anyhow::Result;
use serde_json::json;
use tests::{App, Browser, small_run};

const TOKEN: &str = "0123456789abcdef0123";

#[tokio::test]
async fn a_person_signs_in_on_a_page_and_out_again() -> Result<()> {
    let app = App::start_with_token(TOKEN).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/queue?x=1")).await?;
    browser.find("//h1[.='Sign in']").await?;
    for scheme in ["light", "dark"] {
        browser.prefers(scheme).await?;
        browser.is_accessible().await?;
    }
    // The field has the focus, and Enter submits the form.
    browser.press("a wrong token").await?;
    browser.press(thirtyfour::Key::Enter).await?;
    browser.sees("This is not the token of this server").await?;
    browser.is_accessible().await?;
    browser.press(format!(" {TOKEN}")).await?;
    browser.press(thirtyfour::Key::Enter).await?;
    browser.reaches("/queue?x=1").await?;
    browser.find("//h1[.='Queue']").await?;

    // An old link does not sign out a person who is signed in.
    browser.goto(&app.url("/system?token=of-an-earlier-start")).await?;
    browser.find("//h1[.='System']").await?;
    assert!(!browser.url().await?.contains("token"));

    browser.click("Sign out").await?;
    browser.find("//h1[.='Sign in']").await?;
    browser.goto(&app.url(&format!("/queue?token={TOKEN}"))).await?;
    browser.find("//h1[.='Queue']").await?;
    assert!(!browser.url().await?.contains("token"));
    Ok(())
}

#[tokio::test]
async fn the_page_of_a_run_says_when_the_token_has_changed() -> Result<()> {
    let mut app = App::start_with_token(TOKEN).await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?.id;
    browser.goto(&app.url(&format!("/runs/{run}?token={TOKEN}"))).await?;
    browser.sees("Succeeded").await?;
    app.stop().await?;
    app.start_again(&["--token", "another-token-0123456789"])?;
    browser.sees("You are signed out").await?;
    browser.is_accessible().await?;
    browser.click("Sign in").await?;
    browser.sees("no longer signed in").await?;
    browser.press("another-token-0123456789").await?;
    browser.press(thirtyfour::Key::Enter).await?;
    browser.sees("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn the_sign_in_page_needs_no_javascript() -> Result<()> {
    let app = App::start_with_token(TOKEN).await?;
    let browser = Browser::open().await?;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await?;
    browser.goto(&app.url("/runs")).await?;
    let field = browser.find("#token").await?;
    field.send_keys(TOKEN).await?;
    browser.find("button[type=submit]").await?.click().await?;
    // The application itself cannot start, and the page shows what it needs.
    browser.reaches("/runs").await?;
    browser.find("noscript .boot-failed").await?;
    Ok(())
}
