"""The child's half: mlx-lm's BatchGenerator, so that every running answer gains one token a step."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import msgspec
import numpy as np
from mlx_lm.generate import BatchGenerator

from appliance.plugin_api.capabilities import TokenLogprob
from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.medgemma_chat.budget import kv_budget_bytes
from plugins.medgemma_chat.engine_buckets import EDGES, Buckets, Token
from plugins.medgemma_chat.engine_grammar import GrammarFactory
from plugins.medgemma_chat.engine_limits import KvBudget, PrefillPace, with_reserve
from plugins.medgemma_chat.engine_model import load_language_model
from plugins.medgemma_chat.engine_prefix import PrefixCache
from plugins.medgemma_chat.engine_prompt import PromptBuilder
from plugins.medgemma_chat.engine_rows import Row
from plugins.medgemma_chat.engine_sampler import make_row_sampler
from plugins.medgemma_chat.messages import CHAT, INTERNAL, ChatRequest
from plugins.medgemma_chat.schema import check_schema
from plugins.medgemma_chat.text import IncrementalText, LoopGuard, StopFilter

_PREFILL_ROWS: Final = 8
_GATHER_S: Final = 0.04
_GATHER_ROWS: Final = 8
"""Newcomers join a running batch in groups: merging their caches one by one more than halves everybody's speed."""
_PIECES_PER_S: Final = 250
"""Of all answers together: with many of them a message for each token would cost more than the token."""
_MOST_TOP_LOGPROBS: Final = 20
_MIB: Final = 1 << 20
_decoder = msgspec.msgpack.Decoder(ChatRequest)


@dataclass(slots=True)
class _Counters:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 0
    cancelled: int = 0


class ChatEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, demonstration, batch_size, context_tokens, prefill_step_tokens, precision, piece_every_s, kv_mib,
    prefix_mib, prefix_age_s, stall_s, bucket_edges.
    """

    def __init__(self) -> None:
        self._new: deque[Row] = deque()
        self._urgent: set[int] = set()
        """Waiting rows that go before all others."""
        self._running: dict[int, str] = {}
        """Whose each running row is, by request."""
        self._buckets: Buckets | None = None
        self._gathering_since = 0.0
        self._doubtful: list[_Step] = []
        self._counters = _Counters()

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        self._batch_size = int(config["batch_size"])
        self._prefill_step = int(config["prefill_step_tokens"])
        self._edges = tuple(int(edge) for edge in config.get("bucket_edges", EDGES))
        self._stall_s = float(config.get("stall_s", 0.1))
        self._piece_every_s = float(config.get("piece_every_s", 0.0))
        self._language = load_language_model(folder, config["precision"])
        self._prefixes = PrefixCache(int(config.get("prefix_mib", 0)) * _MIB, float(config.get("prefix_age_s", 900.0)))
        positions = self._language.max_positions
        wanted = min(int(config["context_tokens"]), positions or int(config["context_tokens"]))
        held = kv_budget_bytes(self._language.kv, wanted, self._batch_size, int(config.get("kv_mib", 0)))
        self._budget = KvBudget(self._language.kv, held)
        self._context_tokens = self._budget.longest_context(wanted)
        self._ends = frozenset(int(token) for token in self._language.tokenizer.eos_token_ids)
        self._prompts = PromptBuilder(self._language.tokenizer, self._context_tokens)
        self._grammars = GrammarFactory(self._language.tokenizer, self._language.vocabulary, self._ends)
        demonstration = bool(config["demonstration"])
        caches = held + self._prefixes.max_bytes
        return Loaded(
            model_id="demonstration-notes" if demonstration else str(config.get("name") or folder.resolve().name),
            model_sha256=weight_sha256(folder),
            footprint_bytes=self._language.footprint_bytes(with_reserve(self._batch_size), caches),
            demonstration=demonstration,
            info={
                "context_tokens": self._context_tokens,
                "kv_budget_bytes": held,
                "device": str(mx.default_device().type),
            },
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
        if not 0 <= (wanted.options.top_logprobs or 0) <= _MOST_TOP_LOGPROBS:
            raise ValueError(f"top_logprobs is between 0 and {_MOST_TOP_LOGPROBS}")
        if not self._new:
            self._gathering_since = time.monotonic()
        row = self._row(request, wanted)
        if request.lane == Lane.URGENT:
            self._urgent.add(row.request_id)
            self._new.appendleft(row)
        else:
            self._new.append(row)

    def busy(self) -> bool:
        return bool(self._new or self._running)

    def step(self) -> list[Output | Failed]:
        buckets = self._made()
        self._admit(buckets)
        answers: list[Output | Failed] = []
        broken: set[int] | None = None
        doubtful, self._doubtful = self._doubtful, []
        for tokens in buckets.step():
            if broken is None:  # not before: looking waits for the numbers, and the next step would be asked for late
                broken = {request for step in doubtful for request in step.broken()}
            answers += self._advance(buckets, tokens, broken)
        if broken is None:
            self._doubtful = doubtful
        return answers

    def cancel(self, request_id: int) -> None:
        self._urgent.discard(request_id)
        before = len(self._new)
        self._new = deque(row for row in self._new if row.request_id != request_id)
        if request_id in self._running and self._buckets is not None:
            del self._running[request_id]
            self._buckets.remove({request_id})
            self._counters.cancelled += 1
        self._counters.cancelled += before - len(self._new)

    def stats(self) -> dict[str, float]:
        buckets = self._buckets
        return {
            "running": len(self._running),
            "waiting": len(self._new),
            "cache_bytes": buckets.nbytes if buckets else 0,
            "kv_budget_bytes": self._budget.max_bytes,
            "prefix_bytes": self._prefixes.nbytes,
            "prefix_hits": self._prefixes.hits,
            "prefix_hit_tokens": self._prefixes.hit_tokens,
            "prompt_tokens": self._counters.prompt_tokens,
            "completion_tokens": self._counters.completion_tokens,
            "prefill_seconds": buckets.prefill_s if buckets else 0.0,
            "decode_seconds": buckets.decode_s if buckets else 0.0,
            "answers": self._counters.answers,
            "cancelled": self._counters.cancelled,
        }

    def close(self) -> None:
        self._new.clear()
        self._urgent.clear()
        self._running.clear()
        self._prefixes.clear()
        if self._buckets is not None:
            self._buckets.close()

    def _row(self, request: Submit, wanted: ChatRequest) -> Row:
        options = wanted.options
        constraint = None
        if options.json_schema is not None:
            check_schema(options.json_schema)
            constraint = self._grammars.compile(options.json_schema)
        prompt = self._prompts.build(wanted.messages)
        sampler = make_row_sampler(options.temperature, options.top_p, options.seed)
        return Row(
            request_id=request.request_id,
            tenant=request.tenant,
            prompt=prompt,
            max_tokens=min(options.max_tokens, self._context_tokens - len(prompt)),
            sampler=sampler,
            text=IncrementalText(self._decode),
            stops=StopFilter(options.stop),
            shared_tokens=self._prompts.shared(wanted.messages) if options.public_system else 0,
            constraint=constraint,
            loops=LoopGuard() if constraint is not None and sampler is None else None,
            top_logprobs=options.top_logprobs,
        )

    def _decode(self, tokens: Any) -> str:
        text: str = self._language.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _made(self) -> Buckets:
        """The batches. They are made here because they belong to the thread that steps them."""
        if self._buckets is None:
            self._buckets = Buckets(
                self._generator,
                budget=self._budget,
                pace=PrefillPace(self._stall_s, self._prefill_step),
                prefixes=self._prefixes,
                max_rows=self._batch_size,
                max_reading=min(_PREFILL_ROWS, self._batch_size),
                edges=self._edges,
            )
        return self._buckets

    def _generator(self) -> BatchGenerator:
        return BatchGenerator(
            self._language.model,
            stop_tokens=[[token] for token in sorted(self._ends)],
            completion_batch_size=with_reserve(self._batch_size),
            prefill_batch_size=with_reserve(min(_PREFILL_ROWS, self._batch_size)),
            prefill_step_size=self._prefill_step,
        )

    def _admit(self, buckets: Buckets) -> None:
        """Let waiting rows join while there is room for them."""
        if not self._new or not self._gathered(buckets):
            return
        while (chosen := self._next(buckets)) is not None:
            row, first = chosen
            self._new.remove(row)
            self._urgent.discard(row.request_id)
            buckets.insert(row, first=first)
            self._running[row.request_id] = row.user
            self._counters.prompt_tokens += len(row.prompt)

    def _next(self, buckets: Buckets) -> tuple[Row, bool] | None:
        """The row that joins next, and whether it may take what is kept for a person's first.

        Urgent rows first; then of whoever has fewest rows running, the one that came first: a hundred requests are one person's.

        None when that one has to wait for room: a smaller one of somebody with more rows does not slip past it. Only behind
        prompts of its own length that are still being read does it let others go first.
        """
        held = Counter(self._running.values())
        for row in sorted(self._new, key=lambda row: (row.request_id not in self._urgent, held[row.user])):
            first = not held[row.user] or row.request_id in self._urgent
            if buckets.may_read(row, first=first):
                return (row, first) if buckets.room_for(row, first=first) else None
        return None

    def _gathered(self, buckets: Buckets) -> bool:
        waited_s = time.monotonic() - self._gathering_since
        return not buckets.decoding or len(self._new) >= _GATHER_ROWS or waited_s >= _GATHER_S

    def _advance(self, buckets: Buckets, tokens: list[Token], broken: set[int]) -> list[Output | Failed]:
        """What one bucket's new tokens mean for their readers.

        NaN shows one step late: looking at this step's numbers at once would wait for the step after it, which mlx already
        computes. Only when a row ends with this step is it looked at now.
        """
        step = _chosen(tokens)
        if step is not None and any(token.finish for token in tokens):
            broken = broken | step.broken()
        elif step is not None:
            self._doubtful.append(step)
        answers: list[Output | Failed] = []
        ended_early: set[int] = set()
        now, every_s = time.monotonic(), self._pace_s()
        for token in tokens:
            answer = self._take(token, broken, now, every_s)
            if answer is None:
                continue
            answers.append(answer)
            if isinstance(answer, Failed) or answer.final:
                self._counters.answers += 1
                self._running.pop(token.row.request_id, None)
                if token.finish is None:
                    ended_early.add(token.row.request_id)
        if ended_early:
            buckets.remove(ended_early)
        return answers

    def _take(self, token: Token, broken: set[int], now: float, every_s: float) -> Output | Failed | None:
        row = token.row
        if row.request_id in broken or (row.constraint is not None and row.constraint.broken):
            return Failed(row.request_id, INTERNAL, "the model's probabilities or the grammar broke")
        self._counters.completion_tokens += 1
        if row.top_logprobs is not None and token.finish != "stop":
            row.unshown_logprobs.append(self._logprob(token, row.top_logprobs))
        return row.take(token.token, token.finish, now=now, every_s=every_s)

    def _logprob(self, token: Token, top: int) -> TokenLogprob:
        values = np.array(token.logprobs.astype(mx.float32))
        best = np.argsort(values)[::-1][:top]
        listed = tuple((self._decode([int(one)]), float(values[one])) for one in best if math.isfinite(values[one]))
        return TokenLogprob(self._decode([token.token]), float(values[token.token]), listed)

    def _pace_s(self) -> float:
        return max(self._piece_every_s, len(self._running) / _PIECES_PER_S) if self._piece_every_s else 0.0


@dataclass(frozen=True, slots=True)
class _Step:
    """The log-probabilities of one step's chosen tokens, on their way."""

    requests: list[int]
    values: mx.array

    def broken(self) -> set[int]:
        values = np.array(self.values)
        return {request for request, value in zip(self.requests, values, strict=True) if math.isnan(value)}


def _chosen(tokens: list[Token]) -> _Step | None:
    if not tokens:
        return None
    values = mx.stack([token.logprobs[token.token] for token in tokens]).astype(mx.float32)
    mx.async_eval(values)  # type: ignore[no-untyped-call]
    return _Step([token.row.request_id for token in tokens], values)
