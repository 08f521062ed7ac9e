//! Builds the whole application: server, worker and the files that the browser downloads.

use std::thread;

use anyhow::Result;

use crate::layout::Layout;
use crate::libtorch::{self, Libtorch};
use crate::process::run_shown;
use crate::progress::Progress;
use crate::wasm;
use crate::web::{self, Effort};

/// The packages that every cargo call for the host selects.
///
/// Cargo unifies features over the selected packages. With one selection for building, checking and testing,
/// no dependency is compiled twice. xtask is already built by itself.
pub const PRODUCT: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Sets up and builds; returns the libtorch that the worker needs at run time.
pub fn build(layout: &Layout, progress: &Progress, effort: Effort) -> Result<Libtorch> {
    let libtorch = libtorch::prepare(layout, progress)?;
    build_with(layout, progress, &libtorch, effort, &[])?;
    Ok(libtorch)
}

/// Builds everything, and the targets in `more_targets`. The browser's part and the rest are compiled at the same time,
/// because both end with minutes on one core.
pub fn build_with(layout: &Layout, progress: &Progress, libtorch: &Libtorch, effort: Effort, more_targets: &[&str]) -> Result<()> {
    thread::scope(|scope| {
        let web = scope.spawn(|| build_web(layout, progress, effort));
        let binaries = build_binaries(layout, progress, libtorch, more_targets);
        binaries.and(web.join().expect("the build of the frontend does not panic"))
    })
}

/// Compiles the server and the worker, and the targets in `more_targets`.
pub fn build_binaries(layout: &Layout, progress: &Progress, libtorch: &Libtorch, more_targets: &[&str]) -> Result<()> {
    progress.say("server and worker", "compiling");
    let mut cargo = layout.cargo();
    cargo.args(["build", "--release"]).args(PRODUCT).args(["--bin", "server", "--bin", "worker"]);
    cargo.args(more_targets);
    libtorch.apply(&mut cargo)?;
    run_shown(&mut cargo)
}

fn build_web(layout: &Layout, progress: &Progress, effort: Effort) -> Result<()> {
    let compiler = wasm::prepare(layout, progress)?;
    web::build(layout, progress, &compiler, effort)
}
