//! Run directories: makes, reads, hides and removes them. `shared::rundir` has the names of their files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::SystemTime;

use shared::api::AttributionFile;
use shared::config::{RunConfig, RunKind};
use shared::id::{AttributionId, RunId};
use shared::labels::Labels;
use shared::record::{Metrics, Record};
use shared::rundir::{self, StopReason};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::plain_file;
use crate::tail::{Line, Tail};

/// The folder of all run directories.
#[derive(Clone, Debug)]
pub struct RunDirs {
    root: PathBuf,
}

/// A run directory, which need not exist.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// Prefix of folders of uploads.
const INCOMING: &str = ".incoming-";
/// Prefix of the directories of deleted runs.
const DELETED: &str = ".deleted-";
/// Most bytes of a log that are read at once.
const LOG_PART_BYTES: u64 = 1 << 20;

impl RunDirs {
    pub fn create(root: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        // An absolute path: workers may start in another folder than the server.
        let dirs = RunDirs { root: root.canonicalize()? };
        dirs.remove_leftovers()?;
        Ok(dirs)
    }

    pub fn of(&self, id: &RunId) -> RunDir {
        RunDir { path: self.root.join(id.as_str()) }
    }

    /// Makes a new directory with its configuration. `AlreadyExists`: there is one of this name.
    pub fn make(&self, id: &RunId, config: &RunConfig) -> io::Result<RunDir> {
        let dir = self.of(id);
        std::fs::create_dir(&dir.path)?;
        let written = std::fs::write(dir.path.join(rundir::FORMAT), format!("{}\n", rundir::FORMAT_VERSION));
        written.and_then(|()| dir.write_config(config)).inspect_err(|_| drop(std::fs::remove_dir_all(&dir.path)))?;
        Ok(dir)
    }

    /// Runs whose directories hold a configuration.
    pub fn existing(&self) -> io::Result<Vec<RunId>> {
        let mut found = self.names()?;
        found.retain(|id| self.of(id).path.join(rundir::CONFIG).is_file());
        Ok(found)
    }

