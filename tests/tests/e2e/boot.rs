//! What a page shows if the application cannot start.

use anyhow::Result;
use serde_json::json;
use tests::{App, Browser, until};

/// Opens the first page in a browser that runs `before` ahead of every script, and waits for the expected
/// texts.
async fn says(app: &App, before: &str, expected: &[&str]) -> Result<Browser> {
    let browser = Browser::open().await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": before})).await?;
    browser.goto(&app.url("/runs/at-digits-0000")).await?;
    for part in expected {
        browser.sees(part).await?;
    }
    assert!(!browser.text().await?.contains("Loading CrossLens"));
    browser.find("[role=alert] h1").await?;
    browser.find("//button[.='Try again']").await?;
    Ok(browser)
}

#[tokio::test]
async fn a_browser_without_webassembly_is_told_so() -> Result<()> {
    let app = App::start().await?;
    let browser = says(&app, "delete window.WebAssembly", &["does not run WebAssembly", "allow it for this page"]).await?;
    browser.is_accessible().await
}

#[tokio::test]
async fn a_policy_that_blocks_webassembly_is_named() -> Result<()> {
    let app = App::start().await?;
    // The message is worded as by Chromium.
    let refuse = "
        const refused = async () => {
            throw new WebAssembly.CompileError(\"WebAssembly.instantiateStreaming(): Refused to compile or instantiate WebAssembly module \
                because 'unsafe-eval' is not an allowed source of script in the following Content Security Policy directive\");
        };
        WebAssembly.instantiateStreaming = WebAssembly.instantiate = WebAssembly.compile = refused;";
    says(&app, refuse, &["WebAssembly is blocked", "'wasm-unsafe-eval'", "The browser says: CompileError"]).await?;
    let broken = "WebAssembly.instantiateStreaming = async () => { throw new WebAssembly.CompileError('expected magic word'); };";
    says(&app, broken, &["cannot be run", "changed on the way", "expected magic word"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_does_not_come_is_said() -> Result<()> {
    let app = App::start().await?;
    for file in ["frontend_bg.wasm", "frontend.js", "main.js"] {
        let browser = Browser::open().await?;
        browser.devtools("Network.enable", json!({})).await?;
        browser.devtools("Network.setBlockedURLs", json!({"urls": [format!("*/{file}")]})).await?;
        browser.goto(&app.url("/")).await?;
        browser.sees("The application could not be loaded").await?;
        browser.sees("One of its files did not come").await?;
        // Once the file loads again, the page starts as usual.
        browser.devtools("Network.setBlockedURLs", json!({"urls": []})).await?;
        browser.click("Try again").await?;
        browser.sees("Start the demo").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_without_scripts_is_told_so() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await?;
    browser.goto(&app.url("/")).await?;
    let heading = browser.find("//h1[contains(., 'needs JavaScript')]").await?;
    assert!(heading.is_displayed().await?);
    let boot = until("the page is there", async || Ok(browser.find_hidden("#boot").await.ok())).await?;
    assert!(!boot.is_displayed().await?, "nothing is loading");
    Ok(())
}
