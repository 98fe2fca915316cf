"""The durability barrier of a pair: acknowledged means on both Macs, or on the only one that may ever lead (DESIGN §3).

The one rule (``hands.SyncAuthority``): the peer is named in the sync key, or not one write is acknowledged without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.cluster.errors import READ_ONLY
from appliance.cluster.hands import SyncAuthority
from appliance.cluster.model import LeaseView, Mode
from appliance.cluster.replication_errors import OTHER_BODY, PEER_AWAY
from appliance.cluster.shipper import HOPELESS, Shipper
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.litestream_barrier import LitestreamBarrier
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
_RETURN_POLL_S: Final = 0.25
_RETRY_AFTER_S: Final = 1.0
_LEAVING_S: Final = 4.0
"""How much longer a node that is about to hand over waits for a slow peer: it has no other way to acknowledge."""


async def _nothing_else() -> None:
    """There are no blobs to catch up."""


class PairedBarrier:
    """Implements ``store.barrier.DurabilityBarrier`` for a primary. ``start`` it after Litestream, ``close`` it before.

    It begins as the sync key says (right after a promotion: alone). ``changes`` counts what was committed so far
    (``Database.changes_committed``); ``catch_up`` returns once the peer has all else that it must have (blobs).
    ``clock`` is the lease clock.
    """

    checkpoints = True

    def __init__(
        self,
        litestream: LitestreamBarrier,
        shipper: Shipper,
        *,
        lease: Callable[[], LeaseView | None],
        sync: SyncAuthority,
        clock: Clock,
        ship_deadline_s: float = 1.0,
        catch_up: Callable[[], Awaitable[None]] = _nothing_else,
        changes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._litestream = litestream
        self._shipper = shipper
        self._lease = lease
        self._sync = sync
        self._clock = clock
        self._deadline_s = ship_deadline_s
        self._catch_up = catch_up
        self._changes = changes
        self._alone = False
        self._covered = 0
        """Of ``changes``: how many the peer is known to hold."""
        self._unsure = False
        """Whether the sync key may say something else than was asked last."""
        self._leaving = False
        self._highest = 0
        self._returning = asyncio.Lock()
        self._key = asyncio.Lock()
        """Held while the sync key is changed *and* its consequence drawn: they must not pass each other."""
        self._turning: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._set_alone(not sync.peer_in_sync)

    @property
    def mode(self) -> Mode:
        """``paired``, ``degraded`` or ``read-only``.

        It is ``paired`` only once the key names the peer: until then this node's death leaves nobody who may take over.
        """
        if not self._lease_valid():
            return "read-only"
        return "degraded" if self._alone or not self._sync.peer_in_sync else "paired"

    @property
    def waits_for_peer(self) -> bool:
        """Whether nothing may be acknowledged now that the peer does not hold: blobs obey it too."""
        return not self._alone

    @property
    def unreplicated_rows(self) -> int:
        """Changes committed that the peer is not known to hold; those under way count only while this node is alone."""
        return max(0, self._changes() - self._covered) if self._alone else 0

    def count_with(self, changes: Callable[[], int]) -> None:
        """Say who counts what was committed, once the database is open."""
        self._changes = changes

    def start(self) -> None:
        """Begin to look for the peer's return."""
        self._watch = asyncio.create_task(self._keep_returning(), name="pair watch")

    async def close(self) -> None:
        """Stop looking."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            self._watch = None

    def leave(self) -> None:
        """This node is about to hand over or to stop: from now on it never takes the peer out of the sync key.

        Otherwise a slow machine on its way out would leave a pair that nobody may lead.
        """
        self._leaving = True

    def stay(self) -> None:
        """It goes on leading after all."""
        self._leaving = False

    async def confirm(self) -> None:
        """Return once every commit made before this call is on both nodes, or on this one while the peer can't lead.

        Raises:
            ProntuarioError: ``cluster.read_only``: the lease is not valid now, or it is not known whether the peer can lead.
        """
        self._expect_lease()
        changes, alone = self._changes(), self._alone
        txid = await self._synced()
        self._shipper.offer(txid)
        if not alone or not self._alone:
            await self._held_or_alone(txid)
        if not self._alone:
            self._covered = max(self._covered, changes)
        self._expect_lease()  # the last thing before the answer

    async def peer_failed(self) -> None:
        """The peer did not keep something in time: return once this node may acknowledge alone.

        Raises:
            ProntuarioError: ``cluster.read_only``.
        """
        if self._turning is None or self._turning.done():
            self._turning = asyncio.create_task(self._turn_alone(), name="pair alone")
        await asyncio.shield(self._turning)

    async def name_peer(self) -> None:
        """Return once the sync key names the peer, which holds everything committed before this call.

        Raises:
            ProntuarioError: ``cluster.peer_away``, ``cluster.read_only``: it is not known to be so.
        """
        async with self._returning:
            if self._incomplete:
                await self._return()

    async def _synced(self) -> int:
        """The TXID that covers every commit made so far. It never goes back within an epoch, or the peer's answers lie.

        Raises:
            ProntuarioError: ``cluster.read_only``: Litestream began to count anew; only a new epoch mends that.
        """
        txid = await self._litestream.sync()
        if txid < self._highest:
            log.error("litestream began to count anew", epoch=self._shipper.epoch, sequence=txid)
            self._shipper.trouble = OTHER_BODY.code
            raise READ_ONLY(retry_after=_RETRY_AFTER_S)
        self._highest = txid
        return txid

    # -- towards degraded -----------------------------------------------------------------------------------------------
    async def _held_or_alone(self, txid: int) -> None:
        if not await self._peer_holds(txid):
            await self.peer_failed()
            await self._litestream.sync()  # the one before did not wait for the spool

    async def _peer_holds(self, txid: int) -> bool:
        for limit_s in (self._deadline_s, _LEAVING_S):
            try:
                await self._shipper.wait_held(txid, limit_s)
            except ProntuarioError as error:
                if error.kind is not PEER_AWAY:
                    raise
            else:
                return True
            if not self._leaving:
                break
        return False

    async def _turn_alone(self) -> None:
        if self._alone:
            return
        self._expect_lease()
        if self._leaving:
            raise READ_ONLY(retry_after=_RETRY_AFTER_S)
        log.warning("the peer does not answer in time; it is marked as out of sync first", epoch=self._shipper.epoch)
        async with self._key:
            self._unsure = True
            await self._sync.mark_out_of_sync()
            self._unsure = False
            self._set_alone(True)
        log.warning("this node acknowledges alone from now on", epoch=self._shipper.epoch)

    # -- and back -------------------------------------------------------------------------------------------------------
    async def _keep_returning(self) -> None:
        while True:
            await asyncio.sleep(_RETURN_POLL_S)
            hopeless = self._shipper.trouble in HOPELESS and not self._alone and not self._leaving
            if self._lease() is None or not (hopeless or (self._shipper.caught_up and self._incomplete)):
                continue
            try:
                await (self.peer_failed() if hopeless else self.name_peer())
            except ProntuarioError as error:
                log.warning("the pair is not complete yet", code=error.kind.code)

    @property
    def _incomplete(self) -> bool:
        return self._alone or self._unsure or not self._sync.peer_in_sync

    async def _return(self) -> None:
        """The peer is waited for again, it holds all that was committed before, then the key says so: in this order."""
        await self._catch_up()
        changes = self._changes()
        self._set_alone(False)
        try:
            txid = await self._litestream.sync()
            await self._shipper.wait_held(txid, self._deadline_s)
            await self._catch_up()  # what came meanwhile, from before the peer was waited for
        except ProntuarioError:
            await self.peer_failed()  # the key never named the peer, but only the key's keeper knows
            raise
        self._covered = max(self._covered, changes)
        async with self._key:
            if self._alone:  # some write gave the peer up meanwhile, and is acknowledged already
                raise PEER_AWAY(retry_after=_RETRY_AFTER_S)
            self._unsure = True
            await self._sync.mark_in_sync()
            self._unsure = False
        log.info("both nodes hold everything again", epoch=self._shipper.epoch)

    def _set_alone(self, alone: bool) -> None:
        self._alone = alone
        self._litestream.waits_for_spool = alone

    # -- the lease ------------------------------------------------------------------------------------------------------
    def _lease_valid(self) -> bool:
        lease = self._lease()
        return lease is not None and lease.epoch == self._shipper.epoch and lease.valid(self._clock.monotonic())

    def _expect_lease(self) -> None:
        if not self._lease_valid():
            raise READ_ONLY(retry_after=_RETRY_AFTER_S)
