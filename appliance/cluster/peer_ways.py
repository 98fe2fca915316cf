"""By which address the other node is called: on the cable between the two, and on the LAN while the cable is silent.

A cut cable says nothing, and a peer that froze says nothing either. The kernel knows the difference: a frozen peer's
kernel still acknowledges what arrives. So a connection that hears no acknowledgement for ``UNHEARD_S`` is given up by the
kernel itself (RFC 5482's user timeout), sooner than a commit waits for the peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from typing import Final

UNHEARD_S: Final = 0.6
CONNECT_S: Final = 1.5
LOOK_BACK_S: Final = 5.0
"""How often a link on the detour looks whether the cable is whole again."""
_DARWIN_TCP_RXT_CONNDROPTIME: Final = 0x80
"""Whole seconds (netinet/tcp.h)."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Ways:
    """The addresses of one peer in order of preference, and which of them is in use."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        port: int,
        tls: ssl.SSLContext,
        name: str,
        *,
        frame_limit: int,
        connect_s: float = CONNECT_S,
    ) -> None:
        """``hosts``: empty ones are left out; ``name``: what the peer's certificate must carry.

        ``connect_s``: how long a connection may take to stand, TLS included.
        """
        self._hosts = tuple(host for host in hosts if host)
        self._port = port
        self._tls = tls
        self._name = name
        self._frame_limit = frame_limit
        self._connect_s = connect_s
        self._at = 0

    @property
    def now(self) -> str:
        """The address in use, or the next to be tried."""
        return self._hosts[self._at]

    @property
    def detour(self) -> bool:
        """Whether that is not the preferred one."""
        return self._at > 0

    def turn(self) -> bool:
        """The present one is silent: take the next. Returns whether there is one that was not tried since ``prefer``."""
        self._at = (self._at + 1) % len(self._hosts)
        return self._at > 0

    def prefer(self) -> None:
        """Begin with the preferred one again."""
        self._at = 0

    async def open(self) -> Streams:
        """Connect by the address in use.

        Raises:
            OSError, TimeoutError: nobody there, nobody in time, or not the peer.
        """
        return await self._open(self.now)

    async def wait_for_the_first(self) -> None:
        """Return once the preferred address takes connections again."""
        while True:
            await asyncio.sleep(LOOK_BACK_S)
            with contextlib.suppress(OSError, TimeoutError):
                _, writer = await self._open(self._hosts[0])
                writer.close()
                return

    async def _open(self, host: str) -> Streams:
        async with asyncio.timeout(self._connect_s):
            reader, writer = await asyncio.open_connection(
                host,
                self._port,
                ssl=self._tls,
                server_hostname=self._name,
                ssl_shutdown_timeout=1.0,
                limit=self._frame_limit,
            )
        give_up_unheard(writer.get_extra_info("socket"))
        return reader, writer


def give_up_unheard(line: socket.socket) -> None:
    """Have the kernel end ``line`` when nothing that was sent is acknowledged for ``UNHEARD_S``; best effort."""
    with contextlib.suppress(OSError):
        if sys.platform == "darwin":
            line.setsockopt(socket.IPPROTO_TCP, _DARWIN_TCP_RXT_CONNDROPTIME, 1)
        else:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNHEARD_S * 1000))
