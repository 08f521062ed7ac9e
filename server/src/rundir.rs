//! The directory of a run: what the worker writes and the server reads, and the one file the server writes, `config.json`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use shared::api::AttributionFile;
use shared::config::RunConfig;
use shared::record::{Metrics, Record};
use shared::view::{AttributionId, CheckpointId};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::id::RunId;
use crate::tail::{Line, Tail};

/// All run directories.
#[derive(Clone, Debug)]
pub struct RunDirs {
    root: PathBuf,
}

/// One run directory. Need not exist.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// How folders of uploads begin.
const INCOMING: &str = ".incoming-";
/// How much of the end of a log the server looks at for its last lines.
const LOG_TAIL_BYTES: u64 = 1 << 20;

impl RunDirs {
    pub fn create(root: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        // Workers start in other folders than the server may.
        let dirs = RunDirs { root: root.canonicalize()? };
        dirs.remove_leftovers()?;
        Ok(dirs)
    }

    pub fn of(&self, id: &RunId) -> RunDir {
        RunDir { path: self.root.join(id.as_str()) }
    }

    /// Makes a new directory with its `config.json`; `AlreadyExists` when there is one of this name.
    pub fn make(&self, id: &RunId, config: &RunConfig) -> io::Result<RunDir> {
        let dir = self.of(id);
        std::fs::create_dir(&dir.path)?;
        dir.write_config(config).inspect_err(|_| drop(std::fs::remove_dir_all(&dir.path)))?;
        Ok(dir)
    }

    /// Names of directories that hold a `config.json`.
    pub fn existing(&self) -> io::Result<Vec<RunId>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if let Some(Ok(id)) = entry.file_name().to_str().map(str::parse::<RunId>)
                && entry.path().join("config.json").is_file()
            {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Takes a directory out of sight, to be removed; what is left of it after a crash goes at the next start.
    pub fn hide(&self, id: &RunId) -> io::Result<Option<PathBuf>> {
        let hidden = self.root.join(format!(".deleted-{id}"));
        match std::fs::rename(self.root.join(id.as_str()), &hidden) {
            Ok(()) => Ok(Some(hidden)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An empty folder beside the run directories, for a file that comes in.
    pub fn make_incoming(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(INCOMING).tempdir_in(&self.root)
    }

    /// Removes what a server that died left half deleted or half uploaded.
    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if [".deleted-", INCOMING].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

impl RunDir {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    pub fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub fn checkpoint(&self, id: &CheckpointId) -> PathBuf {
        self.path.join(format!("checkpoints/e{}.safetensors", id.epoch))
    }

    /// Moves a file that was uploaded into the directory.
    pub fn take_upload(&self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or_else(|| io::Error::other(format!("{} has no name", file.display())))?;
        let folder = self.path.join("upload");
        std::fs::create_dir(&folder)?;
        std::fs::rename(file, folder.join(name))
    }

    fn write_config(&self, config: &RunConfig) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(config)?;
        text.push('\n');
        let temporary = self.path.join("config.json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(temporary, self.path.join("config.json"))
    }

    pub fn config(&self) -> io::Result<RunConfig> {
        let text = std::fs::read_to_string(self.path.join("config.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub fn tail(&self) -> Tail {
        Tail::new(self.metrics_file())
    }

    /// Everything the worker has recorded; lines that are no records are passed over.
    pub async fn metrics(&self) -> io::Result<Metrics> {
        let mut tail = self.tail();
        let mut metrics = Metrics::default();
        loop {
            let lines = tail.read().await?;
            if lines.is_empty() {
                return Ok(metrics);
            }
            lines.iter().filter_map(|line| record(line).ok()).for_each(|record| metrics.apply(record));
        }
    }

    /// The file of an attribution; none when it does not exist.
    pub async fn attribution(&self, id: &AttributionId) -> io::Result<Option<AttributionFile>> {
        let path = self.path.join(format!("attributions/e{}.{}.json", id.epoch, id.inputs.id()));
        // With 200 classes there are three megabytes to parse.
        spawn_blocking(move || match std::fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await?
    }

    /// A JSON file that the worker writes whole at its end, `evaluation` or `saliency`; none when it does not exist.
    pub async fn result(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(self.path.join(format!("{name}.json"))).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last lines of the log, at most a megabyte of them; empty while there is none.
    pub async fn log_tail(&self, lines: usize) -> io::Result<String> {
        let path = self.log();
        spawn_blocking(move || {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
                Err(error) => return Err(error),
            };
            let start = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.split_inclusive('\n').collect();
            Ok(all[all.len().saturating_sub(lines)..].concat())
        })
        .await?
    }

    /// Opens the log for a worker and locks it. The worker inherits the lock with its output, so that it is held for as long as the
    /// worker lives, even if the server does not.
    pub fn lock_log(&self) -> io::Result<LogLock> {
        let file = OpenOptions::new().create(true).append(true).open(self.log())?;
        match file.try_lock() {
            Ok(()) => Ok(LogLock::Free(file)),
            Err(TryLockError::WouldBlock) => Ok(LogLock::Held),
            Err(TryLockError::Error(error)) => {
                tracing::warn!("{} cannot be locked, so a worker left over would go unseen: {error}", self.log().display());
                Ok(LogLock::Free(file))
            }
        }
    }
}

/// Whether a worker writes to a run directory.
#[derive(Debug)]
pub enum LogLock {
    /// None does; the lock goes with the file.
    Free(File),
    Held,
}

/// The record of a line.
pub fn record(line: &Line) -> Result<Record, serde_json::Error> {
    serde_json::from_str(&line.text)
}
