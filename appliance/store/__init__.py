"""The database (one writer with group commit), migrations, blobs, jobs, idempotency, Litestream."""
