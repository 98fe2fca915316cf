"""The dashboard's HTTPS server: TLS 1.3, one ready line, gone at once on SIGTERM or when its parent is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
MAX_MESSAGE_BYTES: Final = 1 << 20
DRAIN_S: Final = 1


@dataclass(frozen=True, slots=True)
class Door:
    """Where to serve and how to live: port 0 lets the OS choose.

    The ready line goes to ``ready_fd`` (stdout without one); EOF on ``leash_fd`` means that the parent died.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    ready_fd: int | None = None
    leash_fd: int | None = None


class DashboardServer(uvicorn.Server):
    """uvicorn, but a signal ends it with status 0 instead of by the signal again, and it says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], leash_fd: int | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._leash_fd = leash_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for no browser: there is nothing here to finish, and a polite TLS close may take half a minute."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the loop on SIGTERM, SIGINT, or EOF on the leash."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._leave)
        if self._leash_fd is not None:
            os.set_blocking(self._leash_fd, False)
            loop.add_reader(self._leash_fd, self._feel_leash, self._leash_fd)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _feel_leash(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if os.read(descriptor, 1) == b"":
                asyncio.get_running_loop().remove_reader(descriptor)
                self._leave()

    def _leave(self) -> None:
        self.should_exit = True


def serve(app: FastAPI, door: Door) -> None:
    """Serve until SIGTERM, Ctrl-C or the parent's end. Says ``{"admin": url, "pid": n}`` on one line once it answers."""
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    with socket.create_server((door.host, door.port), family=family) as listener:
        config = uvicorn.Config(
            app,
            ssl_certfile=door.certificate,
            ssl_keyfile=str(door.key),
            ssl_context_factory=_tls_1_3,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            ws_max_size=MAX_MESSAGE_BYTES,
        )
        DashboardServer(config, lambda: _announce(door, listener), door.leash_fd).run(sockets=[listener])


def _tls_1_3(_: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _announce(door: Door, listener: socket.socket) -> None:
    name = f"[{door.host}]" if ":" in door.host else door.host
    line = json.dumps({"admin": f"https://{name}:{listener.getsockname()[1]}", "pid": os.getpid()}) + "\n"
    if door.ready_fd is None:
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    with contextlib.suppress(BrokenPipeError):
        os.write(door.ready_fd, line.encode())
    os.close(door.ready_fd)
