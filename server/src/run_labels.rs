//! Titles, tags and notes of runs: in the database, and beside each run so that they outlive the database.

use shared::api::RunChange;
use shared::id::RunId;
use shared::labels::{Labels, checked};
use tokio::sync::Mutex;

use crate::db::Db;
use crate::rundir::{RunDir, RunDirs};

/// Makes changes one after the other, so that the last one stands in both places.
#[derive(Debug, Default)]
pub struct RunLabels(Mutex<()>);

impl RunLabels {
    pub async fn change(&self, db: &Db, dirs: &RunDirs, id: &RunId, change: &RunChange) -> sqlx::Result<()> {
        let _turn = self.0.lock().await;
        if let Some(labels) = db.change_labels(id, change).await? {
            keep(&dirs.of(id), id, &labels);
        }
        Ok(())
    }
}

/// Writes the labels of runs that an earlier version kept in the database alone.
pub async fn keep_all(db: &Db, dirs: &RunDirs) -> sqlx::Result<()> {
    for (id, labels) in db.labeled().await? {
        let dir = dirs.of(&id);
        if matches!(dir.labels(), Ok(None)) && dir.path().is_dir() {
            keep(&dir, &id, &labels);
        }
    }
    Ok(())
}

fn keep(dir: &RunDir, id: &RunId, labels: &Labels) {
    if let Err(error) = dir.write_labels(labels) {
        tracing::warn!("the title, tags and notes of {id} are in the database only: {error}");
    }
}

/// The labels in a run directory that was copied here; `None` if there are none that a run can have.
pub fn kept(dir: &RunDir) -> Option<Labels> {
    let found = dir.labels().map_err(|error| error.to_string()).and_then(|labels| {
        let Some(Labels { title, tags, notes }) = labels else { return Ok(None) };
        let change = RunChange { title: Some(title), tags: Some(tags), notes: Some(notes) };
        let wrong = |errors: Vec<_>| format!("{errors:?}");
        let RunChange { title, tags, notes } = checked(change).map_err(wrong)?;
        Ok(Some(Labels { title: title.unwrap_or_default(), tags: tags.unwrap_or_default(), notes: notes.unwrap_or_default() }))
    });
    found.unwrap_or_else(|error| {
        tracing::warn!("the labels in {} are not taken in: {error}", dir.path().display());
        None
    })
}
