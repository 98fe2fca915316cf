"""Abilities over scripted providers, for what stands above the plugins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from appliance.plugin_api.capabilities import (
    ChatDelta,
    ChatMessage,
    ChatOptions,
    ModelInfo,
    Segment,
    TranscriptionOptions,
)
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_host.choice import Choice


class FixedChat:
    """Answers every conversation with the same pieces, or with an error after them."""

    def __init__(
        self, deltas: Sequence[ChatDelta], error: Exception | None = None, *, demonstration: bool = True
    ) -> None:
        self._deltas, self._error, self._demonstration = deltas, error, demonstration
        self.asked: list[tuple[list[ChatMessage], ChatOptions, CallOptions]] = []
        self.closed = 0

    def model(self) -> ModelInfo:
        return ModelInfo("notes", "ab" * 32, "chat_model", self._demonstration, ready=True)

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        self.asked.append((list(messages), options, call))
        try:
            for delta in self._deltas:
                yield delta
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


class FixedSpeech:
    """Reads all audio and then gives the same segments; ``heard`` counts bytes."""

    def __init__(self, segments: Sequence[Segment], *, demonstration: bool = True) -> None:
        self._segments, self._demonstration = segments, demonstration
        self.heard = 0
        self.asked: list[tuple[TranscriptionOptions, CallOptions]] = []

    def model(self) -> ModelInfo:
        return ModelInfo("speech", "cd" * 32, "speech_to_text", self._demonstration, ready=True)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncGenerator[Segment, None]:
        self.asked.append((options, call))
        async for block in audio:
            self.heard += len(block)
        for segment in self._segments:
            yield segment


class FixedAbilities:
    """``Abilities`` with one provider of each kind."""

    def __init__(self, chat: FixedChat, speech: FixedSpeech, *, degraded: bool = False) -> None:
        self.chat, self.speech, self.degraded = chat, speech, degraded

    def chat_model(self, request: Any = None) -> Choice[Any]:
        return Choice(self.chat, "medgemma_chat", "medgemma", self.degraded)

    def speech_to_text(self, request: Any = None) -> Choice[Any]:
        return Choice(self.speech, "whisper_stt", "whisper", self.degraded)

    def models(self) -> list[ModelInfo]:
        return [self.chat.model(), self.speech.model()]
