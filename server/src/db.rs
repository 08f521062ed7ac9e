//! The database of runs and their labels. Reads the states of runs and changes none; `scheduler::states`
//! does.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::api::{Run, RunChange, RunRow, RunRows, RunState, TrashedRun, UnreadableRun};
use shared::config::{RunConfig, RunKind};
use shared::id::{RunId, SweepId};
use shared::labels::Labels;
use shared::rundir::StopReason;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::types::Json;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};
use utoipa::ToSchema;

use crate::id::sha256;
use crate::migrations;
use crate::scheduler::PendingWrites;
use crate::shortage::sqlite_code;

#[derive(Clone, Debug)]
pub struct Db {
    pool: SqlitePool,
    pending: PendingWrites,
}

/// Which runs to list, and how.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    pub state: Option<RunState>,
    /// Words that the name or the title must contain, in upper or lower case.
    pub words: Vec<String>,
    pub sort: SortKey,
    pub order: SortOrder,
    pub limit: u32,
    pub offset: u32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortKey {
    #[default]
    Created,
    Title,
    State,
    BestRobustAccuracy,
    LastRobustAccuracy,
    BestCas,
    LastCas,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    Asc,
    #[default]
    Desc,
}

/// Which runs have changed, as of a cursor.
#[derive(Debug)]
pub struct Changed {
    pub cursor: String,
    /// False if the given cursor belongs to another database: anything may have changed.
    pub known: bool,
    pub runs: Vec<RunId>,
    pub deleted: Vec<RunId>,
}

/// What a run does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStatus {
    pub state: RunState,
    /// What the worker was asked for while it saves.
    pub stopping: Option<StopReason>,
}

/// A succeeded run, as estimates of other runs need it.
#[derive(Debug)]
pub struct DoneRun {
    pub device: String,
    pub config: RunConfig,
    pub seconds: f64,
}

/// Result codes of SQLite, <https://www.sqlite.org/rescode.html>.
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;

/// How long a statement waits while another program holds the database.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SELECT_RUN: &str = "SELECT id, title, state, config, created_at, started_at, finished_at, failure, stopping, tags, notes, summary, device, job, \
     coalesce(place, seq) AS place, \
     CASE state WHEN 'queued' THEN \
        (SELECT count(*) FROM present_runs AS other WHERE other.state = 'queued' AND other.device = present_runs.device \
         AND coalesce(other.place, other.seq) < coalesce(present_runs.place, present_runs.seq)) \
     END AS queue_position \
     FROM present_runs";

/// As `SELECT_RUN`, without the queue position: slow with thousands of queued runs.
const SELECT_ROW: &str = "SELECT id, title, state, config, created_at, started_at, finished_at, failure, stopping, tags, notes, summary, device, job, \
     coalesce(place, seq) AS place, NULL AS queue_position FROM present_runs";

const SELECT_REVISION: &str = "SELECT lineage, revision FROM changes";

/// The runs that were deleted or moved to the trash since a revision.
const SELECT_DELETED: &str = "SELECT id FROM deleted_runs WHERE revision > ?1 \
     UNION ALL SELECT id FROM runs WHERE revision > ?1 AND deleted_at IS NOT NULL";

/// The revision of a cursor; `None` if it belongs to another database or to a later state of this one.
fn since(cursor: Option<&str>, lineage: &str, revision: i64) -> Option<i64> {
    cursor
        .and_then(|cursor| cursor.split_once('.'))
        .filter(|(known, _)| *known == lineage)
        .and_then(|(_, known)| known.parse::<i64>().ok())
        .filter(|known| (0..=revision).contains(known))
}

/// The current time as the API writes it. All have the same length, so they sort as texts.
pub fn now() -> String {
    at(Timestamp::now())
}

