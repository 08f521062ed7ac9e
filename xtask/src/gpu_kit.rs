//! `cargo xtask gpu-kit`: what a machine with a GPU needs that has only Python and torch, as one archive.
//!
//! `bench/kit.py` uses it there. The engine's tests go along as a program, with their golden numbers inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::app;
use crate::layout::{Layout, remove_dir};
use crate::libtorch::{self, Libtorch};
use crate::process::run_shown;
use crate::progress::Progress;

const STEP: &str = "gpu-kit";
const NAME: &str = "crosslens-gpu-kit";
/// What an upload to such a machine may have.
const MOST_BYTES: u64 = 30 << 20;
/// Files of the checkout, at the same places in the kit.
const FILES: [&str; 5] = ["bench/kit.py", "bench/turns.py", "bench/peer.py", "bench/networks.py", "engine/tests/fixtures/twins.py"];

/// Builds what goes in and packs it. Prints the path of the archive.
pub fn gpu_kit(layout: &Layout, progress: &Progress) -> Result<()> {
    let libtorch = libtorch::prepare(layout, progress)?;
    app::build_binaries(layout, progress, &libtorch, &[])?;
    let folder = layout.target.join("gpu-kit").join(NAME);
    remove_dir(&folder)?;
    for file in FILES {
        let target = folder.join(file);
        fs::create_dir_all(target.parent().context("a file lies in a folder")?)?;
        fs::copy(layout.root.join(file), &target).with_context(|| format!("cannot copy {file}"))?;
    }
    for (program, name) in [(layout.worker(), "worker"), (engine_tests(layout, &libtorch)?, "tests")] {
        fs::copy(&program, folder.join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
        run_shown(Command::new("strip").arg(folder.join(name))).context("install binutils")?;
    }
    let archive = folder.with_added_extension("tar.gz");
    let parent = folder.parent().context("the kit lies in a folder")?;
    run_shown(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(parent).arg(NAME))?;
    let bytes = fs::metadata(&archive)?.len();
    progress.say(STEP, &format!("{} ({:.1} MiB)", archive.display(), bytes as f64 / f64::from(1 << 20)));
    if bytes > MOST_BYTES {
        bail!("{} has {bytes} bytes, and {MOST_BYTES} are the most", archive.display());
    }
    println!("There, with torch 2.11:\n  tar -xzf {NAME}.tar.gz\n  python3 {NAME}/bench/kit.py --data CIFAR10 --out OUT");
    Ok(())
}

/// Asks cargo where the program with the engine's tests is.
fn engine_tests(layout: &Layout, libtorch: &Libtorch) -> Result<PathBuf> {
    let mut cargo = layout.cargo();
    cargo.args(["test", "--release", "--no-run", "--message-format", "json"]).args(app::PRODUCT).args(["--test", "it"]);
    libtorch.apply(&mut cargo)?;
    let output = cargo.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let program = text.lines().find_map(|line| executable(line, &layout.root.join("engine")));
    program.context("cargo names no program with the engine's tests")
}

/// Returns the test program in a message of cargo, if it is of the package in `folder`.
fn executable(message: &str, folder: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let of_package = message["manifest_path"].as_str().is_some_and(|path| Path::new(path).starts_with(folder));
    message["executable"].as_str().filter(|_| of_package && message["target"]["name"] == "it").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_tests_are_found_among_cargos_messages() {
        let message = |folder: &str, name: &str| {
            format!(r#"{{"manifest_path": "{folder}/Cargo.toml", "target": {{"name": "{name}"}}, "executable": "/t/{name}-1"}}"#)
        };
        let found = |folder, name| executable(&message(folder, name), Path::new("/c/engine"));
        assert_eq!(found("/c/engine", "it"), Some("/t/it-1".into()));
        assert_eq!(found("/c/engine", "worker"), None);
        assert_eq!(found("/c/server", "it"), None);
        assert_eq!(executable("warning: text", Path::new("/c/engine")), None);
    }
}
