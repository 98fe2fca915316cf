"""A chat and a speech model over one real engine child, the kit's echo engine: for what depends on queue, slots and deaths."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import msgspec

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import (
    ChatDelta,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    Segment,
    TranscriptionOptions,
)
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.plugin_host.choice import Choice

_ECHO: Final = "appliance.plugin_api.testing.echo_engine:EchoEngine"
_PACE_S: Final = 0.02
PATIENCE_S: Final = 60.0


class EchoChat:
    """Says ``ah`` as often as ``max_tokens`` allows, fifty times a second at most."""

    def __init__(self, engine: EngineSupervisor) -> None:
        self._engine = engine

    def model(self) -> ModelInfo:
        return ModelInfo("echo-chat", "ab" * 32, "chat_model", demonstration=True, ready=True)

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        payload = msgspec.msgpack.encode([options.max_tokens, _PACE_S])
        said = 0
        async with aclosing(self._engine.submit("stream", payload, call)) as pieces:
            async for _ in pieces:
                said += 1
                yield ChatDelta("ah ")
        yield ChatDelta("", "stop", len(messages), said)


class EchoSpeech:
    """Every block of sound is an utterance, and goes through the engine as one request."""

    def __init__(self, engine: EngineSupervisor) -> None:
        self._engine = engine

    def model(self) -> ModelInfo:
        return ModelInfo("echo-speech", "cd" * 32, "speech_to_text", demonstration=True, ready=True)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncGenerator[Segment, None]:
        second = 0
        async for _ in audio:
            async with aclosing(self._engine.submit("echo", b"", call)) as answers:
                async for _ in answers:
                    if second >= options.skip_until:
                        yield Segment(second, second + 0.9, "tosse", 0.9)
            second += 1


class EchoAbilities:
    """``Abilities`` over both."""

    def __init__(self, engine: EngineSupervisor) -> None:
        self.chat, self.speech = EchoChat(engine), EchoSpeech(engine)

    def chat_model(self, request: Any = None) -> Choice[Any]:
        return Choice(self.chat, "echo", "echo")

    def speech_to_text(self, request: Any = None) -> Choice[Any]:
        return Choice(self.speech, "echo", "echo")

    def models(self) -> list[ModelInfo]:
        return [self.chat.model(), self.speech.model()]


@asynccontextmanager
async def narrow_engine(*, queue_limit: int = 256) -> AsyncIterator[EngineSupervisor]:
    """An engine that works on one request at a time."""
    engine = EngineSupervisor(EngineSpec("echo", _ECHO, max_running=1, queue_limit=queue_limit), MemoryLedger())
    await engine.start()
    try:
        assert await engine.wait_ready(PATIENCE_S)
        yield engine
    finally:
        await engine.stop(0)