pub fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Opens the database; creates it if it does not exist, migrates it if it is old.
pub async fn open(path: &Path) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let opened = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
    let told = |error: sqlx::Error| {
        let advice = advice(&error);
        anyhow::Error::new(error).context(format!("cannot open the database {}{advice}", path.display()))
    };
    let pool = opened.map_err(told)?;
    // Writing to a damaged file damages more of it.
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&pool).await.map_err(told)?;
    if found != "ok" {
        bail!("cannot use the database {}; {DAMAGED}: {}", path.display(), found.trim());
    }
    match migrations::all().run(&pool).await {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(version)) => bail!(
            "the database {} is of a newer version of CrossLens (its schema {version} is unknown here); start that version, or \
             restore a backup that this version made",
            path.display()
        ),
        Err(MigrateError::Execute(error)) => return Err(told(error)),
        Err(error) => return Err(error).with_context(|| format!("cannot bring the database {} up to date", path.display())),
    }
    hash_tokens(&pool).await.map_err(told)?;
    // With a full disk it must start, so that people can delete runs; with a file that nobody may write, nothing helps.
    match sqlx::query("UPDATE changes SET revision = revision").execute(&pool).await {
        Err(error) if sqlite_code(&error) == Some(SQLITE_READONLY) => Err(told(error)),
        _ => Ok(pool),
    }
}

/// What to do about a damaged database.
const DAMAGED: &str = "it is damaged, and nothing was changed in it; restore a backup, or move the file away together with those beside it that \
     begin with its name: a new database then takes in every run that has begun, with its title, tags and notes, from the run directories, \
     and the share links";

/// What to do about a database that cannot be opened, to stand after a sentence about it.
fn advice(error: &sqlx::Error) -> String {
    match sqlite_code(error) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => format!("; {DAMAGED}"),
        Some(SQLITE_READONLY | SQLITE_CANTOPEN | SQLITE_PERM) => {
            "; let this user write to the file and to its folder, or choose another folder with --data-dir".to_owned()
        }
        Some(SQLITE_BUSY | SQLITE_LOCKED) => "; another program holds it: close that program and start again".to_owned(),
        _ => String::new(),
    }
}

