"""The model's child: MedSigLIP looks at the pictures of all users in one batch and says how near each label's sentences are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import msgspec
import numpy as np
from PIL import Image

from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.medical_images.engine_model import load_image_model
from plugins.medical_images.engine_questions import Directions, Floats
from plugins.medical_images.labels import Questions, read_label_sets, sigmoid
from plugins.medical_images.messages import (
    FIND,
    HEAT,
    UNKNOWN_LABEL,
    UNKNOWN_LABEL_SET,
    Find,
    Found,
    Heat,
    HeatGrid,
    LabelScore,
    ModelFacts,
    Picture,
)
from plugins.medical_images.shape import activation_bytes

_NOT_NUMBERS: Final = "internal"
_GATHER_SHARE: Final = 0.05
_GATHER_MOST_S: Final = 0.05
"""Those who were just answered ask again at once, one after another: beginning with the first of them would tear the batch apart.
At most this share of the last batch's time, and never longer than this."""
_GATHER_NAP_S: Final = 0.001
_find_decoder = msgspec.msgpack.Decoder(Find)
_heat_decoder = msgspec.msgpack.Decoder(Heat)
_encoder = msgspec.msgpack.Encoder()


class UnknownLabelSetError(ValueError):
    """No file of that name was read when the model was loaded. ``code`` crosses the process border."""

    code: Final = UNKNOWN_LABEL_SET


class UnknownLabelError(ValueError):
    """The set has no such label. ``code`` crosses the process border."""

    code: Final = UNKNOWN_LABEL


class NoLabelSetError(ValueError):
    """Not one sound label set: the model could be asked nothing. ``code`` crosses the process border."""

    code: Final = UNKNOWN_LABEL_SET


@dataclass(frozen=True, slots=True)
class _Job:
    """One picture and what is asked of it; ``place`` is the label whose heat map is wanted, None: all scores."""

    request_id: int
    picture: Picture
    questions: Questions
    place: int | None


class ImageEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, batch_size, precision ("auto", "fp32" or "stored"), label_folders (a later one takes precedence), name (optional).
    """

    def __init__(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._last = (0, 0.0, 0.0)
        """Of the last batch: its pictures, how long it took, and when it ended (seconds of the monotonic clock)."""
        self._counters = {"steps": 0, "pictures": 0, "batches": 0, "failed": 0}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        self._batch_size = int(config["batch_size"])
        self._model = load_image_model(folder, config["precision"])
        self._sha256 = weight_sha256(folder)
        found = read_label_sets([Path(one) for one in config["label_folders"]])
        if not found.sets:
            raise NoLabelSetError("; ".join(found.problems) or "there is no label set")
        self._sets = {one.name: one for one in found.sets}
        self._directions = Directions(self._model)
        vision = self._model.shape.vision_config
        # What one batch frees the next one takes again; without a limit each size of batch would keep its own.
        mx.set_cache_limit(self._batch_size * activation_bytes(vision))
        self._look([Picture(0, vision.image_size, vision.image_size, bytes(3 * vision.image_size**2))])
        facts = ModelFacts(
            side=vision.image_size,
            label_sets=tuple(one.facts(self._sha256) for one in found.sets),
            resample=self._model.preparation.resample,
            by_modality=found.by_modality(),
        )
        told = {"device": str(mx.default_device().type), "label_problems": list(found.problems)}
        return Loaded(
            model_id=str(config.get("name") or folder.resolve().name),
            model_sha256=self._sha256,
            footprint_bytes=self._model.footprint_bytes(self._batch_size),
            demonstration=False,
            info=msgspec.to_builtins(facts) | told,
        )

    def submit(self, request: Submit) -> None:
        """See ``Engine.submit``; a ``ValueError`` with a ``code`` tells the core which name is unknown."""
        job = self._job(request)
        if request.lane == Lane.URGENT:
            self._waiting.appendleft(job)
        else:
            self._waiting.append(job)

    def busy(self) -> bool:
        return bool(self._waiting)

    def step(self) -> list[Output | Failed]:
        """A few sentences of a set that somebody waits for, then one batch of pictures whose sentences are known."""
        self._counters["steps"] += 1
        unknown = next((job.questions for job in self._waiting if not self._directions.ready(job.questions)), None)
        if unknown is not None:
            self._directions.advance(unknown)
        batch = [job for job in self._waiting if self._directions.ready(job.questions)][: self._batch_size]
        if not batch or self._more_to_come(len(batch)):
            return []
        chosen = {job.request_id for job in batch}
        self._waiting = deque(job for job in self._waiting if job.request_id not in chosen)
        self._counters["pictures"] += len(batch)
        self._counters["batches"] += 1
        began = time.monotonic()
        answers = self._answers(batch)
        ended = time.monotonic()
        self._last = (len(batch), ended - began, ended)
        return answers

    def _more_to_come(self, ready: int) -> bool:
        """Whether it is worth a moment's wait: fewer are here than were in the last batch, which has only just ended."""
        pictures, took_s, ended = self._last
        if ready >= pictures or time.monotonic() - ended >= min(_GATHER_SHARE * took_s, _GATHER_MOST_S):
            return False
        time.sleep(_GATHER_NAP_S)
        return True

    def cancel(self, request_id: int) -> None:
        self._waiting = deque(job for job in self._waiting if job.request_id != request_id)

    def stats(self) -> dict[str, float]:
        sentences = self._directions.sentences
        return {"waiting": len(self._waiting), "running": 0, "sentences": sentences, **self._counters}

    def close(self) -> None:
        self._waiting.clear()

    # -- requests ---------------------------------------------------------------------------------------------------------
    def _job(self, request: Submit) -> _Job:
        try:
            if request.kind == FIND:
                find = _find_decoder.decode(request.payload)
                self._check(find.picture)
                return _Job(request.request_id, find.picture, self._questions(find.label_set), None)
            if request.kind == HEAT:
                heat = _heat_decoder.decode(request.payload)
                self._check(heat.picture)
                questions = self._questions(heat.label_set)
                return _Job(request.request_id, heat.picture, questions, _place(questions, heat.label))
        except msgspec.MsgspecError as error:
            raise ValueError("not a request about a picture") from error
        raise ValueError("unknown kind of request")

    def _questions(self, name: str) -> Questions:
        try:
            return self._sets[name]
        except KeyError:
            raise UnknownLabelSetError("unknown label set") from None

    def _check(self, picture: Picture) -> None:
        side = self._model.shape.vision_config.image_size
        if (picture.width, picture.height, len(picture.rgb)) != (side, side, 3 * side * side):
            raise ValueError(f"a picture has {side} x {side} pixels in RGB")

    # -- looking ------------------------------------------------------------------------------------------------------------
    def _look(self, pictures: list[Picture]) -> mx.array:
        """Patches of all pictures: (pictures, patches, width)."""
        sizes = [(one.width, one.height) for one in pictures]
        drawn = [Image.frombytes("RGB", size, one.rgb) for size, one in zip(sizes, pictures, strict=True)]
        pixels = np.stack([self._model.preparation.pixels(one) for one in drawn])
        dtype = self._model.net.vision_model.embeddings.patch_embedding.weight.dtype
        patches = self._model.net.patches(mx.array(pixels).astype(dtype))
        mx.eval(patches)
        return patches

    def _answers(self, batch: list[_Job]) -> list[Output | Failed]:
        patches = self._look([job.picture for job in batch])
        finds = [row for row, job in enumerate(batch) if job.place is None]
        heats = [row for row, job in enumerate(batch) if job.place is not None]
        answers: list[Output | Failed] = []
        if finds:
            pooled = np.array(self._model.net.pooled(patches[mx.array(finds)]))
            answers += [self._found(batch[row], seen) for row, seen in zip(finds, pooled, strict=True)]
        for row in heats:  # one at a time: the embeddings of all places are as large as a layer's
            places = np.array(self._model.net.places(patches[row : row + 1]))[0]
            answers.append(self._heat(batch[row], places))
        return answers

    def _found(self, job: _Job, seen: Floats) -> Output | Failed:
        margins = self._directions.margins(job.questions, seen)
        if not np.isfinite(margins).all():
            return self._not_numbers(job)
        scores = []
        for label, margin in zip(job.questions.labels, margins.tolist(), strict=True):
            platt = job.questions.platt(label.id, self._sha256)
            score = sigmoid(margin) if platt is None else platt.probability(margin)
            scores.append(LabelScore(label.id, label.pt, label.en, score, calibrated=platt is not None))
        return Output(job.request_id, _encoder.encode(Found(tuple(scores))), final=True)

    def _heat(self, job: _Job, places: Floats) -> Output | Failed:
        """Each patch's own score, on one scale for all pictures: a picture with nothing on it stays without a hot spot.

        It is not calibrated, for that was fitted to whole pictures.
        """
        side = self._model.shape.vision_config.side
        margins = self._directions.margins(job.questions, places)[:, job.place]
        if not np.isfinite(margins).all():
            return self._not_numbers(job)
        grid = HeatGrid(side, side, tuple(sigmoid(margin) for margin in margins.tolist()))
        return Output(job.request_id, _encoder.encode(grid), final=True)

    def _not_numbers(self, job: _Job) -> Failed:
        self._counters["failed"] += 1
        return Failed(job.request_id, _NOT_NUMBERS, "the model's answer is not a number")


def _place(questions: Questions, label: str) -> int:
    for place, one in enumerate(questions.labels):
        if one.id == label:
            return place
    raise UnknownLabelError("unknown label")
