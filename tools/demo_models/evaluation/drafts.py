"""Drafts notes of gold consults through the product's own drafting and guard, many at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.care.drafting import write_draft
from appliance.care.model import Content, Segment
from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatModel, ChatOptions, ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_host.choice import Choice

AT_ONCE: Final = 32
_DEADLINE_S: Final = 3600.0
Progress = Callable[[int, int], None]
"""(done, of how many)."""


@dataclass
class Watched:
    """A ``ChatModel`` that passes everything on and keeps account of its answers."""

    model_behind: ChatModel
    answers: int = 0
    valid_json: int = 0
    """Answers that came to their own end and parse."""
    cut: int = 0
    tokens: int = 0
    failures: list[str] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return self.model_behind.model()

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncIterator[ChatDelta]:
        """See ``ChatModel``."""
        text, reason = "", None
        async for delta in self.model_behind.chat(messages, options, call):
            text += delta.text
            reason = delta.finish_reason or reason
            if delta.finish_reason:
                self.tokens += delta.completion_tokens
            yield delta
        self.answers += 1
        self.cut += reason == "length"
        self.valid_json += reason == "stop" and _parses(text)
        if reason == "length" or not _parses(text):
            self.failures.append(text)


@dataclass(frozen=True, slots=True)
class Drafted:
    """Notes in the order of their transcripts, and how long all took together."""

    notes: tuple[Content, ...]
    seconds: float


async def draft_all(
    transcripts: Sequence[Sequence[Segment]],
    model: ChatModel,
    progress: Progress = lambda _done, _of: None,
    at_once: int = AT_ONCE,
) -> Drafted:
    """Write a note of each transcript, ``at_once`` at a time."""
    room, done = asyncio.Semaphore(at_once), 0
    choice = Choice(model, "evaluation", "evaluation")

    async def one(number: int, segments: Sequence[Segment]) -> Content:
        nonlocal done
        async with room:
            call = CallOptions(deadline_s=_DEADLINE_S, user=f"evaluation-{number}")
            content = await write_draft(segments, "0" * 64, choice, call)
        done += 1
        progress(done, len(transcripts))
        return content

    began = time.perf_counter()
    notes = await asyncio.gather(*(one(number, segments) for number, segments in enumerate(transcripts)))
    return Drafted(tuple(notes), time.perf_counter() - began)


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
