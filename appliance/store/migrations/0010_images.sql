-- readable-by: 7
-- Pictures of a patient: the original as a blob, what its header says, and what a model made of it.

CREATE TABLE care_image (
    id TEXT PRIMARY KEY,
    patient_id TEXT NOT NULL, -- the resource's id, without its type
    encounter_id TEXT,
    uploaded_by TEXT NOT NULL, -- user id
    uploader_name TEXT NOT NULL,
    practitioner_id TEXT,
    title TEXT NOT NULL,
    facts TEXT NOT NULL, -- JSON: type, size, frames, modality, cautions
    sha256 TEXT NOT NULL, -- of the original, hex
    size INTEGER NOT NULL,
    blob TEXT NOT NULL, -- address in the blob store
    key_id TEXT NOT NULL,
    media_id TEXT NOT NULL, -- FHIR Media
    uploaded_at TEXT NOT NULL,
    UNIQUE (patient_id, sha256)
) STRICT;

CREATE INDEX care_image_patient ON care_image (patient_id, uploaded_at);

CREATE TABLE care_image_analysis (
    id TEXT PRIMARY KEY,
    image_id TEXT NOT NULL REFERENCES care_image (id),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'failed')),
    reason TEXT, -- error code: why it failed
    asked TEXT NOT NULL, -- JSON: label set, frames, heat map, description
    asked_by TEXT NOT NULL, -- user id
    result TEXT, -- JSON: findings, model, label set
    heat_blob TEXT,
    heat_size INTEGER,
    heat_key_id TEXT,
    report_id TEXT, -- FHIR DiagnosticReport
    decision TEXT CHECK (decision IN ('accepted', 'rejected')),
    decided_by TEXT,
    decided_at TEXT,
    asked_at TEXT NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;

CREATE INDEX care_image_analysis_image ON care_image_analysis (image_id, asked_at);
CREATE INDEX care_image_analysis_state ON care_image_analysis (state);
