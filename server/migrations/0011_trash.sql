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
