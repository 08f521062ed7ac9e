-- A further state, `paused`: the column is made anew, because its check cannot be changed.
DROP TRIGGER runs_updated;
DROP INDEX runs_by_state;
DROP INDEX runs_by_title;
DROP INDEX runs_by_best_robust_accuracy;
DROP INDEX runs_by_last_robust_accuracy;
DROP INDEX runs_by_best_cas;
DROP INDEX runs_by_last_cas;
DROP INDEX queued_runs;
ALTER TABLE runs ADD COLUMN new_state TEXT NOT NULL DEFAULT 'queued'
    CHECK (new_state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'canceled'));
UPDATE runs SET new_state = state;
ALTER TABLE runs DROP COLUMN state;
ALTER TABLE runs RENAME COLUMN new_state TO state;

-- What the worker of a run was asked for while it saves: cancel, pause or requeue; NULL if it was not asked to stop.
ALTER TABLE runs ADD COLUMN stopping TEXT;
UPDATE runs SET stopping = 'cancel' WHERE canceling = 1;
ALTER TABLE runs DROP COLUMN canceling;

CREATE TRIGGER runs_updated AFTER UPDATE OF title, state, device, stopping, summary, tags, notes, place ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
END;
CREATE INDEX queued_runs ON runs (device, coalesce(place, seq)) WHERE state = 'queued';

-- One row: whether the queue starts no runs.
CREATE TABLE queue (paused INTEGER NOT NULL) STRICT;
INSERT INTO queue VALUES (0);
