"""The pair, as far as a drill touches it: implements ``operations.drills.failover.Partner``."""

from __future__ import annotations

from appliance.config import Paths
from appliance.daemon.drills import SERVICE
from appliance.daemon.pair.drill import Drills, Rehearse
from appliance.daemon.pair.hands import Hands
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.record import READ_ONLY, RecordSlot
from appliance.operations.drills.failover import Handover
from appliance.operations.drills.simulation import Copy


class PairPartner:
    """Over the measured handover that a person may order too (``daemon.pair.drill``)."""

    def __init__(self, drills: Drills, hands: Hands, neighbour: Neighbour, slot: RecordSlot, paths: Paths) -> None:
        self._drills, self._hands, self._neighbour, self._slot, self._paths = drills, hands, neighbour, slot, paths

    def on_order(self, rehearse: Rehearse) -> None:
        """A person who orders a handover with a stop-watch gets the whole drill, and its report."""
        self._drills.rehearse = rehearse

    def leads(self) -> bool:
        """See ``Partner.leads``."""
        return self._slot.is_open and self._slot.mode != READ_ONLY and self._hands.primacy is not None

    async def hand_over(self, by: str) -> Handover:
        """See ``Partner.hand_over``."""
        went = await self._drills.carry_out(by)
        return Handover(went.outage_s, went.ok, went.before, went.after)

    async def ask(self, verb: str, body: bytes = b"") -> bytes:
        """See ``Partner.ask``."""
        return await self._neighbour.call(SERVICE, verb, body)

    def copy(self) -> Copy | None:
        """The copy that this node writes of its epoch; None: it does not lead."""
        primacy = self._hands.primacy
        if primacy is None:
            return None
        return Copy(spool=self._paths.replica(primacy.epoch), sync=primacy.litestream.barrier.sync)
