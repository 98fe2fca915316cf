"""The core's half: cuts the stream into utterances, has several transcribed at a time, and keeps their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.plugin_api.capabilities import ModelInfo, Segment, TranscriptionOptions, Word
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from appliance.plugin_api.errors import ProntuarioError, define
from plugins.whisper_stt.gate import Cut, VoiceGate
from plugins.whisper_stt.messages import TRANSCRIBE, UNKNOWN_LANGUAGE, Transcript, Utterance

LANGUAGE = define(
    UNKNOWN_LANGUAGE,
    422,
    pt=("O modelo não conhece o idioma {language}.", "Use um código ISO 639-1, como pt."),
    en=("The model does not know the language {language}.", "Use an ISO 639-1 code such as pt."),
)
_BLOCK_BYTES = 64 << 10
"""Two seconds: the gate's work on one block stays a few milliseconds on the event loop."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Transcript)
_Pending = tuple[Cut, asyncio.Task[Transcript]]


class WhisperSpeechToText:
    """A ``SpeechToText`` over one engine child.

    ``max_utterance_s`` is at most the model's window. A stream may be live and last hours: the deadline of a call counts
    for each utterance, from the moment when it is complete.
    """

    def __init__(
        self,
        engine: EngineHandle,
        *,
        folder: Path,
        demonstration: bool,
        max_utterance_s: float,
        pause_s: float,
        in_flight: int,
    ) -> None:
        self._engine = engine
        self._name = folder.name
        self._demonstration = demonstration
        self._max_utterance_s = max_utterance_s
        self._pause_s = pause_s
        self._in_flight = in_flight

    def model(self) -> ModelInfo:
        loaded = self._engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else self._name,
            sha256=loaded.model_sha256 if loaded else "",
            capability="speech_to_text",
            demonstration=self._demonstration,
            ready=loaded is not None and self._engine.status is EngineStatus.READY,
        )

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncGenerator[Segment, None]:
        """Segments in order of time. Closing the iterator cancels what is in flight.

        Raises:
            ProntuarioError: ``speech.language`` 422, engine errors; what came before them has been yielded.
        """
        cuts = self._cuts(audio)
        in_flight: deque[_Pending] = deque()
        coming: asyncio.Task[Cut | None] | None = asyncio.create_task(_next_or_none(cuts))
        failure: ProntuarioError | None = None
        try:
            while coming is not None or in_flight:
                await _first_done(in_flight, coming if len(in_flight) < self._in_flight else None)
                if in_flight and in_flight[0][1].done():
                    cut, task = in_flight.popleft()
                    if (transcript := task.result()).text:
                        yield _segment(cut, transcript)
                elif coming is not None and coming.done():
                    try:
                        new = coming.result()
                    except ProntuarioError as error:
                        new, failure = None, error
                    coming = None
                    if new is not None:
                        in_flight.append((new, asyncio.create_task(self._one(new, options, call))))
                        coming = asyncio.create_task(_next_or_none(cuts))
            if failure is not None:
                raise failure
        finally:
            await _cancel([task for _, task in in_flight] + ([coming] if coming else []))
            await cuts.aclose()

    async def _cuts(self, audio: AsyncIterator[bytes]) -> AsyncGenerator[Cut, None]:
        """The utterances of the stream. When reading it fails, what was heard until then still comes first."""
        gate = VoiceGate(max_utterance_s=self._max_utterance_s, pause_s=self._pause_s)
        failure: ProntuarioError | None = None
        try:
            async for block in audio:
                for start in range(0, len(block), _BLOCK_BYTES):
                    for cut in gate.feed(block[start : start + _BLOCK_BYTES]):
                        yield cut
                    await asyncio.sleep(0)
        except ProntuarioError as error:
            failure = error
        for cut in gate.finish():
            yield cut
        if failure is not None:
            raise failure

    async def _one(self, cut: Cut, options: TranscriptionOptions, call: CallOptions) -> Transcript:
        utterance = Utterance(cut.pcm, options.language, options.prompt, options.temperature, options.word_times)
        answer = b""
        try:
            async for payload in self._engine.submit(TRANSCRIBE, _encoder.encode(utterance), call):
                answer = payload
        except ProntuarioError as error:
            if error.details.get("reason") == UNKNOWN_LANGUAGE:
                raise LANGUAGE(field="language", language=options.language) from error
            raise
        return _decoder.decode(answer)


def _segment(cut: Cut, transcript: Transcript) -> Segment:
    words = tuple(
        Word(word.text, round(cut.start + word.start, 3), round(cut.start + word.end, 3), word.probability)
        for word in transcript.words
    )
    start, end = round(cut.start, 3), round(cut.end, 3)
    return Segment(start, end, transcript.text, transcript.confidence, words, transcript.language)


async def _next_or_none(cuts: AsyncGenerator[Cut, None]) -> Cut | None:
    return await anext(cuts, None)


async def _first_done(in_flight: deque[_Pending], coming: asyncio.Task[Cut | None] | None) -> None:
    """Wait for the oldest transcript or, where there is room, the next utterance."""
    tasks: list[asyncio.Task[Any]] = [in_flight[0][1]] if in_flight else []
    if coming is not None:
        tasks.append(coming)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
