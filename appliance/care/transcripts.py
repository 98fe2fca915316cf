"""Transcripts: plain functions on a transaction. Segments are kept as they become final, by one attempt at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from appliance.care import dictations, errors, rows
from appliance.care.model import Ai, Dictation, Segment
from appliance.plugin_api import capabilities
from appliance.plugin_api.storage import Query, Transaction
from appliance.security.canonical import canonical
from appliance.store.jobs import enqueue

DRAFT: Final = "care.draft"
"""Kind of the job that drafts the note."""
_SAME_MOMENT_S: Final = 0.01


class Transcript(msgspec.Struct, frozen=True):
    """A finished transcript."""

    segments: tuple[Segment, ...]
    sha256: str
    ai: Ai
    finished_at: str

    def texts(self) -> dict[int, str]:
        """Segment number → text."""
        return {segment.number: segment.text for segment in self.segments}


def ask_for_draft(tx: Transaction, dictation_id: str) -> None:
    """Make the job, unless one is waiting or running."""
    enqueue(tx, DRAFT, {"dictation_id": dictation_id}, dedupe=dictation_id)


def begin(tx: Transaction, dictation_id: str, now: str) -> Dictation | None:
    """Start a transcription, which ``resume`` tells where to go on; earlier attempts write no more. None: nothing to do."""
    dictation = dictations.get(tx, dictation_id)
    if dictation.state not in ("complete", "transcribing", "failed"):
        return None
    dictations.move(tx, dictation_id, "transcribing", now=now, attempt=dictation.attempt + 1, reason=None)
    return dictations.get(tx, dictation_id)


def resume(tx: Transaction, dictation: Dictation, model_sha256: str, now: str) -> tuple[int, float]:
    """How many segments are final already, and where the last one ends in seconds: what was told is not told differently.

    Segments that another model heard are cleared: a transcript has one author. An empty hash is a model that can't tell its own.

    Raises:
        ProntuarioError: ``transcript.superseded`` 409 when a later attempt has started.
    """
    _still_mine(tx, dictation)
    heard_by = dictations.get(tx, dictation.id).heard_by
    if heard_by and model_sha256 and heard_by != model_sha256:
        tx.execute("DELETE FROM care_segment WHERE dictation_id = ?", (dictation.id,))
    if model_sha256 and heard_by != model_sha256:
        tx.execute(
            "UPDATE care_dictation SET heard_by = ?, changed_at = ? WHERE id = ?", (model_sha256, now, dictation.id)
        )
    known = segments(tx, dictation.id)
    return len(known), known[-1].end if known else 0.0


def next_segment(number: int, after: float, heard: capabilities.Segment) -> Segment | None:
    """What was heard as the segment that follows number ``number``; None without text, or before ``after`` seconds."""
    text = " ".join(heard.text.split())
    if not text or heard.start < after - _SAME_MOMENT_S:
        return None
    return Segment(number + 1, heard.start, heard.end, text, heard.confidence)


def told(segment: Segment) -> dict[str, object]:
    """A final segment as those who follow the dictation are told of it."""
    return {
        "number": segment.number,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "final": True,
    }


def add(tx: Transaction, dictation: Dictation, new: Sequence[Segment], now: str) -> None:
    """Keep final segments.

    Raises:
        ProntuarioError: ``transcript.superseded`` 409 when a later attempt has started.
    """
    _still_mine(tx, dictation)
    tx.execute_many(
        "INSERT INTO care_segment (dictation_id, number, start_s, end_s, text, confidence) VALUES (?, ?, ?, ?, ?, ?)",
        [(dictation.id, s.number, s.start, s.end, s.text, s.confidence) for s in new],
    )
    tx.execute("UPDATE care_dictation SET changed_at = ? WHERE id = ?", (now, dictation.id))


def finish(tx: Transaction, dictation: Dictation, *, ai: Ai, audio_s: float, truncated: bool, now: str) -> Dictation:
    """Close the transcript and ask for a draft; without any segment the dictation ends as ``no_speech``.

    A model that is just starting again can't tell its hash: then it is that of the one that heard the segments.
    """
    _still_mine(tx, dictation)
    heard_by = dictations.get(tx, dictation.id).heard_by
    if heard_by and not ai.sha256:
        ai = msgspec.structs.replace(ai, sha256=heard_by)
    found = segments(tx, dictation.id)
    heard = {"audio_s": audio_s, "truncated": int(truncated)}
    if not found:
        dictations.move(tx, dictation.id, "no_speech", now=now, reason=errors.NO_SPEECH.code, **heard)
        return dictations.get(tx, dictation.id)
    tx.execute("DELETE FROM care_transcript WHERE dictation_id = ?", (dictation.id,))
    tx.execute(
        "INSERT INTO care_transcript (dictation_id, sha256, ai, finished_at) VALUES (?, ?, ?, ?)",
        (dictation.id, fingerprint(found), rows.encode(ai), now),
    )
    dictations.move(tx, dictation.id, "drafting", now=now, **heard)
    ask_for_draft(tx, dictation.id)
    return dictations.get(tx, dictation.id)


def fail(tx: Transaction, dictation_id: str, reason: str, now: str) -> None:
    """Note that it can't be transcribed. The audio is kept; a person may ask again."""
    dictations.move(tx, dictation_id, "failed", now=now, reason=reason)


def segments(q: Query, dictation_id: str) -> list[Segment]:
    """What was heard so far, in order."""
    found = q.all("SELECT * FROM care_segment WHERE dictation_id = ? ORDER BY number", (dictation_id,))
    return [rows.segment(row) for row in found]


def get(q: Query, dictation: Dictation) -> Transcript:
    """The finished transcript.

    Raises:
        ProntuarioError: ``transcript.no_speech`` 422, ``transcript.not_ready`` 409, or why the dictation failed.
    """
    row = q.one("SELECT sha256, ai, finished_at FROM care_transcript WHERE dictation_id = ?", (dictation.id,))
    if row is None:
        if dictation.state in ("failed", "no_speech"):
            raise errors.by_code(dictation.reason or "")
        raise errors.NO_TRANSCRIPT()
    ai = msgspec.json.decode(str(row["ai"]), type=Ai)
    return Transcript(tuple(segments(q, dictation.id)), str(row["sha256"]), ai, str(row["finished_at"]))


def fingerprint(found: Sequence[Segment]) -> str:
    """SHA-256 of the canonical JSON of the segments; times in whole milliseconds."""
    form = [
        {"number": s.number, "start_ms": round(s.start * 1000), "end_ms": round(s.end * 1000), "text": s.text}
        for s in found
    ]
    return hashlib.sha256(canonical(form)).hexdigest()


def _still_mine(tx: Transaction, dictation: Dictation) -> None:
    if dictations.get(tx, dictation.id).attempt != dictation.attempt:
        raise errors.SUPERSEDED()


def count(q: Query, dictation_id: str) -> int:
    """How many segments there are so far."""
    row = q.one("SELECT count(*) FROM care_segment WHERE dictation_id = ?", (dictation_id,))
    return 0 if row is None else int(str(row[0]))
