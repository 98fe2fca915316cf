"""From tokens to text that may be shown: whole characters only, nothing of a stop sequence, no endless loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

_UNFINISHED: Final = "\ufffd"
_MOST_UNFINISHED_TOKENS: Final = 8
"""A UTF-8 character has at most four bytes, so at most four tokens; what stays unreadable longer is not a character."""


class IncrementalText:
    """Decodes tokens as they come; a character split over tokens is held back until it is whole.

    ``decode`` maps tokens to text. Only the tokens since the last shown character are decoded again.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._context = 0
        self._shown = 0

    def hold(self, token: int) -> None:
        """Take a token whose text nobody needs yet: the next ``push`` or ``flush`` gives it too."""
        self._tokens.append(token)

    def push(self, token: int) -> str:
        """The text that this token, and those held before it, complete."""
        self._tokens.append(token)
        return self._new(patience=_MOST_UNFINISHED_TOKENS)

    def flush(self) -> str:
        """What is left at the end, unfinished characters dropped."""
        return self._new(patience=0).rstrip(_UNFINISHED)

    def _new(self, *, patience: int) -> str:
        before = self._decode(self._tokens[self._context : self._shown])
        now = self._decode(self._tokens[self._context :])
        if now.endswith(_UNFINISHED) and len(self._tokens) - self._shown < patience:
            return ""
        self._context, self._shown = self._shown, len(self._tokens)
        return now[len(before) :]


class StopFilter:
    """Holds back any text that may become a stop sequence, also one that spans tokens."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False
        self.watching = bool(self._stops)

    def push(self, text: str) -> str:
        """The part of ``text`` that is safe to show now."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = self._possible_start()
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def flush(self) -> str:
        """What was held back, when the answer ends without a stop sequence."""
        shown, self._held = self._held, ""
        return "" if self.stopped else shown

    def _possible_start(self) -> int:
        """Length of the longest end of the held text that begins some stop sequence."""
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:size]):
                    longest = size
                    break
        return longest


class LoopGuard:
    """Notices a greedy decoder that says the same few tokens for ever (inside a JSON string nothing else would end it)."""

    LONGEST_PERIOD: Final = 16
    REPEATS: Final = 8
    LEAST_TOKENS: Final = 48

    def __init__(self) -> None:
        self._tokens: list[int] = []

    def push(self, token: int) -> bool:
        """Whether the last tokens are one short sequence, repeated."""
        keep = self.LONGEST_PERIOD * self.REPEATS
        self._tokens.append(token)
        del self._tokens[:-keep]
        return any(self._repeats(period) for period in range(1, self.LONGEST_PERIOD + 1))

    def _repeats(self, period: int) -> bool:
        length = max(self.LEAST_TOKENS, period * self.REPEATS)
        if len(self._tokens) < length or self._tokens[-1] != self._tokens[-1 - period]:
            return False
        tail = self._tokens[-length:]
        return tail[period:] == tail[:-period]
