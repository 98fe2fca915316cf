"""A child process as the watch sees it, with its memory in the test's hand."""

from __future__ import annotations

from typing import Any


class Watched:
    """What the watch needs of a process."""

    def __init__(self) -> None:
        self.resident = 100
        self.stopped = False
        self.killed: list[str] = []
        self.sent: list[Any] = []

    def resident_bytes(self) -> int:
        return self.resident

    def kill(self, reason: str) -> None:
        self.killed.append(reason)

    def send(self, message: Any) -> None:
        self.sent.append(message)
