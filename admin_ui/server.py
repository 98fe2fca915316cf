"""The dashboard's HTTPS server: TLS 1.3, one ready line, gone at once on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI


class DashboardServer(uvicorn.Server):
    """uvicorn, but a signal ends it with status 0 instead of by the signal again, and it says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the loop; a second one needs no patience either."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        self.should_exit = True


def serve(app: FastAPI, host: str, port: int, certificate: Path, key: Path) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints ``{"admin": url}`` on one line once it answers; port 0 lets the OS choose."""

    def tls(_: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        context = default()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        config = uvicorn.Config(
            app,
            ssl_certfile=certificate,
            ssl_keyfile=str(key),
            ssl_context_factory=tls,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws_max_size=1 << 20,
        )
        server = DashboardServer(config, lambda: _say_ready(host, listener))
        server.run(sockets=[listener])


def _say_ready(host: str, listener: socket.socket) -> None:
    name = f"[{host}]" if ":" in host else host
    sys.stdout.write(json.dumps({"admin": f"https://{name}:{listener.getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
