"""Who of the voters does not answer is told by name: somebody has to go there."""

from __future__ import annotations

from appliance.cluster.etcd_client import EtcdClient, Member
from appliance.cluster.voters import Voters


class Ward(EtcdClient):
    """Three endpoints, the last of which is dark."""

    def __init__(self) -> None:
        super().__init__([f"https://10.0.0.{host}:2379" for host in (11, 12, 13)])

    async def members(self, _limit_s: float = 1.0) -> tuple[Member, ...]:
        first, second, third = self.endpoints
        return (Member(first, "1", "2"), Member(second, "2", "2"), Member(third, None, None))


async def test_the_silent_one_is_named() -> None:
    voters = Voters(Ward(), 3)
    assert (voters.healthy, voters.silent) == (0, ())
    await voters.look(leads=True)
    assert (voters.healthy, voters.silent) == (2, ("10.0.0.13:2379",))
