"""The durability barrier of a lone node: every commit is in Litestream's local spool, fsynced (DESIGN §3, step 1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.store.control import ControlClient, ControlError
from appliance.telemetry.logs import get_logger

log = get_logger("litestream")
_SYNC_LIMIT_S: Final = 30
_HUNG_S: Final = _SYNC_LIMIT_S + 5.0
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_BELIEVED_DAMAGE: Final = 6
"""Answers in a row that tell of damage, over a second or so."""
_SIGNS_OF_DAMAGE: Final = ("corrupt", "checksum", "EOF", "no such file")


class LitestreamBarrier:
    """Asks Litestream to sync and waits for it. One sync is in flight; whoever comes meanwhile shares the next one."""

    mode = "single"
    checkpoints = True

    def __init__(self, database: Path, control: ControlClient, *, on_damage: Callable[[], None] = lambda: None) -> None:
        self._database = str(database)
        self._control = control
        self._on_damage = on_damage
        self.waits_for_spool = True
        """False: a sync ends with the LTX file in Litestream's working folder; whoever asks has another durable copy."""
        self._next: asyncio.Future[int] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._unconfirmed_since: float | None = None

    @property
    def waits_s(self) -> float:
        """For how long a confirmation has been outstanding; 0 when none is."""
        since = self._unconfirmed_since
        return 0.0 if since is None else time.monotonic() - since

    async def confirm(self) -> None:
        """Return once a sync that began after this call has succeeded, however often Litestream has to be asked."""
        await self.sync()

    async def sync(self) -> int:
        """Like ``confirm``; the TXID that covers every commit made before this call."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync_rounds(), name="litestream sync")
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Stop asking."""
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.wait({self._syncing})
        if self._next is not None:
            self._next.cancel()
        await self._control.close()

    async def _sync_rounds(self) -> None:
        while self._next is not None:
            current, self._next = self._next, None
            self._unconfirmed_since = time.monotonic()
            try:
                txid = await self._sync()
            except asyncio.CancelledError:
                current.cancel()
                raise
            self._unconfirmed_since = None
            current.set_result(txid)

    async def _sync(self) -> int:
        pause_s, damaged = _FIRST_PAUSE_S, 0
        while True:
            spooled = self.waits_for_spool
            try:
                async with asyncio.timeout(_HUNG_S):
                    answer = await self._control.call(
                        "POST", "/sync", {"path": self._database, "wait": spooled, "timeout": _SYNC_LIMIT_S}
                    )
                txid = _synced(answer, spooled=spooled)
            except (OSError, TimeoutError) as error:
                if pause_s == _FIRST_PAUSE_S:
                    log.warning("litestream could not sync; asking again", error=type(error).__name__)
                damaged = damaged + 1 if _tells_damage(error) else 0
                if damaged == _BELIEVED_DAMAGE:
                    self._on_damage()
                    damaged = 0
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                return txid


def _tells_damage(error: Exception) -> bool:
    """Whether Litestream says that its own files, derived from the database, are broken or missing."""
    text = str(error)
    return isinstance(error, ControlError) and "ltx" in text and any(sign in text for sign in _SIGNS_OF_DAMAGE)


def _synced(answer: dict[str, object], *, spooled: bool) -> int:
    txid, replicated = answer.get("txid"), answer.get("replicated_txid")
    if not isinstance(txid, int):
        raise ControlError("a sync without a TXID")
    if spooled and (not isinstance(replicated, int) or replicated < txid):
        raise ControlError("the spool is behind the database")
    return txid
