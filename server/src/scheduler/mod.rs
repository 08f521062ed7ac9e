//! The queue: hands runs in order to lanes with room, and records how they ended.
//!
//! One task owns the queue. Only it changes the states of runs; all others send it messages.

mod at_once;
mod external;
mod follow_metrics;
mod hand_over;
mod pending_writes;
mod states;
mod verdict;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use shared::api::{Job, JobStanding, LaneKind, QueuePlace, RunState, RunSummary, WorkerStatus};
use shared::config::RunConfig;
use shared::id::{RunId, SweepId};
use shared::labels::Labels;
use shared::rundir::{EXIT_NOT_LOADED, StopReason};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

pub use self::at_once::{AtOnce, DeviceShare};
use self::pending_writes::Deaths;
pub use self::pending_writes::PendingWrites;
use self::states::States;
use self::verdict::{Ending, Verdict, verdict};
use crate::db::Db;
use crate::disk_space::used;
use crate::id::new_run;
use crate::launch::{End, Fate, Lanes, NotStarted, SAVE_AHEAD, Standing};
use crate::run_labels;
use crate::rundir::{RunDir, RunDirs};
use crate::shortage::{Shortage, lack_of_room};
use crate::worker::{last_words, sentence};

/// Time until a failed write or start is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Messages that may wait; whoever sends more is held up.
const INBOX: usize = 1024;

/// How the queue works.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// How many runs a device runs at once, where it is not one.
    pub at_once: AtOnce,
    /// Whether the workers of this machine are stopped with the server.
    pub stop_runs: bool,
}

/// Sends messages to the task that owns the queue.
#[derive(Clone, Debug)]
pub struct Scheduler {
    messages: mpsc::Sender<Message>,
}

/// How often a run is tried again whose worker has died by itself.
const TRIES: u32 = 3;

/// A run to be queued.
#[derive(Debug)]
pub struct NewRun {
    pub config: RunConfig,
    /// The lane that it will wait for.
    pub device: String,
    /// Moved into the run directory as `upload/NAME`.
    pub upload: Option<PathBuf>,
}

/// Why a run cannot be canceled, resumed, moved, deleted or restored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no such run")]
    NotFound,
    #[error("the run is being canceled")]
    Canceling,
    #[error("the run has finished: {}", .0.id())]
    Finished(RunState),
    #[error("the run is {}", .0.id())]
    NotResumable(RunState),
    #[error("the run is written by another program")]
    External,
    #[error("the run does not wait: it is {}", .0.id())]
    NotQueued(RunState),
    #[error("the run is running")]
    Running,
    #[error("the run is in the trash")]
    InTrash,
    #[error("the run is not in the trash")]
    NotInTrash,
    #[error("there is no lane `{0}`")]
    NoLane(String),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

