"""The rows behind the jobs: plain functions on a transaction."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

import msgspec

from appliance.plugin_api.storage import Query, Transaction
from appliance.store import errors
from appliance.telemetry.clock import SystemClock, instant

KEEP_DONE: Final = timedelta(days=7)
State = Literal["ready", "running", "done", "dead"]


class JobRow(msgspec.Struct, frozen=True):
    """A job as people see it (no payload: it may name a patient). ``error`` is a type or code; times are instants."""

    id: str
    kind: str
    state: str
    attempt: int
    due_at: float
    error: str | None
    created_at: str
    changed_at: str


def enqueue(
    tx: Transaction, kind: str, payload: Mapping[str, Any], *, dedupe: str | None = None, delay_s: float = 0
) -> str:
    """Make a job that becomes due with this transaction (or ``delay_s`` later); its id.

    While a job of this kind with the same ``dedupe`` waits or runs, that one's id is returned and none is made.
    Call ``tx.after_commit(queue.wake)`` beside it, or it waits for the next look (5 s).
    """
    if dedupe is not None:
        twin = tx.one(
            "SELECT id FROM store_job WHERE kind = ? AND dedupe = ? AND state IN ('ready', 'running')", (kind, dedupe)
        )
        if twin is not None:
            return cast("str", twin["id"])
    now = instant(SystemClock().now())
    job_id = os.urandom(16).hex()
    due_at = time.time() + delay_s if delay_s > 0 else 0.0
    tx.execute(
        "INSERT INTO store_job (id, kind, payload, state, dedupe, due_at, created_at, changed_at)"
        " VALUES (?, ?, ?, 'ready', ?, ?, ?, ?)",
        (job_id, kind, msgspec.json.encode(payload), dedupe, due_at, now, now),
    )
    return job_id


def list_jobs(query: Query, state: State | None = None, limit: int = 100) -> list[JobRow]:
    """Jobs, last changed first; of one ``state`` or of all."""
    columns = "id, kind, state, attempt, due_at, error, created_at, changed_at"
    where, params = ("WHERE state = ?", [state]) if state else ("", [])
    rows = query.all(
        f"SELECT {columns} FROM store_job {where} ORDER BY changed_at DESC, id LIMIT ?",  # noqa: S608  fixed texts
        [*params, limit],
    )
    return [msgspec.convert(dict(zip(row.keys(), row, strict=True)), JobRow) for row in rows]


def counts(query: Query) -> dict[str, int]:
    """How many jobs are in each state."""
    found = {
        cast("str", row[0]): cast("int", row[1])
        for row in query.all("SELECT state, count(*) FROM store_job GROUP BY 1")
    }
    return {state: found.get(state, 0) for state in ("ready", "running", "done", "dead")}


def requeue(tx: Transaction, job_id: str) -> None:
    """Give a dead job all its attempts again.

    Raises:
        ProntuarioError: ``job.unknown`` (404): no dead job has this id.
    """
    changed = tx.execute(
        "UPDATE store_job SET state = 'ready', attempt = 0, due_at = 0, error = NULL, changed_at = ?, dedupe = CASE"
        " WHEN EXISTS (SELECT 1 FROM store_job AS twin WHERE twin.kind = store_job.kind AND twin.dedupe = store_job.dedupe"
        " AND twin.state IN ('ready', 'running')) THEN NULL ELSE dedupe END"
        " WHERE id = ? AND state = 'dead'",
        (instant(SystemClock().now()), job_id),
    )
    if not changed:
        raise errors.JOB_UNKNOWN(job_id=job_id)


def discard(tx: Transaction, job_id: str) -> None:
    """Forget a dead job for good.

    Raises:
        ProntuarioError: ``job.unknown`` (404): no dead job has this id.
    """
    if not tx.execute("DELETE FROM store_job WHERE id = ? AND state = 'dead'", (job_id,)):
        raise errors.JOB_UNKNOWN(job_id=job_id)


def sweep(tx: Transaction, *, now: datetime, limit: int = 5_000) -> int:
    """Forget jobs that were done more than a week ago, at most ``limit`` at a time. Dead letters stay."""
    return tx.execute(
        "DELETE FROM store_job WHERE id IN"
        " (SELECT id FROM store_job WHERE state = 'done' AND changed_at < ? ORDER BY changed_at LIMIT ?)",
        (instant(now - KEEP_DONE), limit),
    )
