"""A dictation live: events over SSE and WebSocket, and chunks over the same WebSocket.

WebSocket protocol (JSON text unless said): the server begins with ``{"event": "state", …, "missing": […]}``. The client
announces a chunk with ``{"sequence", "sha256", "size"}`` and sends its bytes as the next, binary message; the answer is
``{"acknowledged": n}`` once it is durable, or ``{"error": {…}, "sequence": n}``. ``{"complete": {"total_chunks", "sha256"?}}``
closes the recording, ``{"missing": total|null}`` asks what to send. Events arrive in between; after a break the client sends what
``missing`` and ``next`` of an answer name, and goes on.

While its author watches an open dictation, it is transcribed live (16 kHz mono 16-bit WAV, in chunks of any size, 100 ms for
a microphone): ``{"event": "partial", "start", "end", "text"}`` is a guess at what is being said and may change or vanish,
``{"event": "segment", "number", "start", "end", "text", "final": true}`` never changes. On every connection the segments so far
come again. ``{"event": "queue", "position": 3}`` says that what was said waits for the model behind two others; 0: it is being heard.
The same comes while a completed recording waits to be heard or drafted. ``{"event": "live", "available": false, "problem": {…},
"retry_after": 2.0}`` says that there is no live text for now, because the queue is full for example, and when it is tried again; the
recording and its transcription at the end are not touched by that. A dictation without speech ends as
``{"event": "state", "no_speech": true}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final

import msgspec

from appliance.api import care_shapes as shapes
from appliance.api.care_dictations import missing_of, view
from appliance.care import dictations, errors, transcripts
from appliance.care.intake import Upload
from appliance.care.model import ENDED, Dictation
from appliance.care.progress import Event, Subscription
from appliance.care.service import Consults
from appliance.plugin_api.errors import FORBIDDEN, INVALID, ProntuarioError
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route, ServerSentEvent, WebSocketRoute, WebSocketSession

TAG: Final = "dictations"
_NOTE_ENDED: Final = frozenset({"signed"})


class _Announcement(msgspec.Struct, forbid_unknown_fields=True):
    sequence: int
    sha256: shapes.Sha256
    size: int


class _Message(msgspec.Struct):
    sequence: int | None = None
    sha256: str | None = None
    size: int | None = None
    complete: shapes.CompleteDictation | None = None
    missing: int | msgspec.UnsetType | None = msgspec.UNSET


class StreamRoutes:
    """Handlers over one node's consults."""

    def __init__(self, consults: Consults) -> None:
        self._consults = consults

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        one = "/api/dictations/{dictation_id}"
        return [
            Route(
                "GET",
                one + "/events",
                "dictation.read",
                self.events,
                "Progress, also the place in the queue, as server-sent events",
                tag=TAG,
            ),
            WebSocketRoute(
                one + "/stream", "dictation.read", self.stream, "Chunks, progress and live text over one WebSocket", TAG
            ),
        ]

    async def events(self, request: Request) -> Reply:
        """``GET …/events``: the state first, then what happens; ends with the draft, or with ``?until=signed`` later."""
        dictation_id = request.parameters["dictation_id"]
        dictation = await self._consults.store.read(partial(dictations.get, dictation_id=dictation_id))
        request.about(patient=f"Patient/{dictation.patient_id}", resource=f"Dictation/{dictation.id}")
        until_signed = request.query.get("until") == "signed"
        return Reply(stream=self._follow(dictation_id, request.language, until_signed=until_signed))

    async def _follow(self, dictation_id: str, language: str, *, until_signed: bool) -> AsyncIterator[ServerSentEvent]:
        with self._consults.broker.subscribe(dictation_id) as subscription:
            yield await self._state(dictation_id, language)
            state = await self._current(dictation_id)
            if state in ENDED and not (until_signed and state == "drafted"):
                return
            async for event in subscription.events():
                yield await self._served(event, dictation_id, language)
                if _is_last(event, until_signed=until_signed):
                    return

    async def _served(self, event: Event, dictation_id: str, language: str) -> ServerSentEvent:
        if event.name in ("state", "resync"):
            return await self._state(dictation_id, language)
        if event.name == "live":
            problem = shapes.problem(errors.by_code(event.data["code"]), language)
            told = {"available": event.data["available"], "problem": problem, "retry_after": event.data["retry_after"]}
            return ServerSentEvent("live", told)
        return ServerSentEvent(event.name, event.data)

    async def _state(self, dictation_id: str, language: str) -> ServerSentEvent:
        place = self._consults.broker.place(dictation_id)
        found = await self._consults.store.read(lambda q: view(q, dictations.get(q, dictation_id), language, place))
        return ServerSentEvent("state", found)

    async def _current(self, dictation_id: str) -> str:
        dictation = await self._consults.store.read(lambda q: dictations.get(q, dictation_id))
        return dictation.state

    async def stream(self, session: WebSocketSession) -> None:
        """See the module."""
        await _Conversation(self, self._consults, session).run()

    async def served(self, event: Event, dictation_id: str, language: str) -> dict[str, Any]:
        """An event as a WebSocket message."""
        told = await self._served(event, dictation_id, language)
        data: dict[str, Any] = msgspec.to_builtins(told.data)
        return {"event": told.event} | data


