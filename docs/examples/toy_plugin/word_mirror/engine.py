"""The engine: the only module that would import a model library. It runs in a child process, never in the core."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.plugin_api.engine import Failed, Loaded, Output, Submit
from word_mirror.messages import MIRROR, Piece, Question


class MirrorEngine:
    """Answers every running request with one word a step, so that many requests advance together."""

    def __init__(self) -> None:
        self._separator = " "
        self._running: dict[int, tuple[list[str], int]] = {}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        """A real engine reads its weights here; this one has none, and says that it is a demonstration."""
        self._separator = config.get("separator", " ")
        digest = hashlib.sha256(b"word mirror 1").hexdigest()
        return Loaded("word-mirror-1", digest, 50 << 20, demonstration=True, info={})

    def submit(self, request: Submit) -> None:
        """ValueError refuses this one request; its neighbours go on."""
        if request.kind != MIRROR:
            raise ValueError("unknown kind")
        question = msgspec.msgpack.decode(request.payload, type=Question)
        if not question.words or question.max_words < 1:
            raise ValueError("nothing to mirror")
        self._running[request.request_id] = (question.words, min(question.max_words, len(question.words)))

    def step(self) -> list[Output | Failed]:
        """One word for everyone."""
        answers: list[Output | Failed] = []
        for request_id, (words, left) in list(self._running.items()):
            answers.append(self._advance(request_id, words, left))
        return answers

    def _advance(self, request_id: int, words: list[str], left: int) -> Output:
        *rest, word = words
        final = left == 1
        piece = Piece(word if final else word + self._separator, _reason(rest) if final else None)
        if final:
            del self._running[request_id]
        else:
            self._running[request_id] = (rest, left - 1)
        return Output(request_id, msgspec.msgpack.encode(piece), final)

    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._running)

    def cancel(self, request_id: int) -> None:
        """Unknown ids are fine."""
        self._running.pop(request_id, None)

    def stats(self) -> dict[str, float]:
        """Shown in the dashboard."""
        return {"running": len(self._running)}

    def close(self) -> None:
        """Nothing to free."""


def _reason(rest: list[str]) -> str:
    return "length" if rest else "stop"
