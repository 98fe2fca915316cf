"""A text as a streamed reply of sound: shared by ``/v1/audio/speech`` and the note that is read back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast

from appliance.api.sound_formats import SoundFormat, encoded
from appliance.plugin_api.capabilities import TextToSpeech, VoiceOptions
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_host.choice import Abilities, Choice

SLOWEST: Final = 0.5
FASTEST: Final = 2.5
"""Beyond these nobody understands a dose; espeak-ng's own range ends there too."""
_DEADLINE_S: Final = 60.0


async def read_aloud(
    abilities: Abilities, request: Request, text: str, options: VoiceOptions, wanted: SoundFormat
) -> Reply:
    """Begin to speak; what fails before the first sound is an HTTP error. A client that goes away ends the voice.

    Raises:
        ProntuarioError: ``capability.unavailable`` (503) and what ``TextToSpeech.speak`` raises.
    """
    choice: Choice[TextToSpeech] = abilities.text_to_speech(options)
    call = CallOptions(lane=Lane.INTERACTIVE, deadline_s=_DEADLINE_S, user=request.principal.user_id)
    pcm = cast("AsyncGenerator[bytes, None]", choice.instance.speak(text, options, call))
    sound = encoded(pcm, wanted)
    first = await anext(sound, b"")
    headers = {"cache-control": "no-store", "x-voice": choice.instance.model().id}
    if choice.degraded:
        headers["x-degraded"] = "true"
    return Reply(content_type=wanted.content_type, stream=_whole(first, sound), headers=headers)


async def _whole(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for block in rest:
            yield block
