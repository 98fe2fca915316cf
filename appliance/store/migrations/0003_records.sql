-- FHIR R4 resources: immutable versions, one head for each resource, and what searches look up.

CREATE TABLE record_version (
    seq INTEGER PRIMARY KEY, -- order of commits
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    last_updated TEXT NOT NULL, -- FHIR instant, UTC, milliseconds
    deleted INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    author TEXT, -- user id
    body TEXT NOT NULL, -- the resource as JSON; '' for a deletion
    UNIQUE (type, id, version)
) STRICT;

CREATE INDEX record_version_type ON record_version (type, seq);

CREATE TRIGGER record_version_is_kept BEFORE DELETE ON record_version
BEGIN
    SELECT RAISE(ABORT, 'a version of a resource is never removed');
END;

CREATE TRIGGER record_version_is_fixed BEFORE UPDATE ON record_version
BEGIN
    SELECT RAISE(ABORT, 'a version of a resource is never changed');
END;

-- INSERT OR REPLACE fires no DELETE trigger: a version must be the next one, and so must its place.
CREATE TRIGGER record_version_follows BEFORE INSERT ON record_version
WHEN NEW.version IS NOT (
        SELECT COALESCE(MAX(version), 0) + 1 FROM record_version WHERE type = NEW.type AND id = NEW.id
    )
    OR NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM record_version)
BEGIN
    SELECT RAISE(ABORT, 'a version of a resource must follow the last one');
END;

CREATE TABLE record_head (
    row INTEGER PRIMARY KEY, -- order of creation
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL, -- the current version's
    version INTEGER NOT NULL,
    last_updated TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    patient TEXT, -- id of the patient whose compartment this is in
    sort_date INTEGER NOT NULL, -- milliseconds since 1970
    sort_name TEXT, -- folded; NULL for types without a name
    UNIQUE (type, id)
) STRICT;

CREATE INDEX record_head_created ON record_head (type, row) WHERE deleted = 0;
CREATE INDEX record_head_updated ON record_head (type, last_updated, row) WHERE deleted = 0;
CREATE INDEX record_head_date ON record_head (type, sort_date, row) WHERE deleted = 0;
CREATE INDEX record_head_name ON record_head (type, sort_name, row) WHERE deleted = 0 AND sort_name IS NOT NULL;
CREATE INDEX record_head_patient ON record_head (patient, type, sort_date, row) WHERE deleted = 0 AND patient IS NOT NULL;

CREATE TABLE record_token (
    row INTEGER NOT NULL, -- record_head.row, here and below
    param TEXT NOT NULL, -- "Observation.code"
    system TEXT NOT NULL, -- '' when there is none
    code TEXT NOT NULL,
    patient TEXT
) STRICT;

CREATE INDEX record_token_value ON record_token (param, code, patient, system, row);
CREATE INDEX record_token_row ON record_token (row, param);

CREATE TABLE record_string (
    row INTEGER NOT NULL,
    param TEXT NOT NULL,
    folded TEXT NOT NULL, -- without case and accents, from a word's start to the end
    exact TEXT -- the element as written, only where folded begins at its start
) STRICT;

CREATE INDEX record_string_value ON record_string (param, folded, row);
CREATE INDEX record_string_row ON record_string (row, param);

CREATE TABLE record_date (
    row INTEGER NOT NULL,
    param TEXT NOT NULL,
    low INTEGER NOT NULL, -- milliseconds since 1970, first one inside
    high INTEGER NOT NULL -- first one outside
) STRICT;

CREATE INDEX record_date_low ON record_date (param, low, high, row);
CREATE INDEX record_date_high ON record_date (param, high, low, row);
CREATE INDEX record_date_row ON record_date (row, param);

CREATE TABLE record_reference (
    row INTEGER NOT NULL,
    param TEXT NOT NULL,
    target TEXT NOT NULL -- "Patient/12", or an absolute URL
) STRICT;

CREATE INDEX record_reference_value ON record_reference (param, target, row);
CREATE INDEX record_reference_row ON record_reference (row, param);
