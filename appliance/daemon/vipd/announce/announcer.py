"""Repeats the announcement: a lost frame, or one that a neighbour ignored, must not leave a clinician outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from appliance.daemon.vipd.allow_list import Entry
from appliance.daemon.vipd.announce import line
from appliance.daemon.vipd.announce.packets import announcement
from appliance.telemetry.logs import get_logger

log = get_logger("vipd")
OFFSETS_S: Final = (0.0, 0.2, 0.6, 1.2, 2.0)
"""Five rounds over two seconds. Linux takes no second change of a neighbour within one second (``locktime``, arp(7))."""
AGAIN_EVERY_S: Final = 15.0
"""While the address is held: a switch that was cut off learns where it is, without anyone asking."""
Send = Callable[[str, Iterable[bytes]], None]
HardwareAddress = Callable[[str], bytes]


class Announcer:
    """One task that announces what is held. ``send(interface, frames)`` and ``hardware_address(interface)`` do the work."""

    def __init__(self, *, send: Send = line.send, hardware_address: HardwareAddress = line.hardware_address) -> None:
        self._send = send
        self._hardware_address = hardware_address
        self._task: asyncio.Task[None] | None = None

    def start(self, entries: Sequence[Entry]) -> None:
        """Announce once now, then go on in the background until ``stop``. Never raises: an address unheard is still up."""
        self.stop()
        self._round(entries)
        self._task = asyncio.create_task(self._repeat(tuple(entries)))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _repeat(self, entries: tuple[Entry, ...]) -> None:
        for before, now in pairwise(OFFSETS_S):
            await asyncio.sleep(now - before)
            self._round(entries)
        while True:
            await asyncio.sleep(AGAIN_EVERY_S)
            self._round(entries)

    def _round(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            try:
                mac = self._hardware_address(entry.interface)
                self._send(entry.interface, announcement(mac, entry.address))
            except OSError as error:
                log.warning("announcement failed", code=str(error.errno))
