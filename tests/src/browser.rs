//! A Chromium for one test, with an empty profile.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, LoggingPrefsLogLevel};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{from_env, until};

/// axe-core, which checks the success criteria of WCAG. The driver injects it into the page, so the page's
/// content-security policy does not block it.
const AXE: &str = include_str!("../vendor/axe-core/axe.min.js");

/// Returns one line for each element that violates a rule. Also checks the headings, which is not a criterion
/// of WCAG: the first must be an `h1`, and no level may be skipped.
const AXE_RUN: &str = "
    const done = arguments[0];
    const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const rules = { 'page-has-heading-one': { enabled: true }, 'heading-order': { enabled: true } };
    axe.run(document, { resultTypes: ['violations'], runOnly: levels, rules }).then(
        ({ violations }) => done(violations.flatMap(({ id, help, nodes }) =>
            nodes.map(node => `${id} (${help}) at ${node.target.join(' ')}: ${node.html}\\n  ${node.failureSummary}`))),
        error => done([`axe-core failed: ${error}`]),
    );";

/// A browser window. It is closed when the value is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    chromedriver: Child,
    // Keeps the profile as long as the window exists.
    _profile: TempDir,
}

/// Kills chromedriver and Chromium, whether the test passed or not. They share a process group.
impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.clone().leak();
        if let Some(pid) = self.chromedriver.id() {
            // SAFETY: killpg takes no pointers.
            unsafe { libc::killpg(pid as libc::pid_t, libc::SIGKILL) };
        }
    }
}

impl Browser {
    pub async fn open() -> Result<Self> {
        let program = from_env("CROSSLENS_CHROMEDRIVER")?;
        let mut chromedriver = Command::new(&program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut lines = BufReader::new(chromedriver.stdout.take().context("chromedriver has no output")?).lines();
        let port = loop {
            let line = lines.next_line().await?.context("chromedriver ended before it listened")?;
            if let Some((_, port)) = line.rsplit_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // chromedriver keeps printing; a closed pipe would end it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let profile = TempDir::with_prefix("crosslens-profile-")?;
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(from_env("CROSSLENS_CHROMIUM")?.to_str().context("the path of chromium is not UTF-8")?)?;
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1440,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument)?;
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::Severe)?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await?;
        Ok(Browser { driver, chromedriver, _profile: profile })
    }

    pub async fn goto(&self, url: &str) -> Result<()> {
        Ok(self.driver.goto(url).await?)
    }

    /// Opens a tab, switches to it and returns its handle.
    pub async fn new_tab(&self) -> Result<WindowHandle> {
        let tab = self.driver.new_tab().await?;
        self.switch_to(&tab).await?;
        Ok(tab)
    }

    /// The handle of the current tab.
    pub async fn tab(&self) -> Result<WindowHandle> {
        Ok(self.driver.window().await?)
    }

    pub async fn switch_to(&self, tab: &WindowHandle) -> Result<()> {
        Ok(self.driver.switch_to_window(tab.clone()).await?)
    }

    pub async fn url(&self) -> Result<String> {
        Ok(self.driver.current_url().await?.to_string())
    }

