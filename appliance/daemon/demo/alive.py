"""Sockets that notice within seconds that the other end is gone, also when nothing said so (a Mac that lost its power).

Three cases, three answers. Idle: keepalive probes each second. Something sent and not acknowledged: the kernel would go on
resending for a quarter of an hour; a limit on that (RFC 5482; on macOS ``TCP_RXT_CONNDROPTIME``) ends it. The address has
moved to another node: a probe reaches it there, and it says at once that it knows no such connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Final

PROBE_EVERY_S: Final = 1
NOTICED_S: Final = 6
"""How long the other end may stay silent; a switch that reboots its port takes less."""
_MACOS_KEEPALIVE: Final = 0x10
_MACOS_RXT_CONNDROPTIME: Final = 0x80
Option = tuple[int, int, int]


def socket_options() -> list[Option]:
    """For ``httpx.AsyncHTTPTransport(socket_options=…)`` and ``setsockopt``: (level, name, value)."""
    tcp = socket.IPPROTO_TCP
    if sys.platform == "darwin":
        idle, limit = _MACOS_KEEPALIVE, (tcp, _MACOS_RXT_CONNDROPTIME, NOTICED_S)
    else:
        idle, limit = socket.TCP_KEEPIDLE, (tcp, socket.TCP_USER_TIMEOUT, NOTICED_S * 1000)
    return [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (tcp, idle, PROBE_EVERY_S),
        (tcp, socket.TCP_KEEPINTVL, PROBE_EVERY_S),
        (tcp, socket.TCP_KEEPCNT, NOTICED_S // PROBE_EVERY_S - 1),
        limit,
    ]


def watch(transport: asyncio.BaseTransport) -> None:
    """Set them on a connection that is there already (a WebSocket's)."""
    descriptor = os.dup(transport.get_extra_info("socket").fileno())  # uvloop's own object has no setsockopt
    with socket.socket(fileno=descriptor) as line:
        for level, name, value in socket_options():
            line.setsockopt(level, name, value)
