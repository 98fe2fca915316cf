"""The provider: what the rest of the appliance sees. It translates between a capability and the engine's messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatOptions, ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from word_mirror.messages import MIRROR, Piece, Question


class MirrorChat:
    """Implements ``ChatModel``."""

    def __init__(self, engine: EngineHandle) -> None:
        self._engine = engine

    def model(self) -> ModelInfo:
        """Which model answers, and whether it can right now."""
        loaded = self._engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else "word-mirror-1",
            sha256=loaded.model_sha256 if loaded else "",
            capability="chat_model",
            demonstration=True,
            ready=self._engine.status is EngineStatus.READY,
        )

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncIterator[ChatDelta]:
        """The last message, mirrored. Closing this iterator closes the engine's, which cancels the request."""
        words = messages[-1].content.split() if messages else []
        question = msgspec.msgpack.encode(Question(words, options.max_tokens))
        said = 0
        async with aclosing(self._engine.submit(MIRROR, question, call)) as answer:  # type: ignore[type-var]
            async for payload in answer:
                piece = msgspec.msgpack.decode(payload, type=Piece)
                said += 1
                if piece.finish_reason is None:
                    yield ChatDelta(piece.text)
                else:
                    reason = "length" if piece.finish_reason == "length" else "stop"
                    yield ChatDelta(piece.text, reason, prompt_tokens=len(words), completion_tokens=said)
