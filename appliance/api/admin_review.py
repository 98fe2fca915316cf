"""The review queue for the dashboard: what an old primary wrote that the record lacks, and noting what people decided about it.

Nothing is merged here either: what a decision means for the record is done there, by who wrote it, in the ordinary ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, get_args

from appliance.api.admin_review_rows import Reader, key_of, names_of, patient_of
from appliance.api.admin_review_shapes import (
    MAX_IDS,
    MAX_NOTE,
    Decided,
    DecidedCount,
    DecidedRow,
    Decision,
    ReviewView,
    SubjectCount,
)
from appliance.cluster.divergence import QueuedRow, find, settle, settled, waiting, waiting_by_subject
from appliance.cluster.review_order import WORDS, Subject, subject_of
from appliance.plugin_api.errors import INVALID, define
from appliance.plugin_api.http import AnyRoute, Principal, Reply, Request, Route
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.store.soundness import table_names

PREFIX: Final = "/api/admin/review"
TAG: Final = "admin"
SHOWN: Final = 200
RECENT: Final = 50
RESOURCE: Final = "cluster_divergence"
DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)
_PEOPLES: Final = frozenset({Subject.CLINICAL, Subject.OTHER})

REVIEW_NOTE = define(
    "review.note",
    422,
    pt=(
        "Falta dizer quem decidiu sobre estas linhas: são, ou podem ser, de pacientes.",
        "Escreva em poucas palavras quem decidiu e o que fez, sem dados de pacientes.",
    ),
    en=(
        "Who has decided about these rows is missing: they are, or may be, about patients.",
        "Write in a few words who has decided and what was done, without a patient's data.",
    ),
)


def review_routes(store: Store, now: Callable[[], datetime]) -> list[AnyRoute]:
    """``GET`` the queue; ``POST`` a decision about some of its rows."""

    async def listing(request: Request) -> Reply:
        view = await store.read(lambda q: _look(q, request.principal))
        request.about(patient=_references(row.patient for row in view.rows), resource=RESOURCE)
        return Reply(body=view)

    async def decide(request: Request) -> Reply:
        given = await request.body(Decided)
        note = _checked(given)
        rows = await store.read(lambda q: [row for row in (find(q, one) for one in given.ids) if row is not None])
        request.about(
            patient=_references(map(patient_of, rows)),
            resource=f"{RESOURCE}/{given.ids[0]}" if len(given.ids) == 1 else RESOURCE,
        )
        if not note and any(subject_of(row.row.table) in _PEOPLES for row in rows):
            raise REVIEW_NOTE(field="note")
        resolution = f"{given.decision}: {note}" if note else given.decision

        def change(tx: Transaction) -> Reply:
            for one in given.ids:
                settle(tx, one, by=request.principal.user_id, resolution=resolution, now=now())
            return Reply(body=DecidedCount(len(given.ids)))

        return await request.commit(change)

    return [
        Route("GET", PREFIX, "node.read", listing, "What an old primary wrote that the record lacks, and what was decided",
              response=ReviewView, tag=TAG),
        Route("POST", PREFIX + "/decide", "node.manage", decide, "Note what people decided about rows of the review queue",
              request=Decided, response=DecidedCount, tag=TAG),
    ]  # fmt: skip


def _references(patients: Iterable[str]) -> list[str]:
    """As everywhere in the audit log, where people ask for ``Patient/12``."""
    return sorted({f"Patient/{patient}" for patient in patients if patient})


def _checked(given: Decided) -> str:
    """The note. Raises ``invalid``."""
    if not 0 < len(set(given.ids)) == len(given.ids) <= MAX_IDS:
        raise INVALID(field="ids", name="ids", reason=f"1 to {MAX_IDS}, each once")
    note = " ".join(given.note.split())
    if len(note) > MAX_NOTE:
        raise INVALID(field="note", name="note", reason=f"at most {MAX_NOTE} characters")
    return note


def _look(q: Query, person: Principal) -> ReviewView:
    counts = waiting_by_subject(q)
    past = settled(q, RECENT)
    names = names_of(q, (row.resolved_by for row in past))
    return ReviewView(
        count=sum(counts.values()),
        subjects=[SubjectCount(subject.name.lower(), *WORDS[subject], count) for subject, count in counts.items()],
        rows=Reader(q, table_names(q), person.permissions).rows(waiting(q, SHOWN)),
        decided=[_decided(row, names) for row in past],
    )


def _decided(row: QueuedRow, names: dict[str, str]) -> DecidedRow:
    word, _, note = row.resolution.partition(": ")
    known = word in DECISIONS
    return DecidedRow(
        id=row.id, node=row.node, table=row.row.table, subject=subject_of(row.row.table).name.lower(), key=key_of(row),
        decided_at=row.resolved_at, decided_by=names.get(row.resolved_by, row.resolved_by),
        decision=word if known else row.resolution, note=note if known else "",
    )  # fmt: skip
