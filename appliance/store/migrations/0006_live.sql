-- Live dictation: segments become final while the recording is still open, and the transcription goes on after them.

ALTER TABLE care_dictation ADD COLUMN heard_by TEXT; -- SHA-256 of the model that heard the segments so far
