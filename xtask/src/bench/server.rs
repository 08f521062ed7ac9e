//! `cargo xtask bench server`: measures how fast the server starts and answers with 10,000 runs.

use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::{app, browser, libtorch, test};

/// Builds the server and prints a table of the measurements.
pub fn run(layout: &Layout, progress: &Progress) -> Result<()> {
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_binaries(layout, progress, &libtorch, &["--example", "bench_server"])?;
    progress.say("bench", "running; keep the machine free for a minute or two");
    let mut bench = Command::new(layout.target.join("release/examples/bench_server"));
    test::name_the_application(&mut bench, layout, &browser, &libtorch)?;
    run_shown(&mut bench)
}
