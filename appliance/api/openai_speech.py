"""``POST /v1/audio/speech``: a text read aloud, streamed as it is spoken (OpenAI API reference, "Create speech")."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from appliance.api.openai_models import require_model
from appliance.api.sound_formats import format_called
from appliance.api.spoken import FASTEST, SLOWEST, read_aloud
from appliance.plugin_api.capabilities import VoiceOptions
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_host.choice import Abilities

MOST_CHARACTERS: Final = 4096
ANY_VOICE: Final = frozenset(
    {"", "default", "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"}
)
"""The official clients must name a voice: OpenAI's own names mean "the voice that serves here"."""
ANY_MODEL: Final = frozenset({"tts-1", "tts-1-hd"})
"""Older clients can name no other model."""


class SpeechRequest(msgspec.Struct, frozen=True):
    """The fields that are honoured; ``response_format`` is wav (when it is left out too), pcm, flac or opus."""

    input: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)]
    model: str = ""
    voice: str = ""
    response_format: str = "wav"
    speed: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] = 1.0


class Speech:
    """Reads texts aloud with whatever voice the node offers."""

    def __init__(self, abilities: Abilities) -> None:
        self._abilities = abilities

    async def create(self, request: Request) -> Reply:
        """The handler."""
        asked = await request.body(SpeechRequest)
        wanted = format_called(asked.response_format, "response_format")
        if asked.model not in ANY_MODEL:
            require_model(self._abilities.models(), asked.model, "text_to_speech")
        options = VoiceOptions("" if asked.voice in ANY_VOICE else asked.voice, asked.speed)
        return await read_aloud(self._abilities, request, asked.input, options, wanted)
