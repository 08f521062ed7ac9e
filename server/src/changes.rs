//! Notices that runs have changed: one query for all listeners together.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::db::Db;

const INTERVAL: Duration = Duration::from_millis(100);

/// Wakes listeners when a run has changed. They ask the database what has changed.
#[derive(Clone, Debug)]
pub struct Changes {
    revision: watch::Sender<(i64, u64)>,
}

impl Changes {
    /// Starts to watch the database; ends with `stopping`.
    pub fn start(db: Db, stopping: CancellationToken) -> Self {
        let (revision, _) = watch::channel((0, 0));
        let changes = Changes { revision: revision.clone() };
        tokio::spawn(async move {
            let look = async {
                loop {
                    // No query without listeners. Errors of the database are reported by whoever reads more
                    // of it.
                    if revision.receiver_count() > 0
                        && let Ok(latest) = db.revision().await
                    {
                        revision.send_if_modified(|known| std::mem::replace(known, latest) != latest);
                    }
                    sleep(INTERVAL).await;
                }
            };
            stopping.run_until_cancelled(look).await;
        });
        changes
    }

    pub fn listen(&self) -> watch::Receiver<(i64, u64)> {
        self.revision.subscribe()
    }
}
