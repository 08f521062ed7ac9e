//! `cargo xtask test`: everything that has to hold before a change is merged.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::browser::Browser;
use crate::layout::Layout;
use crate::libtorch::{self, Libtorch};
use crate::process::run_shown;
use crate::progress::Progress;
use crate::transfer::Transfer;
use crate::web::Effort;
use crate::{app, browser};

/// Checks format and lints, builds the application, runs all tests. `args` go to `cargo test`.
pub fn test(layout: &Layout, progress: &Progress, args: &[String]) -> Result<()> {
    check_format(layout, progress)?;
    // Before the long steps: nobody should wait for ten minutes to learn that it is missing.
    let browser = browser::prepare(progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    clippy(layout, progress, &libtorch)?;
    app::build_binaries(layout, progress, &libtorch, &["--tests"])?;
    app::build_web(layout, progress, Effort::Small)?;

    progress.say("test", "running the tests of xtask");
    let mut own = layout.cargo();
    run_shown(own.args(["test", "--release", "--package", "xtask", "--quiet"])).context("xtask's own tests failed")?;

    progress.say("test", "running the tests of the application, unit to end-to-end");
    let mut cargo = layout.cargo();
    cargo.args(["test", "--release"]).args(app::PRODUCT).arg("--no-fail-fast").args(args);
    name_the_application(&mut cargo, layout, &browser, &libtorch)?;
    run_shown(&mut cargo)?;
    if args.is_empty() {
        // After all others: whoever only wants to know whether something works need not build it small.
        progress.say("size", "checking");
        Transfer::measure(&layout.web())?.check()?;
    }
    Ok(())
}

/// Tells a program that drives the application in a browser where both are.
pub fn name_the_application(command: &mut Command, layout: &Layout, browser: &Browser, libtorch: &Libtorch) -> Result<()> {
    // Settings of a user's own server are not for those of the tests.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CROSSLENS_")) {
        command.env_remove(name);
    }
    command.env("CROSSLENS_SERVER", layout.server());
    command.env("CROSSLENS_WORKER", layout.worker());
    command.env("CROSSLENS_WEB", layout.web());
    browser.apply(command);
    libtorch.apply(command)
}

fn check_format(layout: &Layout, progress: &Progress) -> Result<()> {
    progress.say("format", "checking");
    run_shown(layout.cargo().args(["fmt", "--all", "--check"])).context("the format differs from rustfmt's: run `cargo fmt --all`")
}

fn clippy(layout: &Layout, progress: &Progress, libtorch: &Libtorch) -> Result<()> {
    // The release profile: what build scripts compile, torch's C++ above all, is then shared.
    for packages in [&app::PRODUCT[..], &["--package", "xtask"]] {
        progress.say("lints", "checking");
        let mut cargo = layout.cargo();
        cargo.args(["clippy", "--release", "--all-targets"]).args(packages);
        cargo.args(["--", "--deny", "warnings"]);
        libtorch.apply(&mut cargo)?;
        run_shown(&mut cargo).context("clippy objects")?;
    }
    Ok(())
}
