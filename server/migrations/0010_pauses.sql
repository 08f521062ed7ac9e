-- What the worker of a run was asked for while it saves: cancel, pause or requeue; NULL if it was not asked to stop.
ALTER TABLE runs ADD COLUMN stopping TEXT;
UPDATE runs SET stopping = 'cancel' WHERE canceling = 1;

DROP TRIGGER runs_updated;
ALTER TABLE runs DROP COLUMN canceling;
CREATE TRIGGER runs_updated AFTER UPDATE OF title, state, device, stopping, summary, tags, notes, place ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
END;

-- One row: whether the queue starts no runs.
CREATE TABLE queue (paused INTEGER NOT NULL) STRICT;
INSERT INTO queue VALUES (0);
