-- readable-by: 4
-- What an old primary wrote after its peer had taken over: people decide about each row, nothing is merged by itself.

CREATE TABLE cluster_divergence (
    id TEXT PRIMARY KEY, -- hash of node, epoch, table, key and row: a second report of the same row changes nothing
    node TEXT NOT NULL, -- whose tail it was
    epoch INTEGER NOT NULL, -- in which the row was written there
    base_txid INTEGER NOT NULL, -- up to where that epoch is part of the record
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL, -- JSON object
    kind TEXT NOT NULL CHECK (kind IN ('added', 'changed', 'removed')),
    old TEXT, -- JSON object: the row there; null when it was removed there
    fence TEXT, -- JSON object: the row at base_txid; null when it was added there
    found_at TEXT NOT NULL,
    resolved_at TEXT,
    resolved_by TEXT, -- user id
    resolution TEXT -- what the person decided, in a word
) STRICT;

CREATE INDEX cluster_divergence_open ON cluster_divergence (found_at) WHERE resolved_at IS NULL;
