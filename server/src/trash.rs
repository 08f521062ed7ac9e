//! The trash: what deleting a run means here, and the task that deletes for good what has been in the trash
//! for long enough.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::api::Trash;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use crate::db::Db;
use crate::scheduler::{Change, Scheduler};
use crate::state::AppState;

/// Time between two looks for runs that have been in the trash for long enough.
const LOOK: Duration = Duration::from_secs(60);

/// What deleting a run does: it goes to the trash, unless nothing is kept there.
pub fn deletion(state: &AppState) -> Change {
    if state.settings.trash_days == 0 { Change::Delete } else { Change::Trash }
}

fn kept(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// The runs in the trash.
pub async fn content(state: &AppState) -> sqlx::Result<Trash> {
    let days = state.settings.trash_days;
    Ok(Trash { days, runs: state.db.trash(kept(days)).await? })
}

/// Starts the task, which ends with `stopping`. `days`: how long a run stays in the trash.
pub fn start_emptying(db: Db, scheduler: Scheduler, days: u32, stopping: CancellationToken) {
    let work = async move {
        loop {
            if let Err(error) = empty(&db, &scheduler, days).await {
                tracing::warn!("the trash cannot be emptied: {error:#}");
            }
            sleep(LOOK).await;
        }
    };
    tokio::spawn(async move { stopping.run_until_cancelled(work).await });
}

/// Deletes for good what has been in the trash for long enough.
async fn empty(db: &Db, scheduler: &Scheduler, days: u32) -> anyhow::Result<()> {
    let ids = db.trashed_until(Timestamp::now() - kept(days)).await?;
    if ids.is_empty() {
        return Ok(());
    }
    for (id, outcome) in ids.iter().zip(scheduler.change_all(Change::Delete, ids.clone()).await?) {
        if let Err(refusal) = outcome {
            info_span!("run", %id).in_scope(|| tracing::warn!("{id} stays in the trash: {refusal}"));
        }
    }
    Ok(())
}
