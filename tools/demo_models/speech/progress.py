"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time
from typing import Final

_WIDTH: Final = 30


class Bar:
    """``show(done, note)`` redraws the bar on a terminal, else prints a line each tenth."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, max(total, 1)
        self._began = time.monotonic()
        self._tenth = -1
        self._first: int | None = None

    def show(self, done: int, note: str = "") -> None:
        """``done`` of the total, with a short note behind it."""
        if self._first is None:
            self._first = done
        share = min(1.0, done / self._total)
        elapsed = time.monotonic() - self._began
        made = done - self._first
        left = f"{elapsed / made * (self._total - done):.0f} s left" if made > 0 else ""
        line = f"{self._title} [{'#' * int(share * _WIDTH):{_WIDTH}}] {share:4.0%} {left} {note}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="\n" if done >= self._total else "", file=sys.stderr, flush=True)
        elif int(share * 10) != self._tenth:
            self._tenth = int(share * 10)
            print(line, file=sys.stderr, flush=True)
