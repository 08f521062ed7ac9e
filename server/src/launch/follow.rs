//! Waits for one job, on whatever lane: until its worker has ended by itself or was made to.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lease::{Standing as Writer, Watch};
use shared::rundir::EXIT_REQUEUE;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::engine::List;
use super::{Engine, Fate, Job, Standing, Stop};

/// Time between two looks at a run directory while a worker is expected there.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The same where the directory may be on a file system across a network.
const LOOK_INTERVAL_ELSEWHERE: Duration = Duration::from_secs(1);
/// The same while the job waits in its engine.
const LOOK_INTERVAL_WAITING: Duration = Duration::from_secs(10);
/// Time between asking a job to end and killing it.
const TERM_GRACE: Duration = Duration::from_secs(5);
/// The same where an engine passes the request on.
const TERM_GRACE_ELSEWHERE: Duration = Duration::from_secs(60);
/// Time until an engine that did not take a request is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long after the end of a job its exit code may take to be seen across a network.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a run directory on a shared file system may be away.
const AWAY: Duration = Duration::from_secs(120);

/// How a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code or by a signal.
    Exited(ExitStatus),
    /// It is gone from its lease and has written no exit code: it was killed.
    Vanished,
    /// There is neither a worker nor its exit code.
    Unknown,
}

/// What has happened to a job.
#[derive(Debug)]
pub enum Event {
    /// It stands elsewhere than before.
    Moved(Standing, Option<String>),
    /// Its worker has ended; `fate` is what its launcher says.
    Ended { end: io::Result<End>, fate: Option<Fate> },
}

/// Follows a job.
#[derive(Debug)]
pub struct Following {
    engine: Arc<Engine>,
    job: Job,
    watch: Watch,
    lists: watch::Receiver<List>,
    /// When the job had been handed over; earlier lists do not know it.
    since: Instant,
    /// Time that a worker may take to save before it is ended by other means.
    stop_grace: Duration,
    told: Option<Standing>,
    /// A worker has been seen in the directory.
    seen: bool,
    /// The launcher's job has ended, but another worker writes.
    superseded: bool,
    /// Since when the directory cannot be looked at.
    away_since: Option<Instant>,
    /// Since when the job is known to be gone without the last word of its worker.
    gone_since: Option<Instant>,
    stopping: Option<Stopping>,
}

/// What is done next to a worker that was asked to stop.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    next: Stop,
    at: Instant,
    grace: Duration,
}

impl Following {
    pub fn new(engine: Arc<Engine>, job: Job, stop_grace: Duration) -> Self {
        let (watch, lists) = (Watch::new(job.dir.path()), engine.lists());
        engine.add(job.clone());
        Following {
            engine,
            job,
            watch,
            lists,
            since: Instant::now(),
            stop_grace,
            told: None,
            seen: false,
            superseded: false,
            away_since: None,
            gone_since: None,
            stopping: None,
        }
    }

    /// Waits for the next event. After `stop`, makes the worker end that does not end by itself.
    pub async fn next(&mut self, stop: &CancellationToken) -> Event {
        loop {
            if let Some(event) = self.look().await {
                return event;
            }
            let due = self.press().await;
            let pause = self.interval().min(due);
            tokio::select! {
                // An error: the engine is dropped, and only the directory tells.
                changed = self.lists.changed() => if changed.is_err() { sleep(pause).await },
                () = sleep(pause) => {}
                () = stop.cancelled(), if self.stopping.is_none() => self.begin_to_stop(),
            }
        }
    }

    fn interval(&self) -> Duration {
        match &self.told {
            _ if self.is_here() => LOOK_INTERVAL,
            Some(Standing::Waiting { .. }) if !self.seen && self.stopping.is_none() => LOOK_INTERVAL_WAITING,
            _ => LOOK_INTERVAL_ELSEWHERE,
        }
    }

    fn is_here(&self) -> bool {
        self.engine.kind() == shared::api::LaneKind::Local
    }

    /// What the launcher says now: `None` if that is not known, `Some(None)` if the job is gone.
    fn listed(&mut self) -> Option<Option<Standing>> {
        let list = self.lists.borrow_and_update();
        let answer = list.answer.as_ref().ok().filter(|_| list.asked_at >= self.since)?;
        let found = answer.get(&self.job.name);
        if let Some(id) = found.and_then(|listed| listed.id.clone()) {
            self.job.id = Some(id);
        }
        Some(found.map(|listed| listed.standing.clone()))
    }

