"""One answer in the making: from tokens to the pieces that its reader gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from appliance.plugin_api.capabilities import TokenLogprob
from appliance.plugin_api.messages import Output
from plugins.medgemma_chat.engine_grammar import JsonConstraint
from plugins.medgemma_chat.messages import ChatPiece
from plugins.medgemma_chat.text import IncrementalText, LoopGuard, StopFilter

_encoder: Final = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Row:
    """A conversation inside the engine. ``tenant`` is its cache namespace, ``max_tokens`` the longest answer."""

    request_id: int
    tenant: str
    prompt: list[int]
    max_tokens: int
    sampler: Any
    text: IncrementalText
    stops: StopFilter
    shared_tokens: int = 0
    """How many tokens at the beginning belong to the product's own instructions."""
    constraint: JsonConstraint | None = None
    loops: LoopGuard | None = None
    top_logprobs: int | None = None
    completion_tokens: int = 0
    unshown: str = ""
    unshown_logprobs: list[TokenLogprob] = field(default_factory=list)
    shown_at: float = 0.0

    @property
    def user(self) -> str:
        """Whose turn it takes: the person of the tenant (user and patient)."""
        return self.tenant.partition("|")[0]

    @property
    def longest(self) -> int:
        """Tokens of context that the row may come to hold."""
        return len(self.prompt) + self.max_tokens

    def due(self, now: float, every_s: float) -> bool:
        """Whether the reader may have a piece: the first at once, then at most one every ``every_s``."""
        return now - self.shown_at >= every_s

    def show(self, now: float) -> Output:
        """What was held back, as a piece."""
        piece = ChatPiece(self.unshown, logprobs=self._take_logprobs())
        self.unshown, self.shown_at = "", now
        return Output(self.request_id, _encoder.encode(piece), final=False)

    def final(self, text: str, reason: Literal["stop", "length"]) -> Output:
        """The last piece."""
        piece = ChatPiece(self.unshown + text, reason, len(self.prompt), self.completion_tokens, self._take_logprobs())
        return Output(self.request_id, _encoder.encode(piece), final=True)

    def _take_logprobs(self) -> list[TokenLogprob]:
        taken, self.unshown_logprobs = self.unshown_logprobs, []
        return taken

    def take(self, token: int, finish: str | None, *, now: float, every_s: float) -> Output | None:
        """What one more token means for the reader; None while nothing can be shown yet."""
        self.completion_tokens += 1
        if finish == "stop":
            return self.final(self.stops.push(self.text.flush()) + self.stops.flush(), "stop")
        looping = self.loops is not None and self.loops.push(token)
        due = self.due(now, every_s)
        if not (due or looping or self.stops.watching or finish):
            self.text.hold(token)
            return None
        shown = self.stops.push(self.text.push(token))
        if self.stops.stopped:
            return self.final(shown, "stop")
        if finish == "length" or looping:
            shown += self.stops.push(self.text.flush())
            reason: Literal["stop", "length"] = "stop" if self.stops.stopped else "length"
            return self.final(shown + self.stops.flush(), reason)
        self.unshown += shown
        return self.show(now) if due and self.unshown else None
