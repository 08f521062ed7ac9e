//! What the handlers share: opened at the start, closed at the end.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
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
use crate::live::LiveRuns;
use crate::rundir::RunDirs;
use crate::scheduler::{PendingWrites, Scheduler};
use crate::sessions::Sessions;
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
    pub stop_grace: Duration,
    /// Days that a deleted run stays in the trash; 0 deletes runs at once.
    pub trash_days: u32,
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

#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub settings: Settings,
    pub db: Db,
    pub dirs: RunDirs,
    pub datasets: Datasets,
    pub scheduler: Scheduler,
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
        let dirs = RunDirs::create(data.join("runs")).with_context(|| format!("cannot use {}/runs", data.display()))?;
        let pool = db::open(&data.join("crosslens.db")).await?;
        let pending = PendingWrites::default();
        let db = Db::new(pool.clone(), pending.clone());
        if let Err(error) = db.sweep_shares().await {
            // Start even with a full disk, so that people can delete runs.
            tracing::warn!("share links that expired long ago cannot be deleted: {error}");
        }

        let sessions = Sessions::open(pool.clone(), &settings).await.context("cannot read who is signed in")?;
        let datasets = Datasets::open(&settings.datasets_dir, data.join("datasets.json"), settings.datasets_mirror.clone());
        let datasets = datasets.with_context(|| format!("cannot use {}", settings.datasets_dir.display()))?;

        let worker = Worker { program: settings.worker.clone(), stop_grace: settings.stop_grace };
        let (probed, probe) = watch::channel(WorkerStatus::Starting);
        let stopping = CancellationToken::new();
        let changes = Changes::start(db.clone(), stopping.clone());
        let live = LiveRuns::start(db.clone(), dirs.clone(), changes.clone(), stopping.clone());
        let scheduler = Scheduler::start(pool, pending, dirs.clone(), worker.clone(), probe.clone());
        trash::start_emptying(db.clone(), scheduler.clone(), settings.trash_days, stopping.clone());
        disk_space::measure_earlier(db.clone(), dirs.clone(), stopping.clone());
        let asked = worker.clone();
        tokio::spawn(async move {
            let status = asked.probe().await;
            match &status {
                WorkerStatus::Ready(probe) => {
                    let devices: Vec<&str> = probe.devices.iter().map(|device| device.name.as_str()).collect();
                    tracing::info!("the worker is ready: libtorch {} on {}", probe.libtorch, devices.join(", "));
                }
                WorkerStatus::Broken { message } => tracing::error!("{message}"),
                WorkerStatus::Starting => {}
            }
            probed.send_replace(status);
            // Keep the channel open while it has receivers.
            probed.closed().await;
        });
        Ok(AppState(Arc::new(Inner {
            settings,
            db,
            dirs,
            datasets,
            scheduler,
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

    /// Ends streams, asks workers to save, and waits until they have ended.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.scheduler.stop().await
    }

    /// Closes the database; requests fail after that.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Problems to show to people: a database that takes no changes, a full disk.
    pub fn problems(&self) -> Vec<String> {
        [self.db.trouble(), lack_of_room(&self.settings.data_dir)].into_iter().flatten().collect()
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

/// Locks the data directory: two servers on one would run every queued run twice.
fn lock(data: &std::path::Path) -> anyhow::Result<File> {
    let path = data.join("server.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another server uses the data directory {}; stop it or choose another with --data-dir", data.display())
        }
        Err(TryLockError::Error(error)) => tracing::warn!("{} cannot be locked: {error}", path.display()),
    }
    Ok(file)
}
