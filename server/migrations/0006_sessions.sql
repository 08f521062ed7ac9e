-- Browsers that are signed in. Holds no secret: both hashes are SHA-256 in hexadecimal digits.
CREATE TABLE sessions (
    -- Of what the browser keeps.
    hash       TEXT NOT NULL PRIMARY KEY,
    -- Of the token that was signed in with: a session ends when the server has another token.
    token_hash TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
