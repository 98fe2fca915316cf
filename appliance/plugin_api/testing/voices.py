"""What every voice must keep. Raises AssertionError with the reason."""

from __future__ import annotations

from array import array
from typing import Final

from appliance.plugin_api.capabilities import VOICE_RATE_HZ, TextToSpeech, VoiceOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError

_SHORTEST_S: Final = 0.3
_AUDIBLE: Final = 500


def _require(condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


async def check_text_to_speech(provider: TextToSpeech, text: str = "Pressão arterial 120x80 mmHg.") -> bytes:
    """The contract of ``TextToSpeech``: whole samples, audible, repeatable, refusals, cancel by closing.

    Returns:
        The PCM of ``text``, for assertions of your own.
    """
    _require(isinstance(provider, TextToSpeech), "the provider has the methods of TextToSpeech")
    model = provider.model()
    _require(model.capability == "text_to_speech" and model.id, "model() names itself and its capability")
    _require(model.ready and provider.voices(), "a ready voice has a name")
    blocks = [block async for block in provider.speak(text, VoiceOptions(), CallOptions())]
    _require(all(block and len(block) % 2 == 0 for block in blocks), "blocks hold whole samples")
    said = b"".join(blocks)
    _require(len(said) > _SHORTEST_S * 2 * VOICE_RATE_HZ, "a sentence takes its time")
    _require(max(array("h", said)) > _AUDIBLE, "it can be heard")
    named = VoiceOptions(voice=provider.voices()[0])
    again = b"".join([block async for block in provider.speak(text, named, CallOptions())])
    _require(len(again) == len(said), "the first voice is the provider's own choice, and says the same twice")
    for refused, options in ((text, VoiceOptions(voice="no such voice")), ("", VoiceOptions())):
        _require(await _refuses(provider, refused, options), "an unknown voice and an empty text are refused with 422")
    stream = provider.speak(text, VoiceOptions(), CallOptions())
    await anext(stream)
    close = getattr(stream, "aclose", None)
    _require(close is not None, "it can be closed early (an async generator)")
    if close is not None:
        await close()
    return said


async def _refuses(provider: TextToSpeech, text: str, options: VoiceOptions) -> bool:
    try:
        async for _ in provider.speak(text, options, CallOptions()):
            return False
    except ProntuarioError as error:
        return error.kind.code == "invalid"
    return False
