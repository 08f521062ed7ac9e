//! Finds or builds a compiler for wasm32-unknown-unknown.
//!
//! If rustup's server is reachable, rustup adds the target. If only package registries are, Debian's
//! `rustc-web` compiles the standard library from `rust-web-src`. The result is kept in the user's cache;
//! nothing is written to the compiler's own folders.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::apt;
use crate::layout::{Layout, find_on_path, remove_dir};
use crate::process::{Ending, Patience, answer, run_hidden, run_shown};
use crate::progress::Progress;

pub const TARGET: &str = "wasm32-unknown-unknown";
const STEP: &str = "wasm32";
/// With this flag, Leptos erases the types of views and attributes: a sixth less to download, and half the
/// compile time.
const ERASED_VIEWS: &str = "--cfg=erase_components";
/// Path of Debian's compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Rustup has no timeout for a server that accepts a connection and sends nothing.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(10);

/// A compiler that has a standard library for wasm32.
#[derive(Debug)]
pub struct WasmCompiler {
    /// The compiler flags, in the form of `CARGO_ENCODED_RUSTFLAGS`.
    flags: OsString,
    env: Vec<(&'static str, OsString)>,
    /// Changes when existing build outputs can no longer be used.
    pub stamp: String,
}

impl WasmCompiler {
    /// Makes cargo use this compiler for `--target wasm32-unknown-unknown`.
    pub fn apply(&self, cargo: &mut Command) {
        // Flags for the host would override the flags below.
        cargo.env_remove("RUSTFLAGS");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", &self.flags);
        cargo.envs(self.env.iter().map(|(name, value)| (name, value)));
    }
}

/// Returns the first compiler that is installed or can be installed: rustup's or Debian's.
pub fn prepare(layout: &Layout, progress: &Progress) -> Result<WasmCompiler> {
    let host = Rustc::query(OsStr::new("rustc"))?;
    if host.has_target()? {
        progress.say(STEP, "the target is installed");
        return Ok(host.with_own_library());
    }
    if let Some(debian) = Debian::find(layout)
        && debian.sysroot.exists()
    {
        progress.say(STEP, &format!("the target is in {}", debian.sysroot.display()));
        return debian.compiler(&host);
    }
    if add_with_rustup(layout, progress)? && host.has_target()? {
        progress.say(STEP, "rustup has added the target");
        return Ok(host.with_own_library());
    }
    let debian = match Debian::find(layout) {
        Some(debian) => debian,
        None => {
            let packages = ["rustc-web", "rust-web-src"];
            apt::install(progress, STEP, &packages, "compiling to WebAssembly without rustup's server")?;
            Debian::find(layout).context(too_old())?
        }
    };
    debian.build_sysroot(layout, progress)?;
    debian.compiler(&host)
}

/// A compiler and its output of `rustc -vV`.
#[derive(Debug)]
struct Rustc {
    program: OsString,
    verbose_version: String,
}

impl Rustc {
    fn query(program: &OsStr) -> Result<Self> {
        let verbose_version = answer(Command::new(program).arg("-vV"))?;
        Ok(Self { program: program.to_owned(), verbose_version })
    }

    fn field(&self, name: &str) -> Result<&str> {
        field(&self.verbose_version, name).with_context(|| format!("`rustc -vV` does not tell its {name}"))
    }

    fn sysroot(&self) -> Result<PathBuf> {
        answer(Command::new(&self.program).args(["--print", "sysroot"])).map(PathBuf::from)
    }

    fn has_target(&self) -> Result<bool> {
        let args = ["--print", "target-libdir", "--target", TARGET];
        let dir = answer(Command::new(&self.program).args(args))?;
        // rustc prints the path even if the folder does not exist.
        Ok(Path::new(&dir).is_dir())
    }

    fn with_own_library(self) -> WasmCompiler {
        WasmCompiler { flags: ERASED_VIEWS.into(), env: Vec::new(), stamp: self.verbose_version }
    }

    /// Finds a linker for WebAssembly. Toolchains of rustup contain one.
    fn linker(&self) -> Result<PathBuf> {
        let own = self.sysroot()?.join("lib/rustlib").join(self.field("host")?).join("bin/rust-lld");
        if own.is_file() {
            return Ok(own);
        }
        find_on_path("wasm-ld").context("there is no linker for WebAssembly: install one (Debian: `apt-get install lld`)")
    }
}

/// Debian's compiler with the sources of its standard library.
#[derive(Debug)]
struct Debian {
    rustc: Rustc,
    /// Folder of our build of the standard library, which may not exist yet.
    sysroot: PathBuf,
}

impl Debian {
    /// Returns the compiler if it is installed and new enough.
    fn find(layout: &Layout) -> Option<Self> {
        let rustc = Rustc::query(OsStr::new(DEBIAN_RUSTC)).ok()?;
        if !is_at_least(rustc.field("release").ok()?, env!("CARGO_PKG_RUST_VERSION")) {
            return None;
        }
        let sources = rustc.sysroot().ok()?.join("lib/rustlib/src/rust/library/std");
        if !sources.is_dir() {
            return None;
        }
        let sysroot = layout.cache.join(sysroot_name(&rustc.verbose_version)?);
        Some(Self { rustc, sysroot })
    }

