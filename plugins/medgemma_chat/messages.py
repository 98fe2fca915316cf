"""What travels between the plugin's two halves, as msgpack."""

from __future__ import annotations

from typing import Literal

import msgspec

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions, TokenLogprob

CHAT = "chat"

# Codes by which the child says why a request failed; the parent turns them into errors for people.
CONTEXT_TOO_LONG = "chat.context_too_long"
BAD_SCHEMA = "chat.schema"
BAD_MESSAGES = "chat.messages"
INTERNAL = "internal"


class ChatRequest(msgspec.Struct, frozen=True):
    """A conversation to continue."""

    messages: list[ChatMessage]
    options: ChatOptions


class ChatPiece(msgspec.Struct, frozen=True, array_like=True):
    """What is new since the last piece; the last one has ``finish_reason``."""

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: list[TokenLogprob] = []
