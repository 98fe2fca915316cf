"""The last lines that a child wrote, for the operator's eyes only: they may quote data, so they never reach a log."""

from __future__ import annotations

from collections import deque
from typing import Final

_LINES: Final = 40
_LINE_BYTES: Final = 500


class StderrTail:
    """Keeps the end of a byte stream as lines; bounded whatever comes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=_LINES)
        self._open = b""
        self.bytes_seen = 0

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self.bytes_seen += len(data)
        *whole, self._open = (self._open + data).split(b"\n")
        self._lines.extend(line[:_LINE_BYTES] for line in whole)
        self._open = self._open[:_LINE_BYTES]

    def lines(self) -> list[str]:
        """Oldest first."""
        rest = [self._open] if self._open else []
        return [line.decode("utf-8", "replace") for line in [*self._lines, *rest]]
