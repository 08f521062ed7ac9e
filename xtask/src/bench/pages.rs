//! `cargo xtask bench pages`: measures how fast the application responds in a browser, and how much is downloaded.

use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{app, browser, libtorch, test};

/// Builds the application, drives it in Chromium and prints a table of the measurements.
pub fn run(layout: &Layout, progress: &Progress) -> Result<()> {
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_with(layout, progress, &libtorch, Effort::Small, &["--example", "bench_pages"])?;
    progress.say("bench", "running; keep the machine free for a minute or two");
    let mut bench = Command::new(layout.target.join("release/examples/bench_pages"));
    test::name_the_application(&mut bench, layout, &browser, &libtorch)?;
    run_shown(&mut bench)
}
