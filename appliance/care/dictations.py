"""A dictation from its opening to its completion: plain functions on a transaction.

Chunks are numbered from 0 and may come in any order and any number of times. A chunk is acknowledged only once the row
naming its blob is durable, so everything acknowledged can be asked for again after any failure.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from appliance.care import errors, rows
from appliance.care.model import Chunk, Dictation, DictationState
from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.jobs import enqueue

TRANSCRIBE: Final = "care.transcribe"
"""Kind of the job that writes the transcript."""
MAX_CHUNKS: Final = 100_000
LISTED_GAPS: Final = 1000
"""How many missing numbers an answer names at most; the rest follow once these have arrived."""
UNKNOWN_MEDIA_TYPE: Final = "application/octet-stream"


def scope_of(patient_id: str) -> str:
    """The vault's scope for everything of one patient."""
    return f"patient/{patient_id}"


def open_dictation(
    tx: Transaction,
    *,
    patient_id: str,
    encounter_id: str,
    author: Principal,
    key_id: str,
    language: str,
    template: str,
    now: str,
) -> Dictation:
    """Make an empty dictation."""
    dictation_id = str(uuid.uuid4())
    tx.execute(
        "INSERT INTO care_dictation (id, patient_id, encounter_id, author, author_name, practitioner_id, device_id, key_id,"
        " language, media_type, template, state, opened_at, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)",
        (dictation_id, patient_id, encounter_id, author.user_id, author.username, author.practitioner_id,
         author.device_id, key_id, language, UNKNOWN_MEDIA_TYPE, template, now, now),
    )  # fmt: skip
    return get(tx, dictation_id)


