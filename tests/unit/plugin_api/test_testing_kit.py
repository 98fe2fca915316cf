"""The conformance kit must itself find what it promises to find: each fault below is caught by name."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from appliance.plugin_api.capabilities import (
    ChatDelta,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    Segment,
    TranscriptionOptions,
)
from appliance.plugin_api.engine import CallOptions, EngineStatus, Failed, Loaded, Output, Submit
from appliance.plugin_api.testing import (
    EngineFailedError,
    InProcessEngine,
    check_chat_model,
    check_engine,
    check_speech_to_text,
)
from appliance.plugin_api.testing.echo_engine import EchoEngine

STREAM = ("stream", msgspec.msgpack.encode([3]))
DIGEST = hashlib.sha256(b"weights").hexdigest()


# -- engines ----------------------------------------------------------------------------------------------------------------
def test_the_echo_engine_keeps_the_contract() -> None:
    assert check_engine(EchoEngine, {"model_id": "e"}, STREAM).model_id == "e"


class LoadsNothing(EchoEngine):
    def load(self, config: Mapping[str, Any]) -> Any:
        return None


class NamesNoModel(EchoEngine):
    def load(self, config: Mapping[str, Any]) -> Loaded:
        return msgspec.structs.replace(super().load(config), model_id="")


class HasAShortDigest(EchoEngine):
    def load(self, config: Mapping[str, Any]) -> Loaded:
        return msgspec.structs.replace(super().load(config), model_sha256="abc")


class IsAlwaysBusy(EchoEngine):
    def busy(self) -> bool:
        return True


class ForgetsTheEnd(EchoEngine):
    def step(self) -> list[Output | Failed]:
        return [a if isinstance(a, Failed) else msgspec.structs.replace(a, final=False) for a in super().step()]


class EndsTwice(EchoEngine):
    def step(self) -> list[Output | Failed]:
        return [twin for answer in super().step() for twin in (answer, answer)]


class MixesRequestsUp(EchoEngine):
    def step(self) -> list[Output | Failed]:
        return [msgspec.structs.replace(answer, request_id=1) for answer in super().step()]


class IgnoresCancels(EchoEngine):
    def cancel(self, request_id: int) -> None:
        pass


class CancelsEverybody(EchoEngine):
    def cancel(self, request_id: int) -> None:
        self._running.clear()


class TakesAnything(EchoEngine):
    def submit(self, request: Submit) -> None:
        super().submit(Submit(request.request_id, *STREAM, 1.0, "interactive", ""))


class HasTextStats(EchoEngine):
    def stats(self) -> Any:
        return {"running": "two"}


@pytest.mark.parametrize(
    "engine",
    [
        LoadsNothing,
        NamesNoModel,
        HasAShortDigest,
        IsAlwaysBusy,
        ForgetsTheEnd,
        EndsTwice,
        MixesRequestsUp,
        IgnoresCancels,
        CancelsEverybody,
        TakesAnything,
        HasTextStats,
    ],
)
def test_an_engine_that_breaks_a_rule_is_found(engine: type[EchoEngine]) -> None:
    with pytest.raises(AssertionError):
        check_engine(engine, {}, STREAM)


def test_a_sample_that_fails_is_found() -> None:
    with pytest.raises(AssertionError, match="succeeds"):
        check_engine(EchoEngine, {}, ("fail", msgspec.msgpack.encode("nope")))


# -- the in-process runner ----------------------------------------------------------------------------------------------------
async def test_the_runner_streams_and_tells_its_state() -> None:
    handle = InProcessEngine(EchoEngine(), {"model_id": "e"})
    assert handle.status is EngineStatus.READY
    assert handle.loaded is not None
    assert handle.loaded.model_id == "e"
    assert [piece async for piece in handle.submit(*STREAM, CallOptions())] == [bytes([n]) + bytes(7) for n in range(3)]
    assert handle.waiting == 0
    handle.close()
    assert handle.status is EngineStatus.STOPPED


async def test_requests_of_the_runner_advance_together() -> None:
    handle = InProcessEngine(EchoEngine())
    first, second = handle.submit(*STREAM, CallOptions()), handle.submit(*STREAM, CallOptions())
    seen = [await anext(first), await anext(second), await anext(first), await anext(second)]
    assert [piece[0] for piece in seen] == [0, 0, 1, 1]
    await first.aclose()
    assert [piece[0] async for piece in second] == [2]


async def test_closing_early_cancels_in_the_engine() -> None:
    engine = EchoEngine()
    async with aclosing(InProcessEngine(engine).submit(*STREAM, CallOptions())) as stream:
        await anext(stream)
        assert engine.busy()
    assert not engine.busy()


@pytest.mark.parametrize(("kind", "code"), [("no such kind", "invalid"), ("fail", "context_too_long")])
async def test_refusals_and_failures_carry_their_code(kind: str, code: str) -> None:
    handle = InProcessEngine(EchoEngine())
    with pytest.raises(EngineFailedError) as failure:
        _ = [piece async for piece in handle.submit(kind, msgspec.msgpack.encode("context_too_long"), CallOptions())]
    assert failure.value.code == code


async def test_an_engine_that_drops_a_request_is_found_instead_of_waiting_for_ever() -> None:
    class Forgetful(EchoEngine):
        def step(self) -> list[Output | Failed]:
            self._running.clear()
            return []

    with pytest.raises(EngineFailedError, match="stuck"):
        _ = [piece async for piece in InProcessEngine(Forgetful()).submit(*STREAM, CallOptions())]


# -- chat -----------------------------------------------------------------------------------------------------------------------
class Chat:
    """A correct chat model; ``fault`` makes it wrong in one way."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.asked = 0

    def model(self) -> ModelInfo:
        info = {"id": "chat", "sha256": DIGEST, "capability": "chat_model", "demonstration": True, "ready": True}
        wrong = {"capability": {"capability": "chat"}, "digest": {"sha256": ""}, "name": {"id": ""}}
        return ModelInfo(**{**info, **wrong.get(self.fault, {})})

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncIterator[ChatDelta]:
        self.asked += 1
        if self.fault == "mute":
            return
        yield ChatDelta(
            f"olá {self.asked}" if self.fault == "random" else "olá", "stop" if self.fault == "ends twice" else None
        )
        tokens = 99 if self.fault == "too long" else 2
        prompt = 0 if self.fault == "no count" else 1
        reason = None if self.fault == "no end" else "stop"
        yield ChatDelta("!", reason, prompt_tokens=prompt, completion_tokens=tokens)


