//! Builds what the browser downloads: the frontend as WebAssembly, the page, styles and other files.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::arrange::arranged;
use crate::dev;
use crate::layout::{Layout, remove_dir};
use crate::process::run_shown;
use crate::progress::Progress;
use crate::styles;
use crate::transfer::Transfer;
use crate::wasm::{self, WasmCompiler};

const STEP: &str = "frontend";
/// The script that starts the application. Of the static files, only this one is next to the application's
/// files.
const MAIN: &str = "main.js";

/// What a build of the frontend is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Small to download, slow to build.
    Small,
    /// Fast to build, several times as large. Open pages reload after each build.
    Quick,
}

impl Effort {
    /// The profile in `Cargo.toml`, which is also the name of cargo's output folder.
    fn profile(self) -> &'static str {
        match self {
            Effort::Small => "wasm",
            Effort::Quick => "wasm-quick",
        }
    }

    /// The folder that the build updates.
    pub fn folder(self, layout: &Layout) -> PathBuf {
        match self {
            Effort::Small => layout.web(),
            Effort::Quick => layout.dev_web(),
        }
    }
}

/// Compiles the frontend and updates the folder of `effort`.
pub fn build(layout: &Layout, progress: &Progress, compiler: &WasmCompiler, effort: Effort) -> Result<()> {
    let wasm = compile(layout, progress, compiler, effort)?;
    let files = Files::collect(layout, wasm, effort)?;
    let web = effort.folder(layout);
    // Beside the folder, because everything in the folder is served.
    let key_file = web.with_extension("key");
    let key = files.key();
    if web.is_dir() && fs::read_to_string(&key_file).is_ok_and(|old| old == key) {
        progress.say(STEP, "the web files are up to date");
        return Ok(());
    }
    progress.say(STEP, "writing the web files");
    let partial = web.with_extension("partial");
    remove_dir(&partial)?;
    files.write(&partial, &key)?;
    match effort {
        Effort::Small => compress(&partial)?,
        Effort::Quick => dev::add_reload(&partial, &key)?,
    }
    remove_dir(&web)?;
    fs::rename(&partial, &web)?;
    fs::write(key_file, key)?;
    progress.say(STEP, &format!("the browser downloads {}", Transfer::measure(&web)?));
    Ok(())
}

fn compile(layout: &Layout, progress: &Progress, compiler: &WasmCompiler, effort: Effort) -> Result<Vec<u8>> {
    progress.say(STEP, "compiling to WebAssembly");
    // A separate target folder, because the compiler may differ from the host's.
    let target = layout.target.join("wasm");
    let stamp_file = target.join("compiler.stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old != compiler.stamp) {
        remove_dir(&target)?;
    }
    fs::create_dir_all(&target)?;
    fs::write(&stamp_file, &compiler.stamp)?;

    let mut cargo = layout.cargo();
    cargo.args(["build", "--package", "frontend", "--lib", "--profile", effort.profile()]);
    cargo.args(["--target", wasm::TARGET]).env("CARGO_TARGET_DIR", &target);
    // Another build may draw its own at the same time.
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "never");
    compiler.apply(&mut cargo);
    run_shown(&mut cargo)?;
    let file = target.join(wasm::TARGET).join(effort.profile()).join("frontend.wasm");
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The content of the web folder.
#[derive(Debug)]
struct Files {
    effort: Effort,
    wasm: Vec<u8>,
    index_html: String,
    style_css: String,
    /// The files in `frontend/static`, by their path there.
    others: Vec<(PathBuf, Vec<u8>)>,
}

impl Files {
    fn collect(layout: &Layout, wasm: Vec<u8>, effort: Effort) -> Result<Self> {
        let index_html = fs::read_to_string(layout.root.join("frontend/index.html")).context("cannot read frontend/index.html")?;
        let style_css = styles::bundle(&layout.root.join("style"))?;
        let static_dir = layout.root.join("frontend/static");
        let mut others = Vec::new();
        for file in files_below(&static_dir)? {
            let content = fs::read(&file)?;
            others.push((file.strip_prefix(&static_dir)?.to_owned(), content));
        }
        Ok(Self { effort, wasm, index_html, style_css, others })
    }

