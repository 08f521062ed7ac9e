//! The size of what a browser downloads before the application runs, and its limit.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::web::files_below;

/// Many people open the application on their own machine or through `ssh -L`. 950 kB take one second at 7.6
/// Mbit/s.
const LIMIT_BYTES: u64 = 900_000;

/// The files of the web folder and the bytes that a browser downloads for each, brotli-compressed; largest
/// first.
#[derive(Debug)]
pub struct Transfer(Vec<(String, u64)>);

impl Transfer {
    pub fn measure(web: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for file in files_below(web)? {
            if file.extension().is_some_and(|extension| extension == "br" || extension == "gz") {
                continue;
            }
            let compressed = file.with_added_extension("br");
            let sent = if compressed.exists() { &compressed } else { &file };
            files.push((file.strip_prefix(web)?.display().to_string(), fs::metadata(sent)?.len()));
        }
        files.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Ok(Self(files))
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Fails with the size of every file if the total exceeds [`LIMIT_BYTES`].
    pub fn check(&self) -> Result<()> {
        ensure!(self.bytes() <= LIMIT_BYTES, "the browser has {self} to download, more than {LIMIT_BYTES} bytes");
        Ok(())
    }
}

/// For example `587261 bytes (frontend_bg.wasm 571145, …)`.
impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.0.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        write!(f, "{} bytes ({})", self.bytes(), files.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, usize)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), vec![0; *bytes]).unwrap();
        }
        dir
    }

    #[test]
    fn what_is_compressed_counts_as_it_is_sent() {
        let dir = folder(&[("a.wasm", 900), ("a.wasm.br", 300), ("a.wasm.gz", 400), ("main.js", 40)]);
        assert_eq!(Transfer::measure(dir.path()).unwrap().to_string(), "340 bytes (a.wasm 300, main.js 40)");
    }

    #[test]
    fn too_much_is_refused_with_every_file() {
        let fitting = folder(&[("a.wasm", LIMIT_BYTES as usize - 1), ("main.js", 1)]);
        Transfer::measure(fitting.path()).unwrap().check().unwrap();
        let large = folder(&[("a.wasm", LIMIT_BYTES as usize), ("main.js", 1)]);
        let error = Transfer::measure(large.path()).unwrap().check().unwrap_err();
        assert_eq!(error.to_string(), "the browser has 900001 bytes (a.wasm 900000, main.js 1) to download, more than 900000 bytes");
    }
}
