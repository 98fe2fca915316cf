"""``POST /v1/chat/completions``, whole or streamed.

A stream whose request waits in the engine's queue says so in comments, which every client of server-sent events skips
(WHATWG HTML §9.2.6): ``: queue {"position":3}``, and ``0`` once it is being answered.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from appliance.api.openai_errors import error_object
from appliance.api.openai_models import require_model
from appliance.api.openai_pictures import NOTICE_EN, NOTICE_PT, PictureChat, has_pictures
from appliance.api.openai_shapes import ChatCompletionRequest, chat_messages, chat_options
from appliance.api.queue_places import Place, Queued
from appliance.plugin_api.capabilities import ChatDelta, ChatModel, ImageDescriber, ModelInfo, TokenLogprob
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_api.storage import Store
from appliance.plugin_host.choice import Abilities, Choice

_DEADLINE_S: Final = 300.0
_DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What all chunks of one answer share."""

    id: str
    created: int
    model: ModelInfo
    degraded: bool
    notice: str = ""

    def envelope(self, kind: str) -> dict[str, Any]:
        members: dict[str, Any] = {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model.id,
            "system_fingerprint": f"fp_{self.model.sha256[:12]}",
        }
        if self.model.demonstration:
            members["demonstration_model"] = True
        if self.degraded:
            members["degraded"] = True
        if self.notice:
            members["notice"] = self.notice
        return members


class ChatCompletions:
    """Answers conversations with whatever chat model the node offers, and those about pictures with its describer."""

    def __init__(
        self,
        abilities: Abilities,
        now: Callable[[], float] | None = None,
        *,
        spool: Path | None = None,
        store: Store | None = None,
    ) -> None:
        self._abilities = abilities
        self._now = now or time.time
        self._pictures = PictureChat(abilities, spool or Path(tempfile.gettempdir()) / "prontuario-spool", store)

    async def create(self, request: Request) -> Reply:
        """The handler. What fails before the first token is an HTTP error, also for a stream that did not have to wait."""
        wanted = await request.body(ChatCompletionRequest)
        queued: Queued[ChatDelta] = Queued()
        call = CallOptions(
            lane=Lane.INTERACTIVE,
            deadline_s=_DEADLINE_S,
            user=request.principal.user_id,
            whole=not wanted.stream,
            on_queue=queued.told,
        )
        choice: Choice[ChatModel] | Choice[ImageDescriber]
        notice = ""
        if has_pictures(wanted):
            notice = NOTICE_PT if request.language == "pt" else NOTICE_EN
            choice, deltas = await self._pictures.ask(wanted, call)
        else:
            choice, deltas = self._talk(wanted, call)
        model = choice.instance.model()
        answer = _Answer(f"chatcmpl-{secrets.token_hex(12)}", int(self._now()), model, choice.degraded, notice)
        if not wanted.stream:
            return Reply(body=await _whole(answer, deltas))
        usage = wanted.stream_options is not None and wanted.stream_options.include_usage
        pieces = queued.pieces(deltas)
        first = await anext(pieces, None)
        stream = _chunks(answer, first, pieces, include_usage=usage, language=request.language)
        return Reply(content_type="text/event-stream", stream=stream, headers={"cache-control": "no-store"})

    def _talk(
        self, wanted: ChatCompletionRequest, call: CallOptions
    ) -> tuple[Choice[ChatModel], AsyncGenerator[ChatDelta, None]]:
        messages, options = chat_messages(wanted), chat_options(wanted)
        require_model(self._abilities.models(), wanted.model, "chat_model")
        choice: Choice[ChatModel] = self._abilities.chat_model(wanted)
        return choice, cast("AsyncGenerator[ChatDelta, None]", choice.instance.chat(messages, options, call))


async def _whole(answer: _Answer, deltas: AsyncIterator[ChatDelta]) -> dict[str, Any]:
    text: list[str] = []
    logprobs: list[TokenLogprob] = []
    last = ChatDelta("")
    async for delta in deltas:
        text.append(delta.text)
        logprobs += delta.logprobs
        last = delta
    message = {"role": "assistant", "content": "".join(text), "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": last.finish_reason, "logprobs": _logprobs(logprobs)}
    return answer.envelope("chat.completion") | {"choices": [choice], "usage": _usage(last)}


async def _chunks(
    answer: _Answer,
    first: ChatDelta | Place | None,
    rest: AsyncGenerator[ChatDelta | Place, None],
    *,
    include_usage: bool,
    language: str,
) -> AsyncGenerator[bytes, None]:
    """Server-sent events as OpenAI frames them: ``data: {…}`` and ``data: [DONE]``; closing it cancels the answer."""
    extra = {"usage": None} if include_usage else {}
    last: ChatDelta | None = None
    piece: ChatDelta | Place | None = first or ChatDelta("", "stop")
    try:
        while piece is not None:
            if isinstance(piece, Place):
                yield b": queue " + msgspec.json.encode(piece) + b"\n\n"
            else:
                role = {"role": "assistant", "content": piece.text} if last is None else {}
                yield _event(answer, role or ({"content": piece.text} if piece.text else {}), piece, extra)
                last = piece
            piece = await anext(rest, None)
        if include_usage:
            usage = _usage(last or ChatDelta(""))
            yield _frame(answer.envelope("chat.completion.chunk") | {"choices": [], "usage": usage})
        yield _DONE
    except ProntuarioError as error:  # the status line has gone out: OpenAI's clients look for the error in the stream
        yield _frame(error_object(error, language))
    finally:
        with contextlib.suppress(ProntuarioError):
            await rest.aclose()


def _event(answer: _Answer, delta: dict[str, Any], piece: ChatDelta, extra: dict[str, Any]) -> bytes:
    logprobs = _logprobs(piece.logprobs)
    choice = {"index": 0, "delta": delta, "finish_reason": piece.finish_reason, "logprobs": logprobs}
    return _frame(answer.envelope("chat.completion.chunk") | {"choices": [choice]} | extra)


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not tokens:
        return None
    content = [
        _token(one.text, one.logprob) | {"top_logprobs": [_token(text, value) for text, value in one.top]}
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _usage(last: ChatDelta) -> dict[str, int]:
    total = last.prompt_tokens + last.completion_tokens
    return {"prompt_tokens": last.prompt_tokens, "completion_tokens": last.completion_tokens, "total_tokens": total}
