//! Unpacks archives into a folder. Trusts nothing in them: neither paths, nor links, nor sizes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use tar::EntryType;

use shared::dataset::published::Packing;

/// Far more than any published data set unpacks to.
const MOST_BYTES: u64 = 8 << 30;
const MOST_FILES: u64 = 1_000_000;

/// What has been unpacked so far, and what of it is too much.
struct Unpacked<'a> {
    into: &'a Path,
    bytes: u64,
    files: u64,
    /// Told the bytes written; says whether to go on.
    proceed: &'a dyn Fn(u64) -> bool,
}

/// Unpacks `archive` into the empty folder `into`; `proceed` is told the bytes written and says whether to go on.
///
/// Says what is wrong with the archive where something is, and leaves what it has written to be removed.
pub fn unpack(archive: &Path, packing: Packing, into: &Path, proceed: &dyn Fn(u64) -> bool) -> Result<(), String> {
    let file = File::open(archive).map_err(|error| error.to_string())?;
    let mut unpacked = Unpacked { into, bytes: 0, files: 0, proceed };
    match packing {
        Packing::None => Ok(()),
        Packing::TarGz => {
            let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
            for entry in archive.entries().map_err(unreadable)? {
                let mut entry = entry.map_err(unreadable)?;
                let path = entry.path().map_err(unreadable)?.into_owned();
                match entry.header().entry_type() {
                    EntryType::Directory => drop(unpacked.target(&path)?),
                    EntryType::Regular | EntryType::Continuous => unpacked.write(&path, &mut entry)?,
                    EntryType::XGlobalHeader => {}
                    _ => return Err(format!("holds {path:?}, which is neither a file nor a folder")),
                }
            }
            Ok(())
        }
        Packing::Zip => {
            let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
            for index in 0..archive.len() {
                let mut entry = archive.by_index(index).map_err(unreadable)?;
                let path = PathBuf::from(&*entry.name().map_err(unreadable)?);
                if entry.is_dir() {
                    unpacked.target(&path)?;
                } else if entry.is_symlink() {
                    return Err(format!("holds {path:?}, which is neither a file nor a folder"));
                } else {
                    unpacked.write(&path, &mut entry)?;
                }
            }
            Ok(())
        }
    }
}

impl Unpacked<'_> {
    /// Where an entry goes; only below the folder.
    fn target(&self, path: &Path) -> Result<PathBuf, String> {
        let inside = path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        // A backslash is a separator to whoever unpacks on another system.
        if !inside || path.to_string_lossy().contains('\\') {
            return Err(format!("holds the path {path:?}, which leads out of its folder"));
        }
        Ok(self.into.join(path))
    }

    fn write(&mut self, path: &Path, content: &mut dyn Read) -> Result<(), String> {
        let target = self.target(path)?;
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(format!("holds more than {MOST_FILES} files"));
        }
        let failed = |error: io::Error| format!("cannot be unpacked at {path:?}; it may be cut off: {error}");
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = File::create(&target).map_err(failed)?;
        let room = MOST_BYTES - self.bytes;
        // By what comes out, not by what the archive says.
        self.bytes += io::copy(&mut content.take(room + 1), &mut file).map_err(failed)?;
        if self.bytes > MOST_BYTES {
            return Err(format!("unpacks to more than {MOST_BYTES} bytes"));
        }
        if (self.proceed)(self.bytes) { Ok(()) } else { Err("was not unpacked to its end".to_owned()) }
    }
}

fn unreadable(error: impl std::fmt::Display) -> String {
    format!("is not a readable archive; it may be cut off: {error}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};
    use tempfile::TempDir;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// An archive of the two kinds with one entry, in a folder beside `out`.
    fn archive(packing: Packing, name: &str, kind: EntryType, content: &[u8]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        match packing {
            Packing::Zip => {
                let mut archive = ZipWriter::new(File::create(path).unwrap());
                if kind == EntryType::Symlink {
                    archive.add_symlink(name, "/etc/passwd", SimpleFileOptions::default()).unwrap();
                } else {
                    archive.start_file(name, SimpleFileOptions::default()).unwrap();
                    archive.write_all(content).unwrap();
                }
                archive.finish().unwrap();
            }
            Packing::TarGz | Packing::None => {
                let mut header = Header::new_gnu();
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_entry_type(kind);
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                header.set_cksum();
                let mut archive = Builder::new(GzEncoder::new(File::create(path).unwrap(), Compression::fast()));
                archive.append(&header, content).unwrap();
                archive.into_inner().unwrap().finish().unwrap();
            }
        }
        fs::create_dir(folder.path().join("out")).unwrap();
        folder
    }

    fn unpack_in(folder: &TempDir, packing: Packing) -> Result<(), String> {
        unpack(&folder.path().join("archive"), packing, &folder.path().join("out"), &|_| true)
    }

    #[test]
    fn files_land_below_the_folder() {
        for packing in [Packing::TarGz, Packing::Zip] {
            let folder = archive(packing, "data/a.bin", EntryType::Regular, b"content");
            unpack_in(&folder, packing).unwrap();
            assert_eq!(fs::read(folder.path().join("out/data/a.bin")).unwrap(), b"content");
        }
    }

    #[test]
    fn a_path_that_leads_out_is_refused_and_nothing_is_written() {
        for packing in [Packing::TarGz, Packing::Zip] {
            for name in ["../evil", "a/../../evil", "/evil", "..\\evil"] {
                let folder = archive(packing, name, EntryType::Regular, b"content");
                let problem = unpack_in(&folder, packing).unwrap_err();
                assert!(problem.contains("leads out of its folder"), "{problem}");
                assert!(!folder.path().join("evil").exists());
                assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
            }
        }
    }

    #[test]
    fn a_link_is_refused() {
        for packing in [Packing::TarGz, Packing::Zip] {
            let folder = archive(packing, "link", EntryType::Symlink, b"");
            let problem = unpack_in(&folder, packing).unwrap_err();
            assert!(problem.contains("neither a file nor a folder"), "{problem}");
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_or_none_is_told() {
        for packing in [Packing::TarGz, Packing::Zip] {
            let content: Vec<u8> = (0..50_000_u32).flat_map(|value| value.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
            let folder = archive(packing, "a.bin", EntryType::Regular, &content);
            let path = folder.path().join("archive");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            assert!(unpack_in(&folder, packing).unwrap_err().contains("cut off"));
            fs::write(&path, "<html>").unwrap();
            assert!(unpack_in(&folder, packing).unwrap_err().contains("cut off"));
        }
    }

    #[test]
    fn it_stops_when_asked_to() {
        let folder = archive(Packing::Zip, "a.bin", EntryType::Regular, b"content");
        let stopped = unpack(&folder.path().join("archive"), Packing::Zip, &folder.path().join("out"), &|_| false);
        assert!(stopped.is_err());
    }
}
