"""Dictations over HTTP: open, send chunks, ask what is missing, complete, read the transcript."""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial
from typing import Final

from appliance.api import care_shapes as shapes
from appliance.care import dictations, errors, transcripts
from appliance.care.intake import Upload
from appliance.care.model import Chunk, Dictation
from appliance.care.service import Consults
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction

TAG: Final = "dictations"
MAX_LISTED: Final = 200
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{44}):")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_COMPLETE_TIMEOUT_S: Final = 60.0


class DictationRoutes:
    """Handlers over one node's consults."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        base, one = "/api/dictations", "/api/dictations/{dictation_id}"
        chunk_limit = self._consults.intake.limits.max_chunk_bytes
        return [
            Route("POST", base, "dictation.write", self.open, "Open a dictation", shapes.OpenDictation, shapes.DictationView, TAG),
            Route("GET", base, "dictation.read", self.list, "List dictations", None, shapes.DictationList, TAG),
            Route("GET", one, "dictation.read", self.read, "State and progress", None, shapes.DictationView, TAG),
            Route("PUT", one + "/chunks/{sequence}", "dictation.write", self.put_chunk, "Send one chunk of audio (raw bytes)",
                  None, shapes.Acknowledged, TAG, max_body_bytes=chunk_limit),
            Route("GET", one + "/missing", "dictation.read", self.missing, "Which chunks to send", None, shapes.Missing, TAG),
            Route("POST", one + "/complete", "dictation.write", self.complete, "Close the recording and start the transcription",
                  shapes.CompleteDictation, shapes.DictationView, TAG),
            Route("POST", one + "/retry", "dictation.write", self.retry, "Try a failed transcription again",
                  None, shapes.DictationView, TAG),
            Route("GET", one + "/transcript", "dictation.read", self.transcript, "The transcript", None, shapes.TranscriptView, TAG),
            Route("GET", one + "/audio", "dictation.read", self.audio, "The recording as it was sent", None, None, TAG),
        ]  # fmt: skip

    async def open(self, request: Request) -> Reply:
        """``POST /api/dictations``."""
        asked = await request.body(shapes.OpenDictation)
        patient_id, encounter_id = (
            shapes.bare_id(asked.patient, "Patient"),
            shapes.bare_id(asked.encounter, "Encounter"),
        )
        request.about(patient=f"Patient/{patient_id}")

        def change(tx: Transaction) -> Reply:
            dictation = self._consults.open(
                tx,
                request.principal,
                patient_id=patient_id,
                encounter_id=encounter_id,
                language=asked.language,
                template=asked.template,
            )
            return Reply(201, self._view(tx, dictation, request), {"Location": f"/api/dictations/{dictation.id}"})

        return await request.commit(change)

    async def list(self, request: Request) -> Reply:
        """``GET /api/dictations?state=&patient=&mine=``."""
        query, user_id = request.query, request.principal.user_id
        patient = query.get("patient")
        patient_id = None if patient is None else shapes.bare_id(patient, "Patient")
        author = user_id if query.get("mine", "") in ("1", "true") else None

        def find(q: Query) -> list[shapes.DictationView]:
            found = dictations.find(q, state=query.get("state"), patient_id=patient_id, author=author, limit=MAX_LISTED)
            return [self._view(q, dictation, request) for dictation in found]

        views = await self._consults.store.read(find)
        shown = {f"Patient/{one.patient}" for one in views} | ({f"Patient/{patient_id}"} if patient_id else set())
        request.about(patient=sorted(shown), resource="Dictation")
        return Reply(body=shapes.DictationList(views))

    async def read(self, request: Request) -> Reply:
        """``GET /api/dictations/{id}``."""
        dictation = await self._dictation(request)
        return Reply(body=await self._consults.store.read(lambda q: self._view(q, dictation, request)))

    async def put_chunk(self, request: Request) -> Reply:
        """``PUT /api/dictations/{id}/chunks/{n}``, with ``Content-Digest`` (RFC 9530) or ``X-Chunk-SHA256`` (hex)."""
        dictation = await self._dictation(request)
        sequence = _sequence(request.parameters["sequence"])
        announced = _announced(request)
        upload = Upload(dictation.id, request.principal.user_id, sequence, announced, await request.raw_body())
        return await self._consults.intake.keep(
            upload, lambda name: request.commit(lambda tx: Reply(body=shapes.acknowledged(name(tx))))
        )

    async def missing(self, request: Request) -> Reply:
        """``GET /api/dictations/{id}/missing?total=``."""
        dictation = await self._dictation(request)
        total = request.query.get("total")
        wanted = dictation.total_chunks if total is None else _sequence(total, "total")
        return Reply(body=await self._consults.store.read(lambda q: missing_of(q, dictation.id, wanted)))

    async def complete(self, request: Request) -> Reply:
        """``POST /api/dictations/{id}/complete``."""
        asked = await request.body(shapes.CompleteDictation)
        dictation = await self._dictation(request)
        user_id = request.principal.user_id
        await self._consults.store.read(lambda q: dictations.own(q, dictation.id, user_id))
        await self._consults.store.read(lambda q: dictations.check_complete(q, dictation, asked.total_chunks))
        if dictation.state == "open":
            await self._consults.intake.check_whole(dictation, asked.sha256)

        def change(tx: Transaction) -> Reply:
            done = self._consults.complete(tx, dictation.id, user_id, asked.total_chunks)
            return Reply(202, self._view(tx, done, request))

        return await request.commit(change)

    async def retry(self, request: Request) -> Reply:
        """``POST /api/dictations/{id}/retry``."""
        dictation = await self._dictation(request)
        return await request.commit(
            lambda tx: Reply(202, self._view(tx, self._consults.retry(tx, dictation.id), request))
        )

    async def transcript(self, request: Request) -> Reply:
        """``GET /api/dictations/{id}/transcript``; before it is there, why not."""
        dictation = await self._dictation(request)
        found = await self._consults.store.read(lambda q: transcripts.get(q, dictation))
        return Reply(body=shapes.transcript_view(dictation, found))

    async def audio(self, request: Request) -> Reply:
        """``GET /api/dictations/{id}/audio``."""
        dictation = await self._dictation(request)
        headers = {"Content-Length": str(dictation.audio_bytes)}
        return Reply(
            headers=headers, content_type=dictation.media_type, stream=self._consults.intake.audio(dictation.id)
        )

    def _view(self, q: Query, dictation: Dictation, request: Request) -> shapes.DictationView:
        return view(q, dictation, request.language, self._consults.broker.place(dictation.id))

    async def _dictation(self, request: Request) -> Dictation:
        dictation_id = request.parameters["dictation_id"]
        dictation = await self._consults.store.read(partial(dictations.get, dictation_id=dictation_id))
        request.about(patient=f"Patient/{dictation.patient_id}", resource=f"Dictation/{dictation.id}")
        return dictation


def view(q: Query, dictation: Dictation, language: str, place: int | None) -> shapes.DictationView:
    """A dictation with its progress, read in the same transaction. ``place``: where it waits for a model, if it does."""
    ended = None
    if dictation.state in ("failed", "no_speech"):
        ended = shapes.problem(errors.by_code(dictation.reason or ""), language)
    return shapes.dictation_view(
        dictation,
        received=dictations.received(q, dictation.id),
        missing=dictations.missing(q, dictation.id, dictation.total_chunks),
        segments=transcripts.count(q, dictation.id),
        ended=ended,
        place=dictations.ahead(q, dictation) + 1 if dictation.state == "complete" else place,
    )


def missing_of(q: Query, dictation_id: str, total: int | None) -> shapes.Missing:
    """What a client still has to send."""
    stored: list[Chunk] = dictations.chunks(q, dictation_id)
    after = stored[-1].sequence + 1 if stored else 0
    return shapes.Missing(dictations.missing(q, dictation_id, total), len(stored), after)


def _sequence(text: str, name: str = "sequence") -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > dictations.MAX_CHUNKS:
        raise INVALID(field=name, name=name, reason=f"a number from 0 to {dictations.MAX_CHUNKS}")
    return int(text)


def _announced(request: Request) -> str:
    """The chunk's SHA-256 in hex, from either header.

    Raises:
        ProntuarioError: ``invalid`` 422: neither is there, or neither is a SHA-256.
    """
    digest = _DIGEST.search(request.headers.get("content-digest", ""))
    plain = request.headers.get("x-chunk-sha256", "")
    if digest is not None:
        try:
            return base64.b64decode(digest[1], validate=True).hex()
        except binascii.Error:
            pass
    if _HEX.fullmatch(plain):
        return plain
    raise INVALID(field="Content-Digest", name="Content-Digest", reason="sha-256=:…: (RFC 9530)")
