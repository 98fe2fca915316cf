"""Cuts a stream into utterances, has several of them heard at a time, and keeps their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

from appliance.plugin_api.capabilities import Segment
from appliance.plugin_api.errors import ProntuarioError
from plugins.whisper_stt.gate import Cut, VoiceGate

_BLOCK_BYTES: Final = 64 << 10
"""Two seconds: the gate's work on one block stays a few milliseconds on the event loop."""
GUESS_EVERY_S: Final = 1.0
"""So much more must have been said before another guess is worth the model's time."""
_SAME_MOMENT_S: Final = 0.01

Hear = Callable[[Cut], Coroutine[Any, Any, Segment | None]]
_Hearing = asyncio.Task[Segment | None]


async def cuts_of(
    audio: AsyncIterator[bytes], gate: VoiceGate, *, skip_until: float = 0.0, partials: bool = False
) -> AsyncGenerator[Cut, None]:
    """The utterances of the stream that begin at ``skip_until`` seconds or later; with ``partials`` also what grows.

    When reading the stream fails, what was heard until then still comes first.
    """
    failure: ProntuarioError | None = None
    guessed = 0.0
    try:
        async for block in audio:
            for start in range(0, len(block), _BLOCK_BYTES):
                for cut in _since(skip_until, gate.feed(block[start : start + _BLOCK_BYTES])):
                    yield cut
                await asyncio.sleep(0)
            if partials and gate.heard_s >= guessed + GUESS_EVERY_S:
                guessed = gate.heard_s
                for guess in _since(skip_until, filter(None, [gate.pending()])):
                    yield guess
    except ProntuarioError as error:
        failure = error
    for cut in _since(skip_until, gate.finish()):
        yield cut
    if failure is not None:
        raise failure


def _since(seconds: float, cuts: Iterable[Cut]) -> Iterator[Cut]:
    return (cut for cut in cuts if cut.start >= seconds - _SAME_MOMENT_S)


class Listening:
    """Hears cuts through ``hear``, up to ``in_flight`` at a time, and one guess beside them.

    A guess is dropped when its utterance ends, and when an earlier guess is still being heard.
    """

    def __init__(self, cuts: AsyncGenerator[Cut, None], hear: Hear, *, in_flight: int) -> None:
        self._cuts = cuts
        self._hear = hear
        self._most = in_flight
        self._in_flight: deque[_Hearing] = deque()
        self._coming: asyncio.Task[Cut | None] | None = None
        self._guess: _Hearing | None = None
        self._dropped: set[_Hearing] = set()
        self._failure: ProntuarioError | None = None

    async def segments(self) -> AsyncGenerator[Segment, None]:
        """What was heard, in order of time; after a failure of the stream, what came before it and then the error."""
        self._read_on()
        while self._coming is not None or self._in_flight:
            await self._something_done()
            if self._in_flight and self._in_flight[0].done():
                if (segment := self._in_flight.popleft().result()) is not None:
                    yield segment
            elif self._guess is not None and self._guess.done():
                guess, self._guess = self._guess, None
                if (segment := guess.result()) is not None:
                    yield segment
            elif self._coming is not None and self._coming.done() and len(self._in_flight) < self._most:
                self._take(self._coming)
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Cancel what is being heard and read."""
        tasks: list[asyncio.Task[Any]] = [*self._in_flight, *self._dropped]
        tasks += [task for task in (self._coming, self._guess) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cuts.aclose()

    def _read_on(self) -> None:
        self._coming = asyncio.create_task(_next_or_none(self._cuts))

    def _take(self, coming: asyncio.Task[Cut | None]) -> None:
        self._coming = None
        try:
            cut = coming.result()
        except ProntuarioError as error:
            self._failure, cut = error, None
        if cut is None:
            self._drop_guess()
            return
        if cut.final:
            self._drop_guess()
            self._in_flight.append(asyncio.create_task(self._hear(cut)))
        elif self._guess is None:
            self._guess = asyncio.create_task(self._hear(cut))
        self._read_on()

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._guess.cancel()
            self._dropped.add(self._guess)
            self._guess.add_done_callback(self._dropped.discard)
            self._guess = None

    async def _something_done(self) -> None:
        """Until the oldest transcript, the guess or, where there is room, the next cut has come."""
        tasks: list[asyncio.Task[Any]] = [self._in_flight[0]] if self._in_flight else []
        if self._guess is not None:
            tasks.append(self._guess)
        if self._coming is not None and len(self._in_flight) < self._most:
            tasks.append(self._coming)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _next_or_none(cuts: AsyncGenerator[Cut, None]) -> Cut | None:
    return await anext(cuts, None)
