-- When the run was moved to the trash; NULL if it is not there.
ALTER TABLE runs ADD COLUMN deleted_at TEXT;
CREATE INDEX trashed_runs ON runs (deleted_at) WHERE deleted_at IS NOT NULL;

-- The runs that are not in the trash.
CREATE VIEW present_runs AS SELECT * FROM runs WHERE deleted_at IS NULL;

-- Tables of runs hear of runs that leave and come back.
CREATE TRIGGER runs_trashed AFTER UPDATE OF deleted_at ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
END;

-- Pages of tables are read from these indexes alone: a column at the end of a long row is slow to reach. Each also
-- holds what breaks ties.
CREATE INDEX runs_by_state ON runs (state, seq, deleted_at);
CREATE INDEX runs_by_title ON runs (title COLLATE NOCASE, seq, state, deleted_at);
CREATE INDEX runs_by_best_robust_accuracy ON runs (best_robust_accuracy, seq, state, deleted_at);
CREATE INDEX runs_by_last_robust_accuracy ON runs (last_robust_accuracy, seq, state, deleted_at);
CREATE INDEX runs_by_best_cas ON runs (best_cas, seq, state, deleted_at);
CREATE INDEX runs_by_last_cas ON runs (last_cas, seq, state, deleted_at);
