//! The steps that bring a database of any earlier version up to date.
//!
//! Listed by hand and not with `sqlx::migrate!`: the macros of sqlx compile it and SQLite a second time, for the
//! compiler.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlStr};

/// The files in `migrations`, in order. Databases know them by number and content: a file that has been released
/// never changes.
const FILES: [&str; 10] = [
    include_str!("../migrations/0001_runs_and_shares.sql"),
    include_str!("../migrations/0002_labels_places_and_changes.sql"),
    include_str!("../migrations/0003_notes_and_ends_of_shares.sql"),
    include_str!("../migrations/0004_columns_to_sort_by.sql"),
    include_str!("../migrations/0005_retries.sql"),
    include_str!("../migrations/0006_sessions.sql"),
    include_str!("../migrations/0007_hashed_shares.sql"),
    include_str!("../migrations/0008_pauses.sql"),
    include_str!("../migrations/0009_trash.sql"),
    include_str!("../migrations/0010_lanes.sql"),
];

pub fn all() -> Migrator {
    Migrator::with_migrations((1..).zip(FILES).map(|(number, sql)| migration(number, sql.into_sql_str())).collect())
}

fn migration(number: i64, sql: SqlStr) -> Migration {
    Migration::new(number, format!("step {number}").into(), MigrationType::Simple, sql, false)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let contents: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(contents, FILES);
    }
}
