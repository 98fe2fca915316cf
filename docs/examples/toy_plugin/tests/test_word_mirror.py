"""The plugin's own tests: the conformance kit does most of the work, without any appliance running."""
# ruff: noqa: D103, S101  tests assert, and their names say what they test

from __future__ import annotations

import asyncio

import msgspec
import pytest
from word_mirror.config import MirrorConfig
from word_mirror.engine import MirrorEngine
from word_mirror.messages import MIRROR, Question
from word_mirror.provider import MirrorChat

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.testing import InProcessEngine, check_chat_model, check_engine


def test_the_engine_keeps_the_contract() -> None:
    sample = (MIRROR, msgspec.msgpack.encode(Question(["um", "dois", "três"], 10)))
    loaded = check_engine(MirrorEngine, {"separator": " "}, sample)
    assert loaded.demonstration


def test_the_chat_model_keeps_the_contract() -> None:
    asyncio.run(check_chat_model(MirrorChat(InProcessEngine(MirrorEngine()))))


@pytest.mark.parametrize(("limit", "text", "reason"), [(10, "três dois um", "stop"), (2, "três dois", "length")])
def test_words_come_back_mirrored(limit: int, text: str, reason: str) -> None:
    async def ask() -> tuple[str, str | None]:
        chat = MirrorChat(InProcessEngine(MirrorEngine()))
        messages = [ChatMessage("user", "um dois três")]
        deltas = [delta async for delta in chat.chat(messages, ChatOptions(max_tokens=limit), CallOptions())]
        return "".join(delta.text for delta in deltas), deltas[-1].finish_reason

    assert asyncio.run(ask()) == (text, reason)


def test_an_unknown_key_of_the_configuration_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="seperator"):
        msgspec.convert({"seperator": "-"}, MirrorConfig)
