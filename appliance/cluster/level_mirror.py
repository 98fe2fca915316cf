"""Sends Litestream's larger steps and whole images after the hot path, and lets the peer drop what the spool dropped.

Level 0 alone would make the peer's folder grow for ever. The peer deletes a file of level 0 once it holds the file of
level 1 with the same changes; all other levels follow the spool, whose retention Litestream and ``store.spool`` keep.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from appliance.cluster.ltx import LEVELS, LtxFile, listing
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import Missing, Retain
from appliance.cluster.replication_errors import EPOCH_AHEAD, PEER_AWAY
from appliance.cluster.shipper import send_large
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("shipper")
_PERIOD_S: Final = 1.0
_WHOLE_LIST_S: Final = 60.0
_ANSWER_S: Final = 30.0


class LevelMirror:
    """Runs beside a ``Shipper``, over a link of its own: a whole image must not hold up the next commit."""

    def __init__(self, epoch: int, spool: Path, link: PeerLink) -> None:
        self._epoch = epoch
        self._spool = spool
        self._link = link
        self._task: asyncio.Task[None] | None = None
        self.complete = False
        """Whether the peer had every file of the spool's levels 1 and above at the last look."""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="level mirror")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _run(self) -> None:
        known: set[LtxFile] = set()
        until_whole_s = 0.0
        while True:
            try:
                if not self._link.is_up:
                    self.complete, until_whole_s = False, 0.0
                    await self._link.wait_up()
                if until_whole_s <= 0:
                    known, until_whole_s = await self._compare(), _WHOLE_LIST_S
                else:
                    known = await self._send_new(known)
            except ProntuarioError as error:
                self.complete, until_whole_s = False, 0.0
                if error.kind is not PEER_AWAY and error.kind is not EPOCH_AHEAD:
                    log.warning("the peer could not keep a larger step", code=error.kind.code)
            except FileNotFoundError:
                until_whole_s = 0.0  # Litestream replaced it just now
            await asyncio.sleep(_PERIOD_S)
            until_whole_s -= _PERIOD_S

    async def _compare(self) -> set[LtxFile]:
        """Say which files there are, send those that the peer lacks, then say it again: now it may drop others."""
        files = await self._list()
        if await self._send(await self._missing(files)):
            await self._missing(files)
        self.complete = True
        return files

    async def _send_new(self, known: set[LtxFile]) -> set[LtxFile]:
        files = await self._list()
        await self._send({file.key for file in files - known})
        return files

    async def _missing(self, files: set[LtxFile]) -> set[str]:
        retain = Retain(self._epoch, tuple(file.key for file in sorted(files)))
        return set((await self._link.ask(retain, Missing, deadline_s=_ANSWER_S)).names)

    async def _list(self) -> set[LtxFile]:
        return set(await asyncio.to_thread(listing, self._spool, LEVELS[1:]))

    async def _send(self, keys: set[str]) -> int:
        files = sorted((file for file in await self._list() if file.key in keys), key=lambda file: -file.level)
        for file in files:  # whole images first: they are what a restore begins with
            path = file.path(self._spool)
            await send_large(self._link, self._epoch, file, path, path.stat().st_size)
        return len(files)
