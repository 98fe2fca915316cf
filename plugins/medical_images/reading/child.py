"""The reader's engine: it hands files to a worker process that may die over them, and holds no model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from plugins.medical_images.messages import READ, Refusal
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import DAMAGED
from plugins.medical_images.reading.workshop import WorkerLostError, Workshop

MODEL_ID: Final = "image-reader"
_LOST: Final = msgspec.msgpack.encode(Refusal(DAMAGED, {"what": "decoder"}))


class ReaderEngine:
    """An ``appliance.plugin_api.engine.Engine``. Config: ``limits``, ``memory_bytes`` of the worker, ``limit_s`` for an answer.

    One step hands on one answer, so that a long study never holds up a ping. Payloads pass through as they are.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Iterator[bytes]]] = deque()
        self._cancelled: set[int] = set()
        self._counters = {"files": 0, "answers": 0}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        memory_bytes = int(config["memory_bytes"])
        limits = msgspec.convert(config["limits"], Limits)
        self._workshop = Workshop(limits, memory_bytes=memory_bytes, limit_s=float(config["limit_s"]))
        # No hash of weights: it has none, and so the other node of a pair is never asked to read a file that lies here.
        return Loaded(MODEL_ID, "", memory_bytes, demonstration=False, info={})

    def submit(self, request: Submit) -> None:
        if request.kind != READ:
            raise ValueError(f"unknown kind {request.kind}")
        self._counters["files"] += 1
        self._waiting.append((request.request_id, self._answers(request.payload)))

    def step(self) -> list[Output | Failed]:
        request_id, answers = self._waiting[0]
        answer = next(answers, None)
        if answer is None:
            self._waiting.popleft()
        if request_id in self._cancelled:
            self._cancelled -= {request_id} if answer is None else set()
            return []  # the worker's remaining answers are taken and dropped
        if answer is None:
            return [Output(request_id, b"", final=True)]
        self._counters["answers"] += 1
        return [Output(request_id, answer, final=False)]

    def busy(self) -> bool:
        return bool(self._waiting)

    def cancel(self, request_id: int) -> None:
        if self._waiting and self._waiting[0][0] == request_id:
            self._cancelled.add(request_id)
        else:
            self._waiting = deque(entry for entry in self._waiting if entry[0] != request_id)

    def stats(self) -> dict[str, float]:
        return {"running": len(self._waiting), "workers_lost": self._workshop.lost, **self._counters}

    def close(self) -> None:
        self._waiting.clear()
        self._workshop.close()

    def _answers(self, question: bytes) -> Iterator[bytes]:
        try:
            yield from self._workshop.ask(question)
        except WorkerLostError:
            yield _LOST