    /// A hash of all inputs.
    fn key(&self) -> String {
        let Self { effort, wasm, index_html, style_css, others } = self;
        let mut hasher = DefaultHasher::new();
        (effort, wasm, index_html, style_css, others).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Writes the files into `dir`. The application is in a folder named after `key`, which browsers may
    /// cache forever; all other files are beside it.
    fn write(self, dir: &Path, key: &str) -> Result<()> {
        let Self { effort, wasm, index_html, style_css, others } = self;
        let app = format!("app-{key}");
        let app_dir = dir.join(&app);
        fs::create_dir_all(&app_dir)?;
        Bindgen::new()
            .input_bytes("frontend", wasm)
            .web(true)?
            .omit_default_module_path(false)
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(&app_dir)?;
        if effort == Effort::Small {
            let module = app_dir.join("frontend_bg.wasm");
            fs::write(&module, arranged(&fs::read(&module)?)?)?;
        }
        ensure!(index_html.contains(MAIN), "frontend/index.html does not load {MAIN}");
        fs::write(dir.join("index.html"), index_html.replacen(MAIN, &format!("{app}/{MAIN}"), 1))?;
        fs::write(dir.join("style.css"), style_css)?;
        for (path, content) in others {
            let file = if path == Path::new(MAIN) { app_dir.join(path) } else { dir.join(path) };
            fs::create_dir_all(file.parent().unwrap_or(dir))?;
            fs::write(file, content)?;
        }
        Ok(())
    }
}

/// Writes `name.br` and `name.gz` beside each file that gets smaller by compression. The server sends them as
/// they are.
///
/// Brotli is a third smaller than gzip here, but browsers accept it only over HTTPS and from their own
/// machine.
fn compress(dir: &Path) -> Result<()> {
    for file in files_below(dir)? {
        let content = fs::read(&file)?;
        for (extension, compressed) in [("br", brotli(&content)?), ("gz", gzip(&content)?)] {
            if compressed.len() < content.len() {
                fs::write(file.with_added_extension(extension), compressed)?;
            }
        }
    }
    Ok(())
}

fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    // The slowest setting, with a window of the module's size. A larger window needs more bits for
    // references.
    let parameters = BrotliEncoderParams { quality: 11, lgwin: 22, ..BrotliEncoderParams::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
    Ok(compressed)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// Lists the files below a folder in a fixed order; empty if the folder does not exist. Leaves out hidden
/// files, which belong to editors and desktops.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !dir.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.file_name().is_some_and(|name| !is_hidden(name)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files {
            effort: Effort::Small,
            wasm: b"wasm".to_vec(),
            index_html: "<!doctype html>".into(),
            style_css: "html {}".into(),
            others: vec![("icon.svg".into(), b"<svg/>".to_vec())],
        }
    }

    #[test]
    fn the_key_follows_every_input() {
        let key = files().key();
        assert_eq!(key, files().key());
        let style = Files { style_css: "html { }".into(), ..files() };
        let others = Files { others: Vec::new(), ..files() };
        assert_ne!(key, style.key());
        assert_ne!(key, others.key());
    }

    #[test]
    fn only_what_gets_smaller_is_compressed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("deep/long.css"), "a {} ".repeat(100)).unwrap();
        fs::write(dir.path().join("short.txt"), "a").unwrap();
        compress(dir.path()).unwrap();
        let names = files_below(dir.path()).unwrap();
        let names: Vec<_> = names.iter().map(|file| file.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["deep/long.css", "deep/long.css.br", "deep/long.css.gz", "short.txt"].map(Path::new));
    }
}