    async fn look(&mut self) -> Option<Event> {
        // The launcher first: if it says that the job is gone, its worker has written its last before this look.
        let listed = self.listed();
        let (writer, exit) = match self.look_at_directory().await {
            Ok(found) => {
                self.away_since = None;
                found
            }
            // A file system that comes back must not cost a run.
            Err(error) if !self.is_here() && self.away_for() < AWAY => {
                tracing::debug!("{} cannot be looked at: {error}", self.job.dir.path().display());
                return None;
            }
            Err(error) => return Some(Event::Ended { end: Err(error), fate: None }),
        };
        if matches!(writer, Writer::Held(_)) {
            self.seen = true;
            self.superseded |= matches!(listed, Some(None | Some(Standing::Over(_))));
            let standing = match listed.flatten() {
                Some(standing @ Standing::Running { .. }) => standing,
                _ => match &self.told {
                    Some(standing @ Standing::Running { .. }) => standing.clone(),
                    _ => Standing::Running { node: None, ends_at: None },
                },
            };
            return self.moved(standing);
        }
        match (listed, exit) {
            (Some(None), None) => self.ended_without_word(&writer, None),
            (Some(None), Some(status)) => Some(Event::Ended { end: Ok(End::Exited(status)), fate: None }),
            (Some(Some(Standing::Over(fate))), exit) => {
                let own = match &fate {
                    Fate::Exited(status) if !self.superseded => Some(*status),
                    _ => exit,
                };
                match own {
                    Some(status) => Some(Event::Ended { end: Ok(End::Exited(status)), fate: Some(fate) }),
                    None => self.ended_without_word(&writer, Some(fate)),
                }
            }
            (listed, Some(status)) if self.is_last_word(status) => {
                // Its engine would start it again.
                if self.stopping.is_some() && matches!(listed, Some(Some(_))) {
                    self.end_in_engine(Stop::Terminate).await;
                }
                Some(Event::Ended { end: Ok(End::Exited(status)), fate: None })
            }
            (Some(Some(standing)), exit) => {
                self.gone_since = None;
                if exit.is_some() {
                    // It is gone soon, or its engine starts it again.
                    self.engine.ask_soon();
                }
                self.moved(standing)
            }
            (None, exit) => {
                if exit.is_some() || self.seen {
                    self.engine.ask_soon();
                }
                None
            }
        }
    }

    /// Tells that the worker has ended and has not said how. `left`: its lease.
    ///
    /// Waits a little first where the directory is on a file system across a network, and longer while it is away.
    fn ended_without_word(&mut self, left: &Writer, fate: Option<Fate>) -> Option<Event> {
        let end = if matches!(left, Writer::Abandoned(_)) { End::Vanished } else { End::Unknown };
        if !self.is_here() {
            let gone_for = self.gone_since.get_or_insert_with(Instant::now).elapsed();
            let patience = if self.job.dir.path().exists() { SETTLE } else { AWAY };
            if gone_for < patience {
                return None;
            }
        }
        let silent = || Fate::Failed("its job has ended, and its worker has not written how".to_owned());
        let fate = fate.or_else(|| (self.told.is_some() && !self.is_here() && end == End::Unknown).then(silent));
        Some(Event::Ended { end: Ok(end), fate })
    }

    /// Whether no worker of this job follows after one that ended like this.
    fn is_last_word(&self, status: ExitStatus) -> bool {
        !self.is_here() && (status.code() != Some(i32::from(EXIT_REQUEUE)) || self.stopping.is_some())
    }

    fn moved(&mut self, standing: Standing) -> Option<Event> {
        if self.told.as_ref() == Some(&standing) {
            return None;
        }
        self.told = Some(standing.clone());
        Some(Event::Moved(standing, self.job.id.clone()))
    }

    /// Whether a worker writes to the directory, and the exit code of the last one.
    async fn look_at_directory(&mut self) -> io::Result<(Writer, Option<ExitStatus>)> {
        let mut watch = std::mem::replace(&mut self.watch, Watch::new(self.job.dir.path()));
        let (dir, is_here) = (self.job.dir.clone(), self.is_here());
        let (watch, found) = spawn_blocking(move || {
            let found = watch.look().and_then(|writer| {
                if !is_here {
                    // Opening the directory makes NFS look at its server for new files. An error shows with the next call.
                    drop(std::fs::read_dir(dir.path()));
                }
                // After the lease: a worker writes its exit code while it holds it.
                let exit = if matches!(writer, Writer::Held(_)) { None } else { dir.exit_status()? };
                Ok((writer, exit))
            });
            (watch, found)
        })
        .await?;
        self.watch = watch;
        found
    }

    fn away_for(&mut self) -> Duration {
        self.away_since.get_or_insert_with(Instant::now).elapsed()
    }

    fn begin_to_stop(&mut self) {
        let told = self.job.dir.stop_reason().is_ok_and(|reason| reason.is_some());
        let waits = !self.seen && matches!(self.told, None | Some(Standing::Waiting { .. }));
        // Without the file, only a signal tells it.
        let to_save = if told && (self.is_here() || !waits) { self.stop_grace } else { Duration::ZERO };
        let grace = if self.is_here() { TERM_GRACE } else { TERM_GRACE_ELSEWHERE };
        let grace = if told { grace } else { self.stop_grace + grace };
        self.stopping = Some(Stopping { next: Stop::Terminate, at: Instant::now() + to_save, grace });
    }

    /// Does what is due to a worker that was asked to stop; returns the time until more is.
    async fn press(&mut self) -> Duration {
        let Some(stopping) = self.stopping else { return Duration::MAX };
        let now = Instant::now();
        if now < stopping.at {
            return stopping.at - now;
        }
        let taken = self.end_in_engine(stopping.next).await;
        let pause = if taken { stopping.grace } else { ASK_AGAIN };
        let next = if taken { Stop::Kill } else { stopping.next };
        self.stopping = Some(Stopping { next, at: Instant::now() + pause, ..stopping });
        pause
    }

    /// Returns whether the launcher has taken the request.
    async fn end_in_engine(&mut self, how: Stop) -> bool {
        let taken = self.engine.stop(&self.job, how).await;
        if let Err(why) = &taken {
            tracing::warn!("job {} cannot be ended: {why}", self.job.name);
        }
        self.engine.ask_soon();
        taken.is_ok()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.engine.remove(&self.job.name);
    }
}
