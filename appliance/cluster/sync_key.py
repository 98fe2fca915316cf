"""The sync key from the primary's side: claims an epoch, names the peer in it, takes the name out again."""

from __future__ import annotations

import asyncio

from appliance.cluster.errors import READ_ONLY
from appliance.cluster.etcd_keys import EtcdKeys, Sync
from appliance.cluster.lease import LeaseKeeper
from appliance.cluster.model import Position
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import Clock, instant


class EtcdSync:
    """``hands.SyncAuthority`` over etcd. Every write goes through, even one that changes nothing.

    That is on purpose: a request that got no answer may still be under way, and only a later successful write (a new
    revision of the key) makes sure that it can't be applied any more.
    """

    def __init__(self, keys: EtcdKeys, keeper: LeaseKeeper, node: str, peer: str, clock: Clock) -> None:
        self._keys = keys
        self._keeper = keeper
        self._node = node
        self._peer = peer
        self._clock = clock
        self._named: bool | None = None
        self._lock = asyncio.Lock()

    @property
    def peer_in_sync(self) -> bool:
        return self._named is not False

    async def claim(self, epoch: int, base: Position) -> None:
        """The key says: ``epoch`` began at ``base``, and only this node may lead after it.

        Raises:
            ProntuarioError: ``cluster.read_only``: it is not known to be so.
        """
        await self._write(epoch, (self._node,), base)

    async def mark_out_of_sync(self) -> None:
        await self._write(self._own_epoch(), (self._node,), None)

    async def mark_in_sync(self) -> None:
        await self._write(self._own_epoch(), (self._node, self._peer), None)

    def _own_epoch(self) -> int:
        view = self._keeper.view()
        if view is None:
            raise READ_ONLY(retry_after=1)
        return view.epoch

    async def _write(self, epoch: int, holders: tuple[str, ...], base: Position | None) -> None:
        """``base`` None: leave it, and refuse if the key is not of this epoch."""
        async with self._lock:
            self._named = None
            lease = self._keeper.lease
            try:
                seen = await self._keys.view()
                if seen.sync is None or not lease or (base is None and seen.sync.epoch != epoch):
                    raise READ_ONLY(retry_after=1)
                same = base is None and seen.sync.holders == holders
                since = seen.sync.since if same else instant(self._clock.now())
                wanted = Sync(epoch, holders, seen.sync.base if base is None else base, seen.sync.revision, since)
                written = await self._keys.write_sync(lease, wanted)
            except ProntuarioError as error:
                raise READ_ONLY(retry_after=1) from error
            if written is None:
                raise READ_ONLY(retry_after=1)
            self._named = self._peer in holders
            if self._named and seen.lost is not None and seen.lost.node == self._peer:
                await self._keys.forget("lost")
