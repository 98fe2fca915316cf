"""Keeps one etcd lease alive and knows, without asking, until when it surely lives.

etcd counts a lease's time from when the request *reached* it; we count from before the request was *sent*. So ours always
ends first, whatever the network, a stopped process or a slow answer do in between. A small margin covers clocks that run at
slightly different speeds.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.model import LeaseView
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

MARGIN: Final = 0.02
"""Of the lease's time: ours is this much shorter. Quartz clocks differ by some 100 ppm."""
_log = get_logger("lease")


def safe_expiry(sent_at_s: float, ttl_s: float) -> float:
    """Until when a lease surely lives whose grant or keepalive was sent at ``sent_at_s`` (lease clock)."""
    return sent_at_s + ttl_s * (1.0 - MARGIN)


class LeaseKeeper:
    """One lease at a time: ``obtain``, ``lead`` once the leader key carries it, ``release``. Its own task renews it."""

    def __init__(self, client: EtcdClient, clock: Clock, *, ttl_s: int = 1, heartbeat_s: float = 0.2) -> None:
        self._client = client
        self._clock = clock
        self._ttl_s = ttl_s
        self._heartbeat_s = heartbeat_s
        self._lease = 0
        self._expires = 0.0
        self._epoch: int | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def lease(self) -> int:
        """The lease's id in etcd; 0: none."""
        return self._lease

    def view(self) -> LeaseView | None:
        """The right to acknowledge: for the barrier, at each acknowledgement. None: we do not lead."""
        return LeaseView(self._epoch, self._expires) if self._epoch is not None else None

    def valid(self) -> bool:
        """Whether we lead at this very moment."""
        view = self.view()
        return view is not None and view.valid(self._clock.monotonic())

    async def obtain(self) -> int:
        """A fresh lease, kept alive from now on; its id.

        Raises:
            ProntuarioError: ``cluster.no_quorum``.
        """
        await self.release()
        sent = self._clock.monotonic()
        self._lease = await self._client.grant(self._ttl_s)
        self._expires = safe_expiry(sent, self._ttl_s)
        self._task = asyncio.create_task(self._keep(self._lease), name="lease")
        return self._lease

    def lead(self, epoch: int) -> None:
        """The leader key of ``epoch`` is bound to our lease: acknowledgements are allowed."""
        self._epoch = epoch

    def drop(self) -> int:
        """Stop believing and renewing at once; the id to revoke (0: none)."""
        lease, self._lease, self._epoch = self._lease, 0, None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        return lease

    async def release(self) -> None:
        """Drop it and tell etcd, so that nobody has to wait for its end. If etcd is out of reach it expires by itself."""
        task = self._task
        lease = self.drop()
        if task is not None:
            await asyncio.wait({task})
        if lease:
            with contextlib.suppress(ProntuarioError):
                await self._client.revoke(lease)

    async def _keep(self, lease: int) -> None:
        while True:
            sent = self._clock.monotonic()
            try:
                alive = await self._client.keep_alive(lease, deadline_s=self._ttl_s)
            except ProntuarioError:
                if self._clock.monotonic() > self._expires + self._ttl_s:
                    break  # long gone; nobody can renew what etcd has forgotten
                await asyncio.sleep(self._heartbeat_s / 4)
                continue
            if not alive:
                break
            self._expires = max(self._expires, safe_expiry(sent, self._ttl_s))
            await asyncio.sleep(max(0.0, sent + self._heartbeat_s - self._clock.monotonic()))
        _log.warning("the lease is gone")
        self._expires = min(self._expires, self._clock.monotonic())