def _is_last(event: Event, *, until_signed: bool) -> bool:
    if event.name == "state" and event.data.get("state") in ENDED:
        return not (until_signed and event.data["state"] == "drafted")
    return event.name == "note" and event.data.get("state") in _NOTE_ENDED


class _Conversation:
    """One WebSocket: a task tells events, the other answers messages; one message is handled at a time."""

    def __init__(self, routes: StreamRoutes, consults: Consults, session: WebSocketSession) -> None:
        self._routes = routes
        self._consults = consults
        self._session = session
        self._id = session.parameters["dictation_id"]
        self._announced: _Announcement | None = None

    async def run(self) -> None:
        try:
            dictation = await self._consults.store.read(lambda q: dictations.get(q, self._id))
            self._session.about(patient=f"Patient/{dictation.patient_id}", resource=f"Dictation/{dictation.id}")
            with self._consults.broker.subscribe(self._id) as subscription:
                await self._send(Event("state", {}))
                await self._retell()
                teller = asyncio.create_task(self._tell(subscription))
                try:
                    with self._heard_live(dictation):
                        await self._answer()
                finally:
                    teller.cancel()
                    with suppress(asyncio.CancelledError):
                        await teller
        except ProntuarioError as error:
            await self._session.send(self._refusal(error))

    async def _tell(self, subscription: Subscription) -> None:
        async for event in subscription.events():
            if event.name != "chunk":  # its acknowledgement says the same
                await self._send(event)
            if event.name == "resync":
                await self._retell()

    async def _send(self, event: Event) -> None:
        await self._session.send(await self._routes.served(event, self._id, self._session.language))

    async def _retell(self) -> None:
        """The final segments so far, for whoever was not there to hear them."""
        for segment in await self._consults.store.read(lambda q: transcripts.segments(q, self._id)):
            await self._send(Event("segment", transcripts.told(segment)))

    def _heard_live(self, dictation: Dictation) -> AbstractContextManager[None]:
        """Only the person who dictates starts a transcription; others see what comes of it."""
        principal = self._session.principal
        if principal.user_id != dictation.author or not principal.may("dictation.write"):
            return nullcontext()
        return self._consults.live.watching(self._id)

    async def _answer(self) -> None:
        while (message := await self._session.receive()) is not None:
            sequence = self._announced.sequence if self._announced is not None else None
            try:
                answer = await (self._chunk(message) if isinstance(message, bytes) else self._control(message))
            except ProntuarioError as error:
                answer = self._refusal(error, sequence)
            if answer is not None:
                await self._session.send(answer)

    async def _control(self, text: str) -> Any:
        try:
            message = msgspec.json.decode(text, type=_Message)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise INVALID(field="message", name="message", reason="not a message of this protocol") from error
        if message.complete is not None:
            return await self._complete(message.complete)
        if message.sequence is not None:
            self._announced = self._announcement(message)
            return None
        if message.missing is not msgspec.UNSET:
            total = message.missing
            return await self._consults.store.read(lambda q: missing_of(q, self._id, total))
        raise INVALID(field="message", name="message", reason="sequence, complete or missing expected")

    @staticmethod
    def _announcement(message: _Message) -> _Announcement:
        try:
            told = {"sequence": message.sequence, "sha256": message.sha256, "size": message.size}
            return msgspec.convert(told, _Announcement)
        except msgspec.ValidationError as error:
            raise INVALID(field="sha256", name="sha256", reason="sequence, sha256 (hex) and size are needed") from error

    async def _chunk(self, data: bytes) -> Any:
        announced, self._announced = self._announced, None
        if announced is None:
            raise INVALID(field="message", name="message", reason="announce a chunk before its bytes")
        if len(data) != announced.size:
            raise INVALID(field="size", name="size", reason="differs from the bytes that came")
        self._require_write()
        upload = Upload(self._id, self._session.principal.user_id, announced.sequence, announced.sha256, data)
        return shapes.acknowledged(await self._consults.intake.keep(upload, self._consults.store.write))

    async def _complete(self, asked: shapes.CompleteDictation) -> Any:
        self._require_write()
        user_id = self._session.principal.user_id
        dictation = await self._consults.store.read(lambda q: dictations.own(q, self._id, user_id))
        await self._consults.store.read(lambda q: dictations.check_complete(q, dictation, asked.total_chunks))
        if dictation.state == "open":
            await self._consults.intake.check_whole(dictation, asked.sha256)
        done = await self._consults.store.write(
            lambda tx: self._consults.complete(tx, self._id, user_id, asked.total_chunks)
        )
        return {"completed": True, "state": done.state}

    def _require_write(self) -> None:
        if not self._session.principal.may("dictation.write"):
            raise FORBIDDEN()

    def _refusal(self, error: ProntuarioError, sequence: int | None = None) -> dict[str, Any]:
        told = msgspec.to_builtins(shapes.problem(error, self._session.language))
        missing = error.details.get("missing")
        return {"error": told | ({"missing": missing} if missing else {}), "sequence": sequence}
