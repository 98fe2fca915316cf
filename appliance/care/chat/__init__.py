"""Questions about one patient, answered from their record: what was read, what was claimed, and what carries it."""
