-- Clinical work: dictations in chunks, transcripts in segments, notes in versions.

CREATE TABLE care_dictation (
    id TEXT PRIMARY KEY,
    patient_id TEXT NOT NULL, -- the resource's id, without its type
    encounter_id TEXT NOT NULL,
    author TEXT NOT NULL, -- user id
    author_name TEXT NOT NULL,
    practitioner_id TEXT,
    device_id TEXT NOT NULL,
    key_id TEXT NOT NULL, -- the patient's data key in the vault
    language TEXT NOT NULL,
    media_type TEXT NOT NULL, -- by the first bytes, not by what the client claims
    state TEXT NOT NULL CHECK (
        state IN ('open', 'complete', 'transcribing', 'drafting', 'drafted', 'no_speech', 'failed')
    ),
    reason TEXT, -- error code of a failure
    total_chunks INTEGER,
    audio_bytes INTEGER NOT NULL DEFAULT 0,
    audio_s REAL NOT NULL DEFAULT 0,
    truncated INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0, -- grows with every start of the transcription: a stale one writes nothing
    document_id TEXT, -- DocumentReference
    note_id TEXT,
    opened_at TEXT NOT NULL,
    completed_at TEXT,
    changed_at TEXT NOT NULL
) STRICT;

CREATE INDEX care_dictation_state ON care_dictation (state, changed_at);
CREATE INDEX care_dictation_patient ON care_dictation (patient_id, opened_at);

CREATE TABLE care_chunk (
    dictation_id TEXT NOT NULL REFERENCES care_dictation (id),
    sequence INTEGER NOT NULL CHECK (sequence >= 0),
    sha256 TEXT NOT NULL, -- of the plaintext, hex
    size INTEGER NOT NULL,
    blob TEXT NOT NULL, -- address in the blob store
    key_id TEXT NOT NULL,
    received_at TEXT NOT NULL,
    PRIMARY KEY (dictation_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE care_transcript (
    dictation_id TEXT PRIMARY KEY REFERENCES care_dictation (id),
    sha256 TEXT NOT NULL, -- of the canonical form of all segments
    ai TEXT NOT NULL, -- JSON: model, hash, demonstration, degraded
    finished_at TEXT NOT NULL
) STRICT;

CREATE TABLE care_segment (
    dictation_id TEXT NOT NULL REFERENCES care_dictation (id),
    number INTEGER NOT NULL, -- from 1
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    text TEXT NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (dictation_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE care_note (
    id TEXT PRIMARY KEY,
    dictation_id TEXT NOT NULL REFERENCES care_dictation (id),
    patient_id TEXT NOT NULL,
    encounter_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'reviewed', 'signed', 'amended')),
    version INTEGER NOT NULL, -- the current one
    composition_id TEXT NOT NULL,
    reviewed_by TEXT,
    reviewed_at TEXT,
    amends TEXT REFERENCES care_note (id),
    amendment_reason TEXT,
    amended_by TEXT REFERENCES care_note (id),
    signature TEXT, -- JSON: signature and the form that it covers
    signed_by TEXT,
    signed_at TEXT,
    written TEXT NOT NULL DEFAULT '[]', -- JSON: what the signing wrote beside the Composition, such as Observation/12
    created_at TEXT NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;

CREATE INDEX care_note_patient ON care_note (patient_id, created_at);
CREATE INDEX care_note_dictation ON care_note (dictation_id);
CREATE UNIQUE INDEX care_note_one_amendment ON care_note (amends) WHERE amends IS NOT NULL;

CREATE TABLE care_note_version (
    note_id TEXT NOT NULL REFERENCES care_note (id),
    version INTEGER NOT NULL,
    content TEXT NOT NULL, -- JSON: sections, facts, provenance
    author TEXT NOT NULL, -- user id; empty: the draft that the appliance wrote
    created_at TEXT NOT NULL,
    PRIMARY KEY (note_id, version)
) STRICT, WITHOUT ROWID;

-- Every version stays as it was. INSERT OR REPLACE would slip past triggers on UPDATE and DELETE.
CREATE TRIGGER care_note_version_grows BEFORE INSERT ON care_note_version
WHEN new.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM care_note_version WHERE note_id = new.note_id)
BEGIN SELECT raise(ABORT, 'note versions only grow by one'); END;

CREATE TRIGGER care_note_version_keeps BEFORE UPDATE ON care_note_version
BEGIN SELECT raise(ABORT, 'a note version never changes'); END;

CREATE TRIGGER care_note_version_stays BEFORE DELETE ON care_note_version
BEGIN SELECT raise(ABORT, 'a note version is never deleted'); END;

CREATE TRIGGER care_note_signed_stays BEFORE UPDATE ON care_note
WHEN old.signature IS NOT NULL
    AND (new.signature IS NOT old.signature OR new.version IS NOT old.version OR new.state NOT IN ('signed', 'amended'))
BEGIN SELECT raise(ABORT, 'a signed note never changes'); END;
