"""The deadline in memory that the server and its guard share, and the guard's pulse."""

from __future__ import annotations

import mmap

_DEADLINE, _PULSE = 0, 1


class SharedDeadline:
    """Two doubles in an anonymous shared mapping. Make it before the fork.

    Each is written and read as one aligned 8-byte copy, so nobody reads half of a number and no lock is needed: a lock's
    holder may be stopped, and then the guard would wait for it.
    """

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")

    @property
    def deadline_s(self) -> float:
        """Seconds of the lease clock; 0: nobody holds the address."""
        return float(self._cells[_DEADLINE])

    @deadline_s.setter
    def deadline_s(self, value: float) -> None:
        self._cells[_DEADLINE] = value

    @property
    def pulse(self) -> float:
        """Counts the guard's rounds."""
        return float(self._cells[_PULSE])

    def beat(self) -> None:
        """The guard made another round."""
        self._cells[_PULSE] += 1.0
