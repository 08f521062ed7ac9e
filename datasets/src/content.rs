//! Recognizes the type of a file by its first bytes. Used in error messages about files with unexpected
//! content.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Number of first bytes that are enough for all types. In MATLAB's HDF5 files, HDF5 begins at byte 512.
const FIRST_BYTES: u64 = 1024;

/// Returns what a file is and what to do about it, as text that follows "is". `None` if the type is not
/// recognized.
pub(crate) fn identify_file(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(FIRST_BYTES).read_to_end(&mut start).ok()?;
    identify(&start)
}

/// Like [`identify_file`], for the first bytes of a file.
pub(crate) fn identify(bytes: &[u8]) -> Option<&'static str> {
    const UNPACK: [(&[u8], &str); 7] = [
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"PK\x03\x04", "a ZIP archive; unpack it first"),
        (b"BZh", "a bzip2 archive; unpack it first"),
        (b"\xfd7zXZ\0", "an xz archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
        (b"Rar!", "a RAR archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it first"),
    ];
    const OTHERS: [(&[u8], &str); 10] = [
        (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself; run `git lfs pull` to get it"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"MATLAB 7.3", "a MATLAB 7.3 file (HDF5)"),
        (b"MATLAB 5.0", "a MATLAB 5 file"),
        (b"\x93NUMPY", "an array of NumPy (.npy)"),
        (b"\x89PNG\r\n", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"%PDF", "a PDF document"),
        (b"SQLite format 3", "an SQLite database"),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if let Some((_, what)) = UNPACK.iter().chain(&OTHERS).find(|(start, _)| bytes.starts_with(start)) {
        return Some(what);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("a tar archive; unpack it first");
    }
    if bytes.len() > 16 && bytes.iter().all(|byte| *byte == 0) {
        return Some("a file that begins with nothing but zeros, as after an incomplete download");
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    if begins("<!doctype html") || begins("<html") || begins("<head") {
        return Some("an HTML page, which a server may send instead of the file");
    }
    if begins("<?xml") {
        return Some("an XML text, which a server may send instead of the file");
    }
    matches!(bytes, [0x80, 2..=5, ..]).then_some("a Python pickle")
}
