//! `cargo xtask test`: all checks that a change must pass before it is merged.

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
use crate::{app, browser, deny, python, schema, wheel};

/// Checks format and lints, builds the application, and runs all tests. `args` are passed to `cargo test`.
pub fn test(layout: &Layout, progress: &Progress, args: &[String]) -> Result<()> {
    check_format(layout, progress)?;
    // Before the long steps, so that a missing browser is reported at once.
    let browser = browser::prepare(progress)?;
    deny::check(layout, progress)?;
    let libtorch = libtorch::prepare(layout, progress)?;
    clippy(layout, progress, &libtorch)?;
    app::build_with(layout, progress, &libtorch, Effort::Small, &["--tests"])?;

    progress.say("test", "running the tests of xtask");
    let mut own = layout.cargo();
    run_shown(own.args(["test", "--release", "--package", "xtask", "--quiet"])).context("xtask's own tests failed")?;

    progress.say("test", "running the tests of the application, unit to end-to-end");
    let mut cargo = layout.cargo();
    cargo.args(["test", "--release"]).args(app::PRODUCT).arg("--no-fail-fast").args(args);
    name_the_application(&mut cargo, layout, &browser, &libtorch)?;
    run_shown(&mut cargo)?;
    if args.is_empty() {
        // Only for a complete run of all tests, and after them.
        let wheel = wheel::make(layout, progress)?;
        python::test(layout, progress, &wheel, |command| name_the_application(command, layout, &browser, &libtorch))?;
        schema::check(layout, progress, &libtorch)?;
        progress.say("size", "checking");
        Transfer::measure(&layout.web())?.check()?;
    }
    Ok(())
}

/// Sets the environment of a program that drives the application in a browser.
pub fn name_the_application(command: &mut Command, layout: &Layout, browser: &Browser, libtorch: &Libtorch) -> Result<()> {
    // The user's settings for a server must not affect the tests.
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
    // With the release profile, build outputs are shared, above all torch's C++ code.
    for packages in [&app::PRODUCT[..], &["--package", "xtask"]] {
        progress.say("lints", "checking");
        let mut cargo = layout.cargo();
        cargo.args(["clippy", "--release", "--all-targets"]).args(packages);
        if packages == app::PRODUCT {
            // It is no target of its own accord, as it is not run with the others.
            cargo.args(["--test", "cluster"]);
        }
        cargo.args(["--", "--deny", "warnings"]);
        libtorch.apply(&mut cargo)?;
        run_shown(&mut cargo).context("clippy objects")?;
    }
    Ok(())
}
