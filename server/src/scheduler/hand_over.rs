//! Hands runs over to lanes and hears of them.

use std::collections::HashMap;

use anyhow::Context;
use shared::api::{Job, JobStanding, LaneKind, RunState, RunSummary};
use shared::id::{RunId, SweepId};
use shared::rundir::StopReason;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::follow_metrics::follow_metrics;
use super::states::ActiveRun;
use super::verdict::Ending;
use super::{Actor, Message, Refusal, Running};
use crate::id::new_batch;
use crate::launch::{self, Choice, Event, Following, Lane, NotStarted, Standing};

/// Runs that go to one lane together: those of one sweep.
struct Batch {
    lane: Lane,
    sweep: Option<String>,
    runs: Vec<ActiveRun>,
}

/// How many runs are where.
#[derive(Default)]
struct Counts {
    in_lane: HashMap<String, u32>,
    /// Runs of each sweep that were handed over, and those that run.
    of_sweep: HashMap<String, (u32, u32)>,
}

impl Counts {
    fn add(&mut self, lane: &str, sweep: Option<&str>, runs: bool) {
        *self.in_lane.entry(lane.to_owned()).or_default() += 1;
        if let Some(sweep) = sweep {
            let (handed_over, running) = self.of_sweep.entry(sweep.to_owned()).or_default();
            *handed_over += 1;
            *running += u32::from(runs);
        }
    }

    /// Whether a lane has room for a run. `limit`: how many runs of its sweep may run at once.
    fn have_room(&self, lane: &Lane, run: &ActiveRun, limit: Option<u32>) -> bool {
        let in_lane = self.in_lane.get(&lane.name).copied().unwrap_or_default();
        if lane.at_once.is_some_and(|most| in_lane >= most) {
            return false;
        }
        let (handed_over, running) = run.sweep.as_ref().and_then(|sweep| self.of_sweep.get(sweep)).copied().unwrap_or_default();
        // Arrays have a throttle of their own, but a run that goes on is alone.
        let counted = match (lane.engine.kind().has_arrays(), &run.job) {
            (true, None) => return true,
            (true, Some(_)) => running,
            (false, _) => handed_over,
        };
        limit.is_none_or(|limit| counted < limit)
    }
}

impl Actor {
    /// Hands over every queued run for which its lane has room.
    pub(super) async fn start_next(&mut self) -> anyhow::Result<()> {
        if self.paused || self.stopping.is_some() || self.inbox.is_closed() {
            return Ok(());
        }
        let limits = self.states.sweep_limits().await?;
        let mut counts = Counts::default();
        for running in self.running.values() {
            let runs = matches!(running.job.standing, JobStanding::Running { .. });
            counts.add(&running.lane, running.sweep.as_deref(), runs);
        }
        let mut batches: Vec<Batch> = Vec::new();
        for run in self.states.waiting().await? {
            if self.running.contains_key(&run.id) {
                continue;
            }
            let limit = run.sweep.as_ref().and_then(|sweep| limits.get(sweep)).copied();
            let (lane, has_room) = match self.lanes.choose(&run.wanted, |lane| counts.have_room(lane, &run, limit)) {
                Choice::Free(lane) => (lane, true),
                Choice::Wait(lane) => (lane, false),
                Choice::NoDevice(failure) => {
                    self.states.set_finished(&run.id, RunState::Failed, Some(failure), None).await;
                    continue;
                }
                Choice::Unknown => continue,
            };
            if lane.name != run.device {
                self.states.set_device(&run.id, &lane.name).await?;
            }
            if !has_room {
                continue;
            }
            if let Some(why) = self.db.unreadable(&run.id).await? {
                if self.passed_over.insert(run.id.clone()) {
                    tracing::warn!("{} is passed over in the queue: {why}", run.id);
                }
                continue;
            }
            counts.add(&lane.name, run.sweep.as_deref(), !lane.engine.kind().queues());
            match batches.iter_mut().find(|batch| batch.lane.name == lane.name && batch.sweep == run.sweep) {
                Some(batch) => batch.runs.push(run),
                None => batches.push(Batch { lane, sweep: run.sweep.clone(), runs: vec![run] }),
            }
        }
        for batch in batches {
            let limit = batch.sweep.as_ref().and_then(|sweep| limits.get(sweep)).copied();
            self.hand_over(batch, limit).await?;
        }
        Ok(())
    }