def get(q: Query, dictation_id: str) -> Dictation:
    """The dictation.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(f"SELECT {rows.DICTATION_COLUMNS} FROM care_dictation WHERE id = ?", (dictation_id,))  # noqa: S608  fixed columns
    if row is None:
        raise NOT_FOUND(what="dictation")
    return rows.dictation(row)


def find(
    q: Query, *, state: str | None = None, patient_id: str | None = None, author: str | None = None, limit: int = 50
) -> list[Dictation]:
    """Dictations, last changed first."""
    wanted = {"state": state, "patient_id": patient_id, "author": author}
    asked = {column: value for column, value in wanted.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in asked) or "1"
    found = q.all(
        f"SELECT {rows.DICTATION_COLUMNS} FROM care_dictation WHERE {where} ORDER BY changed_at DESC, id LIMIT ?",  # noqa: S608  fixed columns
        [*asked.values(), limit],
    )
    return [rows.dictation(row) for row in found]


def own(q: Query, dictation_id: str, user_id: str) -> Dictation:
    """The dictation, for the person who opened it.

    Raises:
        ProntuarioError: ``not_found`` 404, ``dictation.not_yours`` 403.
    """
    dictation = get(q, dictation_id)
    if dictation.author != user_id:
        raise errors.NOT_YOURS()
    return dictation


def stored_chunk(q: Query, dictation: Dictation, sequence: int, sha256: str) -> Chunk | None:
    """The chunk if exactly this one is stored already; None if its number is still free.

    Raises:
        ProntuarioError: ``dictation.chunk_conflict`` 409, ``dictation.not_open`` 409, ``dictation.chunk_beyond`` 409.
    """
    row = q.one("SELECT * FROM care_chunk WHERE dictation_id = ? AND sequence = ?", (dictation.id, sequence))
    if row is not None:
        chunk = rows.chunk(row)
        if chunk.sha256 != sha256:
            raise errors.CHUNK_CONFLICT(field="sequence", sequence=sequence)
        return chunk
    if dictation.state != "open":
        raise errors.NOT_OPEN()
    if not 0 <= sequence < MAX_CHUNKS:
        raise INVALID(field="sequence", name="sequence", reason=f"0 … {MAX_CHUNKS - 1}")
    return None


def add_chunk(
    tx: Transaction, dictation_id: str, user_id: str, chunk: Chunk, *, max_bytes: int, media_type: str | None, now: str
) -> Chunk:
    """Name a stored blob as a chunk. The chunk that counts: an earlier identical one stays.

    Raises:
        ProntuarioError: as ``own`` and ``stored_chunk``; ``audio.too_big`` 413.
    """
    from appliance.care.audio_errors import AUDIO_TOO_BIG

    dictation = own(tx, dictation_id, user_id)
    known = stored_chunk(tx, dictation, chunk.sequence, chunk.sha256)
    if known is not None:
        return known
    if dictation.audio_bytes + chunk.size > max_bytes:
        raise AUDIO_TOO_BIG(field="audio", limit_mib=max_bytes >> 20)
    tx.execute(
        "INSERT INTO care_chunk (dictation_id, sequence, sha256, size, blob, key_id, received_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (dictation_id, chunk.sequence, chunk.sha256, chunk.size, chunk.blob, chunk.key_id, now),
    )
    tx.execute(
        "UPDATE care_dictation SET audio_bytes = audio_bytes + ?, media_type = coalesce(?, media_type), changed_at = ?"
        " WHERE id = ?",
        (chunk.size, media_type, now, dictation_id),
    )
    return chunk


def chunks(q: Query, dictation_id: str) -> list[Chunk]:
    """Every stored chunk, in order."""
    found = q.all("SELECT * FROM care_chunk WHERE dictation_id = ? ORDER BY sequence", (dictation_id,))
    return [rows.chunk(row) for row in found]


def chunks_from(q: Query, dictation_id: str, first: int, limit: int) -> list[Chunk]:
    """Up to ``limit`` stored chunks from number ``first`` on, as far as they follow one another without a gap."""
    found = q.all(
        "SELECT * FROM care_chunk WHERE dictation_id = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        (dictation_id, first, limit),
    )
    stored = [rows.chunk(row) for row in found]
    return [chunk for place, chunk in enumerate(stored) if chunk.sequence == first + place]


def missing(q: Query, dictation_id: str, total: int | None = None) -> list[int]:
    """The numbers that are not stored, below ``total`` or, where that is unknown, below the highest stored one."""
    stored = {
        int(str(row[0])) for row in q.all("SELECT sequence FROM care_chunk WHERE dictation_id = ?", (dictation_id,))
    }
    end = max(stored, default=-1) + 1 if total is None else total
    gaps: list[int] = []
    for number in range(end):
        if number not in stored:
            gaps.append(number)
            if len(gaps) == LISTED_GAPS:
                break
    return gaps


def received(q: Query, dictation_id: str) -> int:
    """How many chunks are stored."""
    row = q.one("SELECT count(*) FROM care_chunk WHERE dictation_id = ?", (dictation_id,))
    return 0 if row is None else int(str(row[0]))


def check_complete(q: Query, dictation: Dictation, total_chunks: int) -> None:
    """Whether a dictation may be completed with this many chunks.

    Raises:
        ProntuarioError: ``dictation.gap`` 409 with ``missing``, ``dictation.chunk_beyond`` 409, ``audio.empty`` 422,
            ``dictation.not_open`` 409 when it was completed with another number.
    """
    from appliance.care.audio_errors import AUDIO_EMPTY

    if dictation.state != "open":
        if dictation.total_chunks != total_chunks:
            raise errors.NOT_OPEN()
        return
    gaps = missing(q, dictation.id, total_chunks)
    if gaps:
        raise errors.GAP(field="total_chunks", missing=gaps)
    if received(q, dictation.id) > total_chunks:
        raise errors.CHUNK_BEYOND(field="total_chunks", total=total_chunks)
    if dictation.audio_bytes == 0:
        raise AUDIO_EMPTY(field="audio")


def complete(
    tx: Transaction, dictation_id: str, user_id: str, *, total_chunks: int, document_id: str, now: str
) -> Dictation:
    """Close the recording and ask for its transcript. Completing twice alike is harmless.

    Raises:
        ProntuarioError: as ``own`` and ``check_complete``.
    """
    dictation = own(tx, dictation_id, user_id)
    check_complete(tx, dictation, total_chunks)
    if dictation.state == "open":
        tx.execute(
            "UPDATE care_dictation SET state = 'complete', total_chunks = ?, document_id = ?, completed_at = ?, changed_at = ?"
            " WHERE id = ?",
            (total_chunks, document_id, now, now, dictation_id),
        )
        ask_for_transcript(tx, dictation_id)
    return get(tx, dictation_id)


def ask_for_transcript(tx: Transaction, dictation_id: str) -> None:
    """Make the job, unless one is waiting or running."""
    enqueue(tx, TRANSCRIBE, {"dictation_id": dictation_id}, dedupe=dictation_id)


def ahead(q: Query, dictation: Dictation) -> int:
    """How many completed recordings wait for their transcription before this one."""
    row = q.one(
        "SELECT count(*) FROM care_dictation WHERE state = 'complete' AND completed_at < ?", (dictation.completed_at,)
    )
    return 0 if row is None else int(str(row[0]))


def move(tx: Transaction, dictation_id: str, state: DictationState, *, now: str, **columns: Any) -> None:
    """Set the state, and other columns with it."""
    values = {"state": state, "changed_at": now, **columns}
    assignments = ", ".join(f"{column} = ?" for column in values)
    tx.execute(f"UPDATE care_dictation SET {assignments} WHERE id = ?", [*values.values(), dictation_id])  # noqa: S608  our own column names
