-- readable-by: 5
-- How drafts are arranged, in versions; and where AI is switched off.

ALTER TABLE care_dictation ADD COLUMN template TEXT NOT NULL DEFAULT 'soap';

CREATE TABLE care_template_version (
    owner TEXT NOT NULL, -- user id: everybody edits their own
    name TEXT NOT NULL,
    version INTEGER NOT NULL, -- from 1; the built-in file of the same name is version 0
    text TEXT, -- TOML, as the person wrote it; null: taken back, the built-in file counts again
    created_at TEXT NOT NULL,
    PRIMARY KEY (owner, name, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER care_template_version_grows BEFORE INSERT ON care_template_version
WHEN new.version IS NOT (
    SELECT coalesce(max(version), 0) + 1 FROM care_template_version WHERE owner = new.owner AND name = new.name
)
BEGIN SELECT raise(ABORT, 'template versions only grow by one'); END;

CREATE TRIGGER care_template_version_keeps BEFORE UPDATE ON care_template_version
BEGIN SELECT raise(ABORT, 'a template version never changes'); END;

CREATE TRIGGER care_template_version_stays BEFORE DELETE ON care_template_version
BEGIN SELECT raise(ABORT, 'a template version is never deleted'); END;

CREATE TABLE care_ai_switch (
    scope TEXT NOT NULL CHECK (scope IN ('hospital', 'person', 'patient')),
    subject TEXT NOT NULL, -- empty for the hospital, else user id or patient id
    function TEXT NOT NULL CHECK (function IN ('transcription', 'draft', 'chat')),
    changed_by TEXT NOT NULL, -- user id
    changed_at TEXT NOT NULL,
    PRIMARY KEY (scope, subject, function) -- a row: switched off
) STRICT, WITHOUT ROWID;
