-- The lane that a person has chosen for a run instead of what its configuration asks for; NULL if none has.
ALTER TABLE runs ADD COLUMN lane TEXT;

-- What the engine of the lane knows of a run that was handed over to it, as JSON; NULL before.
ALTER TABLE runs ADD COLUMN job TEXT;

DROP TRIGGER runs_updated;
CREATE TRIGGER runs_updated AFTER UPDATE OF title, state, device, stopping, summary, tags, notes, place, job ON runs BEGIN
    UPDATE changes SET revision = revision + 1;
    UPDATE runs SET revision = (SELECT revision FROM changes) WHERE seq = new.seq;
END;

-- How many runs of a sweep may run at once, where a person has said so.
CREATE TABLE sweeps (
    id      TEXT    NOT NULL PRIMARY KEY,
    at_once INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