#[derive(Debug)]
enum Message {
    Submit {
        runs: Vec<NewRun>,
        reply: oneshot::Sender<anyhow::Result<Vec<RunId>>>,
    },
    Move {
        id: RunId,
        to: QueuePlace,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Send {
        id: RunId,
        lane: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    LimitSweep {
        sweep: SweepId,
        at_once: Option<u32>,
        reply: oneshot::Sender<anyhow::Result<()>>,
    },
    /// A lane has taken runs, or not.
    HandedOver {
        lane: String,
        answers: Vec<(RunId, Result<Option<String>, NotStarted>)>,
    },
    /// A run that was handed over stands elsewhere than before.
    Moved {
        id: RunId,
        standing: Standing,
        engine_id: Option<String>,
    },
    Many {
        change: Change,
        ids: Vec<RunId>,
        reply: oneshot::Sender<Vec<Result<(), Refusal>>>,
    },
    PauseQueue {
        paused: bool,
        reply: oneshot::Sender<anyhow::Result<()>>,
    },
    Ended {
        id: RunId,
        ending: Ending,
        summary: Box<RunSummary>,
    },
    /// A program writes to a run directory, or has, until `ended`.
    External {
        id: RunId,
        ended: CancellationToken,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// A change that can be made to one run or to many at once.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Takes runs out of the queue for good, or asks their workers to save and stop.
    Cancel,
    /// Takes runs out of the queue for a while, or asks their workers to save and stop.
    Pause,
    /// Puts paused, canceled or failed runs back into the queue, at their old positions.
    Resume,
    /// Moves runs to the trash.
    Trash,
    /// Takes runs out of the trash.
    Restore,
    /// Deletes runs for good, whether they are in the trash or not.
    Delete,
}

struct Actor {
    db: Db,
    states: States,
    dirs: RunDirs,
    lanes: Lanes,
    /// Time that a worker may take to save before it is ended by other means.
    stop_grace: Duration,
    rules: Rules,
    /// What the worker of this machine can do, on which its lanes depend.
    probe: watch::Receiver<WorkerStatus>,
    inbox: mpsc::Receiver<Message>,
    /// For tasks that wait for workers.
    outbox: mpsc::Sender<Message>,
    /// Runs that were handed over to a lane, where they run or wait.
    running: HashMap<RunId, Running>,
    /// Whether nothing starts, because a person wants it so.
    paused: bool,
    /// Queued runs that this version cannot read; they wait for one that can.
    passed_over: HashSet<RunId>,
    /// Set while the server stops its workers: is told when the last one has ended.
    stopping: Option<oneshot::Sender<()>>,
}

struct Running {
    lane: String,
    kind: LaneKind,
    sweep: Option<String>,
    epochs: u32,
    deaths: Option<Deaths>,
    job: Job,
    /// The database has not taken what is known of the job.
    unwritten: bool,
    stop: CancellationToken,
    stop_reason: Option<StopReason>,
    /// Waits for the worker, without which it goes on all the same. `None` while it is being handed over.
    follower: Option<AbortHandle>,
}

impl Scheduler {
    /// Starts the task, which first finds the runs that an earlier server left running.
    pub fn start(
        pool: SqlitePool,
        pending: PendingWrites,
        dirs: RunDirs,
        lanes: Lanes,
        stop_grace: Duration,
        rules: Rules,
        probe: watch::Receiver<WorkerStatus>,
    ) -> Self {
        let (messages, inbox) = mpsc::channel(INBOX);
        let (db, states) = (Db::new(pool.clone(), pending.clone()), States::new(pool, pending));
        tokio::spawn(external::watch(dirs.clone(), messages.clone()));
        let actor = Actor {
            db,
            states,
            dirs,
            lanes,
            stop_grace,
            rules,
            probe,
            inbox,
            outbox: messages.clone(),
            running: HashMap::new(),
            paused: false,
            passed_over: HashSet::new(),
            stopping: None,
        };
        tokio::spawn(actor.run());
        Scheduler { messages }
    }

    /// Queues runs, all of them or none; returns their names in the order of `runs`.
    pub async fn submit(&self, runs: Vec<NewRun>) -> anyhow::Result<Vec<RunId>> {
        self.ask(|reply| Message::Submit { runs, reply }).await?
    }

    /// Sets whether the queue starts no runs. Those that run go on.
    pub async fn pause_queue(&self, paused: bool) -> anyhow::Result<()> {
        self.ask(|reply| Message::PauseQueue { paused, reply }).await?
    }

    /// Moves a queued run among the runs that wait for its lane.
    pub async fn move_to(&self, id: RunId, to: QueuePlace) -> Result<(), Refusal> {
        self.ask(|reply| Message::Move { id, to, reply }).await?
    }

    /// Sends a queued run to another lane.
    pub async fn send_to(&self, id: RunId, lane: String) -> Result<(), Refusal> {
        self.ask(|reply| Message::Send { id, lane, reply }).await?
    }

    /// Sets how many runs of a sweep may run at once; `None` for as many as its lane takes.
    pub async fn limit_sweep(&self, sweep: SweepId, at_once: Option<u32>) -> anyhow::Result<()> {
        self.ask(|reply| Message::LimitSweep { sweep, at_once, reply }).await?
    }

    /// Looks whether a run can start, because lanes have changed.
    pub async fn look(&self) -> anyhow::Result<()> {
        self.ask(|reply| Message::Many { change: Change::Resume, ids: Vec::new(), reply }).await.map(drop)
    }

    /// Makes a change to one run.
    pub async fn change(&self, change: Change, id: RunId) -> Result<(), Refusal> {
        let outcome = self.change_all(change, vec![id]).await?.pop();
        outcome.unwrap_or(Err(Refusal::NotFound))
    }

    /// Makes a change to each run, in order. No run starts before all are changed.
    pub async fn change_all(&self, change: Change, ids: Vec<RunId>) -> anyhow::Result<Vec<Result<(), Refusal>>> {
        self.ask(|reply| Message::Many { change, ids, reply }).await
    }

    /// Starts no further runs and leaves the workers running; or, as the rules may say, asks them to save and
    /// stop, and waits until they have ended.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.ask(|reply| Message::Stop { reply }).await
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> anyhow::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).await.ok().context("the scheduler has ended")?;
        answer.await.context("the scheduler has ended")
    }
}

impl Actor {
    async fn run(mut self) {
        if let Err(error) = self.recover().await {
            tracing::error!("the runs of the last server could not all be recovered: {error:#}");
        }
        let mut stuck = None;
        loop {
            let why = self.start_next().await.err().map(|error| format!("{error:#}"));
            // Log it once, not with every try.
            if let Some(why) = why.as_ref().filter(|_| why != stuck) {
                tracing::error!("the queue is stuck: {why}");
            }
            stuck = why;
            let retry = stuck.is_some() || self.db.trouble().is_some() || self.lanes.any_refuses();
            let probe_changes = !matches!(*self.probe.borrow(), WorkerStatus::Ready(_));
            tokio::select! {
                message = self.inbox.recv() => {
                    let Some(message) = message else { return };
                    self.handle(message).await;
                    // Thousands of runs may move or end at once: look for the next only after all of them.
                    while let Ok(message) = self.inbox.try_recv() {
                        self.handle(message).await;
                    }
                }
                changed = self.probe.changed(), if probe_changes => if changed.is_err() { return },
                () = sleep(RETRY), if retry => self.try_again().await,
            }
        }
    }

