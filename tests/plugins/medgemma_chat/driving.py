"""Drives a chat engine in this process as the child's loop would."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions, TokenLogprob
from appliance.plugin_api.messages import Failed, Submit
from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.messages import CHAT, ChatPiece, ChatRequest


class Answer(msgspec.Struct):
    text: str = ""
    reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pieces: int = 0
    failed: str | None = None
    logprobs: list[TokenLogprob] = []


def request(text: str | list[ChatMessage] = "olá", **options: Any) -> ChatRequest:
    messages = [ChatMessage("user", text)] if isinstance(text, str) else text
    return ChatRequest(messages, ChatOptions(**({"max_tokens": 24} | options)))


def submit(engine: ChatEngine, request_id: int, wanted: ChatRequest, tenant: str | None = None) -> None:
    payload = msgspec.msgpack.encode(wanted)
    engine.submit(
        Submit(request_id, CHAT, payload, 60.0, "interactive", f"user{request_id}|" if tenant is None else tenant)
    )


def collect(engine: ChatEngine, answers: dict[int, Answer]) -> None:
    for output in engine.step():
        answer = answers.setdefault(output.request_id, Answer())
        assert answer.reason is None
        assert answer.failed is None
        if isinstance(output, Failed):
            answer.failed = output.code
            continue
        piece = msgspec.msgpack.decode(output.payload, type=ChatPiece)
        assert output.final == (piece.finish_reason is not None)
        answer.text += piece.text
        answer.pieces += 1
        answer.logprobs = [*answer.logprobs, *piece.logprobs]
        answer.reason = piece.finish_reason
        answer.prompt_tokens, answer.completion_tokens = piece.prompt_tokens, piece.completion_tokens


def run(engine: ChatEngine, *wanted: ChatRequest) -> list[Answer]:
    for request_id, one in enumerate(wanted):
        submit(engine, request_id, one)
    answers: dict[int, Answer] = {}
    while engine.busy():
        collect(engine, answers)
    return [answers[request_id] for request_id in range(len(wanted))]


def one(engine: ChatEngine, text: str | list[ChatMessage] = "olá", **options: Any) -> Answer:
    return run(engine, request(text, **options))[0]