    /// Runs that have a directory.
    pub fn names(&self) -> io::Result<Vec<RunId>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
        }
        Ok(found)
    }

    /// The file of share links.
    pub fn shares_file(&self) -> PathBuf {
        self.root.join("shares.json")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Hides a directory that is to be removed; returns whether there was one. If its run is not deleted
    /// before the server ends, the next start deletes it.
    pub fn hide(&self, id: &RunId) -> io::Result<bool> {
        match std::fs::rename(self.root.join(id.as_str()), self.hidden_path(id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings a hidden directory back, if there is one.
    pub fn unhide(&self, id: &RunId) -> io::Result<()> {
        match std::fs::rename(self.hidden_path(id), self.root.join(id.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The runs whose directories are hidden.
    pub fn hidden(&self) -> io::Result<Vec<RunId>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.strip_prefix(DELETED)).and_then(|id| id.parse::<RunId>().ok()));
        }
        Ok(found)
    }

    /// Removes the content of a hidden directory. Keeps the directory: it marks a run that is to be deleted.
    pub fn empty_hidden(&self, id: &RunId) -> io::Result<()> {
        for entry in std::fs::read_dir(self.hidden_path(id))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { std::fs::remove_dir_all(entry.path())? } else { std::fs::remove_file(entry.path())? }
        }
        Ok(())
    }

    /// Removes a hidden directory. The next start removes what could not be removed.
    pub async fn remove_hidden(&self, id: &RunId) {
        match tokio::fs::remove_dir_all(self.hidden_path(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the files of {id} cannot be removed: {error}")
            }
            _ => {}
        }
    }

    fn hidden_path(&self, id: &RunId) -> PathBuf {
        self.root.join(format!("{DELETED}{id}"))
    }

    /// A folder with the configuration of an import to inspect.
    pub fn make_inspection(&self, config: &RunConfig) -> io::Result<TempDir> {
        let folder = self.make_incoming()?;
        RunDir { path: folder.path().to_owned() }.write_config(config)?;
        Ok(folder)
    }

    /// An empty folder beside the run directories, for an upload.
    pub fn make_incoming(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(INCOMING).tempdir_in(&self.root)
    }

    /// Removes incomplete uploads of a server that was killed.
    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(INCOMING) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

impl RunDir {
    pub fn at(path: PathBuf) -> Self {
        RunDir { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn log(&self) -> PathBuf {
        self.path.join(rundir::LOG)
    }

    pub fn metrics_file(&self) -> PathBuf {
        self.path.join(rundir::METRICS)
    }

    /// Moves an uploaded file into the directory.
    pub fn take_upload(&self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or_else(|| io::Error::other(format!("{} has no name", file.display())))?;
        let folder = self.path.join(rundir::UPLOAD);
        std::fs::create_dir(&folder)?;
        std::fs::rename(file, folder.join(name))
    }

    fn write_config(&self, config: &RunConfig) -> io::Result<()> {
        plain_file::write_json(&self.path.join(rundir::CONFIG), config)
    }

    /// Keeps what people have written on the run.
    pub fn write_labels(&self, labels: &Labels) -> io::Result<()> {
        plain_file::write_json(&self.path.join(rundir::LABELS), labels)
    }

    /// What people have written on the run; `None` if nothing is kept.
    pub fn labels(&self) -> io::Result<Option<Labels>> {
        Ok(self.read(rundir::LABELS)?.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    /// Reads the configuration of a directory whose format this version knows.
    pub fn config(&self) -> io::Result<RunConfig> {
        let format = self.read(rundir::FORMAT)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        rundir::check_format(format.as_deref()).map_err(io::Error::other)?;
        Ok(serde_json::from_str(&io::read_to_string(self.open(rundir::CONFIG)?)?)?)
    }

    /// Opens a file of the directory to read; see [`plain_file`].
    pub fn open(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        // The folder in between, such as `attributions`, could be a link too.
        let folder = path.parent().filter(|folder| *folder != self.path);
        if let Some(folder) = folder
            && std::fs::symlink_metadata(folder)?.is_symlink()
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a link", folder.display())));
        }
        plain_file::open(&path)
    }

    /// Reads a whole file; `None` if it does not exist or is not a plain file.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match self.open(name).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                tracing::warn!("skipped: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub fn tail(&self) -> Tail {
        Tail::new(self.metrics_file())
    }

    /// All records summed up; counts lines that are not records.
    pub async fn metrics(&self) -> io::Result<Metrics> {
        let mut tail = self.tail();
        let mut metrics = Metrics::default();
        loop {
            let lines = tail.read().await?;
            if lines.is_empty() {
                return Ok(metrics);
            }
            for line in &lines {
                match record(line) {
                    Ok(record) => metrics.apply(record),
                    Err(_) => metrics.leave_out(1),
                }
            }
        }
    }

    /// The file of an attribution; `None` if it does not exist.
    pub async fn attribution(&self, id: &AttributionId) -> io::Result<Option<AttributionFile>> {
        let (dir, name) = (self.clone(), rundir::attribution_file(id.epoch, id.inputs));
        // Parsing blocks: 200 classes make three megabytes.
        spawn_blocking(move || Ok(dir.read(&name)?.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)).await?
    }

    /// The file of an attribution as it is; `None` if it does not exist.
    pub async fn attribution_bytes(&self, id: &AttributionId) -> io::Result<Option<Vec<u8>>> {
        let (dir, name) = (self.clone(), rundir::attribution_file(id.epoch, id.inputs));
        spawn_blocking(move || dir.read(&name)).await?
    }

    /// The JSON file that a run of this kind ends with; `None` if there is none.
    pub async fn result(&self, kind: RunKind) -> io::Result<Option<Vec<u8>>> {
        let (dir, Some(name)) = (self.clone(), rundir::result_file(kind)) else { return Ok(None) };
        spawn_blocking(move || dir.read(name)).await?
    }

    /// The last lines of the log; empty if there is no log.
    pub async fn log_tail(&self, lines: usize) -> io::Result<String> {
        Ok(self.log_part(LogRange::Before { end: None, lines }).await?.text)
    }

    /// A part of the log of at most one megabyte; empty if there is no log.
    pub async fn log_part(&self, range: LogRange) -> io::Result<LogPart> {
        let dir = self.clone();
        spawn_blocking(move || match dir.open(rundir::LOG) {
            Ok(mut file) => {
                let size = file.metadata()?.len();
                read_part(&mut file, size, range)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogPart::default()),
            Err(error) => Err(error),
        })
        .await?
    }

    /// Writes the file that asks the worker to save and end.
    pub fn write_stop_file(&self, reason: StopReason) -> io::Result<()> {
        std::fs::write(self.path.join(rundir::STOP), format!("{}\n", reason.id()))
    }

    /// Removes a file, if it exists.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How the last worker ended, by what it has written; `None` if it was killed, or is there still.
    pub fn exit_status(&self) -> io::Result<Option<ExitStatus>> {
        let code = self.read(rundir::EXIT_CODE)?.and_then(|content| String::from_utf8_lossy(&content).trim().parse::<u8>().ok());
        // The code is the second byte of what `wait` gives.
        Ok(code.map(|code| ExitStatus::from_raw(i32::from(code) << 8)))
    }

    /// Differs after the run has kept more of its work: of every state from which a worker goes on, the time of
    /// writing. Empty if nothing is kept.
    pub fn kept(&self) -> String {
        let teachers = std::fs::read_dir(self.path.join(rundir::TEACHERS)).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut kept: Vec<String> = Vec::new();
        for folder in std::iter::once(self.path.clone()).chain(teachers) {
            for name in rundir::STATES {
                let written = std::fs::metadata(folder.join(name)).and_then(|metadata| metadata.modified()).ok();
                kept.extend(written.and_then(|time| Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos().to_string())));
            }
        }
        kept.sort();
        kept.join(" ")
    }

    /// Why the worker was asked to end; `None` if no file asks for it.
    pub fn stop_reason(&self) -> io::Result<Option<StopReason>> {
        Ok(self.read(rundir::STOP)?.map(|content| StopReason::parse(&String::from_utf8_lossy(&content))))
    }
}

/// Which part of a log to read; positions are in bytes.
#[derive(Clone, Copy, Debug)]
pub enum LogRange {
    /// Some lines before a position, or before the end of the file.
    Before { end: Option<u64>, lines: usize },
    /// What follows a position.
    After { start: u64 },
}

/// A part of a log and its position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    pub text: String,
    pub start: u64,
    pub end: u64,
    /// The size of the whole log.
    pub size: u64,
}

fn read_part(file: &mut (impl Read + Seek), size: u64, range: LogRange) -> io::Result<LogPart> {
    let (mut start, end) = match range {
        LogRange::Before { end, .. } => {
            let end = end.unwrap_or(size).min(size);
            (end.saturating_sub(LOG_PART_BYTES), end)
        }
        LogRange::After { start } => (start.min(size), start.saturating_add(LOG_PART_BYTES).min(size)),
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    if let LogRange::Before { lines, .. } = range {
        let newlines = bytes.iter().enumerate().rev().filter(|(place, byte)| **byte == b'\n' && place + 1 < bytes.len());
        let cut = match lines.checked_sub(1) {
            Some(before) => newlines.map(|(place, _)| place + 1).nth(before),
            None => Some(bytes.len()),
        };
        // If a line is longer than a part, the part may begin within a character.
        let within_letter = || if start == 0 { 0 } else { bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() };
        let cut = cut.unwrap_or_else(within_letter);
        bytes.drain(..cut);
        start += cut as u64;
    }
    bytes.truncate(whole_letters(&bytes));
    let end = start + bytes.len() as u64;
    Ok(LogPart { text: String::from_utf8_lossy(&bytes).into_owned(), start, end, size })
}

/// Length of `bytes` without an incomplete character at the end, which comes with the next part.
fn whole_letters(bytes: &[u8]) -> usize {
    const LONGEST_BEGINNING: usize = 3;
    let last = (bytes.len().saturating_sub(LONGEST_BEGINNING)..bytes.len()).rev().find(|place| bytes[*place] & 0xc0 != 0x80);
    let is_cut = |place: &usize| std::str::from_utf8(&bytes[*place..]).is_err_and(|error| error.error_len().is_none());
    last.filter(is_cut).unwrap_or(bytes.len())
}

/// Parses the record of a line.
pub fn record(line: &Line) -> Result<Record, serde_json::Error> {
    serde_json::from_str(&line.text)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[track_caller]
    fn check(log: &str, range: LogRange, expected: (&str, u64, u64)) {
        let part = read_part(&mut Cursor::new(log), log.len() as u64, range).unwrap();
        assert_eq!((part.text.as_str(), part.start, part.end), expected, "{range:?}");
        assert_eq!(part.size, log.len() as u64);
    }

    #[test]
    fn a_log_is_read_from_its_end_to_its_beginning() {
        let log = "one\ntwo\nthree\nfour";
        let before = |end, lines| LogRange::Before { end, lines };
        check(log, before(None, 2), ("three\nfour", 8, 18));
        check(log, before(Some(8), 1), ("two\n", 4, 8));
        check(log, before(Some(4), 9), ("one\n", 0, 4));
        check(log, before(Some(0), 9), ("", 0, 0));
        check(log, before(Some(99), 1), ("four", 14, 18));
        check(log, before(None, 0), ("", 18, 18));
        check("", before(None, 5), ("", 0, 0));
    }

    #[test]
    fn what_follows_a_place_comes_whole_letters_at_a_time() {
        let after = |start| LogRange::After { start };
        check("one\ntwo", after(4), ("two", 4, 7));
        check("one", after(3), ("", 3, 3));
        check("one", after(9), ("", 3, 3));
        let long = "é".repeat(LOG_PART_BYTES as usize);
        let part = read_part(&mut Cursor::new(&long), long.len() as u64, after(1)).unwrap();
        assert_eq!(part.end, LOG_PART_BYTES, "it ends between two letters");
        let part =
            read_part(&mut Cursor::new(&long), long.len() as u64, LogRange::Before { end: Some(LOG_PART_BYTES + 1), lines: 1 }).unwrap();
        assert_eq!((part.start, part.end), (2, LOG_PART_BYTES));
    }
}
