"""One analysis: frames go to the model one a request, some at a time, and the highest score of each label is kept.

Sent singly they share the model's batches with everybody else's, wherever they are computed; and however long the study is, no
more than ``in_flight`` of its frames are in memory.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from appliance.plugin_api.engine import CallOptions, EngineHandle
from appliance.plugin_api.errors import INTERNAL, ProntuarioError
from appliance.plugin_api.images import Finding, HeatMap, LabelSet
from plugins.medical_images.errors import LABEL, LABEL_SET
from plugins.medical_images.messages import (
    FIND,
    HEAT,
    UNKNOWN_LABEL,
    UNKNOWN_LABEL_SET,
    Find,
    Found,
    Heat,
    HeatGrid,
    ModelFacts,
    Picture,
)
from plugins.medical_images.reader import Reader

T = TypeVar("T")
HEAT_MAP_SIDE: Final = 1024
_encoder: Final = msgspec.msgpack.Encoder()


class Looking:
    """The model looks at one file. Raises reader's and engine errors, ``image.label_set`` and ``image.label``."""

    def __init__(
        self, reader: Reader, model: EngineHandle, known: ModelFacts, *, image: Path, call: CallOptions, in_flight: int
    ) -> None:
        self._reader, self._model, self._known = reader, model, known
        self._image, self._call, self._in_flight = image, call, in_flight

    async def findings(self, label_set: LabelSet, frames: tuple[int, ...]) -> tuple[Finding, ...]:
        """Every label of the set, highest first; equal scores keep the set's order."""
        best: dict[str, Finding] = {}
        for start in range(0, len(frames), self._in_flight):
            pictures = await self._pictures(frames[start : start + self._in_flight])
            for picture, found in zip(pictures, await self._all_found(pictures, label_set.name), strict=True):
                _keep_highest(best, found, picture.frame)
        return tuple(sorted(best.values(), key=lambda finding: -finding.score))

    async def heat_map(self, label_set: LabelSet, finding: Finding) -> HeatMap:
        """Where the finding's evidence lies on its frame."""
        (picture,) = await self._pictures((finding.frame,))
        grid = await self._ask(HEAT, Heat(picture, label_set.name, finding.label), HeatGrid)
        png = await self._reader.png(self._image, finding.frame, HEAT_MAP_SIDE, grid, self._call)
        return HeatMap(finding.label, finding.frame, png)

    async def _pictures(self, frames: tuple[int, ...]) -> list[Picture]:
        known = self._known
        return await self._reader.pictures(self._image, frames, known.side, known.resample, self._call)

    async def _all_found(self, pictures: list[Picture], label_set: str) -> list[Found]:
        """All at once; the first failure ends the others."""
        asked = [asyncio.create_task(self._ask(FIND, Find(picture, label_set), Found)) for picture in pictures]
        try:
            return await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, kind: str, asked: msgspec.Struct, answer: type[T]) -> T:
        payload = b""
        try:
            async for piece in self._model.submit(kind, _encoder.encode(asked), self._call):
                payload = piece or payload
        except ProntuarioError as error:
            raise _named(error, asked) from error
        if not payload:
            raise INTERNAL()
        return msgspec.msgpack.decode(payload, type=answer)


def _keep_highest(best: dict[str, Finding], found: Found, frame: int) -> None:
    for score in found.scores:
        known = best.get(score.label)
        if known is None or score.score > known.score:
            best[score.label] = Finding(score.label, score.pt, score.en, score.score, score.calibrated, frame)


def _named(error: ProntuarioError, asked: msgspec.Struct) -> ProntuarioError:
    """The model's own refusals in words; everything else as it is."""
    reason = error.details.get("reason")
    if reason == UNKNOWN_LABEL_SET:
        return LABEL_SET(field="label_set", name=getattr(asked, "label_set", ""))
    if reason == UNKNOWN_LABEL:
        return LABEL(field="heat_map", name=getattr(asked, "label", ""))
    return error
