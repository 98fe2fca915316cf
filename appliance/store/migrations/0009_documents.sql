-- readable-by: 7
-- Paper of a patient: the original as a blob, its pages as they were read, and what is proposed from them.

CREATE TABLE care_document (
    id TEXT PRIMARY KEY,
    patient_id TEXT NOT NULL, -- the resource's id, without its type
    encounter_id TEXT,
    uploaded_by TEXT NOT NULL, -- user id
    uploader_name TEXT NOT NULL,
    practitioner_id TEXT,
    title TEXT NOT NULL,
    media_type TEXT NOT NULL, -- by the first bytes, not by what the client claims
    sha256 TEXT NOT NULL, -- of the original, hex
    size INTEGER NOT NULL,
    blob TEXT NOT NULL, -- address in the blob store
    key_id TEXT NOT NULL,
    pages INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('kept', 'reading', 'read', 'failed')),
    reason TEXT, -- error code: why it is only kept, or why its reading failed
    resource_id TEXT NOT NULL, -- DocumentReference
    reader TEXT, -- which reader read it
    report TEXT, -- JSON: whose and of when the paper says it is
    uploaded_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    UNIQUE (patient_id, sha256) -- the same file twice would propose the same values twice
) STRICT;

CREATE INDEX care_document_patient ON care_document (patient_id, uploaded_at);
CREATE INDEX care_document_state ON care_document (state);

CREATE TABLE care_document_page (
    document_id TEXT NOT NULL REFERENCES care_document (id),
    number INTEGER NOT NULL CHECK (number >= 1),
    content TEXT NOT NULL, -- JSON: words with boxes and confidence
    PRIMARY KEY (document_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE care_proposal (
    document_id TEXT NOT NULL REFERENCES care_document (id),
    number INTEGER NOT NULL CHECK (number >= 1),
    proposed TEXT NOT NULL, -- JSON: the value as it is printed, what it would mean, every doubt
    state TEXT NOT NULL CHECK (state IN ('proposed', 'confirmed', 'rejected')),
    decided_by TEXT, -- user id
    decided_at TEXT,
    observation_id TEXT,
    PRIMARY KEY (document_id, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER care_proposal_decided_once BEFORE UPDATE ON care_proposal
WHEN old.state <> 'proposed'
BEGIN SELECT raise(ABORT, 'a decision about a proposal is never changed'); END;

-- Reading paper can be switched off too. Which functions there are is the program's to know, so that a new one needs no new table.
CREATE TABLE care_ai_switch_of_any_function (
    scope TEXT NOT NULL CHECK (scope IN ('hospital', 'person', 'patient')),
    subject TEXT NOT NULL, -- empty for the hospital, else user id or patient id
    function TEXT NOT NULL,
    changed_by TEXT NOT NULL, -- user id
    changed_at TEXT NOT NULL,
    PRIMARY KEY (scope, subject, function) -- a row: switched off
) STRICT, WITHOUT ROWID;

INSERT INTO care_ai_switch_of_any_function SELECT scope, subject, function, changed_by, changed_at FROM care_ai_switch;

DROP TABLE care_ai_switch;

ALTER TABLE care_ai_switch_of_any_function RENAME TO care_ai_switch;
