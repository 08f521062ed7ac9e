-- What the server knows of runs beside their directories.
CREATE TABLE runs (
    -- The order of the queue.
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    title       TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    -- What the run waits for or runs on: `cpu`, `cuda:0`.
    device      TEXT    NOT NULL,
    config      TEXT    NOT NULL,
    created_at  TEXT    NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    -- The process group of the worker, while it runs.
    worker_pid  INTEGER,
    canceling   INTEGER NOT NULL DEFAULT 0,
    failure     TEXT,
    -- The numbers of tables, summed up from metrics.jsonl.
    summary     TEXT    NOT NULL
) STRICT;

CREATE INDEX runs_by_state ON runs (state, seq);

CREATE TABLE shares (
    token      TEXT NOT NULL PRIMARY KEY,
    title      TEXT NOT NULL,
    view       TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

-- The runs that a share shows: it goes when one of them does.
CREATE TABLE share_runs (
    token TEXT NOT NULL REFERENCES shares (token) ON DELETE CASCADE,
    run   TEXT NOT NULL REFERENCES runs (id),
    PRIMARY KEY (token, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX share_runs_by_run ON share_runs (run);
