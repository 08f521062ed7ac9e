//! `cargo xtask bench`: how fast the application answers in a browser, and what it takes to download.

use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{app, browser, libtorch, test};

/// Builds the application, drives it in Chromium and prints a table of what was measured.
pub fn bench(layout: &Layout, progress: &Progress) -> Result<()> {
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_binaries(layout, progress, &libtorch, &["--example", "bench"])?;
    app::build_web(layout, progress, Effort::Small)?;
    progress.say("bench", "running; keep the machine free for a minute or two");
    let mut bench = Command::new(layout.target.join("release/examples/bench"));
    test::name_the_application(&mut bench, layout, &browser, &libtorch)?;
    run_shown(&mut bench)
}
