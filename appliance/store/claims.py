"""Claiming and ending jobs: the queue's own side of the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from appliance.plugin_api.storage import Query, Transaction
from appliance.telemetry.clock import instant

DIED = "process_died"
"""The error of a job whose process ended in the middle of its last attempt."""


@dataclass(frozen=True, slots=True)
class KindRule:
    """How jobs of a kind are run: attempts before the dead letter, seconds an attempt may last, how many at once."""

    max_attempts: int
    limit_s: float
    at_once: int


@dataclass(frozen=True, slots=True)
class Job:
    """What a handler is given. ``attempt`` counts from 1."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    attempt: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: the job's next state, its counted attempts, and when it is due again."""

    state: Literal["ready", "done", "dead"]
    attempt: int
    error: str | None = None
    pause_s: float = 0.0


def take_back(tx: Transaction, rules: Mapping[str, KindRule], *, now: datetime) -> int:
    """Every claim is a dead process's: make the jobs due again, or dead letters after their last attempt; how many."""
    running = tx.all("SELECT id, kind, attempt FROM store_job WHERE state = 'running'")
    for row in running:
        rule = rules.get(cast("str", row["kind"]))
        over = rule is not None and cast("int", row["attempt"]) >= rule.max_attempts
        tx.execute(
            "UPDATE store_job SET state = ?, error = ?, due_at = 0, claimed_by = NULL, leased_until = NULL, changed_at = ?"
            " WHERE id = ?",
            ("dead" if over else "ready", DIED, instant(now), row["id"]),
        )
    return len(running)


def next_due(query: Query, kinds: Collection[str]) -> float | None:
    """When the first waiting job of ``kinds`` is due (seconds since 1970); None when none waits."""
    row = query.one(
        f"SELECT min(due_at) FROM store_job WHERE state = 'ready' AND kind IN ({_marks(kinds)})",  # noqa: S608  only marks
        [*kinds],
    )
    return None if row is None else cast("float | None", row[0])


def claim(
    tx: Transaction,
    room: Mapping[str, int],
    rules: Mapping[str, KindRule],
    *,
    owner: str,
    held: Collection[str],
    limit: int,
    now: datetime,
) -> list[Job]:
    """Take at most ``limit`` due jobs, and of each kind no more than its ``room``; the longest due first.

    ``held`` are the jobs that ``owner`` knows to run: others in its name come from a claim that was committed but never
    confirmed to it, and are set free first.
    """
    for row in tx.all("SELECT id FROM store_job WHERE state = 'running' AND claimed_by = ?", (owner,)):
        if row["id"] not in held:
            tx.execute("UPDATE store_job SET state = 'ready', attempt = attempt - 1 WHERE id = ?", (row["id"],))
    due = [
        row
        for kind, slots in room.items()
        for row in tx.all(
            "SELECT id, kind, payload, attempt, due_at, created_at FROM store_job"
            " WHERE state = 'ready' AND kind = ? AND due_at <= ? ORDER BY due_at, created_at LIMIT ?",
            (kind, now.timestamp(), min(slots, limit)),
        )
    ]
    due.sort(key=lambda row: (row["due_at"], row["created_at"]))
    jobs = []
    for row in due[:limit]:
        kind = cast("str", row["kind"])
        tx.execute(
            "UPDATE store_job SET state = 'running', attempt = attempt + 1, claimed_by = ?, leased_until = ?,"
            " changed_at = ? WHERE id = ?",
            (owner, now.timestamp() + rules[kind].limit_s, instant(now), row["id"]),
        )
        payload = msgspec.json.decode(cast("bytes", row["payload"]), type=dict[str, Any])
        jobs.append(Job(cast("str", row["id"]), kind, payload, cast("int", row["attempt"]) + 1))
    return jobs


def end(tx: Transaction, job_id: str, owner: str, outcome: Outcome, *, now: datetime) -> None:
    """Write an attempt's outcome down; doing so again, or for a claim that is no longer ``owner``'s, does nothing."""
    due_at = now.timestamp() + outcome.pause_s if outcome.pause_s else 0.0
    tx.execute(
        "UPDATE store_job SET state = ?, attempt = ?, error = ?, due_at = ?, claimed_by = NULL, leased_until = NULL,"
        " changed_at = ? WHERE id = ? AND state = 'running' AND claimed_by = ?",
        (outcome.state, outcome.attempt, outcome.error, due_at, instant(now), job_id, owner),
    )


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
