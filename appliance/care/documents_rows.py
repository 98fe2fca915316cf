"""Documents, their pages and proposals in the store: plain functions on a transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.care.documents_errors import NOT_READ
from appliance.care.documents_model import (
    COLUMNS,
    Document,
    DocumentState,
    Proposal,
    ProposalState,
    document_of,
    proposal_of,
    report_of,
)
from appliance.care.rows import encode
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.paper import LabReport, PaperPage
from appliance.plugin_api.storage import Query, Transaction


def add(tx: Transaction, document: Document) -> None:
    """Keep a new row."""
    marks = ", ".join("?" for _ in Document.__struct_fields__)
    tx.execute(f"INSERT INTO care_document ({COLUMNS}) VALUES ({marks})", msgspec.structs.astuple(document))  # noqa: S608  fixed columns


def get(q: Query, document_id: str) -> Document:
    """The document.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(f"SELECT {COLUMNS} FROM care_document WHERE id = ?", (document_id,))  # noqa: S608  fixed columns
    if row is None:
        raise NOT_FOUND(what="document")
    return document_of(row)


def known(q: Query, patient_id: str, sha256: str) -> Document | None:
    """The same file of the same patient, if it is here already."""
    row = q.one(f"SELECT {COLUMNS} FROM care_document WHERE patient_id = ? AND sha256 = ?", (patient_id, sha256))  # noqa: S608  fixed columns
    return None if row is None else document_of(row)


def find(q: Query, *, patient_id: str, limit: int) -> list[Document]:
    """A patient's documents, newest first."""
    found = q.all(
        f"SELECT {COLUMNS} FROM care_document WHERE patient_id = ? ORDER BY uploaded_at DESC, id LIMIT ?",  # noqa: S608  fixed columns
        (patient_id, limit),
    )
    return [document_of(row) for row in found]


def waiting(q: Query, limit: int) -> list[Document]:
    """Documents that are to be read."""
    found = q.all(f"SELECT {COLUMNS} FROM care_document WHERE state = 'reading' LIMIT ?", (limit,))  # noqa: S608  fixed columns
    return [document_of(row) for row in found]


def move(tx: Transaction, document_id: str, state: DocumentState, *, now: str, reason: str | None = None) -> None:
    """Set the state."""
    tx.execute(
        "UPDATE care_document SET state = ?, reason = ?, changed_at = ? WHERE id = ?", (state, reason, now, document_id)
    )


def keep_reading(
    tx: Transaction, document_id: str, pages: Sequence[PaperPage], report: LabReport, *, reader: str, now: str
) -> None:
    """Keep what was read; it replaces nothing, for a document is read once."""
    for page in pages:
        tx.execute(
            "INSERT INTO care_document_page (document_id, number, content) VALUES (?, ?, ?)",
            (document_id, page.number, encode(page)),
        )
    for number, value in enumerate(report.values, start=1):
        tx.execute(
            "INSERT INTO care_proposal (document_id, number, proposed, state) VALUES (?, ?, ?, 'proposed')",
            (document_id, number, encode(value)),
        )
    whose = msgspec.structs.replace(report, values=())
    tx.execute(
        "UPDATE care_document SET state = 'read', reason = NULL, reader = ?, report = ?, changed_at = ? WHERE id = ?",
        (reader, encode(whose), now, document_id),
    )


def require_read(document: Document) -> None:
    """Raises ``document.not_read`` 409 before there is anything to see."""
    if document.state != "read":
        raise NOT_READ(state=document.state)


def pages(q: Query, document_id: str, number: int | None = None) -> list[PaperPage]:
    """Every page that was read, or only one of them."""
    found = q.all(
        "SELECT content FROM care_document_page WHERE document_id = ?1 AND (?2 IS NULL OR number = ?2) ORDER BY number",
        (document_id, number),
    )
    return [msgspec.json.decode(str(row[0]), type=PaperPage) for row in found]


def report(q: Query, document_id: str) -> LabReport:
    """Whose and of when the paper says it is; its values are the proposals."""
    row = q.one("SELECT report FROM care_document WHERE id = ?", (document_id,))
    return report_of(None if row is None else row[0])


def proposals(q: Query, document_id: str) -> list[Proposal]:
    """In order of the paper."""
    return [
        proposal_of(row)
        for row in q.all("SELECT * FROM care_proposal WHERE document_id = ? ORDER BY number", (document_id,))
    ]


def proposal(q: Query, document_id: str, number: int) -> Proposal:
    """One of them.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one("SELECT * FROM care_proposal WHERE document_id = ? AND number = ?", (document_id, number))
    if row is None:
        raise NOT_FOUND(what="proposal")
    return proposal_of(row)


def decide(
    tx: Transaction, one: Proposal, state: ProposalState, *, who: str, now: str, observation_id: str | None = None
) -> Proposal:
    """Keep the decision, for good."""
    tx.execute(
        "UPDATE care_proposal SET state = ?, decided_by = ?, decided_at = ?, observation_id = ?"
        " WHERE document_id = ? AND number = ?",
        (state, who, now, observation_id, one.document_id, one.number),
    )
    return proposal(tx, one.document_id, one.number)
