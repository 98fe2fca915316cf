"""The request of ``/v1/chat/completions`` as clients send it; fields that we do not know are ignored, as OpenAI does."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.errors import INVALID

_MAX_STOPS: Final = 4
_MAX_STOP_CHARACTERS: Final = 256
_MOST_TOKENS: Final = (1 << 31) - 1
_ANY_OBJECT: Final = {"type": "object"}


class ImageUrl(msgspec.Struct, frozen=True):
    """Where a picture is: a ``data:`` address that holds it."""

    url: str


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message: ``text``, or ``image_url``."""

    type: str
    text: str = ""
    image_url: ImageUrl | None = None


class Message(msgspec.Struct, frozen=True):
    """One turn. ``developer`` counts as ``system``."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart] | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """``include_usage`` asks for a last chunk with the token counts."""

    include_usage: bool = False


class JsonSchema(msgspec.Struct, frozen=True):
    """``response_format.json_schema``. ``strict`` is always honoured."""

    schema: dict[str, Any]
    name: str = ""


class ResponseFormat(msgspec.Struct, frozen=True):
    """Text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatCompletionRequest(msgspec.Struct, frozen=True):
    """The fields that are honoured. ``temperature`` defaults to 0: clinical drafts are to be repeatable."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=1000)]
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=_MOST_TOKENS)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1, le=_MOST_TOKENS)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None


def chat_messages(request: ChatCompletionRequest) -> list[ChatMessage]:
    """The turns as plain text. Raises ``invalid`` for parts that are not text."""
    messages = []
    for index, message in enumerate(request.messages):
        messages.append(ChatMessage(plain_role(message.role), _text(message.content, index)))
    return messages


def plain_role(role: Literal["system", "developer", "user", "assistant"]) -> Literal["system", "user", "assistant"]:
    """The role as models know it."""
    return "system" if role == "developer" else role


def chat_options(request: ChatCompletionRequest) -> ChatOptions:
    """Sampling options. Raises ``invalid`` naming the field."""
    if request.n not in {None, 1}:
        raise INVALID(field="n", name="n", reason="only one answer is given at a time")
    return ChatOptions(
        max_tokens=request.max_completion_tokens or request.max_tokens or ChatOptions().max_tokens,
        temperature=request.temperature or 0.0,
        top_p=request.top_p or 1.0,
        seed=request.seed,
        stop=_stops(request.stop),
        json_schema=_schema(request.response_format),
        top_logprobs=_top_logprobs(request),
    )


def _text(content: str | list[ContentPart] | None, index: int) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    name = f"messages[{index}].content"
    if any(part.type != "text" for part in content):
        raise INVALID(field=name, name=name, reason="only parts of type text and image_url are understood")
    return "".join(part.text for part in content)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _MAX_STOPS or any(not 0 < len(text) <= _MAX_STOP_CHARACTERS for text in stops):
        reason = f"up to {_MAX_STOPS} texts of 1 to {_MAX_STOP_CHARACTERS} characters"
        raise INVALID(field="stop", name="stop", reason=reason)
    return stops


def _top_logprobs(request: ChatCompletionRequest) -> int | None:
    if request.top_logprobs is not None and not request.logprobs:
        raise INVALID(field="top_logprobs", name="top_logprobs", reason="it needs logprobs: true")
    return (request.top_logprobs or 0) if request.logprobs else None


def _schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return dict(_ANY_OBJECT)
    if response_format.json_schema is None:
        name = "response_format.json_schema"
        raise INVALID(field=name, name=name, reason="it is missing")
    return response_format.json_schema.schema
