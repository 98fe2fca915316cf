-- Durable jobs and idempotency records.

CREATE TABLE store_job (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL, -- JSON
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'dead')),
    dedupe TEXT,
    attempt INTEGER NOT NULL DEFAULT 0, -- how often it was claimed since it was last made ready by a person
    due_at REAL NOT NULL, -- seconds since 1970 (UTC); 0: at once
    claimed_by TEXT, -- the process that runs it
    leased_until REAL,
    error TEXT, -- type or code of the last failure; never its text
    created_at TEXT NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;

CREATE INDEX store_job_due ON store_job (state, kind, due_at);
CREATE INDEX store_job_changed ON store_job (state, changed_at);
CREATE UNIQUE INDEX store_job_dedupe ON store_job (kind, dedupe) WHERE state IN ('ready', 'running');

CREATE TABLE store_idempotency (
    scope TEXT NOT NULL, -- who asked: keys of two people never meet
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL, -- SHA-256 of the request
    status INTEGER NOT NULL,
    headers BLOB NOT NULL, -- JSON object
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX store_idempotency_created ON store_idempotency (created_at);
