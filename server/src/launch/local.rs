//! Workers on this machine: processes of their own, which go on without the server.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lease::{Standing as Writer, Watch};
use shared::api::{LaneKind, Probe, WorkerStatus};
use tokio::process::Child;
use tokio::sync::{Notify, watch};

use super::{Fate, Job, Launcher, Listed, NotStarted, Standing, Stop, prepare};
use crate::plain_file;
use crate::scheduler::AtOnce;
use crate::worker::{TRIED_AGAIN, Worker};

/// Number of threads of libtorch.
const THREADS: &str = "OMP_NUM_THREADS";

/// Starts workers as children of this server. Its lanes are named after the devices.
#[derive(Debug)]
pub struct Local {
    worker: Worker,
    at_once: AtOnce,
    /// Whether the program works; set here when a start shows that it does not.
    status: watch::Sender<WorkerStatus>,
    children: Arc<Children>,
}

#[derive(Debug, Default)]
struct Children {
    /// The process of each job while it runs, then how it ended.
    jobs: Mutex<HashMap<String, Process>>,
    news: Notify,
}

#[derive(Clone, Copy, Debug)]
enum Process {
    Runs(u32),
    Ended(ExitStatus, Instant),
}

/// How long it is known how a worker has ended that nobody asks for: it may end before it is followed.
const KEPT: Duration = Duration::from_secs(60);

impl Children {
    fn jobs(&self) -> MutexGuard<'_, HashMap<String, Process>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a child in a task of its own.
    fn keep(self: &Arc<Self>, name: String, mut child: Child) {
        let Some(number) = child.id() else { return };
        self.jobs().insert(name.clone(), Process::Runs(number));
        let children = Arc::clone(self);
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) => _ = children.jobs().insert(name, Process::Ended(status, Instant::now())),
                // Its directory then tells how it ended.
                Err(error) => {
                    tracing::warn!("the server could not wait for the worker {number}: {error}");
                    children.jobs().remove(&name);
                }
            }
            children.news.notify_one();
        });
    }
}

impl Local {
    pub fn new(worker: Worker, at_once: AtOnce, status: watch::Sender<WorkerStatus>) -> Self {
        Local { worker, at_once, status, children: Arc::default() }
    }

    fn start(&self, device: &str, job: &Job) -> Result<(), NotStarted> {
        prepare(&job.dir)?;
        let logs = plain_file::append(&job.dir.log()).and_then(|log| Ok((log.try_clone()?, log)));
        let (log, other) = logs.map_err(|error| NotStarted::directory(&job.dir, error))?;
        let mut command = self.worker.command();
        command.arg(job.dir.path()).env("CROSSLENS_DEVICE", device);
        if let Some(again) = &job.again {
            command.args(["--again", again]);
        }
        let at_once = self.at_once.of(device);
        if at_once > 1 && std::env::var_os(THREADS).is_none() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (cores / at_once).max(1).to_string());
        }
        command
            .stdin(Stdio::null())
            .stdout(other)
            .stderr(log)
            // What a terminal sends to the server must not reach the worker.
            .process_group(0);
        match command.spawn() {
            Ok(child) => {
                self.children.keep(job.name.clone(), child);
                Ok(())
            }
            Err(error) => {
                let message = format!("cannot start the worker `{}`: {error}; {TRIED_AGAIN}", self.worker.program.display());
                self.status.send_replace(WorkerStatus::Broken { message: message.clone() });
                Err(NotStarted::Lane(message))
            }
        }
    }

    /// The process of a job: a child, or one that an earlier server has started and that is seen to run here.
    fn process(&self, job: &Job) -> Option<u32> {
        match self.children.jobs().get(&job.name) {
            Some(Process::Runs(number)) => return Some(*number),
            Some(Process::Ended(..)) | None => {}
        }
        match Watch::new(job.dir.path()).look() {
            Ok(Writer::Held(Some(lease))) if lease.process.is_alive() == Some(true) => Some(lease.process.pid),
            _ => None,
        }
    }
}

#[async_trait]
impl Launcher for Local {
    fn kind(&self) -> LaneKind {
        LaneKind::Local
    }

    async fn probe(&self, _lane: &str) -> Result<Probe, String> {
        match self.status.borrow().clone() {
            WorkerStatus::Ready(probe) => Ok(probe),
            WorkerStatus::Broken { message } => Err(message),
            WorkerStatus::Starting => Err("the worker has not started yet".to_owned()),
        }
    }

    async fn submit(&self, lane: &str, jobs: &[Job], _at_once: Option<u32>) -> Vec<Result<Option<String>, NotStarted>> {
        jobs.iter().map(|job| self.start(lane, job).map(|()| None)).collect()
    }

    async fn stop(&self, job: &Job, how: Stop) -> Result<(), String> {
        let Some(group) = self.process(job).and_then(|number| i32::try_from(number).ok()) else { return Ok(()) };
        let signal = match how {
            Stop::Terminate => libc::SIGTERM,
            Stop::Kill => libc::SIGKILL,
        };
        // SAFETY: killpg takes two numbers and accesses no memory. The worker has not been waited for or was just
        // seen to run, so its number has not passed to another process.
        let result = unsafe { libc::killpg(group, signal) };
        if result == 0 { Ok(()) } else { Err(format!("signal {signal} failed: {}", std::io::Error::last_os_error())) }
    }

    async fn list(&self, jobs: &[Job]) -> Result<HashMap<String, Listed>, String> {
        let mut children = self.children.jobs();
        children.retain(|name, process| match process {
            Process::Runs(_) => true,
            Process::Ended(_, at) => at.elapsed() < KEPT || jobs.iter().any(|job| job.name == *name),
        });
        let standing = |process: &Process| match process {
            Process::Runs(_) => Standing::Running { node: None, ends_at: None },
            Process::Ended(status, _) => Standing::Over(Fate::Exited(*status)),
        };
        let listed = |(name, process): (&String, &Process)| (name.clone(), Listed { id: None, standing: standing(process) });
        Ok(children.iter().map(listed).collect())
    }

    fn news(&self) -> Option<&Notify> {
        Some(&self.children.news)
    }
}