/// Replaces the tokens of an earlier version, which stored them as they are, by their hashes.
async fn hash_tokens(pool: &SqlitePool) -> sqlx::Result<()> {
    let plain: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, token_hash FROM shares WHERE length(token_hash) < 64").fetch_all(pool).await?;
    if plain.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    for (id, token) in plain {
        sqlx::query("UPDATE shares SET token_hash = ? WHERE id = ?").bind(sha256(&token)).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    // Writes the file anew: its free pages still hold the tokens.
    if let Err(error) = sqlx::query("VACUUM").execute(pool).await {
        tracing::warn!("unused pages of the database may still hold the tokens of share links: {error}");
    }
    Ok(())
}

impl Db {
    /// `pending`: what the scheduler has not written yet.
    pub fn new(pool: SqlitePool, pending: PendingWrites) -> Self {
        Db { pool, pending }
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub async fn run(&self, id: &RunId) -> sqlx::Result<Option<Run>> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_RUN);
        query.push(" WHERE id = ").push_bind(id.as_str());
        let row = query.build().fetch_optional(&self.pool).await?;
        let run = row.as_ref().map(run_of).transpose()?;
        Ok(run.and_then(|run| self.pending.amended(run)))
    }

    /// Why this version cannot read a run; `None` if it can.
    pub async fn unreadable(&self, id: &RunId) -> sqlx::Result<Option<String>> {
        match self.run(id).await {
            Ok(_) => Ok(None),
            Err(error) => why_unreadable(&error).map(Some).ok_or(error),
        }
    }

    /// State of a run, without reading its configuration; `None` if there is no such run.
    pub async fn status(&self, id: &RunId) -> sqlx::Result<Option<RunStatus>> {
        self.status_from("SELECT state, stopping FROM present_runs WHERE id = ?", id).await
    }

    /// As `status`, also of a run in the trash.
    pub async fn stored_status(&self, id: &RunId) -> sqlx::Result<Option<RunStatus>> {
        self.status_from("SELECT state, stopping FROM runs WHERE id = ?", id).await
    }

    async fn status_from(&self, select: &'static str, id: &RunId) -> sqlx::Result<Option<RunStatus>> {
        let Some(row) = sqlx::query(select).bind(id.as_str()).fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(self.pending.amended_status(id, status_of(&row)?))
    }

    /// Whether a run is in the trash.
    pub async fn is_in_trash(&self, id: &RunId) -> sqlx::Result<bool> {
        Ok(self.status(id).await?.is_none() && self.stored_status(id).await?.is_some())
    }

    /// The runs of one page that this version can read, and how many runs match in total.
    pub async fn runs(&self, filter: &RunFilter) -> sqlx::Result<(Vec<Run>, u32)> {
        let mut count = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM present_runs");
        push_filter(&mut count, filter, "state");
        let total: u32 = count.build_query_scalar().fetch_one(&self.pool).await?;

        // Find the page by its sorted columns alone and then read its rows: sorting whole rows is slow.
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_RUN);
        query.push(" WHERE seq IN (");
        push_page(&mut query, filter);
        query.push(format_args!(") ORDER BY {}", order(filter)));
        Ok((self.present(query.build().fetch_all(&self.pool).await?), total))
    }

    /// The row of every run, or of those that have changed since `cursor`, that of an earlier answer.
    pub async fn rows(&self, cursor: Option<&str>) -> sqlx::Result<RunRows> {
        // One transaction for a consistent answer: later changes come with the next cursor.
        let mut look = self.pool.begin().await?;
        let (lineage, revision): (String, i64) = sqlx::query_as(SELECT_REVISION).fetch_one(&mut *look).await?;
        let since = since(cursor, &lineage, revision);
        // Pending writes change no revision, so every answer contains their runs.
        let (changed, mut deleted) = self.pending.ids();
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_ROW);
        if let Some(since) = since {
            query.push(" WHERE (revision > ").push_bind(since);
            for id in &changed {
                query.push(" OR id = ").push_bind(id.as_str());
            }
            query.push(")");
        }
        let rows = query.build().fetch_all(&mut *look).await?;
        if let Some(since) = since {
            deleted.extend(ids(SELECT_DELETED, since, &mut look).await?);
        }
        look.commit().await?;
        let (mut present, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            match read(row) {
                Ok((run, device, place)) => present.extend(self.pending.amended(run).map(|run| RunRow::of(run, device, place))),
                Err(error) => unreadable.extend(named(row, &error)),
            }
        }
        Ok(RunRows { cursor: format!("{lineage}.{revision}"), complete: since.is_none(), rows: present, unreadable, deleted })
    }

    /// Differs from an earlier value if a run has changed since.
    pub async fn revision(&self) -> sqlx::Result<(i64, u64)> {
        let (_, revision): (String, i64) = sqlx::query_as(SELECT_REVISION).fetch_one(&self.pool).await?;
        Ok((revision, self.pending.version()))
    }

    /// The runs that have changed since `cursor`, that of an earlier answer; only a new cursor if it is
    /// `None`.
    pub async fn changed(&self, cursor: Option<&str>) -> sqlx::Result<Changed> {
        let mut look = self.pool.begin().await?;
        let (lineage, revision): (String, i64) = sqlx::query_as(SELECT_REVISION).fetch_one(&mut *look).await?;
        let since = since(cursor, &lineage, revision);
        let (mut runs, mut deleted) = match since {
            Some(since) => (
                ids("SELECT id FROM present_runs WHERE revision > ?", since, &mut look).await?,
                ids(SELECT_DELETED, since, &mut look).await?,
            ),
            None => (Vec::new(), Vec::new()),
        };
        look.commit().await?;
        let pending = self.pending.ids();
        runs.extend(pending.0);
        deleted.extend(pending.1);
        Ok(Changed { cursor: format!("{lineage}.{revision}"), known: cursor.is_none() || since.is_some(), runs, deleted })
    }

    /// Queued and running runs, in the order of their start.
    pub async fn queue(&self) -> sqlx::Result<Vec<(RunRow, RunConfig)>> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_ROW);
        query.push(" WHERE state IN ('queued', 'running') ORDER BY state = 'queued', coalesce(place, seq)");
        let rows = query.build().fetch_all(&self.pool).await?;
        let mut queue = Vec::with_capacity(rows.len());
        for (run, device, place) in rows.iter().flat_map(read) {
            if let Some(run) = self.pending.amended(run).filter(|run| run.state.is_active()) {
                let config = run.config.clone();
                queue.push((RunRow::of(run, device, place), config));
            }
        }
        Ok(queue)
    }

    /// Whether the queue starts no runs.
    pub async fn queue_is_paused(&self) -> sqlx::Result<bool> {
        sqlx::query_scalar("SELECT paused FROM queue").fetch_one(&self.pool).await
    }

    /// How many runs of a sweep may run at once, where a person has said so.
    pub async fn sweep_limit(&self, id: &SweepId) -> sqlx::Result<Option<u32>> {
        sqlx::query_scalar("SELECT at_once FROM sweeps WHERE id = ?").bind(id.as_str()).fetch_optional(&self.pool).await
    }

    /// The newest succeeded runs, at most `limit`.
    pub async fn done(&self, limit: u32) -> sqlx::Result<Vec<DoneRun>> {
        let rows = sqlx::query(
            "SELECT device, config, started_at, finished_at FROM present_runs \
             WHERE state = 'succeeded' AND started_at < finished_at ORDER BY seq DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().flat_map(done_run_of).collect())
    }

    /// Changes what people have written on a run; returns all of it, `None` if there is no such run.
    pub async fn change_labels(&self, id: &RunId, change: &RunChange) -> sqlx::Result<Option<Labels>> {
        let RunChange { title, tags, notes } = change;
        let changed: Option<(String, Json<Vec<String>>, String)> = sqlx::query_as(
            "UPDATE runs SET title = coalesce(?, title), tags = coalesce(?, tags), notes = coalesce(?, notes) WHERE id = ? \
             RETURNING title, tags, notes",
        )
        .bind(title)
        .bind(tags.as_ref().map(Json))
        .bind(notes)
        .bind(id.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(changed.map(|(title, Json(tags), notes)| Labels { title, tags, notes }))
    }

    /// The runs that people have written on.
    pub async fn labeled(&self) -> sqlx::Result<Vec<(RunId, Labels)>> {
        // A run whose configuration has no name is called after its content, which takes reading it.
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_ROW);
        query.push(" WHERE tags <> '[]' OR notes <> '' OR title <> coalesce(trim(config ->> '$.name'), '')");
        let rows = query.build().fetch_all(&self.pool).await?;
        let runs = rows.iter().flat_map(read).map(|(run, ..)| run);
        let labeled = runs.filter(|run| !run.tags.is_empty() || !run.notes.is_empty() || run.title != run.config.title());
        Ok(labeled.map(|Run { id, title, tags, notes, .. }| (id, Labels { title, tags, notes })).collect())
    }

    pub async fn count(&self, state: RunState) -> sqlx::Result<u32> {
        sqlx::query_scalar("SELECT count(*) FROM present_runs WHERE state = ?").bind(state.id()).fetch_one(&self.pool).await
    }

    /// Why the database takes no changes; `None` while it does.
    pub fn trouble(&self) -> Option<String> {
        self.pending.told()
    }

    /// The runs of a sweep, or of all sweeps, oldest first.
    pub async fn sweep_runs(&self, sweep: Option<&SweepId>) -> sqlx::Result<Vec<Run>> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_ROW);
        query.push(" WHERE sweep ");
        match sweep {
            Some(sweep) => query.push("= ").push_bind(sweep.as_str()),
            None => query.push("IS NOT NULL"),
        };
        query.push(" ORDER BY seq");
        let mut runs = self.present(query.build().fetch_all(&self.pool).await?);
        // All positions at once: thousands of runs of a sweep may be queued.
        if runs.iter().any(|run| run.state == RunState::Queued) {
            let positions = self.queue_positions().await?;
            for run in runs.iter_mut().filter(|run| run.state == RunState::Queued) {
                run.queue_position = positions.get(run.id.as_str()).copied();
            }
        }
        Ok(runs)
    }

    /// How many runs wait before each queued run for the same lane.
    async fn queue_positions(&self) -> sqlx::Result<HashMap<String, u32>> {
        let select =
            "SELECT id, row_number() OVER (PARTITION BY device ORDER BY coalesce(place, seq)) - 1 FROM present_runs WHERE state = 'queued'";
        let positions: Vec<(String, u32)> = sqlx::query_as(select).fetch_all(&self.pool).await?;
        Ok(positions.into_iter().collect())
    }

    /// The runs that measure pairs of classes, newest first.
    pub async fn pair_runs(&self) -> sqlx::Result<Vec<Run>> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT_RUN);
        query.push(" WHERE kind = ").push_bind(RunKind::Pair.id()).push(" ORDER BY seq DESC");
        Ok(self.present(query.build().fetch_all(&self.pool).await?))
    }

    /// Runs with their pending writes, without deleted ones and those that this version cannot read.
    fn present(&self, rows: Vec<SqliteRow>) -> Vec<Run> {
        rows.iter().flat_map(run_of).filter_map(|run| self.pending.amended(run)).collect()
    }

    /// The runs in the trash, the last deleted first. Each is deleted for good `kept` after it was deleted.
    pub async fn trash(&self, kept: SignedDuration) -> sqlx::Result<Vec<TrashedRun>> {
        // Selects no configuration, so that also a run can be restored that this version cannot read.
        let rows = sqlx::query(
            "SELECT id, title, kind, state, stopping, sweep, deleted_at, summary ->> '$.disk_bytes' AS disk_bytes \
             FROM runs WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, seq DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut run = trashed_run_of(row, kept)?;
            if let Some(RunStatus { state, .. }) = self.pending.amended_status(&run.id, status_of(row)?) {
                run.state = state;
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// The runs that were moved to the trash at a time or before.
    pub async fn trashed_until(&self, time: Timestamp) -> sqlx::Result<Vec<RunId>> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM runs WHERE deleted_at <= ?").bind(at(time)).fetch_all(&self.pool).await?;
        ids.into_iter().map(parsed_id).collect()
    }

    /// The runs of earlier versions that have ended and whose files were not measured.
    pub async fn unmeasured(&self) -> sqlx::Result<Vec<RunId>> {
        let select = "SELECT id FROM runs WHERE state NOT IN ('queued', 'running') AND summary ->> '$.disk_bytes' IS NULL";
        let ids: Vec<String> = sqlx::query_scalar(select).fetch_all(&self.pool).await?;
        ids.into_iter().map(parsed_id).collect()
    }

    /// Notes the size of the files of a run, unless it has been queued again meanwhile.
    pub async fn set_disk_bytes(&self, id: &RunId, bytes: u64) -> sqlx::Result<()> {
        sqlx::query("UPDATE runs SET summary = json_set(summary, '$.disk_bytes', ?) WHERE id = ? AND state NOT IN ('queued', 'running')")
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
            .bind(id.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Reads a run with its device and its place. Rows are read one by one, because one that this version cannot
/// read must not take the others away.
fn read(row: &SqliteRow) -> sqlx::Result<(Run, String, i64)> {
    Ok((run_of(row)?, row.try_get("device")?, row.try_get("place")?))
}

/// Reads a row of [`SELECT_RUN`].
fn run_of(row: &SqliteRow) -> sqlx::Result<Run> {
    Ok(Run {
        id: id_of(row)?,
        title: row.try_get("title")?,
        state: state_of(row)?,
        config: json_of(row, "config")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        queue_position: row.try_get("queue_position")?,
        failure: row.try_get("failure")?,
        stopping: stop_reason_of(row)?,
        tags: json_of(row, "tags")?,
        notes: row.try_get("notes")?,
        summary: json_of(row, "summary")?,
        job: json_or_null_of(row, "job")?,
    })
}

fn trashed_run_of(row: &SqliteRow, kept: SignedDuration) -> sqlx::Result<TrashedRun> {
    let (deleted_at, disk_bytes): (String, Option<i64>) = (row.try_get("deleted_at")?, row.try_get("disk_bytes")?);
    let (kind, sweep): (String, Option<String>) = (row.try_get("kind")?, row.try_get("sweep")?);
    Ok(TrashedRun {
        id: id_of(row)?,
        title: row.try_get("title")?,
        kind: kind.parse().ok(),
        state: state_of(row)?,
        sweep: sweep.and_then(|sweep| sweep.parse().ok()),
        gone_at: at(time(&deleted_at)? + kept),
        deleted_at,
        disk_bytes: disk_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
    })
}

fn done_run_of(row: &SqliteRow) -> sqlx::Result<DoneRun> {
    let (started, finished): (String, String) = (row.try_get("started_at")?, row.try_get("finished_at")?);
    let seconds = time(&finished)?.duration_since(time(&started)?).as_secs_f64();
    Ok(DoneRun { device: row.try_get("device")?, config: json_of(row, "config")?, seconds })
}

/// Reads the column `id` of a run.
pub fn id_of(row: &SqliteRow) -> sqlx::Result<RunId> {
    parsed_id(row.try_get("id")?)
}

fn parsed_id(text: String) -> sqlx::Result<RunId> {
    text.parse().map_err(|_| unreadable("id", &text))
}

fn status_of(row: &SqliteRow) -> sqlx::Result<RunStatus> {
    Ok(RunStatus { state: state_of(row)?, stopping: stop_reason_of(row)? })
}

fn state_of(row: &SqliteRow) -> sqlx::Result<RunState> {
    let text: String = row.try_get("state")?;
    RunState::ALL.into_iter().find(|state| state.id() == text).ok_or_else(|| unreadable("state", &text))
}

/// Reads what the worker of a run was asked for, while it saves.
pub fn stop_reason_of(row: &SqliteRow) -> sqlx::Result<Option<StopReason>> {
    let text: Option<String> = row.try_get("stopping")?;
    Ok(text.as_deref().map(StopReason::parse))
}

fn json_of<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    row.try_get(column).map(|Json(value)| value)
}

pub fn json_or_null_of<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<Option<T>> {
    let value: Option<Json<T>> = row.try_get(column)?;
    Ok(value.map(|Json(value)| value))
}

fn time(text: &str) -> sqlx::Result<Timestamp> {
    text.parse().map_err(|_| unreadable("time", text))
}

/// Names a run that this version cannot read.
fn named(row: &SqliteRow, error: &sqlx::Error) -> Option<UnreadableRun> {
    let text = |column| row.try_get::<String, _>(column).unwrap_or_default();
    Some(UnreadableRun { id: text("id").parse().ok()?, title: text("title"), message: why_unreadable(error)? })
}

/// What this version cannot read of a run; `None` if something else is wrong.
pub fn why_unreadable(error: &sqlx::Error) -> Option<String> {
    let sqlx::Error::ColumnDecode { index, source } = error else { return None };
    Some(format!("its {} holds what is unknown here ({source})", index.trim_matches('"')))
}

/// The runs whose revision is later than `since`.
async fn ids(select: &'static str, since: i64, look: &mut SqliteConnection) -> sqlx::Result<Vec<RunId>> {
    let ids: Vec<String> = sqlx::query_scalar(select).bind(since).fetch_all(look).await?;
    ids.into_iter().map(parsed_id).collect()
}

/// Selects the runs of a page by their `seq`.
fn push_page(query: &mut QueryBuilder<Sqlite>, filter: &RunFilter) {
    let state = match filter.sort {
        SortKey::Created | SortKey::State => "state",
        // The plus keeps SQLite from finding the runs of the state first and sorting them all: the index of
        // the order holds the state too.
        _ => "+state",
    };
    query.push("SELECT seq FROM present_runs");
    push_filter(query, filter, state);
    query.push(format_args!(" ORDER BY {} LIMIT ", order(filter)));
    query.push_bind(filter.limit).push(" OFFSET ").push_bind(filter.offset);
}

/// The `ORDER BY` terms. Runs without the number come last in both orders; among equal runs the newest comes
/// first.
fn order(filter: &RunFilter) -> String {
    let direction = match filter.order {
        SortOrder::Asc => "ASC",
        SortOrder::Desc => "DESC",
    };
    let key = match filter.sort {
        SortKey::Created => return format!("seq {direction}"),
        SortKey::Title => "title COLLATE NOCASE",
        SortKey::State => "state",
        SortKey::BestRobustAccuracy => "best_robust_accuracy",
        SortKey::LastRobustAccuracy => "last_robust_accuracy",
        SortKey::BestCas => "best_cas",
        SortKey::LastCas => "last_cas",
    };
    format!("{key} {direction} NULLS LAST, seq DESC")
}

/// Selects matching runs. `state`: the SQL expression of the state.
fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &RunFilter, state: &str) {
    query.push(" WHERE true");
    if let Some(wanted) = filter.state {
        query.push(format_args!(" AND {state} = ")).push_bind(wanted.id());
    }
    for word in &filter.words {
        let pattern = format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query.push(" AND (id LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\' OR title LIKE ").push_bind(pattern);
        query.push(" ESCAPE '\\')");
    }
}

fn unreadable(column: &'static str, value: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: format!("`{value}` is not a {column}").into() }
}

impl RunStatus {
    pub fn of(run: &Run) -> Self {
        RunStatus { state: run.state, stopping: run.stopping }
    }
}

#[cfg(test)]
mod tests {
    use shared::preset;

    use super::*;

    async fn open() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let pool = super::open(&folder.path().join("crosslens.db")).await.unwrap();
        (folder, Db::new(pool, PendingWrites::default()))
    }

    /// SQLite's query plan of a page.
    async fn plan(db: &Db, filter: &RunFilter) -> String {
        let mut query = QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN ");
        push_page(&mut query, filter);
        let steps: Vec<(i64, i64, i64, String)> = query.build_query_as().fetch_all(&db.pool).await.unwrap();
        steps.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_page_is_read_in_its_order_and_not_sorted() {
        let (_folder, db) = open().await;
        let sorts = [
            SortKey::Created,
            SortKey::Title,
            SortKey::State,
            SortKey::BestRobustAccuracy,
            SortKey::LastRobustAccuracy,
            SortKey::BestCas,
            SortKey::LastCas,
        ];
        for sort in sorts {
            for order in [SortOrder::Asc, SortOrder::Desc] {
                for state in [None, Some(RunState::Failed)] {
                    let filter = RunFilter { sort, order, state, limit: 50, ..RunFilter::default() };
                    let plan = plan(&db, &filter).await;
                    assert!(!plan.contains("B-TREE FOR ORDER BY"), "{filter:?}: {plan}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_database_of_an_earlier_version_opens_with_its_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crosslens.db");
        // The migrations of the earlier version.
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut names: Vec<_> = std::fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let earlier = folder.path().join("migrations");
        std::fs::create_dir(&earlier).unwrap();
        for name in &names[..3] {
            std::fs::copy(all.join(name), earlier.join(name)).unwrap();
        }
        let pool = SqlitePool::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
        sqlx::migrate::Migrator::new(earlier.as_path()).await.unwrap().run(&pool).await.unwrap();
        let old_summary = |cas: &str| {
            format!(
                r#"{{"epoch":2,"epochs":2,"fraction_done":1.0,"seconds_left":null,"spark":[0.5],"last":null,
                    "best":{{"epoch":1,"clean_accuracy":0.5,"robust_accuracy":0.25,"cas":{cas}}}}}"#
            )
        };
        for (id, summary) in [("low", old_summary("4.5")), ("none", old_summary("null")), ("high", old_summary("8.0"))] {
            sqlx::query(
                "INSERT INTO runs (id, title, state, device, config, created_at, summary) VALUES (?1, ?1, 'succeeded', 'cpu', ?2, ?3, ?4)",
            )
            .bind(id)
            .bind(Json(preset::demo().config))
            .bind(now())
            .bind(summary)
            .execute(&pool)
            .await
            .unwrap();
        }
        pool.close().await;

        let db = Db::new(super::open(&path).await.unwrap(), PendingWrites::default());
        let filter = RunFilter { sort: SortKey::BestCas, limit: 10, ..RunFilter::default() };
        let (runs, total) = db.runs(&filter).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["high", "low", "none"]);
        assert_eq!((total, runs[0].summary.best.as_ref().unwrap().cas), (3, Some(8.0)));
    }
}
