//! The states of runs in the database. Private to the scheduler: nothing else can change a state.

use std::collections::HashMap;

use jiff::Timestamp;
use shared::api::{Job, JobStanding, RunState, RunSummary};
use shared::config::{RunConfig, RunKind};
use shared::id::{RunId, SweepId};
use shared::labels::Labels;
use shared::rundir::StopReason;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::NewRun;
use super::pending_writes::{Again, Change, Deaths, End, PendingWrites};
use crate::db::{self, at, now};

/// Reads what the scheduler needs and writes the states of runs. What the database does not take is kept and
/// written later.
#[derive(Clone, Debug)]
pub(super) struct States {
    pool: SqlitePool,
    pending: PendingWrites,
}

/// A run that waits or runs, as the scheduler needs it.
#[derive(Debug)]
pub(super) struct ActiveRun {
    pub id: RunId,
    /// [`RunKind`] of its configuration.
    pub kind: String,
    /// The lane that the run waits for or runs on: `cpu`, `cuda:0`, one of the file of lanes.
    pub device: String,
    /// The lane that a person has chosen, or else what its configuration asks for: `auto`, `cpu`, `cuda:0`, a lane.
    pub wanted: String,
    pub sweep: Option<String>,
    /// Epochs that it trains for; 0 if it does not train.
    pub epochs: u32,
    /// What its worker was asked for, while it saves.
    pub stopping: Option<StopReason>,
    pub deaths: Option<Deaths>,
    pub job: Option<Job>,
}

impl ActiveRun {
    fn read(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(ActiveRun {
            id: db::id_of(row)?,
            kind: row.try_get("kind")?,
            device: row.try_get("device")?,
            wanted: row.try_get("wanted")?,
            sweep: row.try_get("sweep")?,
            epochs: row.try_get("epochs")?,
            stopping: db::stop_reason_of(row)?,
            deaths: db::json_or_null_of(row, "deaths")?,
            job: db::json_or_null_of(row, "job")?,
        })
    }

    /// Whether it was handed over to its lane.
    pub fn is_handed_over(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.standing != JobStanding::Over)
    }

    /// Whether this server runs it. Other programs write the others.
    pub fn is_submitted(&self) -> bool {
        self.kind != RunKind::External.id()
    }
}

impl States {
    pub fn new(pool: SqlitePool, pending: PendingWrites) -> Self {
        States { pool, pending }
    }

