-- What people add to runs, where they move them in the queue, and what has changed since when.
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT '';

-- Where the run was moved to in the queue; it is at `seq` where it never was. Moves exchange places, so that no two runs have one.
ALTER TABLE runs ADD COLUMN place INTEGER;

-- Rises with every change that a table of runs shows.
ALTER TABLE runs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_by_revision ON runs (revision);

-- One row. Revisions of different databases do not compare, so each has a name.
CREATE TABLE changes (
    lineage  TEXT    NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO changes VALUES (lower(hex(randomblob(8))), 0);

CREATE TABLE deleted_runs (
    id       TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER runs_inserted AFTER INSERT ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
    DELETE FROM deleted_runs WHERE id = new.id;
END;

CREATE TRIGGER runs_updated AFTER UPDATE OF title, state, device, canceling, summary, tags, notes, place ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
END;

CREATE TRIGGER runs_deleted AFTER DELETE ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    INSERT OR REPLACE INTO deleted_runs VALUES (old.id, (SELECT revision FROM changes));
END;