async def test_a_correct_chat_model_passes() -> None:
    assert "".join(delta.text for delta in await check_chat_model(Chat())) == "olá!"


FAULTS = ["capability", "digest", "name", "mute", "random", "ends twice", "too long", "no count", "no end"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_chat_model_that_breaks_a_rule_is_found(fault: str) -> None:
    with pytest.raises(AssertionError):
        await check_chat_model(Chat(fault))


# -- speech ---------------------------------------------------------------------------------------------------------------------
class Speech:
    """Correct: one segment of text where the audio is not silent."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def model(self) -> ModelInfo:
        return ModelInfo("speech", DIGEST, "speech_to_text", demonstration=True, ready=True)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncIterator[Segment]:
        heard = b"".join([block async for block in audio])
        if not any(heard) and self.fault != "invents":
            return
        length = len(heard) / 32_000
        good = [Segment(0.0, length / 2, "bom", 0.9), Segment(length / 2, length, "dia", 0.8)]
        wrong = {
            "mute": [],
            "disorder": good[::-1],
            "outside": [Segment(0.0, length + 60, "bom dia", 0.9)],
            "no probability": [Segment(0.0, length, "bom dia", 3.0)],
        }
        for segment in wrong.get(self.fault, good):
            yield segment


SPEECH = b"\x01\x02" * 16_000


async def test_a_correct_speech_model_passes() -> None:
    assert [segment.text for segment in await check_speech_to_text(Speech(), SPEECH)] == ["bom", "dia"]
    assert await check_speech_to_text(Speech()) == []


@pytest.mark.parametrize("fault", ["invents", "mute", "disorder", "outside", "no probability"])
async def test_a_speech_model_that_breaks_a_rule_is_found(fault: str) -> None:
    with pytest.raises(AssertionError):
        await check_speech_to_text(Speech(fault), SPEECH)


def test_tenants_keep_users_and_patients_apart() -> None:
    base = CallOptions(user="ana", patient="p1")
    others = [replace(base, user="bia"), replace(base, patient="p2"), CallOptions(user="ana")]
    assert base.tenant not in {other.tenant for other in others}
