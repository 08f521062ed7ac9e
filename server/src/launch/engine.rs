//! A launcher and the task that asks it how its jobs stand: one question for all of them.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{Job, Launcher, Listed};

/// A list that takes longer is asked for less often.
const SLOW: Duration = Duration::from_secs(2);
/// How many times longer the pauses become, at most, while a launcher is slow or does not answer.
const MOST_PATIENCE: u32 = 8;
/// Time between two lists that somebody waits for, at least.
const LEAST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Engine {
    launcher: Box<dyn Launcher>,
    /// Time between two lists.
    pace: Duration,
    list: watch::Sender<List>,
    followed: Mutex<HashMap<String, Job>>,
    /// Wakes the task for a list that somebody waits for.
    wanted: Arc<Notify>,
}

/// The last answer of a launcher.
#[derive(Clone, Debug)]
pub struct List {
    pub asked_at: Instant,
    /// An error says why there is none.
    pub answer: Result<HashMap<String, Listed>, String>,
}

impl Engine {
    /// Starts the task, which ends when the engine is dropped.
    pub fn start(launcher: impl Launcher + 'static, pace: Duration) -> Arc<Self> {
        let (list, _) = watch::channel(List { asked_at: Instant::now(), answer: Ok(HashMap::new()) });
        let engine =
            Arc::new(Engine { launcher: Box::new(launcher), pace, list, followed: Mutex::default(), wanted: Arc::new(Notify::new()) });
        tokio::spawn(keep_listing(Arc::downgrade(&engine), Arc::clone(&engine.wanted)));
        engine
    }

    pub fn pace(&self) -> Duration {
        self.pace
    }

    /// The lists from now on.
    pub(super) fn lists(&self) -> watch::Receiver<List> {
        self.list.subscribe()
    }

    pub(super) fn add(&self, job: Job) {
        self.followed().insert(job.name.clone(), job);
        self.wanted.notify_one();
    }

    pub(super) fn remove(&self, name: &str) {
        self.followed().remove(name);
    }

    /// Why the launcher does not answer; `None` while it does.
    pub fn trouble(&self) -> Option<String> {
        self.list.borrow().answer.as_ref().err().cloned()
    }

    /// Asks soon and not only when it is time.
    pub(super) fn ask_soon(&self) {
        self.wanted.notify_one();
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks once; returns the time until the next question.
    async fn ask(&self, patience: &mut u32) -> Duration {
        let jobs: Vec<Job> = self.followed().values().cloned().collect();
        let asked_at = Instant::now();
        let answer = if jobs.is_empty() { Ok(HashMap::new()) } else { self.launcher.list(&jobs).await };
        let known = self.trouble();
        match &answer {
            Err(why) if known.as_ref() != Some(why) => tracing::warn!("{} does not answer: {why}", self.launcher.kind().label()),
            Ok(_) if known.is_some() => tracing::info!("{} answers again", self.launcher.kind().label()),
            _ => {}
        }
        let well = answer.is_ok() && asked_at.elapsed() < SLOW;
        *patience = if well { 1 } else { (*patience * 2).min(MOST_PATIENCE) };
        self.list.send_replace(List { asked_at, answer });
        self.pace * *patience
    }
}

impl Deref for Engine {
    type Target = dyn Launcher;

    fn deref(&self) -> &Self::Target {
        &*self.launcher
    }
}

async fn keep_listing(engine: Weak<Engine>, wanted: Arc<Notify>) {
    let mut patience = 1;
    loop {
        let Some(here) = engine.upgrade() else { return };
        let pause = here.ask(&mut patience).await;
        let idle = here.followed().is_empty();
        let least = LEAST_PAUSE.min(here.pace) * patience;
        // Without jobs, the task holds no engine that nobody else holds.
        if idle {
            drop(here);
            wanted.notified().await;
            continue;
        }
        let news = async {
            match here.news() {
                Some(news) => news.notified().await,
                None => std::future::pending().await,
            }
        };
        let early = async {
            sleep(least).await;
            wanted.notified().await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = news => {}
            () = early => {}
        }
    }
}
