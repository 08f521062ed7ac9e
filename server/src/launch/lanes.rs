//! The lanes by their names, and which of them a run can go to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use shared::api::{self, LaneKind, Probe, WorkerStatus};
use shared::config::is_local_device;
use tokio::sync::watch;

use super::{Engine, Job, LanesFile, Launcher, Listed, Local, NotStarted, Stop};
use crate::scheduler::AtOnce;
use crate::worker::{TRIED_AGAIN, Worker};

/// Time between two looks at the jobs of this machine; their ends are heard of at once.
const LOCAL_PACE: Duration = Duration::from_millis(500);
/// Time until a lane that refused is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// The same where the disk is full.
const ROOM_AGAIN: Duration = Duration::from_secs(2);

/// Where a run can go.
#[derive(Clone, Debug)]
pub struct Lane {
    pub name: String,
    /// What it offers, for people.
    pub text: String,
    /// How many runs it takes at once; `None` if its engine decides.
    pub at_once: Option<u32>,
    /// How many runs of one sweep may run at once, where the engine sees to that.
    pub throttle: Option<u32>,
    pub has_gpu: bool,
    /// Whether `auto` may choose it.
    pub auto: bool,
    /// Products per second of its device, if they were measured.
    pub multiply_adds_per_sec: Option<f64>,
    /// How often a run is submitted again there whose time was up.
    pub resubmissions: u32,
    pub engine: Arc<Engine>,
}

/// Where a run goes now.
#[derive(Debug)]
pub enum Choice {
    /// This lane has room.
    Free(Lane),
    /// It waits for this lane.
    Wait(Lane),
    /// This machine has no such device: a sentence.
    NoDevice(String),
    /// There is no lane of this name, or nothing is known yet of the devices of this machine.
    Unknown,
}

/// All lanes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    local: Arc<Engine>,
    at_once: AtOnce,
    worker: watch::Sender<WorkerStatus>,
    own_worker: PathBuf,
    file: Option<PathBuf>,
    configured: Mutex<Configured>,
    /// Follows jobs whose lane is no longer in the file.
    nowhere: Arc<Engine>,
}

#[derive(Debug, Default)]
struct Configured {
    /// Whether the devices of this machine are lanes too.
    local: bool,
    lanes: Vec<Lane>,
    /// Lanes that have refused a run: why, and when they are tried again.
    refusals: Vec<(String, String, Instant)>,
}

impl Lanes {
    /// `file` describes the lanes beyond this machine. `worker`: the program of this machine.
    pub fn open(file: Option<PathBuf>, worker: Worker, at_once: AtOnce, status: watch::Sender<WorkerStatus>) -> anyhow::Result<Self> {
        let local = Engine::start(Local::new(worker.clone(), at_once.clone(), status.clone()), LOCAL_PACE);
        let lanes = Lanes(Arc::new(Inner {
            local,
            at_once,
            worker: status,
            own_worker: worker.program,
            file,
            configured: Mutex::new(Configured { local: true, ..Configured::default() }),
            nowhere: Engine::start(Nowhere, TRY_AGAIN),
        }));
        lanes.read_again()?;
        Ok(lanes)
    }

    /// Reads the file of lanes and takes what it says. Jobs that were handed over before go on.
    pub fn read_again(&self) -> anyhow::Result<()> {
        let Some(path) = &self.0.file else { return Ok(()) };
        let LanesFile { local, lanes } = LanesFile::read(path, &self.0.own_worker)?;
        let mut configured = self.configured();
        *configured = Configured { local, lanes, refusals: Vec::new() };
        Ok(())
    }

    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// All lanes, those of this machine first.
    pub fn all(&self) -> Vec<Lane> {
        let configured = self.configured();
        let mut all = if configured.local { self.local() } else { Vec::new() };
        all.extend(configured.lanes.iter().cloned());
        all
    }

    pub fn get(&self, name: &str) -> Option<Lane> {
        self.all().into_iter().find(|lane| lane.name == name)
    }

    /// The devices of this machine; empty while its worker does not work.
    fn local(&self) -> Vec<Lane> {
        let WorkerStatus::Ready(probe) = self.0.worker.borrow().clone() else { return Vec::new() };
        let lane = |device: api::Device| Lane {
            has_gpu: device.id != "cpu",
            at_once: Some(u32::try_from(self.0.at_once.of(&device.id)).unwrap_or(u32::MAX)),
            throttle: None,
            text: device.name,
            name: device.id,
            auto: true,
            multiply_adds_per_sec: device.multiply_adds_per_sec,
            resubmissions: u32::MAX,
            engine: Arc::clone(&self.0.local),
        };
        probe.devices.into_iter().map(lane).collect()
    }

