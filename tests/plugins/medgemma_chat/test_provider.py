"""The core's half: refusals with a field, pieces passed on, closing cancels."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.engines.errors import BUSY, REJECTED
from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatOptions
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.testing import InProcessEngine, check_chat_model
from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.messages import ChatPiece, ChatRequest
from plugins.medgemma_chat.provider import GemmaChat
from tests.fakes.scripted_engine import ScriptedEngine

DOR = [ChatMessage("user", "dor")]


def provider(engine: Any) -> GemmaChat:
    return GemmaChat(engine, folder=Path("tiny"), demonstration=True)


async def two_pieces(_number: int, _payload: bytes) -> list[bytes]:
    return [msgspec.msgpack.encode(piece) for piece in (ChatPiece("Nega "), ChatPiece("febre.", "stop", 9, 4))]


async def answer(model: GemmaChat, messages: list[ChatMessage] | None = None, **options: Any) -> list[ChatDelta]:
    stream = model.chat(DOR if messages is None else messages, ChatOptions(**options), CallOptions())
    return [delta async for delta in stream]


async def test_it_keeps_the_contract_of_chat_models(tiny_config: dict[str, Any]) -> None:
    await check_chat_model(provider(InProcessEngine(ChatEngine(), tiny_config)))


async def test_pieces_pass_as_they_come() -> None:
    assert await answer(provider(ScriptedEngine(two_pieces))) == [
        ChatDelta("Nega "),
        ChatDelta("febre.", "stop", 9, 4),
    ]


async def test_options_and_call_reach_the_engine() -> None:
    engine = ScriptedEngine(two_pieces)
    options = ChatOptions(
        max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("\n",), json_schema={"type": "object"}
    )
    call = CallOptions(lane=Lane.BACKGROUND, deadline_s=9.0, user="u", patient="p")
    async for _ in provider(engine).chat(DOR, options, call):
        pass
    assert msgspec.msgpack.decode(engine.payloads[0], type=ChatRequest) == ChatRequest(DOR, options)
    assert engine.calls == [call]


async def test_closing_cancels_the_request() -> None:
    engine = ScriptedEngine(two_pieces)
    stream = provider(engine).chat(DOR, ChatOptions(), CallOptions())
    assert (await anext(stream)).text == "Nega "
    await stream.aclose()
    assert (engine.running, engine.cancelled) == (0, [0])


async def test_a_task_that_is_cancelled_cancels_the_request() -> None:
    async def never(_number: int, _payload: bytes) -> list[bytes]:
        await asyncio.Event().wait()
        return []

    engine = ScriptedEngine(never)
    task = asyncio.create_task(answer(provider(engine)))
    async with asyncio.timeout(10):
        while not engine.running:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.running == 0


@pytest.mark.parametrize(
    ("code", "field"),
    [("chat.context_too_long", "messages"), ("chat.schema", "response_format"), ("chat.messages", "messages")],
)
async def test_what_the_engine_refuses_is_told_with_its_field(code: str, field: str) -> None:
    async def refuses(_number: int, _payload: bytes) -> list[bytes]:
        raise REJECTED(engine="medgemma", reason=code)

    with pytest.raises(ProntuarioError) as caught:
        await answer(provider(ScriptedEngine(refuses)))
    assert (caught.value.kind.code, caught.value.kind.status, caught.value.field) == (code, 422, field)


async def test_other_failures_pass_unchanged() -> None:
    async def busy(_number: int, _payload: bytes) -> list[bytes]:
        raise BUSY(engine="medgemma", waiting=3)

    with pytest.raises(ProntuarioError) as caught:
        await answer(provider(ScriptedEngine(busy)))
    assert caught.value.kind is BUSY


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "http://example.org"}, {"enum": ["x" * 70_000]}])
async def test_a_bad_schema_never_reaches_the_engine(schema: dict[str, Any]) -> None:
    engine = ScriptedEngine(two_pieces)
    with pytest.raises(ProntuarioError) as caught:
        await answer(provider(engine), json_schema=schema)
    assert caught.value.kind.code == "chat.schema"
    assert engine.payloads == []


@pytest.mark.parametrize("messages", [[], [ChatMessage("user", "")], [ChatMessage("system", " ")]])
async def test_an_empty_conversation_never_reaches_the_engine(messages: list[ChatMessage]) -> None:
    engine = ScriptedEngine(two_pieces)
    with pytest.raises(ProntuarioError) as caught:
        await answer(provider(engine), messages)
    assert caught.value.kind.code == "chat.messages"
    assert engine.payloads == []


async def test_the_model_is_described_before_and_after_it_is_ready() -> None:
    before = provider(ScriptedEngine(two_pieces, ready=False)).model()
    after = provider(ScriptedEngine(two_pieces)).model()
    assert (before.ready, before.id, before.demonstration) == (False, "tiny", True)
    assert (after.ready, after.id) == (True, "scripted")
