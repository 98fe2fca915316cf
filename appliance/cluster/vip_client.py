"""Core's side of vipd's socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.vip_errors import REFUSALS, UNREACHABLE
from appliance.cluster.vip_messages import LINE_LIMIT_BYTES, VipAnswer, VipRequest
from appliance.plugin_api.errors import ProntuarioError

ANSWER_LIMIT_S: Final = 2.0


class VipClient:
    """Asks vipd for ``addresses`` on ``interface``. Keeps one connection and makes a new one when it breaks.

    Deadlines are seconds of the lease clock (``LeaseView.expires``, as it is).
    """

    def __init__(
        self, socket: Path, addresses: Sequence[str], interface: str, *, answer_limit_s: float = ANSWER_LIMIT_S
    ) -> None:
        self._socket = socket
        self._addresses = tuple(addresses)
        self._interface = interface
        self._limit_s = answer_limit_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._epoch = 0
        self._up: bool | None = None

    @property
    def up(self) -> bool | None:
        """Whether this machine had all addresses at vipd's last answer; None: vipd does not answer."""
        return self._up

    async def acquire(self, epoch: int, deadline_s: float) -> VipAnswer:
        """Have the addresses up until ``deadline_s``; returns once they are, and were announced.

        Raises:
            ProntuarioError: ``cluster.vip_…``: refused, not possible, or vipd did not answer.
        """
        self._epoch = max(self._epoch, epoch)
        return await self._ask(
            VipRequest("acquire", epoch, deadline_s, addresses=self._addresses, interface=self._interface)
        )

    async def renew(self, epoch: int, deadline_s: float) -> VipAnswer:
        """Keep them until ``deadline_s``. Raises as ``acquire``; ``cluster.vip_not_held`` asks for a new ``acquire``."""
        return await self._ask(VipRequest("renew", epoch, deadline_s))

    async def release(self, epoch: int | None = None) -> VipAnswer:
        """Give them up now; fine when nothing is held. ``epoch``: None for the last one acquired here.

        Raises:
            ProntuarioError: ``cluster.vip_unreachable``: then the guard drops them at the deadline.
        """
        epoch = self._epoch if epoch is None else epoch
        return await self._ask(VipRequest("release", epoch) if epoch else VipRequest("status"))

    async def status(self) -> VipAnswer:
        """How things stand at vipd. Raises as ``release``."""
        return await self._ask(VipRequest("status"))

    async def close(self) -> None:
        """End the connection; what is held stays so until its deadline."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _ask(self, request: VipRequest) -> VipAnswer:
        async with self._turn:
            try:
                answer = await asyncio.wait_for(self._exchange(request), self._limit_s)
            except (OSError, TimeoutError, EOFError, ValueError):
                self._up = None
                await self.close()  # an answer that comes late must not be taken for the next one's
                raise UNREACHABLE() from None
        self._up = set(self._addresses) <= set(answer.up)
        if answer.code:
            raise ProntuarioError(REFUSALS.get(answer.code, UNREACHABLE), details=answer.details)
        return answer

    async def _exchange(self, request: VipRequest) -> VipAnswer:
        line = msgspec.json.encode(request) + b"\n"
        fresh = self._streams is None
        try:
            return await self._once(line)
        except (OSError, EOFError):
            if fresh:
                raise
        # vipd was started again since the last question, or closed an idle connection.
        self._streams = None
        return await self._once(line)

    async def _once(self, line: bytes) -> VipAnswer:
        # uvloop raises RuntimeError on a write to a closed one, where asyncio says nothing.
        if self._streams is None or self._streams[1].is_closing():
            self._streams = await asyncio.open_unix_connection(self._socket, limit=LINE_LIMIT_BYTES)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        return msgspec.json.decode(await reader.readuntil(b"\n"), type=VipAnswer)
