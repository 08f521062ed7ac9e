-- Numbers of the summary and fields of the configuration that lists are sorted and selected by, so that indexes hold them.
ALTER TABLE runs ADD COLUMN best_robust_accuracy REAL GENERATED ALWAYS AS (summary ->> '$.best.robust_accuracy') VIRTUAL;
ALTER TABLE runs ADD COLUMN last_robust_accuracy REAL GENERATED ALWAYS AS (summary ->> '$.last.robust_accuracy') VIRTUAL;
ALTER TABLE runs ADD COLUMN best_cas REAL GENERATED ALWAYS AS (summary ->> '$.best.cas') VIRTUAL;
ALTER TABLE runs ADD COLUMN last_cas REAL GENERATED ALWAYS AS (summary ->> '$.last.cas') VIRTUAL;
ALTER TABLE runs ADD COLUMN kind TEXT GENERATED ALWAYS AS (config ->> '$.kind') VIRTUAL;
ALTER TABLE runs ADD COLUMN sweep TEXT GENERATED ALWAYS AS (config ->> '$.sweep') VIRTUAL;

-- Each also holds what breaks ties and the state, so that a sorted page of one state is read from the index alone.
CREATE INDEX runs_by_title ON runs (title COLLATE NOCASE, seq, state);
CREATE INDEX runs_by_best_robust_accuracy ON runs (best_robust_accuracy, seq, state);
CREATE INDEX runs_by_last_robust_accuracy ON runs (last_robust_accuracy, seq, state);
CREATE INDEX runs_by_best_cas ON runs (best_cas, seq, state);
CREATE INDEX runs_by_last_cas ON runs (last_cas, seq, state);

CREATE INDEX runs_by_kind ON runs (kind, seq);
CREATE INDEX runs_by_sweep ON runs (sweep, seq) WHERE sweep IS NOT NULL;

-- The queue of each device, in order.
CREATE INDEX queued_runs ON runs (device, coalesce(place, seq)) WHERE state = 'queued';
