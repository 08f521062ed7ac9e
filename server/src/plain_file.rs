//! Opens and writes files of run directories, which may have been copied from elsewhere. Refuses links, which could show
//! any file of this machine, and pipes, which never end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

/// Opens a file to read. `InvalidInput`: it is a link, a pipe or something else that is not a plain file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file to append to; creates it if it does not exist.
pub fn append(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().create(true).append(true), path)
}

/// Writes a JSON file beside its name and renames it, so that it appears whole.
pub fn write_json(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(content)?;
    text.push('\n');
    let beside = path.with_added_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a link or no plain file", path.display()));
    // Without `O_NONBLOCK`, opening a pipe would wait for its other end.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).map_err(|error| match error.raw_os_error() {
        // A link, or a pipe that nobody reads from.
        Some(libc::ELOOP | libc::ENXIO) => refused(),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_plain_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plain"), "text").unwrap();
        symlink(path("plain"), path("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let mut text = String::new();
        open(&path("plain")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for name in ["link", "pipe", "."] {
            assert_eq!(open(&path(name)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        for name in ["link", "pipe"] {
            assert_eq!(append(&path(name)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(open(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(append(&path("none")).unwrap().metadata().unwrap().len(), 0);
    }
}
