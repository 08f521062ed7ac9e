//! Runs the small form of every preset and prints the results.

use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;
use crate::{app, libtorch};

/// Builds the worker, runs the named presets (all if none is named) in `target/presets`, and prints a table
/// of results.
pub fn presets(layout: &Layout, progress: &Progress, wanted: &[String]) -> Result<()> {
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_binaries(layout, progress, &libtorch, &["--example", "presets"])?;
    progress.say("presets", "running; this takes about half an hour of two cores");
    let mut run = Command::new(layout.target.join("release/examples/presets"));
    run.arg(layout.target.join("presets")).args(wanted);
    libtorch.apply(&mut run)?;
    run_shown(&mut run)
}