    /// What follows a job that was handed over on a lane, which may be gone from the file.
    pub fn engine(&self, name: &str) -> Arc<Engine> {
        if is_local_device(name) {
            return Arc::clone(&self.0.local);
        }
        let configured = self.configured();
        let lane = configured.lanes.iter().find(|lane| lane.name == name);
        Arc::clone(lane.map_or(&self.0.nowhere, |lane| &lane.engine))
    }

    /// Chooses the lane for a run that wants `wanted`: `auto`, or the name of a lane. `auto` takes the first lane that
    /// has room, and of lanes with and without GPU only those with.
    pub fn choose(&self, wanted: &str, has_room: impl Fn(&Lane) -> bool) -> Choice {
        let all = self.all();
        let free = |lane: &Lane| !self.refuses(&lane.name) && has_room(lane);
        if wanted == "auto" {
            // What this machine has is not known yet.
            if self.configured().local && matches!(*self.0.worker.borrow(), WorkerStatus::Starting) {
                return Choice::Unknown;
            }
            let with_gpu = all.iter().any(|lane| lane.auto && lane.has_gpu);
            let mut fitting = all.into_iter().filter(|lane| lane.auto && lane.has_gpu == with_gpu).peekable();
            let Some(first) = fitting.peek().cloned() else { return Choice::Unknown };
            return fitting.find(free).map_or(Choice::Wait(first), Choice::Free);
        }
        let known = || self.all().iter().map(|lane| lane.name.clone()).collect::<Vec<_>>().join(", ");
        match all.into_iter().find(|lane| lane.name == wanted) {
            Some(lane) if free(&lane) => Choice::Free(lane),
            Some(lane) => Choice::Wait(lane),
            None if is_local_device(wanted) && matches!(*self.0.worker.borrow(), WorkerStatus::Ready(_)) => {
                Choice::NoDevice(format!("this machine has no device `{wanted}`; it has {}", known()))
            }
            None => Choice::Unknown,
        }
    }

    /// Notes that a lane has refused a run, so that it is left alone for a while.
    pub fn note_refusal(&self, name: &str, why: &NotStarted) {
        let pause = if matches!(why, NotStarted::NoRoom(_)) { ROOM_AGAIN } else { TRY_AGAIN };
        let mut configured = self.configured();
        configured.refusals.retain(|(known, ..)| known != name);
        configured.refusals.push((name.to_owned(), why.to_string(), Instant::now() + pause));
    }

    /// Notes that a worker on a lane did not find its libraries. On this machine nothing starts before the next probe
    /// has worked.
    pub fn note_not_loaded(&self, name: &str, why: &str) {
        let why = format!("the worker does not work here: {why}; {TRIED_AGAIN}");
        if is_local_device(name) {
            self.0.worker.send_replace(WorkerStatus::Broken { message: why });
        } else {
            self.note_refusal(name, &NotStarted::Lane(why));
        }
    }

    /// Forgets that a lane has refused a run: it has taken one.
    pub fn note_success(&self, name: &str) {
        self.configured().refusals.retain(|(known, ..)| known != name);
    }

    /// Whether some lane is to be tried again later.
    pub fn any_refuses(&self) -> bool {
        let mut configured = self.configured();
        // One that has not been tried again meanwhile has no run that waits for it.
        configured.refusals.retain(|(.., until)| Instant::now() < *until + TRY_AGAIN);
        !configured.refusals.is_empty()
    }

    fn refuses(&self, name: &str) -> bool {
        self.configured().refusals.iter().any(|(known, _, until)| known == name && Instant::now() < *until)
    }

    /// Why nothing can start on a lane or be heard from it.
    pub fn trouble(&self, lane: &Lane) -> Option<String> {
        let refusal = self.configured().refusals.iter().find(|(known, ..)| *known == lane.name).map(|(_, why, _)| why.clone());
        refusal.or_else(|| lane.engine.trouble())
    }

    /// What is wrong with lanes beyond this machine, in sentences.
    pub fn troubles(&self) -> Vec<String> {
        let all = self.all();
        let beyond = all.iter().filter(|lane| lane.engine.kind() != LaneKind::Local);
        beyond.filter_map(|lane| Some(format!("the lane `{}` is down: {}", lane.name, self.trouble(lane)?))).collect()
    }