    /// Inserts queued runs, all of them or none.
    pub async fn insert_queued(&self, ids: &[RunId], runs: &[NewRun]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        for (id, NewRun { config, device, upload: _ }) in ids.iter().zip(runs) {
            let summary = RunSummary { epochs: config.epochs(), ..RunSummary::default() };
            sqlx::query("INSERT INTO runs (id, title, state, device, config, created_at, summary) VALUES (?, ?, 'queued', ?, ?, ?, ?)")
                .bind(id.as_str())
                .bind(config.title())
                .bind(device)
                .bind(Json(config))
                .bind(now())
                .bind(Json(summary))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Inserts a run that another server, or a worker started by hand, has finished.
    pub async fn insert_finished(
        &self,
        id: &RunId,
        config: &RunConfig,
        labels: &Labels,
        summary: &RunSummary,
        time: Timestamp,
        failure: Option<&str>,
    ) -> sqlx::Result<()> {
        let state = if failure.is_none() { RunState::Succeeded } else { RunState::Failed };
        sqlx::query(
            "INSERT INTO runs (id, title, state, device, config, created_at, started_at, finished_at, failure, summary, tags, notes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, ?7, ?8, ?9, ?10)",
        )
        .bind(id.as_str())
        .bind(&labels.title)
        .bind(state.id())
        .bind(config.device())
        .bind(Json(config))
        .bind(at(time))
        .bind(failure)
        .bind(Json(summary))
        .bind(Json(&labels.tags))
        .bind(&labels.notes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Inserts a run that another program writes.
    pub async fn insert_running(&self, id: &RunId, config: &RunConfig) -> sqlx::Result<()> {
        let summary = RunSummary { epochs: config.epochs(), ..RunSummary::default() };
        sqlx::query(
            "INSERT INTO runs (id, title, state, device, config, created_at, started_at, summary) \
             VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?5, ?6)",
        )
        .bind(id.as_str())
        .bind(config.title())
        .bind(config.device())
        .bind(Json(config))
        .bind(now())
        .bind(Json(summary))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Shows a run of another program as running again, with the configuration that it has now.
    pub async fn set_running_again(&self, id: &RunId, config: &RunConfig) -> sqlx::Result<()> {
        // Write its end first, or it would be written later over the running run.
        if let Some(change) = self.pending.of(id) {
            self.write(id, &change).await?;
            self.pending.remove(id, &change);
        }
        sqlx::query(
            "UPDATE runs SET state = 'running', config = ?, device = ?, started_at = ?, finished_at = NULL, failure = NULL WHERE id = ?",
        )
        .bind(Json(config))
        .bind(config.device())
        .bind(now())
        .bind(id.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The runs that wait for a device, in order, each with its place.
    pub async fn places(&self, device: &str) -> sqlx::Result<Vec<(String, i64)>> {
        sqlx::query_as("SELECT id, coalesce(place, seq) AS place FROM present_runs WHERE state = 'queued' AND device = ? ORDER BY place")
            .bind(device)
            .fetch_all(&self.pool)
            .await
    }

    pub async fn set_places(&self, places: &[(String, i64)]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        for (id, place) in places {
            sqlx::query("UPDATE runs SET place = ? WHERE id = ?").bind(place).bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Queued runs that were not handed over to a lane yet, in order.
    pub async fn waiting(&self) -> sqlx::Result<Vec<ActiveRun>> {
        self.active_where(RunState::Queued, "AND coalesce(job ->> '$.standing.is', 'over') = 'over'").await
    }

    /// Runs in a state, in the order of the queue.
    pub async fn active(&self, state: RunState) -> sqlx::Result<Vec<ActiveRun>> {
        self.active_where(state, "").await
    }

    async fn active_where(&self, state: RunState, and: &'static str) -> sqlx::Result<Vec<ActiveRun>> {
        // Selects two values and not the configuration: parsing a thousand configurations is slow.
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, config ->> '$.kind' AS kind, device, coalesce(lane, config ->> '$.device') AS wanted, sweep, summary ->> '$.epochs' AS epochs, stopping, deaths, job \
             FROM present_runs WHERE state = ",
        );
        query.push_bind(state.id()).push(format_args!(" {and} ORDER BY coalesce(place, seq)"));
        let rows = query.build().fetch_all(&self.pool).await?;
        // A row that this version cannot read must not hold the others.
        let mut active: Vec<ActiveRun> = rows.iter().flat_map(ActiveRun::read).collect();
        // Without runs whose end, return to the queue or deletion is not written yet.
        active.retain(|run| !matches!(self.pending.of(&run.id), Some(Change::Ended(_) | Change::Again(_) | Change::Deleted)));
        Ok(active)
    }

    pub async fn set_queue_paused(&self, paused: bool) -> sqlx::Result<()> {
        sqlx::query("UPDATE queue SET paused = ?").bind(paused).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn set_device(&self, id: &RunId, device: &str) -> sqlx::Result<()> {
        sqlx::query("UPDATE runs SET device = ? WHERE id = ?").bind(device).bind(id.as_str()).execute(&self.pool).await?;
        Ok(())
    }

    /// Sets the lane that a person has chosen for a queued run.
    pub async fn set_lane(&self, id: &RunId, lane: &str) -> sqlx::Result<()> {
        sqlx::query("UPDATE runs SET lane = ?1, device = ?1 WHERE id = ?2").bind(lane).bind(id.as_str()).execute(&self.pool).await?;
        Ok(())
    }

    /// Records what the engines of lanes know of runs, and the states that follow: all or none.
    pub async fn set_jobs(&self, jobs: &[(&RunId, &Job)]) -> sqlx::Result<()> {
        let written = self.write_jobs(jobs).await;
        self.note(&written);
        written
    }

    async fn write_jobs(&self, jobs: &[(&RunId, &Job)]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        for (id, job) in jobs {
            let state = match job.standing {
                JobStanding::Submitting | JobStanding::Waiting { .. } | JobStanding::Over => RunState::Queued,
                JobStanding::Running { .. } => RunState::Running,
            };
            let started = (state == RunState::Running).then(now);
            sqlx::query(
                "UPDATE runs SET job = ?1, started_at = CASE WHEN state = ?2 AND started_at IS NOT NULL THEN started_at ELSE ?3 END, state = ?2 \
                 WHERE id = ?4",
            )
            .bind(Json(job))
            .bind(state.id())
            .bind(started)
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// How many runs of each sweep may run at once, where a person has said so.
    pub async fn sweep_limits(&self) -> sqlx::Result<HashMap<String, u32>> {
        let limits: Vec<(String, u32)> = sqlx::query_as("SELECT id, at_once FROM sweeps").fetch_all(&self.pool).await?;
        Ok(limits.into_iter().collect())
    }

    pub async fn set_sweep_limit(&self, id: &SweepId, at_once: Option<u32>) -> sqlx::Result<()> {
        let change = match at_once {
            Some(at_once) => sqlx::query("INSERT INTO sweeps (id, at_once) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET at_once = ?2")
                .bind(id.as_str())
                .bind(at_once),
            None => sqlx::query("DELETE FROM sweeps WHERE id = ?").bind(id.as_str()),
        };
        change.execute(&self.pool).await.map(drop)
    }

    /// Records that a run was asked to stop: in the database, or in memory until the database takes it.
    pub async fn set_stopping(&self, id: &RunId, reason: StopReason) {
        self.keep(id, Change::Stopping(reason)).await;
    }

    /// Records how a run ended: in the database, or in memory until the database takes it.
    pub async fn set_finished(&self, id: &RunId, state: RunState, failure: Option<String>, summary: Option<RunSummary>) {
        self.keep(id, Change::Ended(End { state, failure, summary: summary.map(Box::new), at: now() })).await;
    }

    /// Records that a run goes back to the queue: in the database, or in memory until the database takes it.
    /// `job`: what is known of its last job.
    pub async fn set_again(&self, id: &RunId, deaths: Option<Deaths>, summary: Option<RunSummary>, job: Option<Job>) {
        let job = job.map(|job| Box::new(Job { standing: JobStanding::Over, ..job }));
        self.keep(id, Change::Again(Again { deaths, summary: summary.map(Box::new), job })).await;
    }

    /// How often the worker of a run has died.
    pub async fn deaths(&self, id: &RunId) -> sqlx::Result<Option<Deaths>> {
        let row: Option<(Option<Json<Deaths>>,)> =
            sqlx::query_as("SELECT deaths FROM runs WHERE id = ?").bind(id.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.and_then(|(deaths,)| deaths).map(|deaths| deaths.0))
    }

    /// Records that a run is deleted whose files are removed already; returns whether the database has taken
    /// it.
    pub async fn set_deleted(&self, id: &RunId) -> bool {
        self.keep(id, Change::Deleted).await
    }

    async fn keep(&self, id: &RunId, change: Change) -> bool {
        // In memory first, so that readers see it at once.
        self.pending.add(id, change.clone());
        let written = self.write(id, &change).await.is_ok();
        if written {
            self.pending.remove(id, &change);
        }
        written
    }

    /// Writes pending changes; without any, checks whether the database takes changes.
    pub async fn write_pending(&self) {
        for (id, change) in self.pending.all() {
            if self.write(&id, &change).await.is_ok() {
                self.pending.remove(&id, &change);
            }
        }
        if self.pending.is_empty() {
            self.note(&sqlx::query("UPDATE changes SET revision = revision").execute(&self.pool).await);
        }
    }

    async fn write(&self, id: &RunId, change: &Change) -> sqlx::Result<()> {
        let written = match change {
            Change::Stopping(reason) => {
                let update = sqlx::query("UPDATE runs SET stopping = ? WHERE id = ?");
                update.bind(reason.id()).bind(id.as_str()).execute(&self.pool).await.map(drop)
            }
            Change::Ended(End { state, failure, summary, at }) => sqlx::query(
                "UPDATE runs SET state = ?, finished_at = ?, failure = ?, summary = coalesce(?, summary), stopping = NULL, \
                 job = json_set(job, '$.standing', json('{\"is\":\"over\"}')) WHERE id = ?",
            )
            .bind(state.id())
            .bind(state.is_finished().then_some(at))
            .bind(failure)
            .bind(summary.as_ref().map(Json))
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map(drop),
            Change::Again(Again { deaths, summary, job }) => {
                let update = "UPDATE runs SET state = 'queued', started_at = NULL, stopping = NULL, deaths = ?, summary = coalesce(?, summary), \
                     job = ? WHERE id = ?";
                sqlx::query(update)
                    .bind(deaths.as_ref().map(Json))
                    .bind(summary.as_ref().map(Json))
                    .bind(job.as_ref().map(Json))
                    .bind(id.as_str())
                    .execute(&self.pool)
                    .await
                    .map(drop)
            }
            Change::Deleted => self.delete_rows(id).await,
        };
        self.note(&written);
        written
    }

    /// Remembers whether the database takes changes, which is shown to people.
    fn note<T>(&self, written: &sqlx::Result<T>) {
        let cause = written.as_ref().err().map(|error| match error {
            // The message of SQLite without its code.
            sqlx::Error::Database(error) => error.message().to_owned(),
            error => error.to_string(),
        });
        // Log it once, not with every try.
        if self.pending.set_cause(cause.clone()) {
            match cause {
                Some(cause) => tracing::error!("the database takes no changes: {cause}"),
                None => tracing::info!("the database takes changes again"),
            }
        }
    }

    pub async fn set_queued(&self, id: &RunId) -> sqlx::Result<()> {
        // Write its end first, or it would be written later over the queued run.
        if let Some(change) = self.pending.of(id) {
            self.write(id, &change).await?;
            self.pending.remove(id, &change);
        }
        sqlx::query("UPDATE runs SET state = 'queued', started_at = NULL, finished_at = NULL, failure = NULL, deaths = NULL, job = NULL WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub async fn set_summary(&self, id: &RunId, summary: &RunSummary) -> sqlx::Result<()> {
        let written =
            sqlx::query("UPDATE runs SET summary = ? WHERE id = ?").bind(Json(summary)).bind(id.as_str()).execute(&self.pool).await;
        self.note(&written);
        written.map(drop)
    }

    /// Moves a run to the trash.
    pub async fn set_trashed(&self, id: &RunId) -> sqlx::Result<()> {
        sqlx::query("UPDATE runs SET deleted_at = ? WHERE id = ?").bind(now()).bind(id.as_str()).execute(&self.pool).await?;
        Ok(())
    }

    /// Takes a run out of the trash.
    pub async fn set_restored(&self, id: &RunId) -> sqlx::Result<()> {
        sqlx::query("UPDATE runs SET deleted_at = NULL WHERE id = ?").bind(id.as_str()).execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes a run and the share links that show it.
    pub async fn delete_run(&self, id: &RunId) -> sqlx::Result<()> {
        self.delete_rows(id).await?;
        // Its pending change is no longer needed.
        if let Some(change) = self.pending.of(id) {
            self.pending.remove(id, &change);
        }
        Ok(())
    }

    async fn delete_rows(&self, id: &RunId) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM shares WHERE id IN (SELECT share FROM share_runs WHERE run = ?)")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM runs WHERE id = ?").bind(id.as_str()).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}
