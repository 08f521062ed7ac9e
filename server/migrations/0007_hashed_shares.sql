-- Whoever reads the database cannot open share links: it holds hashes of their tokens.
CREATE TABLE hashed_shares (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of the token in hexadecimal digits. The tokens of earlier versions are hashed by the server, right after this.
    token_hash TEXT NOT NULL UNIQUE,
    title      TEXT NOT NULL,
    note       TEXT NOT NULL,
    view       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    -- When the link stops to work; never where there is none.
    expires_at TEXT
) STRICT;

INSERT INTO hashed_shares (token_hash, title, note, view, created_at, expires_at)
SELECT token, title, note, view, created_at, expires_at FROM shares ORDER BY created_at, token;

CREATE TABLE runs_of_shares (
    share INTEGER NOT NULL REFERENCES hashed_shares (id) ON DELETE CASCADE,
    run   TEXT    NOT NULL REFERENCES runs (id),
    PRIMARY KEY (share, run)
) STRICT, WITHOUT ROWID;

INSERT INTO runs_of_shares SELECT hashed_shares.id, share_runs.run FROM share_runs JOIN hashed_shares ON token_hash = token;

DROP TABLE share_runs;
DROP TABLE shares;
ALTER TABLE hashed_shares RENAME TO shares;
ALTER TABLE runs_of_shares RENAME TO share_runs;
CREATE INDEX share_runs_by_run ON share_runs (run);
CREATE INDEX shares_by_end ON shares (expires_at);
