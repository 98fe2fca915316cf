"""Who of the voters answers, and where etcd's own leader sits: not on the active Mac.

When the active Mac dies together with etcd's leader, a new one must be elected before any lease can end: 2.5 s instead of
1.0 s (measured with heartbeat 50 ms and election 500 ms).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from appliance.cluster.etcd_client import EtcdClient, Member
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

EVERY_S: Final = 2.0
_log = get_logger("voters")


class Voters:
    """``client.endpoints`` in this order: our own member, the peer's, the third voter's."""

    def __init__(self, client: EtcdClient, total: int) -> None:
        self._client = client
        self.total = total
        self.healthy = 0
        self.silent: tuple[str, ...] = ()
        """``host:port`` of those that do not answer."""

    async def run(self, leads: Callable[[], bool]) -> None:
        """Look for ever; ``leads``: whether this node leads the pair."""
        while True:
            await self.look(leads=leads())
            await asyncio.sleep(EVERY_S)

    async def look(self, *, leads: bool) -> None:
        """Count who answers; if we lead, have etcd led from elsewhere."""
        members = await self._client.members()
        self.healthy = sum(member.leader is not None for member in members)
        self.silent = tuple(member.endpoint.partition("://")[2] for member in members if member.leader is None)
        if leads and (target := better_leader(members)) is not None:
            try:
                await self._client.move_leader(members[0].endpoint, target)
                _log.info("moved etcd's leader away from the active node")
            except ProntuarioError as error:
                _log.debug("could not move etcd's leader", code=error.kind.code)


def better_leader(members: tuple[Member, ...]) -> str | None:
    """The member that should lead etcd instead of our own (the first): the last that answers. None: fine as it is."""
    own, others = members[0], members[1:]
    if own.id is None or own.leader != own.id:
        return None
    able = [member.id for member in others if member.id is not None and member.leader == own.id]
    return able[-1] if able else None
