"""Blobs on both nodes: the primary's half keeps nothing that the peer lacks, the standby's half checks every byte."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from appliance.cluster.assembly import Assembler
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import PART_BYTES, Done, DropBlob, HaveBlobs, Missing, PutBlob, Question
from appliance.cluster.peer_server import Handler
from appliance.cluster.replication_errors import BAD_PART, EPOCH_AHEAD, STALE_EPOCH
from appliance.plugin_api.errors import ProntuarioError
from appliance.store import durable
from appliance.store.blobs import addresses_in, place_of
from appliance.store.threads import opened
from appliance.telemetry.logs import get_logger

log = get_logger("blobs")
_ADDRESS: Final = re.compile(r"[0-9a-f]{64}")
_INCOMING: Final = "from-peer"
_ASKED_AT_ONCE: Final = 5000
_INVENTORY_S: Final = 60.0
_FSYNC_BYTES_PER_S: Final = 20e6
"""A slow disk: the last part's answer waits for the whole file."""


class PairState(Protocol):
    """What a blob must know of the barrier (``PairedBarrier``)."""

    @property
    def waits_for_peer(self) -> bool: ...

    async def peer_failed(self) -> None: ...


class BlobShipping:
    """Implements ``store.blobs.OtherCopy`` for a primary: give it to ``BlobStore.other``. Use a link beside the hot one."""

    def __init__(
        self, epoch: int, folder: Path, link: PeerLink, pair: PairState, *, ship_deadline_s: float = 1.0
    ) -> None:
        self._epoch = epoch
        self._folder = folder
        self._link = link
        self._pair = pair
        self._deadline_s = ship_deadline_s

    async def keep(self, address: str, path: Path) -> None:
        """Return once the peer holds the blob, or is marked as out of sync (``catch_up`` brings it the blob later).

        Raises:
            ProntuarioError: ``cluster.read_only``.
        """
        if not self._pair.waits_for_peer:
            return
        try:
            await self._send(address, path)
        except ProntuarioError as error:
            log.warning("a blob did not reach the peer", resource_id=address, code=error.kind.code)
            await self._pair.peer_failed()

    async def forget(self, address: str) -> None:
        """Tell the peer; a peer that is away keeps a file that no key opens any more."""
        try:
            await self._link.ask(DropBlob(self._epoch, address), Done, deadline_s=self._deadline_s)
        except ProntuarioError as error:
            log.info("the peer keeps an erased blob", resource_id=address, code=error.kind.code)

    async def catch_up(self) -> None:
        """Return once the peer has every blob that lay here when this was called. For ``PairedBarrier(catch_up=…)``.

        Raises:
            ProntuarioError: the peer is away, or could not keep one.
        """
        addresses = await asyncio.to_thread(lambda: sorted(addresses_in(self._folder)))
        for some in _batched(addresses):
            missing = await self._link.ask(HaveBlobs(tuple(some)), Missing, deadline_s=_INVENTORY_S)
            for address in missing.names:
                try:
                    await self._send(address, place_of(self._folder, address))
                except FileNotFoundError:
                    continue  # erased meanwhile

    async def _send(self, address: str, path: Path) -> None:
        with await opened(path.open, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            for offset in range(0, size, PART_BYTES):
                body = await asyncio.to_thread(file.read, PART_BYTES)
                last = offset + len(body) >= size
                limit_s = self._deadline_s + (size / _FSYNC_BYTES_PER_S if last else 0.0)
                await self._link.ask(PutBlob(self._epoch, address, offset, size, body), Done, deadline_s=limit_s)


class BlobReceiver:
    """Keeps what the primary sends below ``folder`` (``Paths.blobs``). ``fence`` tells the receiver's current epoch."""

    def __init__(self, folder: Path, fence: Callable[[], int]) -> None:
        self._folder = folder
        self._fence = fence
        self._assembler = Assembler(folder / _INCOMING)

    def handlers(self) -> dict[type[Question], Handler]:
        """What it answers on the peer link."""
        return {PutBlob: self._on_put, HaveBlobs: self._on_have, DropBlob: self._on_drop}

    async def _on_put(self, put: PutBlob) -> Done:
        self._admit(put.epoch, put.address)
        whole = await self._assembler.take(put.address, put.offset, put.size, put.body)
        if whole is not None:
            if whole.sha256 != put.address:
                whole.path.unlink()
                raise BAD_PART(name=put.address)
            await asyncio.to_thread(self._give_name, whole.path, put.address)
        return Done()

    async def _on_have(self, have: HaveBlobs) -> Missing:
        return Missing(await asyncio.to_thread(self._missing, have.addresses))

    async def _on_drop(self, drop: DropBlob) -> Done:
        self._admit(drop.epoch, drop.address)
        await asyncio.to_thread(place_of(self._folder, drop.address).unlink, missing_ok=True)
        return Done()

    def _admit(self, epoch: int, address: str) -> None:
        fence = self._fence()
        if not _ADDRESS.fullmatch(address):
            raise BAD_PART(name="?")
        if epoch != fence:
            raise (STALE_EPOCH if epoch < fence else EPOCH_AHEAD)(epoch=epoch, fence=fence)

    def _missing(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            address
            for address in addresses
            if _ADDRESS.fullmatch(address) and not place_of(self._folder, address).exists()
        )

    def _give_name(self, draft: Path, address: str) -> None:
        target = place_of(self._folder, address)
        try:
            durable.make_folder(target.parent)
            draft.rename(target)
            durable.sync_folder(target.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise durable.as_failure(error) from error


def _batched(addresses: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(addresses), _ASKED_AT_ONCE):
        yield addresses[start : start + _ASKED_AT_ONCE]
