"""The core's half: the ability ``speech_to_text``, over the engine's child."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.capabilities import ModelInfo, Segment, TranscriptionOptions, Word
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus, Lane
from appliance.plugin_api.errors import ProntuarioError, define
from plugins.whisper_stt.gate import Cut, VoiceGate
from plugins.whisper_stt.listening import Listening, cuts_of
from plugins.whisper_stt.messages import TRANSCRIBE, UNKNOWN_LANGUAGE, Transcript, Utterance

LANGUAGE = define(
    UNKNOWN_LANGUAGE,
    422,
    pt=("O modelo não conhece o idioma {language}.", "Use um código ISO 639-1, como pt."),
    en=("The model does not know the language {language}.", "Use an ISO 639-1 code such as pt."),
)
UNHEARD: Final = "[trecho não transcrito]"
"""Stands for an utterance that the engine can't do, or that brought it down twice: whoever reads it can listen to those seconds."""
_POISON: Final = "engine.poison"
_FAILED: Final = "engine.failed"
_GUESS_S: Final = 5.0
"""A guess that takes longer is of no use: the speaker has gone on."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Transcript)


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
        vocabulary: bool = False,
        terms: tuple[str, ...] = (),
    ) -> None:
        self._engine = engine
        self._name = folder.name
        self._demonstration = demonstration
        self._max_utterance_s = max_utterance_s
        self._pause_s = pause_s
        self._in_flight = in_flight
        self._vocabulary = vocabulary
        self._terms = terms if vocabulary else ()

    def model(self) -> ModelInfo:
        loaded = self._engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else self._name,
            sha256=loaded.model_sha256 if loaded else "",
            capability="speech_to_text",
            demonstration=self._demonstration,
            ready=loaded is not None and self._engine.status is EngineStatus.READY,
            vocabulary=self._vocabulary,
            terms=self._terms,
        )

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncGenerator[Segment, None]:
        """Segments in order of time; guesses at what is still being said come in between, if asked for.

        Closing the iterator cancels what is in flight.

        Raises:
            ProntuarioError: ``speech.language`` 422, engine errors; what came before them has been yielded.
        """
        gate = VoiceGate(max_utterance_s=self._max_utterance_s, pause_s=self._pause_s)
        listening = Listening(
            cuts_of(audio, gate, skip_until=options.skip_until, partials=options.partials),
            lambda cut: self._hear(cut, options, call),
            in_flight=self._in_flight,
        )
        try:
            async for segment in listening.segments():
                yield segment
        finally:
            await listening.close()

    async def _hear(self, cut: Cut, options: TranscriptionOptions, call: CallOptions) -> Segment | None:
        """A final cut as the caller asked for it; a guess only where nobody waits for the engine, and behind all others."""
        if cut.final:
            return await self._final(cut, options, call)
        if self._engine.waiting:
            return None
        plain = msgspec.structs.replace(options, word_times=False)
        modest = replace(call, lane=Lane.BACKGROUND, deadline_s=_GUESS_S, idempotent=False, on_queue=None)
        with suppress(ProntuarioError):
            return _segment(cut, await self._one(cut, plain, modest))
        return None

    async def _final(self, cut: Cut, options: TranscriptionOptions, call: CallOptions) -> Segment | None:
        """What was said. An utterance that no engine survives, or none can do, is named as a hole and does not cost the rest."""
        for last in (False, True):
            try:
                return _segment(cut, await self._one(cut, options, call))
            except ProntuarioError as error:
                if error.kind.code not in {_POISON, _FAILED}:
                    raise
                if last or error.kind.code == _POISON:
                    break
        return Segment(round(cut.start, 3), round(cut.end, 3), UNHEARD, 0.0)

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


def _segment(cut: Cut, transcript: Transcript) -> Segment | None:
    if not transcript.text:
        return None
    words = tuple(
        Word(word.text, round(cut.start + word.start, 3), round(cut.start + word.end, 3), word.probability)
        for word in transcript.words
    )
    start, end = round(cut.start, 3), round(cut.end, 3)
    return Segment(start, end, transcript.text, transcript.confidence, words, transcript.language, final=cut.final)