    /// The lanes as the API answers them.
    pub fn described(&self) -> api::Lanes {
        let describe = |lane: Lane| api::Lane {
            kind: lane.engine.kind(),
            trouble: self.trouble(&lane),
            name: lane.name,
            text: lane.text,
            at_once: lane.at_once,
            auto: lane.auto,
            multiply_adds_per_sec: lane.multiply_adds_per_sec,
        };
        let file = self.file().map(|path| path.display().to_string());
        api::Lanes { file, lanes: self.all().into_iter().map(describe).collect() }
    }

    fn configured(&self) -> MutexGuard<'_, Configured> {
        self.0.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for a lane that is not in the file any more: its jobs are only known by their directories.
#[derive(Debug)]
struct Nowhere;

const NOWHERE: &str = "its lane is not in the file of lanes any more";

#[async_trait]
impl Launcher for Nowhere {
    fn kind(&self) -> LaneKind {
        LaneKind::Command
    }

    async fn probe(&self, _lane: &str) -> Result<Probe, String> {
        Err(NOWHERE.to_owned())
    }

    async fn submit(&self, _lane: &str, jobs: &[Job], _at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>> {
        jobs.iter().map(|_| Err(NotStarted::Lane(NOWHERE.to_owned()))).collect()
    }

    async fn stop(&self, _job: &Job, _how: Stop) -> Result<(), String> {
        Err(NOWHERE.to_owned())
    }

    async fn list(&self, _jobs: &[Job]) -> Result<std::collections::HashMap<String, Listed>, String> {
        Err(NOWHERE.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use shared::api::Device;

    use super::*;

    fn lanes(devices: &[&str], beyond: &[(&str, bool)]) -> Lanes {
        let devices = devices
            .iter()
            .map(|id| Device { id: (*id).into(), name: (*id).into(), memory_bytes: None, multiply_adds_per_sec: None, bf16: false })
            .collect();
        let (status, _) = watch::channel(WorkerStatus::Ready(Probe { engine: "1".into(), libtorch: "2".into(), devices }));
        let lanes = Lanes::open(None, Worker { program: "worker".into(), allow_programs: false }, AtOnce::default(), status).unwrap();
        let lane = |(name, has_gpu): &(&str, bool)| Lane {
            name: (*name).to_owned(),
            text: String::new(),
            at_once: None,
            throttle: None,
            has_gpu: *has_gpu,
            auto: true,
            multiply_adds_per_sec: None,
            resubmissions: 1,
            engine: Arc::clone(&lanes.0.nowhere),
        };
        lanes.configured().lanes = beyond.iter().map(lane).collect();
        lanes
    }

    #[track_caller]
    fn check(lanes: &Lanes, wanted: &str, full: &[&str], expected: &str) {
        let found = match lanes.choose(wanted, |lane| !full.contains(&lane.name.as_str())) {
            Choice::Free(lane) => format!("free {}", lane.name),
            Choice::Wait(lane) => format!("wait {}", lane.name),
            Choice::NoDevice(_) => "no device".to_owned(),
            Choice::Unknown => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{wanted} of {lanes:?}");
    }

    #[tokio::test]
    async fn auto_takes_the_first_lane_that_has_room_and_a_gpu_where_there_is_one() {
        let machine = lanes(&["cuda:0", "cuda:1", "cpu"], &[]);
        check(&machine, "auto", &[], "free cuda:0");
        check(&machine, "auto", &["cuda:0"], "free cuda:1");
        check(&machine, "auto", &["cuda:0", "cuda:1"], "wait cuda:0");
        check(&machine, "cpu", &["cuda:0"], "free cpu");
        check(&machine, "cuda:7", &[], "no device");
        check(&machine, "a100", &[], "unknown");
        let login_node = lanes(&["cpu"], &[("a100", true), ("small", false)]);
        check(&login_node, "auto", &[], "free a100");
        check(&login_node, "auto", &["a100"], "wait a100");
        check(&login_node, "small", &[], "free small");
        check(&lanes(&["cpu"], &[("small", false)]), "auto", &["cpu"], "free small");
    }

    #[tokio::test]
    async fn a_lane_that_has_refused_a_run_is_left_alone_for_a_while() {
        let lanes = lanes(&["cpu"], &[("a100", true), ("v100", true)]);
        lanes.note_refusal("a100", &NotStarted::Lane("invalid partition".to_owned()));
        check(&lanes, "auto", &[], "free v100");
        check(&lanes, "a100", &[], "wait a100");
        let described = lanes.described();
        assert_eq!(described.lanes[1].trouble.as_deref(), Some("invalid partition"));
        assert_eq!(described.lanes[2].trouble, None, "nothing was asked of it yet");
        lanes.note_success("a100");
        check(&lanes, "auto", &[], "free a100");
    }
}
