"""What the role loop asks of the node, and what the durability barrier asks of the role loop.

The loop decides, the hands do. Every asynchronous hand may be slow and may be called again after a failure or a crash in
the middle: it must be idempotent and raise ``ProntuarioError`` when it could not do its work. None of them is awaited by
the task that renews the lease.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from appliance.cluster.model import NOTHING, Position


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the node knows of itself and its peer right now; gathered without waiting for anything."""

    fence: int = 0
    """The receiver's own epoch, durable: it refuses every lower one for ever."""
    held: Position = NOTHING
    """Highest contiguous position that this node can open for writing: its own record's, or what its receiver holds."""
    record_epoch: int | None = None
    """The epoch in which this node itself last opened the record, while that database has not been set aside."""
    peer_held: Position | None = None
    """What the peer's receiver answered last; None: not heard of in this epoch."""
    peer_reachable: bool = False
    healthy: bool = True
    """Whether this node could be primary: its disk has room and takes writes, its programs are there."""
    sick_because: str = ""
    """Why not, as a stable code."""
    vip: bool | None = None
    unreplicated_rows: int = 0
    lag_s: float | None = None
    mode: str = "read-only"
    """The barrier's mode while the record is open."""
    trouble: str = ""
    """Code of why the peer can never hold all of this epoch (``shipper.HOPELESS``): only a new one mends it."""
    peer_refused: str = ""
    """Code with which the peer last refused what was shipped, until it holds everything again."""
    peer_lacks_models: bool = False
    """Whether the peer's model packs are not known to be the same yet."""


class NodeHands(Protocol):
    """The node's abilities that the roles need. Implemented by the daemon; a fake drives the loop in tests."""

    def report(self) -> NodeReport:
        """Never blocks and never fails."""
        ...

    async def fence(self, epoch: int) -> None:
        """Raise the receiver's own epoch to ``epoch``, durably, and cut whoever still ships in a lower one."""
        ...

    async def drain_received(self, *, accept_loss: bool = False) -> Position:
        """Bring the warm copy up to everything that was received, check it, and make it the record's database.

        Returns the position it then has. On a node whose own database is still the record it only answers its position.
        ``accept_loss``: an operator ordered to go on with as much as can be restored.

        Raises:
            ProntuarioError: something that was received can't be restored: a file is missing or damaged.
        """
        ...

    async def open_record(self, epoch: int) -> None:
        """Open for writing: migrations, a new Litestream path for ``epoch``, barrier, jobs, API. Ends any follower.

        From here on the barrier acknowledges, if the lease lets it: first alone (the sync key names this node only).
        """
        ...

    async def close_record(self) -> None:
        """Take no more writes, answer those under way, close the database and end its Litestream."""
        ...

    async def quiesce(self) -> Position:
        """Take no more writes and return once the peer holds all that were committed: the last step before a handover.

        Raises:
            ProntuarioError: the peer did not hold everything in time; nothing is written until ``resume``.
        """
        ...

    async def resume(self) -> None:
        """Take writes again after a handover that did not happen."""
        ...

    async def follow(self, epoch: int, base: Position) -> None:
        """Receive and follow ``epoch``, which the primary began from ``base``; replaces whatever was followed before."""
        ...

    async def set_aside_and_compare(self, base: Position) -> None:
        """Keep this node's old database apart and put rows that the history up to ``base`` lacks into the review queue.

        It is the one that this node wrote, or, on a standby that received more than ``base``, what it received.

        Needs what ``follow`` receives only for the comparison; may return before the comparison has ended.
        """
        ...

    async def acquire_vip(self, epoch: int, deadline_s: float) -> None:
        """Have vipd bring the address up for ``epoch`` until ``deadline_s`` (lease clock)."""
        ...

    async def renew_vip(self, epoch: int, deadline_s: float) -> None:
        """Have vipd keep it until ``deadline_s``."""
        ...

    async def release_vip(self) -> None:
        """Have vipd drop it now."""
        ...


class SyncAuthority(Protocol):
    """The sync key as the barrier sees it: who, besides the primary, may ever take over.

    The one rule that keeps acknowledged writes: **the peer is named in the key, or not one write is acknowledged without
    it.** Hence the order. Towards ``degraded``: ``mark_out_of_sync`` has returned, then the first lone acknowledgement.
    Towards ``paired``: the barrier waits for the peer again, the peer holds all that was committed before, then
    ``mark_in_sync``. If either raises, the key's content is unknown: the barrier waits for the peer *and* asks again.
    """

    @property
    def peer_in_sync(self) -> bool:
        """What the key is known to say; True while unknown. False right after a promotion."""
        ...

    async def mark_out_of_sync(self) -> None:
        """Return once etcd has it, by compare-and-swap under our leader key: this node alone may lead.

        Raises:
            ProntuarioError: ``cluster.read_only``: it is not known to be so (etcd cut, or we lead no more).
        """
        ...

    async def mark_in_sync(self) -> None:
        """Return once etcd has it: the peer may take over too.

        Raises:
            ProntuarioError: ``cluster.read_only``: it is not known to be so.
        """
        ...
