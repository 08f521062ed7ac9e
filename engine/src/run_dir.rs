//! Writes the files of a run directory: `metrics.jsonl`, `checkpoints/` and `attributions/`.
//!
//! The process that starts the worker writes `config.json`. A server also redirects the worker's standard
//! output and standard error to `log.txt`; a worker started by hand prints to the terminal.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use shared::config::RunConfig;
use shared::problem::FieldError;
use shared::record::{Metrics, Progress, Record};
use shared::rundir;
pub use shared::rundir::{attribution_file, checkpoint_file, program_file, sidecar_file};

use crate::Error;
use crate::checkpoint::write_whole;

/// Shortest time between two progress records. Readers poll about once a second, so more records would only
/// make the file longer.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A run directory that this process writes to.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    file: File,
    /// Summary of all records in `metrics.jsonl`, including those appended by this process.
    metrics: Metrics,
    last_progress: Option<Instant>,
}

/// Reads and validates `config.json`.
pub fn read_config(directory: &Path) -> Result<RunConfig, Error> {
    let format = fs::read_to_string(directory.join(rundir::FORMAT)).ok();
    rundir::check_format(format.as_deref())
        .map_err(|error| Error::RunDir { path: directory.to_owned(), problem: format!("cannot be read: {error}") })?;
    let path = directory.join(rundir::CONFIG);
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Config { path: path.clone(), errors: vec![FieldError::new("", format!("is not JSON: {error}"))] })?;
    RunConfig::parse(&value).map_err(|errors| Error::Config { path, errors })
}

/// Reads the records of a run. Skips lines that cannot be parsed, because the last line may be incomplete.
pub fn read_metrics(directory: &Path) -> Result<Metrics, Error> {
    let path = directory.join(rundir::METRICS);
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    Ok(Metrics::from_records(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())))
}

impl RunDir {
    /// Opens the directory of a run that is new or was stopped. Fails if the run has finished.
    ///
    /// Only one worker may write to it, which its lease ensures.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let refused = |problem: &str| Error::RunDir { path: directory.to_owned(), problem: problem.to_owned() };
        let path = directory.join(rundir::METRICS);
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        let metrics = read_metrics(directory)?;
        if metrics.finished.is_some() {
            return Err(refused("already holds a finished run; copy its config.json to a new directory"));
        }
        // A killed worker may have left an incomplete line. The line break keeps it apart from the next
        // record.
        if fs::read(&path).map_err(Error::io(&path))?.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n").map_err(Error::io(&path))?;
        }
        Ok(RunDir { path: directory.to_owned(), file, metrics, last_progress: None })
    }

    /// Returns the summary of all records so far, including those of earlier workers.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Appends one record as a line of JSON.
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).expect("a record has only string keys");
        line.push(b'\n');
        // A single write, so that a reader rarely sees half a line.
        self.file.write_all(&line).map_err(Error::io(&self.path.join(rundir::METRICS)))?;
        self.metrics.apply(record.clone());
        Ok(())
    }

    /// Appends a progress record, unless the last one is less than a second old.
    pub fn progress(&mut self, progress: Progress) -> Result<(), Error> {
        if self.last_progress.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
            return Ok(());
        }
        self.last_progress = Some(Instant::now());
        self.append(&Record::Progress(progress))
    }

    /// Waits until all records are on the disk.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io(&self.path.join(rundir::METRICS)))
    }

    /// Creates a folder inside the run directory if it does not exist.
    pub fn create_folder(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(Error::io(&path))
    }

    /// Writes a JSON file atomically. `file` is relative to the run directory.
    pub fn write_json(&self, file: &str, value: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(value).expect("what is written has only string keys");
        bytes.push(b'\n');
        write_whole(&self.path(file), &bytes)
    }

    /// Returns the path of a file that is given relative to the run directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Returns the epochs that files in a folder are of, in increasing order; none if there is no such folder. A
    /// file of epoch 12 is named `e12.` and an ending.
    pub fn epochs_of_files(&self, folder: &str) -> Result<BTreeSet<u32>, Error> {
        let path = self.path(folder);
        let names = fs::read_dir(&path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>());
        let epoch = |name: OsString| name.to_str()?.strip_prefix('e')?.split('.').next()?.parse().ok();
        match names {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
            names => Ok(names.map_err(Error::io(&path))?.into_iter().filter_map(epoch).collect()),
        }
    }

    /// Removes a file if it exists. `file` is relative to the run directory.
    pub fn remove(&self, file: &str) -> Result<(), Error> {
        let path = self.path(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&path)(error)),
            _ => Ok(()),
        }
    }
}
