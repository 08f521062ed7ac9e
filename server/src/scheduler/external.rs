//! Runs that other programs write into the folder of runs: shows them as they go on, and as lost where the
//! program is gone.
//!
//! A task looks at the folder again and again. Whether a program writes, its lease says.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use lease::{Standing, Watch};
use shared::api::{RunState, RunSummary};
use shared::config::RunConfig;
use shared::id::RunId;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use super::follow_metrics::follow_metrics;
use super::verdict::Ending;
use super::{Actor, Message};
use crate::launch::End;
use crate::rundir::RunDirs;

/// Time between two looks at the folder.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Tells the scheduler of the directories that other programs write, until it has ended.
pub(super) async fn watch(dirs: RunDirs, scheduler: mpsc::Sender<Message>) {
    let mut looks = Looks::default();
    loop {
        let (dirs, mut moved) = (dirs.clone(), looks);
        let looked = spawn_blocking(move || {
            let begun = moved.look(&dirs);
            (moved, begun)
        });
        let Ok((kept, begun)) = looked.await else { return };
        looks = kept;
        let begun = begun.unwrap_or_else(|error| {
            tracing::debug!("the folder of runs cannot be read: {error}");
            Vec::new()
        });
        for (id, ended) in begun {
            if scheduler.send(Message::External { id, ended }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            () = scheduler.closed() => return,
        }
    }
}

/// What the looks at the folder have found so far.
#[derive(Default)]
struct Looks {
    /// Runs that this or another server has started.
    others: HashSet<RunId>,
    external: HashMap<RunId, External>,
}

struct External {
    lease: Watch,
    /// While the program writes. Dropped, it tells that the program has ended.
    writes: Option<DropGuard>,
}

impl Looks {
    /// Returns the runs that a program has begun to write since the last look. Of a run that was found for the
    /// first time, the program may have ended already.
    fn look(&mut self, dirs: &RunDirs) -> io::Result<Vec<(RunId, CancellationToken)>> {
        let present: HashSet<RunId> = dirs.names()?.into_iter().collect();
        // The name of a deleted run can be used again.
        self.others.retain(|id| present.contains(id));
        self.external.retain(|id, _| present.contains(id));
        let mut begun = Vec::new();
        for id in present {
            if self.others.contains(&id) {
                continue;
            }
            let is_new = !self.external.contains_key(&id);
            if is_new {
                match dirs.of(&id).config() {
                    Ok(config) if config.kind().is_submitted() => {
                        self.others.insert(id);
                        continue;
                    }
                    Ok(_) => {}
                    // It may be about to be written. A directory without one is looked at again.
                    Err(_) => continue,
                }
            }
            let lease = || Watch::new(dirs.of(&id).path());
            let external = self.external.entry(id.clone()).or_insert_with(|| External { lease: lease(), writes: None });
            let writes = matches!(external.lease.look(), Ok(Standing::Held(_)) | Err(_));
            if writes && external.writes.is_none() {
                let ended = CancellationToken::new();
                external.writes = Some(ended.clone().drop_guard());
                begun.push((id, ended));
            } else if !writes {
                external.writes = None;
                if is_new {
                    let ended = CancellationToken::new();
                    ended.cancel();
                    begun.push((id, ended));
                }
            }
        }
        Ok(begun)
    }
}

impl Actor {
    /// Shows a run that another program writes as running until `ended`, unless its end is known already.
    pub(super) async fn show_external(&mut self, id: &RunId, ended: CancellationToken) {
        let dir = self.dirs.of(id);
        let shown = async {
            let config: RunConfig = dir.config()?;
            if self.db.is_in_trash(id).await? {
                return anyhow::Ok(None);
            }
            match self.db.status(id).await?.map(|status| status.state) {
                None => self.states.insert_running(id, &config).await?,
                // A server that has stopped since has shown it.
                Some(RunState::Running) => {}
                Some(RunState::Failed | RunState::Canceled) if !ended.is_cancelled() => {
                    self.states.set_running_again(id, &config).await?;
                }
                Some(_) => return Ok(None),
            }
            Ok(Some(config))
        };
        let config = match shown.await {
            Ok(Some(config)) => config,
            Ok(None) => return,
            Err(error) => return tracing::warn!("{id}, which another program writes, cannot be shown: {error:#}"),
        };
        tracing::info!("{id} is written by another program");
        let (states, outbox, id, epochs) = (self.states.clone(), self.outbox.clone(), id.clone(), config.epochs());
        let follow = async move {
            let metrics = follow_metrics(&states, &dir, &id, epochs, ended).await;
            let summary = Box::new(RunSummary::of(&metrics, epochs));
            let died = matches!(Watch::new(dir.path()).look(), Ok(Standing::Abandoned(_) | Standing::Held(_)));
            let end = Ok(if died { End::Vanished } else { End::Unknown });
            let ending = Ending { end, fate: None, finished: metrics.finished.is_some(), external: true };
            drop(outbox.send(Message::Ended { id, ending, summary }).await);
        };
        tokio::spawn(follow.in_current_span());
    }
}
