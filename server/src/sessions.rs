//! Browsers that are signed in. A browser keeps the random name of its session and not the token, so that
//! signing out ends the session, also for a copy of the cookie.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sqlx::SqlitePool;

use crate::id::{random_hex, sha256};
use crate::state::Settings;

/// How long a session lasts: a year.
pub const LASTS_SECS: u32 = 31_536_000;

/// What a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Reading, without changes.
    Reader,
}

/// The sessions of this server's present tokens: in memory for every request, in the database for the next
/// start.
#[derive(Debug)]
pub struct Sessions {
    pool: SqlitePool,
    /// Role and end, by the hash of the session's name.
    known: Mutex<HashMap<String, (Role, Timestamp)>>,
}

impl Sessions {
    /// Reads the sessions of the present tokens and deletes those of former ones.
    pub async fn open(pool: SqlitePool, settings: &Settings) -> sqlx::Result<Self> {
        let tokens: HashMap<String, Role> = tokens(settings).map(|(token, role)| (sha256(token), role)).collect();
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT hash, token_hash, created_at FROM sessions").fetch_all(&pool).await?;
        let now = Timestamp::now();
        let mut known = HashMap::new();
        for (hash, token_hash, created_at) in rows {
            let end = created_at.parse().ok().and_then(end);
            match (tokens.get(&token_hash), end.filter(|end| *end > now)) {
                (Some(role), Some(end)) => {
                    known.insert(hash, (*role, end));
                }
                _ => delete(&pool, &hash).await,
            }
        }
        Ok(Sessions { pool, known: Mutex::new(known) })
    }

    /// What a session permits; `None` if there is none of this name.
    pub fn role(&self, name: &str) -> Option<Role> {
        let (role, end) = *self.known().get(&sha256(name))?;
        (end > Timestamp::now()).then_some(role)
    }

    /// Begins a session of whoever sent the token, and returns its name.
    pub async fn begin(&self, token: &str, role: Role) -> String {
        let (name, now) = (random_hex(), Timestamp::now());
        let hash_of_name = sha256(&name);
        let end = end(now).unwrap_or(Timestamp::MAX);
        self.known().insert(hash_of_name.clone(), (role, end));
        let kept = sqlx::query("INSERT INTO sessions (hash, token_hash, created_at) VALUES (?, ?, ?)")
            .bind(hash_of_name)
            .bind(sha256(token))
            .bind(now.to_string())
            .execute(&self.pool)
            .await;
        if let Err(error) = kept {
            // Whoever comes to make room on a full disk has to get in.
            tracing::warn!("a session ends with this server, because it cannot be stored: {error}");
        }
        name
    }

    /// Ends a session.
    pub async fn end(&self, name: &str) {
        let hash = sha256(name);
        self.known().remove(&hash);
        delete(&self.pool, &hash).await;
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Role, Timestamp)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a token permits; `None` if this server does not know it.
pub fn role_of_token(given: &str, settings: &Settings) -> Option<Role> {
    tokens(settings).find(|(token, _)| equal(given, token)).map(|(_, role)| role)
}

fn tokens(settings: &Settings) -> impl Iterator<Item = (&str, Role)> {
    let owner = settings.token.as_deref().map(|token| (token, Role::Owner));
    owner.into_iter().chain(settings.read_token.as_deref().map(|token| (token, Role::Reader)))
}

/// Compares in constant time, which does not tell how many characters are right.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn end(begin: Timestamp) -> Option<Timestamp> {
    begin.checked_add(SignedDuration::from_secs(LASTS_SECS.into())).ok()
}

async fn delete(pool: &SqlitePool, hash: &str) {
    if let Err(error) = sqlx::query("DELETE FROM sessions WHERE hash = ?").bind(hash).execute(pool).await {
        tracing::warn!("a session that has ended is still in the database: {error}");
    }
}
