"""This node's place in the pair, as the API tells it with every answer."""

from __future__ import annotations

from collections.abc import Callable

from appliance.cluster.model import ClusterStatus, LeaseView, Role
from appliance.daemon.record import READ_ONLY, RecordSlot
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import Clock


class PairStanding:
    """Implements ``appliance.api.standing.Standing``. ``lease`` is asked at every request: it is a look at memory."""

    def __init__(
        self,
        slot: RecordSlot,
        clock: Clock,
        lease: Callable[[], LeaseView | None],
        role: Callable[[], Role],
        epoch: Callable[[], int],
    ) -> None:
        """``clock`` is the lease clock."""
        self._slot = slot
        self._clock = clock
        self._lease = lease
        self._role = role
        self._epoch = epoch

    @property
    def mode(self) -> str:
        """The barrier's, unless the lease has run out: then nothing is acknowledged."""
        return self._slot.mode if self._leads() else READ_ONLY

    @property
    def epoch(self) -> int:
        """The epoch in which this node leads, or which it follows."""
        return self._epoch()

    @property
    def role(self) -> str:
        """``init``, ``standby``, ``candidate``, ``primary``, ``draining`` or ``fenced``."""
        return self._role().value

    @property
    def writable(self) -> bool:
        """Whether the record is open here and the lease holds at this moment."""
        return self._slot.is_open and self._leads() and self._slot.mode != READ_ONLY

    def refusal(self) -> ProntuarioError | None:
        """``cluster.standby`` while no record is open here."""
        return self._slot.refusal()

    def _leads(self) -> bool:
        lease = self._lease()
        return lease is not None and lease.valid(self._clock.monotonic())


def where_the_record_is(status: ClusterStatus, *, client_address: str, peer_api: str) -> str | None:
    """The address for ``cluster.standby``: the virtual IP's, or that of the node that leads; None while nobody does."""
    if status.leader is None:
        return None
    return client_address or (peer_api if status.leader == status.peer else None)
