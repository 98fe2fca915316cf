"""The durability barrier: what stands between COMMIT and the answer to the caller (DESIGN §3)."""

from __future__ import annotations

from typing import Protocol


class DurabilityBarrier(Protocol):
    """Confirms that everything committed before the call is kept. Pairing adds the peer behind the same interface."""

    @property
    def mode(self) -> str:
        """``single``, ``paired``, ``degraded`` or ``read-only``: shown everywhere, never silent."""
        ...

    @property
    def checkpoints(self) -> bool:
        """Whether the part behind the barrier moves the WAL into the database file (then SQLite must not)."""
        ...

    async def confirm(self) -> None:
        """Return once every commit made before this call is durable.

        May wait for ever (the writer sets the limit).

        Raises:
            ProntuarioError: this node may not acknowledge at all now.
        """
        ...


class LocalBarrier:
    """Acknowledged means fsynced by SQLite itself: ``synchronous=FULL`` did it at COMMIT. For unit tests and tools."""

    mode = "single"
    checkpoints = False

    async def confirm(self) -> None:
        """Nothing is left to wait for."""
