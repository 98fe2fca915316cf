"""How an address goes up and down: three ways with one contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from appliance.daemon.vipd.allow_list import Entry


class Backend(Protocol):
    """Changes addresses. ``down`` is also called by the guard, a process of its own, at any moment and without a lock."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Whatever has to run beside vipd. Raises ProntuarioError."""
        ...

    def up(self, entries: Sequence[Entry]) -> None:
        """Put the addresses up, or prolong them; returns once the machine has them. Idempotent.

        Raises:
            ProntuarioError: ``cluster.vip_tool_failed``.
        """
        ...

    def down(self, entries: Sequence[Entry]) -> None:
        """Take the addresses down; an absent one is fine. Tries every one before it reports.

        Raises:
            ProntuarioError: ``cluster.vip_tool_failed``.
        """
        ...

    @property
    def prolong_every_s(self) -> float | None:
        """How often a held address has to be put up again; None: never."""
        ...

    def healthy(self) -> bool:
        """Whether what runs beside vipd still does."""
        ...

    def stop(self) -> None:
        """End what runs beside vipd."""
        ...
