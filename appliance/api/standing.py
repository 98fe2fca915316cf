"""What this node is now, for every answer's headers and for those who ask it for what only the primary can give."""

from __future__ import annotations

from typing import Final, Protocol

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store

READ_ONLY: Final = "read-only"


class HasMode(Protocol):
    """What an acknowledgement means now (``appliance.store.database.Database``)."""

    @property
    def mode(self) -> str: ...


class ServedStore(Store, HasMode, Protocol):
    """The store as the application needs it."""


class Standing(Protocol):
    """This node's place. Asked at every request, so every part is a look at memory."""

    @property
    def mode(self) -> str:
        """``paired``, ``single``, ``degraded`` or ``read-only`` (DESIGN §3)."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch in which this node acts; 0 on a node alone."""
        ...

    @property
    def role(self) -> str:
        """The role in the cluster, in small letters; empty on a node alone."""
        ...

    @property
    def writable(self) -> bool:
        """Whether this node may acknowledge writes at this moment."""
        ...

    def refusal(self) -> ProntuarioError | None:
        """Why this node has no record to serve from (``cluster.standby``), or None when it has."""
        ...


class LoneNode:
    """A node that is no part of a cluster: it always serves."""

    epoch = 0
    role = ""

    def __init__(self, store: HasMode) -> None:
        self._store = store

    @property
    def mode(self) -> str:
        """The store's."""
        return self._store.mode

    @property
    def writable(self) -> bool:
        """Unless the store says ``read-only``."""
        return self._store.mode != READ_ONLY

    def refusal(self) -> ProntuarioError | None:
        """Never."""
        return None


def standing_headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    """``Prontuario-Mode`` and ``Prontuario-Epoch``, which every answer carries."""
    return [
        (b"prontuario-mode", standing.mode.encode("ascii")),
        (b"prontuario-epoch", b"%d" % standing.epoch),
    ]
