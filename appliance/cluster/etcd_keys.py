"""What etcd holds for the pair, and the only transactions that change it.

=========  =====================================================================================================
leader     who leads, in which epoch; bound to the leader's lease, so it vanishes with it
epoch      the highest epoch ever begun; only grows, in the same transaction that takes the leader key
sync       who holds every acknowledged write of which epoch: only these may lead next; and where the epoch began
handover   a planned handover that somebody asked for
promote    an operator's order to promote a node, valid for one epoch only
lost       a node that an operator declared lost: it may not lead until it is in sync again
drill      when the last failover drill ended, and how
=========  =====================================================================================================
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from appliance.cluster.etcd_client import EtcdClient, KeyValue, Snapshot, delete, equals, put
from appliance.cluster.model import NOTHING, Drill, Position

PREFIX: Final = "/prontuario/pair/"
_Kept = TypeVar("_Kept", bound=msgspec.Struct)


class Leader(msgspec.Struct, frozen=True):
    """``lease`` and ``revision`` come from etcd's own fields: together they name one reign and no other."""

    node: str
    epoch: int
    since: str
    lease: int = 0


class Sync(msgspec.Struct, frozen=True):
    """``holders[0]`` is the primary of ``epoch``; each holder has every write acknowledged in it. ``base``: where it began.

    ``since``: when the holders became these (FHIR instant), for people; empty where a former version wrote the key.
    """

    epoch: int
    holders: tuple[str, ...]
    base: Position = NOTHING
    revision: int = 0
    since: str = ""


class Request(msgspec.Struct, frozen=True):
    """Somebody's order about ``node``: hand over to it, promote it, or count it as lost."""

    node: str
    by: str
    at: str
    epoch: int
    accept_loss: bool = False


class ClusterView(msgspec.Struct, frozen=True):
    """All keys as of one moment. ``epoch_revision`` and ``sync.revision`` are what a transaction compares with."""

    epoch: int = 0
    epoch_revision: int = 0
    leader: Leader | None = None
    sync: Sync | None = None
    handover: Request | None = None
    promote: Request | None = None
    lost: Request | None = None
    drill: Drill | None = None


def parse(snapshot: Snapshot) -> ClusterView:
    """The view in a snapshot of the prefix; an unreadable value is an error, never a missing key."""
    keys = snapshot.keys
    leader, sync, epoch = keys.get("leader"), keys.get("sync"), keys.get("epoch")
    return ClusterView(
        epoch=int(epoch.value) if epoch else 0,
        epoch_revision=epoch.mod_revision if epoch else 0,
        leader=msgspec.structs.replace(_value(leader, Leader), lease=leader.lease) if leader else None,
        sync=msgspec.structs.replace(_value(sync, Sync), revision=sync.mod_revision) if sync else None,
        handover=_value(keys["handover"], Request) if "handover" in keys else None,
        promote=_value(keys["promote"], Request) if "promote" in keys else None,
        lost=_value(keys["lost"], Request) if "lost" in keys else None,
        drill=_value(keys["drill"], Drill) if "drill" in keys else None,
    )


class EtcdKeys:
    """The pair's keys behind one client."""

    def __init__(self, client: EtcdClient, prefix: str = PREFIX) -> None:
        self.client = client
        self._prefix = prefix

    async def view(self, deadline_s: float = 1.0) -> ClusterView:
        """Everything, as of now."""
        return parse(await self.client.read(self._prefix, deadline_s))

    async def initialise(self, node: str) -> bool:
        """Name the first holder: its present record begins the pair's history. False: somebody was first."""
        first = Sync(0, (node,))
        done, _ = await self.client.txn(
            [equals(self._key("sync"), create_revision=0)], [put(self._key("sync"), _bytes(first))]
        )
        if done:
            return True
        there = (await self.view()).sync
        return there is not None and msgspec.structs.replace(there, revision=0) == first

    async def take_lead(self, seen: ClusterView, node: str, lease: int, since: str) -> int | None:
        """Take the free leader key and begin the next epoch, if nothing changed since ``seen``; the epoch, or None."""
        assert seen.sync is not None  # noqa: S101  decide never leads without it
        epoch = seen.epoch + 1
        compare = [
            equals(self._key("leader"), create_revision=0),
            equals(self._key("epoch"), mod_revision=seen.epoch_revision),
            equals(self._key("sync"), mod_revision=seen.sync.revision),
        ]
        writes = [
            put(self._key("leader"), _bytes(Leader(node, epoch, since)), lease),
            put(self._key("epoch"), str(epoch).encode()),
            delete(self._key("handover")),
        ]
        done, _ = await self.client.txn(compare, writes)
        if done:
            return epoch
        # A member may have applied it without answering: then the key carries our lease.
        leader = (await self.view()).leader
        return leader.epoch if leader is not None and leader.lease == lease else None

    async def write_sync(self, lease: int, sync: Sync) -> Sync | None:
        """Replace the sync key (as of ``sync.revision``) while our lease holds the leader key; None: it is not so."""
        stripped = msgspec.structs.replace(sync, revision=0)
        compare = [
            equals(self._key("leader"), lease=lease),
            equals(self._key("sync"), mod_revision=sync.revision),
        ]
        done, revision = await self.client.txn(compare, [put(self._key("sync"), _bytes(stripped))])
        if done:
            return msgspec.structs.replace(sync, revision=revision)
        view = await self.view()
        if view.sync is None or view.leader is None or view.leader.lease != lease:
            return None
        same = msgspec.structs.replace(view.sync, revision=0) == stripped
        return view.sync if same else None

    async def ask(self, kind: str, request: Request) -> None:
        """Write ``handover``, ``promote`` or ``lost``; the latest order counts."""
        await self.client.txn([], [put(self._key(kind), _bytes(request))])

    async def forget(self, kind: str) -> None:
        """Remove a request that was carried out or refused."""
        await self.client.txn([], [delete(self._key(kind))])

    async def record_drill(self, drill: Drill) -> None:
        """Keep how the last drill went."""
        await self.client.txn([], [put(self._key("drill"), _bytes(drill))])

    def _key(self, name: str) -> str:
        return self._prefix + name


def _bytes(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value)


def _value(entry: KeyValue, kind: type[_Kept]) -> _Kept:
    return msgspec.json.decode(entry.value, type=kind)
