"""Transcribes a dictation while it is being spoken, for as long as somebody watches it.

It reads what is stored, chunk after chunk without a gap, so it hears nothing that is not acknowledged, whatever way the chunks
came in and however often the connection broke. Every utterance that ends is kept as a final segment; the transcription
that follows the completion goes on after the last of them and changes none. Partial segments are told and forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from appliance.care import dictations, transcripts
from appliance.care.ai_switches import require
from appliance.care.errors import SUPERSEDED
from appliance.care.intake import Intake
from appliance.care.live_audio import LIVE_UNSUPPORTED, GrowingWav
from appliance.care.model import Chunk, Dictation, Segment
from appliance.care.progress import Broker, Subscription
from appliance.care.vocabulary import hint_for
from appliance.plugin_api import capabilities
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import NOT_FOUND, UNAVAILABLE, ProntuarioError
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.plugin_host.choice import Abilities
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("live")
LINGER_S: Final = 60.0
"""A connection that breaks comes back; until then what was heard need not be heard again."""
LOOK_AGAIN_S: Final = 0.25
"""Chunks of 100 ms are read a few at a time."""
RETRY_S: Final = 2.0
UTTERANCE_LIMIT_S: Final = 120.0
_CHUNKS_AT_ONCE: Final = 64
_FINAL_REASONS: Final = frozenset({SUPERSEDED, LIVE_UNSUPPORTED, NOT_FOUND})
_OWN_FAULTS: Final = frozenset({413, 422})
"""A language that the model does not know, an utterance that kills it: a recording would meet these again, and every try hears
all of it from the beginning."""


class _OverError(Exception):
    """The recording is complete: the transcription job has it now."""


@dataclass
class _Followed:
    task: asyncio.Task[None]
    watchers: int = 0
    farewell: asyncio.TimerHandle | None = None


class LiveHearing:
    """One per node. Publishes ``partial``, ``segment``, ``queue`` and, when it can't go on, ``live`` events."""

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        abilities: Abilities,
        clock: Clock,
        broker: Broker,
        linger_s: float = LINGER_S,
    ) -> None:
        self._store = store
        self._intake = intake
        self._abilities = abilities
        self._clock = clock
        self._broker = broker
        self._linger_s = linger_s
        self._followed: dict[str, _Followed] = {}

    @property
    def followed(self) -> int:
        """How many dictations are being heard."""
        return len(self._followed)

    @contextlib.contextmanager
    def watching(self, dictation_id: str) -> Iterator[None]:
        """Hear this dictation while the block runs, and for a moment after it."""
        found = self._followed.get(dictation_id)
        if found is None:
            found = self._followed[dictation_id] = _Followed(asyncio.create_task(self._follow(dictation_id)))
            found.task.add_done_callback(partial(self._ended, dictation_id))
        found.watchers += 1
        if found.farewell is not None:
            found.farewell.cancel()
            found.farewell = None
        try:
            yield
        finally:
            found.watchers -= 1
            if not found.watchers:
                found.farewell = asyncio.get_running_loop().call_later(self._linger_s, found.task.cancel)

    async def stop(self) -> None:
        """Stop hearing; whoever watches next goes on where this ended."""
        tasks = [followed.task for followed in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, dictation_id: str, task: asyncio.Task[None]) -> None:
        followed = self._followed.pop(dictation_id)
        if followed.farewell is not None:
            followed.farewell.cancel()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("live hearing ended", dictation_id=dictation_id, error=type(error).__name__, exc_info=error)

    async def _follow(self, dictation_id: str) -> None:
        while True:
            try:
                with self._broker.subscribe(dictation_id) as subscription:
                    await self._hear(dictation_id, subscription)
                    return
            except _OverError:
                return
            except ProntuarioError as error:
                final = error.kind in _FINAL_REASONS or error.kind.status in _OWN_FAULTS
                pause_s = max(RETRY_S, error.retry_after or 0.0)
                told = {"available": False, "code": error.kind.code, "retry_after": None if final else pause_s}
                self._broker.publish(dictation_id, "live", **told)
                if final:
                    return
                await asyncio.sleep(pause_s)

    async def _hear(self, dictation_id: str, subscription: Subscription) -> None:
        dictation = await self._store.read(partial(dictations.get, dictation_id=dictation_id))
        if dictation.state != "open":
            raise _OverError
        allowed = partial(require, function="transcription", user_id=dictation.author, patient_id=dictation.patient_id)
        await self._store.read(allowed)
        model = self._abilities.speech_to_text().instance
        if not model.model().ready:
            raise UNAVAILABLE(what="speech")
        go_on = partial(transcripts.resume, dictation=dictation, model_sha256=model.model().sha256, now=self._now())
        number, after = await self._store.write(go_on)
        hint = await self._store.read(partial(hint_for, dictation, model.model()))
        options = capabilities.TranscriptionOptions(
            language=dictation.language, prompt=hint, partials=True, skip_until=after
        )
        sound = self._sound(dictation_id, subscription)
        with self._broker.queueing(dictation_id) as on_queue:
            call = CallOptions(
                Lane.INTERACTIVE,
                UTTERANCE_LIMIT_S,
                user=dictation.author,
                patient=dictation.patient_id,
                on_queue=on_queue,
            )
            await self._keep(dictation, number, after, model.transcribe(sound, options, call))

    async def _keep(
        self, dictation: Dictation, number: int, after: float, heard: AsyncIterator[capabilities.Segment]
    ) -> None:
        """Keep what is final from segment ``number`` on, and tell what is not."""
        async with aclosing(heard) as spoken:  # type: ignore[type-var]
            async for utterance in spoken:
                segment = transcripts.next_segment(number, after, utterance)
                if segment is None:
                    continue
                if not utterance.final:
                    told = {"start": segment.start, "end": segment.end, "text": segment.text, "final": False}
                    self._broker.publish(dictation.id, "partial", **told)
                    continue
                await self._store.write(partial(self._add, dictation, segment))
                number += 1

    def _add(self, dictation: Dictation, segment: Segment, tx: Transaction) -> None:
        transcripts.add(tx, dictation, [segment], self._now())
        tx.after_commit(partial(self._broker.publish, dictation.id, "segment", **transcripts.told(segment)))

    async def _sound(self, dictation_id: str, subscription: Subscription) -> AsyncIterator[bytes]:
        """The samples of all chunks without a gap from the first, as they come; ends with ``_OverError`` only."""
        wav, place = GrowingWav(), 0
        arrivals = subscription.events()
        while True:
            found, state = await self._store.read(partial(_stored, dictation_id, place))
            place += len(found)
            async for piece in self._intake.pieces(found):
                if sound := wav.feed(piece):
                    yield sound
            if found:
                continue
            if state != "open":
                raise _OverError
            await anext(arrivals)
            await asyncio.sleep(LOOK_AGAIN_S)

    def _now(self) -> str:
        return instant(self._clock.now())


def _stored(dictation_id: str, first: int, q: Query) -> tuple[list[Chunk], str]:
    found = dictations.chunks_from(q, dictation_id, first, _CHUNKS_AT_ONCE)
    return found, dictations.get(q, dictation_id).state