    async fn handle(&mut self, message: Message) {
        // The sender may be gone; its message is carried out all the same.
        match message {
            Message::Submit { runs, reply } => _ = reply.send(self.submit(&runs).await),
            Message::PauseQueue { paused, reply } => _ = reply.send(self.pause_queue(paused).await),
            Message::Move { id, to, reply } => _ = reply.send(self.move_to(&id, to).instrument(info_span!("run", %id)).await),
            Message::Many { change, ids, reply } => {
                let mut outcomes = Vec::with_capacity(ids.len());
                for id in &ids {
                    let span = info_span!("run", %id);
                    outcomes.push(match change {
                        Change::Cancel => self.cancel(id).instrument(span).await,
                        Change::Pause => self.pause(id).instrument(span).await,
                        Change::Resume => self.resume(id).instrument(span).await,
                        Change::Trash => self.trash(id).instrument(span).await,
                        Change::Restore => self.restore(id).instrument(span).await,
                        Change::Delete => self.delete(id).instrument(span).await,
                    });
                }
                _ = reply.send(outcomes);
            }
            Message::Send { id, lane, reply } => _ = reply.send(self.send_to(&id, lane).instrument(info_span!("run", %id)).await),
            Message::LimitSweep { sweep, at_once, reply } => _ = reply.send(self.limit_sweep(&sweep, at_once).await),
            Message::HandedOver { lane, answers } => self.handed_over(&lane, answers).await,
            Message::Moved { id, standing, engine_id } => self.moved(&id, standing, engine_id).instrument(info_span!("run", %id)).await,
            Message::Ended { id, ending, summary } => self.settle(&id, ending, *summary).instrument(info_span!("run", %id)).await,
            Message::External { id, ended } => self.show_external(&id, ended).instrument(info_span!("run", %id)).await,
            Message::Stop { reply } => {
                self.stopping = Some(reply);
                self.leave_running();
                let unasked = self.running.iter().filter(|(_, running)| running.follower.is_some() && running.stop_reason.is_none());
                for id in unasked.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
                    self.ask_to_stop(&id, StopReason::Requeue);
                }
            }
        }
        if self.running.is_empty()
            && let Some(reply) = self.stopping.take()
        {
            self.inbox.close();
            reply.send(()).ok();
        }
    }

