//! The folders used: the checkout, its build outputs, and the cache shared between checkouts.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Progress;

/// The folders of one checkout; all paths are absolute.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The workspace root.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// Downloads and compiled standard libraries, shared by all checkouts of a user.
    pub cache: PathBuf,
}

impl Layout {
    /// Reads `CARGO_TARGET_DIR`, `CROSSLENS_CACHE` and `XDG_CACHE_HOME`; each has a default.
    pub fn from_env() -> Result<Self> {
        // Cargo also sets the variable at run time, so a checkout is still found after it was moved.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask has no folder above it")?.to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => absolute(dir)?,
            None => root.join("target"),
        };
        let cache = cache_dir(|name| env::var_os(name).filter(|value| !value.is_empty()))?;
        Ok(Self { root, target, cache: absolute(cache)? })
    }

    pub fn server(&self) -> PathBuf {
        self.target.join("release/server")
    }

    pub fn worker(&self) -> PathBuf {
        self.target.join("release/worker")
    }

    /// Folder of the files that the browser downloads.
    pub fn web(&self) -> PathBuf {
        self.target.join("web")
    }

    /// Folder of the files that the browser downloads under `cargo xtask dev`.
    pub fn dev_web(&self) -> PathBuf {
        self.target.join("dev-web")
    }

    /// Creates the cache if necessary, and waits until no other process writes to it.
    ///
    /// The lock is held until the returned value is dropped. Check again for missing files after locking:
    /// another process may have created them.
    pub fn lock_cache(&self, progress: &Progress) -> Result<File> {
        let dir = &self.cache;
        let lock = || -> std::io::Result<File> {
            fs::create_dir_all(dir)?;
            let file = File::create(dir.join("lock"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    progress.say("cache", "waiting for another set-up to finish");
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        lock().with_context(|| format!("cannot write to {}: set CROSSLENS_CACHE to a folder for downloads", dir.display()))
    }

    /// A cargo call in this workspace, as from a shell.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // `cargo run` sets these variables for xtask. Build scripts that watch them would run again.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

/// Returns the first file of this name on `PATH`.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Removes a folder with its content, if it exists.
pub fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

fn cache_dir(var: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    if let Some(dir) = var("CROSSLENS_CACHE") {
        return Ok(dir.into());
    }
    if let Some(dir) = var("XDG_CACHE_HOME") {
        return Ok(Path::new(&dir).join("crosslens"));
    }
    let Some(home) = var("HOME") else {
        bail!("neither HOME nor CROSSLENS_CACHE is set: set CROSSLENS_CACHE to a folder for downloads");
    };
    Ok(Path::new(&home).join(".cache/crosslens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vars: &[(&str, &str)], expected: &str) {
        let dir = cache_dir(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)));
        let text = dir.map_or_else(|error| error.to_string(), |dir| dir.display().to_string());
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn the_cache_follows_the_most_specific_variable() {
        check(&[("CROSSLENS_CACHE", "/big"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/home/a")], "/big");
        check(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/a")], "/x/crosslens");
        check(&[("HOME", "/home/a")], "/home/a/.cache/crosslens");
        check(&[], "neither HOME nor CROSSLENS_CACHE is set");
    }
}