    /// Hands runs over to a lane, in a task of its own: engines may take long to answer.
    async fn hand_over(&mut self, batch: Batch, limit: Option<u32>) -> anyhow::Result<()> {
        let Batch { lane, sweep, runs } = batch;
        let kind = lane.engine.kind();
        let name = new_batch();
        let standing = || if kind.queues() { JobStanding::Submitting } else { JobStanding::Running { node: None, ends_at: None } };
        let job = |(position, run): (usize, &ActiveRun)| {
            let (resubmissions, interruptions) = run.job.as_ref().map_or((0, 0), |job| (job.resubmissions, job.interruptions));
            Job { name: format!("{name}.{position}"), id: None, standing: standing(), resubmissions, interruptions }
        };
        let jobs: Vec<Job> = runs.iter().enumerate().map(job).collect();
        // Write this first: if the server is killed before the runs are handed over, the next one looks for them.
        self.states.set_jobs(&runs.iter().map(|run| &run.id).zip(&jobs).collect::<Vec<_>>()).await?;
        let mut starts = Vec::with_capacity(runs.len());
        for (run, job) in runs.iter().zip(&jobs) {
            let again = run.deaths.as_ref().and_then(|deaths| deaths.why.clone());
            starts.push(launch::Job { name: job.name.clone(), id: None, dir: self.dirs.of(&run.id), again });
        }
        let mut ids = Vec::with_capacity(runs.len());
        for (run, job) in runs.into_iter().zip(jobs) {
            let ActiveRun { id, epochs, deaths, .. } = run;
            ids.push(id.clone());
            let running = Running {
                lane: lane.name.clone(),
                kind,
                sweep: sweep.clone(),
                epochs,
                deaths,
                job,
                unwritten: false,
                stop: CancellationToken::new(),
                stop_reason: None,
                follower: None,
            };
            self.running.insert(id, running);
        }
        let at_once = [lane.throttle, limit].into_iter().flatten().min();
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let answers = lane.engine.submit(&lane.name, &starts, at_once).await;
            let answers = ids.into_iter().zip(answers).collect();
            drop(outbox.send(Message::HandedOver { lane: lane.name, answers }).await);
        });
        Ok(())
    }

    /// Follows the runs that a lane has taken; the others wait, or have failed.
    pub(super) async fn handed_over(&mut self, lane: &str, answers: Vec<(RunId, Result<Option<String>, NotStarted>)>) {
        let mut numbered = Vec::new();
        for (id, answer) in answers {
            let span = info_span!("run", %id);
            let engine_id = match answer {
                Ok(engine_id) => {
                    self.lanes.note_success(lane);
                    span.in_scope(|| tracing::info!("{id} is handed over to {lane}"));
                    engine_id
                }
                Err(why @ NotStarted::Unknown(_)) => {
                    span.in_scope(|| tracing::warn!("it is not known whether {lane} has taken {id}: {why}"));
                    None
                }
                Err(why) => {
                    self.not_started(&id, lane, why).instrument(span).await;
                    continue;
                }
            };
            if engine_id.is_some() {
                if let Some(running) = self.running.get_mut(&id) {
                    running.job.id = engine_id;
                }
                numbered.push(id.clone());
            }
            span.in_scope(|| self.follow(&id));
        }
        let jobs: Vec<_> = numbered.iter().filter_map(|id| Some((id, &self.running.get(id)?.job))).collect();
        let written = self.states.set_jobs(&jobs).await.is_ok();
        for id in &numbered {
            if let Some(running) = self.running.get_mut(id) {
                running.unwritten = !written;
            }
        }
        if self.stopping.is_some() {
            self.leave_running();
        }
    }

    async fn not_started(&mut self, id: &RunId, lane: &str, why: NotStarted) {
        let Some(Running { kind, deaths, job, stop_reason, .. }) = self.running.remove(id) else { return };
        match (&why, stop_reason) {
            (_, Some(StopReason::Cancel)) => return self.states.set_finished(id, RunState::Canceled, None, None).await,
            (_, Some(StopReason::Pause)) => return self.states.set_finished(id, RunState::Paused, None, None).await,
            (NotStarted::Run(reason), _) => {
                tracing::warn!("{id} failed: {reason}");
                return self.states.set_finished(id, RunState::Failed, Some(reason.clone()), None).await;
            }
            _ => {}
        }
        // The worker of this machine is probed until it works.
        if kind != LaneKind::Local || matches!(why, NotStarted::NoRoom(_)) {
            self.lanes.note_refusal(lane, &why);
        }
        tracing::warn!("{id} waits for {lane}: {why}");
        // It is as if it had not been handed over.
        let before = Some(job).filter(|job| job.resubmissions + job.interruptions > 0);
        self.states.set_again(id, deaths, None, before).await;
    }

    /// Follows a run that an earlier server has handed over. Its worker may have ended by now.
    pub(super) fn find_again(&mut self, run: ActiveRun) {
        let ActiveRun { id, device, epochs, stopping: asked, deaths, sweep, job, .. } = run;
        tracing::info!("{id} was running or waiting on {device} when the last server ended");
        let unknown = || Job {
            name: format!("crosslens-{id}.0"),
            id: None,
            standing: JobStanding::Running { node: None, ends_at: None },
            resubmissions: 0,
            interruptions: 0,
        };
        let running = Running {
            kind: self.lanes.engine(&device).kind(),
            lane: device,
            sweep,
            epochs,
            deaths,
            job: job.filter(|job| job.standing != JobStanding::Over).unwrap_or_else(unknown),
            unwritten: false,
            stop: CancellationToken::new(),
            stop_reason: None,
            follower: None,
        };
        self.running.insert(id.clone(), running);
        self.follow(&id);
        if let Some(reason) = asked {
            self.ask_to_stop(&id, reason);
        }
    }

    /// Tells how a run that was handed over stands, sums up its records once it has begun, and tells how its worker
    /// has ended.
    fn follow(&mut self, id: &RunId) {
        let dir = self.dirs.of(id);
        let Some(running) = self.running.get_mut(id) else { return };
        let job = launch::Job { name: running.job.name.clone(), id: running.job.id.clone(), dir: dir.clone(), again: None };
        let mut following = Following::new(self.lanes.engine(&running.lane), job, self.stop_grace);
        let (states, outbox, id) = (self.states.clone(), self.outbox.clone(), id.clone());
        let (epochs, stop, begun) = (running.epochs, running.stop.clone(), !running.kind.queues());
        let follow = async move {
            let (ended, mut begun) = (CancellationToken::new(), begun);
            let mut over = None;
            // A thousand runs may wait, whose records need no look.
            while !begun && over.is_none() {
                match following.next(&stop).await {
                    Event::Moved(standing, engine_id) => {
                        begun = matches!(standing, Standing::Running { .. });
                        tell(&outbox, &id, standing, engine_id).await;
                    }
                    Event::Ended { end, fate } => over = Some((end, fate)),
                }
            }
            let wait = async {
                while over.is_none() {
                    match following.next(&stop).await {
                        Event::Moved(standing, engine_id) => tell(&outbox, &id, standing, engine_id).await,
                        Event::Ended { end, fate } => over = Some((end, fate)),
                    }
                }
                ended.cancel();
            };
            let ((), metrics) = tokio::join!(wait, follow_metrics(&states, &dir, &id, epochs, ended.clone()));
            let Some((end, fate)) = over else { return };
            let summary = Box::new(RunSummary::of(&metrics, epochs));
            let ending = Ending { end, fate, finished: metrics.finished.is_some(), external: false };
            drop(outbox.send(Message::Ended { id, ending, summary }).await);
        };
        running.follower = Some(tokio::spawn(follow.in_current_span()).abort_handle());
    }

    /// Records that a run stands elsewhere than before.
    pub(super) async fn moved(&mut self, id: &RunId, standing: Standing, engine_id: Option<String>) {
        let Some(running) = self.running.get_mut(id) else { return };
        let standing = match standing {
            Standing::Waiting { reason, starts_at } => JobStanding::Waiting { reason, starts_at },
            Standing::Running { node, ends_at } => JobStanding::Running { node, ends_at },
            Standing::Over(_) => return,
        };
        let before = running.job.clone();
        // Its engine has started it again.
        if matches!((&before.standing, &standing), (JobStanding::Running { .. }, JobStanding::Waiting { .. })) {
            running.job.interruptions += 1;
        }
        running.job.id = engine_id.or(running.job.id.take());
        running.job.standing = standing;
        if running.job == before {
            return;
        }
        running.unwritten = self.states.set_jobs(&[(id, &running.job)]).await.is_err();
    }

    /// Writes what is known of jobs and what the database did not take.
    pub(super) async fn write_jobs(&mut self) {
        for (id, running) in self.running.iter_mut().filter(|(_, running)| running.unwritten) {
            running.unwritten = self.states.set_jobs(&[(id, &running.job)]).await.is_err();
        }
    }

    /// What is known of the job of a run that goes on after its worker has saved, or why it does not go on.
    pub(super) fn after_saving(&self, running: Running, interrupted: bool) -> Result<Job, String> {
        let Running { lane, kind, mut job, stop_reason, .. } = running;
        if stop_reason.is_some() || kind == LaneKind::Local {
            return Ok(job);
        }
        if interrupted {
            job.interruptions += 1;
            return Ok(job);
        }
        job.resubmissions += 1;
        let most = self.lanes.get(&lane).map_or(u32::MAX, |lane| lane.resubmissions);
        if job.resubmissions > most {
            let often = format!("its time on {lane} was up {} times, and it is submitted again {most} times at most", job.resubmissions);
            return Err(format!("{often}; resume it to go on, or give the lane more time"));
        }
        Ok(job)
    }

    /// Sends a queued run to another lane; takes it back from the engine in which it waits.
    pub(super) async fn send_to(&mut self, id: &RunId, lane: String) -> Result<(), Refusal> {
        match self.state(id).await? {
            RunState::Queued => {}
            state => return Err(Refusal::NotQueued(state)),
        }
        if self.lanes.get(&lane).is_none() {
            return Err(Refusal::NoLane(lane));
        }
        self.states.set_lane(id, &lane).await.context("cannot move")?;
        if self.running.get(id).is_some_and(|running| running.lane != lane) {
            self.ask_to_stop(id, StopReason::Requeue);
        }
        tracing::info!("{id} is sent to {lane}");
        Ok(())
    }

    /// Sets how many runs of a sweep may run at once, also of those that were handed over.
    pub(super) async fn limit_sweep(&mut self, sweep: &SweepId, at_once: Option<u32>) -> anyhow::Result<()> {
        self.states.set_sweep_limit(sweep, at_once).await.context("cannot limit the sweep")?;
        let mut jobs: HashMap<&str, Vec<launch::Job>> = HashMap::new();
        for (id, running) in self.running.iter().filter(|(_, running)| running.sweep.as_deref() == Some(sweep.as_str())) {
            let job = launch::Job { name: running.job.name.clone(), id: running.job.id.clone(), dir: self.dirs.of(id), again: None };
            jobs.entry(&running.lane).or_default().push(job);
        }
        for (lane, jobs) in jobs {
            let (engine, lane) = (self.lanes.engine(lane), lane.to_owned());
            tokio::spawn(async move {
                if let Err(why) = engine.set_at_once(&jobs, at_once).await {
                    tracing::warn!("{lane} does not take how many runs of a sweep may run at once: {why}");
                }
            });
        }
        Ok(())
    }
}

async fn tell(outbox: &tokio::sync::mpsc::Sender<Message>, id: &RunId, standing: Standing, engine_id: Option<String>) {
    drop(outbox.send(Message::Moved { id: id.clone(), standing, engine_id }).await);
}
