ALTER TABLE shares ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- When the link stops to work; never where there is none.
ALTER TABLE shares ADD COLUMN expires_at TEXT;

CREATE INDEX shares_by_end ON shares (expires_at);
