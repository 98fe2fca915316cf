"""The child's half: frames of many people in, faces and embeddings out. Nothing of a picture outlives its request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_bytes, weight_sha256
from plugins.facenet_auth.engine_examination import examine
from plugins.facenet_auth.engine_model import open_detector, open_embedder, read_config
from plugins.facenet_auth.engine_pictures import Picture, PictureError, picture
from plugins.facenet_auth.messages import (
    BAD_IMAGE,
    EXAMINE,
    MOST_FRAMES,
    Examine,
    Examined,
    FrameAnswer,
)

_PIXELS_AT_ONCE: Final = 20_000_000
"""Decoded pictures of one step: some hundred megabytes, whatever people send."""
_RUNTIME_BYTES: Final = 1 << 30
_WEIGHT_COPIES: Final = 2
_decoder = msgspec.msgpack.Decoder(Examine)
_encoder = msgspec.msgpack.Encoder()


@dataclass
class _Job:
    """One request: what it asked for, and what is known of its frames so far."""

    request_id: int
    asked: Examine
    urgent: bool
    answers: list[FrameAnswer] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return len(self.answers) == len(self.asked.frames)


@dataclass(frozen=True)
class _Turn:
    """A decoded frame and whose it is; ``picture`` is None where nothing could be decoded."""

    job: _Job
    picture: Picture | None


class FaceEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, batch_frames (frames of one step), threads (0: as many as cores), runtime ("auto", "onnx", "coreml").
    """

    survives_step_errors: Final = True

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}
        self._counters = {"steps": 0, "frames": 0, "embeddings": 0}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder, threads = Path(config["folder"]), int(config.get("threads", 0))
        self._batch_frames = int(config.get("batch_frames", 16))
        known = read_config(folder)
        self._detector = open_detector(folder, known.thresholds, threads)
        self._embedder, runtime = open_embedder(folder, str(config.get("runtime", "auto")), threads)
        return Loaded(
            model_id=f"{known.name}-alignment-{known.alignment}",
            model_sha256=weight_sha256(folder),
            footprint_bytes=_WEIGHT_COPIES * weight_bytes(folder) + _RUNTIME_BYTES,
            demonstration=False,
            info={"runtime": runtime},
        )

    def submit(self, request: Submit) -> None:
        if request.kind != EXAMINE:
            raise ValueError("unknown kind of request")
        try:
            asked = _decoder.decode(request.payload)
        except msgspec.MsgspecError as error:
            raise ValueError("not a request to examine frames") from error
        if not 1 <= len(asked.frames) <= MOST_FRAMES:
            raise ValueError(f"a request has 1 to {MOST_FRAMES} frames")
        self._jobs[request.request_id] = _Job(request.request_id, asked, request.lane == Lane.URGENT)

    def busy(self) -> bool:
        return bool(self._jobs)

    def step(self) -> list[Output | Failed]:
        """A frame of everybody in turn until the batch is full; answers whoever has all of theirs."""
        self._counters["steps"] += 1
        turns = list(self._turns())
        shown = [(turn.picture, turn.job.asked.limits) for turn in turns if turn.picture is not None]
        known = iter(examine(shown, self._detector, self._embedder) if shown else ())
        for turn in turns:
            answer = _unreadable() if turn.picture is None else next(known)
            self._counters["embeddings"] += bool(answer.embedding)
            turn.job.answers.append(answer)
        self._counters["frames"] += len(turns)
        finished = [job for job in self._jobs.values() if job.done]
        for job in finished:
            del self._jobs[job.request_id]
        return [Output(job.request_id, _encoder.encode(Examined(tuple(job.answers))), final=True) for job in finished]

    def cancel(self, request_id: int) -> None:
        self._jobs.pop(request_id, None)

    def stats(self) -> dict[str, float]:
        return {"running": len(self._jobs), **self._counters}

    def close(self) -> None:
        self._jobs.clear()

    def _turns(self) -> Iterator[_Turn]:
        """The frames of this step, decoded, in the order of each request."""
        pixels = 0
        jobs = sorted(self._jobs.values(), key=lambda job: not job.urgent)
        for taken, (job, number) in enumerate(_fairly(jobs)):
            if taken == self._batch_frames or pixels > _PIXELS_AT_ONCE:
                return
            try:
                shown = picture(job.asked.frames[number])
            except PictureError:
                yield _Turn(job, None)
                continue
            pixels += shown.width * shown.height
            yield _Turn(job, shown)


def _fairly(jobs: list[_Job]) -> Iterator[tuple[_Job, int]]:
    """(job, number of its frame): one frame of each job, then the next of each, until nothing is left."""
    for ahead in range(MOST_FRAMES):
        for job in jobs:
            number = len(job.answers) + ahead
            if number < len(job.asked.frames):
                yield job, number


def _unreadable() -> FrameAnswer:
    return FrameAnswer(0, 0, (), problem=BAD_IMAGE)
