//! `cargo xtask campaign`: kills workers and servers, and compares what comes out with undisturbed runs.

use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{app, browser, libtorch, test};

/// Builds the application, runs the campaign and prints what it found; fails if anything differs.
pub fn campaign(layout: &Layout, progress: &Progress, kills: u32, seed: u64) -> Result<()> {
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_with(layout, progress, &libtorch, Effort::Small, &["--example", "campaign"])?;
    progress.say("campaign", "running; a kill takes some seconds");
    let mut campaign = Command::new(layout.target.join("release/examples/campaign"));
    campaign.args([kills.to_string(), seed.to_string()]);
    test::name_the_application(&mut campaign, layout, &browser, &libtorch)?;
    run_shown(&mut campaign)
}
