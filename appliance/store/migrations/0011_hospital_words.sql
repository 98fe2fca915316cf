-- readable-by: 7
-- Words that this hospital uses and that a recogniser should expect; every version is kept.

CREATE TABLE care_hospital_words (
    version INTEGER PRIMARY KEY, -- from 1
    words TEXT NOT NULL, -- JSON: strings, the most important first
    kept_by TEXT NOT NULL, -- user id
    kept_at TEXT NOT NULL
) STRICT;

CREATE TRIGGER care_hospital_words_grow BEFORE INSERT ON care_hospital_words
WHEN new.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM care_hospital_words)
BEGIN SELECT raise(ABORT, 'versions of the words only grow by one'); END;

CREATE TRIGGER care_hospital_words_keep BEFORE UPDATE ON care_hospital_words
BEGIN SELECT raise(ABORT, 'a version of the words never changes'); END;

CREATE TRIGGER care_hospital_words_stay BEFORE DELETE ON care_hospital_words
BEGIN SELECT raise(ABORT, 'a version of the words is never deleted'); END;
