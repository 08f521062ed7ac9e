//! Share links: in the database, and in a file beside the run directories so that they outlive the database.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::api::{NewLink, NewShare, Share};
use shared::id::{RunId, ShareId, ShareToken};
use shared::view::View;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::db::{at, now};
use crate::id::{new_share_token, sha256};
use crate::plain_file;

/// How long an expired link is kept, so that whoever opens it is told.
const EXPIRED_KEPT_DAYS: i64 = 30;

#[derive(Clone, Debug)]
pub struct ShareLinks {
    pool: SqlitePool,
    file: PathBuf,
    /// Held while the file is written, so that the last change stands in it.
    turn: Arc<Mutex<()>>,
}

/// A link as the file holds it: all but the token, of which it has the hash.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct KeptLink {
    id: u32,
    token_hash: String,
    title: String,
    note: String,
    view: String,
    created_at: String,
    expires_at: Option<String>,
}

impl ShareLinks {
    /// `file` is beside the run directories.
    pub fn new(pool: SqlitePool, file: PathBuf) -> Self {
        ShareLinks { pool, file, turn: Arc::default() }
    }

    /// Makes a share of a view that shows `runs`.
    pub async fn insert(&self, new: &NewShare, runs: &[RunId]) -> sqlx::Result<NewLink> {
        let NewShare { view, title, note, expires_in_days } = new;
        let (token, made) = (new_share_token(), Timestamp::now());
        let end = expires_in_days.map(|days| at(made + SignedDuration::from_hours(24 * i64::from(days))));
        let mut transaction = self.pool.begin().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO shares (token_hash, title, note, view, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(sha256(token.as_str()))
        .bind(title)
        .bind(note)
        .bind(view)
        .bind(at(made))
        .bind(end)
        .fetch_one(&mut *transaction)
        .await?;
        note_runs(&mut transaction, id, runs).await?;
        transaction.commit().await?;
        self.keep().await;
        let share = self.of(&token).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(NewLink { share, path: format!("s/{token}"), token })
    }

    /// Gives a share another token, so that its former link no longer works; `None` if there is no such
    /// share.
    pub async fn renew(&self, id: ShareId) -> sqlx::Result<Option<NewLink>> {
        let token = new_share_token();
        sqlx::query("UPDATE shares SET token_hash = ? WHERE id = ?").bind(sha256(token.as_str())).bind(id.0).execute(&self.pool).await?;
        self.keep().await;
        let share = self.of(&token).await?;
        Ok(share.map(|share| NewLink { share, path: format!("s/{token}"), token }))
    }

    /// The share that a token opens.
    pub async fn of(&self, token: &ShareToken) -> sqlx::Result<Option<Share>> {
        let mut query = select();
        query.push(" WHERE token_hash = ").push_bind(sha256(token.as_str()));
        query.build().fetch_optional(&self.pool).await?.as_ref().map(share_of).transpose()
    }

    /// All shares, newest first.
    pub async fn all(&self) -> sqlx::Result<Vec<Share>> {
        let mut query = select();
        query.push(" ORDER BY created_at DESC, id DESC");
        query.build().fetch_all(&self.pool).await?.iter().map(share_of).collect()
    }

    /// Deletes shares that expired long ago.
    pub async fn sweep(&self) -> sqlx::Result<()> {
        let long_ago = Timestamp::now() - SignedDuration::from_hours(24 * EXPIRED_KEPT_DAYS);
        sqlx::query("DELETE FROM shares WHERE expires_at <= ?").bind(at(long_ago)).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn count(&self) -> sqlx::Result<u32> {
        sqlx::query_scalar("SELECT count(*) FROM shares").fetch_one(&self.pool).await
    }

    /// Revokes a share; returns whether there was one.
    pub async fn delete(&self, id: ShareId) -> sqlx::Result<bool> {
        let deleted = sqlx::query("DELETE FROM shares WHERE id = ?").bind(id.0).execute(&self.pool).await?;
        self.keep().await;
        Ok(deleted.rows_affected() > 0)
    }

    /// Takes the links of the file into a new database, and writes the file of one that has none yet. Call
    /// after the runs were taken in.
    pub async fn recover(&self) {
        match self.take_in().await {
            Ok(()) => self.keep().await,
            Err(error) => tracing::warn!("the share links in {} are not taken in: {error:#}", self.file.display()),
        }
    }

    async fn take_in(&self) -> anyhow::Result<()> {
        // A database that once held a link knows better which of them were revoked.
        let last: i64 =
            sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'shares'").fetch_one(&self.pool).await?;
        if last > 0 {
            return Ok(());
        }
        let file = match plain_file::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.context("it cannot be read")?,
        };
        let links: Vec<KeptLink> = serde_json::from_reader(io::BufReader::new(file)).context("it is no list of links")?;
        let runs: Vec<String> = sqlx::query_scalar("SELECT id FROM runs").fetch_all(&self.pool).await?;
        let runs: HashSet<String> = runs.into_iter().collect();
        let mut transaction = self.pool.begin().await?;
        for link in &links {
            let KeptLink { id, token_hash, title, note, view, created_at, expires_at } = link;
            let shown = view.parse::<View>().map(|view| view.runs()).unwrap_or_default();
            if shown.is_empty() || shown.iter().any(|run| !runs.contains(run.as_str())) {
                tracing::warn!("the share link `{title}` is not taken in: it shows a run that is not here");
                continue;
            }
            sqlx::query("INSERT INTO shares (id, token_hash, title, note, view, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)")
                .bind(id)
                .bind(token_hash)
                .bind(title)
                .bind(note)
                .bind(view)
                .bind(created_at)
                .bind(expires_at)
                .execute(&mut *transaction)
                .await?;
            note_runs(&mut transaction, i64::from(*id), &shown).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Writes all links to the file. A disk that is full makes no change fail: the database has it.
    async fn keep(&self) {
        let _turn = self.turn.lock().await;
        let select = "SELECT id, token_hash, title, note, view, created_at, expires_at FROM shares ORDER BY id";
        let rows = sqlx::query(select).fetch_all(&self.pool).await;
        let links = rows.and_then(|rows| rows.iter().map(kept_link_of).collect::<sqlx::Result<Vec<_>>>());
        if matches!(&links, Ok(links) if links.is_empty()) && !self.file.exists() {
            return;
        }
        let written = links.map_err(io::Error::other).and_then(|links| plain_file::write_json(&self.file, &links));
        if let Err(error) = written {
            tracing::warn!("share links are in the database only; {} cannot be written: {error}", self.file.display());
        }
    }
}

/// Notes which runs a share shows.
async fn note_runs(transaction: &mut SqliteConnection, share: i64, runs: &[RunId]) -> sqlx::Result<()> {
    for run in runs {
        sqlx::query("INSERT INTO share_runs (share, run) VALUES (?, ?)").bind(share).bind(run.as_str()).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Begins a query for shares.
fn select() -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id, title, note, view, created_at, expires_at, coalesce(expires_at <= ");
    query.push_bind(now()).push(", false) AS expired FROM shares");
    query
}

/// Reads a row of [`select`].
fn share_of(row: &SqliteRow) -> sqlx::Result<Share> {
    Ok(Share {
        id: ShareId(row.try_get("id")?),
        title: row.try_get("title")?,
        note: row.try_get("note")?,
        view: row.try_get("view")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        expired: row.try_get("expired")?,
    })
}

fn kept_link_of(row: &SqliteRow) -> sqlx::Result<KeptLink> {
    Ok(KeptLink {
        id: row.try_get("id")?,
        token_hash: row.try_get("token_hash")?,
        title: row.try_get("title")?,
        note: row.try_get("note")?,
        view: row.try_get("view")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
