//! Tells listeners what happens to a run. One task reads the states and new records of all runs with
//! listeners, however many listen. Knows nothing of HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::api::{Run, RunState};
use shared::id::RunId;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::changes::Changes;
use crate::db::{Db, RunStatus};
use crate::rundir::{RunDirs, record};
use crate::tail::{Line, Tail};

/// Time between two readings of the records of running runs.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time between two checks for listeners while no run is running.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Most news that wait for a slow listener; after more it has to read the file of records.
const MOST_WAITING: usize = 16;

/// What happens to a run, in order.
#[derive(Clone, Debug)]
pub enum News {
    /// The state has changed, or a cancel was asked for.
    Run(Arc<Run>),
    /// New records. A listener may know the first ones already: check their numbers.
    Records(Arc<[Line]>),
    /// The run has finished and all its records were told.
    End(Arc<Run>),
}

/// A run as it is now and the news of it; `None` for a finished run. News end without [`News::End`] if the
/// run is deleted or cannot be read.
#[derive(Debug)]
pub struct Listening {
    pub run: Arc<Run>,
    pub news: Option<broadcast::Receiver<News>>,
}

#[derive(Clone, Debug)]
pub struct LiveRuns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    dirs: RunDirs,
    /// Runs with listeners.
    runs: Mutex<HashMap<RunId, LiveRun>>,
    /// Wakes the task when a run is added.
    added: Notify,
}

#[derive(Debug)]
struct LiveRun {
    run: Arc<Run>,
    news: broadcast::Sender<News>,
    /// The task has not looked at it yet.
    new: bool,
}

impl LiveRuns {
    /// Starts the task, which ends with `stopping`.
    pub fn start(db: Db, dirs: RunDirs, changes: Changes, stopping: CancellationToken) -> Self {
        let live = LiveRuns(Arc::new(Inner { db, dirs, runs: Mutex::default(), added: Notify::new() }));
        let task = live.clone();
        tokio::spawn(async move {
            stopping.run_until_cancelled(task.work(changes)).await;
            task.runs().clear();
        });
        live
    }

    /// Listens to a run; `None` if there is no such run.
    pub async fn listen(&self, id: &RunId) -> sqlx::Result<Option<Listening>> {
        if let Some(live) = self.runs().get(id) {
            return Ok(Some(live.listen()));
        }
        let Some(run) = self.0.db.run(id).await?.map(Arc::new) else { return Ok(None) };
        if run.state.is_finished() {
            return Ok(Some(Listening { run, news: None }));
        }
        let mut runs = self.runs();
        // Another listener may have added it meanwhile.
        let live = runs.entry(id.clone()).or_insert_with(|| LiveRun { run, news: broadcast::Sender::new(MOST_WAITING), new: true });
        self.0.added.notify_one();
        Ok(Some(live.listen()))
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, LiveRun>> {
        // No panic under the lock can leave a run half changed.
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, changes: Changes) {
        loop {
            self.0.added.notified().await;
            self.follow(changes.listen()).await;
        }
    }

    /// Follows the runs that have listeners, until none has.
    async fn follow(&self, mut changed: watch::Receiver<(i64, u64)>) {
        let mut tails: HashMap<RunId, Tail> = HashMap::new();
        let mut cursor = None;
        let mut look = true;
        loop {
            self.runs().retain(|_, live| live.news.receiver_count() > 0);
            tails.retain(|id, _| self.runs().contains_key(id));
            if self.runs().is_empty() {
                return;
            }
            if look {
                for id in self.changed(&mut cursor).await {
                    self.look(&id).instrument(info_span!("run", %id)).await;
                }
            }
            // Read states before records: a line written before the run ended is then still told.
            let active: Vec<Arc<Run>> =
                self.runs().values().map(|live| live.run.clone()).filter(|run| run.state != RunState::Queued).collect();
            for run in &active {
                let id = &run.id;
                let tail = tails.entry(id.clone()).or_insert_with(|| self.0.dirs.of(id).tail());
                self.read(id, run, tail).instrument(info_span!("run", %id)).await;
            }
            let pause = if active.is_empty() { IDLE_INTERVAL } else { INTERVAL };
            look = tokio::select! {
                _ = changed.changed() => true,
                () = self.0.added.notified() => true,
                () = sleep(pause) => false,
            };
        }
    }

    /// Live runs that are new or may have changed since `cursor`; updates the cursor.
    async fn changed(&self, cursor: &mut Option<String>) -> Vec<RunId> {
        let changed = match self.0.db.changed(cursor.as_deref()).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!("the event streams of runs end: {error}");
                self.runs().clear();
                return Vec::new();
            }
        };
        let all = cursor.replace(changed.cursor).is_none() || !changed.known;
        let named: HashSet<RunId> = changed.runs.into_iter().chain(changed.deleted).collect();
        let mut runs = self.runs();
        let looked_at = runs.iter_mut().filter_map(|(id, live)| {
            let new = std::mem::take(&mut live.new);
            (all || new || named.contains(id)).then(|| id.clone())
        });
        looked_at.collect()
    }

    /// Tells the run if its state has changed.
    async fn look(&self, id: &RunId) {
        let Some(known) = self.runs().get(id).map(|live| live.run.clone()) else { return };
        let run = match self.0.db.status(id).await {
            Ok(Some(status)) if status == RunStatus::of(&known) => return,
            Ok(Some(_)) => self.0.db.run(id).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let run = run.unwrap_or_else(|error| {
            tracing::warn!("the event streams of {id} end: {error}");
            None
        });
        let mut runs = self.runs();
        match (run.map(Arc::new), runs.get_mut(id)) {
            (Some(run), Some(live)) => {
                live.run = run.clone();
                live.tell(News::Run(run));
            }
            _ => drop(runs.remove(id)),
        }
    }

    /// Tells new records, and the end of a finished run.
    async fn read(&self, id: &RunId, run: &Arc<Run>, tail: &mut Tail) {
        loop {
            let lines = match tail.read().await {
                Ok(lines) => lines,
                Err(error) => {
                    tracing::warn!("the event streams of {id} end: {error}");
                    self.runs().remove(id);
                    return;
                }
            };
            if lines.is_empty() {
                break;
            }
            let records: Vec<Line> = lines.into_iter().filter(|line| record(line).is_ok()).collect();
            if let Some(live) = self.runs().get(id).filter(|_| !records.is_empty()) {
                live.tell(News::Records(records.into()));
            }
        }
        if run.state.is_finished()
            && let Some(live) = self.runs().remove(id)
        {
            live.tell(News::End(run.clone()));
        }
    }
}

impl LiveRun {
    fn listen(&self) -> Listening {
        Listening { run: self.run.clone(), news: Some(self.news.subscribe()) }
    }

    fn tell(&self, news: News) {
        // All listeners may have left.
        self.news.send(news).ok();
    }
}
