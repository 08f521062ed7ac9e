//! The run directory as the worker writes it: `metrics.jsonl`, `checkpoints/`, `attributions/`. One writer, no reader of its own lines.
//!
//! `config.json` is put there by whoever starts the worker; so is `log.txt`, which is the worker's standard output and error where a
//! server starts it. By hand they go to the terminal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use shared::config::{Inputs, RunConfig};
use shared::problem::FieldError;
use shared::record::{Metrics, Progress, Record};

use crate::Error;
use crate::checkpoint::write_whole;

/// Readers look about once a second; more would only make the file long.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A run directory that this process alone writes to.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    file: File,
    /// Of the lines that were there and those appended since.
    metrics: Metrics,
    last_progress: Option<Instant>,
}

/// Reads and validates `config.json`.
pub fn read_config(directory: &Path) -> Result<RunConfig, Error> {
    let path = directory.join("config.json");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Config { path: path.clone(), errors: vec![FieldError::new("", format!("is not JSON: {error}"))] })?;
    RunConfig::parse(&value).map_err(|errors| Error::Config { path, errors })
}

/// What a run has recorded; lines that cannot be read are passed over, as the last one may be half written.
pub fn read_metrics(directory: &Path) -> Result<Metrics, Error> {
    let path = directory.join("metrics.jsonl");
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    Ok(Metrics::from_records(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())))
}

impl RunDir {
    /// Opens a directory for a run that has not begun, or that was stopped and can go on; a finished one is never written to again.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let refused = |problem: &str| Error::RunDir { path: directory.to_owned(), problem: problem.to_owned() };
        let path = directory.join("metrics.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        // Where the file system knows no locks, the server is trusted not to start a second worker.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(refused("is being written to by another worker"));
        }
        let metrics = read_metrics(directory)?;
        if metrics.finished.is_some() {
            return Err(refused("already holds a finished run; copy its config.json to a new directory"));
        }
        // What a killed worker left unfinished stays a line by itself.
        if fs::read(&path).map_err(Error::io(&path))?.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n").map_err(Error::io(&path))?;
        }
        Ok(RunDir { path: directory.to_owned(), file, metrics, last_progress: None })
    }

    /// What the run has recorded so far, by this worker and those before it.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Appends one line.
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).expect("a record has only string keys");
        line.push(b'\n');
        // One write, so that a reader rarely sees half a line.
        self.file.write_all(&line).map_err(Error::io(&self.path.join("metrics.jsonl")))?;
        self.metrics.apply(record.clone());
        Ok(())
    }

    /// Appends progress, unless some was appended within the last second.
    pub fn progress(&mut self, progress: Progress) -> Result<(), Error> {
        if self.last_progress.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
            return Ok(());
        }
        self.last_progress = Some(Instant::now());
        self.append(&Record::Progress(progress))
    }

    /// Makes a folder in the directory, if it is not there.
    pub fn create_folder(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(Error::io(&path))
    }

    /// Writes a JSON file whole; `file` is relative to the directory.
    pub fn write_json(&self, file: &str, value: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(value).expect("what is written has only string keys");
        bytes.push(b'\n');
        write_whole(&self.path(file), &bytes)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Removes a file if it is there.
    pub fn remove(&self, file: &str) -> Result<(), Error> {
        let path = self.path(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
            _ => Ok(()),
        }
    }
}

/// `checkpoints/e12.safetensors`, relative to the run directory.
pub fn checkpoint_file(epoch: u32) -> String {
    format!("checkpoints/e{epoch}.safetensors")
}

/// `checkpoints/e12.json`.
pub fn sidecar_file(epoch: u32) -> String {
    format!("checkpoints/e{epoch}.json")
}

/// `attributions/e12.adversarial.json`.
pub fn attribution_file(epoch: u32, inputs: Inputs) -> String {
    format!("attributions/e{epoch}.{}.json", inputs.id())
}
