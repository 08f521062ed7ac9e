//! Finds Chromium and its driver for the end-to-end tests, or installs them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::layout::find_on_path;
use crate::progress::Progress;

const STEP: &str = "browser";

/// A Chromium and the WebDriver server that belongs to it.
#[derive(Debug)]
pub struct Browser {
    chromium: PathBuf,
    chromedriver: PathBuf,
}

impl Browser {
    pub fn apply(&self, command: &mut Command) {
        command.env("CROSSLENS_CHROMIUM", &self.chromium);
        command.env("CROSSLENS_CHROMEDRIVER", &self.chromedriver);
    }

    /// Honors `CROSSLENS_CHROMIUM` and `CROSSLENS_CHROMEDRIVER`, then searches the `PATH`.
    fn find() -> Option<Self> {
        let given = |name| env::var_os(name).map(PathBuf::from);
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let chromium = given("CROSSLENS_CHROMIUM").or_else(|| names.into_iter().find_map(find_on_path))?;
        let chromedriver = given("CROSSLENS_CHROMEDRIVER").or_else(|| find_on_path("chromedriver"))?;
        Some(Self { chromium, chromedriver })
    }
}

pub fn prepare(progress: &Progress) -> Result<Browser> {
    if let Some(browser) = Browser::find() {
        progress.say(STEP, &format!("{} is there", browser.chromium.display()));
        return Ok(browser);
    }
    let packages = ["chromium", "chromium-driver"];
    apt::install(progress, STEP, &packages, "running the end-to-end tests")?;
    Browser::find().context("Chromium is installed but not on the PATH: set CROSSLENS_CHROMIUM and CROSSLENS_CHROMEDRIVER")
}
