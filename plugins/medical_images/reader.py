"""Questions to the reader's child."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.engine import CallOptions, EngineHandle
from appliance.plugin_api.errors import INTERNAL
from appliance.plugin_api.images import ImageFacts, PatientClaim
from plugins.medical_images.errors import refused
from plugins.medical_images.messages import (
    READ,
    Answer,
    Draw,
    Drawn,
    HeatGrid,
    Inspect,
    Inspected,
    Picture,
    Question,
    ReadFrames,
    Refusal,
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


class Reader:
    """Over one engine. Every method raises what ``refused`` makes, and engine errors."""

    def __init__(self, engine: EngineHandle) -> None:
        self._engine = engine

    async def facts(self, image: Path, claim: PatientClaim | None, call: CallOptions) -> ImageFacts:
        """What the file is."""
        async for answer in self._ask(Inspect(str(image), claim), call):
            if isinstance(answer, Inspected):
                return answer.facts
        raise INTERNAL()

    async def png(self, image: Path, frame: int, side: int, grid: HeatGrid | None, call: CallOptions) -> bytes:
        """One frame for the eye, with a heat map over it if there is one."""
        async for answer in self._ask(Draw(str(image), frame, side, grid), call):
            if isinstance(answer, Drawn):
                return answer.png
        raise INTERNAL()

    async def pictures(
        self, image: Path, frames: tuple[int, ...], side: int, resample: int, call: CallOptions
    ) -> list[Picture]:
        """The frames as a model sees them. All are in memory at once: ask for few."""
        asked = ReadFrames(str(image), frames, side, square=True, resample=resample)
        return [answer async for answer in self._ask(asked, call) if isinstance(answer, Picture)]

    async def _ask(self, asked: Question, call: CallOptions) -> AsyncGenerator[Answer, None]:
        async with aclosing(self._engine.submit(READ, _encoder.encode(asked), call)) as payloads:  # type: ignore[type-var]
            async for payload in payloads:
                if not payload:
                    continue  # the mere end
                answer = _decoder.decode(payload)
                if isinstance(answer, Refusal):
                    raise refused(answer)
                yield answer
