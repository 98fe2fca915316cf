"""The describer's child: a Gemma 3 with eyes answers conversations about pictures, always with the likeliest next token.

A step takes in a little of one conversation (some words, or one layer's work on a picture), and gives every conversation that is
being answered one token. They share no batch: few people ask for words about a picture at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import mlx.core as mx
import msgspec
import numpy as np
from PIL import Image

from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.medical_images.engine_gemma_load import load_seeing_model
from plugins.medical_images.engine_gemma_prompt import Piece, Prompts
from plugins.medical_images.gemma_shape import AT_ONCE
from plugins.medical_images.messages import CONVERSE, Converse, DescriberFacts, Picture, Said
from plugins.medical_images.shape import CheckpointError

_NOT_NUMBERS: Final = "internal"
_UNFINISHED: Final = "\ufffd"
_decoder = msgspec.msgpack.Decoder(Converse)
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class _Talk:
    """One conversation. ``looking`` is at a picture; ``logits`` are of the next token, once everything was taken in."""

    request_id: int
    pieces: deque[Piece]
    pictures: Sequence[Picture]
    prompt_tokens: int
    max_tokens: int
    urgent: bool
    looking: Iterator[None] | None = None
    cache: list[Any] = field(default_factory=list)
    logits: mx.array | None = None
    tokens: list[int] = field(default_factory=list)
    shown: str = ""

    def words(self, decode: Callable[[list[int]], str], *, last: bool) -> str:
        """What is new to show; a character split over tokens is held back until it is whole."""
        text = decode(self.tokens)
        if text.endswith(_UNFINISHED):
            if not last:
                return ""
            text = text.rstrip(_UNFINISHED)
        new, self.shown = text[len(self.shown) :], text
        return new


class DescriberEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, precision ("auto", "fp32" or "stored"), context_tokens, name (optional).
    """

    def __init__(self) -> None:
        self._waiting: deque[_Talk] = deque()
        self._running: dict[int, _Talk] = {}
        self._counters = {"pictures": 0, "prompt_tokens": 0, "completion_tokens": 0, "answers": 0, "failed": 0}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        shape_limit = int(config["context_tokens"])
        self._model = load_seeing_model(folder, config["precision"], shape_limit)
        shape = self._model.shape
        self._context_tokens = min(shape_limit, shape.text_config.max_position_embeddings)
        self._prompts = Prompts(self._model.tokenizer, shape, self._context_tokens)
        self._side = shape.vision_config.image_size
        self._see_black()
        facts = DescriberFacts(self._side, self._model.preparation.resample, self._context_tokens)
        return Loaded(
            model_id=str(config.get("name") or folder.resolve().name),
            model_sha256=weight_sha256(folder),
            footprint_bytes=self._model.footprint_bytes,
            demonstration=False,
            info=msgspec.to_builtins(facts) | {"device": str(mx.default_device().type)},
        )

    def _see_black(self) -> None:
        """The synthetic request has no picture, for health is asked for often: that the tower gives numbers is seen here."""
        black = Image.new("RGB", (self._side, self._side))
        if not np.isfinite(np.array(self._model.net.eyes(self._model.pixels(black)).astype(mx.float32))).all():
            raise CheckpointError("what the vision tower sees are not numbers")

    def submit(self, request: Submit) -> None:
        """See ``Engine.submit``; a ``ValueError`` with a ``code`` tells the core what is wrong with the conversation."""
        if request.kind != CONVERSE:
            raise ValueError("unknown kind of request")
        try:
            asked = _decoder.decode(request.payload)
        except msgspec.MsgspecError as error:
            raise ValueError("not a conversation about pictures") from error
        for one in asked.pictures:
            if (one.width, one.height, len(one.rgb)) != (self._side, self._side, 3 * self._side**2):
                raise ValueError(f"a picture has {self._side} x {self._side} pixels in RGB")
        pieces = self._prompts.build(asked.turns, len(asked.pictures))
        length = self._prompts.length(pieces)
        most = min(asked.max_tokens, self._context_tokens - length)
        talk = _Talk(request.request_id, deque(pieces), asked.pictures, length, most, request.lane == Lane.URGENT)
        if talk.urgent:
            self._waiting.appendleft(talk)
        else:
            self._waiting.append(talk)

    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    def step(self) -> list[Output | Failed]:
        while self._waiting and (len(self._running) < AT_ONCE or self._waiting[0].urgent):
            talk = self._waiting.popleft()
            talk.cache = self._model.net.make_cache()  # it belongs to the thread that steps
            self._running[talk.request_id] = talk
            self._counters["prompt_tokens"] += talk.prompt_tokens
        answers = [self._say(talk) for talk in list(self._running.values()) if talk.logits is not None]
        listening = [talk for talk in self._running.values() if talk.logits is None]
        if listening:
            self._take_in(next((talk for talk in listening if talk.urgent), listening[0]))
        return [answer for answer in answers if answer is not None]

    def cancel(self, request_id: int) -> None:
        self._running.pop(request_id, None)
        self._waiting = deque(talk for talk in self._waiting if talk.request_id != request_id)

    def stats(self) -> dict[str, float]:
        return {"waiting": len(self._waiting), "running": len(self._running), **self._counters}

    def close(self) -> None:
        self._waiting.clear()
        self._running.clear()

    # -- one conversation -----------------------------------------------------------------------------------------------
    def _take_in(self, talk: _Talk) -> None:
        """Some words, or one layer's work on a picture."""
        if talk.looking is not None:
            if next(talk.looking, self) is self:
                talk.looking = None
            return
        piece = talk.pieces.popleft()
        if isinstance(piece, int):
            self._counters["pictures"] += 1
            one = talk.pictures[piece]
            drawn = Image.frombytes("RGB", (one.width, one.height), one.rgb)
            talk.looking = self._model.net.look(self._model.pixels(drawn), talk.cache)
            return
        logits = self._model.net.read(piece, talk.cache)
        mx.eval(logits)
        if not talk.pieces:
            talk.logits = logits

    def _say(self, talk: _Talk) -> Output | Failed | None:
        """The next token; None where it shows nothing yet."""
        logits = np.array(talk.logits.astype(mx.float32)) if talk.logits is not None else np.array([np.nan])
        if not np.isfinite(logits).all():
            return self._failed(talk)
        token = int(logits.argmax())
        if token in self._model.ends:
            return self._last(talk, "stop")
        talk.tokens.append(token)
        self._counters["completion_tokens"] += 1
        if len(talk.tokens) >= talk.max_tokens:
            return self._last(talk, "length")
        talk.logits = self._model.net.read([token], talk.cache)
        new = talk.words(self._decode, last=False)
        return Output(talk.request_id, _encoder.encode(Said(new)), final=False) if new else None

    def _last(self, talk: _Talk, reason: Literal["stop", "length"]) -> Output:
        del self._running[talk.request_id]
        self._counters["answers"] += 1
        said = Said(talk.words(self._decode, last=True), reason, talk.prompt_tokens, len(talk.tokens))
        return Output(talk.request_id, _encoder.encode(said), final=True)

    def _failed(self, talk: _Talk) -> Failed:
        del self._running[talk.request_id]
        self._counters["failed"] += 1
        return Failed(talk.request_id, _NOT_NUMBERS, "the model's answer is not a number")

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._model.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
