//! Copies of the data directory: `backup` makes one, also while the server runs; `restore` makes a data
//! directory of it.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use shared::format;
use shared::rundir;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::db;

const DATABASE: &str = "crosslens.db";
const RUNS: &str = "runs";
/// Files of the data directory beside the database and the runs. Data sets are not copied: they can be
/// downloaded again.
const OTHERS: [&str; 3] = ["token", "datasets.json", "lanes.toml"];

/// Files of a run directory that are not copied with the others: its records are copied before them, and the
/// lease and the request to stop are for a worker that does not work on the copy.
const LEFT_OUT: [&str; 3] = [rundir::METRICS, rundir::LEASE, rundir::STOP];

/// Copies the database and all run directories of `data` into the new folder `target`, and says what was
/// copied.
///
/// The database is copied first, and of each run first its records. So the copy holds everything that its
/// database and records name, even if runs go on meanwhile.
pub async fn backup(data: &Path, target: &Path) -> anyhow::Result<String> {
    ensure!(data.join(DATABASE).is_file(), "{} is no data directory: it holds no {DATABASE}", data.display());
    let partial = beside(target)?;
    let mut database = connect(&data.join(DATABASE)).await?;
    let copy = partial.path().join(DATABASE);
    let copied = sqlx::query("VACUUM INTO ?").bind(copy.to_string_lossy()).execute(&mut database).await;
    copied.with_context(|| format!("cannot copy the database into {}", partial.path().display()))?;
    database.close().await?;
    finish(data, target, partial).await
}

/// Makes the data directory `data` from a backup, and says what was copied.
pub async fn restore(source: &Path, data: &Path) -> anyhow::Result<String> {
    ensure!(source.join(DATABASE).is_file(), "{} is no backup: it holds no {DATABASE}", source.display());
    let partial = beside(data)?;
    let copy = partial.path().join(DATABASE);
    fs::copy(source.join(DATABASE), &copy).with_context(|| format!("cannot copy the database of {}", source.display()))?;
    let mut database = connect(&copy).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut database).await?;
    ensure!(found == "ok", "the database of {} is damaged: {found}", source.display());
    database.close().await?;
    // Fails for the database of a newer version, before anything is in place.
    db::open(&copy).await?.close().await;
    finish(source, data, partial).await
}

/// A new folder beside `target`, which must not exist or be empty.
fn beside(target: &Path) -> anyhow::Result<TempDir> {
    match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => bail!("{} is not empty; name a new folder", target.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", target.display())),
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let made = tempfile::Builder::new().prefix(".crosslens-copy-").tempdir_in(parent);
    made.with_context(|| format!("cannot write into {}", parent.display()))
}

/// Copies everything but the database, and moves the complete copy to its place.
async fn finish(source: &Path, target: &Path, partial: TempDir) -> anyhow::Result<String> {
    let (source, target) = (source.to_owned(), target.to_owned());
    spawn_blocking(move || {
        let mut copied = Copied::default();
        for name in OTHERS {
            copied.file(&source.join(name), &partial.path().join(name))?;
        }
        let runs = partial.path().join(RUNS);
        fs::create_dir(&runs)?;
        for entry in sorted(&source.join(RUNS))? {
            // Hidden ones are uploads in progress and deleted runs.
            if entry.file_type()?.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
                copied.folder(&entry.path(), &runs.join(entry.file_name()))?;
                copied.runs += 1;
            }
        }
        rustix::fs::syncfs(File::open(partial.path())?)?;
        if target.is_dir() {
            fs::remove_dir(&target)?;
        }
        fs::rename(partial.path(), &target)?;
        // It is no longer there to be removed.
        let _ = partial.keep();
        let Copied { runs, bytes } = copied;
        let noun = if runs == 1 { "run" } else { "runs" };
        Ok(format!("copied {runs} {noun}, {}, to {}", format::bytes(bytes), target.display()))
    })
    .await
    .context("copying broke off")?
}

async fn connect(database: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(db::BUSY_TIMEOUT);
    SqliteConnection::connect_with(&options).await.with_context(|| format!("cannot open {}", database.display()))
}

#[derive(Debug, Default)]
struct Copied {
    runs: usize,
    bytes: u64,
}

impl Copied {
    /// Copies a file, unless it does not exist: a worker may have replaced or removed it meanwhile.
    fn file(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        match fs::copy(from, to) {
            Ok(bytes) => self.bytes += bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot copy {} to {}", from.display(), to.display())),
        }
        Ok(())
    }

    /// Copies a folder with its folders; leaves out links and what is no file.
    fn folder(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        fs::create_dir(to).with_context(|| format!("cannot make {}", to.display()))?;
        self.file(&from.join(rundir::METRICS), &to.join(rundir::METRICS))?;
        for entry in sorted(from)? {
            let (kind, name) = (entry.file_type()?, entry.file_name());
            if kind.is_dir() {
                self.folder(&entry.path(), &to.join(name))?;
            } else if kind.is_file() && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                self.file(&entry.path(), &to.join(name))?;
            }
        }
        Ok(())
    }
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<DirEntry>> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        // A run was deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
