"""The demonstration model, in a real engine child: it drafts the note of the sample consult."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatModel, ChatOptions
from appliance.plugin_api.engine import CallOptions, EngineStatus
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.testing import check_chat_model
from plugins.medgemma_chat.config import ChatConfig
from plugins.medgemma_chat.messages import CHAT
from plugins.medgemma_chat.plugin import plugin
from tests.plugins import sounds
from tests.plugins.children import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
Chat = tuple[EngineSupervisor, ChatModel]
KINDS = [
    "patient",
    "symptom",
    "modifier",
    "history",
    "medication",
    "allergy",
    "habit",
    "surgery",
    "family",
    "vital",
    "finding",
    "lab",
    "diagnosis",
    "order",
    "referral",
    "advice",
    "certificate",
    "followup",
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chat]:
    unpaced = ChatConfig(piece_every_s=0)  # every token its own piece, so that a test can count them
    async with running(plugin, unpaced, tmp_path_factory.mktemp("chat")) as pair:
        yield pair


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def note_schema(segments: list[int]) -> dict[str, Any]:
    """The note's shape as the model was trained on it."""
    cited = {"type": "array", "items": {"enum": segments}, "minItems": 1, "maxItems": 3}
    sentences = {"type": "array", "items": closed(text=text(300), segments=cited), "maxItems": 16}
    fact = closed(
        kind={"enum": KINDS},
        name=text(80),
        value={"anyOf": [{"type": "null"}, text(120)]},
        negated={"type": "boolean"},
        laterality={"enum": [None, "direito", "esquerdo"]},
        segments=cited,
    )
    sections = [closed(code={"const": code}, sentences=sentences) for code in "SOAP"]
    return closed(
        sections={"type": "array", "items": {"anyOf": sections}, "minItems": 4, "maxItems": 4},
        facts={"type": "array", "items": fact, "maxItems": 40},
    )


async def drafted(model: ChatModel, said: Mapping[int, str], **options: Any) -> tuple[str, ChatDelta]:
    transcript = "".join(f"\n[{number}] {sentence}" for number, sentence in said.items())
    prompt = f"Transcrição:{transcript}\n\nEscreva a nota em JSON."
    wishes = ChatOptions(**({"max_tokens": 900, "json_schema": note_schema(list(said))} | options))
    stream = model.chat([ChatMessage("user", prompt)], wishes, CallOptions(deadline_s=100))
    deltas = [delta async for delta in stream]
    return "".join(delta.text for delta in deltas), deltas[-1]


def consult() -> dict[int, str]:
    return dict(enumerate(sounds.consult_text(), 1))


async def test_the_note_of_the_sample_consult_has_its_facts(chat: Chat) -> None:
    answer, last = await drafted(chat[1], consult())
    assert last.finish_reason == "stop"
    note = json.loads(answer)
    assert [section["code"] for section in note["sections"]] == ["S", "O", "A", "P"]
    facts = {(fact["kind"], fact["name"], fact["negated"]): fact for fact in note["facts"]}
    assert "500 mg" in facts["medication", "azitromicina", False]["value"]
    assert "850 mg" in facts["medication", "metformina", False]["value"]
    assert facts["vital", "pressão arterial", False]["value"] == "130/80"
    assert facts["vital", "temperatura", False]["value"] == "38,5"
    assert ("allergy", "dipirona", False) in facts
    assert ("symptom", "dor torácica", True) in facts
    assert ("diagnosis", "pneumonia comunitária", False) in facts


async def test_every_sentence_names_where_it_was_said(chat: Chat) -> None:
    said = consult()
    note = json.loads((await drafted(chat[1], said))[0])
    sentences = [sentence for section in note["sections"] for sentence in section["sentences"]]
    assert sorted(number for sentence in sentences for number in sentence["segments"]) == sorted(said)
    for sentence in sentences:
        heard = set(sounds.words(" ".join(said[number] for number in sentence["segments"])))
        numbers = {word for word in sounds.words(sentence["text"]) if word.replace("_", "").isdigit()}
        assert numbers <= heard | {"12"}


async def test_it_keeps_the_contract_of_chat_models(chat: Chat) -> None:
    await check_chat_model(chat[1], "Transcrição:\n[1] Nega febre.\n\nTem febre?")


async def test_patients_at_once_each_get_their_own_note(chat: Chat) -> None:
    lines = sounds.consult_text()
    patients = [{1: lines[0], 2: line} for line in lines[4:9]]
    alone = [(await drafted(chat[1], said))[0] for said in patients]
    together = await asyncio.gather(*(drafted(chat[1], said) for said in patients))
    assert [answer for answer, _ in together] == alone
    assert len(set(alone)) == len(patients)


async def test_streaming_gives_many_pieces_before_the_end(chat: Chat) -> None:
    stream = chat[1].chat(
        [ChatMessage("user", f"Transcrição:\n[1] {sounds.consult_text()[4]}\n\nQuais medicamentos?")],
        ChatOptions(),
        CallOptions(),
    )
    deltas = [delta async for delta in stream]
    assert len(deltas) > 3
    assert "metformina" in "".join(delta.text for delta in deltas)
    assert deltas[-1].completion_tokens >= len(deltas) - 1


async def test_a_note_that_is_cut_says_length(chat: Chat) -> None:
    answer, last = await drafted(chat[1], consult(), max_tokens=20)
    assert (last.finish_reason, last.completion_tokens) == ("length", 20)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer)


async def test_hostile_requests_leave_the_engine_healthy(chat: Chat) -> None:
    engine, model = chat
    for payload in (b"", b"\xc1", bytes(1000), b"\xff" * 2_000_000):
        with pytest.raises(ProntuarioError) as caught:
            async for _ in engine.submit(CHAT, payload, CallOptions()):
                pass
        assert caught.value.kind.status == 422
    for options, content, code in (
        ({"json_schema": {"type": "nonsense"}}, "dor", "chat.schema"),
        ({}, "dor " * 20_000, "chat.context_too_long"),
    ):
        with pytest.raises(ProntuarioError) as caught:
            async for _ in model.chat([ChatMessage("user", content)], ChatOptions(**options), CallOptions()):
                pass
        assert caught.value.kind.code == code
    assert (engine.restarts, engine.status) == (0, EngineStatus.READY)


async def test_leaving_early_frees_the_engine(chat: Chat) -> None:
    engine, model = chat
    stream: Any = model.chat(
        [ChatMessage("user", "Transcrição:\n[1] Nega febre.\n\nResuma.")], ChatOptions(), CallOptions()
    )
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(30):
        while engine.running or engine.waiting:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0.02)
    assert engine.restarts == 0


async def test_it_says_that_it_is_a_demonstration(chat: Chat) -> None:
    engine, model = chat
    described = model.model()
    assert (described.demonstration, described.ready) == (True, True)
    assert engine.loaded is not None
    assert engine.loaded.footprint_bytes <= engine.spec.footprint_bytes * 1.5
