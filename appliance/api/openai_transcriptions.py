"""``POST /v1/audio/transcriptions``."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.api.openai_models import require_model
from appliance.api.openai_multipart import Form
from appliance.api.openai_transcript import FORMATS, SUBTITLES, plain_text, verbose
from appliance.care.audio import decode, spooled
from appliance.plugin_api.capabilities import SAMPLE_RATE_HZ, Segment, SpeechToText, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_host.choice import Abilities, Choice

_DEADLINE_S: Final = 300.0
_MAX_PROMPT_CHARACTERS: Final = 4000
_GRANULARITIES: Final = frozenset({"word", "segment"})
_LANGUAGE: Final = re.compile("[a-z]{2,3}|auto")
_BYTES_PER_SECOND: Final = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The form's fields, checked."""

    model: str
    format: str
    granularities: frozenset[str]
    options: TranscriptionOptions


class _Counted:
    """Decoded audio on its way to the model; ``seconds`` is how much has passed."""

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self._bytes = 0

    @property
    def seconds(self) -> float:
        return self._bytes / _BYTES_PER_SECOND

    async def blocks(self) -> AsyncIterator[bytes]:
        async for block in self._blocks:
            self._bytes += len(block)
            yield block


class Transcriptions:
    """Turns an uploaded recording into text with whatever speech model the node offers."""

    def __init__(self, abilities: Abilities, *, spool: Path | None, max_audio_bytes: int, max_hours: float) -> None:
        self._abilities = abilities
        self._spool = spool or Path(tempfile.gettempdir()) / "prontuario-spool"
        self._max_audio_bytes = max_audio_bytes
        self._max_hours = max_hours

    async def create(self, request: Request) -> Reply:
        """The handler. The upload lies on disk, readable by us only, just as long as it is decoded."""
        form = Form(request.headers.get("content-type", ""), request.stream_body(), file_field="file")
        async with spooled(form.file(), self._spool, max_bytes=self._max_audio_bytes) as path:
            if not form.has_file:
                raise INVALID(field="file", name="file", reason="it is missing")
            wishes = _wishes(form)
            require_model(self._abilities.models(), wishes.model, "speech_to_text")
            choice: Choice[SpeechToText] = self._abilities.speech_to_text(wishes.options)
            call = CallOptions(lane=Lane.INTERACTIVE, deadline_s=_DEADLINE_S, user=request.principal.user_id)
            audio = _Counted(decode(path, max_hours=self._max_hours))
            stream = choice.instance.transcribe(audio.blocks(), wishes.options, call)
            segments = [segment async for segment in stream]
        return _reply(wishes, segments, audio.seconds, choice)


def _reply(wishes: _Wishes, segments: list[Segment], seconds: float, choice: Choice[SpeechToText]) -> Reply:
    marks: dict[str, bool] = {}
    if choice.instance.model().demonstration:
        marks["demonstration_model"] = True
    if choice.degraded:
        marks["degraded"] = True
    if make := SUBTITLES.get(wishes.format):
        if not segments:
            marks["no_speech"] = True
        headers = {f"x-{name.replace('_', '-')}": "true" for name in marks}
        return Reply(body=make(segments).encode(), headers=headers, content_type="text/plain; charset=utf-8")
    answer: dict[str, Any] = {
        "text": plain_text(segments),
        "usage": {"type": "duration", "seconds": math.ceil(seconds)},
    }
    if wishes.format == "verbose_json":
        answer = verbose(
            segments,
            language=_spoken(segments) or wishes.options.language,
            duration_s=seconds,
            temperature=wishes.options.temperature,
            granularities=wishes.granularities,
        )
    return Reply(body=answer | {"no_speech": not segments} | marks)


def _spoken(segments: list[Segment]) -> str:
    """The language that most of the sound was heard as; empty when the model does not tell."""
    seconds: dict[str, float] = {}
    for segment in segments:
        seconds[segment.language] = seconds.get(segment.language, 0.0) + segment.end - segment.start
    return max(seconds, key=lambda language: seconds[language], default="")


def _wishes(form: Form) -> _Wishes:
    wanted = form.value("response_format", "json")
    if wanted not in FORMATS:
        raise _invalid("response_format", f"one of {', '.join(sorted(FORMATS))}")
    granularities = frozenset(form.values("timestamp_granularities"))
    if not granularities <= _GRANULARITIES:
        raise _invalid("timestamp_granularities", "word or segment")
    if granularities and wanted != "verbose_json":
        raise _invalid("timestamp_granularities", "it needs response_format verbose_json")
    language = form.value("language") or TranscriptionOptions().language
    if not _LANGUAGE.fullmatch(language):
        raise _invalid("language", "an ISO 639-1 code such as pt, or auto")
    prompt = form.value("prompt")
    if len(prompt) > _MAX_PROMPT_CHARACTERS:
        raise _invalid("prompt", f"up to {_MAX_PROMPT_CHARACTERS} characters")
    options = TranscriptionOptions(
        language=language,
        prompt=prompt,
        word_times="word" in granularities,
        temperature=_temperature(form.value("temperature", "0")),
    )
    return _Wishes(form.value("model"), wanted, granularities or frozenset({"segment"}), options)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise _invalid("temperature", "a number from 0 to 1")
    return value


def _invalid(name: str, reason: str) -> Exception:
    return INVALID(field=name, name=name, reason=reason)