    fn compiler(&self, host: &Rustc) -> Result<WasmCompiler> {
        let mut flags = OsString::from(format!("{ERASED_VIEWS}\x1f--sysroot\x1f"));
        flags.push(&self.sysroot);
        let env = vec![("RUSTC", self.rustc.program.clone()), ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", host.linker()?.into())];
        let built = fs::metadata(&self.sysroot)?.modified()?;
        let stamp = format!("{}\nbuilt {built:?}", self.rustc.verbose_version);
        Ok(WasmCompiler { flags, env, stamp })
    }

    /// Compiles the standard library by building an empty crate.
    fn build_sysroot(&self, layout: &Layout, progress: &Progress) -> Result<()> {
        let _lock = layout.lock_cache(progress)?;
        if self.sysroot.exists() {
            return Ok(());
        }
        progress.say(STEP, "compiling the standard library with Debian's rustc (a minute)");
        let partial = self.sysroot.with_added_extension("partial");
        let empty_crate = partial.join("empty");
        remove_dir(&partial)?;
        fs::create_dir_all(empty_crate.join("src"))?;
        fs::write(empty_crate.join("Cargo.toml"), EMPTY_MANIFEST)?;
        fs::write(empty_crate.join("src/lib.rs"), "")?;
        let mut cargo = layout.cargo();
        cargo
            .current_dir(&empty_crate)
            .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"])
            .env_remove("RUSTFLAGS")
            // Link-time optimization needs bitcode, also in the standard library.
            .env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("CARGO_TARGET_DIR", empty_crate.join("target"))
            .env("RUSTC", &self.rustc.program)
            .env("RUSTC_BOOTSTRAP", "1");
        run_shown(&mut cargo).context("cannot compile Rust's standard library for wasm32")?;

        let libraries = partial.join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&libraries)?;
        for entry in fs::read_dir(empty_crate.join("target").join(TARGET).join("release/deps"))? {
            let file = entry?.path();
            if file.extension() == Some(OsStr::new("rlib"))
                && let Some(name) = file.file_name()
                && !name.to_string_lossy().starts_with("libempty-")
            {
                fs::copy(&file, libraries.join(name))?;
            }
        }
        remove_dir(&empty_crate)?;
        fs::rename(&partial, &self.sysroot)?;
        progress.say(STEP, "compiled");
        Ok(())
    }
}

const EMPTY_MANIFEST: &str = r#"[package]
name = "empty"
version = "0.0.0"
edition = "2024"

[workspace]
"#;

/// Adds the target with rustup and returns whether that worked. A failure is printed but is no error.
fn add_with_rustup(layout: &Layout, progress: &Progress) -> Result<bool> {
    if find_on_path("rustup").is_none() {
        return Ok(false);
    }
    progress.say(STEP, "adding the target with rustup");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(&layout.root);
    match run_hidden(progress, STEP, &mut rustup, Patience::Idle(RUSTUP_PATIENCE))? {
        Ending::Success => Ok(true),
        Ending::Failure(output) => {
            let reason = output.lines().last().unwrap_or_default();
            progress.say(STEP, &format!("rustup could not, trying Debian's compiler: {reason}"));
            Ok(false)
        }
    }
}

fn too_old() -> String {
    format!(
        "Debian's rustc-web is older than the Rust {} that CrossLens needs: run `rustup target add {TARGET}` where rustup's server can be reached",
        env!("CARGO_PKG_RUST_VERSION")
    )
}

/// Reads one field of `rustc -vV`.
fn field<'a>(verbose_version: &'a str, name: &str) -> Option<&'a str> {
    verbose_version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Names the sysroot after the compiler, because libraries of another compiler cannot be read.
fn sysroot_name(verbose_version: &str) -> Option<String> {
    let release = field(verbose_version, "release")?;
    let commit = field(verbose_version, "commit-hash")?;
    Some(format!("wasm32-{release}-{}", commit.get(..9).unwrap_or(commit)))
}

fn is_at_least(release: &str, minimum: &str) -> bool {
    let numbers = |version: &str| -> Vec<u32> { version.split(['.', '-']).map_while(|number| number.parse().ok()).collect() };
    numbers(release) >= numbers(minimum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\ncommit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96\n\
        host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8";

    #[test]
    fn a_sysroot_is_named_after_the_release_and_the_commit() {
        assert_eq!(sysroot_name(VERBOSE).as_deref(), Some("wasm32-1.96.0-ac68faa20"));
        assert_eq!(sysroot_name("rustc 1.96.0"), None);
        assert_eq!(sysroot_name("release: 1.63.0\ncommit-hash: unknown").as_deref(), Some("wasm32-1.63.0-unknown"),);
    }

    #[test]
    fn a_field_is_read_by_its_whole_name() {
        assert_eq!(field(VERBOSE, "host"), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(field(VERBOSE, "hos"), None);
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, expected) in [("1.95.0", true), ("1.100.1", true), ("1.96.0-beta.2", true), ("1.85.0", false)] {
            assert_eq!(is_at_least(release, "1.95"), expected, "{release}");
        }
    }
}
