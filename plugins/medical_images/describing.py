"""``image_describer`` over the reader's child and the describer's: files become plain pixels, then words about them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, Literal, cast

import msgspec

from appliance.plugin_api.capabilities import ChatDelta, ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from appliance.plugin_api.errors import UNAVAILABLE, ErrorKind, ProntuarioError
from appliance.plugin_api.images import PicturePart, PictureTurn
from plugins.medical_images.errors import CONVERSATION, CONVERSATION_TOO_LONG
from plugins.medical_images.messages import (
    BAD_CONVERSATION,
    CONVERSE,
    TOO_LONG,
    Converse,
    DescriberFacts,
    Picture,
    Said,
    Turn,
)
from plugins.medical_images.reader import Reader

DESCRIBES: Final = "image_describer"
WORDS_MOST: Final = 400
"""Tokens of a description."""
_RETRY_AFTER_S: Final = 5.0
_QUESTION: Final = {
    "pt": "Descreva em português, de forma objetiva, o que se vê nesta imagem médica. Não dê diagnóstico.",
    "en": "Describe objectively, in English, what is seen in this medical image. Do not give a diagnosis.",
}
_KINDS: Final[dict[str, ErrorKind]] = {BAD_CONVERSATION: CONVERSATION, TOO_LONG: CONVERSATION_TOO_LONG}
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Said)


class PictureDescriber:
    """An ``ImageDescriber``; without an engine (no pack is active) it is never ready."""

    def __init__(self, reader: EngineHandle, model: EngineHandle | None, *, folder: Path) -> None:
        self._reader, self._model, self._name = Reader(reader), model, folder.name

    def model(self) -> ModelInfo:
        engine = self._model
        loaded = None if engine is None else engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else self._name,
            sha256=loaded.model_sha256 if loaded else "",
            capability=DESCRIBES,
            demonstration=False,
            ready=engine is not None and loaded is not None and engine.status is EngineStatus.READY,
            installed=engine is not None,
        )

    async def describe(self, image: Path, frame: int, language: Literal["pt", "en"], call: CallOptions) -> str:
        """One frame in words; empty where there is no model. Raises as ``chat``."""
        if self._model is None:
            return ""
        turn = PictureTurn("user", (PicturePart(image, frame), _QUESTION[language]))
        return "".join([delta.text async for delta in self.chat([turn], WORDS_MOST, call)]).strip()

    async def chat(
        self, turns: Sequence[PictureTurn], max_tokens: int, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        """See ``ImageDescriber.chat``."""
        loaded = None if self._model is None else self._model.loaded
        if self._model is None or loaded is None:
            raise UNAVAILABLE(what="medical_images", retry_after=_RETRY_AFTER_S)
        known = msgspec.convert(loaded.info, DescriberFacts)
        asked = await self._plain(turns, max_tokens, known, call)
        pieces = cast("AsyncGenerator[bytes, None]", self._model.submit(CONVERSE, _encoder.encode(asked), call))
        try:
            async with aclosing(pieces):
                async for raw in pieces:
                    if raw:
                        said = _decoder.decode(raw)
                        counts = (said.prompt_tokens, said.completion_tokens)
                        yield ChatDelta(said.text, said.finish_reason, *counts)
        except ProntuarioError as error:
            kind = _KINDS.get(str(error.details.get("reason")))
            if kind is None:
                raise
            raise kind(field="messages") from error

    async def _plain(
        self, turns: Sequence[PictureTurn], max_tokens: int, known: DescriberFacts, call: CallOptions
    ) -> Converse:
        pictures: list[Picture] = []
        plain: list[Turn] = []
        for turn in turns:
            parts: list[str | int] = []
            for part in turn.parts:
                if isinstance(part, str):
                    parts.append(part)
                    continue
                parts.append(len(pictures))
                pictures += await self._reader.pictures(part.image, (part.frame,), known.side, known.resample, call)
            plain.append(Turn(turn.role, tuple(parts)))
        return Converse(tuple(plain), tuple(pictures), max_tokens)
