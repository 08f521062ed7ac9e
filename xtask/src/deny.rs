//! Checks the licenses and origins of all dependencies with cargo-deny, by the rules in `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::process::run_shown;
use crate::progress::Progress;

const STEP: &str = "licenses";
const VERSION: &str = "0.20.2";

/// Checks the dependencies; compiles cargo-deny first if the cache does not hold it yet.
pub fn check(layout: &Layout, progress: &Progress) -> Result<()> {
    let program = prepare(layout, progress)?;
    progress.say(STEP, "checking");
    let mut deny = Command::new(program);
    deny.current_dir(&layout.root).args(["--log-level", "error", "check", "licenses", "bans", "sources"]);
    run_shown(&mut deny).context("a dependency is not permitted by deny.toml")
}

/// The program in the cache.
fn prepare(layout: &Layout, progress: &Progress) -> Result<PathBuf> {
    let root = layout.cache.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let _lock = layout.lock_cache(progress)?;
    if !program.is_file() {
        progress.say(STEP, "compiling cargo-deny (two minutes)");
        let mut cargo = layout.cargo();
        // Outside the workspace, whose compiler flags are not meant for it. Unoptimized: it runs for a second.
        cargo.current_dir(&layout.cache).env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false");
        cargo.args(["install", "cargo-deny", "--quiet", "--locked", "--debug", "--version", VERSION, "--root"]).arg(&root);
        run_shown(&mut cargo).context("cannot install cargo-deny")?;
    }
    Ok(program)
}
