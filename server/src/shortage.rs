//! Shortages that pass: a full disk and a database in use by another program. Recognizes them among errors
//! and describes them.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use shared::format;

use crate::problem::Kind;

/// Free space below which checkpoints may not fit.
const LOW_BYTES: u64 = 64 << 20;
/// Free space that counts as none: file systems reserve some blocks.
const FULL_BYTES: u64 = 1 << 20;

/// `SQLITE_BUSY`, `SQLITE_LOCKED` and `SQLITE_FULL`, <https://www.sqlite.org/rescode.html>.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const FULL: i32 = 13;

/// Why something cannot be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    DiskFull,
    DatabaseBusy,
}

impl Shortage {
    /// The shortage behind an error or one of its causes.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = Self::of_io(error).or_else(|| Self::of_database(error)) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    fn of_io(error: &(dyn Error + 'static)) -> Option<Self> {
        let kind = error.downcast_ref::<io::Error>()?.kind();
        matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded).then_some(Shortage::DiskFull)
    }

    fn of_database(error: &(dyn Error + 'static)) -> Option<Self> {
        match sqlite_code(error.downcast_ref::<sqlx::Error>()?)? {
            FULL => Some(Shortage::DiskFull),
            BUSY | LOCKED => Some(Shortage::DatabaseBusy),
            _ => None,
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Shortage::DiskFull => Kind::DiskFull,
            Shortage::DatabaseBusy => Kind::DatabaseBusy,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shortage::DiskFull => "the disk of the data directory is full, so nothing was saved; delete runs for good or other files there",
            Shortage::DatabaseBusy => "another program holds the database, so nothing was saved; try again in a moment",
        })
    }
}

/// The primary result code of SQLite.
pub fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    match error {
        // The last eight bits are the primary code.
        sqlx::Error::Database(error) => Some(error.code()?.parse::<i32>().ok()? & 0xff),
        // All connections wait for the database.
        sqlx::Error::PoolTimedOut => Some(BUSY),
        _ => None,
    }
}

/// Free space on the disk of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// A sentence about too little space on the disk of a folder; `None` if there is enough or the space is
/// unknown.
pub fn lack_of_room(folder: &Path) -> Option<String> {
    let space = rustix::fs::statvfs(folder).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    room(free, space.f_files > 0 && space.f_favail == 0, &folder)
}

fn room(free_bytes: u64, no_more_files: bool, folder: &Path) -> Option<String> {
    let folder = folder.display();
    match () {
        () if free_bytes < FULL_BYTES => Some(format!(
            "the disk that holds `{folder}` is full ({} free): runs cannot save what they measure; delete runs for good or other files there",
            format::bytes(free_bytes)
        )),
        () if no_more_files => {
            Some(format!("the disk that holds `{folder}` takes no more files; delete runs for good or other files there"))
        }
        () if free_bytes < LOW_BYTES => Some(format!(
            "the disk that holds `{folder}` is nearly full ({} free); delete runs for good or other files there",
            format::bytes(free_bytes)
        )),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    #[test]
    fn a_full_disk_is_found_among_the_causes_of_an_error() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let told = anyhow::Error::new(full()).context("cannot make the directory of the run");
        assert_eq!(Shortage::of(told.as_ref()), Some(Shortage::DiskFull));
        assert_eq!(Shortage::of(&io::Error::from_raw_os_error(libc::EDQUOT)), Some(Shortage::DiskFull));
        assert_eq!(Shortage::of(&io::Error::from_raw_os_error(libc::EACCES)), None);
    }

    #[tokio::test]
    async fn what_sqlite_says_of_a_full_disk_and_of_a_lock_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite://{}?mode=rwc", folder.path().join("small.db").display());
        let mut database = SqliteConnection::connect(&address).await.unwrap();
        sqlx::raw_sql("PRAGMA max_page_count = 2; CREATE TABLE big (text TEXT)").execute(&mut database).await.unwrap();
        let full = sqlx::query("INSERT INTO big VALUES (hex(zeroblob(20000)))").execute(&mut database).await.unwrap_err();
        assert_eq!(Shortage::of(&full), Some(Shortage::DiskFull), "{full}");

        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut database).await.unwrap();
        let options: sqlx::sqlite::SqliteConnectOptions = address.parse().unwrap();
        let options = options.busy_timeout(std::time::Duration::ZERO);
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        let busy = sqlx::query("INSERT INTO big VALUES ('')").execute(&mut other).await.unwrap_err();
        assert_eq!(Shortage::of(&busy), Some(Shortage::DatabaseBusy), "{busy}");
        let wrong = sqlx::query("INSERT INTO none VALUES ('')").execute(&mut database).await.unwrap_err();
        assert_eq!(Shortage::of(&wrong), None, "{wrong}");
    }

    #[test]
    fn little_room_is_said_with_how_little() {
        let said = |free, files| room(free, files, Path::new("/data"));
        assert_eq!(said(1 << 30, false), None);
        assert!(said(0, false).unwrap().contains("`/data` is full (0 B free)"));
        assert!(said(32 << 20, false).unwrap().contains("nearly full (32.0 MiB free)"));
        assert!(said(1 << 30, true).unwrap().contains("no more files"));
    }
}
