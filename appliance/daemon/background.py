"""What core does from time to time by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store
from appliance.security.audit_heads import HeadSigner, SignedHead
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("audit")
HEAD_EVERY_S = 300.0


class SignedHeads:
    """Keeps a signed head of the audit tree every five minutes and at the end: rewriting what lies before it shows."""

    def __init__(
        self,
        store: Store,
        signer: HeadSigner,
        clock: Clock,
        every_s: float = HEAD_EVERY_S,
        *,
        saw: Callable[[SignedHead], Awaitable[None]] | None = None,
    ) -> None:
        """``saw``: who else is told of each."""
        self._store, self._signer, self._clock, self._every_s, self._saw = store, signer, clock, every_s, saw
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="signed heads")

    async def stop(self, *, last: bool = True) -> None:
        """Sign a last head, unless the record goes on elsewhere; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if last:
                await self._keep()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._keep()

    async def _keep(self) -> None:
        try:
            head = await self._store.write(lambda tx: self._signer.keep(tx, instant(self._clock.now())))
            if self._saw is not None:
                await self._saw(head)
        except OSError as error:
            log.warning("the audit head could not be kept outside the record", error=type(error).__name__)
        except ProntuarioError as error:
            log.warning("the audit head could not be kept; the next one will cover it", code=error.kind.code)
