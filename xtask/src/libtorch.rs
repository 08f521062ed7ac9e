//! Finds libtorch, or installs it from PyPI into the user's cache.
//!
//! The version must be the one that the crate tch requires.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::{Layout, find_on_path, remove_dir};
use crate::process::{Ending, Patience, answer, run_hidden};
use crate::progress::Progress;

pub const VERSION: &str = "2.11.0";
/// Minor versions of Python 3 for which PyPI has this version of torch.
const PYTHON_MINORS: std::ops::RangeInclusive<u32> = 10..=14;
/// Headers that those of CUDA's runtime include: the engine's part for GPUs is compiled on every machine.
const CUDA_HEADERS: &str = "nvidia-cuda-crt==13.0.88";
const STEP: &str = "libtorch";
const GIB: u64 = 1 << 30;

/// A libtorch to compile, link and run with.
#[derive(Debug)]
pub struct Libtorch {
    /// Value for `LIBTORCH`; `None` if the user's environment already has all settings.
    home: Option<PathBuf>,
    library_dirs: Vec<PathBuf>,
}

impl Libtorch {
    /// Sets the environment so that a program compiles and runs with this libtorch.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        if let Some(home) = &self.home {
            command.env("LIBTORCH", home);
        }
        let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let dirs = self.library_dirs.iter().cloned().chain(env::split_paths(&inherited));
        command.env("LD_LIBRARY_PATH", join_dirs(dirs)?);
        Ok(())
    }
}

/// Returns the user's own libtorch if the environment names one, otherwise the one in the cache, which is
/// installed if missing.
pub fn prepare(layout: &Layout, progress: &Progress) -> Result<Libtorch> {
    require_compiler()?;
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        let libtorch = python_torch()?;
        progress.say(STEP, "using the one of `python3`, as LIBTORCH_USE_PYTORCH says");
        return Ok(libtorch);
    }
    if let Some(home) = env::var_os("LIBTORCH") {
        let libtorch = users_own(home.into(), env::var_os("LIBTORCH_LIB").map(PathBuf::from))?;
        progress.say(STEP, "using the one that LIBTORCH names");
        return Ok(libtorch);
    }
    let variant = Variant::of_this_machine();
    let dir = layout.cache.join(format!("libtorch-{VERSION}"));
    if !variant.is_complete(&dir) {
        let _lock = layout.lock_cache(progress)?;
        if !variant.is_complete(&dir) {
            install(layout, progress, variant, &dir)?;
        }
    }
    progress.say(STEP, &format!("{VERSION} is in {}", dir.display()));
    let home = dir.join("torch");
    let library_dirs = vec![home.join("lib"), dir.join("nvidia/cu13/lib")];
    Ok(Libtorch { home: Some(home), library_dirs })
}

/// Which parts of torch the machine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// torch and the two CUDA libraries that even its CPU part is linked to.
    Cpu,
    /// torch and everything that it needs on NVIDIA GPUs.
    Cuda,
}

impl Variant {
    fn of_this_machine() -> Self {
        let has_driver = Path::new("/proc/driver/nvidia/version").exists();
        // WSL has no such file, but has `nvidia-smi`.
        let has_gpu = || answer(Command::new("nvidia-smi").arg("-L")).is_ok_and(|gpus| !gpus.is_empty());
        if has_driver || has_gpu() { Self::Cuda } else { Self::Cpu }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["--no-deps", "torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85", CUDA_HEADERS],
            Self::Cuda => &["torch==2.11.0", CUDA_HEADERS],
        }
    }

    /// Disk space for the installation and its downloads.
    fn disk_bytes(self) -> u64 {
        match self {
            Self::Cpu => 4 * GIB,
            Self::Cuda => 12 * GIB,
        }
    }

    /// Files that every usable installation has.
    fn essentials(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["torch/lib/libtorch_cpu.so", "torch/include", "nvidia/cu13/lib", "nvidia/cu13/include/crt"],
            Self::Cuda => {
                &["torch/lib/libtorch_cuda.so", "torch/include", "nvidia/cu13/lib", "nvidia/cu13/include/crt", "nvidia/cudnn/lib"]
            }
        }
    }

    fn is_complete(self, dir: &Path) -> bool {
        self.essentials().iter().all(|file| dir.join(file).exists())
    }
}

/// Installs into a folder beside `dir` and then renames it, so that `dir` is never incomplete.
fn install(layout: &Layout, progress: &Progress, variant: Variant, dir: &Path) -> Result<()> {
    require_python()?;
    let disk = rustix::fs::statvfs(&layout.cache)?;
    require_space(disk.f_bavail * disk.f_frsize, variant.disk_bytes(), &layout.cache)?;

    let partial = dir.with_added_extension("partial");
    let downloads = partial.join("tmp");
    remove_dir(&partial)?;
    fs::create_dir_all(&downloads)?;
    progress.say(STEP, &format!("installing torch {VERSION} from PyPI into {}", dir.display()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
        .args(["--progress-bar", "off", "--target"])
        .arg(&partial)
        .args(variant.packages())
        // pip first unpacks into the temporary folder, and that of the machine may be too small.
        .env("TMPDIR", &downloads)
        // A user's default of `--user` contradicts `--target`.
        .env_remove("PIP_USER");
    if let Ending::Failure(output) = run_hidden(progress, STEP, &mut pip, Patience::Endless)? {
        eprintln!("{output}");
        remove_dir(&partial)?;
        bail!(
            "pip could not install torch {VERSION} (its output is above): check the network, or set LIBTORCH to the folder of a libtorch {VERSION}"
        );
    }
    remove_dir(&downloads)?;
    if !variant.is_complete(&partial) {
        bail!("pip installed a torch {VERSION} without its libraries: set LIBTORCH to the folder of a libtorch {VERSION}");
    }
    remove_dir(dir)?;
    fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))
}

