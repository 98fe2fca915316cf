"""The child's half: mlx-lm's BatchGenerator, so that every running answer gains one token a step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import mlx.core as mx
import msgspec
import numpy as np
from mlx_lm.generate import BatchGenerator

from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.medgemma_chat.engine_grammar import GrammarFactory, JsonConstraint
from plugins.medgemma_chat.engine_model import load_language_model
from plugins.medgemma_chat.engine_prompt import PromptBuilder
from plugins.medgemma_chat.engine_sampler import make_row_sampler
from plugins.medgemma_chat.messages import CHAT, INTERNAL, ChatPiece, ChatRequest
from plugins.medgemma_chat.schema import check_schema
from plugins.medgemma_chat.text import IncrementalText, LoopGuard, StopFilter

_PREFILL_ROWS: Final = 8
_GATHER_S: Final = 0.04
_GATHER_ROWS: Final = 8
"""Newcomers join a running batch in groups: merging their caches one by one more than halves everybody's speed."""
_PIECES_PER_S: Final = 250
"""Of all answers together: with many of them a message for each token would cost more than the token."""
_decoder = msgspec.msgpack.Decoder(ChatRequest)
_encoder = msgspec.msgpack.Encoder()


class _Response(Protocol):
    """What BatchGenerator says of one row's new token."""

    uid: int
    token: int
    logprobs: mx.array
    finish_reason: str | None


@dataclass(slots=True)
class _Row:
    """One answer in the making."""

    request_id: int
    prompt: list[int]
    max_tokens: int
    sampler: Any
    text: IncrementalText
    stops: StopFilter
    constraint: JsonConstraint | None = None
    loops: LoopGuard | None = None
    completion_tokens: int = 0
    unshown: str = ""
    shown_at: float = 0.0

    def due(self, now: float, every_s: float) -> bool:
        """Whether the reader may have a piece: the first at once, then at most one every ``every_s``."""
        return now - self.shown_at >= every_s

    def show(self, now: float) -> Output:
        piece, self.unshown, self.shown_at = ChatPiece(self.unshown), "", now
        return Output(self.request_id, _encoder.encode(piece), final=False)

    def final(self, text: str, reason: Literal["stop", "length"]) -> Output:
        piece = ChatPiece(self.unshown + text, reason, len(self.prompt), self.completion_tokens)
        return Output(self.request_id, _encoder.encode(piece), final=True)


@dataclass(slots=True)
class _Counters:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 0


class ChatEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, demonstration, batch_size, context_tokens, prefill_step_tokens, precision.
    """

    def __init__(self) -> None:
        self._new: list[_Row] = []
        self._rows: dict[int, _Row] = {}
        """Rows inside the generator, by its own number for them."""
        self._generator: BatchGenerator | None = None
        self._gathering_since = 0.0
        self._doubtful: _Step | None = None
        self._counters = _Counters()

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        self._batch_size = int(config["batch_size"])
        self._prefill_step = int(config["prefill_step_tokens"])
        self._piece_every_s = float(config.get("piece_every_s", 0.0))
        self._language = load_language_model(folder, config["precision"])
        positions = self._language.max_positions
        wanted = int(config["context_tokens"])
        self._context_tokens = min(wanted, positions) if positions else wanted
        self._ends = frozenset(int(token) for token in self._language.tokenizer.eos_token_ids)
        self._prompts = PromptBuilder(self._language.tokenizer, self._context_tokens)
        self._grammars = GrammarFactory(self._language.tokenizer, self._language.vocabulary, self._ends)
        demonstration = bool(config["demonstration"])
        return Loaded(
            model_id="demonstration-notes" if demonstration else str(config.get("name") or folder.resolve().name),
            model_sha256=weight_sha256(folder),
            footprint_bytes=self._language.footprint_bytes(self._batch_size, self._context_tokens),
            demonstration=demonstration,
            info={"context_tokens": self._context_tokens, "device": str(mx.default_device().type)},
        )

    def submit(self, request: Submit) -> None:
        """See ``Engine.submit``; a ``ValueError`` with a ``code`` tells the core what is wrong with the conversation."""
        if request.kind != CHAT:
            raise ValueError("unknown kind of request")
        try:
            wanted = _decoder.decode(request.payload)
        except msgspec.MsgspecError as error:
            raise ValueError("not a conversation") from error
        if wanted.options.max_tokens < 1:
            raise ValueError("max_tokens is at least 1")
        if not self._new:
            self._gathering_since = time.monotonic()
        self._new.append(self._row(request.request_id, wanted))

    def busy(self) -> bool:
        return bool(self._new or self._rows)

    def step(self) -> list[Output | Failed]:
        generator = self._admit()
        if not self._rows:
            return []
        _, responses = generator.next()
        return self._advance(responses)

    def cancel(self, request_id: int) -> None:
        self._new = [row for row in self._new if row.request_id != request_id]
        self._drop([uid for uid, row in self._rows.items() if row.request_id == request_id])

    def stats(self) -> dict[str, float]:
        held = self._generator.prompt_cache_nbytes if self._generator and self._rows else 0
        return {
            "running": len(self._rows),
            "waiting": len(self._new),
            "cache_bytes": held,
            "prompt_tokens": self._counters.prompt_tokens,
            "completion_tokens": self._counters.completion_tokens,
            "answers": self._counters.answers,
        }

    def close(self) -> None:
        self._new.clear()
        self._drop(list(self._rows))
        if self._generator is not None:
            self._generator.close()

    def _row(self, request_id: int, wanted: ChatRequest) -> _Row:
        options = wanted.options
        constraint = None
        if options.json_schema is not None:
            check_schema(options.json_schema)
            constraint = self._grammars.compile(options.json_schema)
        prompt = self._prompts.build(wanted.messages)
        sampler = make_row_sampler(options.temperature, options.top_p, options.seed)
        return _Row(
            request_id=request_id,
            prompt=prompt,
            max_tokens=min(options.max_tokens, self._context_tokens - len(prompt)),
            sampler=sampler,
            text=IncrementalText(self._decode),
            stops=StopFilter(options.stop),
            constraint=constraint,
            loops=LoopGuard() if constraint is not None and sampler is None else None,
        )

    def _decode(self, tokens: Any) -> str:
        text: str = self._language.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _admit(self) -> BatchGenerator:
        """Hand new rows to the generator. It is made here because it belongs to the thread that steps it."""
        if self._generator is None:
            self._generator = BatchGenerator(
                self._language.model,
                stop_tokens=[[token] for token in sorted(self._ends)],
                completion_batch_size=self._batch_size,
                prefill_batch_size=min(_PREFILL_ROWS, self._batch_size),
                prefill_step_size=self._prefill_step,
            )
        if self._new and self._gathered():
            uids = self._generator.insert(
                [row.prompt for row in self._new],
                [row.max_tokens for row in self._new],
                samplers=[row.sampler for row in self._new],
                logits_processors=[[row.constraint] if row.constraint else [] for row in self._new],
            )
            self._rows.update(zip(uids, self._new, strict=True))
            self._counters.prompt_tokens += sum(len(row.prompt) for row in self._new)
            self._new = []
        return self._generator

    def _gathered(self) -> bool:
        waited_s = time.monotonic() - self._gathering_since
        return not self._rows or len(self._new) >= _GATHER_ROWS or waited_s >= _GATHER_S

    def _advance(self, responses: list[_Response]) -> list[Output | Failed]:
        answers: list[Output | Failed] = []
        ended_early: list[int] = []
        broken = self._broken(responses)
        for response in responses:
            row = self._rows[response.uid]
            answer = self._take(row, response, broken=response.uid in broken)
            if answer is None:
                continue
            answers.append(answer)
            if isinstance(answer, Failed) or answer.final:
                self._counters.answers += 1
                if response.finish_reason is None:
                    ended_early.append(response.uid)
                else:
                    del self._rows[response.uid]
        self._drop(ended_early)
        return answers

    def _broken(self, responses: list[_Response]) -> set[int]:
        """Rows whose probabilities are NaN: those of the step before, and of this one if a row ends with it.

        Looking at this step's numbers at once would wait for the step after it, which mlx already computes.
        """
        doubtful, self._doubtful = self._doubtful, _chosen(responses)
        ending = any(response.finish_reason for response in responses)
        return {uid for step in (doubtful, self._doubtful if ending else None) if step for uid in step.broken()}

    def _take(self, row: _Row, response: _Response, *, broken: bool) -> Output | Failed | None:
        """What one row's new token means for its reader; None while nothing can be shown yet."""
        if broken or (row.constraint is not None and row.constraint.broken):
            return Failed(row.request_id, INTERNAL, "the model's probabilities or the grammar broke")
        row.completion_tokens += 1
        self._counters.completion_tokens += 1
        if response.finish_reason == "stop":
            return row.final(row.stops.push(row.text.flush()) + row.stops.flush(), "stop")
        looping = row.loops is not None and row.loops.push(response.token)
        due = row.due(time.monotonic(), self._pace_s())
        if not (due or looping or row.stops.watching or response.finish_reason):
            row.text.hold(response.token)
            return None
        shown = row.stops.push(row.text.push(response.token))
        if row.stops.stopped:
            return row.final(shown, "stop")
        if response.finish_reason == "length" or looping:
            shown += row.stops.push(row.text.flush())
            reason: Literal["stop", "length"] = "stop" if row.stops.stopped else "length"
            return row.final(shown + row.stops.flush(), reason)
        row.unshown += shown
        return row.show(time.monotonic()) if due and row.unshown else None

    def _pace_s(self) -> float:
        return max(self._piece_every_s, len(self._rows) / _PIECES_PER_S) if self._piece_every_s else 0.0

    def _drop(self, uids: list[int]) -> None:
        if uids and self._generator is not None:
            self._generator.remove(uids)
        for uid in uids:
            del self._rows[uid]


@dataclass(frozen=True, slots=True)
class _Step:
    """The log-probabilities of one step's chosen tokens, on their way."""

    uids: list[int]
    values: mx.array

    def broken(self) -> list[int]:
        values = np.array(self.values)
        return [uid for uid, value in zip(self.uids, values, strict=True) if math.isnan(value)]


def _chosen(responses: list[_Response]) -> _Step | None:
    if not responses:
        return None
    values = mx.stack([response.logprobs[response.token] for response in responses]).astype(mx.float32)
    mx.async_eval(values)  # type: ignore[no-untyped-call]
    return _Step([response.uid for response in responses], values)
