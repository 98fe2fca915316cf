-- readable-by: 7
-- Faces as a second signal, and the confirmations that routes may ask for.

CREATE TABLE security_face_template (
    user_id TEXT PRIMARY KEY REFERENCES security_user (id),
    model_version TEXT NOT NULL, -- the embedding space; another one means enrolling again
    key_id TEXT NOT NULL, -- the person's own data key for faces; it is destroyed with the template
    sealed BLOB NOT NULL, -- AES-256-GCM, AAD: person and model version
    enrolled_at TEXT NOT NULL
) STRICT;

-- Who agreed to which text, and when they took it back. Rows stay: they prove on what ground a template was kept.
CREATE TABLE security_face_consent (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES security_user (id),
    text_version TEXT NOT NULL,
    language TEXT NOT NULL,
    device_id TEXT NOT NULL,
    given_at TEXT NOT NULL,
    withdrawn_at TEXT,
    withdrawn_by TEXT -- user id
) STRICT;
CREATE INDEX security_face_consent_user ON security_face_consent (user_id);

-- What one session on one certificate was asked to do; it counts once.
CREATE TABLE security_face_challenge (
    nonce_sha256 BLOB PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('enrol', 'verify')),
    user_id TEXT NOT NULL REFERENCES security_user (id),
    session_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL, -- SHA-256 of the device certificate's DER
    steps TEXT NOT NULL, -- gestures in order, separated by spaces
    issued_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    taken_at TEXT, -- frames came in for it
    settled_at TEXT -- and were found right
) STRICT, WITHOUT ROWID;
CREATE INDEX security_face_challenge_expires ON security_face_challenge (expires_at);

-- SHA-256 of frames that were sent, so that none counts twice; the pictures themselves are kept nowhere.
CREATE TABLE security_face_frame (
    sha256 BLOB PRIMARY KEY,
    seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX security_face_frame_seen ON security_face_frame (seen_at);

CREATE TABLE security_face_failure (
    user_id TEXT PRIMARY KEY REFERENCES security_user (id),
    attempts INTEGER NOT NULL,
    last_at TEXT NOT NULL
) STRICT;

-- A session whose person was confirmed anew a short while ago, by face or by password.
CREATE TABLE security_confirmation (
    session_id TEXT PRIMARY KEY REFERENCES security_session (id),
    way TEXT NOT NULL CHECK (way IN ('face', 'password')),
    confirmed_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
