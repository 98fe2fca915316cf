"""When this machine (or this whole process group) stood still: a pause of everybody is nobody's outage."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

TICK_S: Final = 0.1
STILL_S: Final = 1.0
"""A tick that comes later than this found the machine busy with something else, or this process stopped."""
Span = tuple[float, float]
"""(begin, end) in monotonic seconds."""


class Pulse:
    """Ticks on a thread of its own between ``start`` and ``stop``; ``spans`` are the times in which it could not."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, tick_s: float = TICK_S) -> None:
        self.spans: list[Span] = []
        self._monotonic, self._tick_s = monotonic, tick_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """No more ticks."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        last = self._monotonic()
        while not self._stop.wait(self._tick_s):
            now = self._monotonic()
            if now - last > STILL_S:
                self.spans.append((last, now))
            last = now


def moving_s(span: Span, still: Sequence[Span]) -> float:
    """How much of ``span`` the machine ran, in seconds; the spans in ``still`` do not overlap."""
    begin, end = span
    stood = sum(max(0.0, min(end, one_end) - max(begin, one_begin)) for one_begin, one_end in still)
    return end - begin - stood


def longest_silence(moments: Sequence[float], within: Span, still: Sequence[Span]) -> Span:
    """Of ``within``, the time without any of ``moments`` in which the machine ran longest."""
    ends = [within[0], *sorted(one for one in moments if within[0] < one < within[1]), within[1]]
    return max(itertools.pairwise(ends), key=lambda span: moving_s(span, still))