    /// Waits for a visible element. A selector that starts with `/` is XPath, any other is CSS.
    pub async fn find(&self, selector: &str) -> Result<WebElement> {
        let by = || if selector.starts_with('/') { By::XPath(selector.to_owned()) } else { By::Css(selector.to_owned()) };
        until(&format!("`{selector}` is on the page"), async || {
            for element in self.driver.find_all(by()).await? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(Some(element));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Returns an element that may be hidden. The selector is CSS.
    pub async fn find_hidden(&self, selector: &str) -> Result<WebElement> {
        Ok(self.driver.find(By::Css(selector.to_owned())).await?)
    }

    /// Waits for a button, a link or a radio choice with this accessible name, and clicks it.
    pub async fn click(&self, name: &str) -> Result<()> {
        let named = format!("[normalize-space()='{name}' or @aria-label='{name}']");
        self.click_on(&format!("//button{named} | //a{named} | //label[@class='segment']{named}")).await
    }

    /// Waits for a visible element and clicks it in the middle of the window, where nothing that stays in sight covers it.
    pub async fn click_on(&self, selector: &str) -> Result<()> {
        let element = self.find(selector).await?;
        element.scroll_into_view().await?;
        Ok(element.click().await?)
    }

    /// Waits until the page shows a text.
    pub async fn sees(&self, text: &str) -> Result<()> {
        until(&format!("the page shows `{text}`"), async || Ok(self.text().await?.contains(text).then_some(()))).await
    }

    /// Waits until the page has its heading and nothing on it is loading.
    pub async fn settles(&self) -> Result<()> {
        self.find("h1, .notice-title").await?;
        until("nothing is loading", async || Ok((!self.text().await?.contains("Loading …")).then_some(()))).await
    }

    /// The visible text of the page.
    pub async fn text(&self) -> Result<String> {
        let result = self.driver.execute("return document.body.innerText", Vec::new()).await?;
        Ok(result.json().as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the address contains a text, and returns the address.
    pub async fn reaches(&self, part: &str) -> Result<String> {
        until(&format!("the address contains `{part}`"), async || Ok(Some(self.url().await?).filter(|url| url.contains(part)))).await
    }

    /// Replaces the value of an input.
    pub async fn fill(&self, label: &str, value: &str) -> Result<()> {
        let input = self.find(&format!("//*[@id=//label[normalize-space()='{label}']/@for]")).await?;
        input.clear().await?;
        Ok(input.send_keys(value).await?)
    }

    /// Runs a script in the page and returns its result.
    pub async fn script(&self, script: &str) -> Result<serde_json::Value> {
        Ok(self.driver.execute(script, Vec::new()).await?.json().clone())
    }

    /// Chooses the option with the label `option` from a list.
    pub async fn choose(&self, label: &str, option: &str) -> Result<()> {
        let list = format!("//select[@id=//label[normalize-space()='{label}']/@for]");
        Ok(self.find(&format!("{list}/option[normalize-space()='{option}']")).await?.click().await?)
    }

    /// Types into the focused element.
    pub async fn press(&self, keys: impl Into<TypingData>) -> Result<()> {
        Ok(self.driver.active_element().await?.send_keys(keys).await?)
    }

    /// Clicks an element with Shift held down.
    pub async fn click_with_shift(&self, selector: &str) -> Result<()> {
        let element = self.find(selector).await?;
        element.scroll_into_view().await?;
        Ok(self.driver.action_chain().key_down(Key::Shift).click_element(&element).key_up(Key::Shift).perform().await?)
    }

    /// Types into the focused element with Shift held down.
    pub async fn press_with_shift(&self, keys: impl Into<TypingData>) -> Result<()> {
        Ok(self.driver.action_chain().key_down(Key::Shift).send_keys(keys).key_up(Key::Shift).perform().await?)
    }

    pub async fn back(&self) -> Result<()> {
        Ok(self.driver.back().await?)
    }

    pub async fn reload(&self) -> Result<()> {
        Ok(self.driver.refresh().await?)
    }

    /// Shows pages as they are printed.
    pub async fn prints(&self) -> Result<()> {
        self.devtools("Emulation.setEmulatedMedia", json!({"media": "print"})).await.map(drop)
    }

    /// Shows pages in forced colors, the few strong colors that a person chose in the operating system.
    pub async fn forces_colors(&self) -> Result<()> {
        let features = json!({"features": [{"name": "forced-colors", "value": "active"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Makes the operating system's theme light or dark.
    pub async fn prefers(&self, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Lays pages out for a screen of this width, in CSS pixels.
    pub async fn is_as_wide_as(&self, width: u32) -> Result<()> {
        self.is_as_large_as(width, 844).await
    }

    /// Lays pages out for a window of this size, in CSS pixels.
    pub async fn is_as_large_as(&self, width: u32, height: u32) -> Result<()> {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await.map(drop)
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        Ok(self.driver.cdp().send_raw(command, parameters).await?)
    }

    /// Fails if axe-core finds a violation, and names its rule and the elements.
    pub async fn is_accessible(&self) -> Result<()> {
        // Scroll to the top, because the header of a scrolled page covers content. Finish transitions,
        // because the contrast is too low halfway between two colors.
        self.driver.execute("scrollTo(0, 0)", Vec::new()).await?;
        let finished = "document.getAnimations().forEach(animation => { try { animation.finish(); } catch { animation.cancel(); } });";
        self.driver.execute(format!("{finished} {AXE}"), Vec::new()).await?;
        let violations = self.driver.execute_async(AXE_RUN, Vec::new()).await?;
        let violations: Vec<String> = violations.convert()?;
        anyhow::ensure!(violations.is_empty(), "{} is not accessible:\n{}", self.url().await?, violations.join("\n"));
        Ok(())
    }

    /// Fails if the page has written errors to its console.
    pub async fn is_quiet(&self) -> Result<()> {
        let entries = self.driver.browser_log().await?;
        let errors: Vec<_> = entries.into_iter().filter(|entry| entry.level == "SEVERE").map(|entry| entry.message).collect();
        anyhow::ensure!(errors.is_empty(), "the page reports errors: {errors:#?}");
        Ok(())
    }
}