fn users_own(home: PathBuf, lib: Option<PathBuf>) -> Result<Libtorch> {
    let library_dir = lib.as_ref().unwrap_or(&home).join("lib");
    if !library_dir.join("libtorch_cpu.so").exists() {
        bail!(
            "LIBTORCH is set, but there is no {}/libtorch_cpu.so: set it to the folder of a libtorch {VERSION}, or unset it",
            library_dir.display()
        );
    }
    Ok(Libtorch { home: Some(absolute(home)?), library_dirs: vec![absolute(library_dir)?] })
}

fn python_torch() -> Result<Libtorch> {
    let script = "import torch; from torch.utils import cpp_extension as c; \
                  print(torch.__version__, *c.library_paths(), sep='\\n')";
    let answer = answer(Command::new("python3").args(["-c", script]))
        .context("LIBTORCH_USE_PYTORCH is set, but `python3` cannot import torch: install it there, or unset the variable")?;
    let mut lines = answer.lines();
    let version = lines.next().unwrap_or_default();
    if version.split('+').next() != Some(VERSION) {
        bail!("LIBTORCH_USE_PYTORCH is set, but `python3` has torch {version}: install torch {VERSION} there, or unset the variable");
    }
    Ok(Libtorch { home: None, library_dirs: lines.map(PathBuf::from).collect() })
}

fn require_compiler() -> Result<()> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    // `CXX` may contain several words: a wrapper or flags.
    let program = compiler.split_whitespace().next().unwrap_or_default();
    if !Path::new(program).is_file() && find_on_path(program).is_none() {
        bail!("there is no C++ compiler `{compiler}`: install one (Debian: `apt-get install g++`)");
    }
    Ok(())
}

pub fn require_python() -> Result<()> {
    if find_on_path("python3").is_none() {
        bail!("Python 3 is needed to install libtorch: install it (Debian: `apt-get install python3-pip`), or set LIBTORCH");
    }
    let version = answer(Command::new("python3").args(["-c", "import sys; print(*sys.version_info[:2])"]))?;
    check_python(&version)?;
    answer(Command::new("python3").args(["-m", "pip", "--version"]))
        .context("pip is needed to install libtorch: install it (Debian: `apt-get install python3-pip`), or set LIBTORCH")?;
    Ok(())
}

/// Checks a Python version, given as major and minor version such as `3 11`.
fn check_python(version: &str) -> Result<()> {
    let minor = version.strip_prefix("3 ").and_then(|minor| minor.parse().ok());
    if !minor.is_some_and(|minor| PYTHON_MINORS.contains(&minor)) {
        bail!(
            "`python3` is Python {}, for which PyPI has no torch {VERSION}: put a Python 3.{} to 3.{} on the PATH, or set LIBTORCH",
            version.replace(' ', "."),
            PYTHON_MINORS.start(),
            PYTHON_MINORS.end(),
        );
    }
    Ok(())
}

fn require_space(free_bytes: u64, needed_bytes: u64, dir: &Path) -> Result<()> {
    if free_bytes < needed_bytes {
        bail!(
            "libtorch needs {} GiB on the disk of {} and {:.1} are free: make room, or set CROSSLENS_CACHE to a folder on another disk",
            needed_bytes / GIB,
            dir.display(),
            free_bytes as f64 / GIB as f64,
        );
    }
    Ok(())
}

fn join_dirs(dirs: impl Iterator<Item = PathBuf>) -> Result<OsString> {
    // An empty entry would mean the current folder.
    let dirs = dirs.filter(|dir| !dir.as_os_str().is_empty());
    env::join_paths(dirs).context("a library folder has a colon in its name: move it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sentence(result: Result<impl Sized>, expected: &str) {
        let Err(error) = result else { panic!("there is no error") };
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn a_full_disk_is_one_sentence() {
        check_sentence(
            require_space(3 * GIB / 2, 4 * GIB, Path::new("/home/a")),
            "libtorch needs 4 GiB on the disk of /home/a and 1.5 are free: make room, or set CROSSLENS_CACHE to a folder on another disk",
        );
        require_space(4 * GIB, 4 * GIB, Path::new("/")).unwrap();
    }

    #[test]
    fn a_python_without_a_torch_is_one_sentence() {
        check_sentence(
            check_python("3 8"),
            "`python3` is Python 3.8, for which PyPI has no torch 2.11.0: put a Python 3.10 to 3.14 on the PATH, or set LIBTORCH",
        );
        check_python("3 10").unwrap();
        check_python("3 14").unwrap();
    }

    #[test]
    fn a_wrong_libtorch_is_one_sentence() {
        check_sentence(
            users_own("/nowhere".into(), None),
            "LIBTORCH is set, but there is no /nowhere/lib/libtorch_cpu.so: set it to the folder of a libtorch 2.11.0, or unset it",
        );
    }

    #[test]
    fn every_package_is_of_the_version_that_links() {
        for variant in [Variant::Cpu, Variant::Cuda] {
            assert!(variant.packages().contains(&format!("torch=={VERSION}").as_str()));
        }
    }

    #[test]
    fn an_interrupted_installation_is_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("torch/include")).unwrap();
        assert!(!Variant::Cpu.is_complete(dir.path()));
    }

    #[test]
    fn an_empty_library_path_adds_no_entry() {
        let dirs = ["/a", "", "/b"].map(PathBuf::from);
        assert_eq!(join_dirs(dirs.into_iter()).unwrap(), "/a:/b");
    }
}
