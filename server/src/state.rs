//! What the handlers share: opened at the start, closed at the end.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use shared::api::WorkerStatus;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::changes::Changes;
use crate::datasets::Datasets;
use crate::db::{self, Db};
use crate::disk_space;
use crate::guests::Guests;
use crate::launch::Lanes;
use crate::live::LiveRuns;
use crate::run_labels::RunLabels;
use crate::rundir::RunDirs;
use crate::scheduler::{PendingWrites, Rules, Scheduler};
use crate::sessions::Sessions;
use crate::share_links::ShareLinks;
use crate::shortage::lack_of_room;
use crate::telemetry::Telemetry;
use crate::trash;
use crate::uploads::Uploads;
use crate::worker::Worker;
use crate::wrong_tokens::WrongTokens;

/// Files inspected at once.
const INSPECTIONS: usize = 2;

/// Settings of the server, checked by the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Folder of data sets, one folder for each.
    pub datasets_dir: PathBuf,
    /// Address to download data sets from, instead of where their authors publish them.
    pub datasets_mirror: Option<String>,
    pub worker: PathBuf,
    /// Describes lanes beyond this machine; by default `lanes.toml` in the data directory, if it is there.
    pub lanes: Option<PathBuf>,
    pub stop_grace: Duration,
    pub rules: Rules,
    /// Days that a deleted run stays in the trash; 0 deletes runs at once.
    pub trash_days: u32,
    /// Whether workers of this machine run programs.
    pub allow_programs: bool,
    pub web: Option<PathBuf>,
    /// Empty, or a path without a slash at its end.
    pub base_path: String,
    /// Public address, without a slash at its end.
    pub public_url: Option<String>,
    /// Required for everything but share links.
    pub token: Option<String>,
    /// Permits reading. Has no effect without `token`, because everyone may then do everything.
    pub read_token: Option<String>,
    pub allowed_hosts: Vec<String>,
}

impl Settings {
    fn lanes_file(&self) -> Option<PathBuf> {
        let default = || Some(self.data_dir.join("lanes.toml")).filter(|path| path.exists());
        self.lanes.clone().or_else(default)
    }
}

#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub settings: Settings,
    pub db: Db,
    pub dirs: RunDirs,
    pub datasets: Datasets,
    pub scheduler: Scheduler,
    pub lanes: Lanes,
    pub labels: RunLabels,
    pub shares: ShareLinks,
    pub changes: Changes,
    pub live: LiveRuns,
    pub sessions: Sessions,
    pub wrong_tokens: WrongTokens,
    pub guests: Guests,
    pub telemetry: Telemetry,
    pub uploads: Uploads,
    /// Inspects files to import. `inspections` limits how many at once: each may take gigabytes of memory.
    pub inspector: Worker,
    pub inspections: Semaphore,
    pub worker: watch::Receiver<WorkerStatus>,
    pub started: Timestamp,
    /// Canceled when the server stops; streams then end.
    pub stopping: CancellationToken,
    /// Held while this server uses the data directory.
    _lock: File,
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppState {
    /// Opens the data directory and starts the queue. Probes the worker in the background.
    pub async fn open(settings: Settings) -> anyhow::Result<Self> {
        let data = &settings.data_dir;
        std::fs::create_dir_all(data).with_context(|| format!("cannot make the data directory {}", data.display()))?;
        let lock = lock(data)?;
        let runs = data.join("runs");
        let dirs = RunDirs::create(runs.clone()).and_then(|dirs| dirs.make_incoming().map(|_| dirs)).with_context(|| unwritable(&runs))?;
        let pool = db::open(&data.join("crosslens.db")).await?;
        let pending = PendingWrites::default();
        let db = Db::new(pool.clone(), pending.clone());
        let shares = ShareLinks::new(pool.clone(), dirs.shares_file());
        if let Err(error) = shares.sweep().await {
            // Start even with a full disk, so that people can delete runs.
            tracing::warn!("share links that expired long ago cannot be deleted: {error}");
        }

        let sessions = Sessions::open(pool.clone(), &settings).await.context("cannot read who is signed in")?;
        let datasets = Datasets::open(&settings.datasets_dir, data.join("datasets.json"), settings.datasets_mirror.clone());
        let datasets = datasets.with_context(|| format!("cannot use {}", settings.datasets_dir.display()))?;

        let worker = Worker { program: settings.worker.clone(), allow_programs: settings.allow_programs };
        let (status, probe) = watch::channel(WorkerStatus::Starting);
        let lanes = Lanes::open(settings.lanes_file(), worker.clone(), settings.rules.at_once.clone(), status.clone())?;
        let stopping = CancellationToken::new();
        let changes = Changes::start(db.clone(), stopping.clone());
        let live = LiveRuns::start(db.clone(), dirs.clone(), changes.clone(), stopping.clone());
        let rules = settings.rules.clone();
        let scheduler = Scheduler::start(pool, pending, dirs.clone(), lanes.clone(), settings.stop_grace, rules, probe.clone());
        tokio::spawn(recover_shares(shares.clone(), scheduler.clone()));
        trash::start_emptying(db.clone(), scheduler.clone(), settings.trash_days, stopping.clone());
        disk_space::measure_earlier(db.clone(), dirs.clone(), stopping.clone());
        tokio::spawn(stopping.clone().run_until_cancelled_owned(worker.clone().keep_probing(status)));
        Ok(AppState(Arc::new(Inner {
            settings,
            db,
            dirs,
            datasets,
            scheduler,
            lanes,
            labels: RunLabels::default(),
            shares,
            changes,
            live,
            sessions,
            wrong_tokens: WrongTokens::default(),
            guests: Guests::default(),
            telemetry: Telemetry::default(),
            uploads: Uploads::default(),
            inspector: worker,
            inspections: Semaphore::new(INSPECTIONS),
            worker: probe,
            started: Timestamp::now(),
            stopping,
            _lock: lock,
        })))
    }

    /// Ends streams and the queue; the workers go on, or end as the rules of the queue say.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.scheduler.stop().await
    }

    /// Closes the database; requests fail after that.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// What keeps this server from storing what it should: a database that takes no changes, a full disk.
    pub fn problems(&self) -> Vec<String> {
        [self.db.trouble(), lack_of_room(&self.settings.data_dir)].into_iter().flatten().collect()
    }

    /// Problems to show to people: those of this server, and lanes that are down.
    pub fn all_problems(&self) -> Vec<String> {
        self.problems().into_iter().chain(self.lanes.troubles()).collect()
    }

    /// The answer of the worker to its probe; waits for it.
    pub async fn worker_status(&self) -> WorkerStatus {
        let mut worker = self.worker.clone();
        match worker.wait_for(|status| !matches!(status, WorkerStatus::Starting)).await {
            Ok(status) => status.clone(),
            Err(_) => WorkerStatus::Starting,
        }
    }
}

/// Takes share links in once the scheduler has taken in the runs, which is before it answers anything.
async fn recover_shares(shares: ShareLinks, scheduler: Scheduler) {
    if scheduler.look().await.is_ok() {
        shares.recover().await;
    }
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}; let this user write there, or choose another folder with --data-dir", path.display())
}

/// Locks the data directory: two servers on one would run every queued run twice.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("server.lock");
    let file = File::create(&path).with_context(|| unwritable(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another server uses the data directory {}; stop it or choose another with --data-dir", data.display())
        }
        Err(TryLockError::Error(error)) => tracing::warn!("{} cannot be locked: {error}", path.display()),
    }
    Ok(file)
}