    async fn submit(&mut self, runs: &[NewRun]) -> anyhow::Result<Vec<RunId>> {
        let mut ids = Vec::with_capacity(runs.len());
        let queued = match self.make_dirs(runs, &mut ids) {
            Ok(()) => self.states.insert_queued(&ids, runs).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = queued {
            for id in &ids {
                self.discard(id).instrument(info_span!("run", %id)).await;
            }
            return Err(error);
        }
        for (id, run) in ids.iter().zip(runs) {
            info_span!("run", %id).in_scope(|| tracing::info!("{id} is queued for {}", run.device));
        }
        Ok(ids)
    }

    /// Makes the directories of new runs. Adds each to `ids`, also if a later one fails.
    fn make_dirs(&self, runs: &[NewRun], ids: &mut Vec<RunId>) -> anyhow::Result<()> {
        for NewRun { config, device: _, upload } in runs {
            let mut digits = 4;
            let dir = loop {
                let id = new_run(config, digits);
                match self.dirs.make(&id, config) {
                    Ok(dir) => {
                        ids.push(id);
                        break dir;
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists && digits < 16 => digits += 1,
                    Err(error) => return Err(error).context("cannot make the directory of the run"),
                }
            };
            if let Some(upload) = upload {
                dir.take_upload(upload).context("cannot move the uploaded file into the run")?;
            }
        }
        Ok(())
    }

    async fn cancel(&mut self, id: &RunId) -> Result<(), Refusal> {
        match self.state(id).await? {
            RunState::Queued | RunState::Running if self.running.contains_key(id) => self.stop_running(id, StopReason::Cancel).await,
            RunState::Queued | RunState::Paused => {
                self.states.set_finished(id, RunState::Canceled, None, None).await;
                tracing::info!("{id} is canceled");
            }
            // Its end is about to be recorded.
            RunState::Running => self.stop_running(id, StopReason::Cancel).await,
            state => return Err(Refusal::Finished(state)),
        }
        Ok(())
    }

    async fn pause(&mut self, id: &RunId) -> Result<(), Refusal> {
        if self.is_external(id) {
            return Err(Refusal::External);
        }
        match self.state(id).await? {
            RunState::Queued if !self.running.contains_key(id) => {
                self.states.set_finished(id, RunState::Paused, None, None).await;
                tracing::info!("{id} is paused");
            }
            // One that is being canceled is not wanted any more.
            RunState::Queued | RunState::Running if self.running.get(id).is_some_and(|run| run.stop_reason == Some(StopReason::Cancel)) => {
                return Err(Refusal::Canceling);
            }
            RunState::Queued | RunState::Running => self.stop_running(id, StopReason::Pause).await,
            RunState::Paused => {}
            state => return Err(Refusal::Finished(state)),
        }
        Ok(())
    }

    async fn stop_running(&mut self, id: &RunId, reason: StopReason) {
        // Stop the worker first, even if that cannot be written.
        self.ask_to_stop(id, reason);
        self.states.set_stopping(id, reason).await;
        tracing::info!("{id} is asked to stop ({})", reason.id());
    }

    /// Asks the worker of a run to save and end.
    fn ask_to_stop(&mut self, id: &RunId, reason: StopReason) {
        if let Err(error) = self.dirs.of(id).write_stop_file(reason) {
            tracing::warn!("the worker of {id} cannot be told why it has to stop: {error}");
        }
        if let Some(running) = self.running.get_mut(id) {
            running.stop_reason = Some(reason);
            running.stop.cancel();
        }
    }

    /// Stops to wait for the workers that are not to be stopped. They go on, and the next server finds them.
    fn leave_running(&mut self) {
        let stop_runs = self.rules.stop_runs;
        let left = self.running.extract_if(|_, running| running.follower.is_some() && !(stop_runs && running.kind == LaneKind::Local));
        for (id, running) in left {
            if let Some(follower) = running.follower {
                follower.abort();
            }
            info_span!("run", %id).in_scope(|| tracing::info!("{id} goes on without the server"));
        }
    }

    async fn pause_queue(&mut self, paused: bool) -> anyhow::Result<()> {
        self.states.set_queue_paused(paused).await.context("cannot pause the queue or let it go on")?;
        self.paused = paused;
        tracing::info!("{}", if paused { "the queue is paused" } else { "the queue goes on" });
        Ok(())
    }

    async fn resume(&mut self, id: &RunId) -> Result<(), Refusal> {
        if self.is_external(id) {
            return Err(Refusal::External);
        }
        match self.state(id).await? {
            state if state.is_resumable() => self.states.set_queued(id).await.context("cannot resume")?,
            state => return Err(Refusal::NotResumable(state)),
        }
        tracing::info!("{id} is queued again");
        Ok(())
    }

    fn is_external(&self, id: &RunId) -> bool {
        self.dirs.of(id).config().is_ok_and(|config| !config.kind().is_submitted())
    }

    async fn move_to(&mut self, id: &RunId, to: QueuePlace) -> Result<(), Refusal> {
        match self.state(id).await? {
            RunState::Queued => {}
            state => return Err(Refusal::NotQueued(state)),
        }
        let waiting = self.states.active(RunState::Queued).await.context("cannot move")?;
        let device = waiting.into_iter().find(|run| run.id == *id).map(|run| run.device).ok_or(Refusal::NotFound)?;
        let places = self.states.places(&device).await.context("cannot move")?;
        self.states.set_places(&moved(&places, id.as_str(), to)).await.context("cannot move")?;
        tracing::info!("{id} is moved in the queue of {device}");
        Ok(())
    }

    /// Moves a run that is not running to the trash. Its directory stays where it is, and a queued run waits
    /// until it is restored. Deletes a run for good that this version cannot read.
    async fn trash(&mut self, id: &RunId) -> Result<(), Refusal> {
        if self.state(id).await? == RunState::Running || self.running.contains_key(id) {
            return Err(Refusal::Running);
        }
        // The trash could not show it.
        if self.db.unreadable(id).await.context("cannot look up the run")?.is_some() {
            return self.delete(id).await;
        }
        self.states.set_trashed(id).await.context("cannot move to the trash")?;
        tracing::info!("{id} is in the trash");
        Ok(())
    }

    async fn restore(&mut self, id: &RunId) -> Result<(), Refusal> {
        match self.state(id).await {
            Err(Refusal::InTrash) => self.states.set_restored(id).await.context("cannot restore")?,
            Ok(_) => return Err(Refusal::NotInTrash),
            Err(refusal) => return Err(refusal),
        }
        tracing::info!("{id} is restored from the trash");
        Ok(())
    }

    /// Deletes a run that is not running, with its directory and the share links that show it.
    async fn delete(&mut self, id: &RunId) -> Result<(), Refusal> {
        match self.state(id).await {
            Ok(RunState::Running) => return Err(Refusal::Running),
            Ok(_) if self.running.contains_key(id) => return Err(Refusal::Running),
            Ok(_) | Err(Refusal::InTrash) => {}
            Err(refusal) => return Err(refusal),
        }
        // Hide it first: the next start would take in a directory without a row as a new run, but deletes a
        // hidden one.
        let hidden = self.dirs.hide(id).context("cannot remove the directory of the run")?;
        match self.states.delete_run(id).await {
            Ok(()) => self.dirs.remove_hidden(id).await,
            Err(error) if hidden && Shortage::of(&error) == Some(Shortage::DiskFull) => {
                // Deleting the row needs a little space, which removing the files frees.
                tracing::warn!("the files of {id} are removed first, to make room: {error}");
                if let Err(error) = self.dirs.empty_hidden(id) {
                    tracing::warn!("the files of {id} cannot all be removed: {error}");
                }
                self.delete_hidden(id).await;
            }
            Err(error) => {
                self.dirs.unhide(id).context("cannot bring back the directory of the run")?;
                return Err(Refusal::Internal(anyhow::Error::new(error).context("cannot delete")));
            }
        }
        tracing::info!("{id} is deleted");
        Ok(())
    }

    /// Deletes a run whose directory is hidden. The directory marks the run, so it stays until the database
    /// has deleted the row.
    async fn delete_hidden(&self, id: &RunId) {
        if self.states.set_deleted(id).await {
            self.dirs.remove_hidden(id).await;
        }
    }

    /// Repeats writes that have failed.
    async fn try_again(&mut self) {
        // Hidden directories mark runs that are not deleted completely.
        for id in self.dirs.hidden().unwrap_or_default() {
            self.delete_hidden(&id).instrument(info_span!("run", %id)).await;
        }
        self.states.write_pending().await;
        self.write_jobs().await;
    }

    /// Removes the directory of a run that was not queued.
    async fn discard(&self, id: &RunId) {
        match self.dirs.hide(id) {
            Ok(_) => self.dirs.remove_hidden(id).await,
            Err(error) => tracing::warn!("the directory {id} cannot be removed: {error}"),
        }
    }

    async fn state(&self, id: &RunId) -> Result<RunState, Refusal> {
        match self.db.status(id).await.context("cannot look up the run")? {
            Some(status) => Ok(status.state),
            None if self.db.is_in_trash(id).await.context("cannot look up the run")? => Err(Refusal::InTrash),
            None => Err(Refusal::NotFound),
        }
    }

    /// Records how a run ended, or queues it again.
    async fn settle(&mut self, id: &RunId, ending: Ending, summary: RunSummary) {
        let dir = self.dirs.of(id);
        let running = self.running.remove(id);
        let asked = running.as_ref().and_then(|running| running.stop_reason);
        let interrupted = running.as_ref().is_some_and(|running| was_interrupted(running, &ending));
        // Not only the server may have asked.
        let in_file = dir.stop_reason().unwrap_or_else(|error| {
            tracing::warn!("it cannot be read why the worker of {id} was asked to stop: {error}");
            None
        });
        let log = dir.log_tail(50).await.unwrap_or_else(|error| {
            tracing::warn!("the log of {id} cannot be read: {error}");
            String::new()
        });
        let before = self.states.deaths(id).await.unwrap_or_else(|error| {
            tracing::warn!("it cannot be read how often the worker of {id} has died: {error}");
            None
        });
        if let (Ok(End::Exited(status)), Some(running)) = (&ending.end, &running)
            && status.code() == Some(EXIT_NOT_LOADED.into())
        {
            // Every other run would end so too.
            self.lanes.note_not_loaded(&running.lane, &sentence(*status, &last_words(&log)));
        }
        let (state, reason) = match verdict(ending, in_file.or(asked), &last_words(&log)) {
            // Its own words would be about the first file that it missed.
            Verdict::Over(RunState::Failed | RunState::Succeeded, _) | Verdict::Died(_) if !dir.path().exists() => {
                let path = dir.path().display();
                let gone = format!("its directory `{path}` went away while it ran; bring it back and resume the run, or delete the run");
                (RunState::Failed, Some(gone))
            }
            Verdict::Over(state, reason) => (state, reason),
            Verdict::GoesOn => match running.map(|running| self.after_saving(running, interrupted)) {
                Some(Err(reason)) => (RunState::Failed, Some(reason)),
                job => {
                    tracing::info!("{id} has been saved and is queued again");
                    let deaths = before.map(|deaths| Deaths { why: None, ..deaths });
                    return self.states.set_again(id, deaths, Some(summary), job.and_then(Result::ok)).await;
                }
            },
            Verdict::Died(how) => match after_death(&how, before, dir.kept()) {
                Ok(deaths) => {
                    tracing::warn!("{id} is queued again: {how}");
                    return self.states.set_again(id, Some(deaths), Some(summary), running.map(|running| running.job)).await;
                }
                Err(reason) => (RunState::Failed, Some(reason)),
            },
        };
        // With a full disk, a worker cannot write the reason into its log.
        let reason = reason.map(|reason| match lack_of_room(self.dirs.root()).filter(|_| state == RunState::Failed) {
            Some(lack) => format!("{lack} ({reason})"),
            None => reason,
        });
        match &reason {
            Some(reason) => tracing::info!("{id} ended, {}: {reason}", state.id()),
            None => tracing::info!("{id} ended, {}", state.id()),
        }
        let disk_bytes = used(dir.path()).ok().map(|used| used.total_bytes());
        self.states.set_finished(id, state, reason, Some(RunSummary { disk_bytes, ..summary })).await;
    }

    /// Handles what the last server left: finds the workers that it has started, takes in unknown run
    /// directories.
    async fn recover(&mut self) -> anyhow::Result<()> {
        self.paused = self.db.queue_is_paused().await?;
        for id in self.dirs.hidden().context("cannot list the run directories")? {
            self.delete_hidden(&id).instrument(info_span!("run", %id)).await;
        }
        for run in self.states.active(RunState::Queued).await? {
            if run.is_handed_over() {
                info_span!("run", id = %run.id).in_scope(|| self.find_again(run));
            }
        }
        for run in self.states.active(RunState::Running).await? {
            if run.is_submitted() {
                info_span!("run", id = %run.id).in_scope(|| self.find_again(run));
            } else if !self.dirs.of(&run.id).path().exists() {
                // `external` follows those that are there.
                self.states.set_finished(&run.id, RunState::Failed, Some("its directory is gone".to_owned()), None).await;
            }
        }
        run_labels::keep_all(&self.db, &self.dirs).await?;
        for id in self.dirs.existing().context("cannot list the run directories")? {
            if self.db.stored_status(&id).await?.is_none()
                && let Err(error) = self.take_in(&id).instrument(info_span!("run", %id)).await
            {
                info_span!("run", %id).in_scope(|| tracing::warn!("the directory {id} is not taken in: {error:#}"));
            }
        }
        Ok(())
    }

    /// Adds a run directory that was copied here to the database.
    async fn take_in(&self, id: &RunId) -> anyhow::Result<()> {
        let dir = self.dirs.of(id);
        let config = read_config(&dir)?;
        if !config.kind().is_submitted() {
            // `external` shows it.
            return Ok(());
        }
        let time = std::fs::metadata(dir.metrics_file()).and_then(|metadata| metadata.modified()).context("it has no records")?;
        let metrics = dir.metrics().await?;
        let failure = metrics.finished.is_none().then_some("its records end before the run did");
        let labels = run_labels::kept(&dir).unwrap_or_else(|| Labels { title: config.title(), tags: Vec::new(), notes: String::new() });
        let disk_bytes = used(dir.path()).ok().map(|used| used.total_bytes());
        let summary = RunSummary { disk_bytes, ..RunSummary::of(&metrics, config.epochs()) };
        self.states.insert_finished(id, &config, &labels, &summary, Timestamp::try_from(time)?, failure).await?;
        tracing::info!("{id} is taken in from its directory");
        Ok(())
    }
}

/// Whether a run whose worker has saved had to make room for others, and not reached the end of its time.
fn was_interrupted(running: &Running, ending: &Ending) -> bool {
    let time_was_up = match &running.job.standing {
        JobStanding::Running { ends_at: Some(ends_at), .. } => {
            // Slurm may signal up to a minute late, and clocks differ.
            let soon = Timestamp::now() + SAVE_AHEAD + Duration::from_secs(60);
            ends_at.parse::<Timestamp>().is_ok_and(|end| end <= soon)
        }
        // It was so short that its end is not known.
        _ => running.kind.has_time_limits(),
    };
    match ending.fate {
        Some(Fate::Preempted) => true,
        Some(Fate::TimeLimit) => false,
        _ => !time_was_up,
    }
}

/// The deaths of a worker after one more, or why its run is not tried again. `how`: a sentence about this
/// death. `kept`: what the run has kept.
fn after_death(how: &str, before: Option<Deaths>, kept: String) -> Result<Deaths, String> {
    match before {
        Some(before) if before.kept == kept => Err(format!("{how}; it has died before without getting any further")),
        Some(before) if before.count >= TRIES => Err(format!("{how}; it was tried again {TRIES} times")),
        before => {
            let count = before.map_or(0, |before| before.count) + 1;
            let mut letters = how.chars();
            let sentence = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default();
            Ok(Deaths { count, kept, why: Some(format!("{sentence}. The run was tried again ({count} of {TRIES}).")) })
        }
    }
}

/// The runs of a queue whose places change when one is moved, with their new places. The set of places stays
/// the same.
fn moved(places: &[(String, i64)], id: &str, to: QueuePlace) -> Vec<(String, i64)> {
    let Some(from) = places.iter().position(|(known, _)| known == id) else { return Vec::new() };
    let target = match to {
        QueuePlace::Up => from.saturating_sub(1),
        QueuePlace::Down => (from + 1).min(places.len() - 1),
        QueuePlace::Front => 0,
    };
    let mut order: Vec<&String> = places.iter().map(|(known, _)| known).collect();
    let run = order.remove(from);
    order.insert(target, run);
    let exchanged = order.into_iter().zip(places).filter(|(now, (before, _))| *now != before);
    exchanged.map(|(run, (_, place))| (run.clone(), *place)).collect()
}

fn read_config(dir: &RunDir) -> anyhow::Result<RunConfig> {
    let config = dir.config().context("its configuration cannot be read")?;
    match config.validate().first() {
        None => Ok(config),
        Some(error) => anyhow::bail!("its configuration is not valid: {} {}", error.field, error.message),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use shared::api::Probe;
    use shared::preset;
    use sqlx::AssertSqlSafe;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_move_exchanges_places_and_stays_inside_the_queue() {
        let queue = [("a", 3), ("b", 5), ("c", 9)].map(|(id, place)| (id.to_owned(), place));
        let check = |id: &str, to, expected: &[(&str, i64)]| {
            let found = moved(&queue, id, to);
            assert_eq!(found.iter().map(|(id, place)| (id.as_str(), *place)).collect::<Vec<_>>(), expected, "{id} {to:?}");
        };
        check("c", QueuePlace::Front, &[("c", 3), ("a", 5), ("b", 9)]);
        check("c", QueuePlace::Up, &[("c", 5), ("b", 9)]);
        check("a", QueuePlace::Down, &[("b", 3), ("a", 5)]);
        check("a", QueuePlace::Up, &[]);
        check("a", QueuePlace::Front, &[]);
        check("c", QueuePlace::Down, &[]);
        check("unknown", QueuePlace::Front, &[]);
    }

    #[test]
    fn a_worker_that_died_is_tried_again_three_times_unless_it_gets_no_further() {
        let mut deaths = None;
        for (count, kept) in [(1, ""), (2, "step 250"), (3, "step 500")] {
            let found = after_death("the worker was killed", deaths, kept.to_owned()).unwrap();
            assert_eq!((found.count, found.kept.as_str()), (count, kept));
            let why = format!("The worker was killed. The run was tried again ({count} of 3).");
            assert_eq!(found.why.as_deref(), Some(why.as_str()));
            let same = after_death("the worker was killed", Some(found.clone()), kept.to_owned()).unwrap_err();
            assert!(same.contains("without getting any further"), "{same}");
            deaths = Some(found);
        }
        let reason = after_death("the worker was killed", deaths, "step 750".to_owned()).unwrap_err();
        assert!(reason.contains("tried again 3 times"), "{reason}");
    }

    /// A scheduler whose worker records one epoch, waits for a file `go` or the end of its input, and
    /// succeeds.
    struct Planned {
        folder: TempDir,
        pool: SqlitePool,
        db: Db,
        scheduler: Scheduler,
    }

    const WORKER: &str = r#"#!/bin/sh
echo '{"type":"epoch","epoch":1,"learning_rate":0.1,"seconds":1.0,"elapsed_secs":1.0}' > "$1/metrics.jsonl"
while [ ! -f "$1/go" ]; do [ -d "$1" ] || exit 1; sleep 0.02; done
"#;

    impl Planned {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("worker.sh");
            std::fs::write(&program, WORKER).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let device =
                shared::api::Device { id: "cpu".into(), name: "CPU".into(), memory_bytes: None, multiply_adds_per_sec: None, bf16: false };
            let (status, probe) =
                watch::channel(WorkerStatus::Ready(Probe { engine: "1".into(), libtorch: "2".into(), devices: vec![device] }));
            let pool = crate::db::open(&folder.path().join("crosslens.db")).await.unwrap();
            let (pending, dirs) = (PendingWrites::default(), RunDirs::create(folder.path().join("runs")).unwrap());
            let lanes = Lanes::open(None, crate::worker::Worker { program, allow_programs: false }, AtOnce::default(), status).unwrap();
            let db = Db::new(pool.clone(), pending.clone());
            let scheduler = Scheduler::start(pool.clone(), pending, dirs, lanes, Duration::from_secs(5), Rules::default(), probe);
            Planned { folder, pool, db, scheduler }
        }

        async fn submit(&self) -> RunId {
            let run = NewRun { config: preset::demo().config, device: "cpu".into(), upload: None };
            self.scheduler.submit(vec![run]).await.unwrap().remove(0)
        }

        /// Makes the database refuse changes of runs that meet a condition.
        async fn refuse(&self, condition: &str) {
            let trigger =
                format!("CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN {condition} BEGIN SELECT RAISE(ABORT, 'planned failure'); END");
            sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&self.pool).await.unwrap();
        }

        async fn take(&self) {
            sqlx::raw_sql("DROP TRIGGER refuse").execute(&self.pool).await.unwrap();
        }

        fn file(&self, id: &RunId, name: &str) -> PathBuf {
            self.folder.path().join("runs").join(id.as_str()).join(name)
        }

        fn let_finish(&self, id: &RunId) {
            std::fs::write(self.file(id, "go"), "").unwrap();
        }

        /// State and end of a run as written in the database.
        async fn stored(&self, id: &RunId) -> (String, Option<String>) {
            sqlx::query_as("SELECT state, finished_at FROM runs WHERE id = ?").bind(id.as_str()).fetch_one(&self.pool).await.unwrap()
        }

        async fn until<T>(&self, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
            let start = Instant::now();
            loop {
                if let Some(found) = condition().await {
                    return found;
                }
                assert!(start.elapsed() < Duration::from_secs(20), "trouble: {:?}", self.db.trouble());
                sleep(Duration::from_millis(10)).await;
            }
        }

        /// Waits until readers see a run in a state.
        async fn until_told(&self, id: &RunId, state: RunState) -> shared::api::Run {
            self.until(async || self.db.run(id).await.unwrap().filter(|run| run.state == state)).await
        }

        async fn until_stored(&self, id: &RunId, state: RunState) {
            self.until(async || (self.stored(id).await.0 == state.id()).then_some(())).await;
        }
    }

    #[tokio::test]
    async fn an_end_that_the_database_refuses_is_told_at_once_and_written_later() {
        let planned = Planned::start().await;
        let id = planned.submit().await;
        planned.until_stored(&id, RunState::Running).await;
        planned.refuse("new.state = 'succeeded'").await;
        planned.let_finish(&id);
        let told = planned.until_told(&id, RunState::Succeeded).await;
        assert_eq!(planned.stored(&id).await, ("running".to_owned(), None));
        let trouble = planned.until(async || planned.db.trouble()).await;
        assert!(trouble.contains("planned failure"), "{trouble}");
        planned.take().await;
        planned.until_stored(&id, RunState::Succeeded).await;
        assert_eq!(planned.stored(&id).await.1, told.finished_at, "it ended when it was told to have ended");
        planned.until(async || planned.db.trouble().is_none().then_some(())).await;
    }

    #[tokio::test]
    async fn a_run_whose_start_the_database_refuses_waits_and_starts_later() {
        let planned = Planned::start().await;
        planned.refuse("new.state = 'running'").await;
        let id = planned.submit().await;
        planned.until(async || planned.db.trouble()).await;
        assert_eq!(planned.db.status(&id).await.unwrap().map(|status| status.state), Some(RunState::Queued));
        assert!(!planned.file(&id, "log.txt").exists(), "no worker was started");
        planned.take().await;
        planned.let_finish(&id);
        planned.until_stored(&id, RunState::Succeeded).await;
    }

    #[tokio::test]
    async fn numbers_that_the_database_refuses_come_with_the_end() {
        let planned = Planned::start().await;
        planned.refuse("new.summary <> old.summary AND new.state = 'running'").await;
        let id = planned.submit().await;
        planned.until(async || planned.db.trouble()).await;
        planned.let_finish(&id);
        planned.until_stored(&id, RunState::Succeeded).await;
        assert_eq!(planned.until_told(&id, RunState::Succeeded).await.summary.epoch, 1);
    }

    #[tokio::test]
    async fn a_run_goes_on_where_the_database_refuses_its_cancel() {
        let planned = Planned::start().await;
        planned.refuse("new.stopping IS NOT NULL").await;
        let id = planned.submit().await;
        planned.until_told(&id, RunState::Running).await;
        planned.scheduler.change(Change::Cancel, id.clone()).await.unwrap();
        assert!(planned.until_told(&id, RunState::Running).await.stopping.is_some(), "it is told at once");
        planned.let_finish(&id);
        planned.until_stored(&id, RunState::Succeeded).await;
        assert_eq!(planned.until_told(&id, RunState::Succeeded).await.stopping, None);
    }
}
