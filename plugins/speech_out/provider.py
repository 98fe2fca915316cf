"""The ability ``text_to_speech``: a text is written out in words, and the best program of this machine says them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from appliance.plugin_api.capabilities import VOICE_RATE_HZ, ModelInfo, VoiceOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import BUSY, INVALID
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.programs import Missing, Program
from plugins.speech_out.reading import reading_of
from plugins.speech_out.speaking import FAILED, spoken

CAPABILITY: Final = "text_to_speech"
MOST_CHARACTERS: Final = 50_000
"""About an hour of speech."""
_RETRY_AFTER_S: Final = 2.0


class Voice:
    """A ``TextToSpeech`` over the first of ``programs`` that this machine has."""

    def __init__(self, programs: Sequence[Program], config: VoiceConfig) -> None:
        self._programs = programs
        self._config = config
        self._places = asyncio.Semaphore(config.at_once)
        self._waiting = 0

    def missing(self) -> Missing | None:
        """Why nothing speaks here; None when something does. The last program's reason is the one to act on."""
        reasons = [program.missing() for program in self._programs]
        return None if None in reasons else reasons[-1]

    def model(self) -> ModelInfo:
        program = self._program()
        name = (program or self._programs[-1]).name
        return ModelInfo(name, "", CAPABILITY, demonstration=False, ready=program is not None)

    def voices(self) -> Sequence[str]:
        program = self._program()
        return program.voices() if program is not None else []

    async def speak(self, text: str, options: VoiceOptions, call: CallOptions) -> AsyncGenerator[bytes, None]:
        """See ``TextToSpeech.speak``. ``call.deadline_s`` counts until the turn comes."""
        program = self._program()
        if program is None:
            raise FAILED(reason="not installed")
        voice = options.voice or program.voices()[0]
        if voice not in program.voices():
            raise INVALID(field="voice", name="voice", reason=f"one of {', '.join(program.voices())}")
        if len(text) > MOST_CHARACTERS:
            raise INVALID(field="input", name="input", reason=f"up to {MOST_CHARACTERS} characters")
        words = await asyncio.to_thread(reading_of, text)
        if not any(character.isalpha() for character in words):
            raise INVALID(field="input", name="input", reason="it has nothing to say")
        await self._turn(call.deadline_s)
        try:
            command = program.command(voice, self._config.words_per_minute * options.speed)
            sound = spoken(command, words, stall_s=self._config.stall_s, rate_hz=VOICE_RATE_HZ)
            async with aclosing(sound):
                async for block in sound:
                    yield block
        finally:
            self._places.release()

    async def _turn(self, limit_s: float) -> None:
        if self._places.locked() and self._waiting >= self._config.waiting:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1

    def _busy(self) -> Exception:
        return BUSY(what="speech_out", waiting=self._waiting, retry_after=_RETRY_AFTER_S)

    def _program(self) -> Program | None:
        return next((program for program in self._programs if program.missing() is None), None)
