"""Conversations about pictures: ``image_url`` parts of ``/v1/chat/completions``, answered by the node's describer.

Only ``data:`` addresses are taken. Whatever else a client names would have to be fetched, and this appliance fetches nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, cast

from appliance.api.openai_errors import NO_EYES, REMOTE_PICTURE
from appliance.api.openai_models import require_model
from appliance.api.openai_shapes import ChatCompletionRequest, ContentPart, chat_options, plain_role
from appliance.care.ai_switches import require
from appliance.care.audio import spooled
from appliance.plugin_api.capabilities import ChatDelta, ImageDescriber
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.images import PicturePart, PictureTurn
from appliance.plugin_api.storage import Store
from appliance.plugin_host.choice import Abilities, Choice

PICTURE: Final = "image_url"
MOST_PICTURES: Final = 4
NOTICE_PT: Final = (
    "Não é um diagnóstico. Palavras de um modelo de IA, a serem conferidas por um profissional que viu a imagem."
)
NOTICE_EN: Final = "Not a diagnosis. An AI model's words, to be checked by a professional who has seen the image."
_DESCRIBES: Final = "image_describer"
_DATA: Final = re.compile(r"data:[\w.+/-]*(;[\w.+=-]+)*;base64")
"""What stands before the comma (RFC 2397); the kind that it names is not believed, the reader looks for itself."""
_LONGEST_HEAD: Final = 200


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message with its pictures as bytes."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | bytes, ...]


def has_pictures(request: ChatCompletionRequest) -> bool:
    """Whether any message has a part that is a picture."""
    return any(
        part.type == PICTURE
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
    )


class PictureChat:
    """Answers conversations about pictures. ``spool``: a private folder where they lie while they are read."""

    def __init__(self, abilities: Abilities, spool: Path, store: Store | None) -> None:
        self._abilities, self._spool, self._store = abilities, spool, store

    async def ask(
        self, wanted: ChatCompletionRequest, call: CallOptions
    ) -> tuple[Choice[ImageDescriber], AsyncGenerator[ChatDelta, None]]:
        """Who answers, and the answer in pieces.

        Raises:
            ProntuarioError: ``chat.no_eyes``, ``chat.image_remote``, ``invalid`` (422), ``model_not_found`` (404),
                ``ai.switched_off`` (403), ``capability.unavailable`` (503); the answer itself raises what ``ImageDescriber`` does.
        """
        if not any(model.capability == _DESCRIBES for model in self._abilities.models()):
            raise NO_EYES(field=_first_field(wanted))
        turns = picture_turns(wanted)
        most = _tokens(wanted)
        require_model(self._abilities.models(), wanted.model, _DESCRIBES)
        if self._store is not None:
            await self._store.read(partial(require, function="images", user_id=call.user))
        choice = self._abilities.image_describer(wanted)
        return choice, self._answer(choice.instance, turns, most, call)

    async def _answer(
        self, describer: ImageDescriber, turns: Sequence[_Turn], most: int, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        async with AsyncExitStack() as files:
            asked: list[PictureTurn] = []
            for turn in turns:
                parts: list[str | PicturePart] = []
                for part in turn.parts:
                    if isinstance(part, str):
                        parts.append(part)
                    else:
                        path = await files.enter_async_context(spooled(_once(part), self._spool, max_bytes=len(part)))
                        parts.append(PicturePart(path))
                asked.append(PictureTurn(turn.role, tuple(parts)))
            deltas = cast("AsyncGenerator[ChatDelta, None]", describer.chat(asked, most, call))
            async with aclosing(deltas):
                async for delta in deltas:
                    yield delta


def picture_turns(request: ChatCompletionRequest) -> list[_Turn]:
    """The messages with their pictures decoded.

    Raises:
        ProntuarioError: ``chat.image_remote`` and ``invalid`` (422), naming the part.
    """
    turns, pictures = [], 0
    for index, message in enumerate(request.messages):
        content, name = message.content or "", f"messages[{index}].content"
        if isinstance(content, str):
            turns.append(_Turn(plain_role(message.role), (content,)))
            continue
        parts = tuple(_part(part, f"{name}[{place}]") for place, part in enumerate(content))
        pictures += sum(isinstance(part, bytes) for part in parts)
        if pictures > MOST_PICTURES:
            raise INVALID(field=name, name=name, reason=f"up to {MOST_PICTURES} pictures in a conversation")
        turns.append(_Turn(plain_role(message.role), parts))
    return turns


def _part(part: ContentPart, name: str) -> str | bytes:
    if part.type == "text":
        return part.text
    if part.type != PICTURE or part.image_url is None:
        raise INVALID(field=name, name=name, reason="only parts of type text and image_url are understood")
    head, comma, data = part.image_url.url.partition(",")
    if not head[:5].lower() == "data:":
        raise REMOTE_PICTURE(field=name)
    if not comma or len(head) > _LONGEST_HEAD or not _DATA.fullmatch(head):
        raise INVALID(field=name, name=name, reason="data:image/…;base64, and the picture")
    try:
        picture = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise INVALID(field=name, name=name, reason="it is not base64") from error
    if not picture:
        raise INVALID(field=name, name=name, reason="the picture is empty")
    return picture


def _tokens(wanted: ChatCompletionRequest) -> int:
    """How long the answer may be. What the describer can't honour is refused rather than left out."""
    options = chat_options(wanted)
    asked = {
        "temperature": options.temperature > 0,
        "stop": bool(options.stop),
        "response_format": options.json_schema is not None,
        "logprobs": options.top_logprobs is not None,
    }
    for name, given in asked.items():
        if given:
            raise INVALID(field=name, name=name, reason="it can't be set in a conversation about pictures")
    return options.max_tokens


def _first_field(request: ChatCompletionRequest) -> str:
    for index, message in enumerate(request.messages):
        if isinstance(message.content, list) and any(part.type == PICTURE for part in message.content):
            return f"messages[{index}].content"
    return "messages"


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
