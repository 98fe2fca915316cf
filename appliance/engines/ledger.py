"""Who may hold how much memory: a model that does not fit is refused before it is loaded, not killed after."""

from __future__ import annotations

import psutil

from appliance.engines.errors import MEMORY

_DEFAULT_SHARE = 0.6
"""Of the machine, when the configuration names no budget (300 of 512 GB on the Macs of the mission)."""


class MemoryLedger:
    """The node's budget for models, in bytes. 0 or less means 60 % of the machine."""

    def __init__(self, budget_bytes: int = 0) -> None:
        self.budget_bytes = budget_bytes if budget_bytes > 0 else int(psutil.virtual_memory().total * _DEFAULT_SHARE)
        self._held: dict[str, int] = {}

    @property
    def free_bytes(self) -> int:
        """What nobody has reserved."""
        return self.budget_bytes - sum(self._held.values())

    def held(self) -> dict[str, int]:
        """Reservations by engine name."""
        return dict(self._held)

    def reserve(self, engine: str, needed_bytes: int) -> None:
        """Set ``engine``'s reservation to ``needed_bytes`` (replacing an earlier one).

        Raises:
            ProntuarioError: ``engine.memory`` (503) with the figures; the earlier reservation stays.
        """
        free = self.free_bytes + self._held.get(engine, 0)
        if needed_bytes > free:
            raise MEMORY(engine=engine, needed_bytes=needed_bytes, free_bytes=free, budget_bytes=self.budget_bytes)
        self._held[engine] = needed_bytes

    def release(self, engine: str) -> None:
        """Give back all that ``engine`` holds; nothing happens if it holds nothing."""
        self._held.pop(engine, None)

    def beside(self, mark: str) -> MemoryLedger:
        """The same budget for an engine that has a namesake: a model and its successor are both in memory for a while."""
        return _Beside(self, mark)


class _Beside(MemoryLedger):
    """Books under a name of its own."""

    def __init__(self, ledger: MemoryLedger, mark: str) -> None:
        super().__init__(ledger.budget_bytes)
        self._held = ledger._held  # noqa: SLF001  one book, two ways to write into it
        self._mark = mark

    def reserve(self, engine: str, needed_bytes: int) -> None:
        super().reserve(f"{engine} {self._mark}", needed_bytes)

    def release(self, engine: str) -> None:
        super().release(f"{engine} {self._mark}")
