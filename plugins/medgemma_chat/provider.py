"""The core's half: passes a conversation to the engine child and its pieces back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, cast

import msgspec

from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatOptions, ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from appliance.plugin_api.errors import ErrorKind, ProntuarioError, define
from plugins.medgemma_chat.messages import BAD_MESSAGES, BAD_SCHEMA, CHAT, CONTEXT_TOO_LONG, ChatPiece, ChatRequest
from plugins.medgemma_chat.schema import SchemaError, check_schema

TOO_LONG = define(
    CONTEXT_TOO_LONG,
    422,
    pt=("A conversa não cabe no modelo.", "Envie menos texto, por exemplo só os trechos que importam."),
    en=("The conversation does not fit the model.", "Send less text, for example only the parts that matter."),
)
SCHEMA = define(
    BAD_SCHEMA,
    422,
    pt=("O esquema JSON não pode ser usado: {reason}.", "Simplifique o esquema e envie de novo."),
    en=("The JSON schema cannot be used: {reason}.", "Simplify the schema and send again."),
)
MESSAGES = define(
    BAD_MESSAGES,
    422,
    pt=(
        "A conversa está vazia ou seus papéis estão fora de ordem.",
        "Alterne usuário e assistente e termine no usuário.",
    ),
    en=(
        "The conversation is empty or its roles are out of order.",
        "Alternate user and assistant and end with the user.",
    ),
)
_KINDS: Final[dict[str, tuple[ErrorKind, str]]] = {
    CONTEXT_TOO_LONG: (TOO_LONG, "messages"),
    BAD_SCHEMA: (SCHEMA, "response_format"),
    BAD_MESSAGES: (MESSAGES, "messages"),
}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ChatPiece)


class GemmaChat:
    """A ``ChatModel`` over one engine child."""

    def __init__(self, engine: EngineHandle, *, folder: Path, demonstration: bool) -> None:
        self._engine = engine
        self._name = folder.name
        self._demonstration = demonstration

    def model(self) -> ModelInfo:
        loaded = self._engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else self._name,
            sha256=loaded.model_sha256 if loaded else "",
            capability="chat_model",
            demonstration=self._demonstration,
            ready=loaded is not None and self._engine.status is EngineStatus.READY,
        )

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        """The answer in pieces; closing the iterator cancels it within one step.

        Raises:
            ProntuarioError: ``chat.context_too_long``, ``chat.schema``, ``chat.messages`` (422), engine errors.
        """
        _refuse_bad_schema(options)
        if not any(message.content.strip() for message in messages):
            raise MESSAGES(field="messages")
        payload = _encoder.encode(ChatRequest(list(messages), options))
        try:
            async with _closing(self._engine, payload, call) as pieces:
                async for raw in pieces:
                    piece = _decoder.decode(raw)
                    counts = (piece.prompt_tokens, piece.completion_tokens)
                    yield ChatDelta(piece.text, piece.finish_reason, *counts, tuple(piece.logprobs))
        except ProntuarioError as error:
            known = _KINDS.get(str(error.details.get("reason")))
            if known is None:
                raise
            kind, field = known
            raise kind(field=field, reason="the model's grammar refuses it") from error


def _closing(engine: EngineHandle, payload: bytes, call: CallOptions) -> aclosing[AsyncGenerator[bytes, None]]:
    """The engine's pieces, cancelled when we stop reading."""
    return aclosing(cast("AsyncGenerator[bytes, None]", engine.submit(CHAT, payload, call)))


def _refuse_bad_schema(options: ChatOptions) -> None:
    if options.json_schema is None:
        return
    try:
        check_schema(options.json_schema)
    except SchemaError as error:
        raise SCHEMA(field="response_format", reason=str(error)) from error
