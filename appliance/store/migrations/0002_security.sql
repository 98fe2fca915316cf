-- People, devices, sessions, keys and the audit log.

CREATE TABLE security_user (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT,
    practitioner_id TEXT,
    created_at TEXT NOT NULL,
    disabled_at TEXT
) STRICT;

CREATE TABLE security_device (
    id TEXT PRIMARY KEY,
    user_id TEXT REFERENCES security_user (id), -- NULL: a shared device, on which any person may log in
    name TEXT NOT NULL,
    enrolled_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
CREATE INDEX security_device_user ON security_device (user_id);

-- A device has the certificate of its enrolment and those of its renewals.
CREATE TABLE security_certificate (
    fingerprint BLOB PRIMARY KEY, -- SHA-256 of the DER
    device_id TEXT NOT NULL REFERENCES security_device (id),
    serial TEXT NOT NULL,
    not_after TEXT NOT NULL,
    issued_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX security_certificate_device ON security_certificate (device_id);

CREATE TABLE security_enrolment_code (
    id TEXT PRIMARY KEY,
    secret_sha256 BLOB NOT NULL,
    user_id TEXT REFERENCES security_user (id), -- NULL: enrols a shared device
    created_by TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    wrong_attempts INTEGER NOT NULL DEFAULT 0,
    used_at TEXT,
    device_id TEXT
) STRICT;

CREATE TABLE security_session (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES security_user (id),
    device_id TEXT NOT NULL REFERENCES security_device (id),
    fingerprint BLOB NOT NULL, -- the certificate that its tokens are bound to
    created_at TEXT NOT NULL,
    revoked_at TEXT,
    revoked_reason TEXT
) STRICT;
CREATE INDEX security_session_user ON security_session (user_id);
CREATE INDEX security_session_device ON security_session (device_id);

CREATE TABLE security_token (
    sha256 BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES security_session (id),
    kind TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    generation INTEGER NOT NULL, -- grows with each refresh of the session
    issued_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    replaced_at TEXT -- set on a refresh token once it was used
) STRICT, WITHOUT ROWID;
CREATE INDEX security_token_session ON security_token (session_id);
CREATE INDEX security_token_expiry ON security_token (expires_at);

CREATE TABLE security_signing_key (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES security_user (id),
    device_id TEXT, -- set when the private half lives on that device
    public_key BLOB NOT NULL,
    sealed_private_key BLOB, -- NULL when the private half lives on the device
    created_at TEXT NOT NULL,
    retired_at TEXT
) STRICT;
CREATE INDEX security_signing_key_user ON security_signing_key (user_id);

CREATE TABLE security_data_key (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    version INTEGER NOT NULL,
    wrapped BLOB, -- NULL: erased; the row stays as a tombstone
    created_at TEXT NOT NULL,
    erased_at TEXT,
    UNIQUE (scope, version)
) STRICT;

CREATE TABLE security_vault (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    proof BLOB NOT NULL -- opens only with the master key that this database was written with
) STRICT;

-- The audit log: rows are leaves of an RFC 6962 tree; body is the exact leaf.
CREATE TABLE audit_event (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    at TEXT GENERATED ALWAYS AS (json_extract(body, '$.at')) VIRTUAL,
    user_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.user_id')) VIRTUAL,
    patient TEXT GENERATED ALWAYS AS (json_extract(body, '$.patient')) VIRTUAL
);
CREATE INDEX audit_event_user ON audit_event (user_id);
CREATE INDEX audit_event_patient ON audit_event (patient) WHERE patient IS NOT NULL;

-- An access that showed several patients, findable by each of them (its body names them too: this is only the index).
CREATE TABLE audit_patient (
    patient TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES audit_event (seq),
    PRIMARY KEY (patient, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_patient_no_update BEFORE UPDATE ON audit_patient
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_patient_no_delete BEFORE DELETE ON audit_patient
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON audit_event
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
-- INSERT OR REPLACE does not fire the delete trigger (recursive_triggers is off): demand the next number instead.
CREATE TRIGGER audit_event_next BEFORE INSERT ON audit_event
WHEN new.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_event)
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

-- Inner nodes of the tree: hashes of perfect subtrees, written once.
CREATE TABLE audit_node (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_node_no_update BEFORE UPDATE ON audit_node
BEGIN
    SELECT raise(ABORT, 'the audit tree is append-only');
END;
CREATE TRIGGER audit_node_no_delete BEFORE DELETE ON audit_node
BEGIN
    SELECT raise(ABORT, 'the audit tree is append-only');
END;
CREATE TRIGGER audit_node_next BEFORE INSERT ON audit_node
WHEN EXISTS (SELECT 1 FROM audit_node WHERE level = new.level AND position = new.position)
BEGIN
    SELECT raise(ABORT, 'the audit tree is append-only');
END;

CREATE TABLE audit_head (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    signed_at TEXT NOT NULL,
    key_id TEXT NOT NULL,
    public_key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_head_no_update BEFORE UPDATE ON audit_head
BEGIN
    SELECT raise(ABORT, 'signed heads are append-only');
END;
CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head
BEGIN
    SELECT raise(ABORT, 'signed heads are append-only');
END;
CREATE TRIGGER audit_head_next BEFORE INSERT ON audit_head
WHEN new.size <= (SELECT max(size) FROM audit_head)
BEGIN
    SELECT raise(ABORT, 'signed heads are append-only');
END;
